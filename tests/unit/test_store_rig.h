/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A store with one channel, and the test's own idea of what the disk has in it. The test's thread
 * plays the JOB that opens it and the lcore that uses it, by turns.
 */
#ifndef UNIT_TEST_STORE_RIG_H
#define UNIT_TEST_STORE_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "engine/offload.h"
#include "engine/store.h"
#include "lib/random.h"
#include "lib/unit.h"

#define RIG_PATIENCE_S  60
#define RIG_IOS         16
#define RIG_PIECES      48
#define RIG_GUARD_BYTES 64u
#define RIG_GUARD       0xa5
#define RIG_UNREAD      0xee
#define RIG_LARGE_BYTES (700u << 10)
#define RIG_ARENA_BYTES ((size_t)RIG_IOS * (RIG_LARGE_BYTES + RIG_PIECES * 8192))

struct rig {
	struct offload *offload;
	struct store *store;
	struct store_channel *channel;
};

/** -1 with *err set if it can't be opened. */
static inline int rig_try(struct rig *rig, const struct store_params *params, struct error *err)
{
	struct store_params p = *params;
	int ret;

	*rig = (struct rig){0};
	if (offload_new(&rig->offload, err))
		return -1;
	p.offload = rig->offload;
	if (!p.name)
		p.name = "disk";
	if (!p.block_size_bytes)
		p.block_size_bytes = 512;
	role_enter(&role_job);
	ret = store_open(&p, &rig->store, err);
	if (ret == 0)
		ret = store_channel_open(rig->store, NULL, &rig->channel, err);
	role_leave(&role_job);
	if (ret) {
		assert_null(rig->store);
		offload_free(rig->offload);
	}
	return ret;
}

static inline void rig_open(struct rig *rig, const struct store_params *params)
{
	struct error err = {0};

	if (rig_try(rig, params, &err))
		fail_msg("%s: %s", error_name(err.code), err.text);
}

/** Asserts that it is refused with this code and each of the words, up to a NULL, in the text. */
static inline void rig_refused(const struct store_params *params, enum vhostd_error code,
			       const char *const *words)
{
	struct error err = {0};
	struct rig rig;

	if (rig_try(&rig, params, &err) == 0)
		fail_msg("%s was opened", params->path);
	if (err.code != code)
		fail_msg("%s, not %s: %s", error_name(err.code), error_name(code), err.text);
	for (; *words; words++)
		assert_fault(err.text, *words);
}

#define rig_assert_refused(params, code, ...)                                                      \
	rig_refused(params, code, (const char *const[]){__VA_ARGS__, NULL})

static inline void rig_close(struct rig *rig)
{
	assert_int_equal(rig->channel->n_inflight, 0);
	role_enter(&role_job);
	store_channel_close(rig->channel);
	store_close(rig->store);
	role_leave(&role_job);
	offload_free(rig->offload);
}

static inline uint64_t rig_capacity(const struct rig *rig)
{
	return atomic_load_explicit(&rig->store->capacity_bytes, memory_order_relaxed);
}

static inline uint64_t rig_n_errors(const struct rig *rig)
{
	return atomic_load_explicit(&rig->store->n_errors, memory_order_relaxed);
}

static inline int rig_resize(struct rig *rig, uint64_t size_bytes, struct error *err)
{
	int ret;

	*err = (struct error){0};
	role_enter(&role_job);
	ret = store_resize(rig->store, size_bytes, false, err);
	role_leave(&role_job);
	return ret;
}

/** Takes out up to n_max; returns how many. */
static inline unsigned int rig_reap(struct rig *rig, struct store_io **ret_ios, unsigned int n_max)
{
	unsigned int n;

	role_enter(&role_lcore);
	n = store_reap(rig->channel, ret_ios, n_max);
	role_leave(&role_lcore);
	return n;
}

static inline void rig_submit(struct rig *rig, struct store_io **ios, unsigned int n_ios)
{
	role_enter(&role_lcore);
	store_submit(rig->channel, ios, n_ios);
	role_leave(&role_lcore);
}

/** Reaps until n have ended; each of them must be in `ios`, once. */
static inline void rig_wait(struct rig *rig, struct store_io **ios, unsigned int n_ios)
{
	struct timespec pause = {.tv_nsec = 20000};
	struct store_io *got[7];
	bool *seen = calloc(n_ios + 1, sizeof(*seen));
	time_t until = time(NULL) + RIG_PATIENCE_S;
	unsigned int n_ended = 0;

	assert_non_null(seen);
	while (n_ended < n_ios) {
		unsigned int n = rig_reap(rig, got, ARRAY_LEN(got));

		for (unsigned int i = 0; i < n; i++) {
			unsigned int k = 0;

			while (k < n_ios && ios[k] != got[i])
				k++;
			if (k == n_ios || seen[k])
				fail_msg("an operation ended that was not under way");
			seen[k] = true;
		}
		n_ended += n;
		if (n == 0)
			nanosleep(&pause, NULL);
		if (time(NULL) > until)
			fail_msg("%u of %u operations did not end", n_ios - n_ended, n_ios);
	}
	assert_int_equal(rig->channel->n_inflight, 0);
	free(seen);
}

/** One operation; its result. The iov is used up. */
static inline int rig_iov(struct rig *rig, enum store_op op, unsigned int flags, uint64_t offset,
			  struct iovec *iov, uint16_t n_iov)
{
	struct store_io io = {.op = op, .flags = (uint8_t)flags, .offset_bytes = offset},
			*one = &io;

	io.iov = iov;
	io.n_iov = n_iov;
	for (unsigned int i = 0; i < n_iov; i++)
		io.n_bytes += iov[i].iov_len;
	io.result = 12345;
	rig_submit(rig, &one, 1);
	rig_wait(rig, &one, 1);
	return io.result;
}

static inline int rig_rw(struct rig *rig, enum store_op op, uint64_t offset, void *buf, size_t n)
{
	struct iovec iov = {buf, n};

	return rig_iov(rig, op, 0, offset, &iov, 1);
}

/** FLUSH, DISCARD or WRITE_ZEROES. */
static inline int rig_range(struct rig *rig, enum store_op op, unsigned int flags, uint64_t offset,
			    uint64_t n_bytes)
{
	struct store_io io = {.op = op, .flags = (uint8_t)flags, .offset_bytes = offset},
			*one = &io;

	io.n_bytes = n_bytes;
	rig_submit(rig, &one, 1);
	rig_wait(rig, &one, 1);
	return io.result;
}

/* ---- Random operations ---- */

struct rig_op {
	struct store_io io;
	uint64_t offset, n_bytes;
	struct iovec iov[RIG_PIECES], kept[RIG_PIECES]; /* the store uses up the first */
	unsigned int n_iov;
};

struct rig_random {
	struct random random;
	uint32_t block_bytes;
	uint64_t capacity;
	uint8_t *model; /* what the disk has in it */
	uint8_t *arena; /* buffers, each between two guards */
	size_t used;
	struct rig_op ops[RIG_IOS];
};

/* How a buffer lies in memory. */
enum rig_style { RIG_PAGES, RIG_SECTORS, RIG_ANYHOW, RIG_N_STYLES };

static inline void rig_add_piece(struct rig_random *r, struct rig_op *op, size_t n_bytes,
				 size_t align)
{
	size_t at = (r->used + RIG_GUARD_BYTES + align - 1) / align * align;
	struct iovec *piece = &op->iov[op->n_iov];

	if (align == 1)
		at += random_below(&r->random, 600);
	assert_true(at + n_bytes + RIG_GUARD_BYTES <= RIG_ARENA_BYTES);
	memset(r->arena + at - RIG_GUARD_BYTES, RIG_GUARD, RIG_GUARD_BYTES);
	memset(r->arena + at, RIG_UNREAD, n_bytes);
	memset(r->arena + at + n_bytes, RIG_GUARD, RIG_GUARD_BYTES);
	*piece = (struct iovec){r->arena + at, n_bytes};
	op->kept[op->n_iov++] = *piece;
	r->used = at + n_bytes + RIG_GUARD_BYTES;
}

static inline void rig_lay_out(struct rig_random *r, struct rig_op *op)
{
	static const size_t aligns[RIG_N_STYLES] = {4096, 512, 1};
	size_t align = aligns[random_below(&r->random, RIG_N_STYLES)], left = op->n_bytes;

	if (align == 512 && r->block_bytes > 512)
		align = 1;
	op->n_iov = 0;
	while (left > 0) {
		size_t n = 1 + random_below(&r->random, (uint32_t)left);

		n = (n + align - 1) / align * align;
		if (n > left || op->n_iov == RIG_PIECES - 1 || random_one_in(&r->random, 4))
			n = left;
		rig_add_piece(r, op, n, align);
		left -= n;
	}
	op->io.iov = op->iov;
	op->io.n_iov = (uint16_t)op->n_iov;
}

static inline void rig_choose_range(struct rig_random *r, struct rig_op *op, uint64_t from,
				    uint64_t n_bytes)
{
	uint32_t max = random_one_in(&r->random, 8) ? RIG_LARGE_BYTES : 48u << 10;
	uint32_t n_blocks = (uint32_t)(n_bytes / r->block_bytes), n;

	if (max > n_bytes)
		max = (uint32_t)n_bytes;
	n = 1 + random_below(&r->random, max / r->block_bytes);
	op->n_bytes = (uint64_t)n * r->block_bytes;
	op->offset = from + (uint64_t)random_below(&r->random, n_blocks - n + 1) * r->block_bytes;
	op->io.offset_bytes = op->offset;
	op->io.n_bytes = op->n_bytes;
}

static inline void rig_choose(struct rig_random *r, struct rig_op *op, uint64_t from,
			      uint64_t n_bytes)
{
	static const uint8_t kinds[] = {STORE_READ,  STORE_READ,    STORE_READ,
					STORE_READ,  STORE_WRITE,   STORE_WRITE,
					STORE_WRITE, STORE_WRITE,   STORE_WRITE,
					STORE_FLUSH, STORE_DISCARD, STORE_WRITE_ZEROES};

	memset(&op->io, 0, sizeof(op->io));
	op->n_iov = 0;
	op->io.op = kinds[random_below(&r->random, ARRAY_LEN(kinds))];
	op->io.flags = (uint8_t)random_below(&r->random, 4);
	op->io.result = 12345;
	if (op->io.op == STORE_FLUSH)
		return;
	rig_choose_range(r, op, from, n_bytes);
	if (op->io.op == STORE_READ || op->io.op == STORE_WRITE)
		rig_lay_out(r, op);
	if (op->io.op == STORE_WRITE)
		for (unsigned int i = 0; i < op->n_iov; i++)
			memset(op->iov[i].iov_base, (int)random_below(&r->random, 256),
			       op->iov[i].iov_len);
	if (op->io.op == STORE_WRITE) /* no two sectors alike */
		memcpy(op->iov[0].iov_base, &r->random.state,
		       op->iov[0].iov_len < 8 ? op->iov[0].iov_len : 8);
}

static inline void rig_check_guards(const struct iovec *piece)
{
	const uint8_t *at = piece->iov_base;

	for (unsigned int i = 0; i < RIG_GUARD_BYTES; i++)
		if (*(at - 1 - i) != RIG_GUARD || at[piece->iov_len + i] != RIG_GUARD)
			fail_msg("bytes outside of a buffer were written");
}

/* What the operation should have done, against what it did. */
static inline void rig_check(struct rig_random *r, struct rig_op *op)
{
	uint8_t *model = r->model + op->offset;

	if (op->io.result)
		fail_msg("op %u at %llu, %llu bytes: %s", op->io.op, (unsigned long long)op->offset,
			 (unsigned long long)op->n_bytes, strerror(-op->io.result));
	if (op->io.op == STORE_DISCARD || op->io.op == STORE_WRITE_ZEROES)
		memset(model, 0, op->n_bytes);
	for (unsigned int i = 0; i < op->n_iov; i++) {
		const struct iovec *piece = &op->kept[i];

		rig_check_guards(piece);
		if (op->io.op == STORE_WRITE)
			memcpy(model, piece->iov_base, piece->iov_len);
		else if (memcmp(model, piece->iov_base, piece->iov_len) != 0)
			fail_msg("read at %llu: piece %u of %u is not what was written",
				 (unsigned long long)op->offset, i, op->n_iov);
		model += piece->iov_len;
	}
}

static inline void rig_round(struct rig *rig, struct rig_random *r)
{
	unsigned int n = 1 + random_below(&r->random, RIG_IOS);
	uint64_t each = r->capacity / n / r->block_bytes * r->block_bytes;
	struct store_io *ios[RIG_IOS];

	r->used = 0;
	for (unsigned int i = 0; i < n; i++) {
		rig_choose(r, &r->ops[i], i * each, each);
		ios[i] = &r->ops[i].io;
	}
	rig_submit(rig, ios, n);
	rig_wait(rig, ios, n);
	for (unsigned int i = 0; i < n; i++)
		rig_check(r, &r->ops[i]);
}

/* The whole disk against the model. */
static inline void rig_compare(struct rig *rig, struct rig_random *r)
{
	for (uint64_t at = 0; at < r->capacity; at += 512u << 10) {
		size_t n = r->capacity - at < 512u << 10 ? r->capacity - at : 512u << 10;

		assert_int_equal(rig_rw(rig, STORE_READ, at, r->arena, n), 0);
		if (memcmp(r->arena, r->model + at, n) != 0)
			fail_msg("the disk differs from the model at %llu and on",
				 (unsigned long long)at);
	}
}

/** n_rounds batches of operations that don't overlap, each checked; the disk is empty at first. */
static inline void rig_random(struct rig *rig, uint64_t seed, unsigned int n_rounds)
{
	struct rig_random *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->random.state = seed;
	r->block_bytes = rig->store->caps.block_size_bytes;
	r->capacity = rig_capacity(rig);
	r->model = calloc(1, r->capacity);
	r->arena = mmap(NULL, RIG_ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	assert_non_null(r->model);
	assert_true(r->arena != MAP_FAILED);
	for (unsigned int i = 0; i < n_rounds; i++)
		rig_round(rig, r);
	rig_compare(rig, r);
	assert_int_equal(rig_n_errors(rig), 0);
	munmap(r->arena, RIG_ARENA_BYTES);
	free(r->model);
	free(r);
}

/* ---- Files ---- */

/** A directory of the test's own under `parent`, an absolute path. */
static inline void rig_dir(const char *parent, char *ret_dir, size_t n_bytes)
{
	char *real = realpath(parent, NULL);

	assert_non_null(real);
	snprintf(ret_dir, n_bytes, "%s/store-XXXXXX", real);
	free(real);
	assert_non_null(mkdtemp(ret_dir));
}

/** Makes a file anew; who had the old one open keeps that one. */
static inline void rig_file(const char *path, uint64_t n_bytes)
{
	int fd;

	unlink(path);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)n_bytes), 0);
	close(fd);
}

#endif
