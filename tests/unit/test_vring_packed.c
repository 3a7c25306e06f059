/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Descriptor chains of packed virtqueues: which are accepted, what they become, which faults break
 * the queue.
 */
#include "base/compiler.h"
#include "lib/bench.h"
#include "lib/unit.h"

#define SIZE 7 /* no power of two */

static int setup(void **state)
{
	static struct bench bench;

	bench_init_packed(&bench, SIZE, false);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	bench_fini(*state);
	return 0;
}

/* After a fault: the ring is as it was at the start. */
static void again(struct bench *b)
{
	b->pdrv.next = 0;
	b->pdrv.wrap = true;
	packed_connect(&b->pdrv, &b->pvr, false, -1);
}

static void test_direct_chain(void **state)
{
	struct bench *b = *state;

	assert_int_equal(vring_packed_n_avail(&b->pvr), 0);
	packed_desc(&b->pdrv, BUF_GPA, 16, DESC_NEXT, 0xffff);
	packed_desc(&b->pdrv, BUF_GPA + 0x100, 512, DESC_NEXT | DESC_WRITE, SIZE);
	packed_desc(&b->pdrv, BUF_GPA + 0x80, 1, DESC_WRITE, 5);
	assert_int_equal(vring_packed_n_avail(&b->pvr), 1);
	assert_sound(bench_take_packed(b));
	assert_int_equal(vring_packed_n_avail(&b->pvr), 0);
	assert_int_equal(b->chain.id, 5); /* the last one's */
	assert_int_equal(b->chain.n_slots, 3);
	bench_assert_counts(b, 1, 16, 2, 513);
	bench_assert_piece(b, 0, BUF_GPA, 16);
	bench_assert_piece(b, 1, BUF_GPA + 0x100, 512);
	bench_assert_piece(b, 2, BUF_GPA + 0x80, 1);
	assert_ptr_equal(b->chain.last_writable, guest_byte(&b->guest, BUF_GPA + 0x80));
}

/* Only WRITE counts in a table; its entries are the chain, in order, whatever else they say. */
static void test_indirect_chain(void **state)
{
	struct bench *b = *state;
	uint16_t flags[] = {DESC_INDIRECT, DESC_INDIRECT | DESC_WRITE};

	for (uint16_t i = 0; i < 2; i++) {
		packed_desc(&b->pdrv, TABLE_GPA, 3 * DESC_BYTES, flags[i], i);
		packed_desc_at(&b->pdrv, TABLE_GPA, 0, BUF_GPA, 16, 0, 2);
		packed_desc_at(&b->pdrv, TABLE_GPA, 1, FAR_GPA, 20, DESC_NEXT | DESC_INDIRECT, 1);
		packed_desc_at(&b->pdrv, TABLE_GPA, 2, BUF_GPA + 64, 5, DESC_WRITE | DESC_NEXT, 0);
		assert_sound(bench_take_packed(b));
		assert_int_equal(b->chain.id, i);
		assert_int_equal(b->chain.n_slots, 1);
		assert_int_equal(b->chain.n_descs, 4);
		bench_assert_counts(b, 2, 36, 1, 5);
		bench_assert_piece(b, 0, BUF_GPA, 16);
		bench_assert_piece(b, 1, FAR_GPA, 20);
		bench_assert_piece(b, 2, BUF_GPA + 64, 5);
	}
}

/* Entries 0 and 1 lie at the end of LOW, 2 and 3 at the begin of NEXT, elsewhere in our memory. */
static void test_indirect_table_crosses_regions(void **state)
{
	struct bench *b = *state;
	uint64_t table = LOW_END - 2 * DESC_BYTES - 8;

	packed_desc(&b->pdrv, table, 4 * DESC_BYTES, DESC_INDIRECT, 0);
	for (uint32_t i = 0; i < 4; i++)
		packed_desc_at(&b->pdrv, table, i, BUF_GPA + i * 16, 16, i == 3 ? DESC_WRITE : 0,
			       0);
	assert_sound(bench_take_packed(b));
	bench_assert_counts(b, 3, 48, 1, 16);
	for (uint32_t i = 0; i < 4; i++)
		bench_assert_piece(b, i, BUF_GPA + i * 16, 16);
}

static void test_indirect_table_lengths(void **state)
{
	struct bench *b = *state;
	uint32_t bad[] = {0, 1, 15, 17, 3 * DESC_BYTES - 1};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		packed_desc(&b->pdrv, TABLE_GPA, bad[i], DESC_INDIRECT, 0);
		assert_fault(bench_take_packed(b), "not a multiple of 16");
		again(b);
	}
	packed_desc(&b->pdrv, NEXT_END - DESC_BYTES, 2 * DESC_BYTES, DESC_INDIRECT, 0);
	assert_fault(bench_take_packed(b), "indirect table is outside");
	again(b);
	packed_desc(&b->pdrv, TABLE_GPA, (VRING_SIZE_MAX + 1) * DESC_BYTES, DESC_INDIRECT, 0);
	assert_fault(bench_take_packed(b), "longer than a queue can be");
}

/* Longer than the queue is right, as in a split ring. */
static void test_indirect_table_longer_than_the_queue(void **state)
{
	struct bench *b = *state;

	for (uint32_t i = 0; i < VRING_SIZE_MAX; i++)
		packed_desc_at(&b->pdrv, TABLE_GPA, i, BUF_GPA + i, i < CHAIN_IOV_MAX, 0, 0);
	packed_desc(&b->pdrv, TABLE_GPA, VRING_SIZE_MAX * DESC_BYTES, DESC_INDIRECT, 0);
	assert_sound(bench_take_packed(b));
	bench_assert_counts(b, CHAIN_IOV_MAX, CHAIN_IOV_MAX, 0, 0);
}

/* 2.8.7: a list has descriptors of one kind only. */
static void test_indirect_in_a_list(void **state)
{
	struct bench *b = *state;

	packed_desc_at(&b->pdrv, TABLE_GPA, 0, BUF_GPA, 16, 0, 0);
	packed_desc(&b->pdrv, TABLE_GPA, DESC_BYTES, DESC_INDIRECT | DESC_NEXT, 0);
	packed_desc(&b->pdrv, BUF_GPA, 1, DESC_WRITE, 0);
	assert_fault(bench_take_packed(b), "part of a chain");
	again(b);
	packed_desc(&b->pdrv, BUF_GPA, 16, DESC_NEXT, 0);
	packed_desc(&b->pdrv, TABLE_GPA, DESC_BYTES, DESC_INDIRECT, 0);
	assert_fault(bench_take_packed(b), "part of a chain");
}

static void test_ids(void **state)
{
	struct bench *b = *state;

	packed_desc(&b->pdrv, BUF_GPA, 16, 0, SIZE - 1);
	assert_sound(bench_take_packed(b));
	packed_desc(&b->pdrv, BUF_GPA, 16, 0, SIZE);
	assert_fault(bench_take_packed(b), "buffer id");
	packed_desc(&b->pdrv, BUF_GPA, 16, 0, 0xffff);
	assert_fault(bench_take_packed(b), "buffer id");
}

static void test_chain_as_long_as_the_queue(void **state)
{
	struct bench *b = *state;

	for (uint16_t i = 0; i < SIZE; i++)
		packed_desc(&b->pdrv, BUF_GPA + i, 1, i + 1 < SIZE ? DESC_NEXT : 0, 3);
	assert_sound(bench_take_packed(b));
	bench_assert_counts(b, SIZE, SIZE, 0, 0);
	assert_int_equal(b->chain.n_slots, SIZE);
	assert_int_equal(vring_packed_n_avail(&b->pvr), 0);
}

/* One that goes on at the ring's start meets descriptors it already has. */
static void test_chain_without_an_end(void **state)
{
	struct bench *b = *state;

	for (uint16_t i = 0; i < SIZE; i++)
		packed_desc(&b->pdrv, BUF_GPA + i, 1, DESC_NEXT, 3);
	assert_fault(bench_take_packed(b), "more descriptors");
}

static void test_chain_goes_on_where_nothing_is(void **state)
{
	struct bench *b = *state;

	packed_desc(&b->pdrv, BUF_GPA, 16, DESC_NEXT, 0);
	assert_fault(bench_take_packed(b), "isn't available");
}

/* What the driver offers while it is still in flight: 2.8.12. */
static void test_available_before_used(void **state)
{
	struct bench *b = *state;

	for (uint16_t i = 0; i < SIZE; i++) {
		packed_desc(&b->pdrv, BUF_GPA, 16, 0, i);
		assert_sound(bench_take_packed(b));
	}
	packed_desc(&b->pdrv, BUF_GPA, 16, 0, 0);
	assert_int_equal(vring_packed_n_avail(&b->pvr), 1);
	assert_fault(bench_take_packed(b), "more descriptors");
	assert_int_equal(b->chain.n_slots, 0);
	vring_packed_put_used(&b->pvr, 3, 1, 0);
	vring_packed_publish(&b->pvr); /* over what the driver has just written */
	packed_desc_at(&b->pdrv, b->pdrv.desc_gpa, 0, BUF_GPA, 16, DESC_USED, 0);
	assert_sound(bench_take_packed(b));
}

static void test_readable_after_writable(void **state)
{
	struct bench *b = *state;

	packed_desc(&b->pdrv, BUF_GPA, 16, DESC_NEXT | DESC_WRITE, 1);
	packed_desc(&b->pdrv, BUF_GPA, 16, 0, 0);
	assert_fault(bench_take_packed(b), "device-readable descriptor follows");
	again(b);
	packed_desc(&b->pdrv, TABLE_GPA, 2 * DESC_BYTES, DESC_INDIRECT, 0);
	packed_desc_at(&b->pdrv, TABLE_GPA, 0, BUF_GPA, 16, DESC_WRITE, 0);
	packed_desc_at(&b->pdrv, TABLE_GPA, 1, BUF_GPA, 16, 0, 0);
	assert_fault(bench_take_packed(b), "device-readable descriptor follows");
}

static void test_buffers_outside_of_the_memory(void **state)
{
	struct bench *b = *state;
	struct {
		uint64_t gpa;
		uint32_t n_bytes;
	} bad[] = {{0, 1},          {LOW_GPA - 1, 2},   {NEXT_END - 1, 2},    {FAR_GPA - 1, 2},
		   {FAR_END, 1},    {FAR_END - 16, 17}, {UINT64_MAX, 0x2000}, {FAR_GPA, UINT32_MAX},
		   {UINT64_MAX, 1}, {NEXT_END, 1}};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		packed_desc(&b->pdrv, bad[i].gpa, bad[i].n_bytes, i % 2 ? DESC_WRITE : 0, 0);
		assert_fault(bench_take_packed(b), "outside of the guest's memory");
		again(b);
	}
}

static void test_buffer_crosses_regions(void **state)
{
	struct bench *b = *state;

	packed_desc(&b->pdrv, LOW_END - 3, 10, DESC_NEXT, 0);
	packed_desc(&b->pdrv, FAR_GPA, 1, DESC_NEXT, 0); /* not where the last one was */
	packed_desc(&b->pdrv, LOW_END - 1, 2, DESC_WRITE, 0);
	assert_sound(bench_take_packed(b));
	bench_assert_counts(b, 3, 11, 2, 2);
	bench_assert_piece(b, 0, LOW_END - 3, 3);
	bench_assert_piece(b, 1, NEXT_GPA, 7);
	bench_assert_piece(b, 2, FAR_GPA, 1);
	bench_assert_piece(b, 3, LOW_END - 1, 1);
	bench_assert_piece(b, 4, NEXT_GPA, 1);
	assert_ptr_equal(b->chain.last_writable, guest_byte(&b->guest, NEXT_GPA));
}

static void test_zero_length_descriptors_hold_nothing(void **state)
{
	struct bench *b = *state;

	packed_desc(&b->pdrv, FAR_END, 0, DESC_NEXT, 0); /* no address is looked up */
	packed_desc(&b->pdrv, BUF_GPA, 16, DESC_NEXT, 0);
	packed_desc(&b->pdrv, UINT64_MAX, 0, DESC_WRITE, 0);
	assert_sound(bench_take_packed(b));
	bench_assert_counts(b, 1, 16, 0, 0);
	assert_int_equal(b->chain.n_slots, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_direct_chain),
		TEST(test_indirect_chain),
		TEST(test_indirect_table_crosses_regions),
		TEST(test_indirect_table_lengths),
		TEST(test_indirect_table_longer_than_the_queue),
		TEST(test_indirect_in_a_list),
		TEST(test_ids),
		TEST(test_chain_as_long_as_the_queue),
		TEST(test_chain_without_an_end),
		TEST(test_chain_goes_on_where_nothing_is),
		TEST(test_available_before_used),
		TEST(test_readable_after_writable),
		TEST(test_buffers_outside_of_the_memory),
		TEST(test_buffer_crosses_regions),
		TEST(test_zero_length_descriptors_hold_nothing),
	};

	return cmocka_run_group_tests_name("vring_packed", tests, NULL, NULL);
}
