/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System calls that take long in the daemon: hold.so is loaded into it. In other back ends the
 * event thread's munmap() of B's memory is what all other guests wait for (spdk#3468).
 */
#include "neighbour.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOLD_MS 3000 /* longer than NB_BOUND_MS */

static char hold_file[TD_PATH_MAX], held_file[TD_PATH_MAX + 8];

static void disarm(void)
{
	unlink(hold_file);
}

static void arm(const char *what)
{
	char path[TD_PATH_MAX + 8];
	FILE *f;

	snprintf(path, sizeof(path), "%s.new", hold_file);
	f = fopen(path, "we");
	FX_ASSERT(f, "%s", path);
	fprintf(f, "%d %s\n", HOLD_MS, what);
	FX_ASSERT(fclose(f) == 0 && rename(path, hold_file) == 0, "%s", path);
}

static bool is_held(void)
{
	return access(held_file, F_OK) == 0;
}

static void wait_held(bool held)
{
	int64_t deadline_ms = vfe_now_ms() + HOLD_MS + NB_BOUND_MS;

	while (is_held() != held && vfe_now_ms() < deadline_ms)
		usleep(1000);
	FX_ASSERT(is_held() == held, "no call is %s", held ? "held" : "released");
}

static void del_b(const struct td_disk *disk)
{
	json_object_put(nb_call("device.del", "{\"name\":\"%s\",\"force\":true,\"no_wait\":true}",
				disk->name));
}

/* B's connection is being taken down by the event thread, and that takes long. No front end can be
 * let in, which is librte_vhost's way; all else goes on. */
static void teardown_takes_long(void **state)
{
	static const char *const options[] = {"--mem", "64M", "--touch", NULL};
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL);
	struct td_helper *b = nb_trouble(nb, disk, "idle", options);
	unsigned int i;

	(void)state;
	arm("close vhost-events once");
	td_helper_kill(b);
	wait_held(true);
	del_b(disk);
	for (i = 0; i < 3; i++) {
		nb_a_is_served(nb);
		nb_c_lives(nb, false);
	}
	FX_ASSERT(is_held(), "the hold was over before");
	nb_wait_state(disk->name, "quiescing", NULL);
	wait_held(false);
	nb_wait_state(disk->name, "", NULL);
	fx_disk_gone(disk);
	nb_finish(nb);
}

/* A disk with B's old place in librte_vhost may be used as soon as the hold is over. */
static void new_disk_outlives_the_teardown(void **state)
{
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL), *c;
	struct td_helper *b = nb_trouble(nb, disk, "idle", NULL);
	struct vfe_blk *blk;

	(void)state;
	arm("close vhost-events once");
	td_helper_kill(b);
	wait_held(true);
	c = fx_disk(NULL);
	FX_ASSERT(is_held(), "the hold was over before");
	blk = fx_open(c, NULL); /* when the event thread is back */
	fx_serves(fx_io(blk, 0, 1, 4096), 0);
	vfe_blk_close(blk);
	FX_OK(td_disk_del(fx_backend(), c, true));
	fx_disk_gone(c);
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
	nb_finish(nb);
}

/* A front end that waits for the event thread does not hold up the deletion of its disk, nor a new
 * one of that name. */
static void front_end_waits_for_the_event_thread(void **state)
{
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL), *c = fx_disk(NULL), again = *c;
	struct td_helper *b = nb_trouble(nb, disk, "idle", NULL);
	struct vfe_blk *blk = fx_session();
	struct vfe_blk_opts opts;
	int sock;

	(void)state;
	arm("close vhost-events once");
	td_helper_kill(b);
	wait_held(true);
	sock = vfe_msg_connect(c->socket);
	FX_ASSERT(sock >= 0, "connect: %d", sock);
	FX_ASSERT(!vfe_msg_peer_closes(sock, 100), "it is not kept waiting");
	FX_OK(td_disk_del(fx_backend(), c, false));
	fx_disk_gone(c);
	FX_ASSERT(vfe_msg_peer_closes(sock, NB_BOUND_MS), "it is kept, without a disk");
	close(sock);
	json_object_put(nb_call("device.add",
				"{\"name\":\"%s\",\"backend\":\"null\",\"size\":\"1G\"}",
				again.name));
	FX_ASSERT(is_held(), "the hold was over before");
	vfe_blk_opts_init(&opts, again.socket);
	FX_OK(vfe_blk_open(blk, &opts)); /* when the event thread is back */
	vfe_blk_close(blk);
	FX_OK(td_disk_del(fx_backend(), &again, true));
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
	nb_finish(nb);
}

/* The event thread unmaps nothing, whoever goes. */
static void event_thread_unmaps_nothing(void **state)
{
	static const char *const options[] = {"--mem", "256M", "--touch", NULL};
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL);
	struct td_helper *b = nb_trouble(nb, disk, "idle", options);

	(void)state;
	arm("munmap vhost-events once");
	td_helper_kill(b);
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
	nb_goes_on(nb);
	FX_ASSERT(access(hold_file, F_OK) == 0, "a munmap() by the event thread");
	disarm();
	nb_finish(nb);
}

/* Whatever the workers do with B takes long. */
static void worker_takes_long(const char *what)
{
	static const char *const options[] = {"--mem", "256M", "--touch", NULL};
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL);
	struct td_helper *b = nb_trouble(nb, disk, "idle", options);

	arm(what);
	td_helper_kill(b);
	wait_held(true);
	del_b(disk);
	nb_a_is_served(nb);
	nb_c_lives(nb, true);
	FX_ASSERT(is_held(), "the hold was over before");
	wait_held(false);
	nb_wait_state(disk->name, "", NULL);
	fx_disk_gone(disk);
	nb_finish(nb);
}

static void worker_unmaps_for_long(void **state)
{
	(void)state;
	worker_takes_long("munmap vhostd-job once");
}

static void worker_closes_for_long(void **state)
{
	(void)state;
	worker_takes_long("close vhostd-job once");
}

static const struct fx_case cases[] = {
	FX_CASE(teardown_takes_long),
	FX_CASE(new_disk_outlives_the_teardown),
	FX_CASE(front_end_waits_for_the_event_thread),
	FX_CASE(event_thread_unmaps_nothing),
	FX_CASE(worker_unmaps_for_long),
	FX_CASE(worker_closes_for_long),
};

int main(int argc, char **argv)
{
	const char *module = getenv("HOLD_MODULE");

	if (!module) {
		fprintf(stderr, "the environment variable HOLD_MODULE must name hold.so\n");
		return 2;
	}
	snprintf(hold_file, sizeof(hold_file), "%s/hold", td_tmpdir());
	snprintf(held_file, sizeof(held_file), "%s.held", hold_file);
	setenv("HOLD_FILE", hold_file, 1);
	setenv("LD_PRELOAD", module, 1); /* into what we start from here on */
	return fx_main(argc, argv, "neighbour_event", cases, sizeof(cases) / sizeof(cases[0]));
}
