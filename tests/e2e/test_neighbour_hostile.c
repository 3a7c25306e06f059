/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * B's front end is hostile, in the ways that cost the event thread time: A next to it is served,
 * and C comes and goes. What becomes of B itself is in test_hostile.c.
 */
#include "neighbour.h"

static void trouble(const char *kind, const char *counted, const char *const *options)
{
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL);
	struct td_helper *b = nb_trouble(nb, disk, kind, options);

	FX_OK(td_helper_tell(b, "go"));
	FX_OK(td_helper_expect(b, "running"));
	nb_goes_on(nb);
	FX_OK(td_helper_tell(b, "stop"));
	FX_OK(td_helper_expect(b, "done"));
	FX_ASSERT(td_helper_number(b, counted) > 0, "%s", b->line);
	FX_OK(td_helper_end(b));
	fx_serves(fx_io(fx_open_patiently(disk), 0, 1, 4096), 0);
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
	nb_finish(nb);
}

static void half_a_message(void **state)
{
	(void)state;
	trouble("half", "connections", NULL);
}

static void answers_that_nobody_reads(void **state)
{
	(void)state;
	trouble("noread", "messages", NULL);
}

static void kicks_without_end(void **state)
{
	(void)state;
	trouble("kicks", "messages", NULL);
}

static void bases_of_queues_that_never_ran(void **state)
{
	(void)state;
	trouble("base", "answers", NULL);
}

static void connections_without_end(void **state)
{
	(void)state;
	trouble("connect", "connections", NULL);
}

/* ThreadSanitizer wipes the shadow of all that is unmapped: four times as much. */
#if defined(__SANITIZE_THREAD__)
#define TABLE_SIZE "64M"
#else
#define TABLE_SIZE "2G"
#endif

static void memory_tables_without_end(void **state)
{
	static const char *const options[] = {"--mem", TABLE_SIZE, "--regions", "2", NULL};

	(void)state;
	trouble("memtable", "tables", options);
}

/* It goes on while B is deleted. */
static void deleted_in_the_middle_of_it(void **state)
{
	static const char *const kinds[] = {"half", "noread", "kicks", "base", "connect"};
	struct neighbour *nb = nb_start();
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct td_disk *disk = fx_disk(NULL);
		struct td_helper *b = nb_trouble(nb, disk, kinds[i], NULL);

		FX_OK(td_helper_tell(b, "go"));
		FX_OK(td_helper_expect(b, "running"));
		nb_a_is_served(nb);
		FX_OK(td_disk_del(fx_backend(), disk, true));
		fx_disk_gone(disk);
		nb_a_is_served(nb);
		td_helper_kill(b);
	}
	nb_finish(nb);
}

static const struct fx_case cases[] = {
	FX_CASE(half_a_message),
	FX_CASE(answers_that_nobody_reads),
	FX_CASE(kicks_without_end),
	FX_CASE(bases_of_queues_that_never_ran),
	FX_CASE(connections_without_end),
	FX_CASE(memory_tables_without_end),
	FX_CASE(deleted_in_the_middle_of_it),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "neighbour_hostile", cases, sizeof(cases) / sizeof(cases[0]));
}
