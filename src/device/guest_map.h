/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A guest's memory, mapped by us: made by VHOST from the descriptors of SET_MEM_TABLE, used by the
 * connection and by each of its queues, unmapped by a JOB when the last of them has let go.
 * References are taken by VHOST and given up by CTRL.
 *
 * A front end that plugs memory in sends the whole table again. What was in the table before keeps
 * its mapping, and with it the pages that lcores have touched: a fault for each page of a large
 * guest, again after each table, would be felt by everybody on the lcore.
 */
#ifndef DEVICE_GUEST_MAP_H
#define DEVICE_GUEST_MAP_H

#include <stdatomic.h>
#include <sys/types.h>

#include "device/cleaner.h"
#include "engine/pinned.h"
#include "engine/queue.h"
#include "pure/guest_mem.h"

struct conn;

/** Part of a file, mapped: in all tables that name it. */
struct mapping {
	void *addr;
	size_t n_bytes;
	size_t page_bytes;
	/* What it is of: whole pages. Our mapping keeps the file, and so its number, from going. */
	dev_t dev;
	ino_t ino;
	uint64_t offset;
	atomic_bool lost; /* see struct guest_region */
	struct guest_fault_watch *watch;
	atomic_uint refs; /* tables */
};

struct guest_map {
	struct guest_mem mem; /* host addresses are inside the mappings */
	struct mapping *mappings[GUEST_MEM_REGIONS_MAX];
	atomic_uint refs;
	struct cleaner *unmapper;
	struct cleanup cleanup; /* counts for nothing: see guest_map_new() */
	struct msg drop_msg;    /* EVENT_MAP_DROP */
	struct msg set_msg;     /* EVENT_MAP_SET, with a reference; not for each disk */
	struct conn *conn;      /* for set_msg */
	struct pinned *pinned;  /* NULL: it is not pinned. guest_map_pin() writes */
};

/** A region as it comes over the socket. */
struct guest_map_region {
	uint64_t gpa;
	uint64_t size_bytes;
	uint64_t uva;
	uint64_t mmap_offset;
	int fd; /* the caller's */
};

/** Maps the regions, but for those that `before` has as well (the connection's, or NULL); one
 *  reference, the connection's. The endpoint's unmapper counts the table, and each mapping once,
 *  until it has been unmapped; there is a limit. NULL with *ret_fault saying what is wrong. */
struct guest_map *guest_map_new(const struct guest_map_region *regions, unsigned int n_regions,
				const struct guest_map *before, struct cleaner *unmapper,
				const char **ret_fault) IN_VHOST;

/** One more reference. */
void guest_map_get(struct guest_map *map) IN_VHOST;

/** The same, by who has one. */
void guest_map_get_again(struct guest_map *map) IN_CTRL;

/** Gives a reference up; the last one begins the unmapping. */
void guest_map_put(struct guest_map *map, struct jobs *jobs) IN_CTRL;

/** Pins its memory, until it is unmapped, as of pinned_new(): what `before` (or NULL), which is
 *  pinned, has as well is shared with it. The caller keeps a reference to both. On failure
 *  map->pinned stays NULL, and ret_why is filled in. */
void guest_map_pin(struct guest_map *map, const struct guest_map *before, const atomic_bool *cancel,
		   char ret_why[PINNED_WHY_BYTES]) IN_JOB;

/** One queue's use of a map; holds a reference. NULL when memory is short. */
struct map_use *guest_map_use(struct guest_map *map) IN_VHOST;

/** After EVENT_MAP_UNUSED, or when the use was never handed to an lcore. */
void guest_map_unuse(struct map_use *use, struct jobs *jobs) IN_CTRL;

#endif
