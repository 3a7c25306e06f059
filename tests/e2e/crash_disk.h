/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk on a store that forgets: verified load on two queues, with a model of what must be there
 * after a power failure. It outlives the vhostd that serves it.
 */
#ifndef CRASH_DISK_H
#define CRASH_DISK_H

#include "vfe_verify.h"

#include "fixture.h"

#define CRASH_QUEUES  2
#define CRASH_BLOCKS  1024u
#define CRASH_BLOCK   4096u
#define CRASH_BYTES   ((uint64_t)CRASH_BLOCKS * CRASH_BLOCK)
#define CRASH_AT_ONCE 64u /* blocks that are read at once */

/* How the guest gets durable data. */
enum crash_mode {
	CRASH_WRITE_BACK,    /* by flushes */
	CRASH_WRITE_THROUGH, /* the cache is off (CONFIG_WCE) */
	CRASH_TOGGLED,       /* on and off, with requests in flight */
	CRASH_NO_FLUSH,      /* a driver that knows of no cache */
	CRASH_N_MODES,
};

struct crash_disk {
	const char *name;
	char path[TD_PATH_MAX]; /* what it is on: a file on faultfs, or a loop device on such one */
	int loop_fd;            /* keeps that device; -1 */
	char socket[TD_PATH_MAX];
	struct vfe_model model;
	struct vfe_durable durable;
	struct vfe_blk blk;
	struct vfe_io check; /* queue 0, before the load */
	struct vfe_load load[CRASH_QUEUES];
	unsigned int n_loads; /* of the session */
	enum crash_mode mode, last_mode;
	unsigned int n_toggles, n_done; /* in this session */
	uint64_t *random;
	uint8_t *buf;
};

/* A file of zeroes at that path; `random` is the test's. */
void crash_disk_init(struct crash_disk *d, const char *name, const char *path, uint64_t *random);

/* Has a loop device made of the file. False: there are none here for us. */
bool crash_disk_make_loop(struct crash_disk *d);

/* Ends the session, frees everything. Also half way. */
void crash_disk_fini(struct crash_disk *d);

/* Adds it to a vhostd. */
void crash_disk_add(struct crash_disk *d, struct td_backend *vhostd);

/* Opens a session and holds the disk against what was made durable. What it has in it now is the
 * truth from here on. */
void crash_disk_verify(struct crash_disk *d, enum crash_mode mode);

/* Sends what fits and takes the answers that are there. How many. */
unsigned int crash_disk_step(struct crash_disk *d);

/* vhostd is dead: takes the last answers, and ends the session. */
void crash_disk_abandon(struct crash_disk *d);

#endif
