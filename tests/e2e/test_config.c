/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration space (virtio 1.2, 5.2.4) through GET_CONFIG and SET_CONFIG, and what its
 * fields promise: capacity, block size, queues, write cache.
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024u * 1024u)

/* Length of the space in virtio 1.2, secure erase included; what QEMU 7.2 has as well. */
#define SPACE_BYTES sizeof(struct virtio_blk_config)

static void fields_say_what_the_disk_is(void **state)
{
	const struct td_disk_opts disk_opts = {.size_bytes = 48 * MIB + 4096, .n_queues = 4};
	struct virtio_blk_config config = {0};
	struct vfe_blk *blk = fx_open(fx_disk(&disk_opts), NULL);

	(void)state;
	FX_OK(vfe_blk_get_config(blk, &config, 57));
	FX_ASSERT(config.capacity == 48 * MIB / 512 + 8, "capacity %llu",
		  (unsigned long long)config.capacity);
	FX_ASSERT(vfe_blk_has(blk, VIRTIO_BLK_F_BLK_SIZE), "no BLK_SIZE feature");
	FX_ASSERT(config.blk_size == 512, "blk_size %u", config.blk_size);
	FX_ASSERT(vfe_blk_has(blk, VIRTIO_BLK_F_MQ), "no MQ feature");
	FX_ASSERT(config.num_queues == 4, "num_queues %u", config.num_queues);
	FX_ASSERT(blk->n_device_queues == 4, "GET_QUEUE_NUM %llu",
		  (unsigned long long)blk->n_device_queues);
	FX_ASSERT(config.seg_max > 0, "seg_max 0");
	if (vfe_blk_has(blk, VIRTIO_BLK_F_SIZE_MAX))
		FX_ASSERT(config.size_max == 0 || config.size_max >= 4096, "size_max %u",
			  config.size_max);
}

/* `max` sizes from the first byte: each a prefix of the whole. */
static void read_prefixes(struct vfe_blk *blk, uint32_t max)
{
	uint8_t whole[VFE_CONFIG_BYTES_MAX] = {0}, part[VFE_CONFIG_BYTES_MAX];
	uint32_t n;

	FX_OK(vfe_blk_get_config(blk, whole, max));
	for (n = 1; n <= max; n++) {
		memset(part, 0xcc, sizeof(part));
		FX_OK(vfe_blk_get_config(blk, part, n));
		FX_ASSERT(memcmp(part, whole, n) == 0, "%u bytes differ from the whole", n);
	}
}

static void every_size_up_to_the_structure(void **state)
{
	(void)state;
	read_prefixes(fx_open(fx_disk(NULL), NULL), 60);
}

static void every_size_up_to_256(void **state)
{
	uint8_t whole[VFE_CONFIG_BYTES_MAX];
	struct vfe_blk *blk = fx_open(fx_disk(NULL), NULL);
	uint32_t i;

	(void)state;
	read_prefixes(blk, VFE_CONFIG_BYTES_MAX);
	FX_OK(vfe_blk_get_config(blk, whole, VFE_CONFIG_BYTES_MAX));
	for (i = SPACE_BYTES; i < VFE_CONFIG_BYTES_MAX; i++)
		FX_ASSERT(whole[i] == 0, "byte %u behind the structure is %u", i, whole[i]);
}

static void reads_at_an_offset(void **state)
{
	struct virtio_blk_config config;
	struct vfe_blk *blk = fx_open(fx_disk(NULL), NULL);
	uint8_t part[16];

	(void)state;
	FX_OK(vfe_blk_get_config(blk, &config, SPACE_BYTES));
	FX_OK(vfe_conn_get_config(&blk->conn, 4, part, 16));
	FX_ASSERT(memcmp(part, (uint8_t *)&config + 4, 16) == 0, "16 bytes at 4 differ");
	FX_OK(vfe_conn_get_config(&blk->conn, 32, part, 1));
	FX_ASSERT(part[0] == config.wce, "wce %u and %u", part[0], config.wce);
}

static void write_cache_can_be_toggled(void **state)
{
	struct virtio_blk_config config = {0};
	struct vfe_io *io = fx_simple(64 * 1024);
	uint8_t wce;

	(void)state;
	FX_ASSERT(vfe_blk_has(io->blk, VIRTIO_BLK_F_CONFIG_WCE), "no CONFIG_WCE feature");
	for (wce = 0; wce < 4; wce++) {
		FX_OK(vfe_blk_set_wce(io->blk, wce & 1));
		FX_OK(vfe_blk_get_config(io->blk, &config, 57));
		FX_ASSERT(config.wce == (wce & 1), "wce %u", config.wce);
		fx_serves(io, wce * 8);
		FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_OK);
	}
}

/* A front end that was cut off comes back, its guest still running and in write-through. */
static void write_through_outlives_a_connection(void **state)
{
	struct virtio_blk_config config = {0};
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_blk *blk = fx_open(disk, NULL);

	(void)state;
	FX_OK(vfe_blk_set_wce(blk, 0));
	FX_OK(vfe_blk_get_config(blk, &config, 57)); /* it has arrived */
	vfe_blk_hang_up(blk);
	blk = fx_open_patiently(disk);
	FX_OK(vfe_blk_get_config(blk, &config, 57));
	FX_ASSERT(config.wce == 0, "wce %u", config.wce);
}

static void toggling_the_cache_needs_no_idle_queue(void **state)
{
	struct vfe_io *io = fx_io(fx_open(fx_disk(NULL), NULL), 0, 32, 4096);
	struct vfe_req *req;
	unsigned int round, i;

	(void)state;
	for (round = 0; round < 50; round++) {
		for (i = 0; i < 32; i++) {
			req = vfe_io_get(io);
			req->type = VIRTIO_BLK_T_OUT;
			req->sector = i * 8;
			req->n_bytes = 4096;
			FX_OK(vfe_io_submit(io, req));
		}
		vfe_io_kick(io);
		FX_OK(vfe_blk_set_wce(io->blk, round & 1));
		while (io->n_in_flight > 0) {
			FX_ASSERT(vfe_io_wait(io, &req, VFE_TIMEOUT_MS) == 1, "no completion");
			FX_ASSERT(req->status == VIRTIO_BLK_S_OK, "status %u", req->status);
			vfe_io_put(io, req);
		}
	}
}

static void writing_another_field_changes_nothing(void **state)
{
	struct virtio_blk_config before, after;
	struct vfe_blk_opts opts;
	struct vfe_blk *blk;
	uint64_t capacity = 1;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.order = VFE_ORDER_BLKIO; /* every message is acknowledged */
	blk = fx_open(fx_disk(NULL), &opts);
	FX_OK(vfe_blk_get_config(blk, &before, SPACE_BYTES));
	FX_ASSERT(vfe_conn_set_config(&blk->conn, 0, &capacity, 8) == -EREMOTEIO,
		  "a new capacity was accepted");
	FX_OK(vfe_blk_get_config(blk, &after, SPACE_BYTES));
	FX_ASSERT(memcmp(&before, &after, SPACE_BYTES) == 0, "the configuration changed");
	fx_serves(fx_io(blk, 0, 2, 4096), 0);
}

/* What a sector of a 4096-byte block holds, whatever the device thinks of shorter reads. */
static void expect_in_block(struct vfe_io *io, uint64_t sector, uint64_t generation)
{
	uint64_t block = sector & ~7ull;
	uint8_t buf[4096];

	FX_STATUS(vfe_read(io, block, buf, sizeof(buf)), VIRTIO_BLK_S_OK);
	FX_ASSERT(vfe_pattern_check(buf + (sector - block) * 512, sector, 1, generation) < 0,
		  "sector %llu: %s", (unsigned long long)sector,
		  vfe_pattern_describe(buf + (sector - block) * 512));
}

static void disks_with_4096_byte_blocks(void **state)
{
	struct td_disk *disk = fx_disk(&(struct td_disk_opts){.block_size = 4096});
	struct virtio_blk_config config = {0};
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, 2, 65536);
	uint8_t buf[512];
	uint64_t sector;
	int status;

	(void)state;
	FX_OK(vfe_blk_get_config(io->blk, &config, 57));
	FX_ASSERT(config.blk_size == 4096, "blk_size %u", config.blk_size);
	/* Units stay 512 bytes. */
	FX_ASSERT(config.capacity == 64 * MIB / 512, "capacity %llu",
		  (unsigned long long)config.capacity);
	fx_fill(io, 0, 16, 1);
	fx_fill(io, 64 * MIB / 512 - 8, 8, 2);
	fx_expect(io, 0, 16, 1);
	fx_expect(io, 64 * MIB / 512 - 8, 8, 2);

	/* Less than a block: served as told, or refused without a trace. */
	for (sector = 0; sector < 15; sector += 3) {
		vfe_pattern_fill(buf, sector, 1, 9);
		status = vfe_write(io, sector, buf, sizeof(buf));
		FX_ASSERT(status == VIRTIO_BLK_S_OK || status == VIRTIO_BLK_S_IOERR, "status %d",
			  status);
		expect_in_block(io, sector, status == VIRTIO_BLK_S_OK ? 9 : 1);
		expect_in_block(io, sector + 1, 1);
		status = vfe_read(io, sector + 1, buf, sizeof(buf));
		FX_ASSERT(status == VIRTIO_BLK_S_IOERR ||
				  vfe_pattern_check(buf, sector + 1, 1, 1) < 0,
			  "read of one sector: status %d and %s", status,
			  vfe_pattern_describe(buf));
	}
}

static void capacities_that_are_no_blocks(void **state)
{
	struct td_disk *disk = fx_disk(&(struct td_disk_opts){.size_bytes = MIB + 512});
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, 2, 65536);
	uint8_t buf[1024];

	(void)state;
	fx_fill(io, MIB / 512, 1, 1);
	fx_expect(io, MIB / 512, 1, 1);
	FX_STATUS(vfe_read(io, MIB / 512, buf, 1024), VIRTIO_BLK_S_IOERR);
}

#define TOO_LONG  "qemu-storage-daemon refuses sizes over its structure (the specification lets it)"
#define ODD_FILE  "a store with O_DIRECT may refuse a file of an odd length (QEMU 7.2 does)"
#define NO_OFFSET "qemu-storage-daemon 7.2 ignores the offset"
#define BACK      "qemu-storage-daemon may begin in write-back mode again"
#define HANGS_UP  "qemu-storage-daemon 7.2 hangs up when it refuses SET_CONFIG"

static const struct fx_case cases[] = {
	FX_CASE(fields_say_what_the_disk_is),
	FX_CASE(every_size_up_to_the_structure),
	FX_CASE_ON(every_size_up_to_256, FX_VHOSTD, TOO_LONG),
	FX_CASE_ON(reads_at_an_offset, FX_VHOSTD, NO_OFFSET),
	FX_CASE(write_cache_can_be_toggled),
	FX_CASE_ON(write_through_outlives_a_connection, FX_VHOSTD, BACK),
	FX_CASE(toggling_the_cache_needs_no_idle_queue),
	FX_CASE_ON(writing_another_field_changes_nothing, FX_VHOSTD, HANGS_UP),
	FX_CASE(disks_with_4096_byte_blocks),
	FX_CASE_ON(capacities_that_are_no_blocks, FX_MALLOC, ODD_FILE),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "config", cases, sizeof(cases) / sizeof(cases[0]));
}
