/* SPDX-License-Identifier: BSD-3-Clause
 *
 * systemd's watchdog: pinged at twice the rate asked for, but only if every lcore has polled since
 * the last time. So a stuck lcore gets the daemon restarted, and a stuck control thread too.
 */
#ifndef CONTROL_WATCHDOG_H
#define CONTROL_WATCHDOG_H

#include "base/thread_role.h"
#include "control/loop.h"
#include "control/notify.h"
#include "engine/lcore.h"
#include "vhostd/limits.h"

struct watchdog {
	const struct notify *notify;
	struct lcores *lcores;
	struct loop_source timer;
	uint64_t turns[VHOSTD_LCORES_MAX]; /* of each lcore, the last time */
};

/** Nothing if systemd wants no pings. 0 / -errno. */
int watchdog_start(struct watchdog *watchdog, struct loop *loop, const struct notify *notify,
		   struct lcores *lcores) IN_CTRL;
void watchdog_stop(struct watchdog *watchdog, struct loop *loop) IN_CTRL;

#endif
