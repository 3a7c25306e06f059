/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A disk as librte_vhost's event thread sees it, and the only room that calls librte_vhost
 * (endpoint.c).
 *
 * librte_vhost is used for what comes after a front end was let in (admission.h): it reads whole
 * messages with their descriptors, on the one event thread on which all of it happens. Every
 * message is answered by us in its external pre handler: librte_vhost itself never maps a guest's
 * memory, never holds a kick or call descriptor, never finds a ring ready, and so has nothing to
 * do, and nothing to wait for, when a connection ends.
 */
#ifndef DEVICE_ENDPOINT_H
#define DEVICE_ENDPOINT_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/log.h"
#include "base/thread_role.h"
#include "device/admission.h"
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
	struct admission *admission;
	struct door door;
	struct cleaner *unmapper;    /* of its guests' memory */
	struct cleaner *closer;      /* of its front ends' descriptors */
	bool wants_maps;             /* CTRL is told of each with EVENT_MAP_SET */
	struct conn *conn;           /* VHOST's: the front end connected now */
	struct log_limit refusals;   /* CTRL's */
	struct log_limit complaints; /* VHOST's and CTRL's */
	struct log_limit visits;     /* CTRL's */
};

/** Starts librte_vhost's event thread, which serves who is admitted. Once, before any other call.
 * 0, or -1 with *err set. */
int endpoints_init(const char *socket_dir, struct admission *admission, struct error *err);

/** Ends what librte_vhost listens on. */
void endpoints_fini(void) IN_JOB;

/** Makes the disk's socket. 0, or -1 with *err (SOCKET). */
int endpoint_open(struct endpoint *endpoint, struct error *err) IN_JOB;

#endif
