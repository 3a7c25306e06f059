/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device_step.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "device/device.h"
#include "engine/lcore.h"

static const struct {
	const char *name;
	enum step_deadline deadline;
	const char *awaited;
} steps[DEVICE_N_STEPS] = {
#define STEP_ROW(name, text, deadline, awaited) {text, DEADLINE_##deadline, awaited},
	DEVICE_STEPS(STEP_ROW)
#undef STEP_ROW
};

const char *device_step_name(enum device_step step)
{
	return step < DEVICE_N_STEPS ? steps[step].name : "?";
}

/* Is a ring being stopped whose requests have not all ended? */
static bool is_draining(const struct device *dev)
{
	for (const struct ring_run *run = dev->runs; run; run = run->next)
		if (run->state == RUN_STOPPING)
			return true;
	return false;
}

static enum device_step current_step(const struct device *dev) IN_CTRL
{
	if (dev->state == DEVICE_NEW)
		return STEP_OPEN;
	if (dev->state == DEVICE_REMOVING || dev->state == DEVICE_GONE)
		return STEP_CLOSE;
	if (is_draining(dev))
		return STEP_DRAIN;
	if (device_is_shrinking(dev))
		return STEP_SHRINK;
	if (dev->state != DEVICE_QUIESCING && device_is_moving(dev))
		return STEP_MOVE;
	if (dev->job_running)
		return STEP_RESIZE;
	if (dev->state != DEVICE_QUIESCING)
		return STEP_NONE;
	if (!dev->conn && !device_pin_is_idle(dev))
		return STEP_UNPIN;
	return dev->store_watch.looking && !dev->conn ? STEP_LOOK : STEP_DISCONNECT;
}

void device_step_update(struct device *dev)
{
	enum device_step step = current_step(dev);
	struct step_watch *watch = &dev->watch;

	if (step == watch->step)
		return;
	if (watch->told)
		log_notice(dev->spec.name, "the step \"%s\" has ended after %" PRIu64 " s",
			   device_step_name(watch->step), (now_us() - watch->since_us) / 1000000);
	watch->step = step;
	watch->since_us = now_us();
	watch->told = false;
}

bool device_step_check(struct device *dev, const struct step_deadlines *deadlines)
{
	struct step_watch *watch = &dev->watch;
	uint64_t age_us = now_us() - watch->since_us;
	uint32_t limit_s = deadlines->s[steps[watch->step].deadline];
	char text[DEVICE_WAITS_FOR_BYTES];

	if (watch->told || limit_s == 0 || age_us < (uint64_t)limit_s * 1000000)
		return false;
	watch->told = true;
	watch->n_overstays++;
	device_step_describe(dev, text, sizeof(text));
	log_warning(dev->spec.name, "%s: the step \"%s\" takes longer than %u s; it waits for %s",
		    device_state_name(dev->state), device_step_name(watch->step), limit_s, text);
	return true;
}

static unsigned int n_inflight(const struct device *dev)
{
	unsigned int n = 0;

	for (const struct ring_run *run = dev->runs; run; run = run->next)
		n += atomic_load_explicit(&run->queue->n_inflight, memory_order_relaxed);
	return n;
}

static void describe_move(const struct device *dev, char *buf, size_t size)
{
	for (const struct ring_run *run = dev->runs; run; run = run->next) {
		struct queue *q = run->queue;

		if (run->state != RUN_MOVING)
			continue;
		snprintf(buf, size,
			 "%u requests in flight on virtqueue %u, which moves to lcore %u",
			 atomic_load_explicit(&q->n_inflight, memory_order_relaxed), q->index,
			 lcore_id(q->move_to->lcore));
		return;
	}
	snprintf(buf, size, "a channel to the store on another lcore");
}

void device_step_describe(const struct device *dev, char *buf, size_t size)
{
	const char *work = job_work(&dev->job);
	enum device_step step = current_step(dev);

	buf[0] = '\0';
	switch (step) {
	case STEP_NONE:
		return;
	case STEP_SHRINK:
		snprintf(buf, size, "%u requests in flight from before the disk was made smaller",
			 device_n_fenced(dev));
		return;
	case STEP_MOVE:
		describe_move(dev, buf, size);
		return;
	case STEP_UNPIN:
		snprintf(buf, size, "%s", steps[step].awaited);
		return;
	case STEP_OPEN:
	case STEP_RESIZE:
	case STEP_LOOK:
	case STEP_CLOSE:
		snprintf(buf, size, "%s%s%s", steps[step].awaited, work ? "; the worker is " : "",
			 work ? work : "");
		return;
	case STEP_DRAIN:
		snprintf(buf, size, "%u requests in flight%s", n_inflight(dev),
			 dev->closed_conns ? ", of a connection that has ended" : "");
		return;
	case STEP_DISCONNECT:
		if (dev->conn)
			snprintf(buf, size, "the connection of pid %d to close", dev->conn->pid);
		else if (dev->endpoint.door.visitor)
			snprintf(buf, size,
				 "the event thread, which takes the connection of pid %d",
				 dev->endpoint.door.visitor->pid);
		else if (dev->closed_conns)
			snprintf(buf, size,
				 "the event thread, which closes the connection of pid %d",
				 dev->closed_conns->pid);
		else if (dev->endpoint.door.state == DOOR_SHUT)
			snprintf(buf, size, "the socket's file to be removed");
		else
			snprintf(buf, size, "%s", steps[step].awaited);
		return;
	case DEVICE_N_STEPS:
		return;
	}
}
