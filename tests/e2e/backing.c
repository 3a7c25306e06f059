/* SPDX-License-Identifier: BSD-3-Clause */
#include "backing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "td_rpc.h"

static void clean_up(void *arg)
{
	struct bk_rig *r = arg;
	char params[64];

	snprintf(params, sizeof(params), "{\"name\":\"%s\",\"force\":true}", r->disk.name);
	if (r->disk.name[0])
		td_rpc(&fx_backend()->td, "device.del", params, NULL);
	if (r->loop_fd >= 0)
		close(r->loop_fd);
	if (r->fs.pid)
		td_helper_end(&r->fs);
	if (r->mount[0])
		umount2(r->mount, MNT_DETACH);
}

struct bk_rig *bk_rig_new(void)
{
	struct bk_rig *r = fx_buf(sizeof(*r));

	r->loop_fd = -1;
	fx_at_end(clean_up, r);
	return r;
}

void bk_make_file(struct bk_rig *r, const char *dir)
{
	static unsigned int n_files;
	int fd;

	snprintf(r->path, sizeof(r->path), "%s/f%u", dir, n_files++);
	fd = open(r->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FX_ASSERT(fd >= 0 && ftruncate(fd, BK_SIZE_BYTES) == 0, "%s: %d", r->path, errno);
	close(fd);
}

void bk_tell_fs(struct bk_rig *r, const char *command)
{
	FX_OK(td_helper_tell(&r->fs, command));
	FX_OK(td_helper_expect(&r->fs, "ok"));
}

void bk_wait_held(struct bk_rig *r)
{
	int64_t deadline_ms = vfe_now_ms() + BK_PATIENCE_MS;

	do {
		FX_ASSERT(vfe_now_ms() < deadline_ms, "nothing hangs: %s", r->fs.line);
		usleep(2000);
		bk_tell_fs(r, "count");
	} while (td_helper_number(&r->fs, "held") < 1);
}

void bk_make_file_on_faultfs(struct bk_rig *r)
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
	bk_make_file(r, mount);
}

struct vfe_io *bk_serve(struct bk_rig *r, const char *path)
{
	static unsigned int n_disks;
	char params[256];

	snprintf(r->disk.name, sizeof(r->disk.name), "backing%u", n_disks++);
	snprintf(r->disk.socket, sizeof(r->disk.socket), "%s/%s.sock", fx_backend()->td.dir,
		 r->disk.name);
	snprintf(params, sizeof(params), "{\"name\":\"%s\",\"backend\":\"%s\",\"path\":\"%s\"}",
		 r->disk.name, td_kind_names[fx_kind()], path);
	FX_OK(td_rpc(&fx_backend()->td, "device.add", params, NULL));
	return fx_io(fx_open(&r->disk, NULL), 0, BK_DEPTH, 8192);
}

struct json_object *bk_show(const struct bk_rig *r, struct json_object **ret_store)
{
	struct json_object *disk = NULL;
	char params[64];

	snprintf(params, sizeof(params), "{\"name\":\"%s\"}", r->disk.name);
	FX_OK(td_rpc(&fx_backend()->td, "device.show", params, &disk));
	FX_ASSERT(json_object_object_get_ex(disk, "store", ret_store), "no store");
	return disk;
}

int64_t bk_number(struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) ? json_object_get_int64(value) : -1;
}

bool bk_shows(const struct bk_rig *r, const char *key, const char *text)
{
	struct json_object *store, *value = NULL, *disk = bk_show(r, &store);
	bool has = json_object_object_get_ex(disk, key, &value) &&
		   strcmp(json_object_get_string(value), text) == 0;

	json_object_put(disk);
	return has;
}

void bk_wait_shown(const struct bk_rig *r, const char *key, const char *text)
{
	int64_t deadline_ms = vfe_now_ms() + BK_PATIENCE_MS;

	while (!bk_shows(r, key, text)) {
		FX_ASSERT(vfe_now_ms() < deadline_ms, "%s is not %s", key, text);
		usleep(5000);
	}
}

int bk_status_of(struct vfe_io *io, bool write, uint64_t offset_bytes)
{
	uint8_t data[4096] = {0};

	return write ? vfe_write(io, offset_bytes / 512, data, sizeof(data))
		     : vfe_read(io, offset_bytes / 512, data, sizeof(data));
}

void bk_truncate_to(const struct bk_rig *r, uint64_t n_bytes)
{
	FX_ASSERT(truncate(r->path, (off_t)n_bytes) == 0, "%s: %d", r->path, errno);
}
