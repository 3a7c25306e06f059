/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Verified load: random reads, writes, write-zeroes and discards over an area of a disk, many at a
 * time, on any number of queues; every byte read is compared with what a model of the area says.
 *
 * The model knows a generation for each block. A block has at most one request in flight, on
 * whatever queue. A write that was sent and not answered leaves its blocks "in doubt": each of
 * their sectors may hold the old or the new generation, which is what a disk may do when it goes
 * away; and so do blocks that were discarded, with zeroes for the new one.
 *
 * One thread uses a model and all its loads.
 */
#ifndef VFE_VERIFY_H
#define VFE_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "vfe_durable.h"
#include "vfe_io.h"

struct vfe_model {
	uint64_t first_sector;
	uint32_t block_sectors;
	uint32_t n_blocks;
	uint64_t last_generation;
	uint64_t *generation; /* by block: acknowledged; 0: zeroes */
	uint64_t *doubt;      /* by block: of a write that was not answered; 0 none, else gen + 1 */
	bool *busy;           /* by block: a request is in flight */
	struct vfe_durable *durable; /* the caller's, kept up to date; NULL: none */
};

struct vfe_load_opts {
	uint16_t depth;      /* requests in flight */
	uint32_t max_blocks; /* a request has 1..max_blocks */
	unsigned int write_percent;
	unsigned int zero_percent;    /* of the writes are WRITE_ZEROES */
	unsigned int discard_percent; /* of these are DISCARD instead */
	unsigned int flush_percent;
	bool polling;
	uint64_t seed;
};

/* One queue's part of the load. */
struct vfe_load {
	struct vfe_model *model;
	struct vfe_io io;
	struct vfe_load_opts opts;
	uint64_t random;
	uint64_t n_sent, n_done, n_writes, n_reads, n_zeroes, n_discards, n_flushes;
	uint8_t *buf;      /* of one request */
	char failure[256]; /* empty: none */
};

/* An area of zeroes (as a new disk is). 0 or -ENOMEM. */
int vfe_model_init(struct vfe_model *model, uint64_t first_sector, uint32_t block_sectors,
		   uint32_t n_blocks);
void vfe_model_fini(struct vfe_model *model);

/*
 * Does `data` (of one block, at `block`) agree with the model? A block in doubt agrees with either
 * of its generations, sector by sector. On disagreement `failure` says what was found.
 */
bool vfe_model_agrees(const struct vfe_model *model, uint32_t block, const void *data,
		      char *failure, size_t max);

/* The doubts are over: later reads must agree with what `data` holds now. */
void vfe_model_settle(struct vfe_model *model, uint32_t block, const void *data);

/* 0 or -errno. */
int vfe_load_init(struct vfe_load *load, struct vfe_model *model, struct vfe_blk *blk, uint16_t q,
		  const struct vfe_load_opts *opts);
void vfe_load_fini(struct vfe_load *load);

/* Send as many requests as fit, up to `n_more`, and kick. How many were sent. */
unsigned int vfe_load_send(struct vfe_load *load, unsigned int n_more);

/* Take and check all answers that are there. How many, or -errno; `failure` tells. */
int vfe_load_reap(struct vfe_load *load);

/*
 * Run `n_requests` over the loads together and wait for the last. 0; -EIO and a `failure` in one of
 * the loads; -ETIMEDOUT when no load gets an answer for VFE_TIMEOUT_MS.
 */
int vfe_load_run(struct vfe_load *load, unsigned int n_loads, uint64_t n_requests);

/* The device is gone: blocks of requests without an answer are in doubt from now on. */
void vfe_load_abandon(struct vfe_load *load);

#endif
