/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The configuration space and the feature bits. Offsets and bit numbers are counted out from
 * virtio 1.2 sections 5.2.4, 5.2.3 and 6, not taken from a header.
 */
#include "base/compiler.h"
#include "lib/unit.h"
#include "pure/blkreq.h"

#define CONFIG_END                                                                                 \
	60 /* the last field of ours ends at 57; secure erase, from 60 on, isn't offered */

static struct blk_disk make_disk(void)
{
	return (struct blk_disk){
		.capacity_sectors = 0x1122334455667788,
		.write_cache = true,
		.block_size_bytes = 0x1000,
		.max_discard_sectors = 0xd1d2d3d4,
		.discard_alignment_sectors = 0xa1a2a3a4,
		.max_write_zeroes_sectors = 0xe1e2e3e4,
		.opt_io_blocks = 0xb1b2b3b4,
		.n_queues = 0xc1c2,
	};
}

static void test_whole_space(void **state)
{
	struct blk_disk disk = make_disk();
	const uint8_t expected[256] = {
		[0] = 0x88,  0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* capacity */
		[8] = 0,     0,    0,    0,                            /* size_max: not offered */
		[12] = 126,  0,    0,    0,                            /* seg_max */
		[16] = 0,    0,    0,    0,                            /* geometry: not offered */
		[20] = 0x00, 0x10, 0x00, 0x00,                         /* blk_size */
		[24] = 0,                                              /* physical_block_exp */
		[25] = 0,                                              /* alignment_offset */
		[26] = 1,    0,                                        /* min_io_size */
		[28] = 0xb4, 0xb3, 0xb2, 0xb1,                         /* opt_io_size */
		[32] = 1,                                              /* writeback */
		[34] = 0xc2, 0xc1,                                     /* num_queues */
		[36] = 0xd4, 0xd3, 0xd2, 0xd1,                         /* max_discard_sectors */
		[40] = 32,   0,    0,    0,                            /* max_discard_seg */
		[44] = 0xa4, 0xa3, 0xa2, 0xa1, /* discard_sector_alignment */
		[48] = 0xe4, 0xe3, 0xe2, 0xe1, /* max_write_zeroes_sectors */
		[52] = 32,   0,    0,    0,    /* max_write_zeroes_seg */
		[56] = 1,                      /* write_zeroes_may_unmap */
	};
	uint8_t config[256];

	(void)state;
	memset(config, 0xff, sizeof(config));
	blk_config(&disk, config);
	for (size_t i = 0; i < sizeof(config); i++)
		if (config[i] != expected[i])
			fail_msg("offset %zu: %#x, not %#x", i, config[i], expected[i]);
}

/* Changes one thing of the disk: which bytes of the space change? */
static void assert_changes(const struct blk_disk *disk, size_t first, size_t last)
{
	struct blk_disk before = make_disk();
	uint8_t a[256], b[256];

	blk_config(&before, a);
	blk_config(disk, b);
	for (size_t i = 0; i < sizeof(a); i++)
		assert_int_equal(a[i] != b[i], first <= i && i <= last);
}

static void test_fields_that_change(void **state)
{
	struct blk_disk disk = make_disk();

	(void)state;
	atomic_store(&disk.write_cache, false);
	assert_changes(&disk, 32, 32);
	disk = make_disk();
	atomic_store(&disk.capacity_sectors, 0x8877665544332211);
	assert_changes(&disk, 0, 7);
	disk = make_disk();
	disk.n_queues = 1;
	assert_changes(&disk, 34, 35);
	disk = make_disk();
	disk.opt_io_blocks = 0;
	assert_changes(&disk, 28, 31);
}

static void test_without_discard(void **state)
{
	struct blk_disk disk = make_disk();
	uint8_t config[256];

	(void)state;
	disk.max_discard_sectors = 0;
	disk.max_write_zeroes_sectors = 0;
	blk_config(&disk, config);
	assert_memory_equal(config + 36, ((uint8_t[8]){0}), 8); /* max_discard_* */
	assert_memory_equal(config + 48, ((uint8_t[8]){0}), 8); /* max_write_zeroes_* */
	assert_int_equal(config[56], 0);                        /* write_zeroes_may_unmap */
	for (size_t i = CONFIG_END; i < sizeof(config); i++)
		assert_int_equal(config[i], 0);
}

static uint64_t bits(const int *numbers, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum |= 1ull << numbers[i];
	return sum;
}
#define BITS(...) bits((const int[]){__VA_ARGS__}, ARRAY_LEN(((const int[]){__VA_ARGS__})))

/* SEG_MAX 2, BLK_SIZE 6, FLUSH 9, TOPOLOGY 10, CONFIG_WCE 11; RING_INDIRECT_DESC 28,
 * RING_EVENT_IDX 29, VERSION_1 32, RING_PACKED 34. */
#define ALWAYS 2, 6, 9, 10, 11, 28, 29, 32, 34

static void test_features(void **state)
{
	struct blk_disk disk = {.n_queues = 1, .block_size_bytes = 512};

	(void)state;
	assert_int_equal(blk_features(&disk), BITS(ALWAYS));
	disk.n_queues = 2;
	assert_int_equal(blk_features(&disk), BITS(ALWAYS, 12)); /* MQ */
	disk.max_discard_sectors = 1;
	assert_int_equal(blk_features(&disk), BITS(ALWAYS, 12, 13)); /* DISCARD */
	disk.max_write_zeroes_sectors = 1;
	assert_int_equal(blk_features(&disk), BITS(ALWAYS, 12, 13, 14)); /* WRITE_ZEROES */
	disk.max_discard_sectors = 0;
	assert_int_equal(blk_features(&disk), BITS(ALWAYS, 12, 14));
	disk.max_discard_sectors = 1;
	disk.readonly = true;
	assert_int_equal(blk_features(&disk), BITS(ALWAYS, 5, 12)); /* RO */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_space),
		cmocka_unit_test(test_fields_that_change),
		cmocka_unit_test(test_without_discard),
		cmocka_unit_test(test_features),
	};

	return cmocka_run_group_tests_name("blk_config", tests, NULL, NULL);
}
