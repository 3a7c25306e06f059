/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DISCARD and WRITE_ZEROES (virtio 1.2, 5.2.6): what they do to the disk, and what they refuse. The
 * refusals are those of 5.2.6.2: unknown flags, and UNMAP with DISCARD, are UNSUPP; ranges that are
 * not on the disk or larger than the configuration allows are IOERR. Nothing refused changes a
 * byte.
 */
#include "fixture.h"

#include <string.h>
#include <sys/stat.h>

#define DISCARD      VIRTIO_BLK_T_DISCARD
#define WRITE_ZEROES VIRTIO_BLK_T_WRITE_ZEROES
#define UNMAP        VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP

#define DISK_SECTORS ((64u << 20) / 512)

static uint64_t file_blocks(const struct td_disk *disk)
{
	struct stat st;

	FX_ASSERT(stat(disk->file, &st) == 0, "stat of %s", disk->file);
	return (uint64_t)st.st_blocks;
}

static struct vfe_io *open_disk(struct virtio_blk_config *ret_config)
{
	struct vfe_io *io = fx_simple(1u << 20);

	FX_ASSERT(vfe_blk_has(io->blk, VIRTIO_BLK_F_DISCARD), "no DISCARD feature");
	FX_ASSERT(vfe_blk_has(io->blk, VIRTIO_BLK_F_WRITE_ZEROES), "no WRITE_ZEROES feature");
	memset(ret_config, 0, sizeof(*ret_config));
	FX_OK(vfe_blk_get_config(io->blk, ret_config, VFE_BLK_CONFIG_BYTES));
	return io;
}

static void limits_are_announced(void **state)
{
	struct virtio_blk_config config;

	(void)state;
	open_disk(&config);
	FX_ASSERT(config.max_discard_sectors >= 8, "%u", config.max_discard_sectors);
	FX_ASSERT(config.max_discard_seg >= 1, "%u", config.max_discard_seg);
	FX_ASSERT(config.max_write_zeroes_sectors >= 8, "%u", config.max_write_zeroes_sectors);
	FX_ASSERT(config.max_write_zeroes_seg >= 1, "%u", config.max_write_zeroes_seg);
}

static void write_zeroes_zeroes_just_the_range(void **state)
{
	static const uint32_t flags[] = {0, UNMAP};
	static const struct {
		uint64_t sector;
		uint32_t n;
	} ranges[] = {{0, 1}, {1, 1}, {7, 3}, {8, 8}, {100, 1000}, {1500, 548}};
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);
	unsigned int i, k;

	(void)state;
	for (k = 0; k < 2; k++) {
		for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
			uint64_t from = ranges[i].sector, end = from + ranges[i].n;

			fx_fill(io, 0, 2048, i + 1);
			FX_STATUS(vfe_range(io, WRITE_ZEROES, from, ranges[i].n, flags[k]),
				  VIRTIO_BLK_S_OK);
			FX_ASSERT(io->last_used_bytes == 1, "used %u", io->last_used_bytes);
			fx_expect(io, from, ranges[i].n, 0);
			if (from > 0)
				fx_expect(io, 0, (uint32_t)from, i + 1);
			if (end < 2048)
				fx_expect(io, end, (uint32_t)(2048 - end), i + 1);
		}
	}
}

static void write_zeroes_of_the_largest_range(void **state)
{
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);
	uint32_t n = config.max_write_zeroes_sectors;

	(void)state;
	if (n > DISK_SECTORS)
		n = DISK_SECTORS;
	fx_fill(io, 0, 8, 1);
	fx_fill(io, n - 8, 8, 1);
	FX_STATUS(vfe_range(io, WRITE_ZEROES, 0, n, 0), VIRTIO_BLK_S_OK);
	fx_expect(io, 0, 8, 0);
	fx_expect(io, n - 8, 8, 0);
}

static void discard_keeps_the_neighbours(void **state)
{
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);
	uint8_t *buf = fx_buf(1u << 20);

	(void)state;
	fx_fill(io, 0, 2048, 1);
	FX_STATUS(vfe_range(io, DISCARD, 512, 1024, 0), VIRTIO_BLK_S_OK);
	FX_ASSERT(io->last_used_bytes == 1, "used %u", io->last_used_bytes);
	fx_expect(io, 0, 512, 1);
	fx_expect(io, 1536, 512, 1);
	/* What was discarded may hold anything, but can be read and written again. */
	FX_STATUS(vfe_read(io, 512, buf, 1024 * 512), VIRTIO_BLK_S_OK);
	fx_fill(io, 512, 1024, 2);
	fx_expect(io, 512, 1024, 2);
	fx_expect(io, 0, 512, 1);
}

static void discard_gives_space_back(void **state)
{
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, 2, 1u << 20);
	uint64_t before, after;
	unsigned int i;

	(void)state;
	for (i = 0; i < 8; i++)
		fx_fill(io, i * 2048, 2048, 1);
	FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_OK);
	before = file_blocks(disk);
	FX_STATUS(vfe_range(io, DISCARD, 2048, 4096, 0), VIRTIO_BLK_S_OK);
	FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_OK);
	after = file_blocks(disk);
	FX_ASSERT(after + 4096 <= before, "%llu blocks before, %llu after",
		  (unsigned long long)before, (unsigned long long)after);

	FX_STATUS(vfe_range(io, WRITE_ZEROES, 8192, 4096, UNMAP), VIRTIO_BLK_S_OK);
	fx_expect(io, 8192, 2048, 0);
	FX_ASSERT(file_blocks(disk) + 4096 <= after, "UNMAP freed nothing");
}

static void several_ranges_in_one_request(void **state)
{
	struct virtio_blk_discard_write_zeroes range[3] = {
		{.sector = 8, .num_sectors = 8},
		{.sector = 64, .num_sectors = 16, .flags = UNMAP},
		{.sector = 500, .num_sectors = 12}};
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);

	(void)state;
	FX_ASSERT(config.max_write_zeroes_seg >= 3, "max_write_zeroes_seg %u",
		  config.max_write_zeroes_seg);
	fx_fill(io, 0, 512, 1);
	FX_STATUS(vfe_send(io, WRITE_ZEROES, range, sizeof(range)), VIRTIO_BLK_S_OK);
	fx_expect(io, 0, 8, 1);
	fx_expect(io, 8, 8, 0);
	fx_expect(io, 16, 48, 1);
	fx_expect(io, 64, 16, 0);
	fx_expect(io, 80, 420, 1);
	fx_expect(io, 500, 12, 0);
}

static void a_bad_range_among_good_ones_is_refused(void **state)
{
	struct virtio_blk_discard_write_zeroes range[2] = {
		{.sector = 8, .num_sectors = 8}, {.sector = DISK_SECTORS - 1, .num_sectors = 2}};
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);

	(void)state;
	fx_fill(io, 0, 64, 1);
	FX_STATUS(vfe_send(io, WRITE_ZEROES, range, sizeof(range)), VIRTIO_BLK_S_IOERR);
	fx_expect(io, 0, 8, 1);
	fx_expect(io, 16, 48, 1);
	range[1] = (struct virtio_blk_discard_write_zeroes){
		.sector = 16, .num_sectors = 8, .flags = 4};
	FX_STATUS(vfe_send(io, WRITE_ZEROES, range, sizeof(range)), VIRTIO_BLK_S_UNSUPP);
	fx_expect(io, 16, 48, 1);
}

static void unknown_flags_are_unsupported(void **state)
{
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);
	unsigned int bit;

	(void)state;
	fx_fill(io, 0, 16, 1);
	for (bit = 0; bit < 32; bit++) {
		FX_STATUS(vfe_range(io, DISCARD, 0, 8, 1u << bit), VIRTIO_BLK_S_UNSUPP);
		if (bit > 0)
			FX_STATUS(vfe_range(io, WRITE_ZEROES, 0, 8, 1u << bit),
				  VIRTIO_BLK_S_UNSUPP);
	}
	FX_STATUS(vfe_range(io, WRITE_ZEROES, 0, 8, ~0u), VIRTIO_BLK_S_UNSUPP);
	fx_expect(io, 0, 16, 1);
}

static void ranges_outside_of_the_disk_are_refused(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t n;
	} bad[] = {{DISK_SECTORS, 1},     {DISK_SECTORS - 1, 2}, {DISK_SECTORS - 8, 16},
		   {UINT64_MAX, 1},       {UINT64_MAX, 2},       {UINT64_MAX - 7, 8},
		   {1ull << 63, 8},       {1ull << 55, 8},       {(1ull << 55) - 1, 8},
		   {(1ull << 55) + 8, 8}, {INT64_MAX, 8}};
	static const uint32_t types[] = {DISCARD, WRITE_ZEROES};
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);
	unsigned int i, k;

	(void)state;
	fx_fill(io, 0, 64, 1);
	fx_fill(io, DISK_SECTORS - 64, 64, 2);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (k = 0; k < 2; k++)
			FX_STATUS(vfe_range(io, types[k], bad[i].sector, bad[i].n, 0),
				  VIRTIO_BLK_S_IOERR);
	}
	fx_expect(io, 0, 64, 1);
	fx_expect(io, DISK_SECTORS - 64, 64, 2);
}

static void ranges_larger_than_the_limit_are_refused(void **state)
{
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);

	(void)state;
	fx_fill(io, 0, 64, 1);
	FX_STATUS(vfe_range(io, WRITE_ZEROES, 0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR);
	FX_STATUS(vfe_range(io, DISCARD, 0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR);
	if (config.max_write_zeroes_sectors < UINT32_MAX)
		FX_STATUS(vfe_range(io, WRITE_ZEROES, 0, config.max_write_zeroes_sectors + 1, 0),
			  VIRTIO_BLK_S_IOERR);
	if (config.max_discard_sectors < UINT32_MAX)
		FX_STATUS(vfe_range(io, DISCARD, 0, config.max_discard_sectors + 1, 0),
			  VIRTIO_BLK_S_IOERR);
	fx_expect(io, 0, 64, 1);
}

static void lists_of_a_wrong_length_are_refused(void **state)
{
	static const uint32_t lengths[] = {0, 1, 8, 15, 17, 24, 31, 4096 + 8};
	static const uint32_t types[] = {DISCARD, WRITE_ZEROES};
	uint8_t list[4096 + 8] = {0};
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);
	unsigned int i, k;
	int status;

	(void)state;
	fx_fill(io, 0, 64, 1);
	list[8] = 8; /* sectors 0 to 7 */
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (k = 0; k < 2; k++) {
			status = vfe_send(io, types[k], list, lengths[i]);
			FX_ASSERT(status == VIRTIO_BLK_S_IOERR || status == VIRTIO_BLK_S_UNSUPP,
				  "%u bytes: status %d", lengths[i], status);
		}
	}
	fx_expect(io, 0, 64, 1);
}

static void lists_that_are_too_long_are_refused(void **state)
{
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);
	uint32_t n = (config.max_write_zeroes_seg + 1) * 16;
	uint8_t *list = fx_buf(n);
	int status;

	(void)state;
	FX_ASSERT(n <= 1u << 20, "max_write_zeroes_seg %u", config.max_write_zeroes_seg);
	fx_fill(io, 0, 64, 1);
	list[8] = 8;
	status = vfe_send(io, WRITE_ZEROES, list, n);
	FX_ASSERT(status == VIRTIO_BLK_S_IOERR || status == VIRTIO_BLK_S_UNSUPP, "status %d",
		  status);
	fx_expect(io, 8, 56, 1);
}

/* The range list may be cut anywhere, and lie next to the header. */
static void range_lists_in_any_layout(void **state)
{
	static const struct vfe_layout layouts[] = {
		{.name = "joined", .join_header = true},
		{.name = "cut", .header_cut = 3, .first_bytes = 1, .seg_bytes = 5},
		{.name = "bytes", .header_bytes = true, .seg_bytes = 1, .indirect = true},
	};
	struct virtio_blk_config config;
	struct vfe_io *io = open_disk(&config);
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		fx_fill(io, 0, 24, i + 1);
		io->layout = layouts[i];
		FX_STATUS(vfe_range(io, WRITE_ZEROES, 8, 8, 0), VIRTIO_BLK_S_OK);
		io->layout = (struct vfe_layout){.name = "plain"};
		fx_expect(io, 0, 8, i + 1);
		fx_expect(io, 8, 8, 0);
		fx_expect(io, 16, 8, i + 1);
	}
}

#define ONE_SEG "qemu-storage-daemon 7.2 takes one range a request and says so in max_*_seg"

static const struct fx_case cases[] = {
	FX_CASE(limits_are_announced),
	FX_CASE(write_zeroes_zeroes_just_the_range),
	FX_CASE(write_zeroes_of_the_largest_range),
	FX_CASE(discard_keeps_the_neighbours),
	FX_CASE_ON(discard_gives_space_back, FX_FILE, "a malloc disk has no file"),
	FX_CASE_ON(several_ranges_in_one_request, FX_VHOSTD, ONE_SEG),
	FX_CASE_ON(a_bad_range_among_good_ones_is_refused, FX_VHOSTD, ONE_SEG),
	FX_CASE(unknown_flags_are_unsupported),
	FX_CASE(ranges_outside_of_the_disk_are_refused),
	FX_CASE(ranges_larger_than_the_limit_are_refused),
	FX_CASE(lists_of_a_wrong_length_are_refused),
	FX_CASE(lists_that_are_too_long_are_refused),
	FX_CASE(range_lists_in_any_layout),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "range", cases, sizeof(cases) / sizeof(cases[0]));
}
