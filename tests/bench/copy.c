/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-copy CPU[,CPU...] KIB PIECES MIB SECONDS: what a machine's memory gives when a thread on
 * each of these CPUs copies pieces of so many KiB, from anywhere in so many MiB of its own to so
 * many pieces, one after the other, with memcpy(). Prints a JSON object: bytes copied a second by
 * all of them. Nobody who serves a disk in memory can be faster.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpus.h"

#define THREADS_MAX 64
#define PIECES_MAX  1024ul
#define KIB_MAX     65536ul
#define MIB_MAX     65536ul

struct copier {
	pthread_t thread;
	unsigned int cpu;
	int error;
	size_t n_bytes;     /* of a piece */
	unsigned long n_to; /* pieces that it copies to */
	size_t from_bytes;  /* of what it copies from */
	int64_t duration_ns;
	double bytes_per_s;
};

static pthread_barrier_t start; /* all have their memory */

static uint8_t *memory(size_t n_bytes)
{
	void *addr = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED) {
		perror("bench-copy: memory");
		exit(1);
	}
	memset(addr, 1, n_bytes);
	return addr;
}

static void *copy(void *arg)
{
	struct copier *c = arg;
	uint64_t random = 1, n = 0, n_pieces = c->from_bytes / c->n_bytes;
	uint8_t *from, *to;
	int64_t start_ns, ns;

	c->error = bench_pin(pthread_self(), c->cpu); /* before its memory is there */
	from = memory(c->from_bytes);
	to = memory(c->n_to * c->n_bytes);
	pthread_barrier_wait(&start);
	start_ns = bench_now_ns();
	do {
		random = random * 6364136223846793005u + 1442695040888963407u;
		memcpy(to + n % c->n_to * c->n_bytes, from + (random >> 33) % n_pieces * c->n_bytes,
		       c->n_bytes);
		n++;
		ns = bench_now_ns() - start_ns;
	} while (ns < c->duration_ns);
	c->bytes_per_s = (double)n * (double)c->n_bytes * 1e9 / (double)ns;
	return NULL;
}

int main(int argc, char **argv)
{
	static struct copier copiers[THREADS_MAX];
	unsigned int cpus[THREADS_MAX];
	unsigned int n = argc == 6 ? bench_parse_cpus(argv[1], cpus, THREADS_MAX) : 0;
	unsigned long kib = n ? strtoul(argv[2], NULL, 10) : 0;
	unsigned long n_to = n ? strtoul(argv[3], NULL, 10) : 0;
	unsigned long mib = n ? strtoul(argv[4], NULL, 10) : 0;
	double seconds = n ? strtod(argv[5], NULL) : 0, sum = 0;

	if (kib == 0 || kib > KIB_MAX || n_to == 0 || n_to > PIECES_MAX || mib > MIB_MAX ||
	    mib << 10 < kib || !(seconds > 0 && seconds <= 3600)) {
		fprintf(stderr, "usage: bench-copy CPU[,CPU...] KIB PIECES MIB SECONDS\n");
		return 2;
	}
	pthread_barrier_init(&start, NULL, n);
	for (unsigned int i = 0; i < n; i++) {
		int rc;

		copiers[i].cpu = cpus[i];
		copiers[i].n_bytes = kib << 10;
		copiers[i].n_to = n_to;
		copiers[i].from_bytes = mib << 20;
		copiers[i].duration_ns = (int64_t)(seconds * 1e9);
		rc = pthread_create(&copiers[i].thread, NULL, copy, &copiers[i]);
		if (rc) {
			fprintf(stderr, "bench-copy: a thread can't be had: %s\n", strerror(rc));
			return 1;
		}
	}
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(copiers[i].thread, NULL);
		if (copiers[i].error) {
			fprintf(stderr, "bench-copy: CPU %u: %s\n", cpus[i],
				strerror(copiers[i].error));
			return 1;
		}
		sum += copiers[i].bytes_per_s;
	}
	printf("{\"bytes_per_s\": %.0f}\n", sum);
	return 0;
}
