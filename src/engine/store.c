/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/store_kinds.h"

static const struct store_ops *const kinds[STORE_N_KINDS] = {
	[STORE_KIND_AUTO] = &store_auto_ops,   [STORE_KIND_AIO] = &store_aio_ops,
	[STORE_KIND_URING] = &store_uring_ops, [STORE_KIND_MALLOC] = &store_malloc_ops,
	[STORE_KIND_NULL] = &store_null_ops,
};

static const char *const names[STORE_N_KINDS] = {
#define STORE_KIND_NAME(id, name) name,
	STORE_KINDS(STORE_KIND_NAME)
#undef STORE_KIND_NAME
};

const char *store_kind_name(enum store_kind kind)
{
	return kind < STORE_N_KINDS ? names[kind] : "?";
}

int store_kind_parse(const char *name, enum store_kind *ret_kind)
{
	for (unsigned int i = 0; i < STORE_N_KINDS; i++) {
		if (strcmp(names[i], name) == 0) {
			*ret_kind = (enum store_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

int store_open(const struct store_params *params, struct store **ret_store, struct error *err)
{
	struct store *store;

	if (kinds[params->kind]->open(params, &store, err))
		return -1;
	if (!store->ops->use_pinned)
		store->no_pinned = "only the uring store has a use for it";
	if (!store->why[0])
		snprintf(store->why, sizeof(store->why), "it was asked for");
	*ret_store = store;
	return 0;
}

void store_close(struct store *store)
{
	store->ops->close(store);
}

int store_resize(struct store *store, uint64_t size_bytes, bool shrink, struct error *err)
{
	return store->ops->resize(store, size_bytes, shrink, err);
}

int store_check_shrink(const struct store *store, uint64_t size_bytes, bool shrink,
		       struct error *err)
{
	uint64_t old = atomic_load_explicit(&store->capacity_bytes, memory_order_relaxed);

	if (size_bytes == 0)
		return error_set(err, VHOSTD_ERR_PARAMS, "size: less than one block is no size");
	if (size_bytes >= old || shrink)
		return 0;
	return error_set(
		err, VHOSTD_ERR_PARAMS,
		"size: %llu is less than the disk has (%llu); shrink (--shrink) allows it, "
		"and what lies behind the new end is lost to the guest",
		(unsigned long long)size_bytes, (unsigned long long)old);
}

int store_real_size(struct store *store, uint64_t *ret_bytes)
{
	if (store->ops->real_size)
		return store->ops->real_size(store, ret_bytes);
	*ret_bytes = atomic_load_explicit(&store->capacity_bytes, memory_order_relaxed);
	return 0;
}

void store_count_error(struct store *store, int result)
{
	unsigned int number = (unsigned int)-result;

	atomic_fetch_add_explicit(&store->n_errors_by_errno[number <= STORE_ERRNO_MAX ? number : 0],
				  1, memory_order_relaxed);
	atomic_fetch_add_explicit(&store->n_errors, 1, memory_order_relaxed);
}

const char *store_errno_name(int number)
{
	const char *name = number ? strerrorname_np(number) : NULL;

	return name ? name : "other";
}

int store_channel_open(struct store *store, struct doorbell *doorbell,
		       struct store_channel **ret_channel, struct error *err)
{
	if (store->ops->channel_open(store, doorbell, ret_channel, err))
		return -1;
	(*ret_channel)->store = store;
	(*ret_channel)->doorbell = doorbell;
	return 0;
}

void store_channel_close(struct store_channel *channel)
{
	channel->store->ops->channel_close(channel);
}

int store_use_pinned(struct store_channel *channel, const struct pinned *pinned)
{
	const struct store_ops *ops = channel->store->ops;

	return ops->use_pinned ? ops->use_pinned(channel, pinned) : -EOPNOTSUPP;
}

void store_io_copy(struct store_io *io, void *buf, size_t n_bytes, bool to_iov)
{
	uint8_t *at = buf;

	while (n_bytes > 0) {
		size_t n = io->iov->iov_len < n_bytes ? io->iov->iov_len : n_bytes;

		if (to_iov)
			memcpy(io->iov->iov_base, at, n);
		else
			memcpy(at, io->iov->iov_base, n);
		at += n;
		n_bytes -= n;
		store_io_advance(io, n);
	}
}
