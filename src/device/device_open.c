/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Opening and closing a disk: a JOB's work, which may take long.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/device.h"
#include "device/vhost_msg.h"
#include "engine/lcore.h"

#define MAX_SECTORS UINT32_MAX

static uint32_t to_sectors(uint64_t n_bytes)
{
	uint64_t n = n_bytes / SECTOR_BYTES;

	return n > MAX_SECTORS ? MAX_SECTORS : (uint32_t)n;
}

/* What the guest sees, from what was asked for and what the store can do. */
static void fill_disk(struct device *dev)
{
	const struct store_caps *caps = &dev->store->caps;
	struct blk_disk *disk = &dev->disk;

	atomic_init(&disk->capacity_sectors,
		    atomic_load_explicit(&dev->store->capacity_bytes, memory_order_relaxed) /
			    SECTOR_BYTES);
	atomic_init(&disk->write_cache, true);
	disk->block_size_bytes = dev->spec.block_size_bytes;
	disk->n_queues = dev->spec.n_queues;
	disk->readonly = dev->spec.readonly || caps->readonly;
	if (caps->discard) {
		disk->max_discard_sectors = to_sectors(caps->discard_max_bytes);
		disk->discard_alignment_sectors = to_sectors(caps->discard_granularity_bytes);
	}
	if (caps->write_zeroes)
		disk->max_write_zeroes_sectors = to_sectors(caps->write_zeroes_max_bytes);
	memset(disk->serial, 0, sizeof(disk->serial));
	memcpy(disk->serial, dev->spec.serial, strnlen(dev->spec.serial, sizeof(disk->serial)));
}

static void close_lanes(struct device *dev) IN_JOB
{
	for (unsigned int i = 0; i < lcores_count(dev->lcores); i++) {
		if (dev->lanes[i].lane)
			lane_free(dev->lanes[i].lane);
		dev->lanes[i] = (struct device_lane){0};
	}
}

int device_open_lane(struct device *dev, unsigned int lcore, struct lane **ret_lane,
		     struct error *err)
{
	const struct lane_params params = {
		.lcore = lcores_nth(dev->lcores, lcore),
		.store = dev->store,
		.disk = &dev->disk,
		.coalesce = &dev->coalesce,
		.qos = &dev->qos,
		.device = dev->number,
		.idle_tsc =
			dev->poll == POLL_BUSY ? UINT64_MAX : lcore_tsc_of_us(dev->poll_idle_us),
	};

	return lane_new(&params, ret_lane, err);
}

static int open_lanes(struct device *dev, struct error *err) IN_JOB
{
	for (unsigned int i = 0; i < dev->spec.n_queues; i++) {
		unsigned int lcore = dev->placed[i];
		struct device_lane *l = &dev->lanes[lcore];

		if (!l->lane && device_open_lane(dev, lcore, &l->lane, err)) {
			close_lanes(dev);
			return -1;
		}
		atomic_init(&dev->endpoint.lanes[i], l->lane);
	}
	return 0;
}

int device_open(struct device *dev, struct error *err)
{
	const struct store_params params = {
		.kind = dev->spec.backend,
		.name = dev->spec.name,
		.path = dev->spec.path,
		.size_bytes = dev->spec.size_bytes,
		.block_size_bytes = dev->spec.block_size_bytes,
		.readonly = dev->spec.readonly,
		.uring = dev->spec.uring,
		.offload = dev->offload,
	};

	job_say(&dev->job, "opening the store");
	if (store_open(&params, &dev->store, err))
		return -1;
	fill_disk(dev);
	job_say(&dev->job, "making channels to the store");
	if (open_lanes(dev, err))
		goto close_store;
	dev->endpoint.features = blk_features(&dev->disk) | 1ull << VHOST_F_PROTOCOL_FEATURES;
	job_say(&dev->job, "making the socket");
	if (endpoint_open(&dev->endpoint, err))
		goto close_lanes;
	return 0;

close_lanes:
	close_lanes(dev);
close_store:
	store_close(dev->store);
	dev->store = NULL;
	return -1;
}

void device_close(struct device *dev)
{
	job_say(&dev->job, "closing channels to the store");
	close_lanes(dev);
	job_say(&dev->job, "closing the store");
	store_close(dev->store);
	dev->store = NULL;
}
