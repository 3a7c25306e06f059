/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A handler gets parameters that have been checked against its table. It answers at once, or gives
 * the request to the registry as the argument of a `done` callback.
 */
#include "control/ctl_cmds.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/clock.h"
#include "control/ctl_views.h"
#include "control/daemon.h"
#include "control/json_add.h"
#include "control/params.h"
#include "control/suggest.h"
#include "engine/eal.h"

#define TRACE_OVER_US_MAX 1000000

#define METHOD_PROTOTYPE(id, method, command, summary)                                             \
	static void cmd_##id(struct daemon *daemon, struct ctl_request *request) IN_CTRL;
VHOSTD_METHODS(METHOD_PROTOTYPE)
#undef METHOD_PROTOTYPE

struct method {
	const char *name;
	const char *summary;
	void (*serve)(struct daemon *daemon, struct ctl_request *request);
	const struct vhostd_param *params;
	unsigned int n_params;
};

/* Each table ends with a row that isn't counted, since some have no other. */
#define METHOD_PARAMS(id, method, command, summary)                                                \
	static const struct vhostd_param params_##id[] = {                                         \
		VHOSTD_PARAMS_##id(VHOSTD_P){.name = NULL}};
VHOSTD_METHODS(METHOD_PARAMS)
#undef METHOD_PARAMS

#define METHOD_ROW(id, method, command, summary)                                                   \
	{method, summary, cmd_##id, params_##id, ARRAY_LEN(params_##id) - 1},
static const struct method methods[] = {VHOSTD_METHODS(METHOD_ROW)};
#undef METHOD_ROW

static const char *name_param(const struct ctl_request *request)
{
	return params_string(request->rpc.params, "name");
}

/* Who changed what: for the log. */
static void log_change(const struct ctl_request *request, const char *what, const char *object)
{
	log_notice("control", "%s%s%s by pid %d uid %u", what, *object ? " " : "", object,
		   (int)request->peer.pid, request->peer.uid);
}

static void fail_not_found(struct ctl_request *request) IN_CTRL
{
	struct error err = {0};

	error_set(&err, VHOSTD_ERR_NOT_FOUND, "name: there is no disk \"%.64s\"",
		  name_param(request));
	ctl_request_fail(request, &err);
}

/* registry_done_fn of what ends with a device. */
static void on_device_done(void *arg, struct device *dev, const struct error *err)
{
	struct ctl_request *request = arg;

	role_assert(&role_ctrl);
	if (err)
		ctl_request_fail(request, err);
	else
		ctl_request_answer(request, view_device(dev));
}

static void cmd_device_add(struct daemon *daemon, struct ctl_request *request)
{
	struct error err = {0};
	struct device_spec spec;

	if (params_to_spec(request->rpc.params, &spec, &err) ||
	    device_spec_check(&spec, daemon->settings->socket_dir, &daemon->settings->lcores,
			      &err)) {
		ctl_request_fail(request, &err);
		return;
	}
	log_change(request, "add", spec.name);
	registry_add(daemon->registry, &spec, on_device_done, request);
}

/* registry_done_fn; with no_wait, the device is still there. */
static void on_deleted(void *arg, struct device *dev, const struct error *err)
{
	struct ctl_request *request = arg;
	enum device_state state = DEVICE_GONE;
	struct json_object *result;

	role_assert(&role_ctrl);
	if (err) {
		ctl_request_fail(request, err);
		return;
	}
	if (dev) {
		struct device_view view;

		device_view_get(dev, &view);
		state = view.state;
	}
	result = json_object_new_object();
	add_text(result, "name", name_param(request));
	add_text(result, "state", device_state_name(state));
	ctl_request_answer(request, result);
}

static void cmd_device_del(struct daemon *daemon, struct ctl_request *request)
{
	bool force = params_bool(request->rpc.params, "force");

	log_change(request, force ? "del --force" : "del", name_param(request));
	registry_del(daemon->registry, name_param(request), force,
		     params_bool(request->rpc.params, "no_wait"), on_deleted, request);
}

static void cmd_device_list(struct daemon *daemon, struct ctl_request *request)
{
	struct json_object *result = json_object_new_object();
	struct json_object *list = json_object_new_array();

	for (struct device *dev = registry_next(daemon->registry, NULL); dev;
	     dev = registry_next(daemon->registry, dev))
		json_object_array_add(list, view_device_short(dev));
	json_object_object_add(result, "devices", list);
	ctl_request_answer(request, result);
}

static void cmd_device_show(struct daemon *daemon, struct ctl_request *request)
{
	struct device *dev = registry_find(daemon->registry, name_param(request));

	if (dev)
		ctl_request_answer(request, view_device(dev));
	else
		fail_not_found(request);
}

static void cmd_device_resize(struct daemon *daemon, struct ctl_request *request)
{
	log_change(request, "resize", name_param(request));
	registry_resize(daemon->registry, name_param(request),
			params_size(request->rpc.params, "size"),
			params_bool(request->rpc.params, "shrink"), on_device_done, request);
}

/* What the limits are to be, from what they are. 0, or -1 with *err: it makes no sense. */
static int change_qos(struct json_object *params, struct qos_spec *qos, bool *ret_changed,
		      struct error *err)
{
	bool off = params_bool(params, "off");

	if (off)
		qos_spec_init(qos);
	*ret_changed = params_to_qos(params, qos);
	if (off && *ret_changed)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "off: lifts all limits, and can't be given with one");
	*ret_changed |= off;
	return 0;
}

static void cmd_device_qos(struct daemon *daemon, struct ctl_request *request)
{
	struct device *dev = registry_find(daemon->registry, name_param(request));
	struct device_view view;
	struct error err = {0};
	struct qos_spec qos;
	bool changed;

	if (!dev) {
		fail_not_found(request);
		return;
	}
	device_view_get(dev, &view);
	qos = view.spec->qos;
	if (change_qos(request->rpc.params, &qos, &changed, &err) ||
	    (changed && registry_set_qos(daemon->registry, name_param(request), &qos, &err))) {
		ctl_request_fail(request, &err);
		return;
	}
	if (changed)
		log_change(request, "qos", name_param(request));
	ctl_request_answer(request, view_device_qos(dev));
}

static void cmd_device_move(struct daemon *daemon, struct ctl_request *request)
{
	log_change(request, "move", name_param(request));
	registry_move(daemon->registry, name_param(request),
		      params_uint(request->rpc.params, "queue", MOVE_ALL),
		      params_uint(request->rpc.params, "lcore", 0), on_device_done, request);
}

/* What is not given stays; a delay of 0 and `off` are the same. */
static void cmd_device_coalesce(struct daemon *daemon, struct ctl_request *request)
{
	struct device *dev = registry_find(daemon->registry, name_param(request));
	struct json_object *params = request->rpc.params;
	struct device_view view;
	struct error err = {0};
	uint32_t us, iops;
	bool off = params_bool(params, "off");

	if (!dev) {
		fail_not_found(request);
		return;
	}
	device_view_get(dev, &view);
	us = params_uint(params, "coalesce_us", off ? 0 : view.spec->coalesce_us);
	iops = params_uint(params, "coalesce_iops", us ? view.spec->coalesce_iops : 0);
	if (off && us)
		error_set(&err, VHOSTD_ERR_PARAMS, "off: can't be given with coalesce_us");
	if (err.code ||
	    registry_set_coalesce(daemon->registry, name_param(request), us, iops, &err)) {
		ctl_request_fail(request, &err);
		return;
	}
	if (us != view.spec->coalesce_us || iops != view.spec->coalesce_iops)
		log_change(request, "coalesce", name_param(request));
	ctl_request_answer(request, view_device_coalesce(dev));
}

static void cmd_stats_get(struct daemon *daemon, struct ctl_request *request)
{
	const char *name = name_param(request);
	struct device *dev = name ? registry_find(daemon->registry, name) : NULL;
	struct json_object *result, *list;

	if (name && !dev) {
		fail_not_found(request);
		return;
	}
	result = json_object_new_object();
	list = json_object_new_array();
	if (dev)
		json_object_array_add(list, view_device_stats(dev, true));
	else
		while ((dev = registry_next(daemon->registry, dev)) != NULL)
			json_object_array_add(list, view_device_stats(dev, false));
	json_object_object_add(result, "devices", list);
	ctl_request_answer(request, result);
}

static void cmd_lcore_list(struct daemon *daemon, struct ctl_request *request)
{
	struct json_object *result = json_object_new_object();
	struct json_object *list = json_object_new_array();

	for (unsigned int i = 0; i < lcores_count(daemon->lcores); i++)
		json_object_array_add(list,
				      view_lcore(daemon->registry, lcores_nth(daemon->lcores, i)));
	if (params_bool(request->rpc.params, "reset"))
		for (unsigned int i = 0; i < lcores_count(daemon->lcores); i++)
			lcore_forget_longest(lcores_nth(daemon->lcores, i));
	json_object_object_add(result, "lcores", list);
	ctl_request_answer(request, result);
}

/* 0, or -1 with *err: what was asked for makes no sense. */
/* A rebalancing under way, and what will be told of it. */
struct rebalance {
	struct ctl_request *request;
	struct json_object *result;
};

static void on_rebalanced(void *arg, struct device *dev, const struct error *err)
{
	struct rebalance *rebalance = arg;

	(void)dev;
	role_assert(&role_ctrl);
	if (err) {
		ctl_request_fail(rebalance->request, err);
		json_object_put(rebalance->result);
	} else {
		ctl_request_answer(rebalance->request, rebalance->result);
	}
	free(rebalance);
}

static void cmd_lcore_rebalance(struct daemon *daemon, struct ctl_request *request)
{
	bool apply = params_bool(request->rpc.params, "apply");
	struct rebalance *rebalance = malloc(sizeof(*rebalance));
	struct rebalance_plan plan;
	struct error err = {0};

	if (!rebalance)
		error_set(&err, VHOSTD_ERR_INTERNAL, "out of memory");
	if (!rebalance || registry_plan(daemon->registry, &plan, &err)) {
		ctl_request_fail(request, &err);
		free(rebalance);
		return;
	}
	*rebalance = (struct rebalance){request, view_rebalance(&plan, apply)};
	if (!apply)
		plan.n_moves = 0;
	else
		log_change(request, "rebalance", "");
	registry_rebalance(daemon->registry, &plan, on_rebalanced, rebalance);
}

static int check_trace(const struct ctl_request *request, uint32_t over_us, struct error *err)
{
	bool off = params_bool(request->rpc.params, "off");
	bool on = json_object_object_get_ex(request->rpc.params, "over_us", NULL);

	if (on && off)
		return error_set(err, VHOSTD_ERR_PARAMS, "off: not together with over_us");
	if (on && (over_us < 1 || over_us > TRACE_OVER_US_MAX))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "over_us: %u is not from 1 to %u; off ends the tracing", over_us,
				 TRACE_OVER_US_MAX);
	return 0;
}

static void set_trace(struct daemon *daemon, uint32_t over_us)
{
	struct lcore_view view;

	lcore_view_get(lcores_nth(daemon->lcores, 0), &view);
	if (over_us)
		daemon->trace_since_tsc = view.now_tsc;
	daemon->trace_over_us = over_us;
	lcores_trace(daemon->lcores, over_us);
}

static void cmd_lcore_trace(struct daemon *daemon, struct ctl_request *request)
{
	uint32_t over_us = params_uint(request->rpc.params, "over_us", 0);
	struct json_object *result, *turns;
	struct error err = {0};

	if (check_trace(request, over_us, &err)) {
		ctl_request_fail(request, &err);
		return;
	}
	if (over_us || params_bool(request->rpc.params, "off"))
		set_trace(daemon, over_us);
	result = json_object_new_object();
	turns = json_object_new_array();
	add_bool(result, "tracing", daemon->trace_over_us > 0);
	add_uint(result, "over_us", daemon->trace_over_us);
	if (daemon->trace_since_tsc)
		for (unsigned int i = 0; i < lcores_count(daemon->lcores); i++)
			view_traced_turns(turns, daemon->registry, lcores_nth(daemon->lcores, i),
					  daemon->trace_since_tsc);
	json_object_object_add(result, "turns", turns);
	ctl_request_answer(request, result);
}

static void cmd_log_level(struct daemon *daemon, struct ctl_request *request)
{
	const char *name = params_string(request->rpc.params, "level");
	enum log_level previous = log_get_level(), level = previous;
	struct json_object *result;
	struct error err = {0};

	(void)daemon;
	if (name && log_level_parse(name, &level)) {
		error_set(&err, VHOSTD_ERR_PARAMS,
			  "level: \"%.64s\" is none of err, warning, notice, info, debug", name);
		ctl_request_fail(request, &err);
		return;
	}
	if (name) {
		log_change(request, "log-level", name);
		log_set_level(level);
	}
	result = json_object_new_object();
	add_text(result, "level", log_level_name(level));
	add_text(result, "previous", log_level_name(previous));
	ctl_request_answer(request, result);
}

static struct json_object *view_lcore_ids(const struct lcores *lcores)
{
	struct json_object *list = json_object_new_array();

	for (unsigned int cpu = 0; cpu < VHOSTD_LCORES_MAX; cpu++)
		if (lcore_set_has(lcores_set(lcores), cpu))
			json_object_array_add(list, json_object_new_int((int)cpu));
	return list;
}

static void cmd_daemon_info(struct daemon *daemon, struct ctl_request *request)
{
	const struct settings *settings = daemon->settings;
	struct json_object *result = json_object_new_object();

	add_text(result, "version", VHOSTD_VERSION);
	add_text(result, "dpdk", eal_version());
	add_int(result, "pid", getpid());
	add_uint(result, "uptime_s", (clock_now_us() - daemon->start_us) / 1000000);
	add_text(result, "control", settings->control);
	add_text(result, "socket_dir", settings->socket_dir);
	add_text(result, "state_dir", settings->state_dir);
	if (daemon->conf)
		add_text(result, "config", conf_path(daemon->conf));
	json_object_object_add(result, "lcores", view_lcore_ids(daemon->lcores));
	add_text(result, "poll", poll_mode_name(settings->poll));
	add_uint(result, "poll_idle_us", settings->poll_idle_us);
	add_uint(result, "poll_io_us", settings->poll_io_us);
	add_bool(result, "hugepages", settings->hugepages);
	add_uint(result, "memory_mb", settings->memory_mb);
	add_uint(result, "open_deadline", settings->deadlines.s[DEADLINE_OPEN]);
	add_uint(result, "drain_deadline", settings->deadlines.s[DEADLINE_DRAIN]);
	add_uint(result, "close_deadline", settings->deadlines.s[DEADLINE_CLOSE]);
	add_uint(result, "overstays", registry_overstays(daemon->registry));
	add_text(result, "log_level", log_level_name(log_get_level()));
	add_uint(result, "devices", registry_count(daemon->registry));
	add_uint(result, "clients", ctl_server_n_clients(daemon->server));
	json_object_object_add(result, "limits", view_limits());
	ctl_request_answer(request, result);
}

static void cmd_daemon_shutdown(struct daemon *daemon, struct ctl_request *request)
{
	log_change(request, "shutdown", "");
	daemon_stop_for(daemon, request);
}

static void cmd_rpc_discover(struct daemon *daemon, struct ctl_request *request)
{
	struct json_object *result = json_object_new_object();
	struct json_object *list = json_object_new_array();

	(void)daemon;
	for (unsigned int i = 0; i < ARRAY_LEN(methods); i++) {
		struct json_object *row = json_object_new_object();

		add_text(row, "name", methods[i].name);
		add_text(row, "summary", methods[i].summary);
		json_object_object_add(row, "params",
				       view_params(methods[i].params, methods[i].n_params));
		json_object_array_add(list, row);
	}
	json_object_object_add(result, "methods", list);
	json_object_object_add(result, "errors", view_errors());
	ctl_request_answer(request, result);
}

static void fail_unknown_method(struct ctl_request *request) IN_CTRL
{
	const char *names[ARRAY_LEN(methods)];
	struct error err = {0};
	char hint[256];

	for (unsigned int i = 0; i < ARRAY_LEN(methods); i++)
		names[i] = methods[i].name;
	suggest_format(request->rpc.method, names, ARRAY_LEN(methods), hint, sizeof(hint));
	error_set(&err, VHOSTD_ERR_METHOD, "there is no method \"%.64s\"%s", request->rpc.method,
		  hint);
	ctl_request_fail(request, &err);
}

void ctl_cmds_serve(struct daemon *daemon, struct ctl_request *request)
{
	struct error err = {0};

	for (unsigned int i = 0; i < ARRAY_LEN(methods); i++) {
		if (strcmp(methods[i].name, request->rpc.method) != 0)
			continue;
		if (params_check(request->rpc.params, methods[i].params, methods[i].n_params, &err))
			ctl_request_fail(request, &err);
		else
			methods[i].serve(daemon, request);
		return;
	}
	fail_unknown_method(request);
}
