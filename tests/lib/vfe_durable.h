/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a disk must still have after a power failure (virtio 1.2, 5.2.6.2): a second model beside
 * vfe_model's, of the same blocks.
 *
 * Each request that changes blocks has a number; later ones have higher ones, and a write's number
 * is the generation of its pattern. A block's stable number is that of the last request that was
 * made durable: by a FLUSH that was sent after it had completed, and has completed itself; or by
 * the write cache's being off from its sending to its completion. After a power failure each sector
 * of the block has in it what this request left, or what any later one did. A DISCARD makes nothing
 * durable: it may have left anything.
 */
#ifndef VFE_DURABLE_H
#define VFE_DURABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vfe_change { VFE_CHANGE_WRITE, VFE_CHANGE_ZEROES, VFE_CHANGE_DISCARD };

struct vfe_durable_block {
	uint64_t stable, acked, sent, zeroed; /* numbers; zeroed: the last that may leave zeroes */
	uint64_t lost;                        /* requests of older numbers, but stable, are gone */
	uint64_t nth_ack;                     /* acked was the disk's nth acknowledgement */
	bool stable_zeroes, acked_zeroes;     /* instead of a pattern */
	bool through;                         /* sent: the cache was off ever since */
	enum vfe_change change;               /* sent */
};

struct vfe_durable {
	bool through; /* the write cache is off */
	uint64_t n_acks;
	uint64_t n_made_durable; /* blocks, so far */
	struct vfe_durable_block *block;
	uint32_t n_blocks;
};

/* All zeroes, and durable. 0 or -ENOMEM. */
int vfe_durable_init(struct vfe_durable *d, uint32_t n_blocks);
void vfe_durable_fini(struct vfe_durable *d);

/* The write cache: off (true) once the device has said so, on (false) before it is told so. */
void vfe_durable_set_through(struct vfe_durable *d, bool through);

/* A request for n blocks from `first` on was sent, or has completed. */
void vfe_durable_sent(struct vfe_durable *d, uint32_t first, uint32_t n, uint64_t number,
		      enum vfe_change change);
void vfe_durable_acked(struct vfe_durable *d, uint32_t first, uint32_t n);

/* A FLUSH has completed; `n_acks` is what d->n_acks was when it was sent. */
void vfe_durable_flushed(struct vfe_durable *d, uint64_t n_acks);

/* After the failure: may the block's sectors, from `sector` on, be `data`? On disagreement
 * `failure` says what was found. */
bool vfe_durable_agrees(const struct vfe_durable *d, uint32_t block, uint64_t sector,
			uint32_t n_sectors, const void *data, char *failure, size_t max);

/* What is there now is durable: the generation in all of the block's sectors. */
void vfe_durable_settle(struct vfe_durable *d, uint32_t block, uint64_t generation);

#endif
