/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Puts the daemon together. The process's first thread becomes the main lcore and polls; the
 * control thread, on the CPUs that no lcore has, does the rest and says when it is over.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "control/clock.h"
#include "control/ctrl_thread.h"
#include "control/daemon.h"
#include "engine/eal.h"
#include "engine/mbox.h"
#include "engine/offload.h"

/* The one root of all state. */
static struct root {
	struct options options;
	struct settings settings;
	cpu_set_t cpus; /* what the process may use, before DPDK pins its first thread */
	struct mbox *events;
	struct daemon daemon;
} root;

static int fail(const struct error *err, int exit_code)
{
	log_err("vhostd", "%s", err->text);
	return exit_code;
}

/* A file named on the command line has to be there, the usual one needn't. */
static int load_settings(struct root *r, struct error *err)
{
	const char *path = r->options.config;

	settings_init(&r->settings);
	if (!path && access(VHOSTD_CONFIG_FILE, F_OK) == 0)
		path = VHOSTD_CONFIG_FILE;
	if (path && conf_load(path, &r->settings, &r->daemon.conf, err))
		return -1;
	if (options_apply(&r->options, &r->settings, err) || settings_finish(&r->settings, err))
		return -1;
	return r->daemon.conf ? conf_check_devices(r->daemon.conf, &r->settings, err) : 0;
}

static void print_check(const struct root *r)
{
	const char *path = r->daemon.conf ? conf_path(r->daemon.conf) : "no configuration file";
	unsigned int n = r->settings.n_devices;

	printf("%s: ok, %u disk%s\n", path, n, n == 1 ? "" : "s");
}

static int start_dpdk(struct root *r, struct error *err)
{
	const struct eal_params params = {
		.program = "vhostd",
		.lcores = r->settings.lcores,
		.memory_mb = r->settings.memory_mb,
		.hugepages = r->settings.hugepages,
		.extra = r->options.eal_argv,
		.n_extra = r->options.n_eal_args,
	};
	uint64_t before_us = clock_now_us();

	if (eal_start(&params, err))
		return -1;
	r->daemon.eal_ms = (clock_now_us() - before_us) / 1000;
	return 0;
}

static int make_engine(struct root *r, struct error *err)
{
	struct daemon *daemon = &r->daemon;
	struct lcores_params lcores = {
		.set = r->settings.lcores,
		.sleeps_empty = r->settings.poll == POLL_ADAPTIVE,
		.poll_idle_us = r->settings.poll_idle_us,
		.poll_io_us = r->settings.poll_io_us,
	};
	struct registry_params params = {
		.socket_dir = r->settings.socket_dir,
		.socket_mode = r->settings.socket_mode,
		.socket_gid = r->settings.socket_gid,
		.poll = r->settings.poll,
		.poll_idle_us = r->settings.poll_idle_us,
		.deadlines = r->settings.deadlines,
	};

	if (start_dpdk(r, err) || mbox_new(true, &r->events, err) ||
	    offload_new(&daemon->offload, err))
		return -1;
	lcores.offload = daemon->offload;
	if (lcores_new(&lcores, &daemon->lcores, err))
		return -1;
	params.lcores = daemon->lcores;
	params.offload = daemon->offload;
	params.events = r->events;
	return registry_new(&params, &daemon->registry, err);
}

static int make_control(struct root *r, struct error *err)
{
	struct daemon *daemon = &r->daemon;

	if (loop_new(&daemon->loop, err))
		return -1;
	return ctl_socket_listen(&daemon->socket, r->settings.control_mode, r->settings.control_gid,
				 err);
}

/* Leaves no file behind. DPDK isn't taken down: librte_vhost's event thread never ends. */
static void end(struct root *r)
{
	if (r->daemon.registry)
		registry_free(r->daemon.registry);
	ctl_socket_close(&r->daemon.socket);
}

/* The lock first: a second daemon is refused before it touches anything. */
static int start(struct root *r, struct error *err)
{
	struct daemon *daemon = &r->daemon;

	daemon->options = &r->options;
	daemon->settings = &r->settings;
	notify_init(&daemon->notify);
	if (settings_make_dirs(&r->settings, err) ||
	    ctl_socket_lock(&daemon->socket, r->settings.control, err))
		return -1;
	umask(0077); /* sockets are nobody else's until they have the mode that was asked for */
	if (make_engine(r, err) || make_control(r, err)) {
		end(r);
		return -1;
	}
	return 0;
}

static int run(struct root *r)
{
	struct daemon *daemon = &r->daemon;
	struct error err = {0};
	pthread_t ctrl;

	if (ctrl_thread_start(daemon, &r->cpus, &ctrl, &err)) {
		end(r);
		return fail(&err, 1);
	}
	lcores_run(daemon->lcores);
	pthread_join(ctrl, NULL);
	end(r);
	return daemon->exit_code;
}

static void block_signals(void)
{
	sigset_t set;

	daemon_signal_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Each disk and each front end takes a few. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int act(struct root *r)
{
	struct error err = {0};

	if (load_settings(r, &err))
		return fail(&err, 2);
	if (r->options.action == OPTIONS_CHECK_CONFIG) {
		print_check(r);
		return 0;
	}
	log_set_level(r->settings.log_level);
	block_signals();
	raise_descriptor_limit();
	sched_getaffinity(0, sizeof(r->cpus), &r->cpus);
	if (start(r, &err))
		return fail(&err, 1);
	return run(r);
}

int main(int argc, char **argv)
{
	struct error err = {0};
	int exit_code = 0;

	log_init(LOG_LEVEL_INFO);
	if (options_parse(argc, argv, &root.options, &err))
		return fail(&err, 2);
	if (root.options.action == OPTIONS_HELP)
		options_help(stdout);
	else if (root.options.action == OPTIONS_VERSION)
		printf("vhostd %s\n", VHOSTD_VERSION);
	else
		exit_code = act(&root);
	fflush(NULL);
	_exit(exit_code);
}
