/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest sees of single requests: every type, every way to cut one into descriptors, limits
 * and refusals. Runs on vhostd's stores and on qemu-storage-daemon; cases that the latter can't
 * serve say why at the end of this file.
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define KIB 1024u
#define MIB (1024u * KIB)

#define LAYOUT(...)                                                                                \
	{                                                                                          \
		.name = #__VA_ARGS__, __VA_ARGS__                                                  \
	}

static const struct vfe_layout layouts[] = {
	{.name = "plain"},
	LAYOUT(.header_cut = 1),
	LAYOUT(.header_cut = 4),
	LAYOUT(.header_cut = 8),
	LAYOUT(.header_cut = 15),
	LAYOUT(.header_bytes = true),
	LAYOUT(.join_header = true),
	LAYOUT(.join_status = true),
	LAYOUT(.join_header = true, .join_status = true),
	LAYOUT(.header_cut = 7, .join_header = true, .join_status = true),
	LAYOUT(.seg_bytes = 512),
	LAYOUT(.first_bytes = 1, .seg_bytes = 700),
	LAYOUT(.first_bytes = 511, .seg_bytes = 4096, .join_header = true, .join_status = true),
	LAYOUT(.header_bytes = true, .seg_bytes = 100, .join_status = true),
};

#define N_LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

/* Bytes around a request's data that the device has no business with. */
static void set_guards(struct vfe_io *io, const struct vfe_req *req)
{
	FX_OK(vfe_mem_fill(&io->blk->mem, req->data_gpa - 64, 0x5a, 48));
	FX_OK(vfe_mem_fill(&io->blk->mem, req->data_gpa + req->n_bytes + 1, 0x5a, 64));
	FX_OK(vfe_mem_fill(&io->blk->mem, req->base_gpa + 16, 0x5a, 48));
	FX_OK(vfe_mem_fill(&io->blk->mem, req->base_gpa + 65, 0x5a, 48));
}

static void check_guard(struct vfe_io *io, uint64_t gpa, uint32_t n_bytes)
{
	uint8_t bytes[64];
	uint32_t i;

	FX_OK(vfe_mem_read(&io->blk->mem, gpa, bytes, n_bytes));
	for (i = 0; i < n_bytes; i++)
		FX_ASSERT(bytes[i] == 0x5a, "the device wrote outside of its buffers");
}

static void check_guards(struct vfe_io *io, const struct vfe_req *req)
{
	check_guard(io, req->data_gpa - 64, 48);
	check_guard(io, req->data_gpa + req->n_bytes + 1, 64);
	check_guard(io, req->base_gpa + 16, 48);
	check_guard(io, req->base_gpa + 65, 48);
}

static struct vfe_req *data_req(struct vfe_io *io, uint32_t type, uint64_t sector, uint32_t n_bytes)
{
	struct vfe_req *req = vfe_io_get(io);

	FX_ASSERT(req, "no request is free");
	req->type = type;
	req->sector = sector;
	req->n_bytes = n_bytes;
	req->device_writes = type == VIRTIO_BLK_T_IN;
	return req;
}

/* Write and read back `n_bytes` through requests at `data_gpa` (VFE_NO_GPA: their own place). */
static void round_trip(struct vfe_io *io, uint64_t sector, uint32_t n_bytes, uint64_t generation,
		       uint64_t data_gpa, const struct vfe_layout *layout)
{
	uint8_t *buf = fx_buf(n_bytes);
	struct vfe_req *req;
	int pass;

	vfe_pattern_fill(buf, sector, n_bytes / 512, generation);
	for (pass = 0; pass < 2; pass++) {
		req = data_req(io, pass ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, sector, n_bytes);
		req->layout = *layout;
		if (data_gpa != VFE_NO_GPA)
			req->data_gpa = data_gpa;
		set_guards(io, req);
		if (pass == 0)
			FX_OK(vfe_mem_write(&io->blk->mem, req->data_gpa, buf, n_bytes));
		else
			FX_OK(vfe_mem_fill(&io->blk->mem, req->data_gpa, 0, n_bytes));
		FX_STATUS(vfe_io_run(io, req), VIRTIO_BLK_S_OK);
		FX_ASSERT(req->used_bytes == vfe_req_used_expected(req), "used length %u, not %u",
			  req->used_bytes, vfe_req_used_expected(req));
		check_guards(io, req);
		vfe_io_put(io, req);
	}
	memset(buf, 0, n_bytes);
	FX_OK(vfe_mem_read(&io->blk->mem, req->data_gpa, buf, n_bytes));
	FX_ASSERT(vfe_pattern_check(buf, sector, n_bytes / 512, generation) < 0,
		  "%s: read back: %s", layout->name, vfe_pattern_describe(buf));
}

static void every_layout_direct_and_indirect(void **state)
{
	struct vfe_io *io = fx_simple(64 * KIB);
	struct vfe_layout layout;
	unsigned int i, indirect;

	(void)state;
	for (indirect = 0; indirect < 2; indirect++) {
		for (i = 0; i < N_LAYOUTS; i++) {
			layout = layouts[i];
			layout.indirect = indirect;
			round_trip(io, 1000 + i * 100, 8 * KIB, 100 + i + indirect * 50, VFE_NO_GPA,
				   &layout);
		}
	}
}

static void headers_cut_at_every_byte(void **state)
{
	struct vfe_io *io = fx_simple(4 * KIB);
	struct vfe_layout layout = {.name = "cut"};

	(void)state;
	for (layout.header_cut = 1; layout.header_cut < 16; layout.header_cut++)
		round_trip(io, layout.header_cut, 512, layout.header_cut, VFE_NO_GPA, &layout);
}

static void data_in_single_bytes(void **state)
{
	struct vfe_blk_opts opts;
	struct vfe_io *io;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.queue_size = 1024;
	io = fx_io(fx_open(fx_disk(NULL), &opts), 0, 2, 4 * KIB);
	round_trip(io, 77, 512, 3, VFE_NO_GPA,
		   &(struct vfe_layout){.name = "bytes", .header_bytes = true, .seg_bytes = 1});
}

/* One request of so many bytes in each of these layouts. */
static void large_requests(uint32_t n_bytes, const struct vfe_layout *cuts, unsigned int n_cuts)
{
	struct vfe_blk_opts opts;
	struct vfe_io *io;
	unsigned int i;

	vfe_blk_opts_init(&opts, NULL);
	opts.queue_size = 512;
	opts.n_indirect = 512;
	io = fx_io(fx_open(fx_disk(NULL), &opts), 0, 2, n_bytes);
	for (i = 0; i < n_cuts; i++)
		round_trip(io, n_bytes / 512 * i + 8, n_bytes, 5 + i, VFE_NO_GPA, &cuts[i]);
}

static void one_mebibyte_in_one_request(void **state)
{
	static const struct vfe_layout cuts[] = {
		{.name = "one descriptor"},
		{.name = "8 KiB", .seg_bytes = 8 * KIB, .indirect = true},
		{.name = "pages off by 100", .first_bytes = 100, .seg_bytes = 16 * KIB},
	};

	(void)state;
	large_requests(MIB, cuts, sizeof(cuts) / sizeof(cuts[0]));
}

/* What the kernel is given in several steps, cut within a piece and between pieces. */
static void eight_mebibytes_in_one_request(void **state)
{
	static const struct vfe_layout cuts[] = {
		{.name = "one descriptor"},
		{.name = "24 KiB", .seg_bytes = 24 * KIB, .indirect = true},
		{.name = "sectors, then 60 KiB", .first_bytes = 512, .seg_bytes = 60 * KIB},
		{.name = "off by 100", .first_bytes = 100, .seg_bytes = 128 * KIB},
	};

	(void)state;
	large_requests(8 * MIB, cuts, sizeof(cuts) / sizeof(cuts[0]));
}

static void as_many_segments_as_seg_max(void **state)
{
	struct virtio_blk_config config;
	struct vfe_layout layout = {.name = "seg_max", .seg_bytes = 512};
	struct vfe_blk_opts opts;
	struct vfe_io *io;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.queue_size = 512;
	io = fx_io(fx_open(fx_disk(NULL), &opts), 0, 2, 256 * KIB);
	FX_OK(vfe_blk_get_config(io->blk, &config, 57));
	FX_ASSERT(vfe_blk_has(io->blk, VIRTIO_BLK_F_SEG_MAX), "no SEG_MAX feature");
	FX_ASSERT(config.seg_max >= 1 && config.seg_max <= 128, "seg_max %u", config.seg_max);
	round_trip(io, 0, config.seg_max * 512, 9, VFE_NO_GPA, &layout);
	layout.indirect = true;
	round_trip(io, 2000, config.seg_max * 512, 10, VFE_NO_GPA, &layout);
}

static void guest_buffers_at_any_address(void **state)
{
	static const uint32_t offsets[] = {1, 2, 3, 16, 511, 512, 513, 4095};
	struct vfe_blk *blk = fx_open(fx_disk(NULL), NULL);
	struct vfe_layout odd = {.name = "odd", .first_bytes = 13, .seg_bytes = 1001};
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		struct vfe_io *io = fx_io_opts(blk, 0,
					       &(struct vfe_io_opts){.n_reqs = 2,
								     .max_bytes = 128 * KIB,
								     .data_offset = offsets[i]});

		round_trip(io, 10 + i, 512, 20 + i, VFE_NO_GPA, &layouts[0]);
		round_trip(io, 300 * i, 128 * KIB, 40 + i, VFE_NO_GPA, &layouts[0]);
		round_trip(io, 301 * i, 16 * KIB, 60 + i, VFE_NO_GPA, &odd);
	}
}

/* Two memfds that touch in guest-physical space, the second with an offset in its file. */
static const struct vfe_region_spec touching_regions[] = {
	{.gpa = 0x100000, .size_bytes = 16 * MIB, .mmap_offset = 0},
	{.gpa = 0x1100000, .size_bytes = 16 * MIB, .mmap_offset = 0x5000},
};

static void buffers_across_memory_regions(void **state)
{
	static const uint64_t before[] = {1, 16, 511, 512, 4096, 5000, 64 * KIB - 1};
	struct vfe_blk_opts opts;
	struct vfe_io *io;
	uint64_t gpa;
	unsigned int i, k;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.regions = touching_regions;
	opts.n_regions = 2;
	io = fx_io(fx_open(fx_disk(NULL), &opts), 0, 2, 64 * KIB);
	for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		gpa = vfe_mem_straddle(&io->blk->mem, 0, before[i]);
		for (k = 0; k < N_LAYOUTS; k++)
			round_trip(io, 50 * k, 8 * KIB, 100 * i + k + 1, gpa, &layouts[k]);
		round_trip(io, 9000, 64 * KIB, 1000 + i, gpa, &layouts[0]);
	}
	gpa = vfe_mem_straddle(&io->blk->mem, 0, 512 * KIB);
	round_trip(io, 20000, MIB, 7, gpa, &layouts[0]);

	/* A header that lies across the border. */
	gpa = vfe_mem_straddle(&io->blk->mem, 0, 5);
	round_trip(io, 30000, 4 * KIB, 8, gpa + VFE_HEADER_BYTES,
		   &(struct vfe_layout){.name = "header", .join_header = true});
}

static void requests_past_the_end_are_refused(void **state)
{
	struct vfe_io *io = fx_simple(64 * KIB);
	const uint64_t end = (64 * MIB) / 512;
	const uint64_t bad[] = {end,
				end + 1,
				end - 7,
				UINT64_MAX,
				UINT64_MAX - 7,
				UINT64_MAX - 8,
				1ull << 63,
				(1ull << 63) - 1,
				(1ull << 55),
				(1ull << 55) - 1,
				UINT64_MAX / 512,
				UINT64_MAX / 512 + 1,
				1ull << 54,
				(1ull << 55) + (end - 16),
				INT64_MAX / 512};
	uint8_t buf[4096];
	unsigned int i;

	(void)state;
	fx_fill(io, end - 8, 8, 1);
	fx_fill(io, 0, 8, 2);
	memset(buf, 0x77, sizeof(buf));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		FX_STATUS(vfe_read(io, bad[i], buf, sizeof(buf)), VIRTIO_BLK_S_IOERR);
		FX_ASSERT(io->last_used_bytes <= sizeof(buf) + 1, "used %u", io->last_used_bytes);
		memset(buf, 0x77, sizeof(buf));
		FX_STATUS(vfe_write(io, bad[i], buf, sizeof(buf)), VIRTIO_BLK_S_IOERR);
	}
	/* Nothing of it was done, and the last sectors are still in reach. */
	fx_expect(io, end - 8, 8, 1);
	fx_expect(io, 0, 8, 2);
}

static void lengths_that_are_no_sectors_are_refused(void **state)
{
	static const uint32_t bad[] = {1, 511, 513, 1000, 4097, 65535};
	struct vfe_io *io = fx_simple(64 * KIB);
	uint8_t *buf = fx_buf(64 * KIB);
	unsigned int i;

	(void)state;
	fx_fill(io, 0, 128, 1);
	memset(buf, 0x77, 64 * KIB);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		FX_STATUS(vfe_write(io, 0, buf, bad[i]), VIRTIO_BLK_S_IOERR);
		FX_STATUS(vfe_read(io, 0, buf, bad[i]), VIRTIO_BLK_S_IOERR);
		memset(buf, 0x77, 64 * KIB);
	}
	fx_expect(io, 0, 128, 1);
}

static void flush_succeeds(void **state)
{
	struct vfe_io *io = fx_simple(4 * KIB);

	(void)state;
	fx_fill(io, 3, 1, 1);
	FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_OK);
	FX_ASSERT(io->last_used_bytes == 1, "used %u", io->last_used_bytes);
	io->layout.indirect = true;
	io->layout.header_bytes = true;
	FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_OK);
	fx_expect(io, 3, 1, 1);
}

static void get_id_gives_the_serial(void **state)
{
	const char *serial = fx_kind() == TD_QSD ? "vhost_user_blk" : "SER-0123456789abcdef";
	struct td_disk *disk = fx_disk(&(struct td_disk_opts){.serial = serial});
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, 2, 4 * KIB);
	char id[VIRTIO_BLK_ID_BYTES + 1] = {0};

	(void)state;
	FX_STATUS(vfe_get_id(io, id, VIRTIO_BLK_ID_BYTES), VIRTIO_BLK_S_OK);
	FX_ASSERT(io->last_used_bytes >= 1 && io->last_used_bytes <= VIRTIO_BLK_ID_BYTES + 1,
		  "used %u", io->last_used_bytes);
	FX_ASSERT(strncmp(id, serial, strlen(serial)) == 0, "serial '%s', not '%s'", id, serial);

	/* In five descriptors, status in the last. */
	memset(id, 0, sizeof(id));
	io->layout = (struct vfe_layout){.seg_bytes = 4, .join_status = true, .indirect = true};
	FX_STATUS(vfe_get_id(io, id, VIRTIO_BLK_ID_BYTES), VIRTIO_BLK_S_OK);
	FX_ASSERT(strncmp(id, serial, strlen(serial)) == 0, "serial '%s', not '%s'", id, serial);
}

static void unknown_types_are_unsupported(void **state)
{
	static const uint32_t types[] = {2, 3, 5, 9, 10, 12, 14, 15, 100, 0x7ffffffe};
	struct vfe_io *io = fx_simple(4 * KIB);
	uint8_t buf[4096] = {0};
	unsigned int i;

	(void)state;
	fx_fill(io, 0, 8, 1);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct vfe_req *req = data_req(io, types[i], 0, 64);

		req->device_writes = true;
		FX_STATUS(vfe_io_run(io, req), VIRTIO_BLK_S_UNSUPP);
		vfe_io_put(io, req);
		FX_STATUS(vfe_send(io, types[i], buf, sizeof(buf)), VIRTIO_BLK_S_UNSUPP);
		FX_ASSERT(io->last_used_bytes == 1, "used %u", io->last_used_bytes);
		FX_STATUS(vfe_send(io, types[i], NULL, 0), VIRTIO_BLK_S_UNSUPP);
	}
	fx_expect(io, 0, 8, 1);
}

static void readonly_disks_refuse_to_change(void **state)
{
	const struct td_disk_opts opts = {.readonly = true};
	struct vfe_io *io = fx_io(fx_open(fx_disk(&opts), NULL), 0, 2, 8 * KIB);
	uint8_t buf[4096] = {0x42};

	(void)state;
	FX_ASSERT(io->blk->device_features & (1ull << VIRTIO_BLK_F_RO), "no RO feature");
	FX_STATUS(vfe_write(io, 0, buf, sizeof(buf)), VIRTIO_BLK_S_IOERR);
	FX_STATUS(vfe_range(io, VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	FX_STATUS(vfe_range(io, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0), VIRTIO_BLK_S_IOERR);
	FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_OK);
	fx_expect(io, 0, 8, 0);
}

static void writable_disks_do_not_claim_readonly(void **state)
{
	struct vfe_io *io = fx_simple(4 * KIB);

	(void)state;
	FX_ASSERT(!(io->blk->device_features & (1ull << VIRTIO_BLK_F_RO)), "RO feature");
}

static void written_data_is_in_the_file(void **state)
{
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, 2, 8 * KIB);
	uint8_t buf[4096];

	(void)state;
	fx_fill(io, 4096, 8, 77);
	FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_OK);
	FX_OK(td_disk_peek(disk, 4096 * 512, buf, sizeof(buf)));
	FX_ASSERT(vfe_pattern_check(buf, 4096, 8, 77) < 0, "file holds %s",
		  vfe_pattern_describe(buf));
}

/* Without the feature bits a guest may still do plain reads and writes. */
static void any_subset_of_features_serves(void **state)
{
	static const uint64_t without[] = {
		1ull << VIRTIO_RING_F_EVENT_IDX,
		1ull << VIRTIO_RING_F_INDIRECT_DESC,
		(1ull << VIRTIO_RING_F_EVENT_IDX) | (1ull << VIRTIO_RING_F_INDIRECT_DESC),
		(1ull << VIRTIO_BLK_F_FLUSH) | (1ull << VIRTIO_BLK_F_CONFIG_WCE),
		VFE_FEATURES_ALL & ~(1ull << VIRTIO_F_VERSION_1),
	};
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_blk_opts opts;
	struct vfe_blk *blk;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
		vfe_blk_opts_init(&opts, NULL);
		opts.features &= ~without[i];
		blk = fx_open(disk, &opts);
		fx_serves(fx_io(blk, 0, 2, 4 * KIB), 8 * i);
		vfe_blk_hang_up(blk);
	}
}

static const struct fx_case cases[] = {
	FX_CASE(every_layout_direct_and_indirect),
	FX_CASE(headers_cut_at_every_byte),
	FX_CASE(data_in_single_bytes),
	FX_CASE(one_mebibyte_in_one_request),
	FX_CASE(eight_mebibytes_in_one_request),
	FX_CASE(as_many_segments_as_seg_max),
	FX_CASE(guest_buffers_at_any_address),
	FX_CASE(buffers_across_memory_regions),
	FX_CASE(requests_past_the_end_are_refused),
	FX_CASE(lengths_that_are_no_sectors_are_refused),
	FX_CASE(flush_succeeds),
	FX_CASE(get_id_gives_the_serial),
	FX_CASE(unknown_types_are_unsupported),
	FX_CASE(readonly_disks_refuse_to_change),
	FX_CASE(writable_disks_do_not_claim_readonly),
	FX_CASE_ON(written_data_is_in_the_file, FX_FILE, "a malloc disk has no file"),
	FX_CASE(any_subset_of_features_serves),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "blk", cases, sizeof(cases) / sizeof(cases[0]));
}
