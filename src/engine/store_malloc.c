/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A disk in memory: a memfd, mapped once into address space that was reserved for growth, so that
 * it never moves under an lcore. An lcore copies at most TURN_BYTES for each reap, and begins no
 * piece after TURN_US (pages that were never touched take many times as long), so that large
 * requests don't hold up other devices; large discards go to a helper. There is nothing behind it
 * that a flush could reach: FLUSH succeeds at once, and nothing outlives the daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unmap.h"
#include "engine/lcore.h"
#include "engine/offload.h"
#include "engine/store_kinds.h"
#include "engine/turn.h"

#define TURN_BYTES   (64u << 10)
#define TURN_US      25
#define PIECE_BYTES  (16u << 10) /* copied between two looks at the clock */
#define AHEAD_BYTES  512u        /* of the next piece, had come into the cache meanwhile */
#define PUNCH_BYTES  (1u << 20)
#define RESERVED_MIN (64ull << 30)
#define GROWTH       4 /* times the first size that may be reached at least */
#define BLOCK_BYTES  4096u

struct malloc_store {
	struct store base;
	int fd;
	uint8_t *memory;
	uint64_t reserved_bytes;
	uint64_t mapped_bytes; /* the largest capacity so far */
	uint32_t block_size_bytes;
	uint64_t turn_tsc; /* TURN_US */
	struct offload_group offload;
};

struct malloc_channel {
	struct store_channel base;
	struct io_fifo waiting; /* to be copied, in the order they came */
	struct io_fifo ended;
	struct offload_done offloaded;
};

struct malloc_io {
	uint64_t n_done;
	struct offload_task task;
};

_Static_assert(sizeof(struct malloc_io) <= STORE_IO_PRIV_BYTES, "fits in a store_io");

static struct malloc_io *priv(struct store_io *io)
{
	return (struct malloc_io *)(void *)io->priv;
}

static struct store_io *io_of_task(struct offload_task *task)
{
	struct malloc_io *m = container_of(task, struct malloc_io, task);

	return container_of((uint8_t(*)[STORE_IO_PRIV_BYTES])(void *)m, struct store_io, priv);
}

/* Extends the mapping to new_bytes. */
static int map_more(struct malloc_store *s, uint64_t new_bytes)
{
	uint64_t from = s->mapped_bytes / BLOCK_BYTES * BLOCK_BYTES;
	void *addr;

	if (ftruncate(s->fd, (off_t)new_bytes))
		return -errno;
	addr = mmap(s->memory + from, new_bytes - from, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, s->fd, (off_t)from);
	if (addr == MAP_FAILED)
		return -errno;
	madvise(addr, new_bytes - from, MADV_DONTDUMP);
	s->mapped_bytes = new_bytes;
	return 0;
}

static int make_memory(struct malloc_store *s, uint64_t size_bytes, struct error *err)
{
	void *addr;

	s->reserved_bytes = size_bytes > RESERVED_MIN / GROWTH ? size_bytes * GROWTH : RESERVED_MIN;
	s->fd = memfd_create("vhostd-malloc", MFD_CLOEXEC);
	if (s->fd < 0)
		return error_set(err, VHOSTD_ERR_STORE, "memfd: %s", strerror(errno));
	addr = mmap(NULL, s->reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		    -1, 0);
	if (addr == MAP_FAILED) {
		error_set(err, VHOSTD_ERR_STORE, "size: %llu bytes of memory can't be reserved: %s",
			  (unsigned long long)size_bytes, strerror(errno));
		goto close_fd;
	}
	s->memory = addr;
	if (map_more(s, size_bytes)) {
		error_set(err, VHOSTD_ERR_STORE, "size: %llu bytes of memory can't be had: %s",
			  (unsigned long long)size_bytes, strerror(errno));
		goto unmap;
	}
	return 0;

unmap:
	munmap(s->memory, s->reserved_bytes);
close_fd:
	close(s->fd);
	return -1;
}

static int malloc_open(const struct store_params *params, struct store **ret_store,
		       struct error *err)
{
	uint64_t size = params->size_bytes / params->block_size_bytes * params->block_size_bytes;
	struct malloc_store *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set(err, VHOSTD_ERR_STORE, "out of memory");
	s->base.ops = &store_malloc_ops;
	s->base.caps = (struct store_caps){
		.block_size_bytes = SECTOR_BYTES_MIN,
		.discard = true,
		.write_zeroes = true,
		.discard_granularity_bytes = BLOCK_BYTES,
		.discard_max_bytes = STORE_RANGE_MAX_BYTES,
		.write_zeroes_max_bytes = STORE_RANGE_MAX_BYTES,
	};
	s->block_size_bytes = params->block_size_bytes;
	s->turn_tsc = lcore_tsc_of_us(TURN_US);
	atomic_init(&s->base.capacity_bytes, size);
	if (make_memory(s, size, err)) {
		free(s);
		return -1;
	}
	offload_group_init(&s->offload, params->offload);
	*ret_store = &s->base;
	return 0;
}

static void malloc_close(struct store *store)
{
	struct malloc_store *s = (struct malloc_store *)store;
	uint64_t mapped = (s->mapped_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;

	/* What was never mapped costs one call. */
	unmap_in_pieces(s->memory, mapped, BLOCK_BYTES);
	munmap(s->memory + mapped, s->reserved_bytes - mapped);
	close(s->fd);
	free(s);
}

/* Memory that was mapped once stays: lcores may be at work in it. */
static int malloc_resize(struct store *store, uint64_t size_bytes, bool shrink, struct error *err)
{
	struct malloc_store *s = (struct malloc_store *)store;
	uint64_t size = size_bytes / s->block_size_bytes * s->block_size_bytes;
	int ret;

	if (size_bytes == 0)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "size: a malloc disk has no file to take its size from: give one");
	if (size > s->reserved_bytes)
		return error_set(err, VHOSTD_ERR_UNSUPPORTED,
				 "size: %llu; this disk can have %llu bytes at most",
				 (unsigned long long)size_bytes,
				 (unsigned long long)s->reserved_bytes);
	if (store_check_shrink(store, size, shrink, err))
		return -1;
	ret = size > s->mapped_bytes ? map_more(s, size) : 0;
	if (ret)
		return error_set(err, VHOSTD_ERR_STORE, "size: %llu bytes can't be had: %s",
				 (unsigned long long)size, strerror(-ret));
	atomic_store_explicit(&store->capacity_bytes, size, memory_order_release);
	return 0;
}

static int malloc_channel_open(struct store *store, struct doorbell *doorbell,
			       struct store_channel **ret_channel, struct error *err)
{
	struct malloc_channel *channel = calloc(1, sizeof(*channel));

	(void)store;
	if (!channel)
		return error_set(err, VHOSTD_ERR_STORE, "out of memory");
	channel->offloaded.doorbell = doorbell;
	*ret_channel = &channel->base;
	return 0;
}

static void malloc_channel_close(struct store_channel *channel)
{
	free(channel);
}

/* In pieces: whoever touches a page of the hole sleeps until the call has ended, and an lcore may
 * (220 ms for a touched GiB at once). */
static void punch_run(struct offload_task *task)
{
	struct store_io *io = io_of_task(task);
	const struct malloc_store *s = container_of(task->group, struct malloc_store, offload);
	uint64_t at = io->offset_bytes, end = at + io->n_bytes;

	role_assert(&role_job);
	while (at < end && io->result == 0) {
		uint64_t n = PUNCH_BYTES - at % PUNCH_BYTES; /* pieces meet between pages */

		if (n > end - at)
			n = end - at;
		if (fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
			      (off_t)n))
			io->result = errno == EINTR ? 0 : -errno;
		else
			at += n;
	}
}

static void malloc_submit(struct store_channel *channel, struct store_io **ios, unsigned int n_ios)
{
	struct malloc_channel *ch = (struct malloc_channel *)channel;
	struct malloc_store *s = (struct malloc_store *)channel->store;

	role_assert(&role_lcore);
	for (unsigned int i = 0; i < n_ios; i++) {
		struct store_io *io = ios[i];

		io->result = 0;
		priv(io)->n_done = 0;
		if (io->op >= STORE_DISCARD && io->n_bytes > TURN_BYTES) {
			priv(io)->task.run = punch_run;
			priv(io)->task.done = &ch->offloaded;
			ch->base.n_away++;
			offload_submit(&s->offload, &priv(io)->task);
		} else {
			io_fifo_put(&ch->waiting, io);
		}
	}
}

/* Goes on with one operation for n_bytes at most; returns how many it did. */
static uint64_t copy_some(const struct malloc_store *s, struct store_io *io, uint64_t n_max)
{
	struct malloc_io *m = priv(io);
	uint8_t *at = s->memory + io->offset_bytes + m->n_done;
	uint64_t n = io->n_bytes - m->n_done < n_max ? io->n_bytes - m->n_done : n_max;

	if (io->op == STORE_READ || io->op == STORE_WRITE)
		store_io_copy(io, at, n, io->op == STORE_READ);
	else
		memset(at, 0, n);
	m->n_done += n;
	return n;
}

/* Has the next operation's first bytes come while this one's are copied. A copy from anywhere in a
 * large memory waits longest for its first lines, and for the page's translation. */
static void prefetch_next(const struct malloc_store *s, const struct store_io *io)
{
	const uint8_t *at;

	if (!io->next)
		return;
	at = s->memory + io->next->offset_bytes;
	for (unsigned int i = 0; i < AHEAD_BYTES; i += CACHE_LINE)
		__builtin_prefetch(at + i);
}

static void take_offloaded(struct malloc_channel *ch) IN_LCORE
{
	struct offload_task *task = offload_reap(&ch->offloaded);

	while (task) {
		struct offload_task *next = task->next;
		struct store_io *io = io_of_task(task);

		if (io->result)
			store_count_error(ch->base.store, io->result);
		ch->base.n_away--;
		io_fifo_put(&ch->ended, io);
		task = next;
	}
}

static unsigned int malloc_reap(struct store_channel *channel, struct store_io **ret_ios,
				unsigned int n_max)
{
	struct malloc_channel *ch = (struct malloc_channel *)channel;
	const struct malloc_store *s = (const struct malloc_store *)channel->store;
	uint64_t budget = TURN_BYTES, until_tsc = turn_now_tsc() + s->turn_tsc;
	unsigned int n = 0;

	role_assert(&role_lcore);
	take_offloaded(ch);
	while (n < n_max && ch->ended.head)
		ret_ios[n++] = io_fifo_get(&ch->ended);
	while (n < n_max && ch->waiting.head && budget > 0 && turn_now_tsc() < until_tsc) {
		struct store_io *io = ch->waiting.head;

		prefetch_next(s, io);
		if (io->op != STORE_FLUSH)
			budget -= copy_some(s, io, budget < PIECE_BYTES ? budget : PIECE_BYTES);
		if (io->op == STORE_FLUSH || priv(io)->n_done == io->n_bytes)
			ret_ios[n++] = io_fifo_get(&ch->waiting);
	}
	return n;
}

const struct store_ops store_malloc_ops = {
	.kind = STORE_KIND_MALLOC,
	.open = malloc_open,
	.close = malloc_close,
	.resize = malloc_resize,
	.channel_open = malloc_channel_open,
	.channel_close = malloc_channel_close,
	.submit = malloc_submit,
	.reap = malloc_reap,
};
