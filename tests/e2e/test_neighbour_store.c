/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * B's store hangs, is slow or fails: its file is on faultfs. A next to it is served, C comes and
 * goes, and B's own state says what it waits for.
 */
#include "neighbour.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH      128
#define SIZE_BYTES (16u << 20)

/* B's file system, and B on it; b.disk.file is the file below it. */
struct rig {
	struct neighbour *nb;
	struct td_helper *fs;
	struct td_disk disk;
	char path[TD_PATH_MAX]; /* of the file on it */
};

static void tell_fs(struct rig *r, const char *command)
{
	FX_OK(td_helper_tell(r->fs, command));
	FX_OK(td_helper_expect(r->fs, "ok"));
}

/* Waits until so many calls hang in it. */
static void wait_held(struct rig *r, long n_held)
{
	int64_t deadline_ms = vfe_now_ms() + NB_BOUND_MS;

	tell_fs(r, "count");
	while (td_helper_number(r->fs, "held") < n_held && vfe_now_ms() < deadline_ms) {
		usleep(5000);
		tell_fs(r, "count");
	}
	FX_ASSERT(td_helper_number(r->fs, "held") >= n_held, "%s", r->fs->line);
}

static void make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	FX_ASSERT(fd >= 0 && ftruncate(fd, SIZE_BYTES) == 0, "%s: %d", path, errno);
	close(fd);
}

static void add_b(struct rig *r)
{
	snprintf(r->disk.name, sizeof(r->disk.name), "b%u", (unsigned int)(vfe_now_ns() % 100000));
	snprintf(r->disk.socket, sizeof(r->disk.socket), "%s/%s.sock", fx_backend()->td.dir,
		 r->disk.name);
	json_object_put(nb_call("device.add",
				"{\"name\":\"%s\",\"backend\":\"%s\",\"path\":\"%s\"}",
				r->disk.name, td_kind_names[fx_kind()], r->path));
}

static void rig_open(struct rig *r)
{
	const char *program = getenv("FAULTFS");
	char back[96], mount[96];
	static unsigned int n_mounts;

	FX_ASSERT(program, "the environment variable FAULTFS must name faultfs");
	snprintf(back, sizeof(back), "%s/back%u", td_tmpdir(), n_mounts);
	snprintf(mount, sizeof(mount), "%s/mount%u", td_tmpdir(), n_mounts++);
	FX_ASSERT(mkdir(back, 0700) == 0 && mkdir(mount, 0700) == 0, "%s: %d", mount, errno);
	memset(r, 0, sizeof(*r));
	snprintf(r->disk.file, sizeof(r->disk.file), "%s/b.img", back);
	snprintf(r->path, sizeof(r->path), "%s/b.img", mount);
	make_file(r->disk.file);
	r->nb = nb_start();
	r->fs = nb_helper(r->nb, 1, (const char *const[]){program, back, mount, NULL});
	add_b(r);
}

static void del_b(struct rig *r)
{
	json_object_put(nb_call("device.del", "{\"name\":\"%s\",\"force\":true,\"no_wait\":true}",
				r->disk.name));
}

/* Requests of B hang, del or no del; when the store comes back, all that was acknowledged is on
 * the file. */
static void requests_hang(void **state)
{
	char waits_for[128];
	struct nb_load *b;
	struct rig r;

	(void)state;
	rig_open(&r);
	b = nb_load_open(&r.disk, DEPTH);
	nb_load_run(b, 500);
	tell_fs(&r, "hang");
	vfe_load_send(&b->load, DEPTH);
	wait_held(&r, 1);
	nb_goes_on(r.nb);
	del_b(&r);
	nb_wait_state(r.disk.name, "quiescing", waits_for);
	FX_ASSERT(strstr(waits_for, "requests in flight"), "waits for \"%s\"", waits_for);
	nb_goes_on(r.nb);
	FX_ASSERT(!vfe_msg_peer_closes(b->blk->conn.sock, 0), "B is cut off before it is drained");
	nb_wait_state(r.disk.name, "quiescing", NULL);
	tell_fs(&r, "pass");
	nb_wait_state(r.disk.name, "", NULL);
	FX_ASSERT(vfe_msg_peer_closes(b->blk->conn.sock, VFE_TIMEOUT_MS),
		  "the connection outlives the device");
	nb_load_ended(b, &r.disk);
	nb_load_close(b);
	nb_finish(r.nb);
}

/* The front end doesn't wait: it is killed, or hangs up, with all that in flight. */
static void front_end_goes_while_requests_hang(void **state)
{
	struct nb_load *b;
	struct rig r;

	(void)state;
	rig_open(&r);
	b = nb_load_open(&r.disk, DEPTH);
	nb_load_run(b, 500);
	tell_fs(&r, "hang");
	vfe_load_send(&b->load, DEPTH);
	wait_held(&r, 1);
	vfe_blk_hang_up(b->blk);
	nb_goes_on(r.nb);
	del_b(&r);
	nb_wait_state(r.disk.name, "quiescing", NULL);
	nb_goes_on(r.nb);
	tell_fs(&r, "pass");
	nb_wait_state(r.disk.name, "", NULL);
	nb_load_ended(b, &r.disk);
	nb_load_close(b);
	nb_finish(r.nb);
}

static void close_hangs(void **state)
{
	char waits_for[128];
	struct nb_load *b;
	struct rig r;

	(void)state;
	rig_open(&r);
	b = nb_load_open(&r.disk, DEPTH);
	nb_load_run(b, 500);
	tell_fs(&r, "hang close");
	vfe_load_send(&b->load, DEPTH);
	del_b(&r);
	nb_wait_state(r.disk.name, "removing", waits_for);
	FX_ASSERT(strstr(waits_for, "store"), "waits for \"%s\"", waits_for);
	wait_held(&r, 1);
	nb_goes_on(r.nb);
	nb_wait_state(r.disk.name, "removing", NULL);
	tell_fs(&r, "pass");
	nb_wait_state(r.disk.name, "", NULL);
	nb_load_ended(b, &r.disk);
	nb_load_close(b);
	nb_finish(r.nb);
}

static void *add_b_again(void *arg)
{
	const struct rig *r = arg;
	char params[256];

	snprintf(params, sizeof(params), "{\"name\":\"%s\",\"backend\":\"%s\",\"path\":\"%s\"}",
		 r->disk.name, td_kind_names[fx_kind()], r->path);
	return (void *)(intptr_t)td_rpc(&fx_backend()->td, "device.add", params, NULL);
}

/* A disk that is still being opened is one more that nobody waits for. */
static void open_hangs(void **state)
{
	char waits_for[128];
	pthread_t adder;
	void *rc = NULL;
	struct rig r;

	(void)state;
	rig_open(&r);
	del_b(&r);
	nb_wait_state(r.disk.name, "", NULL);
	tell_fs(&r, "hang read"); /* opening ends with a look at what can be read */
	FX_OK(pthread_create(&adder, NULL, add_b_again, &r));
	nb_wait_state(r.disk.name, "new", waits_for);
	FX_ASSERT(strstr(waits_for, "store"), "waits for \"%s\"", waits_for);
	nb_goes_on(r.nb);
	tell_fs(&r, "pass");
	pthread_join(adder, &rc);
	FX_ASSERT(!rc, "device.add: %d", (int)(intptr_t)rc);
	del_b(&r);
	nb_wait_state(r.disk.name, "", NULL);
	nb_finish(r.nb);
}

static void write_status(struct rig *r, struct vfe_io *io, const char *fault, int expected)
{
	uint8_t data[4096];
	int status;

	tell_fs(r, fault);
	vfe_pattern_fill(data, 8, 8, 5);
	status = vfe_write(io, 8, data, sizeof(data));
	FX_STATUS(status, expected);
	nb_a_is_served(r->nb);
}

/* Errors are B's guest's, and end with the fault. */
static void store_fails(void **state)
{
	struct vfe_blk *blk;
	struct vfe_io *io;
	struct rig r;

	(void)state;
	rig_open(&r);
	blk = fx_open(&r.disk, NULL);
	io = fx_io(blk, 0, 2, 4096);
	fx_serves(io, 0);
	write_status(&r, io, "fail 5", VIRTIO_BLK_S_IOERR);
	write_status(&r, io, "fail 28", VIRTIO_BLK_S_IOERR);
	FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_IOERR);
	nb_c_lives(r.nb, true);
	write_status(&r, io, "pass", VIRTIO_BLK_S_OK);
	fx_serves(io, 0);
	FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_OK);
	vfe_blk_close(blk);
	del_b(&r);
	nb_wait_state(r.disk.name, "", NULL);
	nb_finish(r.nb);
}

static void store_is_slow(void **state)
{
	struct nb_load *b;
	struct rig r;

	(void)state;
	rig_open(&r);
	tell_fs(&r, "delay 5");
	b = nb_load_open(&r.disk, DEPTH);
	nb_load_run(b, 64);
	vfe_load_send(&b->load, DEPTH);
	nb_goes_on(r.nb);
	del_b(&r);
	nb_wait_state(r.disk.name, "", NULL);
	nb_load_ended(b, &r.disk);
	nb_load_close(b);
	nb_finish(r.nb);
}

/* No answer to GET_VRING_BASE yet. */
static bool is_silent(int sock)
{
	struct pollfd pfd = {.fd = sock, .events = POLLIN};

	return poll(&pfd, 1, 0) == 0;
}

/* The guest resets its device while its requests hang: the answer comes with the store, the event
 * thread doesn't wait for it, and the device goes on from there. */
static void reset_while_requests_hang(void **state)
{
	struct vfe_msg msg = {
		.request = VFE_GET_VRING_BASE, .flags = VFE_MSG_VERSION, .size_bytes = 8};
	struct nb_load *b;
	struct rig r;
	int rc;

	(void)state;
	rig_open(&r);
	b = nb_load_open(&r.disk, DEPTH);
	nb_load_run(b, 300);
	tell_fs(&r, "hang");
	vfe_load_send(&b->load, DEPTH);
	wait_held(&r, 1);
	FX_OK(vfe_msg_send(b->blk->conn.sock, &msg, NULL));
	nb_goes_on(r.nb);
	FX_ASSERT(is_silent(b->blk->conn.sock), "an answer before the requests have ended");
	tell_fs(&r, "pass");
	FX_OK(vfe_msg_recv(b->blk->conn.sock, &msg, NULL, VFE_TIMEOUT_MS));
	FX_ASSERT(msg.request == VFE_GET_VRING_BASE && msg.state.index == 0, "answer %u of %u",
		  msg.request, msg.state.index);
	rc = vfe_load_reap(&b->load);
	FX_ASSERT(rc >= 0, "B's answers: %d %s", rc, b->load.failure);
	FX_ASSERT(msg.state.num == b->load.io.ring->used_idx, "base %u, used index %u",
		  msg.state.num, b->load.io.ring->used_idx);
	b->blk->base[0] = (uint16_t)msg.state.num;
	FX_OK(vfe_blk_start(b->blk));
	nb_load_run(b, 300);
	nb_load_ended(b, &r.disk);
	nb_load_close(b);
	del_b(&r);
	nb_wait_state(r.disk.name, "", NULL);
	nb_finish(r.nb);
}

static const struct fx_case cases[] = {
	FX_CASE(requests_hang),
	FX_CASE(front_end_goes_while_requests_hang),
	FX_CASE(close_hangs),
	FX_CASE(open_hangs),
	FX_CASE(store_fails),
	FX_CASE(store_is_slow),
	FX_CASE(reset_while_requests_hang),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "neighbour_store", cases, sizeof(cases) / sizeof(cases[0]));
}
