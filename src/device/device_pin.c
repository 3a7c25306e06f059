/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device_pin.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "device/device.h"
#include "device/registry_impl.h"
#include "engine/lcore.h"

#define TRIES_MAX 5

static const char *state_name(enum pin_state state)
{
	static const char *const names[] = {
		[PIN_RESTING] = "resting", [PIN_PINNING] = "pinning", [PIN_TELLING] = "telling"};

	return names[state];
}

/* The only writer of pin->state. */
static void enter(struct device *dev, enum pin_state state) IN_CTRL
{
	struct device_pin *pin = &dev->pin;

	CHECK((pin->state == PIN_RESTING) != (state == PIN_RESTING), "pinning begins and ends");
	log_debug(dev->spec.name, "pinning memory: %s -> %s", state_name(pin->state),
		  state_name(state));
	pin->state = state;
}

static void give_up(struct device *dev, struct guest_map **map) IN_CTRL
{
	if (*map)
		guest_map_put(*map, registry_jobs(dev->registry));
	*map = NULL;
}

/* Tells the next lane that was not told yet; false when there is none. */
static bool tell_next(struct device *dev) IN_CTRL
{
	struct device_pin *pin = &dev->pin;

	for (unsigned int i = 0; i < lcores_count(dev->lcores); i++) {
		struct device_lane *l = &dev->lanes[i];

		if (!l->lane || l->pinned == pin->used)
			continue;
		enter(dev, PIN_TELLING);
		pin->telling = i;
		pin->msg = (struct lane_pinned_msg){
			.lane = l->lane,
			.pinned = pin->used ? pin->used->pinned : NULL,
			.events = dev->endpoint.events,
		};
		msg_init(&pin->msg.msg, LCORE_MSG_USE_PINNED);
		lcore_send(l->lane->lcore, &pin->msg.msg);
		return true;
	}
	return false;
}

void device_pin_on_told(struct device *dev)
{
	struct device_pin *pin = &dev->pin;

	dev->lanes[pin->telling].pinned = pin->used;
	if (pin->msg.result)
		snprintf(pin->why, sizeof(pin->why), "lcore %u has no use of it: %s",
			 lcore_id(pin->msg.lane->lcore), strerror(-pin->msg.result));
	enter(dev, PIN_RESTING);
	device_pin_settle(dev);
}

static void pin_run(struct job *job)
{
	struct device *dev = container_of(job, struct device, pin.job);
	struct device_pin *pin = &dev->pin;

	role_assert(&role_job);
	guest_map_pin(pin->making, pin->used, &pin->cancel, pin->why);
}

static void pin_done(struct job *job)
{
	struct device *dev = container_of(job, struct device, pin.job);
	struct device_pin *pin = &dev->pin;
	struct guest_map *made = pin->making;

	role_assert(&role_ctrl);
	enter(dev, PIN_RESTING);
	pin->making = NULL;
	if (made != pin->wanted) {
		give_up(dev, &made);
	} else if (made->pinned) {
		pin->why[0] = '\0';
		pin->leaving = pin->used;
		pin->used = made;
	} else {
		log_limited(&dev->endpoint.visits, LOG_LEVEL_NOTICE, dev->spec.name,
			    "the guest's memory is not pinned: %s", pin->why);
		pin->refused = made;
		give_up(dev, &made);
	}
	device_pin_settle(dev);
	registry_remove_if_quiet(dev->registry, dev);
	device_step_update(dev);
}

static void begin_pinning(struct device *dev) IN_CTRL
{
	struct device_pin *pin = &dev->pin;

	enter(dev, PIN_PINNING);
	pin->n_tries++;
	pin->making = pin->wanted;
	guest_map_get_again(pin->making);
	atomic_store_explicit(&pin->cancel, false, memory_order_relaxed);
	job_start(registry_jobs(dev->registry), &pin->job, "pin a guest's memory", pin_run,
		  pin_done);
}

/* What the lanes are to use, but for having it pinned. */
static struct guest_map *target(const struct device_pin *pin)
{
	return pin->wanted == pin->refused ? NULL : pin->wanted;
}

void device_pin_settle(struct device *dev)
{
	struct device_pin *pin = &dev->pin;

	if (pin->state != PIN_RESTING || !device_is_open(dev) || tell_next(dev))
		return;
	give_up(dev, &pin->leaving);
	if (pin->used != target(pin) && target(pin)) {
		begin_pinning(dev);
	} else if (pin->used != target(pin)) {
		pin->leaving = pin->used;
		pin->used = NULL;
		if (!tell_next(dev))
			give_up(dev, &pin->leaving);
	}
}

static void want(struct device *dev, struct guest_map *map) IN_CTRL
{
	struct device_pin *pin = &dev->pin;

	atomic_store_explicit(&pin->cancel, true, memory_order_relaxed);
	give_up(dev, &pin->wanted);
	pin->wanted = map;
	pin->refused = NULL;
	pin->n_tries = 0;
	device_pin_settle(dev);
}

void device_pin_on_map(struct device *dev, struct guest_map *map)
{
	if (!dev->conn || dev->state == DEVICE_QUIESCING || dev->store->no_pinned)
		give_up(dev, &map);
	else
		want(dev, map);
}

void device_pin_end(struct device *dev)
{
	want(dev, NULL);
}

void device_pin_on_tick(struct device *dev)
{
	struct device_pin *pin = &dev->pin;

	if (!pin->refused || pin->n_tries >= TRIES_MAX)
		return;
	pin->refused = NULL;
	device_pin_settle(dev);
}

bool device_pin_is_idle(const struct device *dev)
{
	const struct device_pin *pin = &dev->pin;

	return pin->state == PIN_RESTING && !pin->wanted && !pin->used && !pin->leaving;
}

static const char *describe(const struct device *dev) IN_CTRL
{
	const struct device_pin *pin = &dev->pin;

	if (!dev->spec.pin_memory)
		return "off";
	if (pin->refused || (device_is_open(dev) && dev->store->no_pinned))
		return "refused";
	if (pin->used && pin->used == pin->wanted)
		return "on";
	return pin->wanted ? "pinning" : "waiting";
}

void device_pin_view(const struct device *dev, struct pin_view *v)
{
	const struct device_pin *pin = &dev->pin;

	*v = (struct pin_view){.state = describe(dev)};
	if (!device_is_open(dev) || !dev->spec.pin_memory)
		return;
	if (dev->store->no_pinned)
		v->why = dev->store->no_pinned;
	else if (pin->state != PIN_PINNING && pin->why[0])
		v->why = pin->why;
	if (pin->used)
		v->n_bytes = pin->used->pinned->n_bytes;
	for (unsigned int i = 0; i < lcores_count(dev->lcores); i++)
		if (dev->lanes[i].lane)
			v->n_ios += counter_get(&dev->lanes[i].lane->channel->n_pinned);
}
