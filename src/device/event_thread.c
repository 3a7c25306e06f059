/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/event_thread.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define WAKE_SOCKET   ".wake.sock"
#define THREAD_NAME   "vhost-events\n" /* as /proc has it */
#define SETTLE_TRY_MS 10
#define SETTLE_TRIES  100

static char wake_path[sizeof(((struct sockaddr_un *)0)->sun_path)];

int event_thread_init(const char *socket_dir, struct error *err)
{
	int n = snprintf(wake_path, sizeof(wake_path), "%s/%s", socket_dir, WAKE_SOCKET);

	if (n < 0 || (size_t)n >= sizeof(wake_path))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "socket_dir: \"%s\" is too long for a socket's path", socket_dir);
	return 0;
}

const char *event_thread_wake_path(void)
{
	return wake_path;
}

/* A connection to our socket, which the thread closes as soon as it sees it; -1 with errno. */
static int dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, wake_path, sizeof(addr.sun_path));
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return -1;
	}
	return fd;
}

void event_thread_wake(void)
{
	int fd = dial();

	/* Refused or full: the thread is being woken anyway, or looks within a second. */
	if (fd < 0)
		log_debug("daemon", "waking the event thread: %s", strerror(errno));
	else
		close(fd);
}

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
	struct pollfd pfd = {.fd = tid ? dial() : -1, .events = POLLIN};

	if (pfd.fd < 0)
		return;
	sigaction(SIGURG, &action, &before);
	for (int i = 0; i < SETTLE_TRIES; i++) {
		syscall(SYS_tgkill, getpid(), tid, SIGURG);
		if (poll(&pfd, 1, SETTLE_TRY_MS) == 1)
			break;
	}
	sigaction(SIGURG, &before, NULL);
	close(pfd.fd);
}
