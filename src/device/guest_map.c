/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/guest_map.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "base/unmap.h"
#include "device/events.h"
#include "engine/guest_fault.h"
#include "vhostd/limits.h"

/* Of one endpoint, until they have been unmapped; they keep our address space of 128 TiB from being
 * used up by sparse files. A part is a mapping, however many memory tables have it, or a table. */
#define LIVE_BYTES_MAX ((uint64_t)16 << 40)
#define LIVE_PARTS_MAX 1024

/* Each endpoint has so many parts for itself, three whole tables of eight regions; what it has
 * beyond them comes from what all of them share. So front ends that take all they can get leave the
 * others theirs, and one whose old tables take a while to be unmapped goes on. */
#define OWN_PARTS    32
#define SHARED_PARTS (GUEST_FAULT_WATCHES_MAX - VHOSTD_DEVICES_MAX * OWN_PARTS)

static_assert(OWN_PARTS >= 3 * (GUEST_MEM_REGIONS_MAX + 1),
	      "a table, the next one, one that leaves");
static_assert(SHARED_PARTS >= 8 * LIVE_PARTS_MAX, "more than a few front ends' worth of them");

/* Those that are taken; less than none while a part is given back that is just being counted. */
static atomic_int n_shared;

static const char too_much[] = "memory tables of more than 16 TiB, or too many of them, are in use";

struct queue_map_use {
	struct map_use use;
	struct guest_map *map;
};

static void uncount_part(struct cleaner *unmapper, uint64_t n_bytes)
{
	/* Each step of the number, up or down, takes or gives back what belongs to it. */
	if (cleaner_uncount(unmapper, 1, n_bytes) > OWN_PARTS)
		atomic_fetch_sub_explicit(&n_shared, 1, memory_order_relaxed);
}

/* False: it is one too many, and not counted. VHOST's: nobody else counts at the same time. */
static bool count_part(struct cleaner *unmapper, uint64_t n_bytes)
{
	unsigned int n = cleaner_count(unmapper, 1, n_bytes);
	bool is_free = n < OWN_PARTS ||
		       atomic_fetch_add_explicit(&n_shared, 1, memory_order_relaxed) < SHARED_PARTS;

	if (is_free && n < LIVE_PARTS_MAX &&
	    atomic_load_explicit(&unmapper->n_bytes, memory_order_relaxed) <= LIVE_BYTES_MAX)
		return true;
	uncount_part(unmapper, n_bytes);
	return false;
}

static void mapping_put(struct mapping *m, struct cleaner *unmapper)
{
	if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	guest_fault_forget(m->watch);
	unmap_in_pieces(m->addr, m->n_bytes, m->page_bytes);
	uncount_part(unmapper, m->n_bytes);
	free(m);
}

static void unmap_all(struct guest_map *map)
{
	for (unsigned int i = 0; i < GUEST_MEM_REGIONS_MAX; i++) {
		if (map->mappings[i])
			mapping_put(map->mappings[i], map->unmapper);
	}
}

/* Is the descriptor memory that an lcore may touch without waiting for a third party, and as long
 * as the region says? Only memfd, tmpfs and hugetlbfs files have seals; asking for them calls no
 * file system, which stat() would. Fills in what is to be mapped: from the file's page that holds
 * mmap_offset on, whole pages, as hugetlbfs wants it. */
static const char *examine_region(const struct guest_map_region *r, struct mapping *ret_want)
{
	struct statfs fs;
	struct stat st;
	uint64_t before;

	if (fcntl(r->fd, F_GET_SEALS) < 0)
		return "a memory region is no shared memory (memfd, or a file on tmpfs or "
		       "hugetlbfs)";
	if (fstat(r->fd, &st) || fstatfs(r->fd, &fs))
		return "a memory region's descriptor can't be examined";
	if (r->mmap_offset > UINT64_MAX - r->size_bytes ||
	    r->mmap_offset + r->size_bytes > (uint64_t)st.st_size)
		return "a memory region is longer than its file";
	ret_want->page_bytes = (size_t)fs.f_bsize;
	before = r->mmap_offset % ret_want->page_bytes;
	ret_want->n_bytes = (r->size_bytes + before + ret_want->page_bytes - 1) /
			    ret_want->page_bytes * ret_want->page_bytes;
	ret_want->dev = st.st_dev;
	ret_want->ino = st.st_ino;
	ret_want->offset = r->mmap_offset - before;
	return NULL;
}

/* One that `before` has, with a reference; NULL when there is none. What was lost is mapped anew:
 * zeroes are in its place. */
static struct mapping *mapping_again(const struct guest_map *before, const struct mapping *want)
{
	for (unsigned int i = 0; before && i < before->mem.n_regions; i++) {
		struct mapping *m = before->mappings[i];

		if (m->dev == want->dev && m->ino == want->ino && m->offset == want->offset &&
		    m->n_bytes == want->n_bytes && !atomic_load(&m->lost)) {
			atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
			return m;
		}
	}
	return NULL;
}

static struct mapping *mapping_new(const struct mapping *want, int fd, struct cleaner *unmapper,
				   const char **ret_fault)
{
	struct mapping *m = malloc(sizeof(*m));

	*ret_fault = "memory is short";
	if (!m)
		return NULL;
	*ret_fault = too_much;
	if (!count_part(unmapper, want->n_bytes))
		goto discard;
	*m = *want;
	atomic_init(&m->lost, false);
	atomic_init(&m->refs, 1);
	*ret_fault = "a memory region can't be mapped";
	m->addr = mmap(NULL, m->n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)m->offset);
	if (m->addr == MAP_FAILED)
		goto uncount;
	*ret_fault = "there are too many memory maps";
	m->watch = guest_fault_watch(m->addr, m->n_bytes, m->page_bytes, &m->lost);
	if (!m->watch)
		goto unmap;
	madvise(m->addr, m->n_bytes, MADV_DONTDUMP);
	*ret_fault = NULL;
	return m;

unmap:
	munmap(m->addr, m->n_bytes);
uncount:
	uncount_part(unmapper, want->n_bytes);
discard:
	free(m);
	return NULL;
}

static const char *map_region(struct guest_map *map, unsigned int i,
			      const struct guest_map_region *r, const struct guest_map *before)
{
	struct mapping want = {0}, *m;
	const char *fault = examine_region(r, &want);

	if (fault)
		return fault;
	m = mapping_again(before, &want);
	if (!m)
		m = mapping_new(&want, r->fd, map->unmapper, &fault);
	map->mappings[i] = m;
	if (!m)
		return fault;
	map->mem.regions[i] = (struct guest_region){
		.gpa = r->gpa,
		.uva = r->uva,
		.size_bytes = r->size_bytes,
		.host = (uint8_t *)m->addr + (r->mmap_offset - m->offset),
		.lost = &m->lost,
	};
	return NULL;
}

static void unmap_run(struct cleanup *cleanup)
{
	struct guest_map *map = container_of(cleanup, struct guest_map, cleanup);

	role_assert(&role_job);
	pinned_free(map->pinned);
	unmap_all(map);
}

static void unmap_done(struct cleanup *cleanup)
{
	struct guest_map *map = container_of(cleanup, struct guest_map, cleanup);

	uncount_part(map->unmapper, 0);
	free(map);
}

struct guest_map *guest_map_new(const struct guest_map_region *regions, unsigned int n_regions,
				const struct guest_map *before, struct cleaner *unmapper,
				const char **ret_fault)
{
	struct guest_map *map;

	*ret_fault = too_much;
	if (!count_part(unmapper, 0))
		return NULL;
	*ret_fault = "memory is short";
	map = calloc(1, sizeof(*map));
	if (!map)
		goto uncount;
	map->unmapper = unmapper;
	map->cleanup = (struct cleanup){unmap_run, unmap_done};
	atomic_init(&map->refs, 1);
	msg_init(&map->drop_msg, EVENT_MAP_DROP);
	msg_init(&map->set_msg, EVENT_MAP_SET);
	map->mem.n_regions = n_regions;
	for (unsigned int i = 0; i < n_regions; i++) {
		*ret_fault = map_region(map, i, &regions[i], before);
		if (*ret_fault)
			goto unmap;
	}
	*ret_fault = guest_mem_check(&map->mem);
	if (*ret_fault)
		goto unmap;
	return map;

unmap:
	unmap_all(map); /* what is new was never touched: costs nothing */
	free(map);
uncount:
	uncount_part(unmapper, 0);
	return NULL;
}

void guest_map_get(struct guest_map *map)
{
	atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
}

void guest_map_get_again(struct guest_map *map)
{
	atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
}

void guest_map_pin(struct guest_map *map, const struct guest_map *before, const atomic_bool *cancel,
		   char ret_why[PINNED_WHY_BYTES])
{
	struct pinned_area areas[GUEST_MEM_REGIONS_MAX];

	for (unsigned int i = 0; i < map->mem.n_regions; i++) {
		const struct mapping *m = map->mappings[i];

		areas[i] = (struct pinned_area){m->addr, m->n_bytes, m->page_bytes};
	}
	pinned_new(areas, map->mem.n_regions, before ? before->pinned : NULL, cancel, &map->pinned,
		   ret_why);
}

void guest_map_put(struct guest_map *map, struct jobs *jobs)
{
	if (atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) != 1)
		return;
	cleaner_add(map->unmapper, &map->cleanup, jobs);
}

struct map_use *guest_map_use(struct guest_map *map)
{
	struct queue_map_use *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	msg_init(&u->use.msg, EVENT_MAP_UNUSED);
	u->use.mem = &map->mem;
	u->map = map;
	guest_map_get(map);
	return &u->use;
}

void guest_map_unuse(struct map_use *use, struct jobs *jobs)
{
	struct queue_map_use *u = container_of(use, struct queue_map_use, use);

	guest_map_put(u->map, jobs);
	free(u);
}
