/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What VHOST and JOBs tell CTRL, beside the lcores' own events. Each message is embedded in what it
 * is about, and is CTRL's from the moment it is sent.
 */
#ifndef DEVICE_EVENTS_H
#define DEVICE_EVENTS_H

#include "engine/queue.h"

enum device_event_msg {
	EVENT_VISITOR = ENGINE_EVENTS_END, /* a struct visitor: connected, or refused */
	EVENT_CONN_CLOSED, /* conn->closed_msg: the connection is CTRL's from here on */
	EVENT_CONN_GONE,   /* conn->gone_msg, after that: librte_vhost has let go of it */
	EVENT_BACKEND_FD,  /* a struct backend_fd */
	EVENT_RUN_START,   /* ring_run->start_msg */
	EVENT_RUN_STOP,    /* ring_run->stop_msg: the run is CTRL's from here on */
	EVENT_MAP_DROP,    /* guest_map->drop_msg: its connection uses it no more */
	EVENT_MAP_SET,     /* guest_map->set_msg: its connection uses it */
	EVENT_STRAY_FDS,   /* a struct stray_fds */
	EVENT_JOB_DONE,    /* job->msg */
};

#endif
