/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the fuzz targets of both ring formats share: a guest that means harm. Its memory map and its
 * memory come from the input. Each region has inaccessible pages around it (unit/lib/guest.h);
 * whatever the device is given lies inside of a region, and is read or written whole.
 */
#ifndef FUZZ_HOSTILE_GUEST_H
#define FUZZ_HOSTILE_GUEST_H

#include "../unit/lib/guest.h"
#include "input.h"
#include "pure/blkreq.h"
#include "pure/vring_desc.h"

#define REGION_MAX 4096u
#define STEPS_MAX  400

struct hostile {
	struct input in;
	struct guest guest;
	struct vring_addr addr;
	struct blk_disk disk;
	/* Called in the middle of the device's steps. */
	void (*interrupt)(struct hostile *h);
};

/** Reads the regions. The guest is to be given to guest_fini(). */
void hostile_init(struct hostile *h, const uint8_t *bytes, size_t n_bytes,
		  void (*interrupt)(struct hostile *h));

/** Reads where the three parts of the ring lie, aligned or not. */
void hostile_read_addr(struct hostile *h, bool unaligned);

/** Writes the first bytes of each region. */
void hostile_fill(struct hostile *h);

const struct guest_region *hostile_region(struct hostile *h);

/** An address in a region, or close behind it. */
uint64_t hostile_gpa(struct hostile *h);

void hostile_write_some(struct hostile *h);
void hostile_write(struct hostile *h, uint64_t gpa, const uint8_t *bytes, uint32_t n_bytes);

/** A descriptor; `at_12` and `at_14` are its last two fields. */
void hostile_write_desc(struct hostile *h, uint64_t gpa, uint64_t addr, uint32_t len,
			uint16_t at_12, uint16_t at_14);

/** A request that the guest wants to make. */
struct wish {
	uint64_t header_gpa; /* the header is there already */
	bool fills;          /* the device writes the payload: n buffers of n_bytes */
	uint32_t n, n_bytes;
};

struct wish hostile_wish(struct hostile *h);

/** Checks a chain that was taken, and serves it as the engine does. NULL, or what is wrong with it
 *  as a request. */
const char *hostile_serve(struct hostile *h, struct chain *chain);

#endif
