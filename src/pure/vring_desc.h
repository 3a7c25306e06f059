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
#include <string.h>

#include "base/compiler.h"
#include "pure/chain.h"
#include "pure/guest_mem.h"

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

/** Finds the table that an indirect descriptor [gpa, gpa + n_bytes) refers to. NULL, or what is
 *  wrong in words. *hint: guest_mem_near(). */
const char *desc_table_find(struct desc_table *ret, const struct guest_mem *mem, uint64_t gpa,
			    uint32_t n_bytes, uint32_t *hint);

/** Reads a descriptor that may itself lie across regions. False if it is outside of the memory. */
struct desc_words;
bool desc_read_split(const struct guest_mem *mem, uint64_t gpa, struct desc_words *ret);

/** Adds a buffer to the chain, in as many pieces as it takes. NULL, or what is wrong in words. */
const char *chain_add_pieces(struct chain *chain, const struct guest_mem *mem, uint64_t gpa,
			     uint32_t n_bytes, bool writable);

/** Where a chain grows while it is walked: a local that lives in registers. */
struct gather {
	unsigned int n_pieces;
	unsigned int n_readable; /* of them; GATHER_ALL_READABLE: no writable one has come */
	const struct guest_region *near; /* where the last buffer was */
};

#define GATHER_ALL_READABLE UINT32_MAX

/** A descriptor as it was read. Split: len, flags, next in `rest`; packed: len, id, flags. */
struct desc_words {
	uint64_t addr, rest;
};

static ALWAYS_INLINE struct desc_words desc_words_load(const uint8_t *from)
{
	struct desc_words d;

	memcpy(&d.addr, from, sizeof(d.addr));
	memcpy(&d.rest, from + sizeof(d.addr), sizeof(d.rest));
	return d;
}

static inline uint32_t desc_len(struct desc_words d)
{
	return (uint32_t)d.rest;
}

static inline uint16_t desc_at_12(struct desc_words d)
{
	return (uint16_t)(d.rest >> 32);
}

static inline uint16_t desc_at_14(struct desc_words d)
{
	return (uint16_t)(d.rest >> 48);
}

/** Descriptor i < table->n, read once. False if it is outside of the guest's memory. */
static ALWAYS_INLINE bool desc_table_read(const struct desc_table *table,
					  const struct guest_mem *mem, uint32_t i,
					  struct desc_words *ret)
{
	const size_t offset = (size_t)i * VRING_DESC_BYTES;

	if (likely(table->host))
		*ret = desc_words_load(table->host + offset);
	else if (!desc_read_split(mem, table->gpa + offset, ret))
		return false;
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* from here on only the copy is looked at */
	return true;
}

static ALWAYS_INLINE struct gather gather_begin(const struct chain *c, const struct guest_mem *mem,
						uint32_t hint)
{
	return (struct gather){
		.n_pieces = (unsigned int)c->n_readable + c->n_writable,
		.n_readable = c->writable_bytes ? c->n_readable : GATHER_ALL_READABLE,
		.near = &mem->regions[hint],
	};
}

static ALWAYS_INLINE void gather_end(const struct gather *g, struct chain *c,
				     const struct guest_mem *mem, uint32_t *ret_hint)
{
	unsigned int n_readable =
		g->n_readable == GATHER_ALL_READABLE ? g->n_pieces : g->n_readable;

	c->n_readable = (uint16_t)n_readable;
	c->n_writable = (uint16_t)(g->n_pieces - n_readable);
	*ret_hint = (uint32_t)(g->near - mem->regions);
}

/** The rarer half of gather_add(): another region than the last buffer's, several of them, an empty
 *  buffer, or no place left. */
static ALWAYS_INLINE const char *gather_add_rarely(struct gather *g, struct chain *c,
						   const struct guest_mem *mem, uint64_t gpa,
						   uint32_t n_bytes, bool writable)
{
	uint32_t hint;
	const char *fault;

	if (n_bytes == 0)
		return NULL;
	gather_end(g, c, mem, &hint);
	fault = chain_add_pieces(c, mem, gpa, n_bytes, writable);
	if (!fault)
		hint = (uint32_t)guest_mem_find(mem, gpa + n_bytes - 1, 1);
	*g = gather_begin(c, mem, hint);
	return fault;
}

/** Adds a buffer to the chain. NULL, or what is wrong in words. */
static ALWAYS_INLINE const char *gather_add(struct gather *g, struct chain *c,
					    const struct guest_mem *mem, uint64_t gpa,
					    uint32_t n_bytes, bool writable)
{
	uint64_t offset = gpa - g->near->gpa;
	uint8_t *host;

	if (unlikely(!writable && g->n_readable != GATHER_ALL_READABLE))
		return "a device-readable descriptor follows a device-writable one";
	if (unlikely(offset >= g->near->size_bytes || n_bytes > g->near->size_bytes - offset ||
		     n_bytes == 0 || g->n_pieces >= c->n_iov_max))
		return gather_add_rarely(g, c, mem, gpa, n_bytes, writable);
	host = g->near->host + offset;
	c->iov[g->n_pieces] = (struct iovec){host, n_bytes};
	if (writable) {
		if (g->n_readable == GATHER_ALL_READABLE)
			g->n_readable = g->n_pieces;
		c->writable_bytes += n_bytes;
		c->last_writable = host + n_bytes - 1;
	} else {
		c->readable_bytes += n_bytes;
	}
	g->n_pieces++;
	return NULL;
}

#endif
