/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile front ends again (see test_hostile.c): memory tables, ring addresses and descriptors of
 * files that are not what they should be. A pipe that is full or empty must not stop the thread
 * that serves everybody; memory that isn't there must not kill the daemon.
 */
#include "hostile.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "td_rpc.h"

#define KIB 1024u
#define MIB (1024u * KIB)

/* A memory table message from the attacker's proper one, to be spoilt. */
static void proper_table(const struct attack *a, struct vfe_msg *msg, struct vfe_fds *fds)
{
	const struct vfe_region *r = &a->blk->mem.region[0];

	*msg = (struct vfe_msg){.request = VFE_SET_MEM_TABLE,
				.flags = VFE_MSG_VERSION,
				.size_bytes = 8 + sizeof(msg->memory.region[0])};
	msg->memory.n_regions = 1;
	msg->memory.region[0] = (struct vfe_msg_region){.gpa = r->gpa,
							.size_bytes = r->size_bytes,
							.user_addr = r->user_addr,
							.mmap_offset = r->mmap_offset};
	*fds = (struct vfe_fds){.fd = {r->fd}, .n = 1};
}

/* Everything that follows a memory table in a start, whether the table was taken or not. */
static void go_on_starting(struct attack *a)
{
	struct vhost_vring_addr addr;

	vfe_blk_ring_addr(a->blk, 0, &addr);
	attack_send_vring(a, VFE_SET_VRING_NUM, 0, 128);
	attack_send_vring(a, VFE_SET_VRING_BASE, 0, 0);
	vfe_conn_set_vring_addr(&a->blk->conn, &addr);
	attack_send_u64(a, VFE_SET_VRING_CALL, 0, a->blk->ring[0].call_fd);
	attack_send_u64(a, VFE_SET_VRING_KICK, 0, a->blk->ring[0].kick_fd);
	attack_send_vring(a, VFE_SET_VRING_ENABLE, 0, 1);
	vfe_ring_kick_always(&a->blk->ring[0]);
	usleep(5000);
	attack_bystander(a);
}

static void set_features(struct attack *a)
{
	vfe_conn_set_u64(&a->blk->conn, VFE_SET_FEATURES, a->blk->device_features);
}

static void regions_that_overflow(void **state)
{
	static const struct vfe_msg_region bad[] = {
		{.gpa = UINT64_MAX - 4095, .size_bytes = 8192, .user_addr = 0x10000},
		{.gpa = 0x100000, .size_bytes = 8192, .user_addr = UINT64_MAX - 4095},
		{.gpa = 0x100000, .size_bytes = UINT64_MAX, .user_addr = 0x10000},
		{.gpa = 0x100000, .size_bytes = UINT64_MAX - 4095, .mmap_offset = 4096},
		{.gpa = 0x100000, .size_bytes = 0, .user_addr = 0x10000},
		{.gpa = 0x100000, .size_bytes = 1ull << 62, .user_addr = 0x10000},
		{.gpa = 0x100000, .size_bytes = 8192, .mmap_offset = UINT64_MAX - 4095},
		{.gpa = 0x100000, .size_bytes = 8192, .mmap_offset = 1ull << 40},
		{.gpa = 0x100001, .size_bytes = 8191, .user_addr = 0x10003, .mmap_offset = 1},
	};
	struct vfe_msg msg;
	struct vfe_fds fds;
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		attack_prepare(&a);
		proper_table(&a, &msg, &fds);
		msg.memory.region[0] = bad[i];
		set_features(&a);
		attack_send(&a, &msg, &fds);
		go_on_starting(&a);
	}
	attack_finish(&a);
}

/* Regions on a file that is shorter: the ring, or the data, is where there is no file. */
static void memory_larger_than_its_file(void **state)
{
	struct vfe_msg msg;
	struct vfe_fds fds;
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	for (i = 0; i < 4; i++) {
		attack_prepare(&a);
		proper_table(&a, &msg, &fds);
		fds.fd[0] = memfd_create("short", MFD_CLOEXEC);
		FX_ASSERT(fds.fd[0] >= 0 && ftruncate(fds.fd[0], i * 4096) == 0, "memfd");
		set_features(&a);
		attack_send(&a, &msg, &fds);
		go_on_starting(&a);
		close(fds.fd[0]);
	}
	attack_finish(&a);
}

/* The file is long enough when it is mapped, and is cut while the ring is in use. */
static void memory_that_is_taken_away(void **state)
{
	struct vfe_req *req;
	struct vfe_io *io;
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	for (i = 0; i < 3; i++) {
		attack_start(&a);
		io = fx_io(a.blk, 0, 2, 64 * KIB);
		fx_serves(io, 0);
		req = vfe_io_get(io);
		req->n_bytes = 64 * KIB;
		req->device_writes = true;
		FX_OK(vfe_io_submit(io, req));
		vfe_ring_publish(io->ring);
		FX_ASSERT(ftruncate(a.blk->mem.region[0].fd, i == 0 ? 0 : 16 * KIB * i) == 0,
			  "ftruncate");
		vfe_ring_kick_always(io->ring);
		usleep(20000);
		attack_bystander(&a);
		vfe_blk_hang_up(a.blk);
		/* Put the pages back: the ring's owner looks at them when it cleans up. */
		FX_ASSERT(ftruncate(a.blk->mem.region[0].fd, 64 * MIB) == 0, "ftruncate");
	}
	attack_finish(&a);
}

static void too_many_regions_and_too_few_files(void **state)
{
	static const struct {
		uint32_t n_regions, n_fds, n_sent;
	} bad[] = {{9, 8, 9}, {9, 1, 9},          {0, 0, 0},         {0, 1, 0},
		   {1, 0, 1}, {1, 4, 1},          {4, 1, 4},         {8, 7, 8},
		   {8, 8, 1}, {0xffffffff, 1, 1}, {0x80000001, 1, 1}};
	struct vfe_msg msg;
	struct vfe_fds fds;
	struct attack a;
	unsigned int i, k;

	(void)state;
	attack_init(&a);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		attack_prepare(&a);
		proper_table(&a, &msg, &fds);
		for (k = 1; k < 9; k++) {
			msg.memory.region[k] = msg.memory.region[0];
			msg.memory.region[k].gpa += k * 0x10000000ull;
			msg.memory.region[k].user_addr += k * 0x10000000ull;
			fds.fd[k] = fds.fd[0];
		}
		msg.memory.n_regions = bad[i].n_regions;
		msg.size_bytes = 8 + bad[i].n_sent * (uint32_t)sizeof(msg.memory.region[0]);
		fds.n = bad[i].n_fds;
		set_features(&a);
		attack_send(&a, &msg, &fds);
		go_on_starting(&a);
	}
	attack_finish(&a);
}

static void regions_that_overlap(void **state)
{
	struct vfe_msg msg;
	struct vfe_fds fds;
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	for (i = 0; i < 3; i++) {
		attack_prepare(&a);
		proper_table(&a, &msg, &fds);
		msg.memory.region[1] = msg.memory.region[0];
		msg.memory.region[1].gpa += i * 0x1000;
		fds.fd[1] = fds.fd[0];
		fds.n = msg.memory.n_regions = 2;
		msg.size_bytes += (uint32_t)sizeof(msg.memory.region[0]);
		set_features(&a);
		attack_send(&a, &msg, &fds);
		go_on_starting(&a);
	}
	attack_finish(&a);
}

static void memory_on_things_that_are_no_memory(void **state)
{
	struct vfe_msg msg;
	struct vfe_fds fds;
	struct attack a;
	unsigned int i;
	int fd[4], pipe_fd[2];

	(void)state;
	attack_init(&a);
	FX_ASSERT(pipe(pipe_fd) == 0, "pipe");
	fd[0] = open("/dev/null", O_RDWR);
	fd[1] = open("/proc/self/maps", O_RDONLY);
	fd[2] = pipe_fd[0];
	fd[3] = open("/", O_RDONLY);
	for (i = 0; i < 4; i++) {
		attack_prepare(&a);
		proper_table(&a, &msg, &fds);
		fds.fd[0] = fd[i];
		set_features(&a);
		attack_send(&a, &msg, &fds);
		go_on_starting(&a);
		close(fd[i]);
	}
	close(pipe_fd[1]);
	attack_finish(&a);
}

static void ring_addresses_that_are_none(void **state)
{
	const uint64_t end = 0x00005a0000000000ull + 64 * MIB; /* of the only region */
	const uint64_t bad[] = {0,         1,          end,        end - 1, end - 16,
				end - 512, UINT64_MAX, 1ull << 63, 0x100000 /* a guest address */};
	struct attack a;
	unsigned int i, which;

	(void)state;
	attack_init(&a);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]) * 3; i++) {
		struct vhost_vring_addr addr;

		attack_prepare(&a);
		vfe_blk_ring_addr(a.blk, 0, &addr);
		FX_ASSERT(addr.desc_user_addr < end, "this test knows where memory is");
		which = i % 3;
		if (which == 0)
			addr.desc_user_addr = bad[i / 3];
		else if (which == 1)
			addr.avail_user_addr = bad[i / 3];
		else
			addr.used_user_addr = bad[i / 3];
		set_features(&a);
		vfe_conn_set_mem_table(&a.blk->conn, &a.blk->mem);
		attack_send_vring(&a, VFE_SET_VRING_NUM, 0, 128);
		vfe_conn_set_vring_addr(&a.blk->conn, &addr);
		attack_send_u64(&a, VFE_SET_VRING_KICK, 0, a.blk->ring[0].kick_fd);
		attack_send_vring(&a, VFE_SET_VRING_ENABLE, 0, 1);
		vfe_ring_kick_always(&a.blk->ring[0]);
		usleep(5000);
		attack_bystander(&a);
	}
	attack_finish(&a);
}

static void ring_addresses_out_of_alignment(void **state)
{
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	for (i = 1; i < 16; i += 2) {
		struct vhost_vring_addr addr;

		attack_prepare(&a);
		vfe_blk_ring_addr(a.blk, 0, &addr);
		addr.desc_user_addr += i;
		addr.avail_user_addr += i;
		addr.used_user_addr += i;
		set_features(&a);
		vfe_conn_set_mem_table(&a.blk->conn, &a.blk->mem);
		attack_send_vring(&a, VFE_SET_VRING_NUM, 0, 128);
		vfe_conn_set_vring_addr(&a.blk->conn, &addr);
		attack_send_u64(&a, VFE_SET_VRING_KICK, 0, a.blk->ring[0].kick_fd);
		attack_send_vring(&a, VFE_SET_VRING_ENABLE, 0, 1);
		vfe_ring_kick_always(&a.blk->ring[0]);
		usleep(5000);
		attack_bystander(&a);
	}
	attack_finish(&a);
}

/* Hang up at each step of a start, with requests in flight at the last. */
static void hanging_up_at_every_step(void **state)
{
	struct attack a;
	unsigned int step;

	(void)state;
	attack_init(&a);
	for (step = 0; step < 24; step++) {
		attack_prepare(&a);
		if (step % 6 > 0)
			set_features(&a);
		if (step % 6 > 1)
			vfe_conn_set_mem_table(&a.blk->conn, &a.blk->mem);
		if (step % 6 == 3)
			vfe_blk_setup_queue(a.blk, 0);
		if (step % 6 == 4)
			go_on_starting(&a);
		if (step % 6 == 5) {
			struct vfe_io *io;
			struct vfe_req *req;

			FX_OK(vfe_blk_start(a.blk));
			io = fx_io(a.blk, 0, 16, 4 * KIB);
			while ((req = vfe_io_get(io))) {
				req->n_bytes = 4 * KIB;
				req->device_writes = true;
				FX_OK(vfe_io_submit(io, req));
			}
			vfe_io_kick(io);
		}
		vfe_blk_hang_up(a.blk);
		attack_bystander(&a);
	}
	attack_finish(&a);
}

/* Requests of which each has many pieces, on every other page of a memory of its own. */
#define N_SCATTERED 900u
#define N_PIECES    128u
#define N_LARGE     24u /* before them, to keep the store busy */
#define PIECE_STEP  8192u
#define DATA_GPA    (1ull << 32)
#define QUIET_MS    300

struct scattered {
	struct vfe_blk *blk;
	uint64_t header_gpa, status_gpa;
};

static void add_read(struct scattered *s, uint64_t gpa, uint32_t n_pieces, uint32_t n_bytes)
{
	struct vfe_seg segs[N_PIECES + 2] = {{s->header_gpa, 16, false}};

	for (uint32_t i = 0; i < n_pieces; i++)
		segs[i + 1] = (struct vfe_seg){gpa + (uint64_t)i * PIECE_STEP, n_bytes, true};
	segs[n_pieces + 1] = (struct vfe_seg){s->status_gpa, 1, true};
	FX_ASSERT(vfe_ring_add_indirect(&s->blk->ring[0], segs, (uint16_t)(n_pieces + 2), s) >= 0,
		  "no room in the ring");
}

static void open_scattered(struct scattered *s, const struct td_disk *disk)
{
	static const struct vfe_region_spec regions[] = {
		{.gpa = 0x100000, .size_bytes = 64 * MIB, .prealloc = true},
		{.gpa = DATA_GPA, .size_bytes = (uint64_t)N_SCATTERED * N_PIECES * PIECE_STEP},
	};
	const struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN};
	struct vfe_blk_opts opts;

	vfe_blk_opts_init(&opts, NULL);
	opts.regions = regions;
	opts.n_regions = 2;
	opts.queue_size = 1024;
	opts.n_indirect = N_PIECES + 2;
	s->blk = fx_open(disk, &opts);
	s->header_gpa = vfe_mem_alloc_in(&s->blk->mem, 0, 16, 64);
	s->status_gpa = vfe_mem_alloc_in(&s->blk->mem, 0, 1, 64);
	FX_OK(vfe_mem_write(&s->blk->mem, s->header_gpa, &header, sizeof(header)));
}

static unsigned int n_mappings(void)
{
	char path[64];
	unsigned int n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)fx_backend()->td.pid);
	file = fopen(path, "re");
	FX_ASSERT(file, "%s: %m", path);
	for (int c = getc(file); c != EOF; c = getc(file))
		n += c == '\n';
	fclose(file);
	return n;
}

static uint64_t n_io_errors(const struct td_disk *disk)
{
	struct json_object *result, *value;
	char params[64];
	uint64_t n;

	snprintf(params, sizeof(params), "{\"name\":\"%s\"}", disk->name);
	FX_OK(td_rpc(&fx_backend()->td, "device.show", params, &result));
	FX_ASSERT(json_object_object_get_ex(result, "queues", &value), "no queues");
	value = json_object_array_get_idx(value, 0);
	FX_ASSERT(json_object_object_get_ex(value, "counters", &value) &&
			  json_object_object_get_ex(value, "io_errors", &value),
		  "no io_errors");
	n = json_object_get_uint64(value);
	json_object_put(result);
	return n;
}

/* Their memory is cut away while they are in flight. They end, most of them with an error if it was
 * in time. */
static bool cut_memory(useconds_t after_us)
{
	struct td_disk *disk = fx_disk(NULL);
	struct scattered s;
	struct vfe_used used;
	unsigned int n_ended = 0, n;
	int64_t last_ms;
	uint64_t n_errors;

	open_scattered(&s, disk);
	for (unsigned int i = 0; i < N_LARGE; i++)
		add_read(&s, 0x100000 + 32 * MIB, 1, MIB);
	for (unsigned int i = 0; i < N_SCATTERED; i++)
		add_read(&s, DATA_GPA + (uint64_t)i * N_PIECES * PIECE_STEP, N_PIECES, 512);
	vfe_ring_publish(&s.blk->ring[0]);
	vfe_ring_kick_always(&s.blk->ring[0]);
	usleep(after_us);
	FX_ASSERT(ftruncate(s.blk->mem.region[1].fd, 0) == 0, "ftruncate: %m");
	/* What the daemon has not taken by then never ends. */
	for (last_ms = vfe_now_ms(); vfe_now_ms() < last_ms + QUIET_MS;) {
		if (vfe_ring_poll(&s.blk->ring[0], &used) != 1)
			continue;
		n_ended++;
		last_ms = vfe_now_ms();
	}
	n = n_mappings();
	n_errors = n_io_errors(disk);
	print_message("# cut after %u us: %u ended, %llu errors, %u mappings\n", after_us, n_ended,
		      (unsigned long long)n_errors, n);
	FX_ASSERT(n < 30000, "%u mappings", n);
	vfe_blk_hang_up(s.blk);
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
	return n_errors > N_SCATTERED / 4;
}

static void memory_that_goes_under_scattered_requests(void **state)
{
	struct attack a;
	bool hit = false;

	(void)state;
	attack_init(&a);
	for (useconds_t us = 100; us < 3000 && !hit; us += 100) {
		hit = cut_memory(us);
		attack_bystander(&a);
	}
	FX_ASSERT(hit, "it was never cut in time");
	a.log_lines = fx_backend_log_lines(); /* of all those disks */
	attack_finish(&a);
}

#define DIES_SIGBUS "qemu-storage-daemon 7.2 dies of it (SIGBUS)"
#define UNCHECKED   "qemu-storage-daemon 7.2 trusts the number of regions and dies of it (SIGSEGV)"

static const struct fx_case cases[] = {
	FX_CASE(regions_that_overflow),
	FX_CASE_ON(memory_larger_than_its_file, FX_VHOSTD, DIES_SIGBUS),
	FX_CASE_ON(memory_that_is_taken_away, FX_VHOSTD, DIES_SIGBUS),
	FX_CASE_ON(memory_that_goes_under_scattered_requests, FX_VHOSTD, DIES_SIGBUS),
	FX_CASE_ON(too_many_regions_and_too_few_files, FX_VHOSTD, UNCHECKED),
	FX_CASE(regions_that_overlap),
	FX_CASE(memory_on_things_that_are_no_memory),
	FX_CASE(ring_addresses_that_are_none),
	FX_CASE(ring_addresses_out_of_alignment),
	FX_CASE(hanging_up_at_every_step),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "hostile_mem", cases, sizeof(cases) / sizeof(cases[0]));
}
