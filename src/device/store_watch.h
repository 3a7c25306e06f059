/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What has become of a disk's store: CTRL looks at its error counters about once a second, tells of
 * new errors in one line, and has a JOB look whether the file or device still is as large as the
 * disk. That may take long, and holds up nobody but the disk's own deletion.
 */
#ifndef DEVICE_STORE_WATCH_H
#define DEVICE_STORE_WATCH_H

#include "base/log.h"
#include "device/job.h"
#include "engine/store.h"

struct device;

/* X(name, text, what a line in the log says) */
#define STORE_STATES(X)                                                                            \
	X(OK, "ok", "has what the disk needs")                                                     \
	X(SHORT, "short", "is shorter than the disk: what lies behind its end fails")              \
	X(LOST, "lost", "is gone, or has nothing left: all requests fail")

#define STORE_STATE_ENUM(name, text, line) STORE_STATE_##name,
enum store_state { STORE_STATES(STORE_STATE_ENUM) STORE_N_STATES };
#undef STORE_STATE_ENUM

const char *store_state_name(enum store_state state);

/** CTRL's, but for what the job writes. */
struct store_watch {
	enum store_state state; /* when it was looked at last */
	uint64_t size_bytes;    /* of the file or device, then */
	uint64_t n_told;        /* errors that the log knows of, in all and by errno */
	uint64_t n_told_by_errno[STORE_ERRNO_MAX + 1];
	bool told_no_nowait;
	struct log_limit error_lines, state_lines;
	bool looking; /* the job is under way: it writes what follows */
	struct job job;
	uint64_t found_bytes;
	int found_error; /* 0, or -errno of reading the size */
};

/** About once a second, while the store is open and no deletion has begun. */
void store_watch_check(struct device *dev) IN_CTRL;

#endif
