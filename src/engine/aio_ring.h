/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The completion ring of an io_context, which io_setup() maps into the process (the kernel's
 * fs/aio.c, struct aio_ring): completions are taken from it without a system call.
 */
#ifndef ENGINE_AIO_RING_H
#define ENGINE_AIO_RING_H

#include <libaio.h>
#include <stdbool.h>
#include <stddef.h>

#define AIO_RING_MAGIC 0xa10a10a1u

struct aio_ring {
	unsigned int id;
	unsigned int nr;
	unsigned int head; /* ours */
	unsigned int tail; /* the kernel's */
	unsigned int magic;
	unsigned int compat_features;
	unsigned int incompat_features;
	unsigned int header_length;
	struct io_event events[];
};

/** NULL: it is not laid out as we know it, and io_getevents() is needed. */
static inline struct aio_ring *aio_ring_of(io_context_t context)
{
	struct aio_ring *ring = (struct aio_ring *)(void *)context;

	return ring->magic == AIO_RING_MAGIC && !ring->incompat_features ? ring : NULL;
}

/** The next completion. The tail is read with acquire (partner: the kernel's write barrier in
 *  aio_complete()), the head written with release. */
static inline bool aio_ring_take(struct aio_ring *ring, struct io_event *ret_event)
{
	unsigned int head = ring->head;

	if (head == __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE))
		return false;
	*ret_event = ring->events[head];
	head = head + 1 == ring->nr ? 0 : head + 1;
	__atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
	return true;
}

#endif
