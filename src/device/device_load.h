/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How much of an lcore's time each virtqueue takes. CTRL measures about once a second: an lcore's
 * busy time, which is shared out among the lanes by the time that their turns took, and within a
 * lane among its virtqueues by what they did, a request counting as much as 4 KiB of data. What it
 * tells is the mean of the last seconds, the newest ones counting most.
 */
#ifndef DEVICE_DEVICE_LOAD_H
#define DEVICE_DEVICE_LOAD_H

#include <stdint.h>

#include "base/thread_role.h"
#include "vhostd/limits.h"

struct lcores;
struct registry;

/** A virtqueue's. CTRL's. */
struct queue_load {
	uint64_t seen_work; /* when it was measured last */
	uint32_t ppm;       /* of an lcore */
};

/** The lcores'. CTRL's. */
struct lcore_loads {
	uint64_t seen_tsc; /* when they were measured last; 0: never */
	struct {
		uint64_t seen_busy_tsc;
		uint32_t busy_ppm;  /* since the last time */
		uint64_t lanes_tsc; /* the same, of all its lanes */
		uint32_t ppm;       /* the mean */
	} lcores[VHOSTD_LCORES_MAX];
};

/** Measures what has been done since the last call. */
void load_measure(struct lcore_loads *loads, struct lcores *lcores,
		  struct registry *registry) IN_CTRL;

#endif
