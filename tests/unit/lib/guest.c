/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest.h"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES ((size_t)4096)

void guest_init(struct guest *guest)
{
	memset(guest, 0, sizeof(*guest));
}

void guest_fini(struct guest *guest)
{
	for (uint32_t i = 0; i < guest->mem.n_regions; i++) {
		ASAN_UNPOISON_MEMORY_REGION(guest->maps[i].base, guest->maps[i].n_bytes);
		munmap(guest->maps[i].base, guest->maps[i].n_bytes);
	}
	guest->mem.n_regions = 0;
}

/* [inaccessible page][slack, poisoned under ASan][region][inaccessible page] */
uint8_t *guest_add(struct guest *guest, uint64_t gpa, uint64_t n_bytes)
{
	uint32_t i = guest->mem.n_regions;
	size_t data_bytes = (n_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	size_t map_bytes = data_bytes + 2 * PAGE_BYTES;
	uint8_t *base, *host;

	base = mmap(NULL, map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (i == GUEST_MEM_REGIONS_MAX || base == MAP_FAILED ||
	    mprotect(base + PAGE_BYTES, data_bytes, PROT_READ | PROT_WRITE))
		abort();
	host = base + PAGE_BYTES + (data_bytes - n_bytes);
	ASAN_POISON_MEMORY_REGION(base + PAGE_BYTES, data_bytes - n_bytes);
	guest->maps[i] = (struct guest_map){base, map_bytes};
	guest->mem.regions[i] = (struct guest_region){gpa, gpa + GUEST_UVA_OFFSET, n_bytes, host};
	guest->mem.n_regions++;
	return host;
}

uint8_t *guest_byte(const struct guest *guest, uint64_t gpa)
{
	for (uint32_t i = 0; i < guest->mem.n_regions; i++) {
		const struct guest_region *r = &guest->mem.regions[i];

		if (r->gpa <= gpa && gpa <= r->gpa + (r->size_bytes - 1))
			return r->host + (gpa - r->gpa);
	}
	return NULL;
}

void guest_write(struct guest *guest, uint64_t gpa, const void *from, size_t n_bytes)
{
	const uint8_t *bytes = from;

	for (size_t i = 0; i < n_bytes; i++) {
		uint8_t *to = guest_byte(guest, gpa + i);

		if (!to)
			abort();
		*to = bytes[i];
	}
}

void guest_read(const struct guest *guest, uint64_t gpa, void *to, size_t n_bytes)
{
	uint8_t *bytes = to;

	for (size_t i = 0; i < n_bytes; i++) {
		const uint8_t *from = guest_byte(guest, gpa + i);

		if (!from)
			abort();
		bytes[i] = *from;
	}
}

bool guest_owns(const struct guest *guest, const void *host, size_t n_bytes)
{
	uintptr_t begin = (uintptr_t)host, end = begin + n_bytes;

	for (uint32_t i = 0; i < guest->mem.n_regions; i++) {
		const struct guest_region *r = &guest->mem.regions[i];
		uintptr_t first = (uintptr_t)r->host, last = first + r->size_bytes;

		if (first <= begin && begin <= end && end <= last)
			return true;
	}
	return false;
}
