/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How lcores spend their time, as JSON.
 */
#include <stdio.h>

#include "control/ctl_views.h"
#include "control/json_add.h"

/* Which virtqueues of a disk the lcore serves, and how much of its time they take; NULL for none.
 */
static struct json_object *view_share(const struct device_view *view, unsigned int lcore)
{
	struct json_object *queues = json_object_new_array(), *object;
	uint64_t load_ppm = 0;

	for (unsigned int i = 0; i < view->n_queues; i++) {
		const struct queue_view *queue = &view->queues[i];

		if (queue->state == QUEUE_IDLE || queue->lcore != lcore)
			continue;
		json_object_array_add(queues, json_object_new_int((int)i));
		load_ppm += queue->load_ppm;
	}
	if (json_object_array_length(queues) == 0) {
		json_object_put(queues);
		return NULL;
	}
	object = json_object_new_object();
	add_text(object, "device", view->spec->name);
	json_object_object_add(object, "queues", queues);
	add_decimal(object, "load_percent", (double)load_ppm / 1e4);
	return object;
}

/* Members devices and serves. */
static void add_served(struct json_object *object, struct registry *registry,
		       unsigned int lcore) IN_CTRL
{
	struct json_object *names = json_object_new_array();
	struct json_object *serves = json_object_new_array();

	for (struct device *dev = registry_next(registry, NULL); dev;
	     dev = registry_next(registry, dev)) {
		struct json_object *share;
		struct device_view view;

		device_view_get(dev, &view);
		share = view_share(&view, lcore);
		if (!share)
			continue;
		json_object_array_add(names, jsonrpc_text(view.spec->name));
		json_object_array_add(serves, share);
	}
	json_object_object_add(object, "devices", names);
	json_object_object_add(object, "serves", serves);
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
	add_decimal(object, "load_percent", registry_lcore_load_ppm(registry, view.id) / 1e4);
	add_decimal(object, "busy_percent", busy);
	add_decimal(object, "asleep_percent", asleep);
	add_uint(object, "busy_us", tsc_to_us(&view, view.busy_tsc));
	add_uint(object, "idle_us", tsc_to_us(&view, view.total_tsc - view.busy_tsc));
	add_uint(object, "asleep_us", tsc_to_us(&view, view.asleep_tsc));
	add_uint(object, "sleeps", view.sleeps);
	add_uint(object, "turns_over_50us", view.slow_turns);
	add_uint(object, "turns_over_1ms", view.very_slow_turns);
	add_uint(object, "kernel_sleeps", view.kernel_sleeps);
	add_uint(object, "preemptions", view.preemptions);
	add_uint(object, "longest_turn_us", tsc_to_us(&view, view.longest_turn_tsc));
	if (view.longest_turn_tsc)
		add_cause(object, "longest_turn_", registry, view.longest_turn_cause);
	add_uint(object, "messages", view.messages);
	add_served(object, registry, view.id);
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

struct json_object *view_rebalance(const struct rebalance_plan *plan, bool applied)
{
	struct json_object *result = json_object_new_object();
	struct json_object *moves = json_object_new_array();
	struct json_object *lcores = json_object_new_array();

	for (unsigned int i = 0; i < plan->n_moves; i++) {
		struct json_object *move = json_object_new_object();

		add_text(move, "device", device_name(plan->moves[i].dev));
		add_uint(move, "queue", plan->moves[i].queue);
		add_uint(move, "from", plan->moves[i].from);
		add_uint(move, "to", plan->moves[i].to);
		add_decimal(move, "load_percent", plan->moves[i].load_ppm / 1e4);
		json_object_array_add(moves, move);
	}
	for (unsigned int i = 0; i < plan->n_lcores; i++) {
		struct json_object *lcore = json_object_new_object();

		add_uint(lcore, "lcore", plan->lcores[i].id);
		add_decimal(lcore, "load_percent", (double)plan->lcores[i].before_ppm / 1e4);
		add_decimal(lcore, "load_percent_after", (double)plan->lcores[i].after_ppm / 1e4);
		json_object_array_add(lcores, lcore);
	}
	add_bool(result, "applied", applied);
	json_object_object_add(result, "moves", moves);
	json_object_object_add(result, "lcores", lcores);
	return result;
}
