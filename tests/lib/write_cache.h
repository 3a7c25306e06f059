/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A volatile write cache for faultfs: writes to files of one directory, and holes punched into
 * them, in memory until they are flushed, or lost. The caller has a lock.
 */
#ifndef WRITE_CACHE_H
#define WRITE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct cached;

struct write_cache {
	bool on; /* the caller's: keep writes from now on */
	struct cached *first, **tail;
};

void write_cache_init(struct write_cache *cache);

/* Keeps a write, or makes it, when the cache is off or the file would grow. A stable one (of
 * O_DSYNC) is made at once; older ones of the same bytes stay where they are. Bytes or -errno. */
int write_cache_write(struct write_cache *cache, int fd, const void *data, size_t n_bytes,
		      off_t offset, bool stable);

/* The same for fallocate(): punching a hole and zeroing are kept; any other mode is done at once,
 * after what the cache has of the file. 0 or -errno. */
int write_cache_allocate(struct write_cache *cache, int fd, int mode, off_t n_bytes, off_t offset);

/* Lays what the cache has over what was read from the file. */
void write_cache_overlay(const struct write_cache *cache, int fd, void *data, size_t n_bytes,
			 off_t offset);

/* Writes out what it has of a file. 0 or -errno of the last write that failed. */
int write_cache_flush(struct write_cache *cache, int fd);

/* The same for every file of the directory. */
void write_cache_flush_all(struct write_cache *cache, int dir_fd);

/* Forgets everything. */
void write_cache_drop(struct write_cache *cache);

#endif
