/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Chains of more pieces than fit into an iov: the status is found, the iov is not overrun, the
 * queue is not broken. Rings of 256 descriptors.
 */
#include "lib/bench.h"
#include "lib/unit.h"
#include "pure/blkreq.h"

#define SIZE       256
#define STATUS_GPA (FAR_GPA + 0x800)

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

/* A header of 16 bytes for `type`, n - 2 buffers of one byte, a status. */
static void write_chain(struct bench *b, uint8_t type, uint32_t n)
{
	uint16_t flags = type == VIRTIO_BLK_T_IN ? DESC_WRITE | DESC_NEXT : DESC_NEXT;

	guest_write(&b->guest, FAR_GPA, (uint8_t[16]){type}, 16);
	driver_desc(&b->drv, 0, FAR_GPA, 16, DESC_NEXT, 1);
	for (uint32_t i = 1; i < n - 1; i++)
		driver_desc(&b->drv, i, BUF_GPA + i, 1, flags, (uint16_t)(i + 1));
	driver_desc(&b->drv, n - 1, STATUS_GPA, 1, DESC_WRITE, 0);
}

static void assert_too_long(struct bench *b, unsigned int n_readable, unsigned int n_writable)
{
	struct blk_request req;

	assert_true(b->chain.too_long);
	assert_int_equal(b->chain.n_readable, n_readable);
	assert_int_equal(b->chain.n_writable, n_writable);
	assert_ptr_equal(b->chain.last_writable, guest_byte(&b->guest, STATUS_GPA));
	assert_sound(blk_request_parse(&b->chain, &req));
	assert_ptr_equal(req.status, guest_byte(&b->guest, STATUS_GPA));
	assert_int_equal(req.n_payload, 0);
	for (unsigned int i = 1; i < CHAIN_IOV_MAX; i++)
		bench_assert_piece(b, i, BUF_GPA + i, 1);
}

static void test_just_fits(void **state)
{
	struct bench *b = *state;

	write_chain(b, VIRTIO_BLK_T_OUT, CHAIN_IOV_MAX);
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, CHAIN_IOV_MAX - 1, 16 + CHAIN_IOV_MAX - 2, 1, 1);
	write_chain(b, VIRTIO_BLK_T_IN, CHAIN_IOV_MAX);
	assert_sound(bench_take(b, 0));
	bench_assert_counts(b, 1, 16, CHAIN_IOV_MAX - 1, CHAIN_IOV_MAX - 1);
}

static void test_write_one_too_many(void **state)
{
	struct bench *b = *state;

	write_chain(b, VIRTIO_BLK_T_OUT, CHAIN_IOV_MAX + 1);
	assert_sound(bench_take(b, 0));
	assert_too_long(b, CHAIN_IOV_MAX, 0);
	assert_int_equal(b->chain.readable_bytes, 16 + CHAIN_IOV_MAX - 1);
	assert_int_equal(b->chain.writable_bytes, 1);
}

static void test_read_one_too_many(void **state)
{
	struct bench *b = *state;

	write_chain(b, VIRTIO_BLK_T_IN, CHAIN_IOV_MAX + 1);
	assert_sound(bench_take(b, 0));
	assert_too_long(b, 1, CHAIN_IOV_MAX - 1);
	assert_int_equal(b->chain.writable_bytes, CHAIN_IOV_MAX);
}

static void test_whole_ring(void **state)
{
	struct bench *b = *state;

	write_chain(b, VIRTIO_BLK_T_OUT, SIZE);
	assert_sound(bench_take(b, 0));
	assert_too_long(b, CHAIN_IOV_MAX, 0);
	write_chain(b, VIRTIO_BLK_T_IN, SIZE);
	assert_sound(bench_take(b, 0));
	assert_too_long(b, 1, CHAIN_IOV_MAX - 1);
}

/* The last descriptor that there is a place for crosses a border: its second half has none. */
static void test_last_buffer_is_cut(void **state)
{
	struct bench *b = *state;

	write_chain(b, VIRTIO_BLK_T_IN, CHAIN_IOV_MAX);
	driver_desc(&b->drv, CHAIN_IOV_MAX - 1, LOW_END - 5, 7, DESC_WRITE, 0);
	assert_sound(bench_take(b, 0));
	assert_true(b->chain.too_long);
	assert_int_equal(b->chain.n_writable, CHAIN_IOV_MAX - 1);
	assert_int_equal(b->chain.writable_bytes, CHAIN_IOV_MAX - 2 + 7);
	bench_assert_piece(b, CHAIN_IOV_MAX - 1, LOW_END - 5, 5);
	assert_ptr_equal(b->chain.last_writable, guest_byte(&b->guest, NEXT_GPA + 1));
}

/* With a longer iov the same chain is whole. */
static void test_taken_again_with_room(void **state)
{
	static struct iovec big[CHAIN_IOV_BIG];
	struct bench *b = *state;
	struct blk_request req = {0};

	write_chain(b, VIRTIO_BLK_T_IN, SIZE);
	assert_sound(bench_take(b, 0));
	assert_true(b->chain.too_long);
	vring_split_untake(&b->vr);
	b->chain = (struct chain){.iov = big, .n_iov_max = CHAIN_IOV_BIG};
	assert_sound(vring_split_take(&b->vr, &b->guest.mem, &b->chain));
	bench_assert_counts(b, 1, 16, SIZE - 1, SIZE - 1);
	assert_sound(blk_request_parse(&b->chain, &req));
	assert_int_equal(req.payload_bytes, SIZE - 2);
	assert_int_equal(req.n_payload, SIZE - 2);
	assert_ptr_equal(req.payload[SIZE - 3].iov_base, guest_byte(&b->guest, BUF_GPA + SIZE - 2));
}

/* Faults are found behind the last piece that there is a place for, too. */
static void test_faults_behind_the_iov(void **state)
{
	struct bench *b = *state;

	write_chain(b, VIRTIO_BLK_T_IN, SIZE);
	driver_desc(&b->drv, SIZE - 1, NEXT_END, 1, DESC_WRITE, 0);
	assert_fault(bench_take(b, 0), "outside of the guest's memory");
	driver_desc(&b->drv, SIZE - 1, STATUS_GPA, 1, DESC_WRITE | DESC_NEXT, 0);
	assert_fault(bench_take(b, 0), "loops");
	driver_desc(&b->drv, SIZE - 1, STATUS_GPA, 1, 0, 0);
	assert_fault(bench_take(b, 0), "device-readable descriptor follows");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_just_fits),
		TEST(test_write_one_too_many),
		TEST(test_read_one_too_many),
		TEST(test_whole_ring),
		TEST(test_last_buffer_is_cut),
		TEST(test_faults_behind_the_iov),
		TEST(test_taken_again_with_room),
	};

	return cmocka_run_group_tests_name("vring_long", tests, NULL, NULL);
}
