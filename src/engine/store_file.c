/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Opening, closing and resizing a file or block device. All of it runs in a JOB.
 */
#include "engine/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/image_lock.h"

#define PROBE_BYTES 4096u

static int check_kind(const struct store_params *p, const struct stat *st, struct error *err)
{
	const char *what;

	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	what = S_ISDIR(st->st_mode)    ? "a directory"
	       : S_ISFIFO(st->st_mode) ? "a FIFO"
	       : S_ISCHR(st->st_mode)  ? "a character device"
				       : "a socket";
	return error_set(err, VHOSTD_ERR_STORE,
			 "path: %s is %s; a regular file or a block device is right", p->path,
			 what);
}

/* A FIFO or a device may block in open(): look first, and open without waiting. */
static int open_fd(const struct store_params *p, struct file_store *s, struct error *err)
{
	int flags = (p->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
	struct stat st;

	if (stat(p->path, &st))
		return error_set(err, VHOSTD_ERR_STORE, "path: %s: %s", p->path, strerror(errno));
	if (check_kind(p, &st, err))
		return -1;
	s->is_block_device = S_ISBLK(st.st_mode);
	if (s->is_block_device && !p->readonly)
		flags |= O_EXCL;
	s->direct = true;
	s->fd = open(p->path, flags | O_DIRECT);
	if (s->fd < 0 && errno == EINVAL) {
		s->direct = false;
		s->fd = open(p->path, flags);
	}
	if (s->fd < 0 && errno == EBUSY)
		return error_set(err, VHOSTD_ERR_IN_USE,
				 "path: %s is in use (mounted, or opened exclusively by somebody)",
				 p->path);
	if (s->fd < 0)
		return error_set(err, VHOSTD_ERR_STORE, "path: %s: %s", p->path, strerror(errno));
	/* The path may lead elsewhere by now. */
	if (fstat(s->fd, &st) || check_kind(p, &st, err) ||
	    s->is_block_device != S_ISBLK(st.st_mode)) {
		close(s->fd);
		return err->code != VHOSTD_ERR_OK
			       ? -1
			       : error_set(err, VHOSTD_ERR_STORE,
					   "path: %s has changed while it was opened; try again",
					   p->path);
	}
	return 0;
}

/* The kernel opens a read-only device for writing, and lets the writes fail. */
static int check_writable(const struct store_params *p, const struct file_store *s,
			  struct error *err)
{
	int readonly = 0;

	if (!s->is_block_device || p->readonly || ioctl(s->fd, BLKROGET, &readonly) || !readonly)
		return 0;
	return error_set(err, VHOSTD_ERR_STORE, "path: %s is a read-only device; use readonly",
			 p->path);
}

static bool is_in_memory(const struct file_store *s)
{
	struct statfs fs;

	return !s->is_block_device && fstatfs(s->fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static int lock_image(const struct store_params *p, const struct file_store *s, struct error *err)
{
	int ret = image_lock(s->fd, !p->readonly);

	if (ret == -EAGAIN)
		return error_set(err, VHOSTD_ERR_IN_USE,
				 "path: %s is in use by another disk or program (image lock); one "
				 "writer, or any number of readers, may have it",
				 p->path);
	if (ret && ret != -EOPNOTSUPP && ret != -ENOLCK)
		return error_set(err, VHOSTD_ERR_STORE, "path: %s: image lock: %s", p->path,
				 strerror(-ret));
	if (ret)
		log_warning(p->name, "%s: the file system has no locks: nothing keeps others out",
			    p->path);
	return 0;
}

int file_real_size(struct store *store, uint64_t *ret_bytes)
{
	const struct file_store *s = (const struct file_store *)store;
	struct stat st;

	if (s->is_block_device)
		return ioctl(s->fd, BLKGETSIZE64, ret_bytes) ? -errno : 0;
	if (fstat(s->fd, &st))
		return -errno;
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

/* The same; 0 and *err on failure. */
static uint64_t read_size(struct file_store *s, struct error *err)
{
	uint64_t n_bytes = 0;
	int ret = file_real_size(&s->base, &n_bytes);

	if (ret)
		error_set(err, VHOSTD_ERR_STORE, "path: can't read the size: %s", strerror(-ret));
	return n_bytes;
}

/* Can n_bytes be read at offset 0 into a buffer at this address? */
static bool probe_read(const struct file_store *s, void *buf, size_t n_bytes)
{
	return pread(s->fd, buf, n_bytes, 0) >= 0 || errno != EINVAL;
}

/* What the kernel says (STATX_DIOALIGN), or what a trial read shows. */
static void find_alignment(struct file_store *s)
{
	uint8_t *buf = aligned_alloc(2 * PROBE_BYTES, 2 * PROBE_BYTES);

	s->memory_alignment = PROBE_BYTES;
	s->offset_alignment = PROBE_BYTES;
#ifdef STATX_DIOALIGN
	struct statx stx = {0};

	if (syscall(SYS_statx, s->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_mem_align) {
		s->memory_alignment = stx.stx_dio_mem_align;
		s->offset_alignment = stx.stx_dio_offset_align;
		free(buf);
		return;
	}
#endif
	if (buf && probe_read(s, buf, SECTOR_BYTES_MIN))
		s->offset_alignment = SECTOR_BYTES_MIN;
	if (buf && probe_read(s, buf + SECTOR_BYTES_MIN, PROBE_BYTES))
		s->memory_alignment = SECTOR_BYTES_MIN;
	free(buf);
}

/* A number of the device's queue, or, for a partition, of the whole device's. */
uint64_t file_device_limit(const struct file_store *s, const char *name)
{
	static const char *const queues[] = {"queue", "../queue"};
	char path[128], text[32] = "";
	struct stat st;
	ssize_t n = 0;

	if (fstat(s->fd, &st))
		return 0;
	for (unsigned int i = 0; i < ARRAY_LEN(queues) && n <= 0; i++) {
		int fd;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", major(st.st_rdev),
			 minor(st.st_rdev), queues[i], name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	return n > 0 ? strtoull(text, NULL, 10) : 0;
}

/* The device's longest range of an operation, in whole granules, and no longer than anybody's; 0:
 * it has no such operation. */
static uint64_t find_range_limit(const struct file_store *s, const char *name,
				 uint32_t granule) IN_JOB
{
	uint64_t max_bytes = file_device_limit(s, name);

	if (max_bytes > STORE_RANGE_MAX_BYTES)
		max_bytes = STORE_RANGE_MAX_BYTES;
	return granule > 0 && max_bytes > granule ? max_bytes - max_bytes % granule : max_bytes;
}

/* Zeroes the kernel writes where the device has no operation for it: any number at a time. */
static void find_device_caps(const struct file_store *s, struct store_caps *caps) IN_JOB
{
	uint32_t granule = (uint32_t)file_device_limit(s, "discard_granularity");
	uint64_t zeroes = find_range_limit(s, "write_zeroes_max_bytes", granule);

	caps->discard_granularity_bytes = granule;
	caps->discard_max_bytes = find_range_limit(s, "discard_max_bytes", granule);
	caps->discard = caps->discard && caps->discard_max_bytes > 0;
	if (zeroes > 0)
		caps->write_zeroes_max_bytes = zeroes;
}

static void find_caps(struct file_store *s, bool readonly) IN_JOB
{
	struct store_caps *caps = &s->base.caps;
	struct stat st;

	*caps = (struct store_caps){
		.block_size_bytes = s->direct ? s->offset_alignment : SECTOR_BYTES_MIN,
		.readonly = readonly,
		.volatile_cache = true,
		.discard = !readonly,
		.write_zeroes = !readonly,
		.discard_granularity_bytes = PROBE_BYTES,
		.discard_max_bytes = STORE_RANGE_MAX_BYTES,
		.write_zeroes_max_bytes = STORE_RANGE_MAX_BYTES,
	};
	if (caps->block_size_bytes < SECTOR_BYTES_MIN)
		caps->block_size_bytes = SECTOR_BYTES_MIN;
	if (s->is_block_device)
		find_device_caps(s, caps);
	else if (fstat(s->fd, &st) == 0 && st.st_blksize > 0)
		caps->discard_granularity_bytes = (uint32_t)st.st_blksize;
}

/* How much of the file the disk is. */
static int find_capacity(struct file_store *s, const struct store_params *p, struct error *err)
{
	uint64_t file = read_size(s, err), wanted = p->size_bytes ? p->size_bytes : file;
	uint64_t capacity = wanted / s->block_size_bytes * s->block_size_bytes;

	if (err->code != VHOSTD_ERR_OK)
		return -1;
	if (wanted > file)
		return error_set(
			err, VHOSTD_ERR_STORE,
			"size: %llu is more than %s has (%llu bytes); leave size out, or make "
			"the file larger first",
			(unsigned long long)wanted, p->path, (unsigned long long)file);
	if (capacity == 0)
		return error_set(
			err, VHOSTD_ERR_STORE,
			"path: %s has %llu bytes, less than one block of %u; make it larger "
			"first (truncate -s 10G)",
			p->path, (unsigned long long)file, s->block_size_bytes);
	if (capacity != wanted)
		log_warning(p->name,
			    "%s: %llu bytes are no whole number of blocks of %u; the last "
			    "%llu are left out",
			    p->path, (unsigned long long)wanted, s->block_size_bytes,
			    (unsigned long long)(wanted - capacity));
	atomic_store_explicit(&s->base.capacity_bytes, capacity, memory_order_relaxed);
	return 0;
}

static int check_block_size(const struct file_store *s, const struct store_params *p,
			    struct error *err)
{
	if (p->block_size_bytes >= s->base.caps.block_size_bytes)
		return 0;
	return error_set(err, VHOSTD_ERR_PARAMS,
			 "block_size: %u is less than the %u that %s takes; use block_size %u",
			 p->block_size_bytes, s->base.caps.block_size_bytes, p->path,
			 s->base.caps.block_size_bytes);
}

int file_open(const struct store_params *p, const struct store_ops *ops, struct store **ret_store,
	      struct error *err)
{
	struct file_store *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set(err, VHOSTD_ERR_STORE, "out of memory");
	s->base.ops = ops;
	s->block_size_bytes = p->block_size_bytes;
	s->uring = p->uring;
	offload_group_init(&s->offload, p->offload);
	if (open_fd(p, s, err))
		goto free_store;
	if (check_writable(p, s, err) || lock_image(p, s, err))
		goto close_fd;
	s->in_memory = is_in_memory(s);
	if (s->direct)
		find_alignment(s);
	else
		log_warning(p->name,
			    "%s: the file system has no O_DIRECT: I/O goes through the "
			    "page cache and helper threads",
			    p->path);
	find_caps(s, p->readonly);
	if (check_block_size(s, p, err) || find_capacity(s, p, err))
		goto close_fd;
	if (s->direct && !s->is_block_device && !s->in_memory)
		file_first_io(s);
	*ret_store = &s->base;
	return 0;

close_fd:
	close(s->fd);
free_store:
	free(s);
	return -1;
}

void file_close(struct store *store)
{
	struct file_store *s = (struct file_store *)store;

	close(s->fd);
	free(s);
}

int file_resize(struct store *store, uint64_t size_bytes, bool shrink, struct error *err)
{
	struct file_store *s = (struct file_store *)store;
	uint64_t file = read_size(s, err), size;

	if (err->code != VHOSTD_ERR_OK)
		return -1;
	size = (size_bytes ? size_bytes : file) / s->block_size_bytes * s->block_size_bytes;
	if (store_check_shrink(store, size, shrink, err))
		return -1;
	if (size > file && s->is_block_device)
		return error_set(err, VHOSTD_ERR_STORE,
				 "size: %llu is more than the block device has (%llu)",
				 (unsigned long long)size, (unsigned long long)file);
	if (size > file && store->caps.readonly)
		return error_set(err, VHOSTD_ERR_STORE,
				 "size: %llu is more than the file has (%llu), and the disk is "
				 "readonly; make the file larger first",
				 (unsigned long long)size, (unsigned long long)file);
	if (size > file && ftruncate(s->fd, (off_t)size))
		return error_set(err, VHOSTD_ERR_STORE, "size: the file can't grow to %llu: %s",
				 (unsigned long long)size, strerror(errno));
	atomic_store_explicit(&store->capacity_bytes, size, memory_order_release);
	return 0;
}
