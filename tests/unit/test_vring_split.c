/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Walking descriptor chains: which are accepted, what they become, which faults break the queue.
 */
#include "base/compiler.h"
#include "lib/bench.h"
#include "lib/unit.h"

#define SIZE 8

static int setup(void **state)
{
	static struct bench bench;

	bench_init(&bench, SIZE, false);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	bench_fini(*state);
	return 0;
}

static void test_direct_chain(void **state)
{
	struct bench *b = *state;

	driver_desc(&b->drv, 5, BUF_GPA, 16, DESC_NEXT, 2);
	driver_desc(&b->drv, 2, BUF_GPA + 0x100, 512, DESC_NEXT | DESC_WRITE, 7);
	driver_desc(&b->drv, 7, BUF_GPA + 0x80, 1, DESC_WRITE, 0xffff);
	assert_sound(bench_take(b, 5));
	assert_int_equal(b->chain.id, 5);
	bench_assert_counts(b, 1, 16, 2, 513);
	bench_assert_piece(b, 0, BUF_GPA, 16);
	bench_assert_piece(b, 1, BUF_GPA + 0x100, 512);
	bench_assert_piece(b, 2, BUF_GPA + 0x80, 1);
	assert_ptr_equal(b->chain.last_writable, guest_byte(&b->guest, BUF_GPA + 0x80));
}

static void test_one_sided_chains(void **state)
{
	struct bench *b = *state;

	driver_desc(&b->drv, 0, BUF_GPA, 100, 0, 0);
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, 1, 100, 0, 0);
	driver_desc(&b->drv, 0, BUF_GPA, 100, DESC_WRITE, 0);
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, 0, 0, 1, 100);
	assert_ptr_equal(b->chain.last_writable, guest_byte(&b->guest, BUF_GPA + 99));
}

/* 2.7.5.3.2: the device ignores the write-only flag of the descriptor that refers to a table. */
static void test_indirect_chain(void **state)
{
	struct bench *b = *state;
	uint16_t flags[] = {DESC_INDIRECT, DESC_INDIRECT | DESC_WRITE};

	for (size_t i = 0; i < 2; i++) {
		driver_desc(&b->drv, 3, TABLE_GPA, 3 * DESC_BYTES, flags[i], 6);
		driver_desc_at(&b->drv, TABLE_GPA, 0, BUF_GPA, 16, DESC_NEXT, 2);
		driver_desc_at(&b->drv, TABLE_GPA, 2, FAR_GPA, 20, DESC_NEXT, 1);
		driver_desc_at(&b->drv, TABLE_GPA, 1, BUF_GPA + 64, 5, DESC_WRITE, 0);
		assert_sound(bench_take(b, 3));
		assert_int_equal(b->chain.id, 3);
		bench_assert_counts(b, 2, 36, 1, 5);
		bench_assert_piece(b, 0, BUF_GPA, 16);
		bench_assert_piece(b, 1, FAR_GPA, 20);
		bench_assert_piece(b, 2, BUF_GPA + 64, 5);
		assert_ptr_equal(b->chain.last_writable, guest_byte(&b->guest, BUF_GPA + 68));
	}
}

static void test_direct_then_indirect(void **state)
{
	struct bench *b = *state;

	driver_desc(&b->drv, 0, BUF_GPA, 16, DESC_NEXT, 4);
	driver_desc(&b->drv, 4, BUF_GPA + 16, 8, DESC_NEXT, 1);
	driver_desc(&b->drv, 1, TABLE_GPA, 2 * DESC_BYTES, DESC_INDIRECT, 0);
	driver_desc_at(&b->drv, TABLE_GPA, 0, BUF_GPA + 24, 8, DESC_NEXT, 1);
	driver_desc_at(&b->drv, TABLE_GPA, 1, BUF_GPA + 256, 1, DESC_WRITE, 0);
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, 3, 32, 1, 1);
	bench_assert_piece(b, 1, BUF_GPA + 16, 8);
	bench_assert_piece(b, 2, BUF_GPA + 24, 8);
	bench_assert_piece(b, 3, BUF_GPA + 256, 1);
}

/* Entries 0 and 1 lie at the end of LOW, 2 and 3 at the begin of NEXT, elsewhere in our memory. */
static void test_indirect_table_crosses_regions(void **state)
{
	struct bench *b = *state;
	uint64_t table = LOW_END - 2 * DESC_BYTES;

	driver_desc(&b->drv, 0, table, 4 * DESC_BYTES, DESC_INDIRECT, 0);
	for (uint32_t i = 0; i < 3; i++)
		driver_desc_at(&b->drv, table, i, BUF_GPA + i * 16, 16, DESC_NEXT,
			       (uint16_t)(i + 1));
	driver_desc_at(&b->drv, table, 3, BUF_GPA + 64, 1, DESC_WRITE, 0);
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, 3, 48, 1, 1);
	for (uint32_t i = 0; i < 3; i++)
		bench_assert_piece(b, i, BUF_GPA + i * 16, 16);
	bench_assert_piece(b, 3, BUF_GPA + 64, 1);
}

/* 2.7 aligns the ring's own parts, 2.7.5.3 says nothing about the address of an indirect table. */
static void test_indirect_table_misaligned(void **state)
{
	struct bench *b = *state;

	for (uint64_t table = TABLE_GPA; table < TABLE_GPA + 16; table++) {
		driver_desc(&b->drv, 0, table, 2 * DESC_BYTES, DESC_INDIRECT, 0);
		driver_desc_at(&b->drv, table, 0, BUF_GPA, 16, DESC_NEXT, 1);
		driver_desc_at(&b->drv, table, 1, BUF_GPA + 64, 1, DESC_WRITE, 0);
		assert_sound(bench_take(b, 0));
		bench_assert_counts(b, 1, 16, 1, 1);
		bench_assert_piece(b, 1, BUF_GPA + 64, 1);
	}
}

/* An entry may itself lie in two regions then. */
static void test_indirect_entry_crosses_regions(void **state)
{
	struct bench *b = *state;

	for (uint64_t table = LOW_END - 2 * DESC_BYTES; table <= LOW_END; table++) {
		driver_desc(&b->drv, 0, table, 2 * DESC_BYTES, DESC_INDIRECT, 0);
		driver_desc_at(&b->drv, table, 0, BUF_GPA + 64, 16, DESC_NEXT, 1);
		driver_desc_at(&b->drv, table, 1, BUF_GPA, 1, DESC_WRITE, 0);
		assert_sound(bench_take(b, 0));
		bench_assert_counts(b, 1, 16, 1, 1);
		bench_assert_piece(b, 0, BUF_GPA + 64, 16);
		bench_assert_piece(b, 1, BUF_GPA, 1);
	}
}

static void test_indirect_table_in_a_hole(void **state)
{
	struct bench *b = *state;
	uint64_t table = NEXT_END - DESC_BYTES;

	driver_desc_at(&b->drv, table, 0, BUF_GPA, 16, DESC_NEXT, 1);
	driver_desc(&b->drv, 0, table, 2 * DESC_BYTES, DESC_INDIRECT, 0);
	assert_fault(bench_take(b, 0), "outside of the guest's memory");
	driver_desc(&b->drv, 0, NEXT_END, DESC_BYTES, DESC_INDIRECT, 0);
	assert_fault(bench_take(b, 0), "outside of the guest's memory");
	driver_desc(&b->drv, 0, UINT64_MAX - 15, 2 * DESC_BYTES, DESC_INDIRECT, 0);
	assert_fault(bench_take(b, 0), "outside of the guest's memory");
}

static void test_indirect_table_lengths(void **state)
{
	struct bench *b = *state;
	uint32_t bad[] = {0, 1, 8, 15, 17, 24, 31, UINT32_MAX};

	driver_desc_at(&b->drv, TABLE_GPA, 0, BUF_GPA, 16, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		driver_desc(&b->drv, 0, TABLE_GPA, bad[i], DESC_INDIRECT, 0);
		assert_fault(bench_take(b, 0), "multiple of 16");
	}
	driver_desc(&b->drv, 0, TABLE_GPA, DESC_BYTES, DESC_INDIRECT, 0);
	assert_sound(bench_take(b, 0));
}

static void test_indirect_is_last_and_not_nested(void **state)
{
	struct bench *b = *state;

	driver_desc(&b->drv, 0, TABLE_GPA, DESC_BYTES, DESC_INDIRECT | DESC_NEXT, 1);
	driver_desc(&b->drv, 1, BUF_GPA, 1, DESC_WRITE, 0);
	driver_desc_at(&b->drv, TABLE_GPA, 0, BUF_GPA, 16, 0, 0);
	assert_fault(bench_take(b, 0), "both indirect and continued");

	driver_desc(&b->drv, 0, TABLE_GPA, DESC_BYTES, DESC_INDIRECT, 1);
	driver_desc_at(&b->drv, TABLE_GPA, 0, TABLE_GPA, DESC_BYTES, DESC_INDIRECT, 0);
	assert_fault(bench_take(b, 0), "nested");
	driver_desc_at(&b->drv, TABLE_GPA, 0, TABLE_GPA + DESC_BYTES, DESC_BYTES,
		       DESC_INDIRECT | DESC_NEXT, 0);
	assert_fault(bench_take(b, 0), "nested");
}

static void test_next_out_of_the_table(void **state)
{
	struct bench *b = *state;
	uint16_t bad[] = {SIZE, SIZE + 1, 0x8000, 0xffff};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		driver_desc(&b->drv, 0, BUF_GPA, 16, DESC_NEXT, bad[i]);
		assert_fault(bench_take(b, 0), "next is outside");
	}
	driver_desc(&b->drv, 0, BUF_GPA, 16, DESC_NEXT, SIZE - 1);
	assert_sound(bench_take(b, 0));
}

/* The table's own length counts, not the queue's size, nor what lies behind it in memory. */
static void test_next_out_of_an_indirect_table(void **state)
{
	struct bench *b = *state;
	uint16_t bad[] = {2, 3, 0xffff};

	driver_desc(&b->drv, 0, TABLE_GPA, 2 * DESC_BYTES, DESC_INDIRECT, 0);
	driver_desc_at(&b->drv, TABLE_GPA, 1, BUF_GPA, 16, 0, 0);
	driver_desc_at(&b->drv, TABLE_GPA, 2, BUF_GPA, 16, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		driver_desc_at(&b->drv, TABLE_GPA, 0, BUF_GPA, 16, DESC_NEXT, bad[i]);
		assert_fault(bench_take(b, 0), "next is outside");
	}
	driver_desc_at(&b->drv, TABLE_GPA, 0, BUF_GPA, 16, DESC_NEXT, 1);
	assert_sound(bench_take(b, 0));
}

static void test_head_out_of_the_table(void **state)
{
	struct bench *b = *state;
	uint16_t bad[] = {SIZE, SIZE + 1, 0x7fff, 0xffff};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_fault(bench_take(b, bad[i]), "available entry is outside");
	driver_set_avail_idx(&b->drv, b->vr.last_avail_idx);
	driver_desc(&b->drv, SIZE - 1, BUF_GPA, 16, 0, 0);
	assert_sound(bench_take(b, SIZE - 1));
}

static void test_loops(void **state)
{
	struct bench *b = *state;

	driver_desc(&b->drv, 0, BUF_GPA, 16, DESC_NEXT, 0);
	assert_fault(bench_take(b, 0), "loops");
	for (uint32_t i = 0; i < SIZE; i++)
		driver_desc(&b->drv, i, BUF_GPA, 0, DESC_NEXT, (uint16_t)((i + 1) % SIZE));
	assert_fault(bench_take(b, 3), "loops");

	driver_desc(&b->drv, 0, TABLE_GPA, 2 * DESC_BYTES, DESC_INDIRECT, 0);
	driver_desc_at(&b->drv, TABLE_GPA, 0, BUF_GPA, 16, DESC_NEXT, 1);
	driver_desc_at(&b->drv, TABLE_GPA, 1, BUF_GPA, 16, DESC_NEXT, 0);
	assert_fault(bench_take(b, 0), "loops");
}

/* A direct chain may use the whole ring. */
static void test_direct_chain_as_long_as_the_queue(void **state)
{
	struct bench *b = *state;

	for (uint32_t i = 0; i < SIZE; i++)
		driver_desc(&b->drv, i, BUF_GPA + i, 1, i + 1 < SIZE ? DESC_NEXT : 0,
			    (uint16_t)(i + 1));
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, SIZE, SIZE, 0, 0);
}

/* Behind the ring's own table lies the available ring: entry SIZE is none. */
static void test_direct_chain_longer_than_the_queue(void **state)
{
	struct bench *b = *state;

	for (uint32_t i = 0; i < SIZE; i++)
		driver_desc(&b->drv, i, BUF_GPA + i, 1, DESC_NEXT, (uint16_t)(i + 1));
	assert_fault(bench_take(b, 0), "next is outside");
	driver_desc(&b->drv, SIZE - 1, BUF_GPA, 1, DESC_NEXT, 0);
	assert_fault(bench_take(b, 1), "longer than the queue or loops");
}

/* Entries of one byte first, as many as an iov holds; the others are empty. */
static void indirect_chain(struct bench *b, uint32_t n)
{
	driver_desc(&b->drv, 0, TABLE_GPA, n * DESC_BYTES, DESC_INDIRECT, 0);
	for (uint32_t i = 0; i < n; i++)
		driver_desc_at(&b->drv, TABLE_GPA, i, BUF_GPA + i, i < CHAIN_IOV_MAX,
			       i + 1 < n ? DESC_NEXT : 0, (uint16_t)(i + 1));
}

/* Tables may be longer than the ring: Linux fills them up to SEG_MAX whatever the ring's size. */
static void test_indirect_chain_lengths(void **state)
{
	struct bench *b = *state;
	uint32_t good[] = {1, SIZE - 1, SIZE, SIZE + 1, 128, CHAIN_IOV_MAX};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		indirect_chain(b, good[i]);
		assert_sound(bench_take(b, 0));
		bench_assert_counts(b, good[i], good[i], 0, 0);
	}
	indirect_chain(b, VRING_SIZE_MAX);
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, CHAIN_IOV_MAX, CHAIN_IOV_MAX, 0, 0);
	indirect_chain(b, VRING_SIZE_MAX + 1);
	assert_fault(bench_take(b, 0), "longer than the queue or loops");
}

static void test_zero_length_descriptors_hold_nothing(void **state)
{
	struct bench *b = *state;

	driver_desc(&b->drv, 0, BUF_GPA, 0, DESC_NEXT, 1);
	driver_desc(&b->drv, 1, BUF_GPA + 1, 16, DESC_NEXT, 2);
	driver_desc(&b->drv, 2, FAR_END, 0, DESC_NEXT, 3); /* no address is looked up */
	driver_desc(&b->drv, 3, BUF_GPA + 32, 2, DESC_NEXT | DESC_WRITE, 4);
	driver_desc(&b->drv, 4, UINT64_MAX, 0, DESC_WRITE, 0);
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, 1, 16, 1, 2);
	bench_assert_piece(b, 0, BUF_GPA + 1, 16);
	bench_assert_piece(b, 1, BUF_GPA + 32, 2);
	assert_ptr_equal(b->chain.last_writable, guest_byte(&b->guest, BUF_GPA + 33));

	driver_desc(&b->drv, 0, BUF_GPA, 0, 0, 0);
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, 0, 0, 0, 0);
}

/* 2.7.4.2: device-readable ones come first. */
static void test_readable_after_writable(void **state)
{
	struct bench *b = *state;

	driver_desc(&b->drv, 0, BUF_GPA, 16, DESC_NEXT | DESC_WRITE, 1);
	driver_desc(&b->drv, 1, BUF_GPA, 16, 0, 0);
	assert_fault(bench_take(b, 0), "device-readable descriptor follows");
	driver_desc(&b->drv, 1, TABLE_GPA, DESC_BYTES, DESC_INDIRECT, 0);
	driver_desc_at(&b->drv, TABLE_GPA, 0, BUF_GPA, 16, 0, 0);
	assert_fault(bench_take(b, 0), "device-readable descriptor follows");
}

static void test_buffers_outside_of_the_memory(void **state)
{
	struct bench *b = *state;
	struct {
		uint64_t gpa;
		uint32_t n_bytes;
	} bad[] = {
		{0, 1},
		{LOW_GPA - 1, 1},
		{LOW_GPA - 1, 2},
		{NEXT_END, 1},
		{NEXT_END - 1, 2},
		{FAR_GPA - 1, 2},
		{FAR_END - 16, 17},
		{UINT64_MAX, 1},
		{UINT64_MAX, 0x2000},
		{FAR_GPA, UINT32_MAX},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		driver_desc(&b->drv, 0, bad[i].gpa, bad[i].n_bytes, 0, 0);
		assert_fault(bench_take(b, 0), "outside of the guest's memory");
		driver_desc(&b->drv, 0, bad[i].gpa, bad[i].n_bytes, DESC_WRITE, 0);
		assert_fault(bench_take(b, 0), "outside of the guest's memory");
	}
}

static void test_buffer_crosses_regions(void **state)
{
	struct bench *b = *state;

	driver_desc(&b->drv, 0, LOW_END - 3, 10, DESC_NEXT, 1);
	driver_desc(&b->drv, 1, LOW_END - 1, 2, DESC_WRITE, 0);
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, 2, 10, 2, 2);
	bench_assert_piece(b, 0, LOW_END - 3, 3);
	bench_assert_piece(b, 1, NEXT_GPA, 7);
	bench_assert_piece(b, 2, LOW_END - 1, 1);
	bench_assert_piece(b, 3, NEXT_GPA, 1);
	assert_ptr_equal(b->chain.last_writable, guest_byte(&b->guest, NEXT_GPA));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_direct_chain),
		TEST(test_one_sided_chains),
		TEST(test_indirect_chain),
		TEST(test_direct_then_indirect),
		TEST(test_indirect_table_crosses_regions),
		TEST(test_indirect_table_misaligned),
		TEST(test_indirect_entry_crosses_regions),
		TEST(test_indirect_table_in_a_hole),
		TEST(test_indirect_table_lengths),
		TEST(test_indirect_is_last_and_not_nested),
		TEST(test_next_out_of_the_table),
		TEST(test_next_out_of_an_indirect_table),
		TEST(test_head_out_of_the_table),
		TEST(test_loops),
		TEST(test_direct_chain_as_long_as_the_queue),
		TEST(test_direct_chain_longer_than_the_queue),
		TEST(test_indirect_chain_lengths),
		TEST(test_zero_length_descriptors_hold_nothing),
		TEST(test_readable_after_writable),
		TEST(test_buffers_outside_of_the_memory),
		TEST(test_buffer_crosses_regions),
	};

	return cmocka_run_group_tests_name("vring_split", tests, NULL, NULL);
}
