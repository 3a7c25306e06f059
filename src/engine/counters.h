/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a virtqueue has done, over all its connections. The queue's lcore is the only writer;
 * anybody may read (relaxed: each figure is right, a set of them is not a snapshot).
 */
#ifndef ENGINE_COUNTERS_H
#define ENGINE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"

/* X(name, summary) */
#define QUEUE_COUNTERS(X)                                                                          \
	X(reads, "completed IN requests")                                                          \
	X(writes, "completed OUT requests")                                                        \
	X(flushes, "completed FLUSH requests")                                                     \
	X(discards, "completed DISCARD requests")                                                  \
	X(write_zeroes, "completed WRITE_ZEROES requests")                                         \
	X(get_ids, "completed GET_ID requests")                                                    \
	X(read_bytes, "bytes read by completed IN requests")                                       \
	X(written_bytes, "bytes written by completed OUT requests")                                \
	X(io_errors, "requests answered with VIRTIO_BLK_S_IOERR")                                  \
	X(unsupported, "requests answered with VIRTIO_BLK_S_UNSUPP")                               \
	X(interrupts, "used-buffer notifications sent")                                            \
	X(interrupts_relayed, "those of them that a helper thread sent, because they took long")   \
	X(interrupts_saved, "batches completed without one, as the driver asked")                  \
	X(breaks, "times the driver corrupted the ring")                                           \
	X(throttled, "requests that waited for a limit of the disk")                               \
	X(throttled_us, "microseconds in which some did")

#define QUEUE_COUNTER_FIELD(name, summary) _Atomic uint64_t name;
struct queue_counters {
	QUEUE_COUNTERS(QUEUE_COUNTER_FIELD)
} __attribute__((aligned(CACHE_LINE))); /* a disk's virtqueues may be on different lcores */
#undef QUEUE_COUNTER_FIELD

/** Single writer: a plain add, but no torn read elsewhere. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint64_t counter_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)counter, memory_order_relaxed);
}

#endif
