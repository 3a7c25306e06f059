/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device_load.h"

#include "device/device.h"
#include "engine/lcore.h"
#include "pure/spread.h"

#define BLOCK_BYTES 4096u
#define KEPT        4 /* the newest measurement is one part in so many of the mean */

/* Moves a mean towards what was measured now. */
static void add_to_mean(uint32_t *mean_ppm, uint64_t now_ppm)
{
	*mean_ppm = (uint32_t)(((KEPT - 1) * (uint64_t)*mean_ppm + now_ppm) / KEPT);
}

static void measure_lcores(struct lcore_loads *loads, struct lcores *lcores)
{
	uint64_t now_tsc = 0;

	for (unsigned int i = 0; i < lcores_count(lcores); i++) {
		struct lcore_view view;
		uint64_t busy_tsc;

		lcore_view_get(lcores_nth(lcores, i), &view);
		now_tsc = view.now_tsc;
		busy_tsc = view.busy_tsc - loads->lcores[i].seen_busy_tsc;
		loads->lcores[i].seen_busy_tsc = view.busy_tsc;
		loads->lcores[i].lanes_tsc = 0;
		loads->lcores[i].busy_ppm = 0;
		if (loads->seen_tsc && now_tsc > loads->seen_tsc)
			loads->lcores[i].busy_ppm = (uint32_t)((double)busy_tsc * SPREAD_WHOLE_PPM /
							       (double)(now_tsc - loads->seen_tsc));
		add_to_mean(&loads->lcores[i].ppm, loads->lcores[i].busy_ppm);
	}
	loads->seen_tsc = now_tsc;
}

static void measure_lanes(struct lcore_loads *loads, struct device *dev)
{
	for (unsigned int i = 0; i < lcores_count(dev->lcores); i++) {
		struct device_lane *l = &dev->lanes[i];
		uint64_t busy_tsc;

		if (!l->lane)
			continue;
		busy_tsc = counter_get(&l->lane->busy_tsc);
		l->spent_tsc = busy_tsc - l->seen_tsc;
		l->seen_tsc = busy_tsc;
		loads->lcores[i].lanes_tsc += l->spent_tsc;
	}
}

/* What a virtqueue has done so far. */
static uint64_t work_of(const struct queue_counters *c)
{
	return counter_get(&c->reads) + counter_get(&c->writes) + counter_get(&c->flushes) +
	       counter_get(&c->discards) + counter_get(&c->write_zeroes) +
	       (counter_get(&c->read_bytes) + counter_get(&c->written_bytes)) / BLOCK_BYTES;
}

/* The part of the lcore's time that a lane took. */
static double lane_ppm(const struct lcore_loads *loads, const struct device *dev,
		       unsigned int lcore)
{
	uint64_t all_tsc = loads->lcores[lcore].lanes_tsc;

	return all_tsc ? (double)loads->lcores[lcore].busy_ppm *
				 (double)dev->lanes[lcore].spent_tsc / (double)all_tsc
		       : 0;
}

static void share_out(const struct lcore_loads *loads, struct device *dev)
{
	uint64_t work[VHOSTD_QUEUES_MAX], of_lcore[VHOSTD_LCORES_MAX] = {0};

	for (unsigned int i = 0; i < dev->spec.n_queues; i++) {
		uint64_t now = work_of(&dev->counters[i]);

		work[i] = now - dev->loads[i].seen_work;
		dev->loads[i].seen_work = now;
		of_lcore[dev->placed[i]] += work[i];
	}
	for (unsigned int i = 0; i < dev->spec.n_queues; i++) {
		unsigned int lcore = dev->placed[i];
		double part = of_lcore[lcore] ? (double)work[i] / (double)of_lcore[lcore] : 0;

		add_to_mean(&dev->loads[i].ppm, (uint64_t)(part * lane_ppm(loads, dev, lcore)));
	}
}

void load_measure(struct lcore_loads *loads, struct lcores *lcores, struct registry *registry)
{
	struct device *dev;

	measure_lcores(loads, lcores);
	for (dev = registry_next(registry, NULL); dev; dev = registry_next(registry, dev))
		if (device_is_open(dev))
			measure_lanes(loads, dev);
	for (dev = registry_next(registry, NULL); dev; dev = registry_next(registry, dev))
		if (device_is_open(dev))
			share_out(loads, dev);
}
