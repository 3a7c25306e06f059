/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the queue code costs for each request: one thread is the driver of a ring, and then the
 * lcore that serves it, over the null store. Only the lcore's turns are measured; each takes,
 * starts, ends and publishes a batch. Reads of 4096 bytes in the three descriptors that drivers
 * make of them.
 *
 * Instructions are counted by perf where the machine has the counter. Where it hasn't:
 *
 *   valgrind --tool=callgrind --toggle-collect=lane_turn build/tests/bench/bench-ring --ring packed
 *        --layout indirect --batch 32 --requests 32000
 */
#include <getopt.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/lane.h"
#include "engine/lcore_impl.h"
#include "vfe_mem.h"
#include "vfe_ring.h"

#define RING_SIZE  256
#define BATCH_MAX  64
#define DATA_BYTES 4096u
#define WARM_UP    1000u
#define DISK_BYTES (1ull << 30)

struct options {
	const char *ring, *layout; /* NULL: both */
	unsigned int batch;        /* 0: 1 and 32 */
	uint64_t n_requests;
};

struct bench {
	struct vfe_mem mem;
	struct vfe_ring ring;
	struct vfe_seg segs[BATCH_MAX][3];
	struct guest_mem guest;
	struct blk_disk disk;
	struct coalesce coalesce;
	struct qos qos;
	struct queue_counters counters;
	struct map_use map_use;
	struct mbox *events;
	struct store *store;
	struct turn_clock clock;
	struct lcore lcore; /* polls nothing: what turns are made of is called from here */
	struct lane *lane;
	struct queue *queue;
	bool indirect;
};

static void fail(const char *what)
{
	fprintf(stderr, "bench-ring: %s\n", what);
	exit(1);
}

/* The driver's side */

static void make_requests(struct bench *b)
{
	for (unsigned int i = 0; i < BATCH_MAX; i++) {
		struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN, .sector = 8 * i};
		uint64_t header_gpa = vfe_mem_alloc(&b->mem, sizeof(header), 64);
		uint64_t data_gpa = vfe_mem_alloc(&b->mem, DATA_BYTES, DATA_BYTES);
		uint64_t status_gpa = vfe_mem_alloc(&b->mem, 1, 64);

		if (header_gpa == VFE_NO_GPA || data_gpa == VFE_NO_GPA ||
		    status_gpa == VFE_NO_GPA ||
		    vfe_mem_write(&b->mem, header_gpa, &header, sizeof(header)))
			fail("no guest memory");
		b->segs[i][0] = (struct vfe_seg){header_gpa, sizeof(header), false};
		b->segs[i][1] = (struct vfe_seg){data_gpa, DATA_BYTES, true};
		b->segs[i][2] = (struct vfe_seg){status_gpa, 1, true};
	}
}

static void make_guest(struct bench *b, bool packed)
{
	/* As QEMU has it: low memory, and the rest behind the hole. The ring is in the second one.
	 */
	const struct vfe_region_spec regions[] = {
		{.gpa = 0x100000, .size_bytes = 4u << 20, .mmap_offset = 0},
		{.gpa = 1ull << 32, .size_bytes = 16u << 20, .mmap_offset = 0},
	};
	const struct vfe_ring_opts opts = {.size = RING_SIZE,
					   .n_indirect = 4,
					   .region = 1,
					   .event_idx = true,
					   .packed = packed};

	if (vfe_mem_init(&b->mem, regions, 2) || vfe_ring_init(&b->ring, &b->mem, &opts))
		fail("no guest memory");
	vfe_ring_interrupts(&b->ring, false);
	make_requests(b);
	b->guest.n_regions = b->mem.n_regions;
	for (unsigned int i = 0; i < b->mem.n_regions; i++) {
		const struct vfe_region *r = &b->mem.region[i];

		b->guest.regions[i] =
			(struct guest_region){r->gpa, r->user_addr, r->size_bytes, r->host};
	}
}

static void offer(struct bench *b, unsigned int batch)
{
	for (unsigned int i = 0; i < batch; i++) {
		int rc = b->indirect ? vfe_ring_add_indirect(&b->ring, b->segs[i], 3, b->segs[i])
				     : vfe_ring_add(&b->ring, b->segs[i], 3, b->segs[i]);

		if (rc < 0)
			fail("the ring is full");
	}
	vfe_ring_publish(&b->ring);
}

static void collect(struct bench *b, unsigned int batch)
{
	struct vfe_used used;

	for (unsigned int i = 0; i < batch; i++)
		if (vfe_ring_poll(&b->ring, &used) != 1 || used.n_bytes != DATA_BYTES + 1)
			fail("a request was not served in its turn");
}

/* The device's side */

static void make_lane(struct bench *b)
{
	const struct store_params params = {.kind = STORE_KIND_NULL,
					    .name = "bench",
					    .size_bytes = DISK_BYTES,
					    .block_size_bytes = 512};
	struct lane_params lane = {.lcore = &b->lcore,
				   .disk = &b->disk,
				   .coalesce = &b->coalesce,
				   .qos = &b->qos,
				   .device = 1,
				   .idle_tsc = UINT64_MAX};
	struct error err = {0};

	b->disk = (struct blk_disk){.capacity_sectors = DISK_BYTES / SECTOR_BYTES,
				    .block_size_bytes = SECTOR_BYTES,
				    .write_cache = true,
				    .n_queues = 1};
	role_enter(&role_job);
	if (mbox_new(false, &b->events, &err) || store_open(&params, &b->store, &err))
		fail(err.text);
	lane.store = b->store;
	if (lane_new(&lane, &b->lane, &err))
		fail(err.text);
	role_leave(&role_job);
	/* Whole batches: without the EAL there is no clock that would tell a slow turn. */
	b->lane->fetch_max = BATCH_MAX;
	b->lane->quick_tsc = b->lane->slow_tsc = UINT64_MAX;
}

static void make_queue(struct bench *b)
{
	const struct queue_params params = {
		.lane = b->lane,
		.events = b->events,
		.counters = &b->counters,
		.map_use = &b->map_use,
		.addr = {vfe_mem_user(&b->mem, b->ring.desc_gpa),
			 vfe_mem_user(&b->mem, b->ring.avail_gpa),
			 vfe_mem_user(&b->mem, b->ring.used_gpa)},
		.ring_size = RING_SIZE,
		.base = vfe_ring_start_base(&b->ring, 0),
		.is_packed = b->ring.opts.packed,
		.event_idx = true,
		.enabled = true,
		.call_fd = -1,
		.kick_fd = -1,
	};

	msg_init(&b->map_use.msg, EVENT_MAP_UNUSED);
	b->map_use.mem = &b->guest;
	role_enter(&role_vhost);
	b->queue = queue_new(&params);
	role_leave(&role_vhost);
	if (!b->queue)
		fail("out of memory");
	role_enter(&role_lcore);
	lane_add_queue(b->lane, b->queue);
	queue_attach(b->queue);
	role_leave(&role_lcore);
}

static void stop_queue(struct bench *b)
{
	struct queue *drained = NULL;

	role_enter(&role_lcore);
	queue_event(b->queue, QUEUE_EV_STOP);
	turn_begin(&b->clock, rte_rdtsc(), NULL);
	lane_turn(b->lane, &b->clock, &drained);
	if (drained != b->queue)
		fail("a request never ended");
	queue_drained(drained);
	role_leave(&role_lcore);
	role_enter(&role_ctrl);
	queue_free(b->queue);
	role_leave(&role_ctrl);
	role_enter(&role_job);
	lane_free(b->lane);
	store_close(b->store);
	role_leave(&role_job);
	mbox_free(b->events);
	vfe_ring_fini(&b->ring);
	vfe_mem_fini(&b->mem);
}

/* Measuring */

static int open_instructions(void)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_HW_INSTRUCTIONS,
				       .disabled = 1,
				       .exclude_kernel = 1,
				       .exclude_hv = 1};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void turn(struct bench *b) IN_LCORE
{
	struct queue *drained = NULL;

	turn_begin(&b->clock, rte_rdtsc(), NULL);
	lane_turn(b->lane, &b->clock, &drained);
}

/* What n_turns turns cost, batch requests each, or none at all: then it is the clock's own cost. */
static uint64_t time_turns(struct bench *b, uint64_t n_turns, unsigned int batch) IN_LCORE
{
	uint64_t total = 0;

	for (uint64_t i = 0; i < n_turns; i++) {
		uint64_t before;

		offer(b, batch);
		before = now_ns();
		if (batch)
			turn(b);
		total += now_ns() - before;
		collect(b, batch);
	}
	return total;
}

static uint64_t count_turns(struct bench *b, int fd, uint64_t n_turns, unsigned int batch) IN_LCORE
{
	uint64_t total = 0;

	ioctl(fd, PERF_EVENT_IOC_RESET, 0);
	for (uint64_t i = 0; i < n_turns; i++) {
		offer(b, batch);
		ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
		if (batch)
			turn(b);
		ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
		collect(b, batch);
	}
	if (read(fd, &total, sizeof(total)) != sizeof(total))
		fail("the counter can't be read");
	return total;
}

static double per_request(uint64_t total, uint64_t overhead, uint64_t n_requests)
{
	return total > overhead ? (double)(total - overhead) / (double)n_requests : 0;
}

static void run(bool packed, bool indirect, unsigned int batch, uint64_t n_requests)
{
	static struct bench b;
	uint64_t n_turns = (n_requests + batch - 1) / batch, total, overhead;
	int fd = open_instructions();
	char instructions[32] = "not supported";

	memset(&b, 0, sizeof(b));
	b.indirect = indirect;
	make_guest(&b, packed);
	make_lane(&b);
	make_queue(&b);
	role_enter(&role_lcore);
	time_turns(&b, WARM_UP / batch, batch);
	overhead = time_turns(&b, n_turns, 0);
	total = time_turns(&b, n_turns, batch);
	if (fd >= 0) {
		uint64_t none = count_turns(&b, fd, n_turns, 0);

		snprintf(instructions, sizeof(instructions), "%.1f",
			 per_request(count_turns(&b, fd, n_turns, batch), none, n_turns * batch));
		close(fd);
	}
	role_leave(&role_lcore);
	printf("%-8s%-10s%6u%14.1f%18s\n", packed ? "packed" : "split",
	       indirect ? "indirect" : "direct", batch,
	       per_request(total, overhead, n_turns * batch), instructions);
	stop_queue(&b);
}

static void usage(FILE *to)
{
	fprintf(to, "usage: bench-ring [--ring split|packed] [--layout direct|indirect]\n"
		    "                  [--batch 1..64] [--requests N]\n");
}

static bool wants(const char *wanted, const char *name)
{
	return !wanted || strcmp(wanted, name) == 0;
}

static int parse(int argc, char **argv, struct options *ret)
{
	static const struct option known[] = {
		{"ring", required_argument, NULL, 'r'},  {"layout", required_argument, NULL, 'l'},
		{"batch", required_argument, NULL, 'b'}, {"requests", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
	int c;

	*ret = (struct options){.n_requests = 1000000};
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'r')
			ret->ring = optarg;
		else if (c == 'l')
			ret->layout = optarg;
		else if (c == 'b')
			ret->batch = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 'n')
			ret->n_requests = strtoull(optarg, NULL, 10);
		else
			return c == 'h' ? 1 : -1;
	}
	return optind == argc && ret->batch <= BATCH_MAX && ret->n_requests > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	static const unsigned int batches[] = {1, 32};
	struct options o;
	int rc = parse(argc, argv, &o);

	if (rc) {
		usage(rc > 0 ? stdout : stderr);
		return rc > 0 ? 0 : 2;
	}
	printf("ring    layout     batch    ns/request  instr./request\n");
	for (int packed = 0; packed < 2; packed++)
		for (int indirect = 0; indirect < 2; indirect++)
			for (int i = 0; i < (o.batch ? 1 : 2); i++)
				if (wants(o.ring, packed ? "packed" : "split") &&
				    wants(o.layout, indirect ? "indirect" : "direct"))
					run(packed, indirect, o.batch ? o.batch : batches[i],
					    o.n_requests);
	return 0;
}
