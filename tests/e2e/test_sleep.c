/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Adaptive polling: virtqueues that were idle go to sleep, and the lcore with them; a kick, a
 * message or the end of an operation wakes them, and no wake-up is lost.
 */
#include "fixture.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "td_rpc.h"

#define PATIENCE_MS 10000

/* A member of a disk's first queue, as device.show has it, is this text. */
static bool queue_is(const struct td_disk *disk, const char *state)
{
	struct json_object *device, *queues, *value;
	char params[64];
	bool is;

	snprintf(params, sizeof(params), "{\"name\":\"%s\"}", disk->name);
	FX_OK(td_rpc(&fx_backend()->td, "device.show", params, &device));
	FX_ASSERT(json_object_object_get_ex(device, "queues", &queues), "no queues");
	FX_ASSERT(json_object_object_get_ex(json_object_array_get_idx(queues, 0), "state", &value),
		  "no state");
	is = strcmp(json_object_get_string(value), state) == 0;
	json_object_put(device);
	return is;
}

static void wait_for_state(const struct td_disk *disk, const char *state)
{
	int64_t deadline_ms = vfe_now_ms() + PATIENCE_MS;

	while (!queue_is(disk, state)) {
		FX_ASSERT(vfe_now_ms() < deadline_ms, "%s is not %s", disk->name, state);
		usleep(2000);
	}
}

/* A figure of the one lcore. */
static uint64_t lcore_figure(const char *key)
{
	struct json_object *result, *lcores, *value;
	uint64_t figure;

	FX_OK(td_rpc(&fx_backend()->td, "lcore.list", NULL, &result));
	FX_ASSERT(json_object_object_get_ex(result, "lcores", &lcores), "no lcores");
	FX_ASSERT(json_object_object_get_ex(json_object_array_get_idx(lcores, 0), key, &value),
		  "no %s", key);
	figure = json_object_get_uint64(value);
	json_object_put(result);
	return figure;
}

/* Turns of the lcore in half a second, which some would make two million. */
static uint64_t turns_meanwhile(void)
{
	uint64_t before = lcore_figure("turns");

	usleep(500000);
	return lcore_figure("turns") - before;
}

static void an_idle_lcore_sleeps_until_a_kick(void **state)
{
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_blk *blk = fx_open(disk, NULL);
	struct vfe_io *io = fx_io(blk, 0, 8, 65536);
	uint64_t n, sleeps;

	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		fx_serves(io, 8 * i);
		wait_for_state(disk, "sleeping");
		sleeps = lcore_figure("sleeps");
		n = turns_meanwhile();
		FX_ASSERT(n < 100, "%lu turns of a sleeping lcore", (unsigned long)n);
		FX_ASSERT(io->ring->counters.n_kicks > i, "it was not woken by a kick");
	}
	FX_ASSERT(lcore_figure("sleeps") >= sleeps && sleeps >= 5, "%lu sleeps",
		  (unsigned long)sleeps);
}

static void without_disks_the_lcore_sleeps(void **state)
{
	uint64_t n;

	(void)state;
	n = turns_meanwhile();
	FX_ASSERT(n < 100, "%lu turns of an lcore without disks", (unsigned long)n);
}

/* Requests one by one, with pauses about as long as it takes to fall asleep. */
static void no_wake_up_is_lost(void **state)
{
	struct vfe_io *io = fx_simple(4096);
	uint32_t random = 12345;

	(void)state;
	for (unsigned int i = 0; i < 20000; i++) {
		struct vfe_req *req = vfe_io_get(io);
		int64_t until_ns;

		random = random * 1664525 + 1013904223;
		req->sector = random >> 20;
		req->n_bytes = 512;
		req->device_writes = true;
		FX_OK(vfe_io_submit(io, req));
		vfe_io_kick(io);
		FX_ASSERT(vfe_io_wait(io, &req, PATIENCE_MS) == 1, "request %u", i);
		vfe_io_put(io, req);
		until_ns = vfe_now_ns() + (random >> 8) % 60000;
		while (vfe_now_ns() < until_ns)
			;
	}
	FX_ASSERT(lcore_figure("sleeps") > 100, "it never slept");
}

/* Sends one request more; false: all are in flight. */
static bool send_one(struct vfe_io *io, uint32_t random)
{
	struct vfe_req *req = vfe_io_get(io);

	if (!req)
		return false;
	req->sector = random >> 20;
	req->n_bytes = 512;
	req->device_writes = true;
	FX_OK(vfe_io_submit(io, req));
	vfe_io_kick(io);
	return true;
}

/* The next one comes at any moment while others are in flight: when the lcore is about to nap,
 * naps, is awake again, or polls. Now and then a message does. */
static void no_wake_up_is_lost_while_requests_are_in_flight(void **state)
{
	struct vfe_blk *blk = fx_open(fx_disk(NULL), NULL);
	struct vfe_io *io = fx_io(blk, 0, 3, 4096);
	uint32_t random = 54321, n_done = 0;
	struct vfe_req *req;

	(void)state;
	while (n_done < 8000) {
		int64_t until_ns;

		random = random * 1664525 + 1013904223;
		if (!send_one(io, random)) {
			FX_ASSERT(vfe_io_wait(io, &req, PATIENCE_MS) == 1, "request %u", n_done);
			vfe_io_put(io, req);
			n_done++;
		}
		if (random % 512 == 0)
			FX_OK(vfe_blk_set_mem_table(blk, &blk->mem));
		until_ns = vfe_now_ns() + (random >> 8) % 50000;
		while (vfe_now_ns() < until_ns)
			;
	}
	while (io->n_in_flight > 0) {
		FX_ASSERT(vfe_io_wait(io, &req, PATIENCE_MS) == 1, "one of the last requests");
		vfe_io_put(io, req);
	}
}

/* What helper threads do, with nothing else to keep the lcore awake. */
static void the_end_of_an_operation_wakes(void **state)
{
	struct vfe_io *io = fx_simple(1 << 20);

	(void)state;
	for (unsigned int i = 0; i < 50; i++) {
		FX_STATUS(vfe_range(io, VIRTIO_BLK_T_WRITE_ZEROES, 0, 65536, 1), VIRTIO_BLK_S_OK);
		FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_OK);
		usleep(1000);
	}
	fx_serves(io, 0);
}

static void messages_reach_a_sleeping_queue(void **state)
{
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_blk *blk = fx_open(disk, NULL);
	struct vfe_io *io = fx_io(blk, 0, 8, 65536);
	uint32_t base[1];
	int fd;

	(void)state;
	wait_for_state(disk, "sleeping");
	FX_OK(vfe_blk_set_mem_table(blk, &blk->mem));
	fx_serves(io, 0);
	wait_for_state(disk, "sleeping");
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	FX_OK(vfe_conn_set_vring_fd(&blk->conn, VFE_SET_VRING_KICK, 0, fd));
	close(io->ring->kick_fd);
	io->ring->kick_fd = fd;
	fx_serves(io, 8);
	wait_for_state(disk, "sleeping");
	FX_OK(vfe_conn_set_vring(&blk->conn, VFE_SET_VRING_ENABLE, 0, 0));
	wait_for_state(disk, "paused");
	FX_OK(vfe_conn_set_vring(&blk->conn, VFE_SET_VRING_ENABLE, 0, 1));
	fx_serves(io, 16);
	wait_for_state(disk, "sleeping");
	FX_OK(vfe_blk_stop(blk, base));
	FX_OK(vfe_blk_start(blk));
	fx_serves(io, 24);
	wait_for_state(disk, "sleeping");
}

/* "I have no kick descriptor" means: poll. */
static void without_a_kick_descriptor_it_is_polled(void **state)
{
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_blk *blk = fx_open(disk, NULL);
	struct vfe_io *io = fx_io(blk, 0, 8, 65536);

	(void)state;
	wait_for_state(disk, "sleeping");
	FX_OK(vfe_conn_set_vring_fd(&blk->conn, VFE_SET_VRING_KICK, 0, -1));
	usleep(300000);
	FX_ASSERT(queue_is(disk, "polling"), "it sleeps, and nobody can wake it");
	fx_serves(io, 0);
}

/* A disk that asks for it is polled; a sleeping one beside it is woken all the same. */
static void a_disk_may_be_polled_all_the_time(void **state)
{
	struct td_disk *sleeper = fx_disk(NULL);
	struct vfe_io *io = fx_io(fx_open(sleeper, NULL), 0, 8, 65536);
	struct td_disk busy = {.name = "busy"};
	struct vfe_blk_opts opts;
	struct vfe_blk *blk = fx_session();

	(void)state;
	FX_OK(td_rpc(&fx_backend()->td, "device.add",
		     "{\"name\":\"busy\",\"backend\":\"null\",\"size\":\"1G\",\"poll\":\"busy\"}",
		     NULL));
	snprintf(busy.socket, sizeof(busy.socket), "%s/busy.sock", fx_backend()->td.dir);
	vfe_blk_opts_init(&opts, busy.socket);
	FX_OK(vfe_blk_open(blk, &opts));
	usleep(300000);
	FX_ASSERT(queue_is(&busy, "polling"), "it sleeps");
	FX_ASSERT(turns_meanwhile() > 1000, "the lcore sleeps beside a disk that is polled");
	wait_for_state(sleeper, "sleeping");
	for (unsigned int i = 0; i < 100; i++) {
		fx_serves(io, 8 * i);
		usleep(1000);
	}
	vfe_blk_hang_up(blk);
	FX_OK(td_rpc(&fx_backend()->td, "device.del", "{\"name\":\"busy\",\"force\":true}", NULL));
}

#define NO_SLEEP "how qemu-storage-daemon waits is its own affair"

static const struct fx_case cases[] = {
	FX_CASE_ON(an_idle_lcore_sleeps_until_a_kick, FX_VHOSTD, NO_SLEEP),
	FX_CASE_ON(without_disks_the_lcore_sleeps, FX_VHOSTD, NO_SLEEP),
	FX_CASE_ON(no_wake_up_is_lost, FX_VHOSTD, NO_SLEEP),
	FX_CASE_ON(no_wake_up_is_lost_while_requests_are_in_flight, FX_VHOSTD, NO_SLEEP),
	FX_CASE_ON(the_end_of_an_operation_wakes, FX_VHOSTD, NO_SLEEP),
	FX_CASE_ON(messages_reach_a_sleeping_queue, FX_VHOSTD, NO_SLEEP),
	FX_CASE_ON(without_a_kick_descriptor_it_is_polled, FX_VHOSTD, NO_SLEEP),
	FX_CASE_ON(a_disk_may_be_polled_all_the_time, FX_VHOSTD, NO_SLEEP),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "sleep", cases, sizeof(cases) / sizeof(cases[0]));
}
