/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What split and packed virtqueues share: where a front end put the ring, tables of descriptors (16
 * bytes each in both formats, and of the same meaning but for the last four), and the buffers that
 * a chain gathers from them. Each descriptor is read once into a local.
 */
#ifndef PURE_VRING_DESC_H
#define PURE_VRING_DESC_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "pure/chain.h"
#include "pure/guest_mem.h"
#include "pure/guest_words.h"

#define VRING_SIZE_MAX   1024
#define VRING_DESC_BYTES 16u

/** Where the front end put the ring (SET_VRING_ADDR: front-end user addresses). In a packed ring
 *  the last two are the driver's and the device's event suppression (2.8.10). */
struct vring_addr {
	uint64_t desc_uva;
	uint64_t avail_uva;
	uint64_t used_uva;
};

/** The ring's own descriptors, or an indirect table. */
struct desc_table {
	const uint8_t *host; /* any alignment; NULL: it crosses regions, look up each entry */
	uint64_t gpa;
	uint32_t n;
};

/** A descriptor as it was read: the address, then `rest`. Split: len, flags, next in it; packed:
 * len, id, flags. */
static inline uint32_t desc_len(struct guest_words d)
{
	return (uint32_t)d.second;
}

static inline uint16_t desc_at_12(struct guest_words d)
{
	return (uint16_t)(d.second >> 32);
}

static inline uint16_t desc_at_14(struct guest_words d)
{
	return (uint16_t)(d.second >> 48);
}

/** Reads a descriptor that may itself lie across regions, of a table that desc_table_find() has
 * found in this memory. */
struct guest_words desc_read_split(const struct guest_mem *mem, uint64_t gpa) __attribute__((cold));

/** Adds a buffer to the chain, in as many pieces as it takes. NULL, or what is wrong in words. */
const char *chain_add_pieces(struct chain *chain, const struct guest_mem *mem, uint64_t gpa,
			     uint32_t n_bytes, bool writable) __attribute__((cold));

/** Finds the table that an indirect descriptor refers to. NULL, or what is wrong in words. *hint:
 *  guest_mem_near(). */
static ALWAYS_INLINE const char *desc_table_find(struct desc_table *ret,
						 const struct guest_mem *mem,
						 struct guest_words indirect, uint32_t *hint)
{
	uint32_t n_bytes = desc_len(indirect);

	if (unlikely(n_bytes == 0 || n_bytes % VRING_DESC_BYTES))
		return "an indirect table's length is not a multiple of 16";
	ret->host = guest_mem_near(mem, indirect.first, n_bytes, hint);
	ret->gpa = indirect.first;
	ret->n = n_bytes / VRING_DESC_BYTES;
	if (unlikely(!ret->host) && guest_mem_split(mem, ret->gpa, n_bytes, NULL, 0) < 0)
		return "an indirect table is outside of the guest's memory";
	return NULL;
}

/** Descriptor i < table->n, read once. */
static ALWAYS_INLINE struct guest_words desc_table_read(const struct desc_table *table,
							const struct guest_mem *mem, uint32_t i)
{
	const size_t offset = (size_t)i * VRING_DESC_BYTES;

	if (likely(table->host))
		return guest_words_read(table->host + offset);
	return desc_read_split(mem, table->gpa + offset);
}

/** Where a chain grows while it is walked: a local that lives in registers. */
struct gather {
	struct iovec *at; /* the next piece */
	struct iovec *end;
	struct iovec *first_writable; /* NULL: none has come */
	uint64_t n_bytes;
	uint64_t readable_bytes; /* of them, once a writable one has come */
	uint8_t *last_writable;
	const struct guest_region *near; /* where the last buffer was */
};

/** An empty chain. */
static ALWAYS_INLINE struct gather gather_begin(struct chain *c, const struct guest_mem *mem,
						uint32_t hint)
{
	c->too_long = false;
	return (struct gather){
		.at = c->iov,
		.end = c->iov + c->n_iov_max,
		.near = &mem->regions[hint],
	};
}

/** What has been gathered is the chain's. */
static ALWAYS_INLINE void gather_end(const struct gather *g, struct chain *c)
{
	const struct iovec *first_writable = g->first_writable ? g->first_writable : g->at;
	uint64_t readable_bytes = g->first_writable ? g->readable_bytes : g->n_bytes;

	c->n_readable = (uint16_t)(first_writable - c->iov);
	c->n_writable = (uint16_t)(g->at - first_writable);
	c->readable_bytes = readable_bytes;
	c->writable_bytes = g->n_bytes - readable_bytes;
	c->last_writable = g->last_writable;
}

/** The rarer half of gather_add(): another region than the last buffer's, several of them, an empty
 *  buffer, or no place left. */
static ALWAYS_INLINE const char *gather_add_rarely(struct gather *g, struct chain *c,
						   const struct guest_mem *mem, uint64_t gpa,
						   uint32_t n_bytes, bool writable,
						   uint32_t *ret_hint)
{
	const char *fault;

	if (n_bytes == 0)
		return NULL;
	gather_end(g, c);
	fault = chain_add_pieces(c, mem, gpa, n_bytes, writable);
	if (fault)
		return fault;
	g->at = c->iov + c->n_readable + c->n_writable;
	g->first_writable = c->writable_bytes ? c->iov + c->n_readable : NULL;
	g->n_bytes = c->readable_bytes + c->writable_bytes;
	g->readable_bytes = c->readable_bytes;
	g->last_writable = c->last_writable;
	*ret_hint = (uint32_t)guest_mem_find(mem, gpa + n_bytes - 1, 1);
	g->near = &mem->regions[*ret_hint];
	return NULL;
}

/** Adds a buffer to the chain. NULL, or what is wrong in words. *ret_hint is set when the next
 *  gather_begin() had better have another one. */
static ALWAYS_INLINE const char *gather_add(struct gather *g, struct chain *c,
					    const struct guest_mem *mem, uint64_t gpa,
					    uint32_t n_bytes, bool writable, uint32_t *ret_hint)
{
	uint64_t offset = gpa - g->near->gpa, last;

	if (unlikely(!writable && g->first_writable))
		return "a device-readable descriptor follows a device-writable one";
	/* Of an empty buffer the last byte's offset overflows, or is the largest there is. */
	if (unlikely(__builtin_add_overflow(offset, (uint64_t)n_bytes - 1, &last) ||
		     last >= g->near->size_bytes || g->at == g->end))
		return gather_add_rarely(g, c, mem, gpa, n_bytes, writable, ret_hint);
	*g->at = (struct iovec){g->near->host + offset, n_bytes};
	if (writable) {
		if (!g->first_writable) {
			g->first_writable = g->at;
			g->readable_bytes = g->n_bytes;
		}
		g->last_writable = g->near->host + last;
	}
	g->at++;
	g->n_bytes += n_bytes;
	return NULL;
}

#endif
