/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Another capacity at run time: the disk follows its file, and gets smaller when that is meant. The
 * answer to that comes when nothing touches what lies behind the new end any more.
 */
#include "backing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "td_rpc.h"

static void resize_is(const struct bk_rig *r, const char *more, int expected, const char *error)
{
	struct json_object *answer = NULL;
	char params[128];
	int rc;

	snprintf(params, sizeof(params), "{\"name\":\"%s\"%s}", r->disk.name, more);
	rc = td_rpc(&fx_backend()->td, "device.resize", params, &answer);
	FX_ASSERT(rc == expected && (!error || strcmp(td_error_name(answer), error) == 0), "%d: %s",
		  rc, json_object_to_json_string(answer));
	json_object_put(answer);
}

static void expect_capacity(struct vfe_blk *blk, uint64_t n_bytes)
{
	struct virtio_blk_config config = {0};

	FX_OK(vfe_blk_wait_config_change(blk, VFE_TIMEOUT_MS));
	FX_OK(vfe_blk_get_config(blk, &config, 57));
	FX_ASSERT(config.capacity == n_bytes / 512, "capacity %llu",
		  (unsigned long long)config.capacity);
}

/* Without a size, the disk becomes what the file is. */
static void the_disk_follows_its_file(void **state)
{
	struct bk_rig *r = bk_rig_new();
	struct vfe_io *io;

	(void)state;
	bk_make_file(r, td_tmpdir());
	io = bk_serve(r, r->path);
	bk_truncate_to(r, 2 * BK_SIZE_BYTES + 100);
	resize_is(r, "", 0, NULL);
	expect_capacity(io->blk, 2 * BK_SIZE_BYTES);
	fx_serves(io, 2 * BK_SIZE_BYTES / 512 - 8);
	bk_truncate_to(r, BK_SIZE_BYTES);
	resize_is(r, "", -EREMOTEIO, "PARAMS");
	resize_is(r, ",\"shrink\":true", 0, NULL);
	expect_capacity(io->blk, BK_SIZE_BYTES);
	fx_serves(io, BK_SIZE_BYTES / 512 - 8);
	FX_STATUS(bk_status_of(io, false, BK_SIZE_BYTES), VIRTIO_BLK_S_IOERR);
	bk_truncate_to(r, 0);
	resize_is(r, ",\"shrink\":true", -EREMOTEIO, "PARAMS");
}

/* Writes all over the disk, as many as fit. */
static void fill_ring(struct vfe_io *io, uint64_t size_bytes)
{
	static uint64_t place;
	struct vfe_req *req;

	while ((req = vfe_io_get(io))) {
		req->type = VIRTIO_BLK_T_OUT;
		req->sector = (place += 123 * 4096) % size_bytes / 512;
		req->n_bytes = 4096;
		FX_OK(vfe_io_submit(io, req));
	}
	vfe_io_kick(io);
}

/* Behind the new end a request may fail, and must once the answer is there; before it none does. */
static void take_answers_but(struct vfe_io *io, uint64_t end_bytes, bool settled,
			     unsigned int n_left)
{
	struct vfe_req *req;

	while (io->n_in_flight > n_left) {
		bool behind;

		FX_ASSERT(vfe_io_wait(io, &req, VFE_TIMEOUT_MS) == 1, "no completion");
		behind = req->sector * 512 + req->n_bytes > end_bytes;
		FX_ASSERT(req->status == VIRTIO_BLK_S_OK
				  ? !behind || !settled
				  : req->status == VIRTIO_BLK_S_IOERR && behind,
			  "status %u at sector %llu", req->status, (unsigned long long)req->sector);
		vfe_io_put(io, req);
	}
}

static void take_answers(struct vfe_io *io, uint64_t end_bytes, bool settled)
{
	take_answers_but(io, end_bytes, settled, 0);
}

static void shrinking_with_requests_in_flight(void **state)
{
	struct td_disk *disk = fx_disk(&(struct td_disk_opts){.size_bytes = BK_SIZE_BYTES});
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, BK_DEPTH, 4096);

	(void)state;
	fx_fill(io, 0, 8, 1);
	for (unsigned int i = 0; i < 20; i++) {
		fill_ring(io, BK_SIZE_BYTES);
		FX_OK(td_disk_shrink(fx_backend(), disk, BK_SIZE_BYTES / 2));
		expect_capacity(io->blk, BK_SIZE_BYTES / 2);
		take_answers(io, BK_SIZE_BYTES / 2, false);
		fill_ring(io, BK_SIZE_BYTES);
		take_answers(io, BK_SIZE_BYTES / 2, true);
		fill_ring(io, BK_SIZE_BYTES / 2);
		FX_OK(td_disk_resize(fx_backend(), disk, BK_SIZE_BYTES));
		expect_capacity(io->blk, BK_SIZE_BYTES);
		take_answers(io, BK_SIZE_BYTES / 2, true);
		fill_ring(io, BK_SIZE_BYTES);
		take_answers(io, BK_SIZE_BYTES, true);
	}
	fx_serves(io, BK_SIZE_BYTES / 512 - 8);
}

static void shrinking_has_to_be_meant(void **state)
{
	struct td_disk *disk = fx_disk(NULL);
	struct bk_rig *r = bk_rig_new();
	char size[64];

	(void)state;
	snprintf(r->disk.name, sizeof(r->disk.name), "%s", disk->name);
	snprintf(size, sizeof(size), ",\"size\":%llu", (unsigned long long)disk->size_bytes / 2);
	resize_is(r, size, -EREMOTEIO, "PARAMS");
	resize_is(r, ",\"size\":1000", -EREMOTEIO, "PARAMS");
	resize_is(r, ",\"size\":1000,\"shrink\":true", -EREMOTEIO, "PARAMS");
	strcat(size, ",\"shrink\":true");
	resize_is(r, size, 0, NULL);
	r->disk.name[0] = '\0';
}

/* A disk with requests that hang, which is made smaller by a thread. */
struct shrink {
	struct bk_rig *r;
	struct vfe_io *io, *neighbour;
	pthread_t thread;
	atomic_bool answered;
	int rc;
};

static void *shrink_it(void *arg)
{
	struct shrink *s = arg;
	struct td_disk disk = s->r->disk;

	s->rc = td_disk_shrink(fx_backend(), &disk, BK_SIZE_BYTES / 2);
	atomic_store(&s->answered, true);
	return NULL;
}

/* Writes of 4 KiB that the store does not end. */
static void hang_writes(struct shrink *s, uint64_t offset_bytes, unsigned int n)
{
	bk_tell_fs(s->r, "hang write");
	for (unsigned int i = 0; i < n; i++) {
		struct vfe_req *req = vfe_io_get(s->io);

		req->type = VIRTIO_BLK_T_OUT;
		req->sector = offset_bytes / 512 + i * 8;
		req->n_bytes = 4096;
		FX_OK(vfe_io_submit(s->io, req));
	}
	vfe_io_kick(s->io);
	bk_wait_held(s->r);
}

static void shrink_open(struct shrink *s)
{
	s->neighbour = fx_io(fx_open(fx_disk(NULL), NULL), 0, 4, 4096);
	s->r = bk_rig_new();
	bk_make_file_on_faultfs(s->r);
	s->io = bk_serve(s->r, s->r->path);
	fx_serves(s->io, 0);
	hang_writes(s, BK_SIZE_BYTES / 2, 3);
}

/* It waits, which holds up neither the disk's other requests nor another disk. */
static void begin_shrink(struct shrink *s)
{
	struct vfe_req *req;

	FX_OK(pthread_create(&s->thread, NULL, shrink_it, s));
	expect_capacity(s->io->blk, BK_SIZE_BYTES / 2);
	bk_wait_shown(s->r, "waits_for",
		      "3 requests in flight from before the disk was made smaller");
	FX_ASSERT(bk_shows(s->r, "step", "shrink"), "another step");
	resize_is(s->r, ",\"shrink\":true", -EREMOTEIO, "BUSY");
	req = vfe_io_get(s->io);
	req->type = VIRTIO_BLK_T_OUT;
	req->sector = BK_SIZE_BYTES / 512 - 8;
	req->n_bytes = 4096;
	FX_OK(vfe_io_submit(s->io, req));
	vfe_io_kick(s->io);
	take_answers_but(s->io, BK_SIZE_BYTES / 2, true, 3);
	fx_serves(s->neighbour, 0);
}

/* Only now. */
static void end_shrink(struct shrink *s)
{
	FX_ASSERT(!atomic_load(&s->answered), "answered while requests hang");
	bk_tell_fs(s->r, "pass");
	pthread_join(s->thread, NULL);
	FX_ASSERT(s->rc == 0, "the resize: %d", s->rc);
}

static void a_shrink_waits_for_requests(void **state)
{
	struct shrink s = {0};

	(void)state;
	shrink_open(&s);
	begin_shrink(&s);
	end_shrink(&s);
	take_answers(s.io, BK_SIZE_BYTES / 2, false);
	FX_ASSERT(!bk_shows(s.r, "step", "shrink"), "it still waits");
	fx_serves(s.io, 0);
	hang_writes(&s, 0, 2);
	bk_tell_fs(s.r, "pass");
	take_answers(s.io, BK_SIZE_BYTES / 2, true);
	resize_is(s.r, "", 0, NULL); /* and grows again */
	expect_capacity(s.io->blk, BK_SIZE_BYTES);
}

/* The connection ends in the middle: its requests are waited for as ever, and by the shrink. */
static void a_front_end_leaves_a_shrink(void **state)
{
	struct shrink s = {0};

	(void)state;
	shrink_open(&s);
	begin_shrink(&s);
	vfe_blk_close(s.io->blk);
	bk_wait_shown(s.r, "step", "drain");
	fx_serves(s.neighbour, 0);
	end_shrink(&s);
	fx_serves(fx_io(fx_open_patiently(&s.r->disk), 0, 4, 4096), 0);
}

/* The disk has it, and would have answered by now. */
static void wait_for_capacity(const struct bk_rig *r, int64_t n_bytes)
{
	int64_t deadline_ms = vfe_now_ms() + BK_PATIENCE_MS, seen_bytes;

	do {
		struct json_object *disk, *store;

		FX_ASSERT(vfe_now_ms() < deadline_ms, "its capacity stays");
		usleep(50000);
		disk = bk_show(r, &store);
		seen_bytes = bk_number(disk, "size_bytes");
		json_object_put(disk);
	} while (seen_bytes != n_bytes);
	usleep(50000);
}

/* The front end has left already, and its requests are ending. */
static void a_shrink_of_what_drains(void **state)
{
	struct shrink s = {0};

	(void)state;
	shrink_open(&s);
	vfe_blk_close(s.io->blk);
	bk_wait_shown(s.r, "step", "drain");
	FX_OK(pthread_create(&s.thread, NULL, shrink_it, &s));
	wait_for_capacity(s.r, BK_SIZE_BYTES / 2);
	end_shrink(&s);
	fx_serves(fx_io(fx_open_patiently(&s.r->disk), 0, 4, 4096), 0);
}

static void a_deletion_in_a_shrink(void **state)
{
	struct shrink s = {0};
	char params[96];

	(void)state;
	shrink_open(&s);
	begin_shrink(&s);
	snprintf(params, sizeof(params), "{\"name\":\"%s\",\"force\":true,\"no_wait\":true}",
		 s.r->disk.name);
	FX_OK(td_rpc(&fx_backend()->td, "device.del", params, NULL));
	bk_wait_shown(s.r, "step", "drain");
	fx_serves(s.neighbour, 0);
	end_shrink(&s);
	s.r->disk.name[0] = '\0';
}

#define FILES "a malloc disk has no file"

static const struct fx_case cases[] = {
	FX_CASE_ON(the_disk_follows_its_file, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(shrinking_with_requests_in_flight, FX_VHOSTD, "vhostd's resize"),
	FX_CASE_ON(shrinking_has_to_be_meant, FX_VHOSTD, "vhostd's resize"),
	FX_CASE_ON(a_shrink_waits_for_requests, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_front_end_leaves_a_shrink, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_shrink_of_what_drains, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_deletion_in_a_shrink, FX_AIO | FX_URING, FILES),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "resize", cases, sizeof(cases) / sizeof(cases[0]));
}
