/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Load and model. A request's first block is in its `tag`, the generation that it writes in `user`
 * (of a flush: how many requests had completed when it was sent); generations are given at
 * submission, so that no two writes of a run are alike.
 */
#include "vfe_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfe_pattern.h"

static const struct vfe_layout load_layouts[] = {
	{.name = "plain"},
	{.name = "joined", .join_header = true, .join_status = true},
	{.name = "indirect pages", .seg_bytes = 4096, .indirect = true},
	{.name = "indirect odd", .first_bytes = 1000, .seg_bytes = 3333, .indirect = true},
	{.name = "cut header", .header_cut = 5},
};

int vfe_model_init(struct vfe_model *model, uint64_t first_sector, uint32_t block_sectors,
		   uint32_t n_blocks)
{
	*model = (struct vfe_model){
		.first_sector = first_sector, .block_sectors = block_sectors, .n_blocks = n_blocks};
	model->generation = calloc(n_blocks, sizeof(*model->generation));
	model->doubt = calloc(n_blocks, sizeof(*model->doubt));
	model->busy = calloc(n_blocks, sizeof(*model->busy));
	if (model->generation && model->doubt && model->busy)
		return 0;
	vfe_model_fini(model);
	return -ENOMEM;
}

void vfe_model_fini(struct vfe_model *model)
{
	free(model->generation);
	free(model->doubt);
	free(model->busy);
	memset(model, 0, sizeof(*model));
}

static uint64_t block_sector(const struct vfe_model *model, uint32_t block)
{
	return model->first_sector + (uint64_t)block * model->block_sectors;
}

bool vfe_model_agrees(const struct vfe_model *model, uint32_t block, const void *data,
		      char *failure, size_t max)
{
	uint64_t sector = block_sector(model, block);
	const uint8_t *at = data;
	uint32_t i;

	for (i = 0; i < model->block_sectors; i++, at += VFE_SECTOR_BYTES) {
		if (vfe_pattern_check(at, sector + i, 1, model->generation[block]) < 0)
			continue;
		if (model->doubt[block] &&
		    vfe_pattern_check(at, sector + i, 1, model->doubt[block] - 1) < 0)
			continue;
		snprintf(failure, max,
			 "sector %" PRIu64 " should have generation %" PRIu64 "%s: %s", sector + i,
			 model->generation[block], model->doubt[block] ? " (or a newer one)" : "",
			 vfe_pattern_describe(at));
		return false;
	}
	return true;
}

void vfe_model_settle(struct vfe_model *model, uint32_t block, const void *data)
{
	uint64_t sector = block_sector(model, block);

	if (!model->doubt[block])
		return;
	if (vfe_pattern_check(data, sector, model->block_sectors, model->doubt[block] - 1) < 0)
		model->generation[block] = model->doubt[block] - 1;
	else if (vfe_pattern_check(data, sector, model->block_sectors, model->generation[block]) >=
		 0)
		return; /* some sectors old, some new: it stays in doubt */
	model->doubt[block] = 0;
}

int vfe_load_init(struct vfe_load *load, struct vfe_model *model, struct vfe_blk *blk, uint16_t q,
		  const struct vfe_load_opts *opts)
{
	uint32_t max_bytes = opts->max_blocks * model->block_sectors * VFE_SECTOR_BYTES;
	struct vfe_io_opts io_opts = {.n_reqs = opts->depth,
				      .max_bytes = max_bytes,
				      .data_offset = q % 2 ? 24 : 0,
				      .polling = opts->polling};

	memset(load, 0, sizeof(*load));
	load->model = model;
	load->opts = *opts;
	load->random = opts->seed * 1000 + q;
	load->buf = malloc(max_bytes);
	if (!load->buf)
		return -ENOMEM;
	return vfe_io_init(&load->io, blk, q, &io_opts);
}

void vfe_load_fini(struct vfe_load *load)
{
	vfe_io_fini(&load->io);
	free(load->buf);
	load->buf = NULL;
}

static unsigned int random_below(struct vfe_load *load, unsigned int n)
{
	return (unsigned int)(vfe_random(&load->random) % n);
}

/* A run of blocks that nobody uses: its length, or 0 when a few tries found none. */
static uint32_t pick_blocks(struct vfe_load *load, uint32_t *ret_first)
{
	const struct vfe_model *model = load->model;
	uint32_t n = 1 + random_below(load, load->opts.max_blocks);
	unsigned int tries;
	uint32_t first, i;

	for (tries = 0; tries < 20; tries++) {
		first = random_below(load, model->n_blocks - n + 1);
		for (i = 0; i < n && !model->busy[first + i]; i++)
			;
		if (i == 0)
			continue;
		*ret_first = first;
		return i;
	}
	return 0;
}

static void mark(struct vfe_load *load, const struct vfe_req *req, bool busy)
{
	uint32_t n = (uint32_t)(req->tag >> 32), first = (uint32_t)req->tag;

	memset(&load->model->busy[first], busy, n);
}

/* A discarded block is in doubt, which it can be for one reason only. */
static bool may_discard(const struct vfe_model *model, const struct vfe_req *req)
{
	uint32_t n = (uint32_t)(req->tag >> 32), first = (uint32_t)req->tag, i;

	for (i = 0; i < n && !model->doubt[first + i]; i++)
		;
	return i == n;
}

/* WRITE_ZEROES or DISCARD. */
static void make_range(struct vfe_load *load, struct vfe_req *req)
{
	struct virtio_blk_discard_write_zeroes range = {
		.sector = req->sector, .num_sectors = req->n_bytes / VFE_SECTOR_BYTES};
	bool discard = random_below(load, 100) < load->opts.discard_percent &&
		       may_discard(load->model, req);

	req->type = discard ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES;
	req->sector = 0;
	req->n_bytes = sizeof(range);
	req->user = NULL; /* generation 0 */
	vfe_mem_write(&load->io.blk->mem, req->data_gpa, &range, sizeof(range));
	load->n_zeroes += !discard;
	load->n_discards += discard;
}

static void make_write(struct vfe_load *load, struct vfe_req *req)
{
	struct vfe_model *model = load->model;

	model->last_generation++;
	if (random_below(load, 100) < load->opts.zero_percent) {
		make_range(load, req);
		return;
	}
	req->type = VIRTIO_BLK_T_OUT;
	req->user = (void *)(uintptr_t)model->last_generation;
	vfe_pattern_fill(load->buf, req->sector, req->n_bytes / VFE_SECTOR_BYTES,
			 model->last_generation);
	vfe_mem_write(&load->io.blk->mem, req->data_gpa, load->buf, req->n_bytes);
	load->n_writes++;
}

static void make_flush(struct vfe_load *load, struct vfe_req *req)
{
	const struct vfe_durable *durable = load->model->durable;

	req->type = VIRTIO_BLK_T_FLUSH;
	req->user = (void *)(uintptr_t)(durable ? durable->n_acks : 0);
	req->tag = 0;
	req->n_bytes = 0;
	req->sector = 0;
	load->n_flushes++;
}

static void make_request(struct vfe_load *load, struct vfe_req *req, uint32_t first, uint32_t n)
{
	const struct vfe_model *model = load->model;

	req->tag = (uint64_t)n << 32 | first;
	req->sector = block_sector(model, first);
	req->n_bytes = n * model->block_sectors * VFE_SECTOR_BYTES;
	req->layout = load_layouts[random_below(load, 5)];
	if (random_below(load, 100) < load->opts.flush_percent) {
		make_flush(load, req);
	} else if (random_below(load, 100) < load->opts.write_percent) {
		make_write(load, req);
	} else {
		req->device_writes = true;
		vfe_mem_fill(&load->io.blk->mem, req->data_gpa, 0xa5, req->n_bytes);
		load->n_reads++;
	}
}

static void note_sent(struct vfe_load *load, const struct vfe_req *req)
{
	enum vfe_change change = req->type == VIRTIO_BLK_T_OUT       ? VFE_CHANGE_WRITE
				 : req->type == VIRTIO_BLK_T_DISCARD ? VFE_CHANGE_DISCARD
								     : VFE_CHANGE_ZEROES;

	mark(load, req, true);
	if (load->model->durable && req->type != VIRTIO_BLK_T_IN && req->type != VIRTIO_BLK_T_FLUSH)
		vfe_durable_sent(load->model->durable, (uint32_t)req->tag,
				 (uint32_t)(req->tag >> 32), load->model->last_generation, change);
}

unsigned int vfe_load_send(struct vfe_load *load, unsigned int n_more)
{
	struct vfe_req *req;
	unsigned int sent;
	uint32_t first, n;

	for (sent = 0; sent < n_more; sent++) {
		req = vfe_io_get(&load->io);
		if (!req)
			break;
		n = pick_blocks(load, &first);
		if (n == 0) {
			vfe_io_put(&load->io, req);
			break;
		}
		make_request(load, req, first, n);
		if (!load->io.ring->opts.n_indirect)
			req->layout.indirect = false;
		if (vfe_io_submit(&load->io, req) < 0) { /* the ring is full */
			vfe_io_put(&load->io, req);
			break;
		}
		note_sent(load, req);
	}
	load->n_sent += sent;
	vfe_io_kick(&load->io);
	return sent;
}

static bool check_read(struct vfe_load *load, const struct vfe_req *req)
{
	struct vfe_model *model = load->model;
	uint32_t n = (uint32_t)(req->tag >> 32), first = (uint32_t)req->tag, i;
	uint32_t block_bytes = model->block_sectors * VFE_SECTOR_BYTES;

	vfe_mem_read(&load->io.blk->mem, req->data_gpa, load->buf, req->n_bytes);
	for (i = 0; i < n; i++) {
		if (!vfe_model_agrees(model, first + i, load->buf + i * block_bytes, load->failure,
				      sizeof(load->failure)))
			return false;
	}
	return true;
}

static void note_change(struct vfe_load *load, const struct vfe_req *req)
{
	uint32_t n = (uint32_t)(req->tag >> 32), first = (uint32_t)req->tag, i;
	struct vfe_model *model = load->model;

	for (i = first; i < first + n && req->type == VIRTIO_BLK_T_DISCARD; i++)
		model->doubt[i] = 1;
	for (; i < first + n; i++) {
		model->generation[i] = (uint64_t)(uintptr_t)req->user;
		model->doubt[i] = 0;
	}
	if (model->durable)
		vfe_durable_acked(model->durable, first, n);
}

static int finish(struct vfe_load *load, struct vfe_req *req)
{
	bool ok = true;

	mark(load, req, false);
	load->n_done++;
	if (req->status != VIRTIO_BLK_S_OK || req->used_bytes != vfe_req_used_expected(req)) {
		snprintf(load->failure, sizeof(load->failure),
			 "type %u sector %" PRIu64 " bytes %u (%s): status %u, used length %u",
			 req->type, req->sector, req->n_bytes, req->layout.name, req->status,
			 req->used_bytes);
		ok = false;
	} else if (req->type == VIRTIO_BLK_T_IN) {
		ok = check_read(load, req);
	} else if (req->type != VIRTIO_BLK_T_FLUSH) {
		note_change(load, req);
	} else if (load->model->durable) {
		vfe_durable_flushed(load->model->durable, (uint64_t)(uintptr_t)req->user);
	}
	vfe_io_put(&load->io, req);
	return ok ? 0 : -EIO;
}

int vfe_load_reap(struct vfe_load *load)
{
	struct vfe_req *req;
	int n = 0, rc;

	while ((rc = vfe_io_reap(&load->io, &req)) == 1) {
		rc = finish(load, req);
		if (rc)
			return rc;
		n++;
	}
	if (rc < 0)
		snprintf(load->failure, sizeof(load->failure), "the used ring makes no sense: %d",
			 rc);
	return rc < 0 ? rc : n;
}

int vfe_load_run(struct vfe_load *load, unsigned int n_loads, uint64_t n_requests)
{
	int64_t deadline_ms = vfe_now_ms() + VFE_TIMEOUT_MS;
	uint64_t n_sent = 0, n_done = 0;
	unsigned int i, n_round;
	int rc;

	while (n_done < n_requests) {
		n_round = 0;
		for (i = 0; i < n_loads; i++) {
			uint64_t left = n_requests - n_sent;

			n_sent += vfe_load_send(&load[i], left > 64 ? 64 : (unsigned int)left);
			rc = vfe_load_reap(&load[i]);
			if (rc < 0)
				return rc;
			n_round += (unsigned int)rc;
		}
		n_done += n_round;
		if (n_round > 0) {
			deadline_ms = vfe_now_ms() + VFE_TIMEOUT_MS;
			continue;
		}
		if (vfe_now_ms() >= deadline_ms)
			return -ETIMEDOUT;
		/* One load sleeps for its interrupt; several take turns. */
		if (n_loads == 1 && !load->opts.polling)
			vfe_ring_wait(load->io.ring, 100);
		else
			sched_yield();
	}
	return 0;
}

void vfe_load_abandon(struct vfe_load *load)
{
	struct vfe_model *model = load->model;
	const struct vfe_ring *ring = load->io.ring;
	const struct vfe_req *req;
	uint32_t first, n, i;
	uint16_t head;

	for (head = 0; head < ring->opts.size; head++) {
		req = ring->slot[head].token;
		if (!req)
			continue;
		mark(load, req, false);
		if (req->type == VIRTIO_BLK_T_IN || req->type == VIRTIO_BLK_T_FLUSH)
			continue;
		n = (uint32_t)(req->tag >> 32);
		first = (uint32_t)req->tag;
		for (i = 0; i < n; i++)
			model->doubt[first + i] = (uint64_t)(uintptr_t)req->user + 1;
	}
}
