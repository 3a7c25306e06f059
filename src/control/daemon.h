/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The daemon as the control thread sees it: what it runs with, what it serves, and how it ends.
 *
 *   STARTING --all disks of the file added--> SERVING
 *   STARTING, SERVING --signal, daemon.shutdown, a disk that can't be added--> STOPPING
 *   STOPPING --all disks gone--> FLUSHING --answers taken, or a second passed--> (loop ends)
 */
#ifndef CONTROL_DAEMON_H
#define CONTROL_DAEMON_H

#include <signal.h>
#include <stdint.h>

#include "base/error.h"
#include "base/thread_role.h"
#include "control/conf.h"
#include "control/ctl_request.h"
#include "control/ctl_server.h"
#include "control/ctl_socket.h"
#include "control/loop.h"
#include "control/notify.h"
#include "control/options.h"
#include "control/settings.h"
#include "control/watchdog.h"
#include "device/registry.h"
#include "engine/lcore.h"

#define DAEMON_STATES(X)                                                                           \
	X(STARTING, "starting")                                                                    \
	X(SERVING, "serving")                                                                      \
	X(STOPPING, "stopping")                                                                    \
	X(FLUSHING, "flushing")

#define DAEMON_STATE_ENUM(name, text) DAEMON_##name,
enum daemon_state { DAEMON_STATES(DAEMON_STATE_ENUM) };
#undef DAEMON_STATE_ENUM

struct daemon;

/** A disk of the configuration file that is being added. */
struct daemon_start_item {
	struct daemon *daemon;
	unsigned int index;
};

struct daemon {
	/* Made by main() and fixed since. */
	const struct options *options;
	const struct settings *settings;
	struct conf *conf; /* NULL: no file */
	struct loop *loop;
	struct ctl_socket socket;
	struct ctl_server *server;
	struct registry *registry;
	struct lcores *lcores;
	struct offload *offload;
	struct notify notify;
	uint64_t eal_ms; /* how long DPDK took to start */

	/* CTRL's. */
	enum daemon_state state;
	int exit_code;
	uint64_t start_us; /* CLOCK_MONOTONIC */
	uint64_t flush_us; /* since when FLUSHING */
	unsigned int n_signals;
	unsigned int n_to_start;
	struct daemon_start_item *start_items;
	struct ctl_request_list waiting; /* daemon.shutdown */
	struct loop_source signals;
	struct loop_source events;
	struct loop_source visitors;
	struct loop_source tick;
	struct loop_source flush;
	struct watchdog watchdog;
	unsigned int n_shown;     /* devices in the last STATUS= */
	uint32_t trace_over_us;   /* 0: lcores are not traced */
	uint64_t trace_since_tsc; /* older turns are an earlier trace's */
};

/** The signals that CTRL takes; to be blocked in every thread. */
void daemon_signal_set(sigset_t *ret_set);

/** Adds the disks of the configuration file, serves, and returns when all has ended; the exit code
 *  is in daemon->exit_code then. */
void daemon_run(struct daemon *daemon) IN_CTRL;

/** Begins the end. `why` is for the log. */
void daemon_stop(struct daemon *daemon, int exit_code, const char *why) IN_CTRL;

/** Answers `request` when all disks are gone. */
void daemon_stop_for(struct daemon *daemon, struct ctl_request *request) IN_CTRL;

#endif
