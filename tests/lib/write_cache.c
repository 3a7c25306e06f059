/* SPDX-License-Identifier: BSD-3-Clause */
/* A list of writes, oldest first; a file is known by its inode. */
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

bool write_cache_keep(struct write_cache *cache, int fd, const void *data, size_t n_bytes,
		      off_t offset)
{
	struct cached *c;
	struct stat st;

	if (!cache->on || fstat(fd, &st) || offset + (off_t)n_bytes > st.st_size)
		return false;
	c = malloc(sizeof(*c) + n_bytes);
	if (!c)
		return false;
	*c = (struct cached){.inode = st.st_ino, .offset = offset, .n_bytes = n_bytes};
	memcpy(c->data, data, n_bytes);
	*cache->tail = c;
	cache->tail = &c->next;
	return true;
}

void write_cache_overlay(const struct write_cache *cache, int fd, void *data, size_t n_bytes,
			 off_t offset)
{
	ino_t inode = cache->first ? inode_of(fd) : 0;
	off_t end = offset + (off_t)n_bytes;

	for (const struct cached *c = cache->first; c; c = c->next) {
		off_t c_end = c->offset + (off_t)c->n_bytes;
		off_t from = c->offset > offset ? c->offset : offset;
		off_t to = c_end < end ? c_end : end;

		if (c->inode == inode && from < to)
			memcpy((char *)data + (from - offset), c->data + (from - c->offset),
			       (size_t)(to - from));
	}
}

static int write_one(int fd, const struct cached *c)
{
	ssize_t n = pwrite(fd, c->data, c->n_bytes, c->offset);

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
