/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The requests' path through a queue: take from the available ring, parse, hand to the store;
 * complete, write the used ring. Bounded in requests and bytes for each turn, so that one
 * guest's large requests don't delay another's small ones.
 */
#include <linux/virtio_blk.h>
#include <string.h>

#include "base/compiler.h"
#include "engine/guest_fault.h"
#include "engine/lane.h"
#include "engine/lcore.h"
#include "engine/queue.h"

#define TURN_MAX_REQUESTS 32
#define TURN_MAX_BYTES    (1u << 20)
#define TURN_MAX_DESCS    2048

static struct request *request_get(struct queue *q)
{
	struct request *req = q->free_requests;

	q->free_requests = req->next_free;
	req->map_use = q->map_use;
	req->generation = q->generation;
	return req;
}

/* It was not begun. */
static void request_unget(struct queue *q, struct request *req)
{
	if (unlikely(q->big_iov_user == req))
		q->big_iov_user = NULL;
	req->next_free = q->free_requests;
	q->free_requests = req;
}

/* These have begun. */
static void count_inflight(struct queue *q, unsigned int n)
{
	q->map_use->n_inflight += n;
	atomic_store_explicit(&q->n_inflight,
			      atomic_load_explicit(&q->n_inflight, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static ALWAYS_INLINE void request_put(struct request *req) IN_LCORE
{
	struct queue *q = req->queue;

	request_unget(q, req);
	atomic_store_explicit(&q->n_inflight,
			      atomic_load_explicit(&q->n_inflight, memory_order_relaxed) - 1,
			      memory_order_relaxed);
	if (unlikely(req->generation != q->generation))
		queue_fence_put(q);
	queue_map_put(q, req->map_use);
}

static void count_other(struct queue_counters *c, uint32_t type)
{
	switch (type) {
	case VIRTIO_BLK_T_FLUSH:
		counter_add(&c->flushes, 1);
		break;
	case VIRTIO_BLK_T_DISCARD:
		counter_add(&c->discards, 1);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		counter_add(&c->write_zeroes, 1);
		break;
	case VIRTIO_BLK_T_GET_ID:
		counter_add(&c->get_ids, 1);
		break;
	}
}

static ALWAYS_INLINE void count(struct queue *q, const struct request *req, uint8_t status)
{
	struct queue_counters *c = q->counters;

	if (unlikely(status != VIRTIO_BLK_S_OK)) {
		counter_add(status == VIRTIO_BLK_S_UNSUPP ? &c->unsupported : &c->io_errors, 1);
	} else if (req->type == VIRTIO_BLK_T_IN) {
		counter_add(&c->reads, 1);
		counter_add(&c->read_bytes, req->io.n_bytes);
	} else if (req->type == VIRTIO_BLK_T_OUT) {
		counter_add(&c->writes, 1);
		counter_add(&c->written_bytes, req->io.n_bytes);
	} else {
		count_other(c, req->type);
	}
}

/* Writes status and used element. used->len counts the bytes written from the chain's first
 * writable one on without a gap (2.7.8.2): none on an error of a request with a payload to fill. */
static ALWAYS_INLINE void finish(struct request *req, uint8_t status) IN_LCORE
{
	struct queue *q = req->queue;
	uint32_t n_bytes = req->used_bytes;

	if (unlikely(status != VIRTIO_BLK_S_OK) && n_bytes > 1)
		n_bytes = 0;
	__atomic_store_n(req->status, status, __ATOMIC_RELAXED);
	count(q, req, status);
	if (virtq_is_mapped(&q->vq)) {
		virtq_put_used(&q->vq, req->id, req->n_slots, n_bytes);
		q->n_used_pending++;
	}
	request_put(req);
}

/* The same for what the store has nothing to do for. */
static void finish_early(struct request *req, uint8_t status) IN_LCORE
{
	finish(req, status);
}

/* May the data stay in a volatile cache until the next FLUSH? */
static bool is_write_back(const struct queue *q)
{
	return !q->write_through &&
	       atomic_load_explicit(&q->lane->disk->write_cache, memory_order_relaxed);
}

static void set_range(struct request *req)
{
	const struct blk_range *range = &req->ranges[req->next_range++];
	struct store_io *io = &req->io;

	io->flags = (range->unmap ? STORE_IO_UNMAP : 0) |
		    (is_write_back(req->queue) ? 0 : STORE_IO_FUA);
	io->offset_bytes = range->sector * SECTOR_BYTES;
	io->n_bytes = (uint64_t)range->n_sectors * SECTOR_BYTES;
}

/* Moves to the next segment that is not empty. */
static bool next_range(struct request *req)
{
	while (req->next_range < req->n_ranges) {
		set_range(req);
		if (req->io.n_bytes)
			return true;
	}
	return false;
}

/* Zeroes may have been in the place of its data: it can't be said that it is done. */
static bool has_lost_data(const struct request *req)
{
	return unlikely(guest_fault_happened()) && guest_mem_is_lost(req->map_use->mem);
}

unsigned int queue_complete(struct store_io **ios, unsigned int n)
{
	unsigned int n_more = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct store_io *io = ios[i];
		struct request *req = container_of(io, struct request, io);

		if (unlikely(req->n_ranges) && io->result == 0 && next_range(req))
			ios[n_more++] = io;
		else
			finish(req, likely(io->result == 0) && !has_lost_data(req)
					    ? VIRTIO_BLK_S_OK
					    : VIRTIO_BLK_S_IOERR);
	}
	return n_more;
}

/* Turns a checked request into its first operation. False: there is nothing for the store to do. */
static ALWAYS_INLINE bool to_store_io(struct request *req, const struct blk_request *blk)
{
	struct store_io *io = &req->io;

	io->flags = 0;
	io->iov = blk->payload;
	io->n_iov = blk->n_payload;
	io->n_bytes = blk->payload_bytes;
	io->offset_bytes = blk->sector * SECTOR_BYTES;
	switch (blk->type) {
	case VIRTIO_BLK_T_IN:
		io->op = STORE_READ;
		return io->n_bytes > 0;
	case VIRTIO_BLK_T_OUT:
		io->op = STORE_WRITE;
		io->flags = is_write_back(req->queue) ? 0 : STORE_IO_FUA;
		return io->n_bytes > 0;
	case VIRTIO_BLK_T_FLUSH:
		io->op = STORE_FLUSH;
		io->n_bytes = 0;
		return true;
	default: /* DISCARD, WRITE_ZEROES */
		io->op = blk->type == VIRTIO_BLK_T_DISCARD ? STORE_DISCARD : STORE_WRITE_ZEROES;
		return next_range(req);
	}
}

/* By value: the caller's stays in registers. */
static void answer_get_id(struct request *req, struct blk_request blk) IN_LCORE
{
	uint32_t n = blk_request_get_id(&blk, req->queue->lane->disk);

	req->used_bytes = n == blk.payload_bytes ? n + 1 : n;
	finish(req, VIRTIO_BLK_S_OK);
}

/* Checks the request; keeps the segments of a DISCARD or WRITE_ZEROES where its iov was. */
static ALWAYS_INLINE uint8_t check(struct request *req, struct blk_request *blk,
				   const struct chain *c)
{
	struct blk_range ranges[BLK_RANGES_MAX];
	uint8_t status = VIRTIO_BLK_S_IOERR;

	if (likely(!c->too_long))
		status = blk_request_check(blk, req->queue->lane->disk, ranges);
	req->n_ranges = (uint8_t)blk->n_ranges;
	req->next_range = 0;
	if (unlikely(blk->n_ranges))
		memcpy(req->ranges, ranges, blk->n_ranges * sizeof(ranges[0]));
	return status;
}

/* Starts one request: answers it at once, or returns what the store has to do. */
static ALWAYS_INLINE struct store_io *start(struct request *req, struct blk_request *blk,
					    const struct chain *c) IN_LCORE
{
	uint8_t status = check(req, blk, c);

	req->id = c->id;
	req->n_slots = c->n_slots;
	req->status = blk->status;
	req->type = blk->type;
	/* Of a longer writable part only the last byte is written: none from its start on. */
	if (blk->type == VIRTIO_BLK_T_IN)
		req->used_bytes = (uint32_t)c->writable_bytes;
	else
		req->used_bytes = c->writable_bytes == 1 ? 1 : 0;
	req->io.n_bytes = 0;
	if (unlikely(status != VIRTIO_BLK_S_OK)) {
		finish_early(req, status);
		return NULL;
	}
	if (unlikely(blk->type == VIRTIO_BLK_T_GET_ID)) {
		answer_get_id(req, *blk);
		return NULL;
	}
	if (!to_store_io(req, blk)) {
		finish_early(req, VIRTIO_BLK_S_OK);
		return NULL;
	}
	return &req->io;
}

/* The next chain, in the request's own iov or, when it has more pieces, in the queue's big one.
 * False: that one is in use, the chain is taken when it is free again. */
static bool take_chain(struct queue *q, struct request *req, struct chain *chain,
		       const char **ret_fault)
{
	chain->iov = req->iov;
	chain->n_iov_max = CHAIN_IOV_MAX;
	*ret_fault = virtq_take(&q->vq, q->map_use->mem, chain);
	if (likely(!chain->too_long) || *ret_fault)
		return true;
	virtq_untake(&q->vq, chain);
	if (q->big_iov_user)
		return false;
	q->big_iov_user = req;
	chain->iov = q->big_iov;
	chain->n_iov_max = CHAIN_IOV_BIG;
	*ret_fault = virtq_take(&q->vq, q->map_use->mem, chain);
	return true;
}

/* What a turn takes from a queue, with the chains on the way from step to step. */
struct batch {
	unsigned int n;
	const char *fault; /* behind these requests */
	struct request *reqs[TURN_MAX_REQUESTS];
	struct chain chains[TURN_MAX_REQUESTS];
};

/* Have what the next step reads and the last one writes come from the driver's CPU while this one
 * goes on. In this order: they often are in one line, which then comes once, for writing. */
static void prefetch_request(const struct chain *c)
{
	if (likely(c->last_writable))
		prefetch_write(c->last_writable);
	if (likely(c->n_readable))
		__builtin_prefetch(c->iov[0].iov_base);
}

/* The first step: take chains, of which there are n_avail at least. A split ring has told of all; a
 * packed one tells of one at a time. */
static void take_batch(struct queue *q, struct batch *b, int n_avail, unsigned int n_max) IN_LCORE
{
	uint64_t n_bytes = 0, n_descs = 0;
	unsigned int n = 0;

	virtq_prefetch(&q->vq, (unsigned int)n_avail < n_max ? (unsigned int)n_avail : n_max);
	while (n < n_max && n_bytes < TURN_MAX_BYTES && n_descs < TURN_MAX_DESCS &&
	       q->free_requests) {
		struct chain *chain = &b->chains[n];
		struct request *req;
		bool taken;

		if (n_avail == 0 && q->vq.is_packed)
			n_avail = virtq_n_avail(&q->vq);
		if (n_avail-- <= 0)
			break;
		req = request_get(q);
		taken = take_chain(q, req, chain, &b->fault);
		if (unlikely(!taken || b->fault)) {
			if (taken) /* GET_VRING_BASE tells where it stopped */
				virtq_untake(&q->vq, chain);
			request_unget(q, req);
			break;
		}
		prefetch_request(chain);
		n_bytes += chain->readable_bytes + chain->writable_bytes;
		n_descs += chain->n_descs;
		b->reqs[n++] = req;
	}
	b->n = n;
	count_inflight(q, n);
}

/* Requests from i on are not started: the driver's ring is as if they were not taken. */
static void put_back(struct queue *q, struct batch *b, unsigned int i) IN_LCORE
{
	while (b->n > i) {
		b->n--;
		virtq_untake(&q->vq, &b->chains[b->n]);
		request_put(b->reqs[b->n]);
	}
}

/* The second step: parse and check requests; those for the store are in ret_ios. */
static unsigned int start_batch(struct queue *q, struct batch *b,
				struct store_io **ret_ios) IN_LCORE
{
	const bool limited = q->lane->qos.limited;
	unsigned int n_ios = 0;

	for (unsigned int i = 0; i < b->n; i++) {
		struct blk_request blk;
		const char *fault = blk_request_parse(&b->chains[i], &blk);
		struct store_io *io;

		if (unlikely(fault)) {
			b->fault = fault;
			put_back(q, b, i);
			break;
		}
		/* Nothing behind one that is over a limit begins either. */
		if (unlikely(limited) && !queue_admits(q, blk.type)) {
			put_back(q, b, i);
			break;
		}
		io = start(b->reqs[i], &blk, &b->chains[i]);
		if (!io)
			continue;
		if (unlikely(limited))
			queue_pay(q, b->reqs[i]);
		ret_ios[n_ios++] = io;
	}
	return n_ios;
}

unsigned int queue_fetch(struct queue *q, struct store_io **ret_ios, unsigned int n_max)
{
	int n_avail = virtq_n_avail(&q->vq);
	bool limited = unlikely(q->lane->qos.limited);
	unsigned int n_ios;
	struct batch b;

	if (likely(n_avail == 0)) {
		if (limited)
			queue_caught_up(q);
		return 0;
	}
	b.n = 0;
	b.fault = NULL;
	if (unlikely(guest_mem_is_lost(q->map_use->mem)))
		b.fault = "the front end took guest memory away";
	else if (n_avail < 0)
		b.fault = "the available index is more than the ring ahead";
	else
		take_batch(q, &b, n_avail, n_max < TURN_MAX_REQUESTS ? n_max : TURN_MAX_REQUESTS);
	n_ios = start_batch(q, &b, ret_ios);
	if (limited)
		queue_account_hold(q, b.n);
	if (unlikely(b.fault))
		queue_break(q, b.fault);
	return n_ios;
}
