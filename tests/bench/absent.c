/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-absent CPU: when a busy CPU was not there.
 *
 * A thread of the highest priority asks to be woken each 2 ms. When it comes late, either the
 * kernel did not let it in, or the CPU was away: its host had stopped it. The CPU's timer tells
 * which: a CPU that is busy and there is interrupted HZ times a second. Prints "ready", and a line
 * for each time that was away for longer than a few ticks, until its standard input ends:
 *
 *   BEGIN_NS END_NS      on CLOCK_MONOTONIC; a time that it was away for at least (END - BEGIN)
 *
 * Some other program must keep the CPU busy: an idle one has no ticks.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpus.h"

#define PERIOD_NS  2000000
#define AWAY_NS    500000 /* less is not told */
#define LOWEST_HZ  100
#define TABLE_SIZE 65536

/* Timer interrupts of a CPU since the machine started; -1 when nobody counts them. */
static int64_t ticks(int fd, unsigned int cpu)
{
	static char table[TABLE_SIZE];
	ssize_t n = pread(fd, table, sizeof(table) - 1, 0);
	char *row;

	if (n <= 0)
		return -1;
	table[n] = '\0';
	row = strstr(table, "LOC:");
	if (!row)
		return -1;
	row += strlen("LOC:");
	for (unsigned int i = 0; i < cpu; i++)
		strtoll(row, &row, 10);
	return strtoll(row, NULL, 10);
}

/* Nanoseconds between two of them, from the kernel's configuration, which Debian keeps in /boot;
 * the longest that is in use when it is not there: less is called away then. */
static int64_t tick_ns(void)
{
	char line[256];
	FILE *file = popen("cat /boot/config-$(uname -r) 2>/dev/null || zcat /proc/config.gz", "r");
	int hz = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "CONFIG_HZ=", 10) == 0)
			hz = atoi(line + 10);
	}
	if (file)
		pclose(file);
	return 1000000000 / (hz >= LOWEST_HZ ? hz : LOWEST_HZ);
}

/* 0 or an error number. */
static int become_watcher(unsigned int cpu)
{
	const struct sched_param param = {.sched_priority = 90};
	int rc = bench_pin(pthread_self(), cpu);

	return rc ? rc : pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
}

static void watch(int fd, unsigned int cpu, int64_t period_ns)
{
	struct pollfd in = {.fd = STDIN_FILENO};
	int64_t due = bench_now_ns(), before = ticks(fd, cpu);

	while (poll(&in, 1, 0) == 0) {
		struct timespec t;
		int64_t late, there;

		due += PERIOD_NS;
		t = (struct timespec){.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
		late = bench_now_ns() - due;
		there = (ticks(fd, cpu) - before) * period_ns;
		if (there > 0 && late - there > AWAY_NS)
			printf("%" PRId64 " %" PRId64 "\n", due + there, due + late);
		if (late > PERIOD_NS)
			due = bench_now_ns();
		before = ticks(fd, cpu);
	}
}

int main(int argc, char **argv)
{
	char *end = NULL;
	unsigned long cpu = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
	int fd = open("/proc/interrupts", O_RDONLY | O_CLOEXEC), rc;

	if (argc != 2 || end == argv[1] || *end || cpu >= CPU_SETSIZE) {
		fprintf(stderr, "usage: bench-absent CPU\n");
		return 2;
	}
	if (ticks(fd, (unsigned int)cpu) < 0) {
		fprintf(stderr,
			"bench-absent: /proc/interrupts counts no timer interrupts (LOC)\n");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	rc = become_watcher((unsigned int)cpu);
	if (rc) {
		fprintf(stderr, "bench-absent: CPU %lu at real-time priority: %s\n", cpu,
			strerror(rc));
		return 1;
	}
	puts("ready");
	watch(fd, (unsigned int)cpu, tick_ns());
	return 0;
}
