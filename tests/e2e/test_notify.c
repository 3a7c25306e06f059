/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Notifications in both directions (virtio 1.2, 2.7.7, 2.7.10): none is lost, and those that the
 * driver does not want are not sent. With EVENT_IDX and with the flags.
 */
#include "fixture.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "td_rpc.h"

#define N_REQUESTS 20000u
#define N_EPOLLS   10u /* each watches */
#define N_DUPS     3000

static struct vfe_io *open_disk(bool event_idx, uint16_t depth, bool polling)
{
	struct vfe_blk_opts opts;
	struct vfe_blk *blk;

	vfe_blk_opts_init(&opts, NULL);
	if (!event_idx)
		opts.features &= ~(1ull << VIRTIO_RING_F_EVENT_IDX);
	opts.queue_size = 256;
	blk = fx_open(fx_disk(NULL), &opts);
	FX_ASSERT(vfe_blk_has(blk, VIRTIO_RING_F_EVENT_IDX) == event_idx, "EVENT_IDX");
	return fx_io_opts(
		blk, 0,
		&(struct vfe_io_opts){.n_reqs = depth, .max_bytes = 4096, .polling = polling});
}

/* `n` reads, as many at a time as the pool has; a batch is kicked together. */
static void run_reads(struct vfe_io *io, unsigned int n)
{
	unsigned int n_sent = 0, n_done = 0;
	struct vfe_req *req;
	int rc;

	while (n_done < n) {
		while (n_sent < n && (req = vfe_io_get(io))) {
			req->sector = n_sent % 4096;
			req->n_bytes = 512;
			req->device_writes = true;
			FX_OK(vfe_io_submit(io, req));
			n_sent++;
		}
		vfe_io_kick(io);
		rc = vfe_io_wait(io, &req, VFE_TIMEOUT_MS);
		FX_ASSERT(rc == 1, "request %u: %d (interrupts lost: %" PRIu64 ")", n_done, rc,
			  io->ring->counters.n_lost);
		do {
			FX_ASSERT(req->status == VIRTIO_BLK_S_OK, "status %u", req->status);
			vfe_io_put(io, req);
			n_done++;
		} while (vfe_io_reap(io, &req) == 1);
	}
}

static void report(const struct vfe_io *io)
{
	const struct vfe_ring_counters *c = &io->ring->counters;

	print_message("# %" PRIu64 " requests: %" PRIu64 " kicks (%" PRIu64 " suppressed), %" PRIu64
		      " interrupts, %" PRIu64 " sleeps\n",
		      c->n_used, c->n_kicks, c->n_kicks_suppressed, c->n_interrupts, c->n_waits);
}

static void blocking(bool event_idx, uint16_t depth)
{
	struct vfe_io *io = open_disk(event_idx, depth, false);

	run_reads(io, N_REQUESTS);
	report(io);
	FX_ASSERT(io->ring->counters.n_lost == 0, "lost interrupts");
	FX_ASSERT(io->ring->counters.n_interrupts <= N_REQUESTS + 2,
		  "more interrupts than requests: %" PRIu64, io->ring->counters.n_interrupts);
}

static void no_interrupt_is_lost_one_by_one_with_event_idx(void **state)
{
	(void)state;
	blocking(true, 1);
}

static void no_interrupt_is_lost_at_depth_with_event_idx(void **state)
{
	(void)state;
	blocking(true, 32);
}

static void no_interrupt_is_lost_one_by_one_with_flags(void **state)
{
	(void)state;
	blocking(false, 1);
}

static void no_interrupt_is_lost_at_depth_with_flags(void **state)
{
	(void)state;
	blocking(false, 32);
}

/* A driver that polls is left alone. */
static void polled(bool event_idx)
{
	struct vfe_io *io = open_disk(event_idx, 16, true);

	run_reads(io, 16);
	usleep(100000);
	vfe_ring_drain_calls(io->ring); /* one may come at the start */
	io->ring->counters.n_interrupts = 0;
	run_reads(io, 5000);
	usleep(100000);
	vfe_ring_drain_calls(io->ring);
	report(io);
	FX_ASSERT(io->ring->counters.n_interrupts == 0, "%" PRIu64 " interrupts",
		  io->ring->counters.n_interrupts);
}

static void no_interrupts_while_used_event_is_far(void **state)
{
	(void)state;
	polled(true);
}

static void no_interrupts_with_the_no_interrupt_flag(void **state)
{
	(void)state;
	polled(false);
}

/* used_event = N asks for one interrupt, after entry N. */
static void one_interrupt_at_used_event(void **state)
{
	struct vfe_io *io = open_disk(true, 16, true);
	struct vfe_ring *ring = io->ring;
	uint16_t ahead;
	uint64_t n;

	(void)state;
	io->layout.indirect = true; /* a descriptor for each entry, also in a packed ring */
	run_reads(io, 16);
	for (ahead = 0; ahead < 12; ahead += 3) {
		usleep(20000);
		vfe_ring_drain_calls(ring);
		vfe_ring_interrupt_at(ring, ahead);
		fx_serves(io, 0); /* two requests, one by one */
		if (ahead >= 2) {
			usleep(20000);
			n = vfe_ring_drain_calls(ring);
			FX_ASSERT(n == 0, "%" PRIu64 " interrupts before used_event", n);
		}
		run_reads(io, 16);
		usleep(50000);
		n = vfe_ring_drain_calls(ring);
		FX_ASSERT(n == 1, "%" PRIu64 " interrupts, used_event %u ahead", n, ahead);
	}
}

static void many_requests_share_kicks(void **state)
{
	struct vfe_io *io = open_disk(true, 64, false);

	(void)state;
	run_reads(io, N_REQUESTS);
	report(io);
	/* A batch is published at once: never more kicks than batches, whatever the device does. */
	FX_ASSERT(io->ring->counters.n_kicks < N_REQUESTS, "%" PRIu64 " kicks",
		  io->ring->counters.n_kicks);
}

static void requests_without_a_kick_wait_for_the_next(void **state)
{
	struct vfe_io *io = open_disk(false, 16, false);
	struct vfe_req *req;
	unsigned int i;

	(void)state;
	fx_serves(io, 0);
	for (i = 0; i < 8; i++) {
		req = vfe_io_get(io);
		req->n_bytes = 512;
		req->device_writes = true;
		FX_OK(vfe_io_submit(io, req));
		vfe_ring_publish(io->ring);
	}
	vfe_ring_kick_always(io->ring);
	for (i = 0; i < 8; i++)
		FX_ASSERT(vfe_io_wait(io, &req, VFE_TIMEOUT_MS) == 1, "request %u", i);
}

static void needless_kicks_do_no_harm(void **state)
{
	struct vfe_io *io = open_disk(true, 2, false);
	unsigned int i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		vfe_ring_kick_always(io->ring);
		if (i % 100 == 0)
			fx_serves(io, i);
	}
	fx_serves(io, 0);
}

/* A driver that polls may say that it has no call descriptor at all. */
static void without_a_call_descriptor(void **state)
{
	struct vfe_io *io = open_disk(true, 8, true);

	(void)state;
	fx_serves(io, 0);
	FX_OK(vfe_conn_set_vring_fd(&io->blk->conn, VFE_SET_VRING_CALL, 0, -1));
	vfe_ring_interrupts(io->ring, true); /* it wants them, but there is nowhere to send them */
	run_reads(io, 1000);
	fx_serves(io, 8);
}

static void replace_call(struct vfe_io *io)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	FX_ASSERT(fd >= 0, "eventfd");
	FX_OK(vfe_conn_set_vring_fd(&io->blk->conn, VFE_SET_VRING_CALL, 0, fd));
	close(io->ring->call_fd);
	io->ring->call_fd = fd;
}

/* Interrupts move to a new call descriptor while the ring runs, as QEMU does with MSI-X masks. */
static void the_call_descriptor_may_be_replaced(void **state)
{
	struct vfe_io *io = open_disk(true, 8, false);
	unsigned int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		run_reads(io, 20);
		replace_call(io);
	}
	run_reads(io, 100);
}

/* The eventfds of a front end, or of whoever it has given one to, may be watched by anybody, and
 * each signal tells all of them. */
struct watchers {
	int epolls[N_EPOLLS];
	int dups[N_DUPS];
	int n_dups;
};

static void watch_often(struct watchers *w, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (w->n_dups = 0; w->n_dups < N_DUPS; w->n_dups++) {
		w->dups[w->n_dups] = dup(fd);
		if (w->dups[w->n_dups] < 0)
			break;
	}
	for (unsigned int i = 0; i < N_EPOLLS; i++) {
		w->epolls[i] = epoll_create1(EPOLL_CLOEXEC);
		for (int k = 0; k < w->n_dups; k++)
			FX_ASSERT(epoll_ctl(w->epolls[i], EPOLL_CTL_ADD, w->dups[k], &event) == 0,
				  "watcher %d of %u: %m", k, i);
	}
}

static void watch_no_more(struct watchers *w)
{
	for (unsigned int i = 0; i < N_EPOLLS; i++)
		close(w->epolls[i]);
	while (w->n_dups > 0)
		close(w->dups[--w->n_dups]);
}

/* A figure, or a counter, of the list's first member. */
static uint64_t figure_of(const char *method, const char *params, const char *list, const char *key)
{
	struct json_object *result, *array, *first, *value;
	uint64_t figure;

	FX_OK(td_rpc(&fx_backend()->td, method, params, &result));
	FX_ASSERT(json_object_object_get_ex(result, list, &array), "no %s", list);
	first = json_object_array_get_idx(array, 0);
	if (json_object_object_get_ex(first, "counters", &value))
		first = value;
	FX_ASSERT(json_object_object_get_ex(first, key, &value), "no %s", key);
	figure = json_object_get_uint64(value);
	json_object_put(result);
	return figure;
}

/* Signals that take the lcore a millisecond or more are sent by somebody else, and none is lost.
 * The descriptor may be replaced, and the ring stopped, while one is under way. */
static void interrupts_of_which_many_are_told(void **state)
{
	static struct watchers watchers;
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_io *io;
	uint64_t n_slow, n_preempted, n_relayed;
	char params[96];

	(void)state;
	snprintf(params, sizeof(params), "{\"name\":\"%s\"}", disk->name);
	io = fx_io_opts(fx_open(disk, NULL), 0,
			&(struct vfe_io_opts){.n_reqs = 4, .max_bytes = 4096});
	run_reads(io, 100);
	n_slow = figure_of("lcore.list", NULL, "lcores", "turns_over_1ms");
	n_preempted = figure_of("lcore.list", NULL, "lcores", "preemptions");
	watch_often(&watchers, io->ring->call_fd);
	run_reads(io, 5000);
	n_slow = figure_of("lcore.list", NULL, "lcores", "turns_over_1ms") - n_slow;
	n_preempted = figure_of("lcore.list", NULL, "lcores", "preemptions") - n_preempted;
	n_relayed = figure_of("device.show", params, "queues", "interrupts_relayed");
	print_message("# %d watchers, %u times: %" PRIu64 " slow turns, %" PRIu64 " relayed\n",
		      watchers.n_dups, N_EPOLLS, n_slow, n_relayed);
	FX_ASSERT(n_relayed > 3, "%" PRIu64 " interrupts by a helper", n_relayed);
	FX_ASSERT(n_slow < 50 + n_preempted,
		  "%" PRIu64 " slow turns, %" PRIu64 " of them preempted", n_slow, n_preempted);
	for (unsigned int i = 0; i < 10; i++) {
		run_reads(io, 20);
		replace_call(io);
	}
	run_reads(io, 100);
	FX_ASSERT(io->ring->counters.n_lost == 0, "lost interrupts");
	watch_no_more(&watchers);
	watch_often(&watchers, io->ring->call_fd);
	/* The last interrupt is put off, and sent when the ring is stopped. */
	snprintf(params, sizeof(params), "{\"name\":\"%s\",\"coalesce_us\":5000}", disk->name);
	FX_OK(td_rpc(&fx_backend()->td, "device.coalesce", params, NULL));
	run_reads(io, 10);
	vfe_blk_hang_up(io->blk);
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
	watch_no_more(&watchers);
}

#define NO_CALL "qemu-storage-daemon 7.2 writes to descriptor -1 and gives the device up"

#define NO_FIGURES "qemu-storage-daemon 7.2 has no such figures"

static const struct fx_case cases[] = {
	FX_CASE(no_interrupt_is_lost_one_by_one_with_event_idx),
	FX_CASE(no_interrupt_is_lost_at_depth_with_event_idx),
	FX_CASE(no_interrupt_is_lost_one_by_one_with_flags),
	FX_CASE(no_interrupt_is_lost_at_depth_with_flags),
	FX_CASE(no_interrupts_while_used_event_is_far),
	FX_CASE(no_interrupts_with_the_no_interrupt_flag),
	FX_CASE(one_interrupt_at_used_event),
	FX_CASE(many_requests_share_kicks),
	FX_CASE(requests_without_a_kick_wait_for_the_next),
	FX_CASE(needless_kicks_do_no_harm),
	FX_CASE_ON(without_a_call_descriptor, FX_VHOSTD, NO_CALL),
	FX_CASE(the_call_descriptor_may_be_replaced),
	FX_CASE_ON(interrupts_of_which_many_are_told, FX_VHOSTD, NO_FIGURES),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "notify", cases, sizeof(cases) / sizeof(cases[0]));
}
