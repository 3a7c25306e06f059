/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtqueues on several lcores, and moved from one to another while they are used: nothing is lost
 * or done twice, whatever else happens to the disk meanwhile. The daemon has the lcores 0 and 1.
 */
#include "move.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct td_disk *two_queues(void)
{
	return fx_disk(&(struct td_disk_opts){.n_queues = 2});
}

static void queues_are_spread(void **state)
{
	struct td_disk *disk = two_queues();
	struct vfe_blk_opts opts;
	struct vfe_blk *blk;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.n_queues = 2;
	blk = fx_open(disk, &opts);
	for (uint16_t q = 0; q < 2; q++)
		fx_serves(fx_io(blk, q, 2, 4096), 8 * q);
	FX_ASSERT(mv_number(disk, 0, "lcore") + mv_number(disk, 1, "lcore") == 1,
		  "both are on lcore %d", (int)mv_number(disk, 0, "lcore"));
}

/* What the daemon counted of a virtqueue since it was added. */
static uint64_t served(const struct td_disk *disk, int queue)
{
	static const char *const keys[] = {"reads", "writes", "flushes", "write_zeroes"};
	struct json_object *result, *devices, *queues, *counters, *value;
	char params[64];
	uint64_t n = 0;

	snprintf(params, sizeof(params), "{\"name\":\"%s\"}", disk->name);
	FX_OK(td_rpc(&fx_backend()->td, "stats.get", params, &result));
	json_object_object_get_ex(result, "devices", &devices);
	json_object_object_get_ex(json_object_array_get_idx(devices, 0), "queues", &queues);
	json_object_object_get_ex(json_object_array_get_idx(queues, (size_t)queue), "counters",
				  &counters);
	for (unsigned int i = 0; i < 4; i++) {
		FX_ASSERT(json_object_object_get_ex(counters, keys[i], &value), "%s", keys[i]);
		n += json_object_get_uint64(value);
	}
	json_object_put(result);
	return n;
}

static void back_and_forth_under_load(void **state)
{
	struct td_disk *disk = two_queues();
	int64_t deadline_ms = vfe_now_ms() + 3 * MV_PATIENCE_MS;
	struct mover *mover;
	struct mv_load l;

	(void)state;
	mv_load_open(&l, disk);
	mover = mover_start(disk);
	while (atomic_load(&mover->n_moves) < MV_MANY && !atomic_load(&mover->error)) {
		FX_ASSERT(vfe_now_ms() < deadline_ms, "%u moves", atomic_load(&mover->n_moves));
		mv_load_run(&l, 200);
	}
	mover_stop(mover);
	mv_load_run(&l, 2000);
	for (int q = 0; q < 2; q++)
		FX_ASSERT(served(disk, q) == l.load[q].n_done, "virtqueue %d: %llu of %llu", q,
			  (unsigned long long)served(disk, q),
			  (unsigned long long)l.load[q].n_done);
	mv_load_close(&l);
}

/* The front end does to its rings what a front end may do, while they move. */
static void with_everything_else_going_on(void **state)
{
	struct td_disk *disk = two_queues();
	struct mover *mover;
	struct mv_load l;

	(void)state;
	mv_load_open(&l, disk);
	mover = mover_start(disk);
	for (unsigned int i = 0; i < MV_MANY / 5; i++) {
		uint32_t q = i & 1;
		int fd;

		mv_load_run(&l, 100);
		FX_OK(vfe_blk_set_mem_table(l.blk, &l.blk->mem));
		mv_load_run(&l, 100);
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		FX_OK(vfe_conn_set_vring_fd(&l.blk->conn, VFE_SET_VRING_KICK, q, fd));
		close(l.blk->ring[q].kick_fd);
		l.blk->ring[q].kick_fd = fd;
		FX_OK(vfe_conn_set_vring(&l.blk->conn, VFE_SET_VRING_ENABLE, q, 0));
		FX_OK(vfe_conn_set_vring(&l.blk->conn, VFE_SET_VRING_ENABLE, q, 1));
		mv_load_run(&l, 100);
		FX_OK(vfe_blk_stop(l.blk, NULL)); /* GET_VRING_BASE */
		FX_OK(vfe_blk_start(l.blk));
	}
	mover_stop(mover);
	FX_ASSERT(atomic_load(&mover->n_moves) > MV_MANY / 10, "%u moves",
		  atomic_load(&mover->n_moves));
	mv_load_run(&l, 2000);
	mv_load_close(&l);
}

/* Front ends that come, and go in the middle of it. */
static void while_front_ends_come_and_go(void **state)
{
	struct td_disk *disk = two_queues();
	struct mover *mover;

	(void)state;
	mover = mover_start(disk);
	for (unsigned int i = 0; i < MV_MANY / 5; i++) {
		struct vfe_blk *blk = fx_open_patiently(disk);
		struct vfe_io *io = fx_io(blk, 0, 32, 4096);
		struct vfe_req *req;

		fx_serves(io, 0);
		while ((req = vfe_io_get(io)) != NULL) {
			req->n_bytes = 4096;
			req->device_writes = true;
			FX_OK(vfe_io_submit(io, req));
		}
		vfe_io_kick(io);
		vfe_blk_close(blk);
	}
	mover_stop(mover);
	FX_ASSERT(atomic_load(&mover->n_moves) > MV_MANY / 10, "%u moves",
		  atomic_load(&mover->n_moves));
}

/* Deletions in whatever step a move happens to be. */
static void while_disks_are_deleted(void **state)
{
	struct td_disk_opts opts = {.n_queues = 2};
	unsigned int n_moves = 0;

	(void)state;
	for (unsigned int i = 0; i < MV_MANY / 10; i++) {
		struct td_disk *disk = fx_disk(&opts);
		struct mover *mover;
		struct mv_load l;

		mv_load_open(&l, disk);
		mover = mover_start(disk);
		mv_load_run(&l, 1 + 20 * i);
		for (uint16_t q = 0; q < 2; q++)
			vfe_load_send(&l.load[q], 32);
		FX_OK(td_disk_del(fx_backend(), disk, true));
		mover_stop(mover);
		n_moves += atomic_load(&mover->n_moves);
		fx_disk_gone(disk);
		mv_load_close(&l);
	}
	FX_ASSERT(n_moves > MV_MANY / 20, "%u moves", n_moves);
}

/* One that sleeps is woken by kicks wherever it is. */
static void asleep(void **state)
{
	struct td_disk *disk = two_queues();
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, 8, 65536);

	(void)state;
	for (int i = 0; i < 40; i++) {
		mv_wait(disk, 0, "state", "sleeping");
		FX_OK(mv_move(disk, 0, i % 2, NULL));
		FX_ASSERT(mv_number(disk, 0, "lcore") == i % 2, "it is on lcore %d",
			  (int)mv_number(disk, 0, "lcore"));
		fx_serves(io, 8 * (unsigned int)i);
	}
	FX_ASSERT(io->ring->counters.n_kicks > 20, "%llu kicks",
		  (unsigned long long)io->ring->counters.n_kicks);
}

/* A paused one stays paused, and one that is not started starts where it was moved to. */
static void at_rest(void **state)
{
	struct td_disk *disk = two_queues();
	struct vfe_blk *blk;
	struct vfe_io *io;

	(void)state;
	FX_OK(mv_move(disk, -1, 1, NULL));
	blk = fx_open(disk, NULL);
	io = fx_io(blk, 0, 8, 65536);
	fx_serves(io, 0);
	FX_ASSERT(mv_number(disk, 0, "lcore") == 1, "it started elsewhere");
	FX_OK(vfe_conn_set_vring(&blk->conn, VFE_SET_VRING_ENABLE, 0, 0));
	mv_wait(disk, 0, "state", "paused");
	FX_OK(mv_move(disk, 0, 0, NULL));
	FX_ASSERT(mv_is(disk, 0, "state", "paused") && mv_number(disk, 0, "lcore") == 0,
		  "it is not paused on lcore 0");
	FX_OK(vfe_conn_set_vring(&blk->conn, VFE_SET_VRING_ENABLE, 0, 1));
	fx_serves(io, 8);
}

/* lcore.rebalance: how many moves it proposes or has made. */
static unsigned int rebalance(bool apply)
{
	struct json_object *result, *moves;
	unsigned int n;

	FX_OK(td_rpc(&fx_backend()->td, "lcore.rebalance", apply ? "{\"apply\":true}" : NULL,
		     &result));
	FX_ASSERT(json_object_object_get_ex(result, "moves", &moves), "no moves");
	n = (unsigned int)json_object_array_length(moves);
	json_object_put(result);
	return n;
}

/* Reads of 1 MiB, which cost the daemon much and this front end little, one for each request there
 * is, and waits for all of them. */
static void read_much(struct vfe_io *io[2])
{
	struct vfe_req *req;

	for (unsigned int q = 0; q < 2; q++) {
		while ((req = vfe_io_get(io[q])) != NULL) {
			req->type = VIRTIO_BLK_T_IN;
			req->n_bytes = 1u << 20;
			req->device_writes = true;
			FX_OK(vfe_io_submit(io[q], req));
		}
		vfe_io_kick(io[q]);
	}
	for (unsigned int q = 0; q < 2; q++) {
		while (io[q]->n_in_flight) {
			FX_ASSERT(vfe_io_wait(io[q], &req, VFE_TIMEOUT_MS) == 1, "no answer");
			vfe_io_put(io[q], req);
		}
	}
}

/* Two busy virtqueues on one lcore, and the other lcore idle. */
static void rebalanced_by_measured_load(void **state)
{
	int64_t deadline_ms = vfe_now_ms() + 3 * MV_PATIENCE_MS;
	struct td_disk *disk = two_queues();
	struct vfe_blk_opts opts;
	struct vfe_io *io[2];
	struct vfe_blk *blk;

	(void)state;
	FX_OK(mv_move(disk, -1, 0, NULL));
	vfe_blk_opts_init(&opts, NULL);
	opts.n_queues = 2;
	blk = fx_open(disk, &opts);
	for (uint16_t q = 0; q < 2; q++)
		io[q] = fx_io(blk, q, 8, 1u << 20);
	FX_ASSERT(rebalance(true) == 0, "moves without load");
	do {
		FX_ASSERT(vfe_now_ms() < deadline_ms, "nothing is proposed");
		read_much(io);
	} while (rebalance(false) == 0);
	FX_ASSERT(mv_number(disk, 0, "lcore") == 0 && mv_number(disk, 1, "lcore") == 0,
		  "a proposal has moved them");
	FX_ASSERT(rebalance(true) == 1, "one of them is to move");
	FX_ASSERT(mv_number(disk, 0, "lcore") + mv_number(disk, 1, "lcore") == 1,
		  "they are still on one lcore");
	FX_ASSERT(rebalance(false) == 0, "it is not content");
	read_much(io);
}

static void refuses(const struct td_disk *disk, int queue, int lcore, const char *expected)
{
	char error[256] = "";
	int rc = mv_move(disk, queue, lcore, error);

	FX_ASSERT(rc == -EREMOTEIO && strcmp(error, expected) == 0, "%d \"%s\", not \"%s\"", rc,
		  error, expected);
}

static void what_can_not_be_is_refused(void **state)
{
	struct td_disk *disk = fx_disk(&(struct td_disk_opts){.n_queues = 2});
	struct td_disk other = {.name = "tied"};

	(void)state;
	FX_OK(td_rpc(&fx_backend()->td, "device.add",
		     "{\"name\":\"tied\",\"backend\":\"null\",\"size\":\"1G\",\"lcores\":\"1\"}",
		     NULL));
	refuses(&other, 0, 0,
		"PARAMS lcore: 0 is not among the lcores that \"tied\" was added with, 1");
	refuses(&other, 1, 1, "PARAMS queue: \"tied\" has no virtqueue 1; it has 0 to 0");
	FX_OK(mv_move(&other, 0, 1, NULL));
	FX_OK(td_rpc(&fx_backend()->td, "device.del", "{\"name\":\"tied\"}", NULL));
	refuses(&other, 0, 1, "NOT_FOUND name: there is no disk \"tied\"");
	refuses(disk, 0, 2, "PARAMS lcore: 2 is not among the daemon's lcores, 0-1");
	refuses(disk, 0, 1000, "PARAMS lcore: 1000 is not among the daemon's lcores, 0-1");
}

#define NO_MOVES "qemu-storage-daemon moves no virtqueues"

static const struct fx_case cases[] = {
	FX_CASE_ON(queues_are_spread, FX_VHOSTD, NO_MOVES),
	FX_CASE_ON(back_and_forth_under_load, FX_VHOSTD, NO_MOVES),
	FX_CASE_ON(with_everything_else_going_on, FX_VHOSTD, NO_MOVES),
	FX_CASE_ON(while_front_ends_come_and_go, FX_VHOSTD, NO_MOVES),
	FX_CASE_ON(while_disks_are_deleted, FX_VHOSTD, NO_MOVES),
	FX_CASE_ON(asleep, FX_VHOSTD, NO_MOVES),
	FX_CASE_ON(at_rest, FX_VHOSTD, NO_MOVES),
	FX_CASE_ON(rebalanced_by_measured_load, FX_MALLOC,
		   "the kernel does the work of a file's disk"),
	FX_CASE_ON(what_can_not_be_is_refused, FX_VHOSTD, NO_MOVES),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "move", cases, sizeof(cases) / sizeof(cases[0]));
}
