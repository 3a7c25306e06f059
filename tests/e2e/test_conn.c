/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections and their life: the message orders of real front ends, reconnecting, second clients,
 * stopping and starting with the ring's base kept.
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define N_QUEUES 4

static const char *const order_names[] = {"qemu", "spdk", "blkio", "minimal"};

static struct td_disk *four_queues(void)
{
	return fx_disk(&(struct td_disk_opts){.n_queues = N_QUEUES});
}

static void every_message_order_serves(void **state)
{
	struct td_disk *disk = four_queues();
	struct vfe_io *io[N_QUEUES];
	struct vfe_blk_opts opts;
	struct vfe_blk *blk;
	unsigned int round;
	uint16_t q;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.n_queues = N_QUEUES;
	for (opts.order = 0; opts.order <= VFE_ORDER_MINIMAL; opts.order++) {
		print_message("# order %s\n", order_names[opts.order]);
		blk = fx_open(disk, &opts);
		for (q = 0; q < N_QUEUES; q++)
			io[q] = fx_io(blk, q, 2, 4096);
		for (round = 0; round < 3; round++) {
			for (q = 0; q < N_QUEUES; q++)
				fx_serves(io[q], 8 * q);
			FX_OK(vfe_blk_stop(blk, NULL));
			FX_OK(vfe_blk_start(blk));
		}
		vfe_blk_hang_up(blk);
	}
}

static void features_are_the_same_on_every_connection(void **state)
{
	struct td_disk *disk = four_queues();
	struct vfe_blk_opts opts;
	struct vfe_blk *blk;
	uint64_t first = 0;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	for (opts.order = 0; opts.order <= VFE_ORDER_MINIMAL; opts.order++) {
		blk = fx_open(disk, &opts);
		if (!first)
			first = blk->device_features;
		FX_ASSERT(blk->device_features == first, "features %llx, before %llx",
			  (unsigned long long)blk->device_features, (unsigned long long)first);
		FX_ASSERT(first & (1ull << VIRTIO_F_VERSION_1), "no VERSION_1");
		FX_ASSERT(first & (1ull << VIRTIO_RING_F_EVENT_IDX), "no EVENT_IDX");
		FX_ASSERT(first & (1ull << VIRTIO_RING_F_INDIRECT_DESC), "no INDIRECT_DESC");
		FX_ASSERT(first & (1ull << VIRTIO_BLK_F_FLUSH), "no FLUSH");
		vfe_blk_hang_up(blk);
	}
}

/* A session of a test's own, outside of the fixture's list: for loops that make many. */
static void open_own(struct vfe_blk *blk, const struct td_disk *disk)
{
	struct vfe_blk_opts opts;

	vfe_blk_close(blk);
	vfe_blk_opts_init(&opts, disk->socket);
	opts.features |= fx_ring_features();
	opts.n_queues = N_QUEUES;
	FX_OK(vfe_blk_open(blk, &opts));
}

static void reconnecting_a_hundred_times(void **state)
{
	struct td_disk *disk = four_queues();
	struct vfe_blk *blk = fx_session();
	struct vfe_io io;
	unsigned int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		open_own(blk, disk);
		FX_OK(vfe_io_init(&io, blk, i % N_QUEUES,
				  &(struct vfe_io_opts){2, 4096, 0, false}));
		if (i > 0)
			fx_expect(&io, 8 * (i - 1), 8, i);
		fx_fill(&io, 8 * i, 8, i + 1);
		if (i % 3 == 0)
			FX_OK(vfe_blk_stop(blk, NULL));
		vfe_io_fini(&io);
	}
}

static void connections_that_come_to_nothing(void **state)
{
	struct td_disk *disk = four_queues();
	struct vfe_blk *blk = fx_session();
	struct vfe_blk_opts opts;
	unsigned int i;
	int sock;

	(void)state;
	vfe_blk_opts_init(&opts, disk->socket);
	opts.features |= fx_ring_features();
	for (i = 0; i < 60; i++) {
		if (i % 3 == 0) {
			sock = vfe_msg_connect(disk->socket);
			FX_ASSERT(sock >= 0, "connect: %d", sock);
			close(sock);
			continue;
		}
		vfe_blk_close(blk);
		FX_OK(vfe_blk_connect(blk, &opts));
		if (i % 3 == 2)
			FX_OK(vfe_blk_make_rings(blk));
	}
	open_own(blk, disk);
	fx_serves(fx_io(blk, 0, 2, 4096), 0);
}

static void a_second_client_does_not_disturb_the_first(void **state)
{
	struct td_disk *disk = four_queues();
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, 2, 4096);
	unsigned int i;
	int sock;

	(void)state;
	for (i = 0; i < 2; i++) { /* no more: they may have to queue */
		fx_serves(io, 8 * i);
		sock = vfe_msg_connect(disk->socket);
		fx_serves(io, 8 * i + 100);
		if (sock >= 0)
			close(sock);
		fx_serves(io, 8 * i + 200);
	}
}

static void a_second_client_is_refused(void **state)
{
	struct td_disk *disk = four_queues();
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, 2, 4096);
	struct vfe_msg msg = {.request = VFE_GET_FEATURES, .flags = VFE_MSG_VERSION};
	int sock = vfe_msg_connect(disk->socket);

	(void)state;
	if (sock >= 0) {
		vfe_msg_send(sock, &msg, NULL);
		FX_ASSERT(vfe_msg_peer_closes(sock, VFE_TIMEOUT_MS), "it was let in");
		close(sock);
	}
	fx_serves(io, 0);

	/* When the first has gone there is room again. */
	vfe_blk_hang_up(io->blk);
	fx_serves(fx_io(fx_open(disk, NULL), 0, 2, 4096), 0);
}

/* Writes of one generation to `n` places, published and kicked but not awaited. */
static void send_writes(struct vfe_io *io, unsigned int n, uint64_t generation)
{
	struct vfe_req *req;
	uint8_t buf[4096];
	unsigned int i;

	for (i = 0; i < n; i++) {
		req = vfe_io_get(io);
		FX_ASSERT(req, "no request is free");
		req->type = VIRTIO_BLK_T_OUT;
		req->sector = 8 * i;
		req->n_bytes = sizeof(buf);
		vfe_pattern_fill(buf, req->sector, 8, generation);
		FX_OK(vfe_mem_write(&io->blk->mem, req->data_gpa, buf, sizeof(buf)));
		FX_OK(vfe_io_submit(io, req));
	}
	vfe_io_kick(io);
}

static void reap_all(struct vfe_io *io)
{
	struct vfe_req *req;
	int rc;

	while (io->n_in_flight > 0) {
		rc = vfe_io_wait(io, &req, VFE_TIMEOUT_MS);
		FX_ASSERT(rc == 1, "a request was lost: %d", rc);
		FX_ASSERT(req->status == VIRTIO_BLK_S_OK, "status %u", req->status);
		vfe_io_put(io, req);
	}
	FX_ASSERT(vfe_ring_n_pending(io->ring) == 0, "an entry came twice");
}

/* The base that the back end names is where it goes on; requests may wait for it while it is
 * stopped. */
static void stop_and_restart_keeps_the_base(void **state)
{
	struct vfe_io *io = fx_io(fx_open(four_queues(), NULL), 0, 32, 4096);
	uint32_t base, expected;
	unsigned int i, n;

	(void)state;
	for (i = 0; i < 100; i++) {
		n = 1 + i % 32;
		send_writes(io, n, 2 * i + 1);
		reap_all(io);
		expected = vfe_ring_expected_base(io->ring);
		FX_OK(vfe_blk_stop(io->blk, &base));
		FX_ASSERT(base == expected, "base 0x%x instead of 0x%x", base, expected);
		send_writes(io, n, 2 * i + 2);
		FX_OK(vfe_blk_start(io->blk));
		reap_all(io);
		fx_expect(io, 8 * (n - 1), 8, 2 * i + 2);
	}
}

static void stop_and_restart_with_requests_in_flight(void **state)
{
	struct vfe_io *io = fx_io(fx_open(four_queues(), NULL), 0, 32, 4096);
	unsigned int i, k;

	(void)state;
	for (i = 0; i < 100; i++) {
		send_writes(io, 1 + i % 32, i + 1);
		FX_OK(vfe_blk_stop(io->blk, NULL));
		if (i % 2) /* published while the device is stopped */
			send_writes(io, (31 - i % 32) / 2, i + 1);
		FX_OK(vfe_blk_start(io->blk));
		reap_all(io);
		for (k = 0; k < 1 + i % 32; k += 7)
			fx_expect(io, 8 * k, 8, i + 1);
	}
}

static void a_stopped_queue_has_ended_its_requests(void **state)
{
	struct vfe_io *io = fx_io(fx_open(four_queues(), NULL), 0, 32, 4096);
	uint32_t base, used;
	unsigned int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		send_writes(io, 32, i + 1);
		FX_OK(vfe_blk_stop(io->blk, &base));
		used = vfe_ring_expected_base(io->ring);
		FX_ASSERT(base == used, "base 0x%x, used up to 0x%x", base, used);
		usleep(2000);
		FX_ASSERT(used == vfe_ring_expected_base(io->ring), "a stopped queue went on");
		FX_OK(vfe_blk_start(io->blk));
		reap_all(io);
	}
}

static void a_stopped_queue_ignores_kicks(void **state)
{
	struct vfe_io *io = fx_io(fx_open(four_queues(), NULL), 0, 32, 4096);
	uint32_t used;

	(void)state;
	fx_serves(io, 0);
	FX_OK(vfe_blk_stop(io->blk, NULL));
	used = vfe_ring_expected_base(io->ring);
	send_writes(io, 8, 5);
	vfe_ring_kick_always(io->ring);
	usleep(50000);
	FX_ASSERT(vfe_ring_expected_base(io->ring) == used, "a stopped queue served requests");
	FX_OK(vfe_blk_start(io->blk));
	reap_all(io);
	fx_expect(io, 0, 8, 5);
}

/* As a guest that reboots: features may change, rings start at zero. */
static void restart_with_other_features_and_rings(void **state)
{
	struct vfe_blk *blk = fx_open(four_queues(), NULL);
	struct vfe_io *io = fx_io(blk, 0, 8, 4096);
	unsigned int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		fx_serves(io, 8 * i);
		FX_OK(vfe_blk_stop(blk, NULL));
		blk->opts.features = VFE_FEATURES_ALL | fx_ring_features();
		if (i % 2 == 0)
			blk->opts.features &= ~(1ull << VIRTIO_RING_F_EVENT_IDX);
		io->ring->opts.event_idx = i % 2;
		vfe_ring_reset(io->ring, 0);
		blk->base[0] = vfe_ring_start_base(io->ring, 0);
		FX_OK(vfe_blk_start(blk));
	}
	fx_serves(io, 0);
}

static void config_change_is_announced_at_resize(void **state)
{
	struct td_disk *disk = four_queues();
	struct virtio_blk_config config = {0};
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, 2, 4096);
	uint64_t old_sectors = disk->size_bytes / 512;

	(void)state;
	fx_fill(io, 0, 8, 1);
	FX_OK(td_disk_resize(fx_backend(), disk, disk->size_bytes * 2));
	FX_OK(vfe_blk_wait_config_change(io->blk, VFE_TIMEOUT_MS));
	FX_OK(vfe_blk_get_config(io->blk, &config, 57));
	FX_ASSERT(config.capacity == old_sectors * 2, "capacity %llu",
		  (unsigned long long)config.capacity);
	fx_serves(io, old_sectors);
	fx_serves(io, old_sectors * 2 - 8);
	fx_expect(io, 0, 8, 1);
}

#define SECOND "qemu-storage-daemon leaves a second client waiting until the first has gone"
#define RESIZE "qemu-storage-daemon 7.2 sends no CONFIG_CHANGE"
#define DRAIN                                                                                      \
	"qemu-storage-daemon 7.2 answers GET_VRING_BASE while requests are in flight, and with "   \
	"the "                                                                                     \
	"avail index"

static const struct fx_case cases[] = {
	FX_CASE(every_message_order_serves),
	FX_CASE(features_are_the_same_on_every_connection),
	FX_CASE(reconnecting_a_hundred_times),
	FX_CASE(connections_that_come_to_nothing),
	FX_CASE(a_second_client_does_not_disturb_the_first),
	FX_CASE_ON(a_second_client_is_refused, FX_VHOSTD, SECOND),
	FX_CASE(stop_and_restart_keeps_the_base),
	FX_CASE_ON(stop_and_restart_with_requests_in_flight, FX_VHOSTD, DRAIN),
	FX_CASE_ON(a_stopped_queue_has_ended_its_requests, FX_VHOSTD, DRAIN),
	FX_CASE(a_stopped_queue_ignores_kicks),
	FX_CASE(restart_with_other_features_and_rings),
	FX_CASE_ON(config_change_is_announced_at_resize, FX_VHOSTD, RESIZE),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "conn", cases, sizeof(cases) / sizeof(cases[0]));
}
