/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues and guest memory: how many, how large, which of them are started; memory tables with
 * holes, offsets and borders, and tables that are replaced while the device runs.
 */
#include "fixture.h"

#include <errno.h>
#include <unistd.h>

#define KIB 1024u
#define MIB (1024u * KIB)

static void only_the_first_of_four_queues(void **state)
{
	struct td_disk *disk = fx_disk(&(struct td_disk_opts){.n_queues = 4});
	struct vfe_blk_opts opts;
	struct vfe_blk *blk;
	uint16_t q;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.n_queues = 4;
	opts.n_started = 1; /* as SeaBIOS */
	blk = fx_open(disk, &opts);
	fx_serves(fx_io(blk, 0, 2, 4 * KIB), 0);
	FX_OK(vfe_blk_stop(blk, NULL));

	blk->opts.n_started = 0; /* the operating system's driver takes all of them */
	for (q = 0; q < 4; q++) {
		vfe_ring_reset(&blk->ring[q], 0);
		blk->base[q] = vfe_ring_start_base(&blk->ring[q], 0);
	}
	FX_OK(vfe_blk_start(blk));
	for (q = 0; q < 4; q++)
		fx_serves(fx_io(blk, q, 2, 4 * KIB), 8 * q);
}

static void fewer_queues_than_the_device_has(void **state)
{
	struct td_disk *disk = fx_disk(&(struct td_disk_opts){.n_queues = 8});
	struct vfe_blk_opts opts;
	struct vfe_blk *blk;
	uint16_t q;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.n_queues = 3;
	blk = fx_open(disk, &opts);
	FX_ASSERT(blk->n_device_queues == 8, "GET_QUEUE_NUM %llu",
		  (unsigned long long)blk->n_device_queues);
	for (q = 0; q < 3; q++)
		fx_serves(fx_io(blk, q, 2, 4 * KIB), 8 * q);
}

static void sixty_four_queues(void **state)
{
	struct td_disk *disk = fx_disk(&(struct td_disk_opts){.n_queues = 64});
	struct vfe_blk_opts opts;
	struct vfe_io *io[64];
	struct vfe_req *req;
	struct vfe_blk *blk;
	uint16_t q;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.n_queues = 64;
	opts.n_indirect = 16;
	blk = fx_open(disk, &opts);
	for (q = 0; q < 64; q++) {
		io[q] = fx_io(blk, q, 2, 4 * KIB);
		fx_serves(io[q], 8 * q);
	}
	/* One request in every queue at the same time. */
	for (q = 0; q < 64; q++) {
		req = vfe_io_get(io[q]);
		req->n_bytes = 512;
		req->device_writes = true;
		FX_OK(vfe_io_submit(io[q], req));
		vfe_io_kick(io[q]);
	}
	for (q = 0; q < 64; q++) {
		FX_ASSERT(vfe_io_wait(io[q], &req, VFE_TIMEOUT_MS) == 1, "queue %u", q);
		FX_ASSERT(req->status == VIRTIO_BLK_S_OK, "status %u", req->status);
	}
	FX_OK(vfe_blk_stop(blk, NULL));
	FX_OK(vfe_blk_start(blk));
	for (q = 0; q < 64; q++)
		fx_serves(io[q], 8 * q);
}

/* Keep the ring as full as it gets for `n` requests of 512 bytes. */
static void run_full(struct vfe_io *io, unsigned int n)
{
	unsigned int n_sent = 0, n_done = 0;
	struct vfe_req *req;
	int rc;

	while (n_done < n) {
		while (n_sent < n && (req = vfe_io_get(io))) {
			req->sector = n_sent % 1000;
			req->n_bytes = 512;
			req->device_writes = true;
			rc = vfe_io_submit(io, req);
			if (rc == -ENOSPC) {
				vfe_io_put(io, req);
				break;
			}
			FX_ASSERT(rc == 0, "submit: %d", rc);
			n_sent++;
		}
		vfe_io_kick(io);
		rc = vfe_io_wait(io, &req, VFE_TIMEOUT_MS);
		FX_ASSERT(rc == 1, "request %u of %u: %d", n_done, n, rc);
		FX_ASSERT(req->status == VIRTIO_BLK_S_OK, "status %u", req->status);
		vfe_io_put(io, req);
		n_done++;
	}
}

static void every_ring_size(void **state)
{
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_blk_opts opts;
	static const uint16_t odd[] = {3, 5, 100, 1000, 1023}; /* a packed ring may have any size */
	unsigned int i, n_odd = fx_ring_features() ? 5 : 0;
	struct vfe_blk *blk;
	struct vfe_io *io;
	uint16_t size;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.n_indirect = 8;
	for (i = 0; i < 10 + n_odd; i++) {
		size = i < 10 ? (uint16_t)(2u << i) : odd[i - 10];
		opts.queue_size = size;
		blk = fx_open(disk, &opts);
		io = fx_io(blk, 0, size, 4 * KIB);
		io->layout.indirect = true; /* a descriptor for each request: the ring gets full */
		run_full(io, 3 * size + 1);
		fx_serves(io, 0);
		if (size >= 4) {
			io->layout.indirect = false;
			run_full(io, 3 * size + 1);
			fx_serves(io, 8);
		} else { /* two descriptors: header and data in one, the status */
			io->layout = (struct vfe_layout){.name = "two", .join_header = true};
			fx_fill(io, 8, 8, 99);
			io->layout = (struct vfe_layout){.name = "two", .join_status = true};
			fx_expect(io, 8, 8, 99);
		}
		vfe_blk_hang_up(blk);
	}
}

static void ring_indices_wrap_around(void **state)
{
	struct vfe_blk_opts opts;
	struct vfe_io *io;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.queue_size = 64;
	io = fx_io(fx_open(fx_disk(NULL), &opts), 0, 64, 4 * KIB);
	io->layout.indirect = true;
	run_full(io, 70000);
	FX_ASSERT(io->ring->used_idx == (uint16_t)70000, "used index %u", io->ring->used_idx);
	fx_serves(io, 0);
}

/* Holes between some regions, borders between others, files that start before their region. */
static const struct vfe_region_spec eight_regions[] = {
	{.gpa = 0x0, .size_bytes = 4 * MIB, .mmap_offset = 0x1000},
	{.gpa = 0x400000, .size_bytes = 4 * MIB, .mmap_offset = 0},
	{.gpa = 0x1000000, .size_bytes = 4 * MIB, .mmap_offset = 0x200000},
	{.gpa = 0x40000000, .size_bytes = 4 * MIB, .mmap_offset = 0x3000},
	{.gpa = 0x40400000, .size_bytes = 8 * MIB, .mmap_offset = 0x7000},
	{.gpa = 0x100000000, .size_bytes = 4 * MIB, .mmap_offset = 0},
	{.gpa = 0x7f0000000000, .size_bytes = 4 * MIB, .mmap_offset = 0x10000},
	{.gpa = 0x7f0000400000, .size_bytes = 4 * MIB, .mmap_offset = 0x11000},
};

static void eight_regions_with_holes_and_offsets(void **state)
{
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_blk_opts opts;
	struct vfe_req *req;
	struct vfe_blk *blk;
	struct vfe_io *io;
	unsigned int i;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.regions = eight_regions;
	opts.n_regions = 8;
	for (opts.ring_region = 0; opts.ring_region < 8; opts.ring_region++) {
		blk = fx_open(disk, &opts);
		io = fx_io(blk, 0, 2, 64 * KIB);
		fx_serves(io, 0);
		fx_fill(io, 0, 128, opts.ring_region + 1);
		for (i = 0; i < 8; i++) { /* a read into each region */
			uint8_t buf[64 * KIB];

			req = vfe_io_get(io);
			req->data_gpa = vfe_mem_alloc_in(&blk->mem, i, 64 * KIB, 512);
			req->n_bytes = 64 * KIB;
			req->device_writes = true;
			FX_STATUS(vfe_io_run(io, req), VIRTIO_BLK_S_OK);
			FX_OK(vfe_mem_read(&blk->mem, req->data_gpa, buf, sizeof(buf)));
			vfe_io_put(io, req);
			FX_ASSERT(vfe_pattern_check(buf, 0, 128, opts.ring_region + 1) < 0,
				  "region %u: %s", i, vfe_pattern_describe(buf));
		}
		vfe_blk_hang_up(blk);
	}
}

static void the_memory_table_may_be_sent_again(void **state)
{
	struct vfe_io *io = fx_io(fx_open(fx_disk(NULL), NULL), 0, 8, 64 * KIB);
	struct vfe_mem split;
	unsigned int i;

	(void)state;
	FX_OK(vfe_mem_split(&split, &io->blk->mem));
	for (i = 0; i < 50; i++) {
		FX_OK(vfe_blk_set_mem_table(io->blk, i % 2 ? &split : &io->blk->mem));
		fx_serves(io, 8 * i);
	}
	vfe_mem_fini(&split);
}

/* Writes of 64 KiB in flight while the table changes under them. */
static void the_memory_table_changes_under_load(void **state)
{
	struct vfe_io *io = fx_io(fx_open(fx_disk(NULL), NULL), 0, 32, 64 * KIB);
	uint8_t *buf = fx_buf(64 * KIB);
	struct vfe_mem split;
	struct vfe_req *req;
	unsigned int i, k;

	(void)state;
	FX_OK(vfe_mem_split(&split, &io->blk->mem));
	for (i = 0; i < 100; i++) {
		for (k = 0; k < 32; k++) {
			req = vfe_io_get(io);
			req->type = VIRTIO_BLK_T_OUT;
			req->sector = 128 * k;
			req->n_bytes = 64 * KIB;
			vfe_pattern_fill(buf, req->sector, 128, i + 1);
			FX_OK(vfe_mem_write(&io->blk->mem, req->data_gpa, buf, 64 * KIB));
			FX_OK(vfe_io_submit(io, req));
		}
		vfe_io_kick(io);
		FX_OK(vfe_blk_set_mem_table(io->blk, i % 2 ? &io->blk->mem : &split));
		while (io->n_in_flight > 0) {
			FX_ASSERT(vfe_io_wait(io, &req, VFE_TIMEOUT_MS) == 1, "a request is lost");
			FX_ASSERT(req->status == VIRTIO_BLK_S_OK, "status %u", req->status);
			vfe_io_put(io, req);
		}
		for (k = 0; k < 32; k += 5)
			fx_expect(io, 128 * k, 128, i + 1);
	}
	vfe_mem_fini(&split);
}

#define UNMAPS                                                                                     \
	"qemu-storage-daemon 7.2 unmaps the old table under requests in flight, which then fail"

static const struct fx_case cases[] = {
	FX_CASE(only_the_first_of_four_queues),
	FX_CASE(fewer_queues_than_the_device_has),
	FX_CASE(sixty_four_queues),
	FX_CASE(every_ring_size),
	FX_CASE(ring_indices_wrap_around),
	FX_CASE(eight_regions_with_holes_and_offsets),
	FX_CASE(the_memory_table_may_be_sent_again),
	FX_CASE_ON(the_memory_table_changes_under_load, FX_VHOSTD, UNMAPS),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "queue", cases, sizeof(cases) / sizeof(cases[0]));
}
