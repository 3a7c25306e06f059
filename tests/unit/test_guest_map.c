/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How much of the process's mappings front ends get that send memory tables without end: a bounded
 * number each, and never those that others need. No EAL.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/guest_map.h"
#include "device/registry_impl.h"
#include "lib/unit.h"

#define PAGE      4096u
#define PLACES    65536u /* in the file, two pages each: mappings of two are never one */
#define HOSTILE   80
#define PARTS_MAX 1024 /* of one front end: tables, and regions */
#define TABLES    (2 * PARTS_MAX)
#define MAPS_NAME "memfd:test-guest-map"

struct front_end {
	struct cleaner *unmapper;
	struct guest_map *held[TABLES]; /* as by requests in flight */
	unsigned int n_held;
};

static struct registry r;
static struct front_end all[HOSTILE];
static unsigned int n_front_ends;
static int fd;
static unsigned int next_place;

static unsigned int n_mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned int n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, MAPS_NAME) != NULL;
	fclose(maps);
	return n;
}

static void fill_table(struct guest_map_region *regions, unsigned int first_place)
{
	for (unsigned int i = 0; i < GUEST_MEM_REGIONS_MAX; i++) {
		uint64_t at = (uint64_t)((first_place + i) % PLACES) * 2 * PAGE;

		regions[i] = (struct guest_map_region){PAGE + at, PAGE, PAGE + at, at, fd};
	}
}

/* A table of eight regions; NULL: refused. */
static struct guest_map *table_at(struct front_end *f, unsigned int first_place,
				  const struct guest_map *before)
{
	struct guest_map_region regions[GUEST_MEM_REGIONS_MAX];
	struct guest_map *map;
	const char *fault = NULL;

	fill_table(regions, first_place);
	role_enter(&role_vhost);
	map = guest_map_new(regions, GUEST_MEM_REGIONS_MAX, before, f->unmapper, &fault);
	role_leave(&role_vhost);
	if (!map)
		assert_fault(fault, "memory");
	return map;
}

static void hold(struct front_end *f, struct guest_map *map)
{
	assert_true(f->n_held < TABLES);
	f->held[f->n_held++] = map;
}

/* Until nothing is being unmapped. */
static void settle(const struct front_end *f)
{
	role_assert(&role_ctrl);
	while (f->unmapper->doing || f->unmapper->waiting) {
		struct pollfd p = {.fd = mbox_fd(r.params.events), .events = POLLIN};

		assert_int_equal(poll(&p, 1, 10000), 1);
		registry_on_events(&r);
	}
}

static void drop(struct front_end *f, struct guest_map *map)
{
	role_enter(&role_ctrl);
	guest_map_put(map, &r.jobs);
	settle(f);
	role_leave(&role_ctrl);
}

static struct front_end *connect_one(void)
{
	struct front_end *f = &all[n_front_ends++];

	assert_true(n_front_ends <= HOSTILE);
	f->unmapper = cleaner_new("unmap");
	assert_non_null(f->unmapper);
	return f;
}

/* Other regions each time, and all tables stay, until one is refused. */
static void take_all(struct front_end *f)
{
	struct guest_map *map;

	while ((map = table_at(f, next_place, NULL))) {
		next_place += GUEST_MEM_REGIONS_MAX;
		hold(f, map);
	}
}

/* The memory table is replaced completely: the old one and the new one are there. */
static void is_served(struct front_end *f)
{
	for (unsigned int i = 0; i < 3; i++) {
		struct guest_map *map = table_at(f, next_place, NULL);

		if (!map)
			fail_msg("table %u of a front end that does nothing is refused", i);
		next_place += GUEST_MEM_REGIONS_MAX;
		hold(f, map);
	}
}

/* Whatever number of front ends takes what it can get. */
static void test_others_keep_theirs(void **state)
{
	(void)state;
	for (unsigned int i = 0; i + 1 < HOSTILE; i++)
		take_all(connect_one());
	assert_in_range(all[0].n_held, 3, PARTS_MAX / GUEST_MEM_REGIONS_MAX);
	is_served(connect_one());
}

/* What they give back is there for others. */
static void test_given_back(void **state)
{
	struct front_end *first = connect_one();
	unsigned int n_first;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		take_all(first);
		n_first = first->n_held;
		while (first->n_held > 0)
			drop(first, first->held[--first->n_held]);
		assert_int_equal(n_mapped(), 0);
		assert_int_equal(atomic_load(&first->unmapper->n), 0);
		assert_int_equal(atomic_load(&first->unmapper->n_bytes), 0);
	}
	take_all(first);
	assert_int_equal(first->n_held, n_first);
}

/* One region in eight is another each time. Every eighth table stays, and nothing of the others but
 * what is in these. */
static void test_shared_regions_count(void **state)
{
	struct front_end *f = connect_one();
	struct guest_map *before = table_at(f, 0, NULL), *map;
	unsigned int place = 0;

	(void)state;
	while (place + GUEST_MEM_REGIONS_MAX < PLACES && (map = table_at(f, ++place, before))) {
		if (place % GUEST_MEM_REGIONS_MAX == 1)
			hold(f, before);
		else
			drop(f, before);
		before = map;
	}
	hold(f, before);
	assert_in_range(n_mapped(), PARTS_MAX / 2, PARTS_MAX);
}

static int setup(void **state)
{
	struct error err = {0};

	(void)state;
	fd = memfd_create("test-guest-map", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)PLACES * 2 * PAGE) ||
	    mbox_new(true, &r.params.events, &err))
		return -1;
	r.jobs.events = r.params.events;
	return 0;
}

static int end_all(void **state)
{
	(void)state;
	while (n_front_ends > 0) {
		struct front_end *f = &all[--n_front_ends];

		while (f->n_held > 0)
			drop(f, f->held[--f->n_held]);
		role_enter(&role_ctrl);
		cleaner_free(f->unmapper);
		role_leave(&role_ctrl);
		f->unmapper = NULL;
	}
	assert_int_equal(n_mapped(), 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_given_back, end_all),
		cmocka_unit_test_teardown(test_shared_regions_count, end_all),
		cmocka_unit_test_teardown(test_others_keep_theirs, end_all),
	};

	return cmocka_run_group_tests_name("guest_map", tests, setup, NULL);
}
