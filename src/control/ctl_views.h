/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How devices, queues, lcores and the tables look as JSON. The result belongs to the caller.
 */
#ifndef CONTROL_CTL_VIEWS_H
#define CONTROL_CTL_VIEWS_H

#include <json.h>

#include "base/thread_role.h"
#include "device/registry.h"
#include "engine/lcore.h"
#include "vhostd/methods.h"

/** All there is to know. */
struct json_object *view_device(const struct device *dev) IN_CTRL;

/** Its interrupt coalescing. */
struct json_object *view_device_coalesce(const struct device *dev) IN_CTRL;

/** What a list needs. */
struct json_object *view_device_short(const struct device *dev) IN_CTRL;

/** Its limits, and what they have held back. */
struct json_object *view_device_qos(const struct device *dev) IN_CTRL;

/** Its counters: totals, and each queue's. */
struct json_object *view_device_stats(const struct device *dev, bool with_queues) IN_CTRL;

/** An lcore, with the names of the devices of which it serves a queue. */
struct json_object *view_lcore(struct registry *registry, const struct lcore *lcore) IN_CTRL;

/** What a rebalancing moves, and how loaded the lcores are before and after it. */
struct json_object *view_rebalance(const struct rebalance_plan *plan, bool applied) IN_CTRL;

/** Adds the lcore's slow turns that were traced since then to a list, oldest first, each with the
 *  pieces of work it was made of. */
void view_traced_turns(struct json_object *list, struct registry *registry,
		       const struct lcore *lcore, uint64_t since_tsc) IN_CTRL;

/** The rows of a parameter table. */
struct json_object *view_params(const struct vhostd_param *table, unsigned int n_rows);

/** The table of errors. */
struct json_object *view_errors(void);

/** The limits of vhostd/limits.h. */
struct json_object *view_limits(void);

#endif
