/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Power failures: two disks, a file and a loop device, are on a store with a volatile cache
 * (faultfs); vhostd is killed at a random moment under load, and what the cache has is lost.
 * Whatever was acknowledged as durable must be there when vhostd is back; the rest is there or not,
 * sector by sector.
 *
 * The environment variable CRASH_ROUNDS says how often (4), CRASH_SEED with which random numbers; a
 * test that fails tells its seed.
 */
#include "crash_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "td_helper.h"

#define N_DISKS       2
#define LOAD_REQUESTS 2000 /* at most, in a round */

/* The next vhostd starts while the one before it is still at work: that saves time. */
struct rig {
	struct td_helper fs;
	struct td_backend vhostd[2]; /* by the round */
	struct crash_disk disk[N_DISKS];
	unsigned int n_disks;
	uint64_t random;
};

static void clean_up(void *arg)
{
	struct rig *r = arg;
	unsigned int i;

	for (i = 0; i < 2; i++)
		td_kill(&r->vhostd[i].td);
	for (i = 0; i < N_DISKS; i++)
		crash_disk_fini(&r->disk[i]);
	if (r->fs.pid)
		td_helper_end(&r->fs);
}

static void tell_fs(struct rig *r, const char *command)
{
	FX_OK(td_helper_tell(&r->fs, command));
	FX_OK(td_helper_expect(&r->fs, "ok"));
}

static void start_fs(struct rig *r, char *ret_mount, size_t n_bytes)
{
	const char *program = getenv("FAULTFS");
	char back[64];

	FX_ASSERT(program, "the environment variable FAULTFS must name faultfs");
	snprintf(back, sizeof(back), "%.40s/back", td_tmpdir());
	snprintf(ret_mount, n_bytes, "%.40s/mount", td_tmpdir());
	FX_ASSERT(mkdir(back, 0700) == 0 && mkdir(ret_mount, 0700) == 0, "%s: %d", back, errno);
	FX_OK(td_helper_start(&r->fs, (const char *const[]){program, back, ret_mount, NULL}));
	FX_OK(td_helper_expect(&r->fs, "ready"));
}

static void make_disks(struct rig *r)
{
	static const char *const names[N_DISKS] = {"file", "device"};
	char mount[64], path[96];

	start_fs(r, mount, sizeof(mount));
	for (unsigned int i = 0; i < N_DISKS; i++) {
		snprintf(path, sizeof(path), "%s/%s", mount, names[i]);
		crash_disk_init(&r->disk[i], names[i], path, &r->random);
	}
	r->n_disks = crash_disk_make_loop(&r->disk[1]) ? 2 : 1;
	FX_ASSERT(r->n_disks == N_DISKS || geteuid() != 0, "no loop devices here");
	if (r->n_disks < N_DISKS)
		print_message("# loop devices are root's: the file only\n");
	tell_fs(r, "cache on");
}

/* vhostd is back, and the power with it. */
static void begin_round(struct rig *r, unsigned int round, bool last)
{
	struct td_backend *vhostd = &r->vhostd[round % 2];
	unsigned int i;

	for (i = 0; i < r->n_disks; i++)
		crash_disk_add(&r->disk[i], vhostd);
	tell_fs(r, "drop");
	if (!last)
		FX_OK(td_backend_start(&r->vhostd[(round + 1) % 2], fx_kind(), NULL));
	for (i = 0; i < r->n_disks; i++)
		crash_disk_verify(&r->disk[i],
				  last ? CRASH_WRITE_BACK : (round + i) % CRASH_N_MODES);
}

static void load(struct rig *r)
{
	unsigned int n_max = 10 + (unsigned int)(vfe_random(&r->random) % LOAD_REQUESTS);
	int64_t deadline_ms = vfe_now_ms() + VFE_TIMEOUT_MS;
	unsigned int n_done = 0, n;

	while (n_done < n_max) {
		n = 0;
		for (unsigned int i = 0; i < r->n_disks; i++)
			n += crash_disk_step(&r->disk[i]);
		n_done += n;
		if (n > 0)
			deadline_ms = vfe_now_ms() + VFE_TIMEOUT_MS;
		else
			usleep(100);
		FX_ASSERT(vfe_now_ms() < deadline_ms, "no request ends");
	}
}

/* The kernel may go on with what the dead one has left to it. */
static void crash(struct rig *r, unsigned int round)
{
	td_kill(&r->vhostd[round % 2].td);
	for (unsigned int i = 0; i < r->n_disks; i++)
		crash_disk_abandon(&r->disk[i]);
}

static void what_was_flushed_survives(void **state)
{
	const char *rounds = getenv("CRASH_ROUNDS"), *seed = getenv("CRASH_SEED");
	unsigned int n_rounds = rounds ? (unsigned int)strtoul(rounds, NULL, 10) : CRASH_N_MODES;
	struct rig *r = fx_buf(sizeof(*r));
	unsigned int round;

	(void)state;
	r->random = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) * 100000 + getpid();
	print_message("# CRASH_ROUNDS=%u CRASH_SEED=%" PRIu64 "\n", n_rounds, r->random);
	fx_at_end(clean_up, r);
	make_disks(r);
	FX_OK(td_backend_start(&r->vhostd[0], fx_kind(), NULL));
	for (round = 0; round < n_rounds; round++) {
		tell_fs(r, round % 3 == 2 ? "delay 3 fsync" : "delay 0 fsync");
		begin_round(r, round, false);
		load(r);
		crash(r, round);
	}
	tell_fs(r, "pass");
	begin_round(r, round, true);
	FX_ASSERT(td_backend_stop(&r->vhostd[round % 2]) == 0, "it does not end well");
	for (unsigned int i = 0; i < r->n_disks; i++)
		print_message("# %s: %" PRIu64 " blocks were made durable\n", r->disk[i].name,
			      r->disk[i].durable.n_made_durable);
}

static const struct fx_case cases[] = {
	FX_CASE_ON(what_was_flushed_survives, FX_AIO | FX_URING, "a file of vhostd's"),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "crash", cases, sizeof(cases) / sizeof(cases[0]));
}
