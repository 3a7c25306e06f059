/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a disk when its file or device fails, shrinks or goes: the guest is told of what
 * can't be done, the operator sees why, the disk goes on.
 */
#include "backing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
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

static int64_t n_errors(const struct bk_rig *r, const char *name)
{
	struct json_object *store, *by_errno, *disk = bk_show(r, &store);
	int64_t n = -1;

	if (json_object_object_get_ex(store, "errors_by_errno", &by_errno))
		n = bk_number(by_errno, name);
	json_object_put(disk);
	return n;
}

static int range(struct vfe_io *io, uint32_t type, uint64_t offset_bytes, uint64_t n_bytes)
{
	return vfe_range(io, type, offset_bytes / 512, (uint32_t)(n_bytes / 512), 0);
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

static void all_fails(struct vfe_io *io)
{
	FX_STATUS(bk_status_of(io, true, 8192), VIRTIO_BLK_S_IOERR);
	FX_STATUS(bk_status_of(io, false, 0), VIRTIO_BLK_S_IOERR);
	FX_STATUS(range(io, VIRTIO_BLK_T_WRITE_ZEROES, 0, 4096), VIRTIO_BLK_S_IOERR);
	FX_STATUS(range(io, VIRTIO_BLK_T_DISCARD, 0, 4096), VIRTIO_BLK_S_IOERR);
	FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_IOERR);
}

/* As a device that is unplugged, and comes back under the same descriptor. */
static void a_store_goes_and_comes_back(void **state)
{
	struct bk_rig *r = bk_rig_new();
	struct vfe_io *io;

	(void)state;
	bk_make_file_on_faultfs(r);
	io = bk_serve(r, r->path);
	fx_fill(io, 0, 8, 1);
	bk_tell_fs(r, "fail 19 read write fsync stat");
	all_fails(io);
	wait_for_state(r, "lost");
	wait_for_log("is gone, or has nothing left");
	wait_for_log("ENODEV (No such device)");
	FX_ASSERT(n_errors(r, "ENODEV") == 5, "ENODEV: %lld", (long long)n_errors(r, "ENODEV"));
	bk_tell_fs(r, "pass stat read write fsync");
	wait_for_state(r, "ok");
	fx_expect(io, 0, 8, 1);
	fx_serves(io, 0);
}

/* The file system has died, and the file is gone for good. */
static void a_store_goes_for_good(void **state)
{
	struct bk_rig *r = bk_rig_new();
	struct vfe_io *io, *other = fx_io(fx_open(fx_disk(NULL), NULL), 0, 4, 4096);

	(void)state;
	bk_make_file_on_faultfs(r);
	io = bk_serve(r, r->path);
	fx_serves(io, 0);
	FX_ASSERT(td_helper_end(&r->fs) == 0, "faultfs");
	r->fs.pid = 0;
	for (unsigned int i = 0; i < 20; i++)
		all_fails(io);
	wait_for_state(r, "lost");
	FX_ASSERT(n_errors(r, "ENOTCONN") == 100, "ENOTCONN: %lld",
		  (long long)n_errors(r, "ENOTCONN"));
	fx_serves(other, 0);
	FX_OK(td_disk_del(fx_backend(), &r->disk, true));
	r->disk.name[0] = '\0';
	fx_serves(other, 8);
}

static void mount_small(struct bk_rig *r)
{
	snprintf(r->mount, sizeof(r->mount), "%.40s/small", td_tmpdir());
	FX_ASSERT(mkdir(r->mount, 0700) == 0, "%s: %d", r->mount, errno);
	if (mount("tmpfs", r->mount, "tmpfs", 0, "size=8m") == 0)
		return;
	r->mount[0] = '\0';
	FX_ASSERT(errno == EPERM, "a tmpfs: %d", errno);
	skip(); /* as of loop devices */
}

/* 8 MiB for a disk of 16. */
static void a_full_file_system(void **state)
{
	struct bk_rig *r = bk_rig_new();
	uint64_t offset_bytes = 0;
	struct vfe_io *io;

	(void)state;
	mount_small(r);
	bk_make_file(r, r->mount);
	io = bk_serve(r, r->path);
	while (bk_status_of(io, true, offset_bytes) == VIRTIO_BLK_S_OK)
		offset_bytes += 4096;
	FX_ASSERT(offset_bytes > 4 * BK_MIB && offset_bytes <= 8 * BK_MIB, "full at %llu",
		  (unsigned long long)offset_bytes);
	FX_STATUS(bk_status_of(io, true, offset_bytes), VIRTIO_BLK_S_IOERR);
	FX_ASSERT(n_errors(r, "ENOSPC") == 2, "ENOSPC: %lld", (long long)n_errors(r, "ENOSPC"));
	FX_STATUS(bk_status_of(io, true, 0), VIRTIO_BLK_S_OK);
	FX_STATUS(bk_status_of(io, false, offset_bytes), VIRTIO_BLK_S_OK);
	FX_STATUS(vfe_flush(io), VIRTIO_BLK_S_OK);
	FX_STATUS(range(io, VIRTIO_BLK_T_DISCARD, 0, BK_MIB), VIRTIO_BLK_S_OK);
	FX_STATUS(bk_status_of(io, true, offset_bytes), VIRTIO_BLK_S_OK);
	wait_for_log("ENOSPC (No space left on device)");
	wait_for_state(r, "ok");
}

/* Of what a file system has no room for, discards and zeroes are told as writes are. */
static void no_quota_left(void **state)
{
	struct bk_rig *r = bk_rig_new();
	struct vfe_io *io;

	(void)state;
	bk_make_file_on_faultfs(r);
	io = bk_serve(r, r->path);
	bk_tell_fs(r, "fail 122 write");
	FX_STATUS(bk_status_of(io, true, 0), VIRTIO_BLK_S_IOERR);
	FX_STATUS(range(io, VIRTIO_BLK_T_WRITE_ZEROES, 0, 4096), VIRTIO_BLK_S_IOERR);
	FX_STATUS(range(io, VIRTIO_BLK_T_DISCARD, 0, 4096), VIRTIO_BLK_S_IOERR);
	FX_ASSERT(n_errors(r, "EDQUOT") == 3, "EDQUOT: %lld", (long long)n_errors(r, "EDQUOT"));
	FX_STATUS(bk_status_of(io, false, 0), VIRTIO_BLK_S_OK);
	bk_tell_fs(r, "pass");
	FX_STATUS(range(io, VIRTIO_BLK_T_WRITE_ZEROES, 0, 4096), VIRTIO_BLK_S_OK);
	FX_STATUS(range(io, VIRTIO_BLK_T_DISCARD, 0, 4096), VIRTIO_BLK_S_OK);
	fx_serves(io, 0);
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
	wait_for_state(r, "lost");
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

static void make_device(struct bk_rig *r, char ret_path[TD_PATH_MAX])
{
	bk_make_file(r, td_tmpdir());
	r->loop_fd = td_loop_open(r->path, ret_path, TD_PATH_MAX);
	if (r->loop_fd == -ENODEV)
		skip();
	FX_ASSERT(r->loop_fd >= 0, "a loop device: %d", r->loop_fd);
}

static void a_device_shrinks_and_goes(void **state)
{
	struct bk_rig *r = bk_rig_new();
	char device[TD_PATH_MAX];
	struct vfe_io *io;

	(void)state;
	make_device(r, device);
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
	wait_for_state(r, "lost");
	shrink_device(r, BK_SIZE_BYTES);
	wait_for_state(r, "ok");
	fx_serves(io, 0);
}

static void set_discard_max(const char *device, uint64_t n_bytes)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/%.32s/queue/discard_max_bytes",
		 device + strlen("/dev/"));
	f = fopen(path, "we");
	FX_ASSERT(f, "%s: %d", path, errno);
	fprintf(f, "%llu", (unsigned long long)n_bytes);
	FX_ASSERT(fclose(f) == 0, "%s: %d", path, errno);
}

static void limits_are_the_device_s(void **state)
{
	struct bk_rig *r = bk_rig_new();
	struct virtio_blk_config config;
	struct vfe_io *io;
	char device[TD_PATH_MAX];

	(void)state;
	make_device(r, device);
	set_discard_max(device, BK_MIB + 4096);
	io = bk_serve(r, device);
	set_discard_max(device, UINT32_MAX & ~4095u); /* as much as the next user of it may set */
	memset(&config, 0, sizeof(config));
	FX_OK(vfe_blk_get_config(io->blk, &config, VFE_BLK_CONFIG_BYTES));
	FX_ASSERT(config.max_discard_sectors == (BK_MIB + 4096) / 512, "%u",
		  config.max_discard_sectors);
	FX_ASSERT(config.discard_sector_alignment == 4096 / 512, "%u",
		  config.discard_sector_alignment);
	FX_STATUS(range(io, VIRTIO_BLK_T_DISCARD, 0, BK_MIB + 4096), VIRTIO_BLK_S_OK);
	FX_ASSERT(range(io, VIRTIO_BLK_T_DISCARD, 0, BK_MIB + 8192) != VIRTIO_BLK_S_OK,
		  "longer than the limit");
}

#define FILES "a malloc disk has neither a file nor a device"

static const struct fx_case cases[] = {
	FX_CASE_ON(errors_are_counted_and_told_once, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(no_quota_left, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_full_file_system, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_store_goes_and_comes_back, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_store_goes_for_good, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_file_shrinks_under_us, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(a_device_shrinks_and_goes, FX_AIO | FX_URING, FILES),
	FX_CASE_ON(limits_are_the_device_s, FX_AIO | FX_URING, FILES),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "backing", cases, sizeof(cases) / sizeof(cases[0]));
}
