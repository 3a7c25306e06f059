/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: up to eight regions, each a memfd of its own, at guest-physical addresses (GPA) of
 * the test's choice. Three address spaces, all different: GPAs stand in descriptors, user addresses
 * (what SET_VRING_ADDR carries) are made up, host pointers are where this process has it mapped.
 *
 * Regions may follow one another without a gap in GPA space: a buffer over such a border is
 * contiguous for the guest and lies in two mappings of the back end.
 *
 * One thread at a time may allocate; access to the bytes needs no lock.
 */
#ifndef VFE_MEM_H
#define VFE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfe_msg.h"

#define VFE_MEM_REGIONS_MAX VFE_MSG_REGIONS_MAX
#define VFE_NO_GPA          UINT64_MAX

/*
 * Kept out of the allocator on both sides of a border, for vfe_mem_straddle(); no more than a
 * quarter of a small region.
 */
#define VFE_MEM_BORDER_BYTES 0x110000u

struct vfe_region_spec {
	uint64_t gpa;
	uint64_t size_bytes;
	uint64_t mmap_offset; /* where the region starts in its memfd */
	bool prealloc;        /* its pages are there from the start, not as they are used */
};

struct vfe_region {
	uint64_t gpa;
	uint64_t size_bytes;
	uint64_t mmap_offset;
	uint64_t user_addr;
	int fd;
	void *map;
	size_t map_bytes;
	uint8_t *host;       /* of the region's first byte */
	uint64_t next_bytes; /* offset of the first byte that is free */
	uint64_t end_bytes;  /* offset behind the last byte for the allocator */
};

struct vfe_mem {
	struct vfe_region region[VFE_MEM_REGIONS_MAX];
	unsigned int n_regions;
};

/* Make the regions; the memory reads as zeroes. 0 or -errno, and then nothing is left over. */
int vfe_mem_init(struct vfe_mem *mem, const struct vfe_region_spec *spec, unsigned int n_regions);
void vfe_mem_fini(struct vfe_mem *mem);

/*
 * The same guest memory in another layout: each region cut in two. GPAs, user addresses and bytes
 * are the same, so it may replace `mem` in a running device. `into` owns duplicates of the
 * descriptors and mappings of its own, and has nothing to allocate. 0 or -errno (-E2BIG over eight
 * regions).
 */
int vfe_mem_split(struct vfe_mem *into, const struct vfe_mem *mem);

/*
 * `n_bytes` of memory at a multiple of `align` (a power of two): from one region, or from the first
 * that has room. VFE_NO_GPA when there is none. Nothing is freed before vfe_mem_fini().
 */
uint64_t vfe_mem_alloc_in(struct vfe_mem *mem, unsigned int region, uint64_t n_bytes,
			  uint64_t align);
uint64_t vfe_mem_alloc(struct vfe_mem *mem, uint64_t n_bytes, uint64_t align);

/*
 * The GPA `before_bytes` below the border of regions `region` and `region + 1`, which must touch;
 * up to VFE_MEM_BORDER_BYTES on each side are there for the test's use (there is one such area for
 * each border, every call gives out the same). VFE_NO_GPA when they don't touch.
 */
uint64_t vfe_mem_straddle(const struct vfe_mem *mem, unsigned int region, uint64_t before_bytes);

/* Host pointer of `n_bytes` at `gpa`; NULL unless they lie in one region. */
void *vfe_mem_ptr(const struct vfe_mem *mem, uint64_t gpa, uint64_t n_bytes);

/* User address of `gpa`; 0 when it is in no region. */
uint64_t vfe_mem_user(const struct vfe_mem *mem, uint64_t gpa);

/* How many bytes from `gpa` on lie in one region, at most `n_bytes`; 0 when it is in none. */
uint64_t vfe_mem_run(const struct vfe_mem *mem, uint64_t gpa, uint64_t n_bytes);

/* Copy between a buffer and guest memory, across borders. 0, or -EFAULT outside of the regions. */
int vfe_mem_write(const struct vfe_mem *mem, uint64_t gpa, const void *src, uint64_t n_bytes);
int vfe_mem_read(const struct vfe_mem *mem, uint64_t gpa, void *dst, uint64_t n_bytes);
int vfe_mem_fill(const struct vfe_mem *mem, uint64_t gpa, int byte, uint64_t n_bytes);

#endif
