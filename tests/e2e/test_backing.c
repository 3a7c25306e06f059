/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a disk when its file or device fails, shrinks or goes: the guest is told of what
 * can't be done, the operator sees why, the disk goes on.
 */
#include "backing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "td_loop.h"

/* Waits until the store is said to be so; the size that is told with it. */
static int64_t wait_for_state(const struct bk_rig *r, const char *state)
{
	int64_t deadline_ms = vfe_now_ms() + BK_PATIENCE_MS, size_bytes;
	struct json_object *disk, *store, *value;
	bool there;

	do {
		usleep(20000);
		disk = bk_show(r, &store);
		there = json_object_object_get_ex(store, "state", &value) &&
			strcmp(json_object_get_string(value), state) == 0;
		size_bytes = bk_number(store, "size_bytes");
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

static void fail_so_often(struct bk_rig *r, struct vfe_io *io, const char *command, unsigned int n)
{
	bk_tell_fs(r, command);
	while (n-- > 0)
		FX_STATUS(bk_status_of(io, strstr(command, "write"), 4096), VIRTIO_BLK_S_IOERR);
	bk_tell_fs(r, "pass");
	FX_STATUS(bk_status_of(io, true, 4096), VIRTIO_BLK_S_OK);
	FX_STATUS(bk_status_of(io, false, 4096), VIRTIO_BLK_S_OK);
}

static void wait_for_log(const char *text)
{
	int64_t deadline_ms = vfe_now_ms() + BK_PATIENCE_MS;

	while (!count_log(text) && vfe_now_ms() < deadline_ms)
		usleep(20000);
	FX_ASSERT(count_log(text), "not in the log: %s", text);
}

static void errors_are_counted_and_told_once(void **state)
{
	struct bk_rig *r = bk_rig_new();
	struct json_object *disk, *store, *by_errno;
	struct vfe_io *io;

	(void)state;
	bk_make_file_on_faultfs(r);
	io = bk_serve(r, r->path);
	fail_so_often(r, io, "fail 5 read", 40);
	fail_so_often(r, io, "fail 28 write", 30);
	fail_so_often(r, io, "fail 122 write", 20);
	disk = bk_show(r, &store);
	FX_ASSERT(json_object_object_get_ex(store, "errors_by_errno", &by_errno) &&
			  bk_number(by_errno, "EIO") == 40 && bk_number(by_errno, "ENOSPC") == 30 &&
			  bk_number(by_errno, "EDQUOT") == 20 && bk_number(store, "errors") == 90,
		  "%s", json_object_to_json_string(store));
	json_object_put(disk);
	wait_for_log("EIO (Input/output error)");
	wait_for_log("ENOSPC (No space left on device)");
	wait_for_log("EDQUOT (Disk quota exceeded)");
	FX_ASSERT(count_log("operations have failed in the store") <= 5, "a line for each error");
	wait_for_state(r, "ok");
}

static void a_file_shrinks_under_us(void **state)
{
	struct bk_rig *r = bk_rig_new();
	struct vfe_io *io;

	(void)state;
	bk_make_file(r, td_tmpdir());
	io = bk_serve(r, r->path);
	fx_fill(io, 0, 8, 1);
	bk_truncate_to(r, 8 * BK_MIB);
	FX_STATUS(bk_status_of(io, false, 8 * BK_MIB), VIRTIO_BLK_S_IOERR);
	FX_STATUS(bk_status_of(io, false, 8 * BK_MIB - 2048), VIRTIO_BLK_S_IOERR);
	FX_STATUS(bk_status_of(io, false, 8 * BK_MIB - 4096), VIRTIO_BLK_S_OK);
	FX_ASSERT(wait_for_state(r, "short") == 8 * BK_MIB, "another size");
	fx_expect(io, 0, 8, 1);
	bk_truncate_to(r, 0);
	FX_STATUS(bk_status_of(io, false, 0), VIRTIO_BLK_S_IOERR);
	bk_truncate_to(r, BK_SIZE_BYTES);
	wait_for_state(r, "ok");
	FX_STATUS(bk_status_of(io, false, BK_SIZE_BYTES - 4096), VIRTIO_BLK_S_OK);
	fx_serves(io, 0);
}

static void shrink_device(struct bk_rig *r, uint64_t n_bytes)
{
	bk_truncate_to(r, n_bytes);
	FX_OK(td_loop_resize(r->loop_fd));
}

static void a_device_shrinks_and_goes(void **state)
{
	struct bk_rig *r = bk_rig_new();
	char device[TD_PATH_MAX];
	struct vfe_io *io;

	(void)state;
	bk_make_file(r, td_tmpdir());
	r->loop_fd = td_loop_open(r->path, device, sizeof(device));
	if (r->loop_fd == -ENODEV)
		skip();
	FX_ASSERT(r->loop_fd >= 0, "a loop device: %d", r->loop_fd);
	io = bk_serve(r, device);
	fx_serves(io, 0);
	shrink_device(r, 8 * BK_MIB);
	FX_STATUS(bk_status_of(io, false, 8 * BK_MIB), VIRTIO_BLK_S_IOERR);
	FX_STATUS(bk_status_of(io, true, 8 * BK_MIB), VIRTIO_BLK_S_IOERR);
	FX_ASSERT(wait_for_state(r, "short") == 8 * BK_MIB, "another size");
	fx_serves(io, 0);
	shrink_device(r, 0);
	FX_STATUS(bk_status_of(io, false, 0), VIRTIO_BLK_S_IOERR);
	FX_STATUS(bk_status_of(io, true, 0), VIRTIO_BLK_S_IOERR);
	vfe_flush(io); /* an empty device may flush, or fail */
	while (wait_for_state(r, "short") > 0)
		usleep(100000);
	shrink_device(r, BK_SIZE_BYTES);
	wait_for_state(r, "ok");
	fx_serves(io, 0);
}

#define FILES "a malloc disk has neither a file nor a device"

static const struct fx_case cases[] = {
	FX_CASE_ON(errors_are_counted_and_told_once, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_file_shrinks_under_us, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_device_shrinks_and_goes, FX_AIO | FX_URING, FILES),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "backing", cases, sizeof(cases) / sizeof(cases[0]));
}
