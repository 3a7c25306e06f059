/* SPDX-License-Identifier: BSD-3-Clause */
/* One set of disk operations over the control languages of the back ends. */
#include "td_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "td_rpc.h"

#define DEFAULT_BYTES (64ull << 20)

const char *const td_kind_names[] = {
	[TD_VHOSTD_AIO] = "aio",
	[TD_VHOSTD_URING] = "uring",
	[TD_VHOSTD_MALLOC] = "malloc",
	[TD_QSD] = "qsd",
};

int td_backend_start(struct td_backend *b, enum td_kind kind, const char *const *extra_argv)
{
	b->kind = kind;
	if (kind == TD_QSD)
		return td_start_qsd(&b->td, extra_argv);
	return td_start_vhostd(&b->td, extra_argv);
}

int td_backend_stop(struct td_backend *b)
{
	return td_stop(&b->td);
}

/* Call with formatted parameters; an error that the back end gives goes to standard error. */
static int call(struct td_backend *b, const char *method, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int call(struct td_backend *b, const char *method, const char *format, ...)
{
	struct json_object *object = NULL;
	char params[1024];
	va_list ap;
	int rc;

	va_start(ap, format);
	vsnprintf(params, sizeof(params), format, ap);
	va_end(ap);
	if (b->kind == TD_QSD)
		rc = td_qmp(&b->td, method, params, &object);
	else
		rc = td_rpc(&b->td, method, params, &object);
	if (rc)
		fprintf(stderr, "%s %s: %s: %s\n", method, params, strerror(-rc),
			object ? json_object_to_json_string(object) : "");
	json_object_put(object);
	return rc;
}

static int make_file(const struct td_disk *disk)
{
	int fd = open(disk->file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)disk->size_bytes) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int qsd_add(struct td_backend *b, struct td_disk *disk, const struct td_disk_opts *opts)
{
	const char *writable = opts->readonly ? "false" : "true";
	const char *readonly = opts->readonly ? "true" : "false";
	int rc;

	rc = call(b, "blockdev-add",
		  "{\"driver\":\"raw\",\"node-name\":\"n-%s\",\"read-only\":%s,"
		  "\"discard\":\"unmap\",\"cache\":{\"direct\":true},"
		  "\"file\":{\"driver\":\"file\",\"filename\":\"%s\",\"discard\":\"unmap\","
		  "\"cache\":{\"direct\":true}}}",
		  disk->name, readonly, disk->file);
	if (rc)
		return rc;
	return call(b, "block-export-add",
		    "{\"type\":\"vhost-user-blk\",\"id\":\"%s\",\"node-name\":\"n-%s\","
		    "\"addr\":{\"type\":\"unix\",\"path\":\"%s\"},\"writable\":%s,"
		    "\"num-queues\":%u,\"logical-block-size\":%u}",
		    disk->name, disk->name, disk->socket, writable,
		    opts->n_queues ? opts->n_queues : 1u,
		    opts->block_size ? opts->block_size : 512u);
}

static int vhostd_add(struct td_backend *b, struct td_disk *disk, const struct td_disk_opts *opts)
{
	char where[TD_PATH_MAX + 32];

	if (b->kind == TD_VHOSTD_MALLOC)
		snprintf(where, sizeof(where), "\"size\":%" PRIu64, disk->size_bytes);
	else
		snprintf(where, sizeof(where), "\"path\":\"%s\"", disk->file);
	return call(b, "device.add",
		    "{\"name\":\"%s\",\"backend\":\"%s\",%s,\"block_size\":%u,\"queues\":%u,"
		    "\"readonly\":%s,\"serial\":\"%s\",\"pin_memory\":%s}",
		    disk->name, td_kind_names[b->kind], where,
		    opts->block_size ? opts->block_size : 512u,
		    opts->n_queues ? opts->n_queues : 1u, opts->readonly ? "true" : "false",
		    opts->serial ? opts->serial : "", opts->pin_memory ? "true" : "false");
}

int td_disk_add(struct td_backend *b, struct td_disk *ret_disk, const char *name,
		const struct td_disk_opts *opts)
{
	struct td_disk disk = {.size_bytes = opts->size_bytes ? opts->size_bytes : DEFAULT_BYTES};
	int rc = 0;

	snprintf(disk.name, sizeof(disk.name), "%s", name);
	snprintf(disk.socket, sizeof(disk.socket), "%s/%s.sock", b->td.dir, name);
	if (b->kind != TD_VHOSTD_MALLOC) {
		snprintf(disk.file, sizeof(disk.file), "%s/%s.img", b->td.dir, name);
		rc = make_file(&disk);
	}
	if (!rc)
		rc = b->kind == TD_QSD ? qsd_add(b, &disk, opts) : vhostd_add(b, &disk, opts);
	if (!rc)
		*ret_disk = disk;
	return rc;
}

int td_disk_del(struct td_backend *b, const struct td_disk *disk, bool force)
{
	int rc;

	if (b->kind != TD_QSD)
		return call(b, "device.del", "{\"name\":\"%s\",\"force\":%s}", disk->name,
			    force ? "true" : "false");
	rc = call(b, "block-export-del", "{\"id\":\"%s\",\"mode\":\"%s\"}", disk->name,
		  force ? "hard" : "safe");
	return rc ? rc : call(b, "blockdev-del", "{\"node-name\":\"n-%s\"}", disk->name);
}

int td_disk_resize(struct td_backend *b, struct td_disk *disk, uint64_t size_bytes)
{
	int rc;

	if (b->kind == TD_QSD)
		rc = call(b, "block_resize", "{\"node-name\":\"n-%s\",\"size\":%" PRIu64 "}",
			  disk->name, size_bytes);
	else
		rc = call(b, "device.resize", "{\"name\":\"%s\",\"size\":%" PRIu64 "}", disk->name,
			  size_bytes);
	if (!rc)
		disk->size_bytes = size_bytes;
	return rc;
}

int td_disk_shrink(struct td_backend *b, struct td_disk *disk, uint64_t size_bytes)
{
	int rc = call(b, "device.resize", "{\"name\":\"%s\",\"size\":%" PRIu64 ",\"shrink\":true}",
		      disk->name, size_bytes);

	if (!rc)
		disk->size_bytes = size_bytes;
	return rc;
}

int td_disk_peek(const struct td_disk *disk, uint64_t offset, void *ret_data, size_t n_bytes)
{
	ssize_t n;
	int fd;

	if (!disk->file[0])
		return -ENOTSUP;
	fd = open(disk->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = pread(fd, ret_data, n_bytes, (off_t)offset);
	close(fd);
	return n == (ssize_t)n_bytes ? 0 : -EIO;
}
