/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Short-lived workers, one thread for each thing under way that may block for long: opening and
 * closing stores, making and removing sockets, unmapping guest memory. A hung one holds up
 * nobody else.
 */
#ifndef DEVICE_JOB_H
#define DEVICE_JOB_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/error.h"
#include "base/thread_role.h"
#include "engine/mbox.h"

struct job;
typedef void (*job_fn)(struct job *job);

struct job {
	struct msg msg;           /* EVENT_JOB_DONE */
	job_fn run;               /* JOB */
	job_fn done;              /* CTRL; the job may be freed by it */
	const char *what;         /* for people */
	const char *_Atomic work; /* what it is at, for people: JOB writes, CTRL reads */
	struct job *next;
	struct jobs *jobs;   /* CTRL's: at the daemon's end it may be gone before the job is */
	struct mbox *events; /* outlives all jobs */
};

/** CTRL's: who runs jobs. */
struct jobs {
	struct mbox *events;
	struct job *waiting; /* no thread could be had for these yet */
};

/** `run` in a thread of its own, then `done` by CTRL. When no thread can be made the job waits for
 *  jobs_retry(). */
void job_start(struct jobs *jobs, struct job *job, const char *what, job_fn run,
	       job_fn done) IN_CTRL;

/** Says what the job is doing now, such as "closing the store"; a constant string. */
static inline void job_say(struct job *job, const char *work) IN_JOB
{
	atomic_store_explicit(&job->work, work, memory_order_relaxed);
}

/** What it said last; NULL: nothing, or it does not run. */
static inline const char *job_work(const struct job *job)
{
	return atomic_load_explicit((const char *_Atomic *)(uintptr_t)&job->work,
				    memory_order_relaxed);
}

/** EVENT_JOB_DONE. */
void job_finish(struct job *job) IN_CTRL;

/** Starts what is waiting. */
void jobs_retry(struct jobs *jobs) IN_CTRL;

#endif
