/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <stdlib.h>

#include "unit.h"

static uint8_t canary;

static void init_memory(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	guest_init(&b->guest);
	guest_add(&b->guest, LOW_GPA, LOW_END - LOW_GPA);
	guest_add(&b->guest, FAR_GPA, FAR_END - FAR_GPA);
	guest_add(&b->guest, NEXT_GPA, NEXT_END - NEXT_GPA);
	b->iov[CHAIN_IOV_MAX] = (struct iovec){&canary, 1};
}

void bench_init(struct bench *b, uint16_t size, bool event_idx)
{
	init_memory(b);
	driver_init(&b->drv, &b->guest, LOW_GPA, size);
	driver_connect(&b->drv, &b->vr, event_idx, 0);
}

void bench_init_packed(struct bench *b, uint16_t size, bool event_idx)
{
	init_memory(b);
	packed_init(&b->pdrv, &b->guest, LOW_GPA, size);
	packed_connect(&b->pdrv, &b->pvr, event_idx, -1);
}

void bench_fini(struct bench *b)
{
	guest_fini(&b->guest);
}

static void assert_iov_kept(const struct bench *b)
{
	assert_ptr_equal(b->chain.iov, b->iov);
	assert_int_equal(b->chain.n_iov_max, CHAIN_IOV_MAX);
	assert_ptr_equal(b->iov[CHAIN_IOV_MAX].iov_base, &canary);
	assert_int_equal(b->iov[CHAIN_IOV_MAX].iov_len, 1);
}

const char *bench_take(struct bench *b, uint16_t head)
{
	const char *fault;

	driver_offer(&b->drv, head);
	b->chain.iov = b->iov;
	b->chain.n_iov_max = CHAIN_IOV_MAX;
	fault = vring_split_take(&b->vr, &b->guest.mem, &b->chain);
	assert_iov_kept(b);
	return fault;
}

const char *bench_take_packed(struct bench *b)
{
	const char *fault;

	b->chain.iov = b->iov;
	b->chain.n_iov_max = CHAIN_IOV_MAX;
	fault = vring_packed_take(&b->pvr, &b->guest.mem, &b->chain);
	assert_iov_kept(b);
	return fault;
}

void bench_assert_piece(const struct bench *b, unsigned int i, uint64_t gpa, size_t n_bytes)
{
	assert_ptr_equal(b->iov[i].iov_base, guest_byte(&b->guest, gpa));
	assert_int_equal(b->iov[i].iov_len, n_bytes);
}

void bench_assert_counts(const struct bench *b, unsigned int n_readable, uint64_t readable_bytes,
			 unsigned int n_writable, uint64_t writable_bytes)
{
	assert_false(b->chain.too_long);
	assert_int_equal(b->chain.n_readable, n_readable);
	assert_int_equal(b->chain.readable_bytes, readable_bytes);
	assert_int_equal(b->chain.n_writable, n_writable);
	assert_int_equal(b->chain.writable_bytes, writable_bytes);
	assert_int_equal(b->chain.last_writable == NULL, writable_bytes == 0);
}
