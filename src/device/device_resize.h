/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Another capacity for a disk at run time. A JOB resizes the store; new requests are checked
 * against the new capacity from then on, and the guest is told. A disk that has become smaller has
 * requests in flight that were checked against the old one: the resize has ended when they have, so
 * that whoever asked for it may give away what lies behind the new end. Nothing waits: each
 * virtqueue has a fence (engine/queue.h), or is being drained anyway.
 */
#ifndef DEVICE_DEVICE_RESIZE_H
#define DEVICE_DEVICE_RESIZE_H

#include <stdbool.h>

#include "base/thread_role.h"

struct device;
struct ring_run;

/** Does a resize wait for requests that are older than it? Never longer than there are runs. */
bool device_is_shrinking(const struct device *dev) IN_CTRL;

/** How many. */
unsigned int device_n_fenced(const struct device *dev) IN_CTRL;

/** It is served by another lcore now, and will be until after this is said again. */
void device_fence_moved(struct ring_run *run) IN_CTRL;

/** What the run had in flight when the disk was resized, if it was, has ended. */
void device_on_run_fenced(struct device *dev, struct ring_run *run) IN_CTRL;

#endif
