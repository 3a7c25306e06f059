/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Guest memory that is pinned for io_uring: registered, in pieces, as buffers of a ring that does
 * nothing else. A JOB pins it, because that takes long. An lcore has the buffers cloned into a ring
 * of its own, which takes some 100 ns for a piece, and forgets them as quickly, for as long as this
 * ring still holds them. So pages are given back by a JOB only, too, which is the last to let go.
 *
 * Pinning would give memory that was never touched its pages, at our cost: a front end whose memory
 * is larger than the machine's could have us killed. So only memory that is all there is pinned.
 * Buffers are the pages that were there then. What the front end gives back to the system and takes
 * again (a balloon) has other ones.
 */
#ifndef ENGINE_PINNED_H
#define ENGINE_PINNED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/thread_role.h"
#include "pure/guest_mem.h"

#define PINNED_WHY_BYTES 192

/** Mapped memory: whole pages. */
struct pinned_area {
	uint8_t *addr;
	uint64_t n_bytes;
	uint64_t page_bytes; /* a power of 2; large ones come from a pool of their own */
};

struct pinned_range {
	struct pinned_area area;
	unsigned int piece_shift; /* pieces have 1 << piece_shift bytes, the last may have less */
	uint32_t first;           /* piece: its index among the ring's buffers */
	uint32_t n_pieces;
};

/** Fixed once it is made: any thread may read it. */
struct pinned {
	int ring_fd;
	uint32_t n_pieces;
	uint64_t n_bytes;
	unsigned int n_ranges;
	struct pinned_range ranges[GUEST_MEM_REGIONS_MAX];
};

/** Pins these areas, at most GUEST_MEM_REGIONS_MAX. What `before` (or NULL) has as well is shared
 *  with it, and counts once against the limit of locked memory. Sleeps between pieces. When *cancel
 *  becomes true it gives up soon. 0, or -1 with the reason in words. */
int pinned_new(const struct pinned_area *areas, unsigned int n_areas, const struct pinned *before,
	       const atomic_bool *cancel, struct pinned **ret_pinned,
	       char ret_why[PINNED_WHY_BYTES]) IN_JOB;

/** No lcore's ring has it any more, and no request that is in flight is in it. NULL: nothing. */
void pinned_free(struct pinned *pinned) IN_JOB;

/** Has the buffers of `pinned`, in place of those it had, cloned into a ring; NULL: none. The ring
 *  is the calling thread's; what is in flight there ends as it began. 0 or -errno: it has none. */
int pinned_give(const struct pinned *pinned, int ring_fd);

/** The piece that has all of [addr, addr + n_bytes); -1 when there is none. */
static inline int pinned_find(const struct pinned *pinned, const void *addr, uint64_t n_bytes)
{
	for (unsigned int i = 0; i < pinned->n_ranges; i++) {
		const struct pinned_range *r = &pinned->ranges[i];
		uint64_t at = (uintptr_t)addr - (uintptr_t)r->area.addr;

		if (at >= r->area.n_bytes)
			continue;
		if (n_bytes == 0 || n_bytes > r->area.n_bytes - at ||
		    at >> r->piece_shift != (at + n_bytes - 1) >> r->piece_shift)
			return -1;
		return (int)(r->first + (at >> r->piece_shift));
	}
	return -1;
}

#endif
