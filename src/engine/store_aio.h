/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The two rooms of the aio store: store_aio.c opens and closes files, store_aio_channel.c is the
 * data path.
 */
#ifndef ENGINE_STORE_AIO_H
#define ENGINE_STORE_AIO_H

#include "engine/offload.h"
#include "engine/store_kinds.h"

#define AIO_IOV_MAX 1024 /* pieces at once: UIO_MAXIOV */

struct aio_store {
	struct store base;
	int fd;
	bool is_block_device;
	bool direct;               /* O_DIRECT; else helpers do everything */
	uint32_t block_size_bytes; /* the guest's */
	uint32_t memory_alignment; /* of buffers, for O_DIRECT */
	uint32_t offset_alignment; /* of lengths and offsets */
	bool in_memory;            /* tmpfs: no RWF_NOWAIT, and nothing to wait for */
	atomic_bool nowait;        /* RWF_NOWAIT works, else helpers read and write; lcores
				    * switch it off */
	struct offload_group offload;
};

int aio_channel_open(struct store *store, struct doorbell *doorbell,
		     struct store_channel **ret_channel, struct error *err);
void aio_channel_close(struct store_channel *channel);
void aio_submit(struct store_channel *channel, struct store_io **ios, unsigned int n_ios);
unsigned int aio_reap(struct store_channel *channel, struct store_io **ret_ios, unsigned int n_max);

/** May the kernel work on the guest's pages as they are? */
static inline bool aio_is_aligned(const struct aio_store *s, const struct store_io *io)
{
	size_t lengths = 0;

	if (io->n_iov > AIO_IOV_MAX)
		return false;
	for (unsigned int i = 0; i < io->n_iov; i++) {
		if ((uintptr_t)io->iov[i].iov_base & (s->memory_alignment - 1))
			return false;
		lengths |= io->iov[i].iov_len;
	}
	return (lengths & (s->offset_alignment - 1)) == 0;
}

/** READ or WRITE of these pieces at `offset`, waiting as long as it takes; bytes done or -errno. */
int aio_do_rw(const struct aio_store *store, const struct store_io *io, const struct iovec *iov,
	      unsigned int n_iov, uint64_t offset) IN_JOB;

/** FLUSH, DISCARD or WRITE_ZEROES, waiting as long as it takes; 0 or -errno. */
int aio_do_range(const struct aio_store *store, const struct store_io *io) IN_JOB;

#endif
