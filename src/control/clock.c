/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* proc_pid_stat(5): field 22, in clock ticks since boot. The second field, the program's name in
 * parentheses, may hold anything, so counting begins behind its last one. */
static uint64_t start_ticks(void)
{
	char text[1024];
	FILE *file = fopen("/proc/self/stat", "re");
	size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
	uint64_t ticks = 0;
	const char *rest;

	if (file)
		fclose(file);
	text[n] = '\0';
	rest = strrchr(text, ')');
	if (!rest ||
	    sscanf(rest + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d"
		   " %*d %" SCNu64,
		   &ticks) != 1)
		return 0;
	return ticks;
}

uint64_t clock_since_exec_ms(void)
{
	uint64_t ticks = start_ticks();
	uint64_t start_ms = ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec now;
	uint64_t now_ms;

	clock_gettime(CLOCK_BOOTTIME, &now);
	now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	return ticks && now_ms > start_ms ? now_ms - start_ms : 0;
}
