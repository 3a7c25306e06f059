/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kinds of trouble. One thread; a turn of each loop is short, so that `stop` is seen soon.
 */
#include "trouble.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_MS          10 /* how long a turn sleeps at most */
#define TOUCH_BYTES      (1u << 20)
#define TOUCH_DEPTH      8u
#define GPA_BASE         0x100000ull
#define QUEUES_OF_DISK   1
#define RESET_TIMEOUT_MS (1 << 30) /* the answer comes when the store does */
#define PLUG_EVERY_NS    1000000

static bool times_are_over(struct trouble *t)
{
	return trouble_is_over(t) || (t->opts.n_times && t->count[0] >= t->opts.n_times);
}

/* The back end has closed the connection, or gone. Replies that wait are left there. */
static bool is_hung_up(const struct trouble *t)
{
	struct pollfd pfd = {.fd = t->blk.conn.sock, .events = POLLRDHUP};

	return t->blk.conn.sock < 0 ||
	       (poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}

static void fill_opts(struct trouble *t, struct vfe_blk_opts *opts)
{
	uint64_t each = t->opts.mem_bytes / t->opts.n_regions & ~0xfffffull;
	unsigned int i;

	for (i = 0; i < t->opts.n_regions; i++)
		t->regions[i] =
			(struct vfe_region_spec){.gpa = GPA_BASE + i * each, .size_bytes = each};
	vfe_blk_opts_init(opts, t->opts.socket);
	opts->queue_size = 1024;
	opts->n_queues = QUEUES_OF_DISK;
	opts->regions = t->regions;
	opts->n_regions = t->opts.n_regions;
}

static int connect_only(struct trouble *t)
{
	struct vfe_blk_opts opts;

	fill_opts(t, &opts);
	vfe_blk_close(&t->blk);
	return vfe_blk_connect(&t->blk, &opts);
}

static int read_capacity(struct trouble *t)
{
	struct virtio_blk_config config;
	int rc = vfe_blk_get_config(&t->blk, &config, 60);

	if (!rc)
		t->capacity_bytes = config.capacity * VFE_SECTOR_BYTES;
	return rc;
}

static int open_session(struct trouble *t)
{
	struct vfe_blk_opts opts;
	int rc;

	fill_opts(t, &opts);
	rc = vfe_blk_open(&t->blk, &opts);
	return rc ? rc : read_capacity(t);
}

/* Reads `n_bytes` of the disk to `gpa`; the disk may be smaller than the memory. */
static int submit_read(struct trouble *t, struct vfe_io *io, uint64_t gpa, uint32_t n_bytes)
{
	struct vfe_req *req = vfe_io_get(io);

	if (!req)
		return -ENOSPC;
	if (n_bytes > t->capacity_bytes)
		n_bytes = (uint32_t)t->capacity_bytes;
	req->data_gpa = gpa;
	req->n_bytes = n_bytes;
	req->sector = (gpa - GPA_BASE) % (t->capacity_bytes - n_bytes + 1) / VFE_SECTOR_BYTES;
	req->device_writes = true;
	return vfe_io_submit(io, req);
}

static int wait_one(struct vfe_io *io)
{
	struct vfe_req *req;
	int rc;

	vfe_io_kick(io);
	rc = vfe_io_wait(io, &req, VFE_TIMEOUT_MS);
	if (rc < 0)
		return rc;
	vfe_io_put(io, req);
	return req->status == VIRTIO_BLK_S_OK ? 0 : -EIO;
}

/* Has the back end write to every page of a region that nothing lies in yet. */
static int touch_region(struct trouble *t, struct vfe_io *io, unsigned int region)
{
	const struct vfe_region *r = &t->blk.mem.region[region];
	uint64_t gpa;
	int rc = 0;

	/* Pages that are there already are mapped faster. Not every kernel can do this. */
	madvise(r->map, r->map_bytes, MADV_POPULATE_WRITE);
	while (!rc &&
	       (gpa = vfe_mem_alloc_in(&t->blk.mem, region, TOUCH_BYTES, 4096)) != VFE_NO_GPA) {
		if (io->n_in_flight == TOUCH_DEPTH)
			rc = wait_one(io);
		if (!rc)
			rc = submit_read(t, io, gpa, TOUCH_BYTES);
	}
	return rc;
}

/* The first so many regions. */
static int touch_memory(struct trouble *t, unsigned int n_regions)
{
	struct vfe_io_opts opts = {.n_reqs = TOUCH_DEPTH, .max_bytes = 512};
	struct vfe_io io;
	int rc = vfe_io_init(&io, &t->blk, 0, &opts);

	if (rc)
		return rc;
	for (unsigned int i = 0; i < n_regions && !rc; i++)
		rc = touch_region(t, &io, i);
	while (!rc && io.n_in_flight > 0)
		rc = wait_one(&io);
	vfe_io_fini(&io);
	return rc;
}

static int set_up_session(struct trouble *t)
{
	int rc = open_session(t);

	return !rc && t->opts.touch ? touch_memory(t, t->opts.n_regions) : rc;
}

static int begin_load(struct trouble *t)
{
	struct vfe_io_opts opts = {.n_reqs = t->opts.depth, .max_bytes = t->opts.block_bytes};
	int rc = open_session(t);

	if (!rc && t->capacity_bytes < t->opts.block_bytes)
		rc = -ENOSPC;
	if (!rc)
		rc = vfe_io_init(&t->io, &t->blk, 0, &opts);
	return rc;
}

static int set_up_load(struct trouble *t)
{
	int rc = begin_load(t);

	return !rc && t->opts.touch ? touch_memory(t, t->opts.n_regions) : rc;
}

/* How many regions stay; the others are plugged. */
static unsigned int n_staying(const struct trouble *t)
{
	return (t->opts.n_regions + 1) / 2;
}

static int set_up_plug(struct trouble *t)
{
	int rc = begin_load(t);

	return !rc && t->opts.touch ? touch_memory(t, n_staying(t)) : rc;
}

/* The load's next requests, as many as are free. */
static void send_load(struct trouble *t)
{
	uint32_t n_sectors = t->opts.block_bytes / VFE_SECTOR_BYTES;
	struct vfe_req *req;

	while ((req = vfe_io_get(&t->io))) {
		if ((t->next_sector + n_sectors) * VFE_SECTOR_BYTES > t->capacity_bytes)
			t->next_sector = 0;
		req->type = t->opts.write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
		req->sector = t->next_sector;
		req->n_bytes = t->opts.block_bytes;
		req->device_writes = !t->opts.write;
		if (vfe_io_submit(&t->io, req)) {
			vfe_io_put(&t->io, req);
			break;
		}
		t->next_sector += n_sectors;
	}
	vfe_io_kick(&t->io);
}

/* Takes what has ended; counts the good into *n_ok and the others into *n_bad. */
static int reap_load(struct trouble *t, uint64_t *n_ok, uint64_t *n_bad)
{
	struct vfe_req *req;
	int rc;

	while ((rc = vfe_io_reap(&t->io, &req)) == 1) {
		if (req->status == VIRTIO_BLK_S_OK)
			(*n_ok)++;
		else
			(*n_bad)++;
		vfe_io_put(&t->io, req);
	}
	return rc;
}

static int run_idle(struct trouble *t)
{
	while (!trouble_is_over(t) && !is_hung_up(t))
		usleep(TURN_MS * 1000);
	t->count[0] = is_hung_up(t);
	return 0;
}

static int run_load(struct trouble *t)
{
	bool stop = false;
	int rc = 0;

	while (!rc && !stop) {
		stop = times_are_over(t) || is_hung_up(t);
		if (!stop)
			send_load(t);
		rc = reap_load(t, &t->count[0], &t->count[1]);
		if (t->io.n_in_flight == t->opts.depth)
			vfe_ring_wait(t->io.ring, TURN_MS);
	}
	t->count[2] = t->io.n_in_flight;
	return rc;
}

/* The layout that the back end does not have now: whole regions, and the same ones cut in two. */
static int run_memtable(struct trouble *t)
{
	struct vfe_mem split;
	int rc = vfe_mem_split(&split, &t->blk.mem);

	if (rc)
		return rc;
	while (!rc && !times_are_over(t) && !is_hung_up(t)) {
		send_load(t);
		rc = vfe_blk_set_mem_table(&t->blk, t->count[0] % 2 ? &t->blk.mem : &split);
		if (!rc)
			rc = reap_load(t, &t->count[1], &t->count[2]);
		t->count[0]++;
	}
	vfe_mem_fini(&split);
	return is_hung_up(t) ? 0 : rc;
}

/* Half of the memory stays, the other half is plugged in and taken out again, a table each
 * millisecond. In the lull the same load runs without. */
static int run_plug(struct trouble *t)
{
	struct vfe_mem half = t->blk.mem;
	int64_t next_ns = vfe_now_ns();
	int rc = 0;

	half.n_regions = n_staying(t);
	while (!rc && !times_are_over(t) && !is_hung_up(t)) {
		send_load(t);
		if (vfe_now_ns() < next_ns)
			usleep((unsigned int)(next_ns - vfe_now_ns()) / 1000);
		next_ns = vfe_now_ns() + PLUG_EVERY_NS;
		if (!t->lull)
			rc = vfe_blk_set_mem_table(&t->blk, t->count[0] % 2 ? &t->blk.mem : &half);
		if (!rc)
			rc = reap_load(t, &t->count[1], &t->count[2]);
		t->count[0]++;
	}
	return is_hung_up(t) ? 0 : rc;
}

static int set_up_nothing(struct trouble *t)
{
	t->blk.conn.sock = t->blk.backend_channel = t->blk.err_fd = -1;
	return 0;
}

static int run_connect(struct trouble *t)
{
	while (!times_are_over(t)) {
		if (connect_only(t) == 0)
			t->count[0]++;
		else
			t->count[1]++;
	}
	vfe_blk_close(&t->blk);
	return 0;
}

/* Most of a message in pieces, never the end; the back end may wait for it, or hang up. */
static int run_half(struct trouble *t)
{
	const struct vfe_msg msg = {.request = VFE_SET_VRING_ADDR,
				    .flags = VFE_MSG_VERSION,
				    .size_bytes = sizeof(msg.addr)};

	while (!times_are_over(t)) {
		if (connect_only(t)) {
			t->count[1]++;
			usleep(1000);
			continue;
		}
		for (size_t i = 0; i < VFE_MSG_HEADER_BYTES + sizeof(msg.addr) - 1; i++) {
			if (vfe_msg_send_raw(t->blk.conn.sock, (const uint8_t *)&msg + i, 1, NULL))
				break;
			usleep(1000);
		}
		t->count[0]++;
	}
	vfe_blk_close(&t->blk);
	return 0;
}

/* Asks and asks, and reads no answer. */
static int run_noread(struct trouble *t)
{
	const struct vfe_msg msg = {.request = VFE_GET_FEATURES, .flags = VFE_MSG_VERSION};

	while (!times_are_over(t)) {
		if (connect_only(t)) {
			t->count[1]++;
			usleep(1000);
			continue;
		}
		while (!is_hung_up(t) && !trouble_is_over(t)) {
			if (send(t->blk.conn.sock, &msg, VFE_MSG_HEADER_BYTES,
				 MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
				usleep(1000);
			else
				t->count[2]++;
		}
		t->count[0]++;
	}
	vfe_blk_close(&t->blk);
	return 0;
}

/* Kicks, and messages with kick descriptors; the ring has nothing to do. */
static int run_kicks(struct trouble *t)
{
	struct vfe_ring *ring = &t->blk.ring[0];
	int rc = 0;

	while (!rc && !times_are_over(t) && !is_hung_up(t)) {
		vfe_ring_kick_always(ring);
		t->count[0]++;
		rc = vfe_conn_set_vring_fd(&t->blk.conn, VFE_SET_VRING_KICK, 0, ring->kick_fd);
		t->count[1]++;
	}
	return is_hung_up(t) ? 0 : rc;
}

static int run_base(struct trouble *t)
{
	uint32_t base;
	int rc = 0;

	while (!rc && !times_are_over(t) && !is_hung_up(t)) {
		rc = vfe_conn_get_vring_base(&t->blk.conn, 0, &base);
		t->count[0]++;
	}
	return is_hung_up(t) ? 0 : rc;
}

static int set_up_base(struct trouble *t)
{
	set_up_nothing(t);
	return connect_only(t);
}

/* The device is reset with requests in flight; after `done` it is started again by the next `go`.
 */
static int run_reset(struct trouble *t)
{
	int rc;

	if (t->blk.n_active == 0) {
		rc = vfe_blk_start(&t->blk);
		if (rc)
			return rc;
	}
	send_load(t);
	t->blk.conn.timeout_ms = RESET_TIMEOUT_MS;
	rc = vfe_blk_stop(&t->blk, NULL);
	if (!rc)
		rc = reap_load(t, &t->count[0], &t->count[1]);
	t->count[2] = t->io.n_in_flight;
	t->count[3] = t->blk.base[0];
	return rc;
}

const struct trouble_kind trouble_kinds[] = {
	{"idle", "connected and started, does nothing", {"hung_up"}, set_up_session, run_idle},
	{"load",
	 "keeps --depth requests in flight",
	 {"acked", "errors", "unanswered"},
	 set_up_load,
	 run_load},
	{"memtable",
	 "sends its memory table again and again, under load",
	 {"tables", "acked", "errors"},
	 set_up_load,
	 run_memtable},
	{"plug",
	 "plugs half of its memory regions in and out, under load",
	 {"tables", "acked", "errors"},
	 set_up_plug,
	 run_plug},
	{"connect",
	 "connects and disconnects",
	 {"connections", "refused"},
	 set_up_nothing,
	 run_connect},
	{"half",
	 "sends most of a message, byte by byte, hangs up, and again",
	 {"connections", "refused"},
	 set_up_nothing,
	 run_half},
	{"noread",
	 "asks without end and reads no answer",
	 {"connections", "refused", "messages"},
	 set_up_nothing,
	 run_noread},
	{"kicks", "kicks without end", {"kicks", "messages"}, set_up_session, run_kicks},
	{"base",
	 "asks for the base of a virtqueue that never ran, without end",
	 {"answers"},
	 set_up_base,
	 run_base},
	{"reset",
	 "sends --depth requests and GET_VRING_BASE",
	 {"acked", "errors", "unanswered", "base"},
	 set_up_load,
	 run_reset},
};

const unsigned int trouble_n_kinds = sizeof(trouble_kinds) / sizeof(trouble_kinds[0]);
