/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A file or block device as a store: what the kinds `aio` and `uring` have in common but for their
 * data path. store_file.c opens and closes, store_file_calls.c does what may block.
 */
#ifndef ENGINE_STORE_FILE_H
#define ENGINE_STORE_FILE_H

#include "engine/offload.h"
#include "engine/store_kinds.h"

#define FILE_IOV_MAX 1024 /* pieces at once: UIO_MAXIOV */

struct file_store {
	struct store base;
	int fd;
	bool is_block_device;
	bool direct;               /* O_DIRECT; else helpers read and write */
	uint32_t block_size_bytes; /* the guest's */
	uint32_t memory_alignment; /* of buffers, for O_DIRECT */
	uint32_t offset_alignment; /* of lengths and offsets */
	struct uring_settings uring;
	bool in_memory; /* tmpfs: no RWF_NOWAIT, and nothing to wait for */
	/* Without O_DIRECT: -errno of the first flush that failed, for all that follow. The kernel
	 * tells only once of pages that it could not write. */
	atomic_int flush_failed;
	struct offload_group offload;
};

/** Opens params->path as a store of that kind. 0, or -1 with *err set. */
int file_open(const struct store_params *params, const struct store_ops *ops,
	      struct store **ret_store, struct error *err) IN_JOB;

/** Has the kernel make what it makes at a file system's first asynchronous direct I/O: a workqueue,
 *  whose maker sleeps, RWF_NOWAIT or not (for reads, too, in Linux 6.18, for writes only in 6.1).
 *  Nothing is read or written; a block of a file without any may be allocated. In store_aio.c. */
void file_first_io(const struct file_store *store) IN_JOB;

/** A number in the folder `queue` of the block device in /sys; 0: there is none, or that. */
uint64_t file_device_limit(const struct file_store *store, const char *name) IN_JOB;

/* As of struct store_ops. */
void file_close(struct store *store);
int file_real_size(struct store *store, uint64_t *ret_bytes);
int file_resize(struct store *store, uint64_t size_bytes, bool shrink, struct error *err);

/** May the kernel work on the guest's pages as they are? */
static inline bool file_is_aligned(const struct file_store *s, const struct store_io *io)
{
	size_t lengths = 0;

	if (io->n_iov > FILE_IOV_MAX)
		return false;
	for (unsigned int i = 0; i < io->n_iov; i++) {
		if ((uintptr_t)io->iov[i].iov_base & (s->memory_alignment - 1))
			return false;
		lengths |= io->iov[i].iov_len;
	}
	return (lengths & (s->offset_alignment - 1)) == 0;
}

/** READ or WRITE of these pieces at `offset`, waiting as long as it takes; bytes done or -errno. */
int file_rw(struct file_store *store, const struct store_io *io, const struct iovec *iov,
	    unsigned int n_iov, uint64_t offset) IN_JOB;

/** FLUSH, DISCARD or WRITE_ZEROES, waiting as long as it takes; 0 or -errno. */
int file_range(struct file_store *store, const struct store_io *io) IN_JOB;

#endif
