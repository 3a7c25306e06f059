/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-spin CPU[,CPU...] SECONDS: what a machine takes away from a thread that never sleeps.
 *
 * A pinned thread on each CPU looks at the clock as fast as it can; whatever lies between two looks
 * was not its own. Prints a JSON object a CPU, one a line: how many looks were more than 5 us
 * apart, the largest distance, and the share of the time that went to distances over 5 us. The
 * noise floor of a benchmark that runs on the same CPUs right before or after.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpus.h"

#define CPUS_MAX    64
#define GAP_NS      5000
#define SECONDS_MAX 3600.0

struct spinner {
	pthread_t thread;
	unsigned int cpu;
	int64_t duration_ns;
	uint64_t n_looks;
	uint64_t n_gaps; /* over GAP_NS */
	int64_t lost_ns; /* in them */
	int64_t longest_ns;
	int error;
};

static void *spin(void *arg)
{
	struct spinner *s = arg;
	int64_t start, last, now;

	s->error = bench_pin(pthread_self(), s->cpu);
	if (s->error)
		return NULL;
	start = last = bench_now_ns();
	do {
		now = bench_now_ns();
		s->n_looks++;
		if (now - last > GAP_NS) {
			s->n_gaps++;
			s->lost_ns += now - last;
		}
		if (now - last > s->longest_ns)
			s->longest_ns = now - last;
		last = now;
	} while (now - start < s->duration_ns);
	return NULL;
}

static void print(const struct spinner *s)
{
	printf("{\"cpu\": %d, \"seconds\": %.3f, \"looks\": %" PRIu64 ", \"gaps\": %" PRIu64
	       ", \"lost_percent\": %.4f, \"gap_max_us\": %.1f}\n",
	       s->cpu, (double)s->duration_ns / 1e9, s->n_looks, s->n_gaps,
	       100.0 * (double)s->lost_ns / (double)s->duration_ns, (double)s->longest_ns / 1e3);
}

int main(int argc, char **argv)
{
	static struct spinner spinners[CPUS_MAX];
	unsigned int cpus[CPUS_MAX];
	unsigned int n = argc == 3 ? bench_parse_cpus(argv[1], cpus, CPUS_MAX) : 0;
	double seconds = argc == 3 ? strtod(argv[2], NULL) : 0;
	int status = 0;

	if (n == 0 || !(seconds > 0 && seconds <= SECONDS_MAX)) {
		fprintf(stderr, "usage: bench-spin CPU[,CPU...] SECONDS\n");
		return 2;
	}
	for (unsigned int i = 0; i < n; i++) {
		spinners[i].cpu = cpus[i];
		spinners[i].duration_ns = (int64_t)(seconds * 1e9);
		if (pthread_create(&spinners[i].thread, NULL, spin, &spinners[i])) {
			perror("bench-spin: thread");
			return 1;
		}
	}
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(spinners[i].thread, NULL);
		if (spinners[i].error) {
			fprintf(stderr, "bench-spin: CPU %d: %s\n", spinners[i].cpu,
				strerror(spinners[i].error));
			status = 1;
		} else {
			print(&spinners[i]);
		}
	}
	return status;
}
