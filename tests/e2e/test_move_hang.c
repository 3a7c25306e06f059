/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue whose requests hang while it is to move: it waits for them, visibly, others go on,
 * and the ring or the disk may be stopped meanwhile. The disk's file is on faultfs.
 */
#include "move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "td_helper.h"

#define SIZE_BYTES (16u << 20)

struct rig {
	struct td_helper fs;
	struct td_disk disk; /* with two virtqueues, the first one on lcore 0 */
	struct vfe_blk *blk;
	struct vfe_io *io[2];
	struct vfe_io *neighbour; /* of another disk, on lcore 0 */
	struct vfe_req *hung;
	/* a thread that moves the first virtqueue, or stops the rings */
	pthread_t mover, stopper;
	int move_rc, stop_rc;
	char move_error[256];
};

static void tell_fs(struct rig *r, const char *command)
{
	FX_OK(td_helper_tell(&r->fs, command));
	FX_OK(td_helper_expect(&r->fs, "ok"));
}

static void end_fs(void *arg)
{
	struct rig *r = arg;

	if (r->fs.pid)
		td_helper_kill(&r->fs);
}

static void make_disk(struct rig *r, const char *back, const char *mount)
{
	char params[512];
	int fd;

	snprintf(r->disk.file, sizeof(r->disk.file), "%s/b.img", back);
	fd = open(r->disk.file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FX_ASSERT(fd >= 0 && ftruncate(fd, SIZE_BYTES) == 0, "%s: %d", r->disk.file, errno);
	close(fd);
	snprintf(r->disk.name, sizeof(r->disk.name), "%s", strrchr(back, '/') + 1);
	snprintf(r->disk.socket, sizeof(r->disk.socket), "%s/%s.sock", fx_backend()->td.dir,
		 r->disk.name);
	snprintf(params, sizeof(params),
		 "{\"name\":\"%s\",\"backend\":\"%s\",\"path\":\"%s/b.img\",\"queues\":2}",
		 r->disk.name, td_kind_names[fx_kind()], mount);
	FX_OK(td_rpc(&fx_backend()->td, "device.add", params, NULL));
}

static struct rig *rig_open(void)
{
	const char *program = getenv("FAULTFS");
	static unsigned int n_mounts;
	struct rig *r = fx_buf(sizeof(*r));
	struct td_disk *other = fx_disk(NULL);
	struct vfe_blk_opts opts;
	char back[96], mount[96];

	FX_ASSERT(program, "the environment variable FAULTFS must name faultfs");
	snprintf(back, sizeof(back), "%s/back%u", td_tmpdir(), n_mounts);
	snprintf(mount, sizeof(mount), "%s/mount%u", td_tmpdir(), n_mounts++);
	FX_ASSERT(mkdir(back, 0700) == 0 && mkdir(mount, 0700) == 0, "%s: %d", mount, errno);
	fx_at_end(end_fs, r);
	FX_OK(td_helper_start(&r->fs, (const char *const[]){program, back, mount, NULL}));
	FX_OK(td_helper_expect(&r->fs, "ready"));
	make_disk(r, back, mount);
	FX_OK(mv_move(&r->disk, 0, 0, NULL));
	FX_OK(mv_move(other, 0, 0, NULL));
	vfe_blk_opts_init(&opts, NULL);
	opts.n_queues = 2;
	r->blk = fx_open(&r->disk, &opts);
	r->io[0] = fx_io(r->blk, 0, 4, 4096);
	r->io[1] = fx_io(r->blk, 1, 4, 4096);
	r->neighbour = fx_io(fx_open(other, NULL), 0, 4, 4096);
	return r;
}

static void rig_close(struct rig *r)
{
	FX_ASSERT(td_helper_end(&r->fs) == 0, "faultfs");
	r->fs.pid = 0;
}

static void *move_it(void *arg)
{
	struct rig *r = arg;

	r->move_rc = mv_move(&r->disk, 0, 1, r->move_error);
	return NULL;
}

static void *stop_it(void *arg)
{
	struct rig *r = arg;

	r->stop_rc = vfe_blk_stop(r->blk, NULL);
	return NULL;
}

static void wait_held(struct rig *r)
{
	int64_t deadline_ms = vfe_now_ms() + MV_PATIENCE_MS;

	do {
		FX_ASSERT(vfe_now_ms() < deadline_ms, "nothing hangs: %s", r->fs.line);
		usleep(2000);
		tell_fs(r, "count");
	} while (td_helper_number(&r->fs, "held") < 1);
}

/* A request of the first virtqueue hangs, and the virtqueue is to move to lcore 1. */
static void hang_and_move(struct rig *r)
{
	char error[256], expected[128];

	fx_serves(r->io[0], 0);
	fx_serves(r->io[1], 8);
	tell_fs(r, "hang");
	r->hung = vfe_io_get(r->io[0]);
	r->hung->n_bytes = 4096;
	r->hung->device_writes = true;
	r->hung->sector = 64;
	FX_OK(vfe_io_submit(r->io[0], r->hung));
	vfe_io_kick(r->io[0]);
	wait_held(r);
	FX_OK(pthread_create(&r->mover, NULL, move_it, r));
	mv_wait(&r->disk, 0, "state", "moving");
	FX_ASSERT(mv_number(&r->disk, 0, "lcore") == 0 && mv_number(&r->disk, 0, "moving_to") == 1,
		  "it is not moving from 0 to 1");
	FX_ASSERT(mv_move(&r->disk, 0, 0, error) == -EREMOTEIO, "a move in a move");
	snprintf(expected, sizeof(expected),
		 "BUSY virtqueue 0 of \"%s\" is being moved to lcore 1 already", r->disk.name);
	FX_ASSERT(strcmp(error, expected) == 0, "%s", error);
	fx_serves(r->neighbour, 0);
}

static void let_go(struct rig *r)
{
	tell_fs(r, "pass");
	pthread_join(r->mover, NULL);
}

/* The answer to the request that hung. */
static void expect_answer(struct rig *r)
{
	struct vfe_req *req;

	FX_ASSERT(vfe_io_wait(r->io[0], &req, VFE_TIMEOUT_MS) == 1 && req == r->hung, "no answer");
	FX_ASSERT(req->status == VIRTIO_BLK_S_OK, "status %u", req->status);
	vfe_io_put(r->io[0], req);
}

static bool shows(const struct rig *r, const char *key, const char *text)
{
	struct json_object *device, *value = NULL;
	char params[64];
	bool has;

	snprintf(params, sizeof(params), "{\"name\":\"%s\"}", r->disk.name);
	FX_OK(td_rpc(&fx_backend()->td, "device.show", params, &device));
	has = json_object_object_get_ex(device, key, &value) &&
	      strcmp(json_object_get_string(value), text) == 0;
	json_object_put(device);
	return has;
}

static void a_move_waits_for_requests(void **state)
{
	struct rig *r = rig_open();

	(void)state;
	hang_and_move(r);
	FX_ASSERT(shows(r, "step", "move") &&
			  shows(r, "waits_for",
				"1 requests in flight on virtqueue 0, which moves to lcore 1"),
		  "it does not say what it waits for");
	let_go(r);
	FX_ASSERT(r->move_rc == 0, "the move: %d %s", r->move_rc, r->move_error);
	expect_answer(r);
	FX_ASSERT(mv_number(&r->disk, 0, "lcore") == 1, "it has not moved");
	fx_serves(r->io[0], 128);
	vfe_blk_close(r->blk);
	FX_OK(td_disk_del(fx_backend(), &r->disk, true));
	rig_close(r);
}

/* GET_VRING_BASE comes while it is moving: the ring stops first, and starts again elsewhere. */
static void a_ring_is_stopped_in_a_move(void **state)
{
	struct rig *r = rig_open();

	(void)state;
	hang_and_move(r);
	FX_OK(pthread_create(&r->stopper, NULL, stop_it, r));
	mv_wait(&r->disk, 0, "state", "draining");
	let_go(r);
	pthread_join(r->stopper, NULL);
	FX_ASSERT(r->move_rc == 0, "the move: %d %s", r->move_rc, r->move_error);
	FX_ASSERT(r->stop_rc == 0, "GET_VRING_BASE: %d", r->stop_rc);
	expect_answer(r);
	FX_OK(vfe_blk_start(r->blk));
	fx_serves(r->io[0], 128);
	FX_ASSERT(mv_number(&r->disk, 0, "lcore") == 1, "it has not started elsewhere");
	vfe_blk_close(r->blk);
	FX_OK(td_disk_del(fx_backend(), &r->disk, true));
	rig_close(r);
}

static void a_deletion_ends_a_move(void **state)
{
	struct rig *r = rig_open();
	char params[96], expected[128];

	(void)state;
	hang_and_move(r);
	snprintf(params, sizeof(params), "{\"name\":\"%s\",\"force\":true,\"no_wait\":true}",
		 r->disk.name);
	FX_OK(td_rpc(&fx_backend()->td, "device.del", params, NULL));
	mv_wait(&r->disk, 0, "state", "draining");
	FX_ASSERT(shows(r, "step", "drain"), "it does not drain");
	fx_serves(r->neighbour, 8);
	let_go(r);
	snprintf(expected, sizeof(expected), "BUSY \"%s\" was deleted before it had moved",
		 r->disk.name);
	FX_ASSERT(r->move_rc == -EREMOTEIO && strcmp(r->move_error, expected) == 0, "%d %s",
		  r->move_rc, r->move_error);
	expect_answer(r);
	vfe_blk_close(r->blk);
	rig_close(r);
}

#define NO_MOVES "qemu-storage-daemon moves no virtqueues; a malloc disk has no file to hang"

static const struct fx_case cases[] = {
	FX_CASE_ON(a_move_waits_for_requests, FX_AIO | FX_URING, NO_MOVES),
	FX_CASE_ON(a_ring_is_stopped_in_a_move, FX_AIO | FX_URING, NO_MOVES),
	FX_CASE_ON(a_deletion_ends_a_move, FX_AIO | FX_URING, NO_MOVES),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "move_hang", cases, sizeof(cases) / sizeof(cases[0]));
}
