/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a disk answers to requests that are well-formed: bounds, alignment, read-only disks, and
 * the segments of DISCARD and WRITE_ZEROES. virtio 1.2 section 5.2.6.
 */
#include "base/compiler.h"
#include "lib/pieces.h"
#include "lib/unit.h"
#include "pure/blkreq.h"

/* 5.2.6: the values of a status. */
#define OK     0
#define IOERR  1
#define UNSUPP 2

#define CAPACITY   1000u
#define SEG_BYTES  16
#define FLAG_UNMAP 1u

static struct blk_range ranges[BLK_RANGES_MAX];

static struct blk_disk make_disk(uint32_t block_size_bytes)
{
	return (struct blk_disk){.capacity_sectors = CAPACITY,
				 .block_size_bytes = block_size_bytes,
				 .max_discard_sectors = 64,
				 .max_write_zeroes_sectors = 128};
}

static uint8_t check_rw(uint32_t type, uint64_t sector, uint64_t n_bytes,
			const struct blk_disk *disk)
{
	struct blk_request req = {.type = type, .sector = sector, .payload_bytes = n_bytes};

	return blk_request_check(&req, disk, ranges);
}

static void test_rw_bounds(void **state)
{
	const struct {
		uint64_t sector, n_bytes;
		uint8_t status;
	} cases[] = {
		{0, 512, OK},
		{0, CAPACITY * 512ull, OK},
		{0, (CAPACITY + 1) * 512ull, IOERR},
		{1, CAPACITY * 512ull, IOERR},
		{CAPACITY - 1, 512, OK},
		{CAPACITY - 1, 1024, IOERR},
		{CAPACITY, 512, IOERR},
		{CAPACITY, 0, OK},
		{CAPACITY + 1, 0, IOERR},
		{0, 0, OK},
		{0, 1, IOERR},
		{0, 511, IOERR},
		{0, 513, IOERR},
		{UINT64_MAX, 512, IOERR},
		{UINT64_MAX - 1, 1024, IOERR},
		{UINT64_MAX, 0, IOERR},
		{UINT64_MAX / 512 + 1, 512, IOERR}, /* the first byte's offset would wrap to 0 */
		{0, UINT64_MAX - 511, IOERR},
		{1ull << 63, 512, IOERR},
	};
	struct blk_disk disk = make_disk(512);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (uint32_t type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++)
			assert_int_equal(check_rw(type, cases[i].sector, cases[i].n_bytes, &disk),
					 cases[i].status);
}

static void test_rw_whole_blocks(void **state)
{
	struct blk_disk disk = make_disk(4096);

	(void)state;
	for (uint32_t type = VIRTIO_BLK_T_IN; type <= VIRTIO_BLK_T_OUT; type++)
		for (uint64_t sector = 0; sector < 24; sector++)
			for (uint64_t n = 0; n < 24; n++)
				assert_int_equal(check_rw(type, sector, n * 512, &disk),
						 sector % 8 || n % 8 ? IOERR : OK);
}

/* The disk may grow or shrink: what counts is its capacity now. */
static void test_capacity_changes(void **state)
{
	struct blk_disk disk = make_disk(512);

	(void)state;
	assert_int_equal(check_rw(VIRTIO_BLK_T_OUT, CAPACITY, 512, &disk), IOERR);
	atomic_store(&disk.capacity_sectors, CAPACITY + 1);
	assert_int_equal(check_rw(VIRTIO_BLK_T_OUT, CAPACITY, 512, &disk), OK);
	atomic_store(&disk.capacity_sectors, 0);
	assert_int_equal(check_rw(VIRTIO_BLK_T_OUT, 0, 512, &disk), IOERR);
	atomic_store(&disk.capacity_sectors, UINT64_MAX / 512);
	assert_int_equal(check_rw(VIRTIO_BLK_T_OUT, UINT64_MAX / 512 - 1, 512, &disk), OK);
	assert_int_equal(check_rw(VIRTIO_BLK_T_OUT, UINT64_MAX / 512 - 1, 1024, &disk), IOERR);
}

static void put(uint8_t *to, uint64_t value, int n_bytes)
{
	for (int i = 0; i < n_bytes; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

static void put_seg(uint8_t *to, uint64_t sector, uint32_t n_sectors, uint32_t flags)
{
	put(to, sector, 8);
	put(to + 8, n_sectors, 4);
	put(to + 12, flags, 4);
}

/* Checks a request whose payload is the n bytes at `payload`, cut in two at `cut`. */
static uint8_t check_segs(uint32_t type, uint8_t *payload, size_t n, size_t cut,
			  const struct blk_disk *disk, uint16_t *ret_n_ranges)
{
	uint8_t readable[16 + 40 * SEG_BYTES] = {(uint8_t)type}, writable;
	struct blk_request req;
	struct pieces p;
	uint8_t status;

	memcpy(readable + 16, payload, n);
	pieces_cut(&p, readable, 16 + n, 16 + cut, &writable, 1, 0);
	assert_sound(blk_request_parse(&p.chain, &req));
	memset(ranges, 0xee, sizeof(ranges));
	status = blk_request_check(&req, disk, ranges);
	*ret_n_ranges = req.n_ranges;
	return status;
}

static uint8_t check_seg(uint32_t type, uint64_t sector, uint32_t n_sectors, uint32_t flags,
			 const struct blk_disk *disk)
{
	uint8_t payload[SEG_BYTES];
	uint16_t n_ranges;
	uint8_t status;

	put_seg(payload, sector, n_sectors, flags);
	status = check_segs(type, payload, SEG_BYTES, 0, disk, &n_ranges);
	if (status == OK) {
		assert_int_equal(n_ranges, 1);
		assert_int_equal(ranges[0].sector, sector);
		assert_int_equal(ranges[0].n_sectors, n_sectors);
		assert_int_equal(ranges[0].unmap, flags & FLAG_UNMAP);
	} else {
		assert_int_equal(n_ranges, 0);
	}
	return status;
}

/* 5.2.6.2: unmap means something for WRITE_ZEROES only, all other flags nothing yet. */
static void test_segment_flags(void **state)
{
	struct blk_disk disk = make_disk(512);

	(void)state;
	assert_int_equal(check_seg(VIRTIO_BLK_T_DISCARD, 8, 8, 0, &disk), OK);
	assert_int_equal(check_seg(VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 0, &disk), OK);
	assert_int_equal(check_seg(VIRTIO_BLK_T_DISCARD, 8, 8, FLAG_UNMAP, &disk), UNSUPP);
	assert_int_equal(check_seg(VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, FLAG_UNMAP, &disk), OK);
	for (int bit = 1; bit < 32; bit++) {
		assert_int_equal(check_seg(VIRTIO_BLK_T_DISCARD, 8, 8, 1u << bit, &disk), UNSUPP);
		assert_int_equal(check_seg(VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 1u << bit, &disk),
				 UNSUPP);
	}
}

static void test_segment_bounds(void **state)
{
	struct blk_disk disk = make_disk(512);
	uint32_t types[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};

	(void)state;
	for (int i = 0; i < 2; i++) {
		uint32_t max = types[i] == VIRTIO_BLK_T_DISCARD ? 64 : 128;

		assert_int_equal(check_seg(types[i], 0, max, 0, &disk), OK);
		assert_int_equal(check_seg(types[i], 0, max + 1, 0, &disk), IOERR);
		assert_int_equal(check_seg(types[i], CAPACITY - max, max, 0, &disk), OK);
		assert_int_equal(check_seg(types[i], CAPACITY - max + 1, max, 0, &disk), IOERR);
		assert_int_equal(check_seg(types[i], CAPACITY, 1, 0, &disk), IOERR);
		assert_int_equal(check_seg(types[i], CAPACITY, 0, 0, &disk), OK);
		assert_int_equal(check_seg(types[i], UINT64_MAX, 1, 0, &disk), IOERR);
		assert_int_equal(check_seg(types[i], UINT64_MAX, 2, 0, &disk), IOERR);
		assert_int_equal(check_seg(types[i], 0, UINT32_MAX, 0, &disk), IOERR);
	}
	disk = make_disk(4096);
	assert_int_equal(check_seg(VIRTIO_BLK_T_DISCARD, 8, 16, 0, &disk), OK);
	assert_int_equal(check_seg(VIRTIO_BLK_T_DISCARD, 8, 15, 0, &disk), IOERR);
	assert_int_equal(check_seg(VIRTIO_BLK_T_WRITE_ZEROES, 7, 8, 0, &disk), IOERR);
}

static void test_not_offered(void **state)
{
	struct blk_disk disk = make_disk(512);

	(void)state;
	disk.max_discard_sectors = 0;
	assert_int_equal(check_seg(VIRTIO_BLK_T_DISCARD, 0, 1, 0, &disk), UNSUPP);
	assert_int_equal(check_seg(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0, &disk), OK);
	disk = make_disk(512);
	disk.max_write_zeroes_sectors = 0;
	assert_int_equal(check_seg(VIRTIO_BLK_T_DISCARD, 0, 1, 0, &disk), OK);
	assert_int_equal(check_seg(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0, &disk), UNSUPP);
}

/* A payload is a whole number of segments, 1 to 32. */
static void test_segment_lengths(void **state)
{
	struct blk_disk disk = make_disk(512);
	uint8_t payload[40 * SEG_BYTES] = {0};
	uint16_t n_ranges;

	(void)state;
	for (size_t n = 0; n <= sizeof(payload); n++) {
		bool whole = n > 0 && n % SEG_BYTES == 0 && n <= 32 * SEG_BYTES;
		uint8_t status = check_segs(VIRTIO_BLK_T_DISCARD, payload, n, 0, &disk, &n_ranges);

		assert_int_equal(status == OK, whole);
		assert_int_equal(n_ranges, whole ? n / SEG_BYTES : 0);
	}
}

static void test_segments_cut_anywhere(void **state)
{
	struct blk_disk disk = make_disk(512);
	uint8_t payload[3 * SEG_BYTES];
	uint16_t n_ranges;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		put_seg(payload + SEG_BYTES * i, 100 + i, 10 + i, i % 2);
	for (size_t cut = 0; cut <= sizeof(payload); cut++) {
		assert_int_equal(check_segs(VIRTIO_BLK_T_WRITE_ZEROES, payload, sizeof(payload),
					    cut, &disk, &n_ranges),
				 OK);
		assert_int_equal(n_ranges, 3);
		for (uint32_t i = 0; i < 3; i++) {
			assert_int_equal(ranges[i].sector, 100 + i);
			assert_int_equal(ranges[i].n_sectors, 10 + i);
			assert_int_equal(ranges[i].unmap, i % 2);
		}
	}
}

/* One bad segment, wherever it stands, and nothing is done. */
static void test_any_bad_segment(void **state)
{
	struct blk_disk disk = make_disk(512);
	uint16_t n_ranges;

	(void)state;
	for (size_t bad = 0; bad < 4; bad++) {
		uint8_t payload[4 * SEG_BYTES] = {0};

		put_seg(payload + SEG_BYTES * bad, CAPACITY, 1, 0);
		assert_int_equal(check_segs(VIRTIO_BLK_T_WRITE_ZEROES, payload, sizeof(payload), 0,
					    &disk, &n_ranges),
				 IOERR);
		assert_int_equal(n_ranges, 0);
		put_seg(payload + SEG_BYTES * bad, 0, 1, 2);
		assert_int_equal(check_segs(VIRTIO_BLK_T_WRITE_ZEROES, payload, sizeof(payload), 0,
					    &disk, &n_ranges),
				 UNSUPP);
		assert_int_equal(n_ranges, 0);
	}
}

static void test_readonly(void **state)
{
	struct blk_disk disk = make_disk(512);

	(void)state;
	disk.readonly = true;
	assert_int_equal(check_rw(VIRTIO_BLK_T_IN, 0, 512, &disk), OK);
	assert_int_equal(check_rw(VIRTIO_BLK_T_OUT, 0, 512, &disk), IOERR);
	assert_int_equal(check_rw(VIRTIO_BLK_T_OUT, 0, 0, &disk), IOERR);
	assert_int_equal(check_seg(VIRTIO_BLK_T_DISCARD, 0, 1, 0, &disk), IOERR);
	assert_int_equal(check_seg(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0, &disk), IOERR);
	assert_int_equal(check_rw(VIRTIO_BLK_T_FLUSH, 0, 0, &disk), OK);
	assert_int_equal(check_rw(VIRTIO_BLK_T_GET_ID, 0, 20, &disk), OK);
}

/* 5.2.6.2: a type that the device doesn't know is UNSUPP. 4 is FLUSH, 8 GET_ID. */
static void test_types(void **state)
{
	struct blk_disk disk = make_disk(512);
	uint32_t unknown[] = {2,  3,  5,  6,           7,           9,        10,         12,
			      14, 15, 16, 0x80000000u, 0x80000001u, 0x10000u, 0xffffffffu};

	(void)state;
	assert_int_equal(check_rw(4, UINT64_MAX, 0, &disk), OK);
	assert_int_equal(check_rw(8, UINT64_MAX, 20, &disk), OK);
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		assert_int_equal(check_rw(unknown[i], 0, 512, &disk), UNSUPP);
		disk.readonly = !disk.readonly;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rw_bounds),
		cmocka_unit_test(test_rw_whole_blocks),
		cmocka_unit_test(test_capacity_changes),
		cmocka_unit_test(test_segment_flags),
		cmocka_unit_test(test_segment_bounds),
		cmocka_unit_test(test_not_offered),
		cmocka_unit_test(test_segment_lengths),
		cmocka_unit_test(test_segments_cut_anywhere),
		cmocka_unit_test(test_any_bad_segment),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests_name("blk_check", tests, NULL, NULL);
}
