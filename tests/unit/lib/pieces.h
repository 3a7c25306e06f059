/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Chains for the tests of block requests, put together without a ring.
 */
#ifndef UNIT_PIECES_H
#define UNIT_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include "pure/chain.h"

struct pieces {
	struct iovec iov[CHAIN_IOV_BIG];
	struct chain chain;
};

static inline void pieces_init(struct pieces *p)
{
	p->chain = (struct chain){.iov = p->iov, .n_iov_max = CHAIN_IOV_BIG};
}

/** Adds a device-readable piece; all of them come before the first writable one. */
static inline void pieces_readable(struct pieces *p, uint8_t *bytes, size_t n_bytes)
{
	p->iov[p->chain.n_readable++] = (struct iovec){bytes, n_bytes};
	p->chain.readable_bytes += n_bytes;
}

static inline void pieces_writable(struct pieces *p, uint8_t *bytes, size_t n_bytes)
{
	p->iov[p->chain.n_readable + p->chain.n_writable++] = (struct iovec){bytes, n_bytes};
	p->chain.writable_bytes += n_bytes;
	p->chain.last_writable = bytes + n_bytes - 1;
}

/** The chain of n_readable and n_writable bytes cut in two at cut_readable and cut_writable
 *  (nowhere if that is 0 or the end). */
static inline void pieces_cut(struct pieces *p, uint8_t *readable, size_t n_readable,
			      size_t cut_readable, uint8_t *writable, size_t n_writable,
			      size_t cut_writable)
{
	pieces_init(p);
	if (cut_readable)
		pieces_readable(p, readable, cut_readable);
	if (cut_readable < n_readable)
		pieces_readable(p, readable + cut_readable, n_readable - cut_readable);
	if (cut_writable)
		pieces_writable(p, writable, cut_writable);
	if (cut_writable < n_writable)
		pieces_writable(p, writable + cut_writable, n_writable - cut_writable);
}

#endif
