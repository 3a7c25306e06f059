/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a front end has left behind, to be unmapped or closed, which may take as long as it likes: a
 * JOB does it, for each endpoint one thing after the other. So a front end that leaves things
 * without end gets one thread for it, and is told by their number when it has to stop.
 */
#ifndef DEVICE_CLEANER_H
#define DEVICE_CLEANER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/job.h"

/** A thing that is left. */
struct cleanup {
	void (*run)(struct cleanup *cleanup);  /* JOB */
	void (*done)(struct cleanup *cleanup); /* CTRL; may free it */
	unsigned int n;                        /* what it was counted as */
	uint64_t n_bytes;
	struct cleanup *next;
};

struct cleaner {
	atomic_uint n; /* of what is there or still to be cleaned up */
	_Atomic uint64_t n_bytes;
	const char *what; /* for people */
	struct job job;
	/* CTRL's: */
	struct cleanup *waiting;
	struct cleanup *doing; /* the job's, while there are any */
	bool is_over;          /* goes when nothing is left */
};

/** `what` it does, such as "unmap"; a constant string. NULL when memory is short. */
struct cleaner *cleaner_new(const char *what);

/** Nothing more will come; what is left is cleaned up, then it is freed. May be NULL. */
void cleaner_free(struct cleaner *cleaner) IN_CTRL;

/** Something more will have to be cleaned up. Returns how many there were before. Any thread. */
unsigned int cleaner_count(struct cleaner *cleaner, unsigned int n, uint64_t n_bytes);

/** So much has been; what a cleanup is counted as is taken off by itself, before its done(). One
 *  that is counted as nothing takes the last of its own off there. Returns how many there were
 *  before. Any thread. */
unsigned int cleaner_uncount(struct cleaner *cleaner, unsigned int n, uint64_t n_bytes);

/** Now it is to be. The caller fills in all but `next`, and has counted it. */
void cleaner_add(struct cleaner *cleaner, struct cleanup *cleanup, struct jobs *jobs) IN_CTRL;

#endif
