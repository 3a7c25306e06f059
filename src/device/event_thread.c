/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/event_thread.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device/carrier.h"

#define THREAD_NAME   "vhost-events\n" /* as /proc has it */
#define SETTLE_TRY_MS 10
#define SETTLE_TRIES  100

static void on_signal(int number)
{
	(void)number;
}

static bool is_event_thread(const char *tid)
{
	char path[64], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return strcmp(name, THREAD_NAME) == 0;
}

/* 0 when there is none of that name. */
static pid_t find_thread(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	pid_t tid = 0;

	if (!dir)
		return 0;
	while (!tid && (entry = readdir(dir)))
		if (is_event_thread(entry->d_name))
			tid = (pid_t)strtol(entry->d_name, NULL, 10);
	closedir(dir);
	return tid;
}

/* A signal ends its poll(). It has no connection yet, whose messages one could disturb. Sent again
 * until it is seen to have worked: the thread may not sleep yet. */
void event_thread_settle(void)
{
	struct sigaction action = {.sa_handler = on_signal}, before;
	pid_t tid = find_thread();
	int likely;
	struct pollfd pfd = {.fd = carrier_new(&likely), .events = POLLIN};

	sigaction(SIGURG, &action, &before);
	if (tid && pfd.fd >= 0 && carrier_send(pfd.fd) == 0) {
		for (int i = 0; i < SETTLE_TRIES; i++) {
			syscall(SYS_tgkill, getpid(), tid, SIGURG);
			if (poll(&pfd, 1, SETTLE_TRY_MS) == 1)
				break;
		}
	}
	sigaction(SIGURG, &before, NULL);
	if (pfd.fd >= 0)
		close(pfd.fd);
}
