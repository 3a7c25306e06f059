/* SPDX-License-Identifier: BSD-3-Clause */
/* A list of writes and fallocates, oldest first; a file is known by its inode. */
#include "write_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cached {
	ino_t inode;
	off_t offset;
	size_t n_bytes;
	int zero_mode; /* of fallocate(): it leaves zeroes; 0: a write of `data` */
	struct cached *next;
	char data[];
};

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

void write_cache_init(struct write_cache *cache)
{
	*cache = (struct write_cache){.first = NULL};
	cache->tail = &cache->first;
}

/* At the end of the list, with room for n_data bytes; NULL: it goes past the cache. */
static struct cached *append(struct write_cache *cache, int fd, size_t n_data, size_t n_bytes,
			     off_t offset)
{
	struct cached *c;
	struct stat st;

	if (!cache->on || fstat(fd, &st) || offset + (off_t)n_bytes > st.st_size)
		return NULL;
	c = malloc(sizeof(*c) + n_data);
	if (!c)
		return NULL;
	*c = (struct cached){.inode = st.st_ino, .offset = offset, .n_bytes = n_bytes};
	*cache->tail = c;
	cache->tail = &c->next;
	return c;
}

/* The part of it that lies in n_bytes at offset: its length, and where it begins. */
static size_t common(const struct cached *c, size_t n_bytes, off_t offset, off_t *ret_from)
{
	off_t end = offset + (off_t)n_bytes, c_end = c->offset + (off_t)c->n_bytes;
	off_t from = c->offset > offset ? c->offset : offset;
	off_t to = c_end < end ? c_end : end;

	*ret_from = from;
	return from < to ? (size_t)(to - from) : 0;
}

static bool has_any(const struct write_cache *cache, int fd, size_t n_bytes, off_t offset)
{
	ino_t inode = cache->first ? inode_of(fd) : 0;
	off_t from;

	for (const struct cached *c = cache->first; c; c = c->next) {
		if (c->inode == inode && common(c, n_bytes, offset, &from) > 0)
			return true;
	}
	return false;
}

int write_cache_write(struct write_cache *cache, int fd, const void *data, size_t n_bytes,
		      off_t offset, bool stable)
{
	struct cached *c = NULL;
	ssize_t n;

	/* Over older bytes in the cache a stable write is the newer one there, too. */
	if (!stable || has_any(cache, fd, n_bytes, offset))
		c = append(cache, fd, n_bytes, n_bytes, offset);
	if (c)
		memcpy(c->data, data, n_bytes);
	if (c && !stable)
		return (int)n_bytes;
	n = pwrite(fd, data, n_bytes, offset);
	return n < 0 ? -errno : (int)n;
}

int write_cache_allocate(struct write_cache *cache, int fd, int mode, off_t n_bytes, off_t offset)
{
	struct cached *c = NULL;
	int rc;

	if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
	    mode == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE))
		c = append(cache, fd, 0, (size_t)n_bytes, offset);
	if (c) {
		c->zero_mode = mode;
		return 0;
	}
	rc = write_cache_flush(cache, fd);
	return rc || fallocate(fd, mode, offset, n_bytes) == 0 ? rc : -errno;
}

void write_cache_overlay(const struct write_cache *cache, int fd, void *data, size_t n_bytes,
			 off_t offset)
{
	ino_t inode = cache->first ? inode_of(fd) : 0;

	for (const struct cached *c = cache->first; c; c = c->next) {
		off_t from;
		size_t n = c->inode == inode ? common(c, n_bytes, offset, &from) : 0;

		if (n > 0 && c->zero_mode)
			memset((char *)data + (from - offset), 0, n);
		else if (n > 0)
			memcpy((char *)data + (from - offset), c->data + (from - c->offset), n);
	}
}

static int write_one(int fd, const struct cached *c)
{
	ssize_t n;

	if (c->zero_mode)
		return fallocate(fd, c->zero_mode, c->offset, (off_t)c->n_bytes) ? -errno : 0;
	n = pwrite(fd, c->data, c->n_bytes, c->offset);
	if (n < 0)
		return -errno;
	return (size_t)n == c->n_bytes ? 0 : -EIO;
}

int write_cache_flush(struct write_cache *cache, int fd)
{
	struct cached **link = &cache->first, *c;
	ino_t inode = inode_of(fd);
	int rc = 0, ret;

	while ((c = *link)) {
		if (c->inode != inode) {
			link = &c->next;
			continue;
		}
		ret = write_one(fd, c);
		rc = ret ? ret : rc;
		*link = c->next;
		free(c);
	}
	cache->tail = link;
	return rc;
}

void write_cache_flush_all(struct write_cache *cache, int dir_fd)
{
	DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		int fd = openat(dir_fd, entry->d_name, O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		write_cache_flush(cache, fd);
		close(fd);
	}
	if (dir)
		closedir(dir);
	write_cache_drop(cache); /* of files that were unlinked */
}

void write_cache_drop(struct write_cache *cache)
{
	struct cached *c;

	while ((c = cache->first)) {
		cache->first = c->next;
		free(c);
	}
	cache->tail = &cache->first;
}
