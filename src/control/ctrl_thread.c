/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctrl_thread.h"

#include <string.h>

#include "base/log.h"
#include "engine/offload.h"

static void *ctrl_main(void *arg)
{
	struct daemon *daemon = arg;

	role_enter(&role_ctrl);
	daemon_run(daemon);
	role_leave(&role_ctrl);
	lcores_stop(daemon->lcores);
	return NULL;
}

static void leave_lcores_alone(const struct lcore_set *lcores, cpu_set_t *cpus)
{
	cpu_set_t all = *cpus;

	for (unsigned int cpu = 0; cpu < VHOSTD_LCORES_MAX; cpu++)
		if (lcore_set_has(lcores, cpu))
			CPU_CLR(cpu, cpus);
	if (CPU_COUNT(cpus))
		return;
	*cpus = all;
	log_warning("vhostd", "lcores poll on all CPUs: the control thread and workers share them");
}

int ctrl_thread_start(struct daemon *daemon, const cpu_set_t *cpus, pthread_t *ret_thread,
		      struct error *err)
{
	cpu_set_t others = *cpus;
	pthread_attr_t attr;
	int rc;

	leave_lcores_alone(&daemon->settings->lcores, &others);
	offload_set_cpus(daemon->offload, &others);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(others), &others);
	rc = pthread_create(ret_thread, &attr, ctrl_main, daemon);
	pthread_attr_destroy(&attr);
	if (rc)
		return error_set(err, VHOSTD_ERR_INTERNAL, "the control thread can't be made: %s",
				 strerror(rc));
	pthread_setname_np(*ret_thread, "vhostd-ctrl");
	return 0;
}
