/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The registry's insides, for registry.c and registry_events.c.
 */
#ifndef DEVICE_REGISTRY_IMPL_H
#define DEVICE_REGISTRY_IMPL_H

#include "device/device.h"

struct registry {
	struct registry_params params;
	char socket_dir[sizeof(((struct endpoint *)0)->path)];
	struct jobs jobs;
	struct device *devices;
	unsigned int n_devices;
	uint32_t n_added;        /* so far */
	uint64_t n_overstays;    /* so far */
	unsigned int next_lcore; /* where the next device's queues begin */
	registry_done_fn shutdown_done;
	void *shutdown_arg;
};

/** After whatever may have been the last thing that a deletion waited for. */
void registry_remove_if_quiet(struct registry *registry, struct device *dev) IN_CTRL;

#endif
