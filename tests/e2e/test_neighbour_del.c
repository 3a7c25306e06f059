/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * B goes away, while A next to it is served: its front end exits, is killed, or still has requests
 * in flight.
 */
#include "neighbour.h"

#define DEPTH 128

static void del_b(struct td_disk *disk)
{
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
}

static void front_end_exits(void **state)
{
	static const char *const options[] = {"--mem", "64M", "--touch", NULL};
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL);
	struct td_helper *b = nb_trouble(nb, disk, "idle", options);

	(void)state;
	FX_OK(td_helper_end(b));
	nb_a_is_served(nb);
	del_b(disk);
	nb_finish(nb);
}

/* A process with much memory, of which we have touched every page: the kernel takes its time. */
static void front_end_is_killed(void **state)
{
	static const char *const options[] = {"--mem", "256M", "--touch", NULL};
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL);
	struct td_helper *b = nb_trouble(nb, disk, "idle", options);

	(void)state;
	td_helper_kill(b);
	del_b(disk);
	nb_finish(nb);
}

/* The same with the front end alive: we cut it off. */
static void front_end_stays(void **state)
{
	static const char *const options[] = {"--mem", "256M", "--touch", NULL};
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL);
	struct td_helper *b = nb_trouble(nb, disk, "idle", options);

	(void)state;
	FX_OK(td_helper_tell(b, "go"));
	FX_OK(td_helper_expect(b, "running"));
	del_b(disk);
	FX_OK(td_helper_expect(b, "done"));
	FX_ASSERT(td_helper_number(b, "hung_up") == 1, "%s", b->line);
	FX_OK(td_helper_end(b));
	nb_finish(nb);
}

static void front_end_is_killed_under_load(void **state)
{
	static const char *const options[] = {"--depth", "128", "--rw", "write", NULL};
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL);
	struct td_helper *b = nb_trouble(nb, disk, "load", options);

	(void)state;
	FX_OK(td_helper_tell(b, "go"));
	FX_OK(td_helper_expect(b, "running"));
	nb_a_is_served(nb);
	td_helper_kill(b);
	del_b(disk);
	nb_finish(nb);
}

static void requests_are_in_flight(void **state)
{
	struct neighbour *nb = nb_start();
	unsigned int round;

	(void)state;
	for (round = 0; round < 5; round++) {
		struct td_disk *disk = fx_disk(NULL);
		struct nb_load *b = nb_load_open(disk, DEPTH);

		nb_load_run(b, 1000);
		vfe_load_send(&b->load, DEPTH);
		del_b(disk);
		FX_ASSERT(vfe_msg_peer_closes(b->blk->conn.sock, VFE_TIMEOUT_MS),
			  "the connection outlives the device");
		nb_load_ended(b, disk);
		nb_a_is_served(nb);
		nb_load_ended(b, disk); /* nothing came later that should not have */
		nb_load_close(b);
	}
	nb_finish(nb);
}

static const struct fx_case cases[] = {
	FX_CASE(front_end_exits),        FX_CASE(front_end_is_killed),
	FX_CASE(front_end_stays),        FX_CASE(front_end_is_killed_under_load),
	FX_CASE(requests_are_in_flight),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "neighbour_del", cases, sizeof(cases) / sizeof(cases[0]));
}
