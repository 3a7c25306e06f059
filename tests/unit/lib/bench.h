/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A guest, a driver and the device's side of its ring, split or packed, put together for the tests
 * of the ring.
 * Guest physical memory:
 *
 *   LOW [0x1000, 0x21000)  the ring, buffers      ends where NEXT begins
 *   NEXT [0x21000, 0x22000)                       a hole follows
 *   FAR [0x100000, 0x101000)
 */
#ifndef UNIT_BENCH_H
#define UNIT_BENCH_H

#include "driver.h"
#include "guest.h"
#include "packed.h"
#include "pure/chain.h"
#include "pure/vring_split.h"

#define LOW_GPA   0x1000ull
#define LOW_END   0x21000ull
#define NEXT_GPA  LOW_END
#define NEXT_END  0x22000ull
#define FAR_GPA   0x100000ull
#define FAR_END   0x101000ull
#define TABLE_GPA 0x18000ull /* in LOW, behind any ring: for indirect tables */
#define BUF_GPA   0x20000ull /* in LOW: for buffers */

struct bench {
	struct guest guest;
	struct driver drv;
	struct vring_split vr;
	struct packed pdrv; /* after bench_init_packed(), in place of these two */
	struct vring_packed pvr;
	struct iovec iov[CHAIN_IOV_MAX + 1]; /* the last one is not the device's */
	struct chain chain;
};

void bench_init(struct bench *b, uint16_t size, bool event_idx);
void bench_init_packed(struct bench *b, uint16_t size, bool event_idx);
void bench_fini(struct bench *b);

/** Offers the chain that begins at `head` and takes it. What vring_split_take() returned; aborts if
 *  it wrote past the iov it was given. */
const char *bench_take(struct bench *b, uint16_t head);

/** Takes the next chain of the packed ring, in the same way. */
const char *bench_take_packed(struct bench *b);

/** Asserts that piece i of the chain is [gpa, gpa + n_bytes). */
void bench_assert_piece(const struct bench *b, unsigned int i, uint64_t gpa, size_t n_bytes);

/** Asserts the numbers of pieces and bytes of the chain, which is not too long. */
void bench_assert_counts(const struct bench *b, unsigned int n_readable, uint64_t readable_bytes,
			 unsigned int n_writable, uint64_t writable_bytes);

#endif
