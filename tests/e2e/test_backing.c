/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a disk when its file or device fails, shrinks or goes, and when the disk itself
 * is made smaller: the guest is told of what can't be done, the operator sees why, the disk goes
 * on.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "td_helper.h"
#include "td_loop.h"
#include "td_rpc.h"

#define MIB        (1ull << 20)
#define SIZE_BYTES (16 * MIB)
#define BOUND_MS   15000
#define DEPTH      32 /* three descriptors each */

/* Resources of a test that the fixture does not know. */
struct rig {
	struct td_helper fs;
	int loop_fd;
	struct td_disk disk;
	char path[TD_PATH_MAX];
};

static void clean_up(void *arg)
{
	struct rig *r = arg;
	char params[64];

	snprintf(params, sizeof(params), "{\"name\":\"%s\",\"force\":true}", r->disk.name);
	if (r->disk.name[0])
		td_rpc(&fx_backend()->td, "device.del", params, NULL);
	if (r->loop_fd >= 0)
		close(r->loop_fd);
	if (r->fs.pid)
		td_helper_end(&r->fs);
}

static struct rig *rig_new(void)
{
	struct rig *r = fx_buf(sizeof(*r));

	r->loop_fd = -1;
	fx_at_end(clean_up, r);
	return r;
}

static void make_file(struct rig *r, const char *dir)
{
	static unsigned int n_files;
	int fd;

	snprintf(r->path, sizeof(r->path), "%s/f%u", dir, n_files++);
	fd = open(r->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FX_ASSERT(fd >= 0 && ftruncate(fd, SIZE_BYTES) == 0, "%s: %d", r->path, errno);
	close(fd);
}

static void tell_fs(struct rig *r, const char *command)
{
	FX_OK(td_helper_tell(&r->fs, command));
	FX_OK(td_helper_expect(&r->fs, "ok"));
}

/* The file is on a file system that misbehaves on command. */
static void make_file_on_faultfs(struct rig *r)
{
	const char *program = getenv("FAULTFS");
	static unsigned int n_mounts;
	char back[64], mount[64];

	FX_ASSERT(program, "the environment variable FAULTFS must name faultfs");
	snprintf(back, sizeof(back), "%.40s/back%u", td_tmpdir(), n_mounts);
	snprintf(mount, sizeof(mount), "%.40s/mount%u", td_tmpdir(), n_mounts++);
	FX_ASSERT(mkdir(back, 0700) == 0 && mkdir(mount, 0700) == 0, "%s: %d", mount, errno);
	FX_OK(td_helper_start(&r->fs, (const char *const[]){program, back, mount, NULL}));
	FX_OK(td_helper_expect(&r->fs, "ready"));
	make_file(r, mount);
}

/* A disk on `path`; requests for it. */
static struct vfe_io *serve(struct rig *r, const char *path)
{
	static unsigned int n_disks;
	char params[256];

	snprintf(r->disk.name, sizeof(r->disk.name), "backing%u", n_disks++);
	snprintf(r->disk.socket, sizeof(r->disk.socket), "%s/%s.sock", fx_backend()->td.dir,
		 r->disk.name);
	snprintf(params, sizeof(params), "{\"name\":\"%s\",\"backend\":\"%s\",\"path\":\"%s\"}",
		 r->disk.name, td_kind_names[fx_kind()], path);
	FX_OK(td_rpc(&fx_backend()->td, "device.add", params, NULL));
	return fx_io(fx_open(&r->disk, NULL), 0, DEPTH, 8192);
}

/* device.show's "store"; put the object. */
static struct json_object *show(const struct rig *r, struct json_object **ret_store)
{
	struct json_object *disk = NULL;
	char params[64];

	snprintf(params, sizeof(params), "{\"name\":\"%s\"}", r->disk.name);
	FX_OK(td_rpc(&fx_backend()->td, "device.show", params, &disk));
	FX_ASSERT(json_object_object_get_ex(disk, "store", ret_store), "no store");
	return disk;
}

static int64_t number(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) ? json_object_get_int64(value) : -1;
}

/* Waits until the store is said to be so; the size that is told with it. */
static int64_t wait_for_state(const struct rig *r, const char *state)
{
	int64_t deadline_ms = vfe_now_ms() + BOUND_MS, size_bytes;
	struct json_object *disk, *store, *value;
	bool there;

	do {
		usleep(20000);
		disk = show(r, &store);
		there = json_object_object_get_ex(store, "state", &value) &&
			strcmp(json_object_get_string(value), state) == 0;
		size_bytes = number(store, "size_bytes");
		json_object_put(disk);
	} while (vfe_now_ms() < deadline_ms &&
		 (!there || (strcmp(state, "short") == 0 && size_bytes < 0)));
	FX_ASSERT(there, "the store is not %s", state);
	return size_bytes;
}

/* Lines of the daemon's log with this in it. */
static unsigned int count_log(const char *text)
{
	FILE *log = fopen(fx_backend()->td.log, "re");
	char line[1024];
	unsigned int n = 0;

	FX_ASSERT(log, "%s", fx_backend()->td.log);
	while (fgets(line, sizeof(line), log))
		n += strstr(line, text) != NULL;
	fclose(log);
	return n;
}

static int status_of(struct vfe_io *io, bool write, uint64_t offset_bytes)
{
	uint8_t data[4096] = {0};

	return write ? vfe_write(io, offset_bytes / 512, data, sizeof(data))
		     : vfe_read(io, offset_bytes / 512, data, sizeof(data));
}

static void fail_so_often(struct rig *r, struct vfe_io *io, const char *command, unsigned int n)
{
	tell_fs(r, command);
	while (n-- > 0)
		FX_STATUS(status_of(io, strstr(command, "write"), 4096), VIRTIO_BLK_S_IOERR);
	tell_fs(r, "pass");
	FX_STATUS(status_of(io, true, 4096), VIRTIO_BLK_S_OK);
	FX_STATUS(status_of(io, false, 4096), VIRTIO_BLK_S_OK);
}

static void wait_for_log(const char *text)
{
	int64_t deadline_ms = vfe_now_ms() + BOUND_MS;

	while (!count_log(text) && vfe_now_ms() < deadline_ms)
		usleep(20000);
	FX_ASSERT(count_log(text), "not in the log: %s", text);
}

static void errors_are_counted_and_told_once(void **state)
{
	struct rig *r = rig_new();
	struct json_object *disk, *store, *by_errno;
	struct vfe_io *io;

	(void)state;
	make_file_on_faultfs(r);
	io = serve(r, r->path);
	fail_so_often(r, io, "fail 5 read", 40);
	fail_so_often(r, io, "fail 28 write", 30);
	fail_so_often(r, io, "fail 122 write", 20);
	disk = show(r, &store);
	FX_ASSERT(json_object_object_get_ex(store, "errors_by_errno", &by_errno) &&
			  number(by_errno, "EIO") == 40 && number(by_errno, "ENOSPC") == 30 &&
			  number(by_errno, "EDQUOT") == 20 && number(store, "errors") == 90,
		  "%s", json_object_to_json_string(store));
	json_object_put(disk);
	wait_for_log("EIO (Input/output error)");
	wait_for_log("ENOSPC (No space left on device)");
	wait_for_log("EDQUOT (Disk quota exceeded)");
	FX_ASSERT(count_log("operations have failed in the store") <= 5, "a line for each error");
	wait_for_state(r, "ok");
}

static void truncate_to(const struct rig *r, uint64_t n_bytes)
{
	FX_ASSERT(truncate(r->path, (off_t)n_bytes) == 0, "%s: %d", r->path, errno);
}

static void a_file_shrinks_under_us(void **state)
{
	struct rig *r = rig_new();
	struct vfe_io *io;

	(void)state;
	make_file(r, td_tmpdir());
	io = serve(r, r->path);
	fx_fill(io, 0, 8, 1);
	truncate_to(r, 8 * MIB);
	FX_STATUS(status_of(io, false, 8 * MIB), VIRTIO_BLK_S_IOERR);
	FX_STATUS(status_of(io, false, 8 * MIB - 2048), VIRTIO_BLK_S_IOERR);
	FX_STATUS(status_of(io, false, 8 * MIB - 4096), VIRTIO_BLK_S_OK);
	FX_ASSERT(wait_for_state(r, "short") == 8 * MIB, "another size");
	fx_expect(io, 0, 8, 1);
	truncate_to(r, 0);
	FX_STATUS(status_of(io, false, 0), VIRTIO_BLK_S_IOERR);
	truncate_to(r, SIZE_BYTES);
	wait_for_state(r, "ok");
	FX_STATUS(status_of(io, false, SIZE_BYTES - 4096), VIRTIO_BLK_S_OK);
	fx_serves(io, 0);
}

static void shrink_device(struct rig *r, uint64_t n_bytes)
{
	truncate_to(r, n_bytes);
	FX_OK(td_loop_resize(r->loop_fd));
}

static void a_device_shrinks_and_goes(void **state)
{
	struct rig *r = rig_new();
	char device[TD_PATH_MAX];
	struct vfe_io *io;

	(void)state;
	make_file(r, td_tmpdir());
	r->loop_fd = td_loop_open(r->path, device, sizeof(device));
	if (r->loop_fd == -ENODEV)
		skip();
	FX_ASSERT(r->loop_fd >= 0, "a loop device: %d", r->loop_fd);
	io = serve(r, device);
	fx_serves(io, 0);
	shrink_device(r, 8 * MIB);
	FX_STATUS(status_of(io, false, 8 * MIB), VIRTIO_BLK_S_IOERR);
	FX_STATUS(status_of(io, true, 8 * MIB), VIRTIO_BLK_S_IOERR);
	FX_ASSERT(wait_for_state(r, "short") == 8 * MIB, "another size");
	fx_serves(io, 0);
	shrink_device(r, 0);
	FX_STATUS(status_of(io, false, 0), VIRTIO_BLK_S_IOERR);
	FX_STATUS(status_of(io, true, 0), VIRTIO_BLK_S_IOERR);
	vfe_flush(io); /* an empty device may flush, or fail */
	while (wait_for_state(r, "short") > 0)
		usleep(100000);
	shrink_device(r, SIZE_BYTES);
	wait_for_state(r, "ok");
	fx_serves(io, 0);
}

static void resize_is(const struct rig *r, const char *more, int expected, const char *error)
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
	struct rig *r = rig_new();
	struct vfe_io *io;

	(void)state;
	make_file(r, td_tmpdir());
	io = serve(r, r->path);
	truncate_to(r, 2 * SIZE_BYTES + 100);
	resize_is(r, "", 0, NULL);
	expect_capacity(io->blk, 2 * SIZE_BYTES);
	fx_serves(io, 2 * SIZE_BYTES / 512 - 8);
	truncate_to(r, SIZE_BYTES);
	resize_is(r, "", -EREMOTEIO, "PARAMS");
	resize_is(r, ",\"shrink\":true", 0, NULL);
	expect_capacity(io->blk, SIZE_BYTES);
	fx_serves(io, SIZE_BYTES / 512 - 8);
	FX_STATUS(status_of(io, false, SIZE_BYTES), VIRTIO_BLK_S_IOERR);
	truncate_to(r, 0);
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
static void take_answers(struct vfe_io *io, uint64_t end_bytes, bool settled)
{
	struct vfe_req *req;

	while (io->n_in_flight > 0) {
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

static void shrinking_with_requests_in_flight(void **state)
{
	struct td_disk *disk = fx_disk(&(struct td_disk_opts){.size_bytes = SIZE_BYTES});
	struct vfe_io *io = fx_io(fx_open(disk, NULL), 0, DEPTH, 4096);

	(void)state;
	fx_fill(io, 0, 8, 1);
	for (unsigned int i = 0; i < 20; i++) {
		fill_ring(io, SIZE_BYTES);
		FX_OK(td_disk_shrink(fx_backend(), disk, SIZE_BYTES / 2));
		expect_capacity(io->blk, SIZE_BYTES / 2);
		take_answers(io, SIZE_BYTES / 2, false);
		fill_ring(io, SIZE_BYTES);
		take_answers(io, SIZE_BYTES / 2, true);
		fill_ring(io, SIZE_BYTES / 2);
		FX_OK(td_disk_resize(fx_backend(), disk, SIZE_BYTES));
		expect_capacity(io->blk, SIZE_BYTES);
		take_answers(io, SIZE_BYTES / 2, true);
		fill_ring(io, SIZE_BYTES);
		take_answers(io, SIZE_BYTES, true);
	}
	fx_serves(io, SIZE_BYTES / 512 - 8);
}

static void shrinking_has_to_be_meant(void **state)
{
	struct td_disk *disk = fx_disk(NULL);
	struct rig *r = rig_new();
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

#define FILES "a malloc disk has neither a file nor a device"

static const struct fx_case cases[] = {
	FX_CASE_ON(errors_are_counted_and_told_once, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_file_shrinks_under_us, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_device_shrinks_and_goes, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(the_disk_follows_its_file, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(shrinking_with_requests_in_flight, FX_VHOSTD, "vhostd's resize"),
	FX_CASE_ON(shrinking_has_to_be_meant, FX_VHOSTD, "vhostd's resize"),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "backing", cases, sizeof(cases) / sizeof(cases[0]));
}
