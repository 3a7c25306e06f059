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

/* Of one endpoint, until they have been unmapped; they keep our address space of 128 TiB, and the
 * kernel's limit of 65530 mappings, from being used up by sparse files, or by a few front ends. A
 * memory table counts for the regions that the one before it did not have, and for one at least. */
#define LIVE_BYTES_MAX   ((uint64_t)16 << 40)
#define LIVE_REGIONS_MAX 1024

struct queue_map_use {
	struct map_use use;
	struct guest_map *map;
};

static void mapping_put(struct mapping *m)
{
	if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	guest_fault_forget(m->watch);
	unmap_in_pieces(m->addr, m->n_bytes, m->page_bytes);
	free(m);
}

static void unmap_all(struct guest_map *map)
{
	for (unsigned int i = 0; i < GUEST_MEM_REGIONS_MAX; i++) {
		if (map->mappings[i])
			mapping_put(map->mappings[i]);
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

static struct mapping *mapping_new(const struct mapping *want, int fd, const char **ret_fault)
{
	struct mapping *m = malloc(sizeof(*m));

	*ret_fault = "memory is short";
	if (!m)
		return NULL;
	*m = *want;
	atomic_init(&m->lost, false);
	atomic_init(&m->refs, 1);
	*ret_fault = "a memory region can't be mapped";
	m->addr = mmap(NULL, m->n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)m->offset);
	if (m->addr == MAP_FAILED)
		goto discard;
	*ret_fault = "there are too many memory maps";
	m->watch = guest_fault_watch(m->addr, m->n_bytes, m->page_bytes, &m->lost);
	if (!m->watch)
		goto unmap;
	madvise(m->addr, m->n_bytes, MADV_DONTDUMP);
	*ret_fault = NULL;
	return m;

unmap:
	munmap(m->addr, m->n_bytes);
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
	if (!m) {
		m = mapping_new(&want, r->fd, &fault);
		map->cleanup.n++;
	}
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
	free(container_of(cleanup, struct guest_map, cleanup));
}

struct guest_map *guest_map_new(const struct guest_map_region *regions, unsigned int n_regions,
				const struct guest_map *before, struct cleaner *unmapper,
				const char **ret_fault)
{
	struct guest_map *map;
	uint64_t n_bytes = 0;

	for (unsigned int i = 0; i < n_regions; i++)
		n_bytes += regions[i].size_bytes < LIVE_BYTES_MAX ? regions[i].size_bytes
								  : LIVE_BYTES_MAX;
	*ret_fault = "memory tables of more than 16 TiB, or 1024 regions, are in use";
	if (atomic_load_explicit(&unmapper->n, memory_order_relaxed) >= LIVE_REGIONS_MAX ||
	    atomic_load_explicit(&unmapper->n_bytes, memory_order_relaxed) + n_bytes >
		    LIVE_BYTES_MAX)
		return NULL;
	*ret_fault = "memory is short";
	map = calloc(1, sizeof(*map));
	if (!map)
		return NULL;
	map->unmapper = unmapper;
	map->cleanup = (struct cleanup){unmap_run, unmap_done, .n_bytes = n_bytes};
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
	if (map->cleanup.n == 0)
		map->cleanup.n = 1;
	cleaner_count(unmapper, map->cleanup.n, n_bytes);
	return map;

unmap:
	unmap_all(map); /* what is new was never touched: costs nothing */
	free(map);
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
