/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How lcores spend their time, as JSON.
 */
#include <stdio.h>

#include "control/ctl_views.h"
#include "control/json_add.h"

static bool is_served_by(const struct device_view *view, unsigned int lcore)
{
	for (unsigned int i = 0; i < view->n_queues; i++)
		if (view->queues[i].state != QUEUE_IDLE && view->queues[i].lcore == lcore)
			return true;
	return false;
}

static struct json_object *view_lcore_devices(struct registry *registry, unsigned int lcore) IN_CTRL
{
	struct json_object *names = json_object_new_array();

	for (struct device *dev = registry_next(registry, NULL); dev;
	     dev = registry_next(registry, dev)) {
		struct device_view view;

		device_view_get(dev, &view);
		if (is_served_by(&view, lcore))
			json_object_array_add(names, jsonrpc_text(view.spec->name));
	}
	return names;
}

static uint64_t tsc_to_us(const struct lcore_view *view, uint64_t tsc)
{
	return view->tsc_hz ? (uint64_t)((double)tsc * 1e6 / (double)view->tsc_hz) : 0;
}

/* Members PREFIXcause, PREFIXdevice and PREFIXqueue. */
static void add_cause(struct json_object *object, const char *prefix, struct registry *registry,
		      struct turn_cause cause) IN_CTRL
{
	const struct device *dev = registry_find_number(registry, cause.device);
	char key[64];

	snprintf(key, sizeof(key), "%scause", prefix);
	add_text(object, key, turn_work_name(cause.work));
	snprintf(key, sizeof(key), "%sdevice", prefix);
	if (cause.device)
		add_text(object, key, dev ? device_name(dev) : "(deleted)");
	snprintf(key, sizeof(key), "%squeue", prefix);
	if (cause.queue != TURN_NO_QUEUE)
		add_uint(object, key, cause.queue);
}

struct json_object *view_lcore(struct registry *registry, const struct lcore *lcore)
{
	struct json_object *object = json_object_new_object();
	struct lcore_view view;
	double busy, asleep;
	uint64_t all_tsc;

	lcore_view_get(lcore, &view);
	all_tsc = view.total_tsc + view.asleep_tsc;
	busy = all_tsc ? 100.0 * (double)view.busy_tsc / (double)all_tsc : 0.0;
	asleep = all_tsc ? 100.0 * (double)view.asleep_tsc / (double)all_tsc : 0.0;
	add_uint(object, "lcore", view.id);
	add_int(object, "socket", view.socket);
	add_uint(object, "queues", view.n_queues);
	add_uint(object, "turns", view.turns);
	add_decimal(object, "busy_percent", busy);
	add_decimal(object, "asleep_percent", asleep);
	add_uint(object, "busy_us", tsc_to_us(&view, view.busy_tsc));
	add_uint(object, "idle_us", tsc_to_us(&view, view.total_tsc - view.busy_tsc));
	add_uint(object, "asleep_us", tsc_to_us(&view, view.asleep_tsc));
	add_uint(object, "sleeps", view.sleeps);
	add_uint(object, "turns_over_50us", view.slow_turns);
	add_uint(object, "turns_over_1ms", view.very_slow_turns);
	add_uint(object, "longest_turn_us", tsc_to_us(&view, view.longest_turn_tsc));
	if (view.longest_turn_tsc)
		add_cause(object, "longest_turn_", registry, view.longest_turn_cause);
	add_uint(object, "messages", view.messages);
	json_object_object_add(object, "devices", view_lcore_devices(registry, view.id));
	return object;
}

static struct json_object *view_spans(struct registry *registry, const struct lcore_view *view,
				      const struct turn_record *record) IN_CTRL
{
	struct json_object *list = json_object_new_array();

	for (uint32_t i = 0; i < record->n_spans; i++) {
		const struct turn_span *span = &record->spans[i];
		struct json_object *object = json_object_new_object();

		add_cause(object, "", registry, span->cause);
		add_uint(object, "count", span->n);
		add_decimal(object, "us", (double)span->tsc * 1e6 / (double)view->tsc_hz);
		json_object_array_add(list, object);
	}
	return list;
}

void view_traced_turns(struct json_object *list, struct registry *registry,
		       const struct lcore *lcore, uint64_t since_tsc)
{
	struct turn_record record;
	struct lcore_view view;

	lcore_view_get(lcore, &view);
	for (unsigned int i = 0; i < TURN_TRACES_MAX; i++) {
		struct json_object *object;

		if (!lcore_trace_get(lcore, i, &record) || record.start_tsc < since_tsc)
			continue;
		object = json_object_new_object();
		add_uint(object, "lcore", view.id);
		add_uint(object, "age_ms",
			 tsc_to_us(&view, view.now_tsc - record.start_tsc) / 1000);
		add_uint(object, "us", tsc_to_us(&view, record.tsc));
		json_object_object_add(object, "pieces", view_spans(registry, &view, &record));
		add_uint(object, "pieces_left_out", record.n_left_out);
		json_object_array_add(list, object);
	}
}
