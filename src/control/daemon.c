/* SPDX-License-Identifier: BSD-3-Clause
 *
 * CTRL: starts the disks of the configuration file, watches signals and the registry's events, and
 * brings all to an end in order. Waits for nobody: each step is begun here and ends in a callback.
 */
#include "control/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "control/clock.h"
#include "control/ctl_cmds.h"
#include "control/reload.h"

#define TICK_MS      1000
#define FLUSH_MS     10
#define FLUSH_MAX_US 1000000

static const char *const state_names[] = {
#define STATE_NAME(name, text) [DAEMON_##name] = text,
	DAEMON_STATES(STATE_NAME)
#undef STATE_NAME
};

static void set_state(struct daemon *daemon, enum daemon_state state)
{
	log_debug("vhostd", "%s -> %s", state_names[daemon->state], state_names[state]);
	daemon->state = state;
}

void daemon_signal_set(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	sigaddset(ret_set, SIGTERM);
	sigaddset(ret_set, SIGINT);
	sigaddset(ret_set, SIGHUP);
}

/* Ends the loop once the clients have taken their answers, or a second has passed. */
static void on_flush(void *arg, uint32_t events)
{
	struct daemon *daemon = arg;

	(void)events;
	role_assert(&role_ctrl);
	loop_drain(&daemon->flush);
	if (ctl_server_is_flushed(daemon->server) ||
	    clock_now_us() - daemon->flush_us > FLUSH_MAX_US)
		loop_stop(daemon->loop);
}

static void on_drained(void *arg, struct device *dev, const struct error *err)
{
	struct daemon *daemon = arg;
	struct ctl_request *request;

	(void)dev;
	(void)err;
	role_assert(&role_ctrl);
	set_state(daemon, DAEMON_FLUSHING);
	while ((request = LIST_FIRST(&daemon->waiting)) != NULL) {
		LIST_REMOVE(request, link);
		ctl_request_answer(request, json_object_new_object());
	}
	daemon->flush_us = clock_now_us();
	if (loop_add_timer(daemon->loop, &daemon->flush, FLUSH_MS, on_flush, daemon))
		loop_stop(daemon->loop);
}

void daemon_stop(struct daemon *daemon, int exit_code, const char *why)
{
	if (daemon->state >= DAEMON_STOPPING)
		return;
	log_notice("vhostd", "stopping: %s", why);
	notify_send(&daemon->notify, "STOPPING=1\nSTATUS=stopping: %s", why);
	set_state(daemon, DAEMON_STOPPING);
	daemon->exit_code = exit_code;
	registry_shutdown(daemon->registry, on_drained, daemon);
}

void daemon_stop_for(struct daemon *daemon, struct ctl_request *request)
{
	LIST_INSERT_HEAD(&daemon->waiting, request, link);
	daemon_stop(daemon, 0, "daemon.shutdown");
}

static void take_signal(struct daemon *daemon, uint32_t number) IN_CTRL
{
	if (number == SIGHUP) {
		reload_start(daemon->conf ? conf_path(daemon->conf) : NULL, daemon->options,
			     &daemon->notify);
		return;
	}
	if (++daemon->n_signals > 1) {
		log_warning("vhostd", "second signal: ends at once");
		_exit(1);
	}
	daemon_stop(daemon, 0, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void on_signal(void *arg, uint32_t events)
{
	struct daemon *daemon = arg;
	struct signalfd_siginfo info;

	(void)events;
	role_assert(&role_ctrl);
	if (read(daemon->signals.fd, &info, sizeof(info)) == sizeof(info))
		take_signal(daemon, info.ssi_signo);
}

static void on_registry_events(void *arg, uint32_t events)
{
	struct daemon *daemon = arg;

	(void)events;
	role_assert(&role_ctrl);
	registry_on_events(daemon->registry);
}

static void on_visitors(void *arg, uint32_t events)
{
	struct daemon *daemon = arg;

	(void)events;
	role_assert(&role_ctrl);
	registry_on_visitors(daemon->registry);
}

static void tell_status(struct daemon *daemon) IN_CTRL
{
	unsigned int n = registry_count(daemon->registry);

	if (daemon->state != DAEMON_SERVING || n == daemon->n_shown)
		return;
	daemon->n_shown = n;
	notify_send(&daemon->notify, "STATUS=serving %u disk%s", n, n == 1 ? "" : "s");
}

static void on_tick(void *arg, uint32_t events)
{
	struct daemon *daemon = arg;

	(void)events;
	role_assert(&role_ctrl);
	loop_drain(&daemon->tick);
	registry_on_tick(daemon->registry);
	ctl_server_on_tick(daemon->server);
	tell_status(daemon);
}

static void on_ready(struct daemon *daemon) IN_CTRL
{
	set_state(daemon, DAEMON_SERVING);
	log_notice("vhostd",
		   "ready after %" PRIu64 " ms (DPDK: %" PRIu64 " ms), %u disks, control %s",
		   clock_since_exec_ms(), daemon->eal_ms, daemon->settings->n_devices,
		   daemon->socket.path);
	daemon->n_shown = registry_count(daemon->registry);
	notify_send(&daemon->notify, "READY=1\nSTATUS=serving %u disk%s", daemon->n_shown,
		    daemon->n_shown == 1 ? "" : "s");
}

static void on_started(void *arg, struct device *dev, const struct error *err)
{
	struct daemon_start_item *item = arg;
	struct daemon *daemon = item->daemon;
	struct error why;

	(void)dev;
	role_assert(&role_ctrl);
	daemon->n_to_start--;
	if (daemon->state != DAEMON_STARTING)
		return;
	if (err) {
		why = *err;
		conf_blame_device(daemon->conf, item->index, &why);
		log_err("vhostd", "%s", why.text);
		daemon_stop(daemon, 1, "a disk of the configuration file can't be served");
	} else if (daemon->n_to_start == 0) {
		on_ready(daemon);
	}
}

/* One more than there are disks is counted, so that READY isn't told before all are begun. */
static void start_devices(struct daemon *daemon) IN_CTRL
{
	const struct settings *settings = daemon->settings;

	daemon->n_to_start = settings->n_devices + 1;
	daemon->start_items = calloc(daemon->n_to_start, sizeof(*daemon->start_items));
	if (!daemon->start_items) {
		daemon_stop(daemon, 1, "out of memory");
		return;
	}
	for (unsigned int i = 0; i < settings->n_devices; i++) {
		daemon->start_items[i] = (struct daemon_start_item){daemon, i};
		registry_add(daemon->registry, &settings->devices[i], on_started,
			     &daemon->start_items[i]);
	}
	daemon->n_to_start--;
	if (daemon->state == DAEMON_STARTING && daemon->n_to_start == 0)
		on_ready(daemon);
}

static int add_sources(struct daemon *daemon) IN_CTRL
{
	sigset_t signals;
	int fd, rc;

	daemon_signal_set(&signals);
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	rc = loop_add(daemon->loop, &daemon->signals, fd, EPOLLIN, on_signal, daemon);
	if (!rc)
		rc = loop_add(daemon->loop, &daemon->events, registry_event_fd(daemon->registry),
			      EPOLLIN, on_registry_events, daemon);
	if (!rc)
		rc = loop_add(daemon->loop, &daemon->visitors,
			      registry_visitor_fd(daemon->registry), EPOLLIN, on_visitors, daemon);
	if (!rc)
		rc = loop_add_timer(daemon->loop, &daemon->tick, TICK_MS, on_tick, daemon);
	if (!rc)
		rc = watchdog_start(&daemon->watchdog, daemon->loop, &daemon->notify,
				    daemon->lcores);
	return rc;
}

static void remove_sources(struct daemon *daemon) IN_CTRL
{
	int fd = daemon->signals.fd;

	watchdog_stop(&daemon->watchdog, daemon->loop);
	loop_remove_timer(daemon->loop, &daemon->flush);
	loop_remove_timer(daemon->loop, &daemon->tick);
	loop_remove(daemon->loop, &daemon->visitors);
	loop_remove(daemon->loop, &daemon->events);
	loop_remove(daemon->loop, &daemon->signals);
	if (fd >= 0)
		close(fd);
}

static void serve(void *arg, struct ctl_request *request)
{
	struct daemon *daemon = arg;
	struct error err = {0};

	role_assert(&role_ctrl);
	if (daemon->state < DAEMON_STOPPING) {
		ctl_cmds_serve(daemon, request);
		return;
	}
	error_set(&err, VHOSTD_ERR_SHUTDOWN, "the daemon is shutting down");
	ctl_request_fail(request, &err);
}

void daemon_run(struct daemon *daemon)
{
	struct error err = {0};
	int rc;

	daemon->start_us = clock_now_us();
	daemon->signals.fd = daemon->events.fd = daemon->visitors.fd = daemon->tick.fd =
		daemon->flush.fd = -1;
	daemon->watchdog.timer.fd = -1;
	LIST_INIT(&daemon->waiting);
	rc = ctl_server_new(daemon->loop, daemon->socket.fd, serve, daemon, &daemon->server, &err);
	if (!rc)
		rc = add_sources(daemon);
	if (rc) {
		log_err("vhostd", "the control thread can't start: %s",
			err.code ? err.text : strerror(-rc));
		daemon->exit_code = 1;
	} else {
		start_devices(daemon);
		loop_run(daemon->loop);
	}
	remove_sources(daemon);
	if (daemon->server)
		ctl_server_free(daemon->server);
	free(daemon->start_items);
	log_notice("vhostd", "ends with exit code %d", daemon->exit_code);
}
