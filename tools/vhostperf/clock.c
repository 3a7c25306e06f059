/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALIBRATION_US 20000

#if defined(__x86_64__)
static bool has_word(const char *line, const char *word)
{
	size_t n = strlen(word);

	for (const char *at = line; (at = strstr(at, word)); at += n) {
		if (at > line && at[-1] == ' ' && (at[n] == ' ' || at[n] == '\n'))
			return true;
	}
	return false;
}

/* The kernel's opinion, as the first processor's flags in /proc/cpuinfo. */
static bool tsc_is_steady(void)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	bool steady = false;
	size_t size = 0;
	char *line = NULL;

	if (!file)
		return false;
	while (getline(&line, &size, file) > 0) {
		if (strncmp(line, "flags", 5) != 0)
			continue;
		steady = has_word(line, "constant_tsc") && has_word(line, "nonstop_tsc");
		break;
	}
	free(line);
	fclose(file);
	return steady;
}

/* Both clocks at one moment: the closest together of a few tries. */
static void read_both(uint64_t *ret_tsc, uint64_t *ret_ns)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 10; i++) {
		uint64_t before = __rdtsc();
		uint64_t ns = clock_monotonic_ns();
		uint64_t after = __rdtsc();

		if (after - before >= best)
			continue;
		best = after - before;
		*ret_tsc = before + best / 2;
		*ret_ns = ns;
	}
}

void clock_init(struct clock *clock)
{
	uint64_t tsc[2] = {0}, ns[2] = {0};

	*clock = (struct clock){.is_tsc = tsc_is_steady(), .ns_per_tick = 1};
	if (!clock->is_tsc)
		return;
	read_both(&tsc[0], &ns[0]);
	usleep(CALIBRATION_US);
	read_both(&tsc[1], &ns[1]);
	clock->ns_per_tick = (double)(ns[1] - ns[0]) / (double)(tsc[1] - tsc[0]);
}
#else
void clock_init(struct clock *clock)
{
	*clock = (struct clock){.is_tsc = false, .ns_per_tick = 1};
}
#endif
