/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/watchdog.h"

#include "base/log.h"

/* Compares, and keeps the new figures. */
static bool all_have_moved(struct watchdog *watchdog)
{
	bool all = true;

	for (unsigned int i = 0; i < lcores_count(watchdog->lcores); i++) {
		struct lcore_view view;

		lcore_view_get(lcores_nth(watchdog->lcores, i), &view);
		if (view.turns == watchdog->turns[i]) {
			log_err("watchdog", "lcore %u has not polled since the last check",
				view.id);
			all = false;
		}
		watchdog->turns[i] = view.turns;
		lcore_poke(lcores_nth(watchdog->lcores, i)); /* it may be asleep, and right so */
	}
	return all;
}

static void on_timer(void *arg, uint32_t events)
{
	struct watchdog *watchdog = arg;

	(void)events;
	loop_drain(&watchdog->timer);
	if (all_have_moved(watchdog))
		notify_send(watchdog->notify, "WATCHDOG=1");
}

int watchdog_start(struct watchdog *watchdog, struct loop *loop, const struct notify *notify,
		   struct lcores *lcores)
{
	uint64_t period_ms = notify->watchdog_us / 2000;

	watchdog->notify = notify;
	watchdog->lcores = lcores;
	watchdog->timer.fd = -1;
	for (unsigned int i = 0; i < VHOSTD_LCORES_MAX; i++)
		watchdog->turns[i] = 0;
	if (!notify->watchdog_us)
		return 0;
	if (period_ms < 1)
		period_ms = 1;
	if (period_ms > 3600000)
		period_ms = 3600000;
	return loop_add_timer(loop, &watchdog->timer, (unsigned int)period_ms, on_timer, watchdog);
}

void watchdog_stop(struct watchdog *watchdog, struct loop *loop)
{
	loop_remove_timer(loop, &watchdog->timer);
}
