/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A guest's memory for tests. Each region ends right before an inaccessible page and begins after
 * one; under ASan the bytes between that page and the region are poisoned too, so that any access
 * outside of the regions ends the test. Looks addresses up byte by byte, on its own: it shares no
 * code with what is tested.
 */
#ifndef UNIT_GUEST_H
#define UNIT_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pure/guest_mem.h"

/** Front-end addresses are guest physical ones plus this. */
#define GUEST_UVA_OFFSET 0x7f0000000000ull

struct guest {
	struct guest_mem mem;
	struct guest_map {
		uint8_t *base;
		size_t n_bytes;
	} maps[GUEST_MEM_REGIONS_MAX];
};

void guest_init(struct guest *guest);
void guest_fini(struct guest *guest);

/** Adds a region full of zeroes; returns where it is in our memory. */
uint8_t *guest_add(struct guest *guest, uint64_t gpa, uint64_t n_bytes);

/** Our address of one byte; NULL if no region has it. */
uint8_t *guest_byte(const struct guest *guest, uint64_t gpa);

/** Copies to or from consecutive guest physical addresses, over the borders of regions. Aborts if
 *  a byte lies in none. */
void guest_write(struct guest *guest, uint64_t gpa, const void *from, size_t n_bytes);
void guest_read(const struct guest *guest, uint64_t gpa, void *to, size_t n_bytes);

/** True if [host, host + n_bytes) lies in one region. */
bool guest_owns(const struct guest *guest, const void *host, size_t n_bytes);

#endif
