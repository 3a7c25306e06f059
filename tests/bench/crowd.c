/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-crowd: many front ends in one process, which hold their disks and do nothing. Commands are
 * lines on standard input, each answered with one line:
 *
 *   attach SOCKET   connects and starts one virtqueue          ready MICROSECONDS, or
 *                                                              refused REASON
 *   join SOCKET     the same with the fewest messages          ready MICROSECONDS, or
 *                                                              refused REASON
 *   first N MS      N times: nothing for MS milliseconds, then one read on the last one attached
 *                                                              first MICROSECONDS...
 *   floor N MS CPU  N times: nothing for MS milliseconds, then a thread that sleeps on that CPU is
 *                   woken, and answers: the least that a     floor MICROSECONDS...
 *                   request can take there after a pause
 *   detach          stops the last one attached and hangs up   done
 *
 * The end of its input ends it. What does not work ends it, too, with the reason on standard error.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "floor.h"
#include "vfe_blk.h"

#define MEMBERS_MAX  1024
#define DATA_BYTES   4096u
#define ANSWER_NS    10000000000
#define REGION_BYTES (1u << 20)

struct crowd {
	struct vfe_blk *member[MEMBERS_MAX];
	unsigned int n;
};

static _Noreturn void die(const char *what, int rc)
{
	fprintf(stderr, "bench-crowd: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double us_since(int64_t start_ns)
{
	return (double)(now_ns() - start_ns) / 1e3;
}

static void attach(struct crowd *c, const char *path, enum vfe_order order)
{
	static const struct vfe_region_spec region = {.gpa = 0x100000, .size_bytes = REGION_BYTES};
	struct vfe_blk *blk = malloc(sizeof(*blk));
	int64_t start_ns = now_ns();
	struct vfe_blk_opts opts;
	int rc;

	if (!blk || c->n == MEMBERS_MAX)
		die(path, -ENOMEM);
	vfe_blk_opts_init(&opts, path);
	opts.order = order;
	opts.regions = &region;
	opts.n_indirect = 0;
	rc = vfe_blk_open(blk, &opts);
	if (rc) {
		vfe_blk_close(blk);
		free(blk);
		printf("refused %s\n", strerror(-rc));
		return;
	}
	vfe_ring_interrupts(&blk->ring[0], false);
	c->member[c->n++] = blk;
	printf("ready %.1f\n", us_since(start_ns));
}

static struct vfe_blk *last(const struct crowd *c)
{
	if (c->n == 0)
		die("nothing is attached", -EINVAL);
	return c->member[c->n - 1];
}

/* One read: how long it took in microseconds. */
static double read_once(struct vfe_ring *ring, const struct vfe_seg *segs)
{
	int64_t start_ns = now_ns();
	struct vfe_used used;
	int rc = vfe_ring_add(ring, segs, 3, ring);

	if (rc < 0)
		die("a request", rc);
	vfe_ring_publish(ring);
	vfe_ring_kick(ring);
	do {
		rc = vfe_ring_poll(ring, &used);
		if (rc == 0 && now_ns() - start_ns > ANSWER_NS)
			rc = -ETIMEDOUT;
	} while (rc == 0);
	if (rc < 0)
		die("a request", rc);
	return us_since(start_ns);
}

static void first(const struct crowd *c, unsigned int n, unsigned int pause_ms)
{
	struct vfe_blk *blk = last(c);
	const struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN};
	uint64_t header_gpa = vfe_mem_alloc(&blk->mem, sizeof(header), 64);
	uint64_t data_gpa = vfe_mem_alloc(&blk->mem, DATA_BYTES, DATA_BYTES);
	uint64_t status_gpa = vfe_mem_alloc(&blk->mem, 1, 64);
	const struct vfe_seg segs[] = {{header_gpa, sizeof(header), false},
				       {data_gpa, DATA_BYTES, true},
				       {status_gpa, 1, true}};

	if (status_gpa == VFE_NO_GPA || vfe_mem_write(&blk->mem, header_gpa, &header, 16))
		die("memory for a request", -ENOMEM);
	printf("first");
	for (unsigned int i = 0; i < n; i++) {
		usleep(pause_ms * 1000);
		printf(" %.1f", read_once(&blk->ring[0], segs));
	}
	printf("\n");
}

static void wake_floor(unsigned int n, unsigned int pause_ms, unsigned int cpu)
{
	struct wake_floor floor;
	int rc = wake_floor_start(&floor, cpu);

	if (rc)
		die("a thread on another CPU", rc);
	printf("floor");
	for (unsigned int i = 0; i < n; i++) {
		int64_t start_ns;

		usleep(pause_ms * 1000);
		start_ns = now_ns();
		wake_floor_ask(&floor);
		printf(" %.1f", us_since(start_ns));
	}
	printf("\n");
	wake_floor_stop(&floor);
}

static void detach(struct crowd *c)
{
	struct vfe_blk *blk = last(c);
	int rc = vfe_blk_stop(blk, NULL);

	if (rc)
		die("stop", rc);
	vfe_blk_close(blk);
	free(blk);
	c->n--;
	printf("done\n");
}

static void obey(struct crowd *c, char *line)
{
	unsigned int n, pause_ms, cpu;

	line[strcspn(line, "\n")] = '\0';
	if (strncmp(line, "attach ", 7) == 0)
		attach(c, line + 7, VFE_ORDER_QEMU);
	else if (strncmp(line, "join ", 5) == 0)
		attach(c, line + 5, VFE_ORDER_MINIMAL);
	else if (sscanf(line, "first %u %u", &n, &pause_ms) == 2)
		first(c, n, pause_ms);
	else if (sscanf(line, "floor %u %u %u", &n, &pause_ms, &cpu) == 3)
		wake_floor(n, pause_ms, cpu);
	else if (strcmp(line, "detach") == 0)
		detach(c);
	else
		die(line, -EINVAL);
	fflush(stdout);
}

int main(void)
{
	static struct crowd crowd;
	struct rlimit limit;
	char line[4096];

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	while (fgets(line, sizeof(line), stdin))
		obey(&crowd, line);
	return 0;
}
