/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The registry's insides, for registry*.c.
 */
#ifndef DEVICE_REGISTRY_IMPL_H
#define DEVICE_REGISTRY_IMPL_H

#include "device/device.h"

struct registry {
	struct registry_params params;
	char socket_dir[sizeof(((struct endpoint *)0)->path)];
	struct jobs jobs;
	struct admission admission;
	struct device *devices;
	unsigned int n_devices;
	uint32_t n_added;     /* so far */
	uint64_t n_overstays; /* so far */
	struct lcore_loads loads;
	registry_done_fn shutdown_done;
	void *shutdown_arg;
};

/** After whatever may have been the last thing that a deletion waited for. */
void registry_remove_if_quiet(struct registry *registry, struct device *dev) IN_CTRL;

/** Chooses the lcores for a new disk's virtqueues: its own if it has any, the least loaded ones. */
void registry_place(struct registry *registry, struct device *dev) IN_CTRL;

#endif
