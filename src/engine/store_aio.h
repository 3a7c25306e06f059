/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The two rooms of the aio store: store_aio.c opens and closes files, store_aio_channel.c is the
 * data path.
 */
#ifndef ENGINE_STORE_AIO_H
#define ENGINE_STORE_AIO_H

#include "engine/offload.h"
#include "engine/store_kinds.h"

struct aio_store {
	struct store base;
	int fd;
	bool is_block_device;
	bool direct;               /* O_DIRECT; else everything goes to the helpers */
	uint32_t block_size_bytes; /* the guest's */
	uint32_t memory_alignment; /* of buffers, for O_DIRECT */
	uint32_t offset_alignment; /* of lengths and offsets */
	atomic_bool nowait;        /* RWF_NOWAIT works here; lcores switch it off */
	struct offload_group offload;
};

int aio_channel_open(struct store *store, struct store_channel **ret_channel, struct error *err);
void aio_channel_close(struct store_channel *channel);
void aio_submit(struct store_channel *channel, struct store_io **ios, unsigned int n_ios);
unsigned int aio_reap(struct store_channel *channel, struct store_io **ret_ios, unsigned int n_max);

/** The blocking way to do what `op` says; 0 or -errno. For helpers. */
int aio_discard(const struct aio_store *store, uint64_t offset, uint64_t n_bytes) IN_JOB;
int aio_write_zeroes(const struct aio_store *store, uint64_t offset, uint64_t n_bytes,
		     bool unmap) IN_JOB;

#endif
