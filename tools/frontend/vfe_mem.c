/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory regions on memfds. A region's memfd is larger than the region by its mmap offset,
 * and its user addresses stand far from both its GPA and its mapping here, so that a back end that
 * mixes two address spaces up fails at once.
 */
#include "vfe_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The first bytes of a region are never given out: GPA 0 in a descriptor is then always a bug. */
#define SKIP_BYTES 4096u

/* User addresses: canonical on every 64-bit host, distinct for each region, never contiguous. */
#define USER_BASE(region) (0x00005a0000000000ull + ((uint64_t)(region) << 36))

static int region_map(struct vfe_region *r)
{
	r->map_bytes = (size_t)(r->mmap_offset + r->size_bytes);
	r->map = mmap(NULL, r->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->map == MAP_FAILED) {
		r->map = NULL;
		return -errno;
	}
	r->host = (uint8_t *)r->map + r->mmap_offset;
	return 0;
}

static int region_init(struct vfe_region *r, const struct vfe_region_spec *spec)
{
	int rc;

	r->gpa = spec->gpa;
	r->size_bytes = spec->size_bytes;
	r->mmap_offset = spec->mmap_offset;
	r->next_bytes = SKIP_BYTES;
	r->end_bytes = spec->size_bytes;
	r->fd = memfd_create("guest-memory", MFD_CLOEXEC);
	if (r->fd < 0)
		return -errno;
	if (ftruncate(r->fd, (off_t)(r->mmap_offset + r->size_bytes)) < 0)
		return -errno;
	rc = region_map(r);
	if (!rc && spec->prealloc)
		memset(r->host, 0, r->size_bytes);
	return rc;
}

static bool touches(const struct vfe_mem *mem, unsigned int i)
{
	return i + 1 < mem->n_regions &&
	       mem->region[i].gpa + mem->region[i].size_bytes == mem->region[i + 1].gpa;
}

static uint64_t border_bytes(const struct vfe_region *r)
{
	return r->size_bytes / 4 < VFE_MEM_BORDER_BYTES ? r->size_bytes / 4 : VFE_MEM_BORDER_BYTES;
}

static void reserve_borders(struct vfe_mem *mem)
{
	unsigned int i;

	for (i = 0; i < mem->n_regions; i++) {
		if (!touches(mem, i))
			continue;
		mem->region[i].end_bytes -= border_bytes(&mem->region[i]);
		mem->region[i + 1].next_bytes += border_bytes(&mem->region[i + 1]);
	}
}

int vfe_mem_init(struct vfe_mem *mem, const struct vfe_region_spec *spec, unsigned int n_regions)
{
	unsigned int i;
	int rc;

	if (n_regions == 0 || n_regions > VFE_MEM_REGIONS_MAX)
		return -EINVAL;
	memset(mem, 0, sizeof(*mem));
	for (i = 0; i < n_regions; i++) {
		mem->n_regions = i + 1;
		mem->region[i].user_addr = USER_BASE(i);
		rc = region_init(&mem->region[i], &spec[i]);
		if (rc) {
			vfe_mem_fini(mem);
			return rc;
		}
	}
	reserve_borders(mem);
	return 0;
}

void vfe_mem_fini(struct vfe_mem *mem)
{
	struct vfe_region *r;
	unsigned int i;

	for (i = 0; i < mem->n_regions; i++) {
		r = &mem->region[i];
		if (r->map)
			munmap(r->map, r->map_bytes);
		if (r->fd >= 0)
			close(r->fd);
	}
	memset(mem, 0, sizeof(*mem));
}

static int append_part(struct vfe_mem *into, const struct vfe_region *from, uint64_t offset,
		       uint64_t n_bytes)
{
	struct vfe_region *r = &into->region[into->n_regions];

	*r = (struct vfe_region){
		.gpa = from->gpa + offset,
		.size_bytes = n_bytes,
		.mmap_offset = from->mmap_offset + offset,
		.user_addr = from->user_addr + offset,
		.next_bytes = n_bytes, /* what is free is known to the original only */
		.end_bytes = n_bytes,
		.fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 3),
	};
	if (r->fd < 0)
		return -errno;
	into->n_regions++;
	return region_map(r);
}

int vfe_mem_split(struct vfe_mem *into, const struct vfe_mem *mem)
{
	const struct vfe_region *r;
	uint64_t half;
	unsigned int i;
	int rc = 0;

	if (mem->n_regions * 2 > VFE_MEM_REGIONS_MAX)
		return -E2BIG;
	memset(into, 0, sizeof(*into));
	for (i = 0; i < mem->n_regions && !rc; i++) {
		r = &mem->region[i];
		half = (r->size_bytes / 2) & ~(uint64_t)4095;
		rc = append_part(into, r, 0, half);
		if (!rc)
			rc = append_part(into, r, half, r->size_bytes - half);
	}
	if (rc)
		vfe_mem_fini(into);
	return rc;
}

uint64_t vfe_mem_alloc_in(struct vfe_mem *mem, unsigned int region, uint64_t n_bytes,
			  uint64_t align)
{
	struct vfe_region *r = &mem->region[region];
	uint64_t at = (r->gpa + r->next_bytes + align - 1) & ~(align - 1);

	if (at + n_bytes > r->gpa + r->end_bytes)
		return VFE_NO_GPA;
	r->next_bytes = at + n_bytes - r->gpa;
	return at;
}

uint64_t vfe_mem_alloc(struct vfe_mem *mem, uint64_t n_bytes, uint64_t align)
{
	uint64_t gpa = VFE_NO_GPA;
	unsigned int i;

	for (i = 0; i < mem->n_regions && gpa == VFE_NO_GPA; i++)
		gpa = vfe_mem_alloc_in(mem, i, n_bytes, align);
	return gpa;
}

uint64_t vfe_mem_straddle(const struct vfe_mem *mem, unsigned int region, uint64_t before_bytes)
{
	if (!touches(mem, region) || before_bytes > border_bytes(&mem->region[region]))
		return VFE_NO_GPA;
	return mem->region[region + 1].gpa - before_bytes;
}

static const struct vfe_region *region_of(const struct vfe_mem *mem, uint64_t gpa)
{
	const struct vfe_region *r;
	unsigned int i;

	for (i = 0; i < mem->n_regions; i++) {
		r = &mem->region[i];
		if (gpa >= r->gpa && gpa - r->gpa < r->size_bytes)
			return r;
	}
	return NULL;
}

uint64_t vfe_mem_run(const struct vfe_mem *mem, uint64_t gpa, uint64_t n_bytes)
{
	const struct vfe_region *r = region_of(mem, gpa);
	uint64_t left;

	if (!r)
		return 0;
	left = r->size_bytes - (gpa - r->gpa);
	return left < n_bytes ? left : n_bytes;
}

void *vfe_mem_ptr(const struct vfe_mem *mem, uint64_t gpa, uint64_t n_bytes)
{
	const struct vfe_region *r = region_of(mem, gpa);

	if (!r || vfe_mem_run(mem, gpa, n_bytes) < n_bytes)
		return NULL;
	return r->host + (gpa - r->gpa);
}

uint64_t vfe_mem_user(const struct vfe_mem *mem, uint64_t gpa)
{
	const struct vfe_region *r = region_of(mem, gpa);

	return r ? r->user_addr + (gpa - r->gpa) : 0;
}

/* Walk [gpa, gpa + n_bytes) region by region; `op` gets the host pointer of each run. */
static int for_each_run(const struct vfe_mem *mem, uint64_t gpa, uint64_t n_bytes,
			void (*op)(uint8_t *at, uint64_t run, uint64_t done, void *arg), void *arg)
{
	uint64_t done = 0, run;

	while (done < n_bytes) {
		run = vfe_mem_run(mem, gpa + done, n_bytes - done);
		if (run == 0)
			return -EFAULT;
		op(vfe_mem_ptr(mem, gpa + done, run), run, done, arg);
		done += run;
	}
	return 0;
}

union copy_arg {
	const uint8_t *src;
	uint8_t *dst;
	int byte;
};

static void run_write(uint8_t *at, uint64_t run, uint64_t done, void *arg)
{
	memcpy(at, ((union copy_arg *)arg)->src + done, run);
}

static void run_read(uint8_t *at, uint64_t run, uint64_t done, void *arg)
{
	memcpy(((union copy_arg *)arg)->dst + done, at, run);
}

static void run_fill(uint8_t *at, uint64_t run, uint64_t done, void *arg)
{
	(void)done;
	memset(at, ((union copy_arg *)arg)->byte, run);
}

int vfe_mem_write(const struct vfe_mem *mem, uint64_t gpa, const void *src, uint64_t n_bytes)
{
	union copy_arg arg = {.src = src};

	return for_each_run(mem, gpa, n_bytes, run_write, &arg);
}

int vfe_mem_read(const struct vfe_mem *mem, uint64_t gpa, void *dst, uint64_t n_bytes)
{
	union copy_arg arg = {.dst = dst};

	return for_each_run(mem, gpa, n_bytes, run_read, &arg);
}

int vfe_mem_fill(const struct vfe_mem *mem, uint64_t gpa, int byte, uint64_t n_bytes)
{
	union copy_arg arg = {.byte = byte};

	return for_each_run(mem, gpa, n_bytes, run_fill, &arg);
}
