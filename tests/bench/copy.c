/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-copy CPU[,CPU...] KIB MIB SECONDS: what a machine's memory gives when a thread on each of
 * these CPUs copies pieces of so many KiB, from anywhere in so many MiB of its own to a few pieces,
 * with memcpy(). Prints a JSON object: bytes copied a second by all of them. Nobody who serves a
 * disk in memory can be faster.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define THREADS_MAX 64
#define TO_PIECES   4
#define KIB_MAX     65536ul
#define MIB_MAX     65536ul

struct copier {
	pthread_t thread;
	int cpu;
	size_t n_bytes;    /* of a piece */
	size_t from_bytes; /* of what it copies from */
	int64_t duration_ns;
	double bytes_per_s;
};

static pthread_barrier_t start; /* all have their memory */

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

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
	uint8_t *from = memory(c->from_bytes), *to = memory(TO_PIECES * c->n_bytes);
	uint64_t random = 1, n = 0, n_pieces = c->from_bytes / c->n_bytes;
	int64_t start_ns, ns;

	pthread_barrier_wait(&start);
	start_ns = now_ns();
	do {
		random = random * 6364136223846793005u + 1442695040888963407u;
		memcpy(to + n % TO_PIECES * c->n_bytes,
		       from + (random >> 33) % n_pieces * c->n_bytes, c->n_bytes);
		n++;
		ns = now_ns() - start_ns;
	} while (ns < c->duration_ns);
	c->bytes_per_s = (double)n * (double)c->n_bytes * 1e9 / (double)ns;
	return NULL;
}

/* How many CPUs the list names; 0 when it is none. */
static unsigned int parse_cpus(const char *text, struct copier *copiers)
{
	unsigned int n = 0;
	char *end;

	do {
		long cpu = strtol(text, &end, 10);

		if (end == text || cpu < 0 || cpu >= CPU_SETSIZE || n == THREADS_MAX ||
		    (*end && *end != ','))
			return 0;
		copiers[n++].cpu = (int)cpu;
		text = end + 1;
	} while (*end);
	return n;
}

static int begin(struct copier *c)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int rc;

	CPU_ZERO(&set);
	CPU_SET((unsigned int)c->cpu, &set);
	pthread_attr_init(&attr);
	rc = pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	if (rc == 0)
		rc = pthread_create(&c->thread, &attr, copy, c);
	pthread_attr_destroy(&attr);
	return rc;
}

int main(int argc, char **argv)
{
	static struct copier copiers[THREADS_MAX];
	unsigned int n = argc == 5 ? parse_cpus(argv[1], copiers) : 0;
	unsigned long kib = n ? strtoul(argv[2], NULL, 10) : 0;
	unsigned long mib = n ? strtoul(argv[3], NULL, 10) : 0;
	double seconds = n ? strtod(argv[4], NULL) : 0, sum = 0;

	if (kib == 0 || kib > KIB_MAX || mib > MIB_MAX || mib << 10 < kib ||
	    !(seconds > 0 && seconds <= 3600)) {
		fprintf(stderr, "usage: bench-copy CPU[,CPU...] KIB MIB SECONDS\n");
		return 2;
	}
	pthread_barrier_init(&start, NULL, n);
	for (unsigned int i = 0; i < n; i++) {
		int rc;

		copiers[i].n_bytes = kib << 10;
		copiers[i].from_bytes = mib << 20;
		copiers[i].duration_ns = (int64_t)(seconds * 1e9);
		rc = begin(&copiers[i]);
		if (rc) {
			fprintf(stderr, "bench-copy: CPU %d: %s\n", copiers[i].cpu, strerror(rc));
			return 1;
		}
	}
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(copiers[i].thread, NULL);
		sum += copiers[i].bytes_per_s;
	}
	printf("{\"bytes_per_s\": %.0f}\n", sum);
	return 0;
}
