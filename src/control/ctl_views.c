/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_views.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/json_add.h"
#include "engine/store.h"
#include "vhostd/limits.h"

/* virtio 1.2 sections 5.2.3 and 6; 30 is the vhost-user specification's. */
static const struct {
	unsigned int bit;
	const char *name;
} features[] = {
	{1, "SIZE_MAX"},
	{2, "SEG_MAX"},
	{4, "GEOMETRY"},
	{5, "RO"},
	{6, "BLK_SIZE"},
	{9, "FLUSH"},
	{10, "TOPOLOGY"},
	{11, "CONFIG_WCE"},
	{12, "MQ"},
	{13, "DISCARD"},
	{14, "WRITE_ZEROES"},
	{16, "SECURE_ERASE"},
	{24, "NOTIFY_ON_EMPTY"},
	{26, "LOG_ALL"},
	{27, "ANY_LAYOUT"},
	{28, "INDIRECT_DESC"},
	{29, "EVENT_IDX"},
	{30, "PROTOCOL_FEATURES"},
	{32, "VERSION_1"},
	{33, "ACCESS_PLATFORM"},
	{34, "RING_PACKED"},
	{35, "IN_ORDER"},
	{36, "ORDER_PLATFORM"},
	{38, "NOTIFICATION_DATA"},
	{40, "RING_RESET"},
};

static void add_features(struct json_object *object, uint64_t bits)
{
	struct json_object *names = json_object_new_array();
	char hex[32];

	snprintf(hex, sizeof(hex), "0x%" PRIx64, bits);
	add_text(object, "virtio_features", hex);
	for (unsigned int i = 0; i < ARRAY_LEN(features); i++)
		if (bits >> features[i].bit & 1)
			json_object_array_add(names, json_object_new_string(features[i].name));
	json_object_object_add(object, "virtio_feature_names", names);
}

static struct json_object *view_counters(const struct queue_counters *counters)
{
	struct json_object *object = json_object_new_object();

#define ADD_COUNTER(name, summary) add_uint(object, #name, counter_get(&counters->name));
	QUEUE_COUNTERS(ADD_COUNTER)
#undef ADD_COUNTER
	return object;
}

static struct json_object *view_totals(const struct device_view *view)
{
	struct json_object *object = json_object_new_object();

#define ADD_TOTAL(name, summary)                                                                   \
	do {                                                                                       \
		uint64_t total = 0;                                                                \
		for (unsigned int i = 0; i < view->n_queues; i++)                                  \
			total += counter_get(&view->queues[i].counters->name);                     \
		add_uint(object, #name, total);                                                    \
	} while (0);
	QUEUE_COUNTERS(ADD_TOTAL)
#undef ADD_TOTAL
	return object;
}

static struct json_object *view_qos(const struct device_view *view)
{
	const struct qos_spec *qos = &view->spec->qos;
	struct json_object *object = json_object_new_object();
	uint64_t n = 0, n_us = 0;

	for (unsigned int i = 0; i < QOS_N_LIMITS; i++)
		add_uint(object, qos_limit_key((enum qos_limit)i), qos->per_s[i]);
	add_uint(object, "burst_ms", qos->burst_ms);
	for (unsigned int i = 0; i < view->n_queues; i++) {
		n += counter_get(&view->queues[i].counters->throttled);
		n_us += counter_get(&view->queues[i].counters->throttled_us);
	}
	add_uint(object, "throttled", n);
	add_uint(object, "throttled_us", n_us);
	return object;
}

static struct json_object *view_queue(unsigned int index, const struct queue_view *queue)
{
	struct json_object *object = json_object_new_object();

	add_uint(object, "index", index);
	add_uint(object, "lcore", queue->lcore);
	if (queue->moving_to >= 0)
		add_int(object, "moving_to", queue->moving_to);
	add_decimal(object, "load_percent", queue->load_ppm / 1e4);
	add_text(object, "state", queue_state_name(queue->state));
	add_uint(object, "ring_size", queue->ring_size);
	add_uint(object, "inflight", queue->n_inflight);
	if (queue->broken)
		add_text(object, "broken", queue->broken);
	json_object_object_add(object, "counters", view_counters(queue->counters));
	return object;
}

static struct json_object *view_queues(const struct device_view *view)
{
	struct json_object *list = json_object_new_array();

	for (unsigned int i = 0; i < view->n_queues; i++)
		json_object_array_add(list, view_queue(i, &view->queues[i]));
	return list;
}

static struct json_object *view_peer(const struct device_view *view)
{
	struct json_object *peer = json_object_new_object();

	add_int(peer, "pid", view->peer_pid);
	add_uint(peer, "uid", view->peer_uid);
	return peer;
}

static void add_coalesce(struct json_object *object, const struct device_spec *spec)
{
	add_uint(object, "coalesce_us", spec->coalesce_us);
	add_uint(object, "coalesce_iops", spec->coalesce_iops);
}

static void add_spec(struct json_object *object, const struct device_view *view)
{
	const struct device_spec *spec = view->spec;
	char lcores[256];

	add_text(object, "name", spec->name);
	add_text(object, "backend", store_kind_name(spec->backend));
	if (spec->path[0])
		add_text(object, "path", spec->path);
	add_uint(object, "size_bytes", view->capacity_bytes);
	add_uint(object, "block_size", spec->block_size_bytes);
	add_uint(object, "queues_max", spec->n_queues);
	add_bool(object, "readonly", spec->readonly);
	add_text(object, "serial", spec->serial);
	if (lcore_set_count(&spec->lcores)) {
		lcore_set_format(&spec->lcores, lcores, sizeof(lcores));
		add_text(object, "lcores", lcores);
	}
	add_text(object, "poll", poll_mode_name(view->poll));
	add_bool(object, "pin_memory", spec->pin_memory);
	if (spec->uring.sqpoll)
		add_uint(object, "sqpoll_cpu", spec->uring.sqpoll_cpu);
	add_bool(object, "iopoll", spec->uring.iopoll);
	add_coalesce(object, spec);
	add_text(object, "socket", view->socket_path);
}

static void add_state(struct json_object *object, const struct device_view *view)
{
	add_text(object, "state", device_state_name(view->state));
	add_uint(object, "state_age_ms", view->state_age_us / 1000);
	if (view->step != STEP_NONE) {
		add_text(object, "step", device_step_name(view->step));
		add_uint(object, "step_age_ms", view->step_age_us / 1000);
		add_text(object, "waits_for", view->waits_for);
	}
	add_uint(object, "overstays", view->n_overstays);
	add_bool(object, "deleting", view->deleting);
	add_bool(object, "connected", view->connected);
	if (view->connected)
		json_object_object_add(object, "peer", view_peer(view));
	add_uint(object, "connections", view->n_connections);
}

static struct json_object *view_errnos(const struct device_view *view)
{
	struct json_object *object = json_object_new_object();

	for (int i = 0; i <= STORE_ERRNO_MAX && view->store_errnos; i++) {
		uint64_t n = counter_get(&view->store_errnos[i]);

		if (n)
			add_uint(object, store_errno_name(i), n);
	}
	return object;
}

static struct json_object *view_store(const struct device_view *view)
{
	struct json_object *store = json_object_new_object();

	if (view->store_why) {
		add_text(store, "kind", store_kind_name(view->store_kind));
		add_text(store, "why", view->store_why);
	}
	add_text(store, "state", store_state_name(view->store_state));
	if (view->store_state == STORE_STATE_SHORT)
		add_uint(store, "size_bytes", view->store_size_bytes);
	add_uint(store, "errors", view->store_errors);
	json_object_object_add(store, "errors_by_errno", view_errnos(view));
	add_uint(store, "helped", view->store_helped);
	add_uint(store, "block_size", view->store_block_size_bytes);
	return store;
}

static struct json_object *view_pin(const struct pin_view *pin)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "state", pin->state);
	if (pin->why)
		add_text(object, "why", pin->why);
	add_uint(object, "bytes", pin->n_bytes);
	add_uint(object, "requests", pin->n_ios);
	return object;
}

struct json_object *view_device(const struct device *dev)
{
	struct json_object *object = json_object_new_object();
	struct device_view view;

	device_view_get(dev, &view);
	add_spec(object, &view);
	add_state(object, &view);
	add_features(object, view.virtio_features);
	add_bool(object, "write_cache", view.write_cache);
	add_uint(object, "inflight", view.n_inflight);
	json_object_object_add(object, "store", view_store(&view));
	json_object_object_add(object, "pinned", view_pin(&view.pin));
	json_object_object_add(object, "qos", view_qos(&view));
	json_object_object_add(object, "queues", view_queues(&view));
	return object;
}

struct json_object *view_device_coalesce(const struct device *dev)
{
	struct json_object *object = json_object_new_object();
	struct device_view view;

	device_view_get(dev, &view);
	add_text(object, "name", view.spec->name);
	add_coalesce(object, view.spec);
	return object;
}

struct json_object *view_device_short(const struct device *dev)
{
	struct json_object *object = json_object_new_object();
	struct device_view view;

	device_view_get(dev, &view);
	add_spec(object, &view);
	add_state(object, &view);
	add_uint(object, "inflight", view.n_inflight);
	add_uint(object, "queues", view.n_queues);
	if (view.connected)
		add_int(object, "peer_pid", view.peer_pid);
	return object;
}

struct json_object *view_device_qos(const struct device *dev)
{
	struct json_object *object = json_object_new_object();
	struct device_view view;

	device_view_get(dev, &view);
	add_text(object, "name", view.spec->name);
	json_object_object_add(object, "qos", view_qos(&view));
	return object;
}

struct json_object *view_device_stats(const struct device *dev, bool with_queues)
{
	struct json_object *object = json_object_new_object();
	struct json_object *queues;
	struct device_view view;

	device_view_get(dev, &view);
	add_text(object, "name", view.spec->name);
	json_object_object_add(object, "totals", view_totals(&view));
	if (!with_queues)
		return object;
	queues = json_object_new_array();
	for (unsigned int i = 0; i < view.n_queues; i++) {
		struct json_object *queue = json_object_new_object();

		add_uint(queue, "index", i);
		json_object_object_add(queue, "counters", view_counters(view.queues[i].counters));
		json_object_array_add(queues, queue);
	}
	json_object_object_add(object, "queues", queues);
	return object;
}

static const char *type_name(enum vhostd_param_type type)
{
	switch (type) {
	case VHOSTD_PARAM_STRING:
		return "string";
	case VHOSTD_PARAM_SIZE:
		return "size";
	case VHOSTD_PARAM_RATE:
		return "rate";
	case VHOSTD_PARAM_TIME:
		return "time";
	case VHOSTD_PARAM_UINT:
		return "uint";
	case VHOSTD_PARAM_BOOL:
		return "bool";
	case VHOSTD_PARAM_LCORES:
		return "lcores";
	}
	return "?";
}

struct json_object *view_params(const struct vhostd_param *table, unsigned int n_rows)
{
	struct json_object *list = json_object_new_array();

	for (unsigned int i = 0; i < n_rows; i++) {
		struct json_object *row = json_object_new_object();

		add_text(row, "name", table[i].name);
		add_text(row, "type", type_name(table[i].type));
		add_bool(row, "required", table[i].flags & VHOSTD_PARAM_REQUIRED);
		add_text(row, "summary", table[i].summary);
		json_object_array_add(list, row);
	}
	return list;
}

struct json_object *view_errors(void)
{
	static const struct {
		const char *name;
		int code;
		const char *summary;
	} table[] = {
#define ERROR_ROW(name, code, summary) {#name, code, summary},
		VHOSTD_ERRORS(ERROR_ROW)
#undef ERROR_ROW
	};
	struct json_object *list = json_object_new_array();

	for (unsigned int i = 0; i < ARRAY_LEN(table); i++) {
		struct json_object *row = json_object_new_object();

		add_text(row, "error", table[i].name);
		add_int(row, "code", table[i].code);
		add_text(row, "summary", table[i].summary);
		json_object_array_add(list, row);
	}
	return list;
}

struct json_object *view_limits(void)
{
	struct json_object *object = json_object_new_object();

	add_uint(object, "name_bytes", VHOSTD_NAME_MAX);
	add_uint(object, "serial_bytes", VHOSTD_SERIAL_MAX);
	add_uint(object, "queues", VHOSTD_QUEUES_MAX);
	add_uint(object, "ring_size", VHOSTD_RING_SIZE_MAX);
	add_uint(object, "devices", VHOSTD_DEVICES_MAX);
	add_uint(object, "lcores", VHOSTD_LCORES_MAX);
	add_uint(object, "request_bytes", VHOSTD_CTL_LINE_MAX);
	add_uint(object, "request_depth", VHOSTD_CTL_DEPTH_MAX);
	add_uint(object, "clients", VHOSTD_CTL_CLIENTS_MAX);
	add_uint(object, "unread_bytes", VHOSTD_CTL_BACKLOG_MAX);
	add_uint(object, "unanswered_requests", VHOSTD_CTL_PENDING_MAX);
	return object;
}
