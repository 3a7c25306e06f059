/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The kinds of stores (for store.c) and what they share.
 */
#ifndef ENGINE_STORE_KINDS_H
#define ENGINE_STORE_KINDS_H

#include <stddef.h>

#include "engine/store.h"

extern const struct store_ops store_auto_ops;
extern const struct store_ops store_aio_ops;
extern const struct store_ops store_uring_ops;
extern const struct store_ops store_malloc_ops;
extern const struct store_ops store_null_ops;

/** A first-in-first-out list of operations, linked by io->next. */
struct io_fifo {
	struct store_io *head;
	struct store_io *last;
};

static inline void io_fifo_put(struct io_fifo *fifo, struct store_io *io)
{
	io->next = NULL;
	if (fifo->head)
		fifo->last->next = io;
	else
		fifo->head = io;
	fifo->last = io;
}

static inline struct store_io *io_fifo_get(struct io_fifo *fifo)
{
	struct store_io *io = fifo->head;

	if (io)
		fifo->head = io->next;
	return io;
}

/** Drops n_bytes from the front of the operation's iov, which has at least that many. */
static inline void store_io_advance(struct store_io *io, uint64_t n_bytes)
{
	while (n_bytes > 0) {
		size_t n = io->iov->iov_len < n_bytes ? io->iov->iov_len : (size_t)n_bytes;

		io->iov->iov_base = (uint8_t *)io->iov->iov_base + n;
		io->iov->iov_len -= n;
		n_bytes -= n;
		if (io->iov->iov_len == 0) {
			io->iov++;
			io->n_iov--;
		}
	}
}

/** For resize(): is this capacity, in whole blocks, allowed? 0, or -1 with *err set. */
int store_check_shrink(const struct store *store, uint64_t size_bytes, bool shrink,
		       struct error *err);

/** Copies the next n_bytes between the operation's iov and buf, and drops them from the iov. */
void store_io_copy(struct store_io *io, void *buf, size_t n_bytes, bool to_iov);

#endif
