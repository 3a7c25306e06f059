/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/disk_verify.h"

#include <stdlib.h>

#include "lib/random.h"
#include "lib/unit.h"

#define PIECES_MAX      200
#define PIECE_MAX_BYTES (128u << 10)
#define OP_MAX_BYTES    (1792u << 10)
#define ARENA_BYTES     ((2u << 20) + PIECES_MAX * 512u)
#define DEPTH_MAX       64
#define CANARY          0xc5

struct slot {
	struct store_io io;
	struct iovec iov[PIECES_MAX];  /* the store changes this one */
	struct iovec kept[PIECES_MAX]; /* and this one stays */
	uint32_t n_kept;
	uint64_t offset, n_bytes;
	uint8_t op;
	bool busy;
	bool probing; /* reads back what a discard has left */
	uint8_t *arena;
};

struct verify {
	struct disk *disk;
	const struct verify_params *params;
	struct random random;
	uint8_t *model;
	uint32_t n_busy;
	struct slot slots[DEPTH_MAX];
};

static struct verify verify; /* not on the stack: a test that fails leaves it in flight */

static uint32_t below(uint32_t n)
{
	return random_below(&verify.random, n);
}

static bool overlaps(uint64_t offset, uint64_t n_bytes)
{
	for (uint32_t i = 0; i < verify.params->depth; i++) {
		const struct slot *s = &verify.slots[i];

		if (s->busy && offset < s->offset + s->n_bytes && s->offset < offset + n_bytes)
			return true;
	}
	return false;
}

/* Lengths of all orders of magnitude. */
static uint64_t choose_length(void)
{
	uint32_t unit = verify.params->unit_bytes;
	uint32_t n = (OP_MAX_BYTES / unit) >> below(11);

	return (uint64_t)unit * (1 + below(n ? n : 1));
}

/* One piece's length: it leaves enough for the pieces that are still to come, and no more than
 * they can take. */
static uint64_t choose_piece(uint64_t left, uint32_t n_more, uint32_t unit)
{
	uint64_t at_least = left > (uint64_t)n_more * PIECE_MAX_BYTES
				    ? left - (uint64_t)n_more * PIECE_MAX_BYTES
				    : unit;
	uint64_t at_most = left - (uint64_t)n_more * unit;
	uint64_t mean = 2 * left / (n_more + 1);

	if (n_more == 0)
		return left;
	if (at_most > PIECE_MAX_BYTES)
		at_most = PIECE_MAX_BYTES;
	if (at_most > mean && mean >= at_least)
		at_most = mean;
	at_least = (at_least + unit - 1) / unit * unit;
	at_most = at_most / unit * unit;
	return at_most <= at_least
		       ? at_least
		       : at_least + (uint64_t)unit * below((uint32_t)((at_most - at_least) / unit));
}

/* unit: of the pieces' addresses and lengths; 1 for any. */
static void lay_out(struct slot *s, uint32_t unit)
{
	uint64_t left = s->n_bytes, n_max = left / unit, at = 0;
	uint32_t n_min = (uint32_t)((left + PIECE_MAX_BYTES - 1) / PIECE_MAX_BYTES), n;

	n_max = n_max < PIECES_MAX ? n_max : PIECES_MAX;
	n = n_min + (n_max > n_min ? below((uint32_t)n_max - n_min + 1) >> below(8) : 0);
	s->n_kept = 0;
	for (uint32_t i = n; i > 0 && left; i--) {
		uint64_t length = choose_piece(left, i - 1, unit);

		at += unit == 1 ? below(64) : 0;
		s->kept[s->n_kept++] = (struct iovec){s->arena + at, length};
		at += (length + unit - 1) / unit * unit;
		left -= length;
		assert_true(at <= ARENA_BYTES && length > 0 && length <= PIECE_MAX_BYTES);
	}
	assert_int_equal(left, 0);
}

static void submit(struct slot *s, uint8_t op, uint8_t flags)
{
	struct store_io *ios[] = {&s->io};

	memcpy(s->iov, s->kept, s->n_kept * sizeof(s->kept[0]));
	s->io = (struct store_io){.op = op,
				  .flags = flags,
				  .n_iov = (uint16_t)s->n_kept,
				  .result = 1,
				  .offset_bytes = s->offset,
				  .n_bytes = s->n_bytes,
				  .iov = s->iov};
	if (op == STORE_READ)
		memset(s->arena, CANARY, ARENA_BYTES);
	disk_submit(verify.disk, ios, 1);
}

static void put_pattern(struct slot *s)
{
	uint8_t *at = verify.model + s->offset;

	disk_pattern(at, s->n_bytes, random_next(&verify.random));
	for (uint32_t i = 0; i < s->n_kept; i++) {
		memcpy(s->kept[i].iov_base, at, s->kept[i].iov_len);
		at += s->kept[i].iov_len;
	}
}

static void start(struct slot *s)
{
	static const uint8_t ops[] = {STORE_READ,  STORE_READ,  STORE_READ,    STORE_WRITE,
				      STORE_WRITE, STORE_WRITE, STORE_DISCARD, STORE_WRITE_ZEROES};
	uint64_t capacity = disk_capacity(verify.disk), unit = verify.params->unit_bytes;
	static const uint32_t units[] = {1, 512, 4096};
	uint8_t op = below(32) ? ops[below(sizeof(ops))] : STORE_FLUSH;
	uint8_t flags = below(8) || op == STORE_READ ? 0 : STORE_IO_FUA;
	uint32_t piece_unit = units[below(3)];

	do {
		s->n_bytes = op == STORE_FLUSH ? 0 : choose_length();
		s->offset = unit * below((uint32_t)((capacity - s->n_bytes) / unit + 1));
	} while (overlaps(s->offset, s->n_bytes));
	s->op = op;
	s->busy = true;
	s->probing = false;
	verify.n_busy++;
	s->n_kept = 0;
	if (op == STORE_READ || op == STORE_WRITE)
		lay_out(s, s->n_bytes % piece_unit ? 1 : piece_unit);
	if (op == STORE_WRITE)
		put_pattern(s);
	if (op == STORE_WRITE_ZEROES) {
		memset(verify.model + s->offset, 0, s->n_bytes);
		flags |= below(2) ? STORE_IO_UNMAP : 0;
	}
	submit(s, op, flags);
}

/* After a discard a sector holds zeroes or what it held. */
static void check_discarded(struct slot *s)
{
	static const uint8_t zeroes[512];
	const uint8_t *got = s->kept[0].iov_base;

	for (uint64_t at = 0; at < s->n_bytes; at += sizeof(zeroes)) {
		uint8_t *old = verify.model + s->offset + at;

		if (memcmp(got + at, zeroes, sizeof(zeroes)) == 0)
			memset(old, 0, sizeof(zeroes));
		else if (memcmp(got + at, old, sizeof(zeroes)) != 0)
			fail_msg("discarded sector at %llu holds something new",
				 (unsigned long long)(s->offset + at));
	}
}

static bool is_untouched(const uint8_t *from, const uint8_t *to)
{
	static uint8_t canaries[4096];

	memset(canaries, CANARY, sizeof(canaries));
	for (size_t n; from < to; from += n) {
		n = (size_t)(to - from) < sizeof(canaries) ? (size_t)(to - from) : sizeof(canaries);
		if (memcmp(from, canaries, n) != 0)
			return false;
	}
	return true;
}

static void check_read(const struct slot *s)
{
	const uint8_t *model = verify.model + s->offset, *end = s->arena;

	for (uint32_t i = 0; i < s->n_kept; i++) {
		const uint8_t *base = s->kept[i].iov_base;
		size_t n = s->kept[i].iov_len;

		if (!is_untouched(end, base))
			fail_msg("a read changed memory before piece %u", i);
		if (memcmp(base, model, n) != 0)
			fail_msg("piece %u of %u (%zu bytes) of a read of %llu at %llu differs", i,
				 s->n_kept, n, (unsigned long long)s->n_bytes,
				 (unsigned long long)s->offset);
		model += n;
		end = base + n;
	}
	if (!is_untouched(end, s->arena + ARENA_BYTES))
		fail_msg("a read changed memory behind its last piece");
}

static void ended(struct slot *s)
{
	if (s->io.result)
		fail_msg("operation %u of %llu bytes at %llu: result %d", s->op,
			 (unsigned long long)s->n_bytes, (unsigned long long)s->offset,
			 s->io.result);
	if (s->op == STORE_DISCARD && !s->probing) {
		s->probing = true;
		s->n_kept = 1;
		s->kept[0] = (struct iovec){s->arena, s->n_bytes};
		submit(s, STORE_READ, 0);
		return;
	}
	if (s->op == STORE_DISCARD)
		check_discarded(s);
	if (s->op == STORE_READ)
		check_read(s);
	s->busy = false;
	verify.n_busy--;
}

static void reap(void)
{
	struct store_io *ios[8];
	unsigned int n = disk_reap(verify.disk, ios, 8);

	for (unsigned int i = 0; i < n; i++)
		ended(container_of(ios[i], struct slot, io));
}

void disk_compare(struct disk *disk, const uint8_t *model)
{
	uint64_t capacity = disk_capacity(disk), step = 1 << 20;
	uint8_t *buf = disk_buffer(step);

	for (uint64_t at = 0; at < capacity; at += step) {
		uint64_t n = capacity - at < step ? capacity - at : step;

		assert_int_equal(disk_read(disk, at, buf, n), 0);
		if (memcmp(buf, model + at, n) != 0)
			fail_msg("the disk differs from the model between %llu and %llu",
				 (unsigned long long)at, (unsigned long long)(at + n));
	}
	free(buf);
}

void disk_verify(struct disk *disk, const struct verify_params *params, uint8_t *model)
{
	verify.disk = disk;
	verify.params = params;
	verify.random.state = params->seed;
	verify.model = model;
	verify.n_busy = 0;
	assert_true(params->depth <= DEPTH_MAX);
	print_message("# seed %llu\n", (unsigned long long)params->seed);
	for (uint32_t i = 0; i < params->depth; i++) {
		verify.slots[i].busy = false;
		if (!verify.slots[i].arena)
			verify.slots[i].arena = disk_buffer(ARENA_BYTES);
	}
	for (uint32_t n_started = 0; n_started < params->n_ops || verify.n_busy; reap()) {
		for (uint32_t i = 0; i < params->depth && n_started < params->n_ops; i++) {
			if (!verify.slots[i].busy) {
				start(&verify.slots[i]);
				n_started++;
			}
		}
	}
	assert_int_equal(disk_flush(disk), 0);
	disk_compare(disk, model);
	for (uint32_t i = 0; i < params->depth; i++) {
		free(verify.slots[i].arena);
		verify.slots[i].arena = NULL;
	}
}
