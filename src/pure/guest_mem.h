/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A guest's memory as the front end described it in SET_MEM_TABLE, and the translation of guest
 * physical addresses (what descriptors hold) and front-end user addresses (what SET_VRING_ADDR
 * holds) into our own. vhost-user specification, "Memory region description".
 *
 * A table is checked once, when it is made, and never changes afterwards but for what `lost` points
 * to: any thread may read it.
 */
#ifndef PURE_GUEST_MEM_H
#define PURE_GUEST_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"

#define GUEST_MEM_REGIONS_MAX 8 /* VHOST_MEMORY_BASELINE_NREGIONS */

struct guest_region {
	uint64_t gpa; /* guest physical address */
	uint64_t uva; /* the front end's own address */
	uint64_t size_bytes;
	uint8_t *host; /* ours */
	/* The front end took some of it away: engine/guest_fault.h. NULL: that can't happen. */
	const atomic_bool *lost;
};

struct guest_mem {
	uint32_t n_regions;
	struct guest_region regions[GUEST_MEM_REGIONS_MAX]; /* those behind the last: all zero */
};

/** Did the front end take some of it away? */
static inline bool guest_mem_is_lost(const struct guest_mem *mem);

/** NULL if the table is sound: no empty region, no address that wraps, no two regions that overlap
 *  in guest physical or front-end addresses. Else what is wrong, in words. */
const char *guest_mem_check(const struct guest_mem *mem);

/** Our address of [uva, uva + n_bytes), which must lie in one region; NULL if it doesn't. */
void *guest_mem_from_uva(const struct guest_mem *mem, uint64_t uva, uint64_t n_bytes);

/** Our address of [gpa, gpa + n_bytes), which must lie in one region; NULL if it doesn't. */
void *guest_mem_from_gpa(const struct guest_mem *mem, uint64_t gpa, uint64_t n_bytes);

/** The same; looks at region *hint first, and leaves there which one it was: most addresses in a
 * row lie in the same one. Any value below GUEST_MEM_REGIONS_MAX is a right hint for any table. */
static inline uint8_t *guest_mem_near(const struct guest_mem *mem, uint64_t gpa, uint64_t n_bytes,
				      uint32_t *hint);

/** The rarer half of it: which region has [gpa, gpa + n_bytes); -1 when none has all of it. */
int guest_mem_find(const struct guest_mem *mem, uint64_t gpa, uint64_t n_bytes);

/** Splits [gpa, gpa + n_bytes) where it crosses regions, writing up to n_max pieces. Returns how
 *  many pieces there are, which may be more than n_max (those are not written), or -1 when a byte
 *  of it lies in no region. n_bytes is not 0. */
int guest_mem_split(const struct guest_mem *mem, uint64_t gpa, uint32_t n_bytes,
		    struct iovec *ret_iov, unsigned int n_max);

static inline bool guest_mem_is_lost(const struct guest_mem *mem)
{
	for (uint32_t i = 0; i < mem->n_regions; i++) {
		const atomic_bool *lost = mem->regions[i].lost;

		if (unlikely(lost && atomic_load_explicit(lost, memory_order_relaxed)))
			return true;
	}
	return false;
}

static inline uint8_t *guest_mem_near(const struct guest_mem *mem, uint64_t gpa, uint64_t n_bytes,
				      uint32_t *hint)
{
	const struct guest_region *r = &mem->regions[*hint];
	uint64_t offset = gpa - r->gpa;
	int i;

	if (likely(offset < r->size_bytes && n_bytes <= r->size_bytes - offset))
		return r->host + offset;
	i = guest_mem_find(mem, gpa, n_bytes);
	if (i < 0)
		return NULL;
	*hint = (uint32_t)i;
	return mem->regions[i].host + (gpa - mem->regions[i].gpa);
}

#endif
