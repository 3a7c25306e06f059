/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exit_codes.h"

/* A device has to overwrite them. */
#define STATUS_UNSET 0xff
#define DATA_UNSET   0xa5

static void record_gap(const struct queue *q, struct observer *ob, uint64_t now)
{
	uint64_t gap = now - q->last_ticks, away = ob->away_ticks - q->last_away_ticks;
	uint64_t net = gap > away ? gap - away : 0;

	if (gap > ob->stats->gap_max)
		ob->stats->gap_max = gap;
	if (net > ob->stats->gap_net_max)
		ob->stats->gap_net_max = net;
}

void queue_end_phase(const struct queue *q, struct observer *ob, uint64_t now)
{
	record_gap(q, ob, now);
}

static inline void record_latency(const struct request *r, struct observer *ob, uint64_t now)
{
	struct stats *stats = ob->stats;
	uint64_t raw = now - r->submit_ticks, away = ob->away_ticks - r->away_ticks;

	if (unlikely((int64_t)raw < 0)) /* two CPUs' counters differ by less than this */
		raw = 0;
	if (likely(away == 0)) {
		hist_record(&stats->calm, raw);
		return;
	}
	hist_record(&stats->disturbed, raw);
	hist_record(&stats->rest, raw > away ? raw - away : 0);
}

static const char *status_text(uint8_t status)
{
	switch (status) {
	case VIRTIO_BLK_S_IOERR:
		return "I/O error";
	case VIRTIO_BLK_S_UNSUPP:
		return "not supported";
	case STATUS_UNSET:
		return "no status was written";
	default:
		return "no known status";
	}
}

static __attribute__((cold, noinline)) void on_error(struct queue *q, const struct request *r,
						     struct observer *ob, uint8_t status)
{
	ob->stats->errors++;
	if (__atomic_exchange_n(&q->complaints->io_error, true, __ATOMIC_RELAXED))
		return;
	fail(EXIT_FAILED, "%s of %" PRIu32 " sectors at sector %" PRIu64 ": %s (status %u)",
	     r->is_write ? "write" : "read", q->block_sectors, r->block * q->block_sectors,
	     status_text(status), status);
}

static void check_data(struct queue *q, const struct request *r, struct observer *ob)
{
	char text[256];
	int rc = verify_check(q->verify, r->block, r->data, text, sizeof(text));

	if (rc < 0)
		return;
	ob->stats->verified_blocks++;
	if (rc > 0)
		return;
	ob->stats->mismatches++;
	if (!__atomic_exchange_n(&q->complaints->mismatch, true, __ATOMIC_RELAXED))
		fail(EXIT_FAILED, "wrong data in %s", text);
}

static void verify_end(struct queue *q, const struct request *r, struct observer *ob, bool ok)
{
	if (ok && r->is_write)
		verify_written(q->verify, r->block, r->generation);
	else if (ok)
		check_data(q, r, ob);
	verify_release(q->verify, r->block);
}

static inline void end_request(struct queue *q, const struct request *r, struct observer *ob,
			       uint64_t now)
{
	uint8_t status = __atomic_load_n(r->status, __ATOMIC_RELAXED);

	record_latency(r, ob, now);
	ob->stats->writes += r->is_write;
	if (unlikely(status != VIRTIO_BLK_S_OK))
		on_error(q, r, ob, status);
	if (q->verify)
		verify_end(q, r, ob, status == VIRTIO_BLK_S_OK);
}

static bool choose_verified(struct queue *q, bool is_write, uint64_t *ret_block)
{
	uint64_t block;

	if (q->mode == QUEUE_READ_BACK)
		return verify_next_written(q->verify, ret_block);
	block = plan_place(&q->plan);
	if (!is_write && q->verify->writes)
		verify_recent(q->verify, plan_random(&q->plan), &block);
	*ret_block = verify_claim(q->verify, block);
	return true;
}

/* With --verify. What a device does not write on a read is found: it must not look like the block.
 */
static void prepare_data(struct queue *q, struct request *r)
{
	if (r->is_write)
		r->generation = verify_fill(q->verify, r->block, r->data);
	else
		memset(r->data, DATA_UNSET, (size_t)q->block_sectors * 512);
}

/* Makes the slot's next request; false when there is none. */
static inline bool make_request(struct queue *q, uint16_t slot)
{
	struct request *r = &q->request[slot];
	bool is_write = q->mode == QUEUE_LOAD && !plan_wants_read(&q->plan);

	if (q->verify) {
		if (!choose_verified(q, is_write, &r->block))
			return false;
	} else {
		r->block = plan_place(&q->plan);
	}
	if (r->is_write != is_write) {
		r->is_write = is_write;
		r->header->type = is_write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
		q->ring.ops->turn(&q->ring, slot, !is_write);
	}
	if (q->verify)
		prepare_data(q, r);
	r->header->sector = r->block * q->block_sectors;
	*r->status = STATUS_UNSET;
	return true;
}

static void kick(const struct queue *q, struct observer *ob)
{
	uint64_t one = 1;

	ob->stats->kicks++;
	/* A full counter (EAGAIN) wakes the device as well. */
	if (write(q->ring.vfe->kick_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

static void put(struct queue *q, const uint16_t *slot, unsigned int n, struct observer *ob)
{
	uint64_t now = clock_now(ob->clock);

	for (unsigned int i = 0; i < n; i++) {
		q->request[slot[i]].submit_ticks = now;
		q->request[slot[i]].away_ticks = ob->away_ticks;
	}
	q->n_out += n;
	q->ring.ops->put(&q->ring, slot, n);
	if (q->ring.ops->kick_wanted(&q->ring))
		kick(q, ob);
}

/* Puts the next requests of up to QUEUE_BATCH slots. */
static void put_next(struct queue *q, const uint16_t *slot, unsigned int n, struct observer *ob)
{
	uint16_t made[QUEUE_BATCH];
	unsigned int n_made = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (make_request(q, slot[i]))
			made[n_made++] = slot[i];
	}
	if (n_made)
		put(q, made, n_made, ob);
}

void queue_begin(struct queue *q, enum queue_mode mode, struct observer *ob)
{
	uint16_t slot = 0;

	q->mode = mode;
	q->last_ticks = clock_now(ob->clock);
	q->last_away_ticks = ob->away_ticks;
	if (mode == QUEUE_DRAIN)
		return;
	for (; slot < q->ring.n_slots; slot++) {
		if (!q->ring.is_out[slot])
			put_next(q, &slot, 1, ob);
	}
}

int queue_turn(struct queue *q, struct observer *ob)
{
	uint16_t slot[QUEUE_BATCH];
	int n = q->ring.ops->take(&q->ring, slot, q->batch);
	uint64_t now = observer_look(ob);

	if (n <= 0)
		return n;
	record_gap(q, ob, now);
	q->last_ticks = now;
	q->last_away_ticks = ob->away_ticks;
	q->n_out -= (unsigned int)n;
	for (int i = 0; i < n; i++)
		end_request(q, &q->request[slot[i]], ob, now);
	ob->stats->requests += (unsigned int)n;
	if (q->mode != QUEUE_DRAIN)
		put_next(q, slot, (unsigned int)n, ob);
	return n;
}
