/* SPDX-License-Identifier: BSD-3-Clause */
#include "pure/guest_mem.h"

#include <stdbool.h>
#include <stddef.h>

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static const char *region_check(const struct guest_region *r)
{
	if (r->size_bytes == 0)
		return "a memory region is empty";
	if (r->gpa + r->size_bytes < r->gpa || r->uva + r->size_bytes < r->uva)
		return "a memory region's address and size wrap around";
	return NULL;
}

const char *guest_mem_check(const struct guest_mem *mem)
{
	for (uint32_t i = 0; i < mem->n_regions; i++) {
		const struct guest_region *a = &mem->regions[i];
		const char *fault = region_check(a);

		if (fault)
			return fault;
		for (uint32_t j = 0; j < i; j++) {
			const struct guest_region *b = &mem->regions[j];

			if (overlaps(a->gpa, a->size_bytes, b->gpa, b->size_bytes))
				return "two memory regions overlap in guest physical addresses";
			if (overlaps(a->uva, a->size_bytes, b->uva, b->size_bytes))
				return "two memory regions overlap in front-end addresses";
		}
	}
	return NULL;
}

void *guest_mem_from_uva(const struct guest_mem *mem, uint64_t uva, uint64_t n_bytes)
{
	for (uint32_t i = 0; i < mem->n_regions; i++) {
		const struct guest_region *r = &mem->regions[i];
		uint64_t offset = uva - r->uva;

		if (uva >= r->uva && offset < r->size_bytes && n_bytes <= r->size_bytes - offset)
			return r->host + offset;
	}
	return NULL;
}

static const struct guest_region *region_of_gpa(const struct guest_mem *mem, uint64_t gpa)
{
	for (uint32_t i = 0; i < mem->n_regions; i++) {
		const struct guest_region *r = &mem->regions[i];

		if (gpa - r->gpa < r->size_bytes)
			return r;
	}
	return NULL;
}

void *guest_mem_from_gpa(const struct guest_mem *mem, uint64_t gpa, uint64_t n_bytes)
{
	const struct guest_region *r = region_of_gpa(mem, gpa);

	if (!r || n_bytes > r->size_bytes - (gpa - r->gpa))
		return NULL;
	return r->host + (gpa - r->gpa);
}

int guest_mem_find(const struct guest_mem *mem, uint64_t gpa, uint64_t n_bytes)
{
	const struct guest_region *r = region_of_gpa(mem, gpa);

	if (!r || n_bytes > r->size_bytes - (gpa - r->gpa))
		return -1;
	return (int)(r - mem->regions);
}

int guest_mem_split(const struct guest_mem *mem, uint64_t gpa, uint32_t n_bytes,
		    struct iovec *ret_iov, unsigned int n_max)
{
	unsigned int n = 0;

	while (n_bytes > 0) {
		const struct guest_region *r = region_of_gpa(mem, gpa);
		uint64_t offset, piece;

		if (!r)
			return -1;
		offset = gpa - r->gpa;
		piece = r->size_bytes - offset;
		if (piece > n_bytes)
			piece = n_bytes;
		if (n < n_max)
			ret_iov[n] = (struct iovec){r->host + offset, piece};
		n++;
		gpa += piece;
		n_bytes -= (uint32_t)piece;
	}
	return (int)n;
}
