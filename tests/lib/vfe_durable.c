/* SPDX-License-Identifier: BSD-3-Clause */
#include "vfe_durable.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfe_pattern.h"

#define SECTOR_BYTES 512u

int vfe_durable_init(struct vfe_durable *d, uint32_t n_blocks)
{
	*d = (struct vfe_durable){.n_blocks = n_blocks};
	d->block = calloc(n_blocks, sizeof(*d->block));
	if (!d->block)
		return -ENOMEM;
	for (uint32_t i = 0; i < n_blocks; i++)
		vfe_durable_settle(d, i, 0);
	return 0;
}

void vfe_durable_fini(struct vfe_durable *d)
{
	free(d->block);
	d->block = NULL;
}

void vfe_durable_set_through(struct vfe_durable *d, bool through)
{
	d->through = through;
	for (uint32_t i = 0; i < d->n_blocks && !through; i++)
		d->block[i].through = false;
}

void vfe_durable_sent(struct vfe_durable *d, uint32_t first, uint32_t n, uint64_t number,
		      enum vfe_change change)
{
	for (struct vfe_durable_block *b = &d->block[first]; b < &d->block[first + n]; b++) {
		b->sent = number;
		b->change = change;
		b->through = d->through;
		if (change != VFE_CHANGE_WRITE)
			b->zeroed = number;
	}
}

static void make_stable(struct vfe_durable *d, struct vfe_durable_block *b)
{
	if (b->acked <= b->stable)
		return;
	b->stable = b->acked;
	b->stable_zeroes = b->acked_zeroes;
	d->n_made_durable++;
}

void vfe_durable_acked(struct vfe_durable *d, uint32_t first, uint32_t n)
{
	d->n_acks++;
	for (struct vfe_durable_block *b = &d->block[first]; b < &d->block[first + n]; b++) {
		if (b->change == VFE_CHANGE_DISCARD)
			continue;
		b->acked = b->sent;
		b->acked_zeroes = b->change == VFE_CHANGE_ZEROES;
		b->nth_ack = d->n_acks;
		if (b->through)
			make_stable(d, b);
	}
}

void vfe_durable_flushed(struct vfe_durable *d, uint64_t n_acks)
{
	for (uint32_t i = 0; i < d->n_blocks; i++) {
		if (d->block[i].nth_ack <= n_acks)
			make_stable(d, &d->block[i]);
	}
}

bool vfe_durable_agrees(const struct vfe_durable *d, uint32_t block, uint64_t sector,
			uint32_t n_sectors, const void *data, char *failure, size_t max)
{
	const struct vfe_durable_block *b = &d->block[block];
	const uint8_t *at = data;
	uint64_t generation;

	for (uint32_t i = 0; i < n_sectors; i++, at += SECTOR_BYTES) {
		bool known = vfe_pattern_generation(at, sector + i, &generation);

		if (known && generation == 0 && (b->stable_zeroes || b->zeroed > b->stable))
			continue;
		if (known && generation > 0 &&
		    (generation == b->stable || (generation > b->stable && generation > b->lost)))
			continue;
		snprintf(failure, max,
			 "sector %" PRIu64 " should have generation %" PRIu64 "%s or a later one, "
			 "of %" PRIu64 " at most: %s",
			 sector + i, b->stable, b->stable_zeroes ? " (zeroes)" : "", b->sent,
			 vfe_pattern_describe(at));
		return false;
	}
	return true;
}

void vfe_durable_settle(struct vfe_durable *d, uint32_t block, uint64_t generation)
{
	struct vfe_durable_block *b = &d->block[block];

	*b = (struct vfe_durable_block){.stable = generation ? generation : b->sent,
					.stable_zeroes = generation == 0,
					.lost = b->sent,
					.sent = b->sent};
	b->acked = b->stable;
}
