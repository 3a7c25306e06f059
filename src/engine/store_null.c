/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A store for measuring everything but the store: each operation succeeds at once, reads leave the
 * buffers as they are.
 */
#include <stdlib.h>

#include "engine/store_kinds.h"

struct null_store {
	struct store base;
	uint32_t block_size_bytes;
};

struct null_channel {
	struct store_channel base;
	struct io_fifo ended;
};

static int null_open(const struct store_params *params, struct store **ret_store, struct error *err)
{
	struct null_store *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set(err, VHOSTD_ERR_STORE, "out of memory");
	s->base.ops = &store_null_ops;
	s->block_size_bytes = params->block_size_bytes;
	s->base.caps = (struct store_caps){
		.block_size_bytes = SECTOR_BYTES_MIN,
		.discard = true,
		.write_zeroes = true,
		.discard_granularity_bytes = SECTOR_BYTES_MIN,
		.discard_max_bytes = STORE_RANGE_MAX_BYTES,
		.write_zeroes_max_bytes = STORE_RANGE_MAX_BYTES,
	};
	atomic_init(&s->base.capacity_bytes,
		    params->size_bytes / params->block_size_bytes * params->block_size_bytes);
	*ret_store = &s->base;
	return 0;
}

static void null_close(struct store *store)
{
	free(store);
}

static int null_resize(struct store *store, uint64_t size_bytes, bool shrink, struct error *err)
{
	const struct null_store *s = (const struct null_store *)store;
	uint64_t size = size_bytes / s->block_size_bytes * s->block_size_bytes;

	if (size_bytes == 0)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "size: a null disk has no file to take its size from: give one");
	if (store_check_shrink(store, size, shrink, err))
		return -1;
	atomic_store_explicit(&store->capacity_bytes, size, memory_order_release);
	return 0;
}

static int null_channel_open(struct store *store, struct doorbell *doorbell,
			     struct store_channel **ret_channel, struct error *err)
{
	struct null_channel *channel = calloc(1, sizeof(*channel));

	(void)store;
	(void)doorbell;
	if (!channel)
		return error_set(err, VHOSTD_ERR_STORE, "out of memory");
	*ret_channel = &channel->base;
	return 0;
}

static void null_channel_close(struct store_channel *channel)
{
	free(channel);
}

static void null_submit(struct store_channel *channel, struct store_io **ios, unsigned int n_ios)
{
	struct null_channel *ch = (struct null_channel *)channel;

	for (unsigned int i = 0; i < n_ios; i++) {
		ios[i]->result = 0;
		io_fifo_put(&ch->ended, ios[i]);
	}
}

static unsigned int null_reap(struct store_channel *channel, struct store_io **ret_ios,
			      unsigned int n_max)
{
	struct null_channel *ch = (struct null_channel *)channel;
	unsigned int n = 0;

	while (n < n_max && ch->ended.head)
		ret_ios[n++] = io_fifo_get(&ch->ended);
	return n;
}

const struct store_ops store_null_ops = {
	.kind = STORE_KIND_NULL,
	.open = null_open,
	.close = null_close,
	.resize = null_resize,
	.channel_open = null_channel_open,
	.channel_close = null_channel_close,
	.submit = null_submit,
	.reap = null_reap,
};
