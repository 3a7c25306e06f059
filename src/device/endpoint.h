/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A device's vhost-user socket, as librte_vhost knows it. The only room that calls librte_vhost
 * (endpoint.c).
 *
 * librte_vhost listens, accepts, reads whole messages with their descriptors, and runs the one
 * event thread on which all of it happens. Every message is answered by us in its external pre
 * handler: librte_vhost itself never maps a guest's memory, never holds a kick or call descriptor,
 * never finds a ring ready, and so has nothing to do, and nothing to wait for, when a connection
 * ends.
 */
#ifndef DEVICE_ENDPOINT_H
#define DEVICE_ENDPOINT_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/log.h"
#include "base/thread_role.h"
#include "device/guest_map.h"
#include "engine/lane.h"
#include "vhostd/limits.h"

struct conn;
struct device;

struct endpoint {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char name[VHOSTD_NAME_MAX + 1];
	uint16_t n_queues;
	mode_t socket_mode;
	gid_t socket_gid;  /* (gid_t)-1: leave */
	uint64_t features; /* virtio's and VHOST_F_PROTOCOL_FEATURES, offered */
	struct blk_disk *disk;
	/* Where each virtqueue is to be served. CTRL writes, VHOST reads. */
	struct lane *_Atomic lanes[VHOSTD_QUEUES_MAX];
	struct queue_counters *counters; /* of each virtqueue */
	struct mbox *events;
	struct device *device; /* CTRL's */
	/* Connections accepted so far, times two; odd: no more are. VHOST adds 2, CTRL sets 1. */
	atomic_uint gate;
	struct map_usage map_usage;
	struct conn *conn;           /* VHOST's: the front end connected now */
	struct log_limit refusals;   /* VHOST's */
	struct log_limit complaints; /* VHOST's and CTRL's */
	struct log_limit visits;     /* CTRL's */
	struct endpoint *next;       /* under the room's lock */
};

/** Starts librte_vhost's event thread by a socket of our own, with which the thread is woken later.
 *  Once, before any other call. 0, or -1 with *err set. */
int endpoints_init(const char *socket_dir, struct mbox *events, struct error *err);

/** Removes that socket. */
void endpoints_fini(void) IN_JOB;

/** Makes the socket and listens on it. 0, or -1 with *err (SOCKET). */
int endpoint_open(struct endpoint *endpoint, struct error *err) IN_JOB;

/** Removes the socket: no connection is left, and endpoint_refuse() was called. */
void endpoint_close(struct endpoint *endpoint) IN_JOB;

/** Accepts no more connections from now on; returns how many were accepted in all. Each of them has
 *  sent, or is about to send, its EVENT_CONN_OPENED. */
unsigned int endpoint_refuse(struct endpoint *endpoint) IN_CTRL;

#endif
