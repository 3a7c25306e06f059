/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Bounce buffers of one channel, for reads and writes of memory that the kernel can't take as it
 * is. A call of the channel copies a bounded number of bytes; who finds no buffer free, or has come
 * too late to be copied, waits in a list. Only the channel's lcore enters.
 */
#ifndef ENGINE_STORE_BOUNCE_H
#define ENGINE_STORE_BOUNCE_H

#include "engine/store_kinds.h"

#define BOUNCE_BUFFERS    16
#define BOUNCE_BYTES      (128u << 10)
#define BOUNCE_COPY_BYTES (128u << 10) /* a call begins no copy after so many */

struct bounce {
	uint8_t *memory; /* BOUNCE_BUFFERS of BOUNCE_BYTES */
	uint8_t *free[BOUNCE_BUFFERS];
	unsigned int n_free;
	uint32_t copy_left;          /* bytes in this call */
	struct io_fifo waiting;      /* for a buffer */
	struct io_fifo copy_waiting; /* have one, and are to be copied */
};

/** 0, or -1 with *err set. */
int bounce_open(struct bounce *bounce, struct error *err) IN_JOB;
void bounce_close(struct bounce *bounce) IN_JOB;

/** A call of the channel begins: it may copy again. */
static inline void bounce_begin(struct bounce *bounce)
{
	bounce->copy_left = BOUNCE_COPY_BYTES;
}

/** A buffer, or NULL: the operation waits for one, behind those that do already. */
uint8_t *bounce_get(struct bounce *bounce, struct store_io *io) IN_LCORE;

/** The operation that has waited longest, with a buffer; NULL: none waits, or none is free. */
struct store_io *bounce_next(struct bounce *bounce, uint8_t **ret_buf) IN_LCORE;

static inline void bounce_put(struct bounce *bounce, uint8_t *buf)
{
	bounce->free[bounce->n_free++] = buf;
}

/** Copies the next n_bytes between the operation's iov and buf. False: this call has copied enough;
 *  the operation waits for the next one. */
bool bounce_copy(struct bounce *bounce, struct store_io *io, uint8_t *buf, uint64_t n_bytes,
		 bool to_iov) IN_LCORE;

#endif
