/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A measurement: the disk, the workers, and what they have counted. The main thread's.
 */
#ifndef VHOSTPERF_RUN_H
#define VHOSTPERF_RUN_H

#include "disk.h"
#include "worker.h"

struct run {
	const struct options *options;
	struct clock clock;
	struct disk disk;
	struct orders orders;
	struct worker *worker;
	unsigned int n_workers; /* prepared */
	unsigned int n_started;
	struct stats *sum; /* of the phase that has ended last */
	uint64_t n_errors; /* of all phases */
	uint64_t n_mismatches;
};

/** Connects, and prepares the load. run_close() is due in either case. */
enum exit_code run_open(struct run *run, const struct options *options);

/** Starts the load. */
enum exit_code run_start(struct run *run);

/** Ends the phase and begins the next. The sum of what the workers have counted in the one that has
 *  ended; valid until the next call. */
const struct stats *run_next_phase(struct run *run);

/** Tells the workers to stop; may be told again, with less patience. */
void run_stop(struct run *run, enum stop stop);

/** Whether all workers have ended. */
bool run_has_ended(const struct run *run);

/** Requests that have ended, of all phases. */
uint64_t run_n_done(const struct run *run);

/** Waits for the workers, which have been told to stop: the last phase. */
const struct stats *run_end(struct run *run);

/** Requests that were still in flight; after run_end(). */
unsigned int run_n_out(const struct run *run);

/** Why a worker has ended by itself, or NULL; after run_end(). */
const char *run_failure(const struct run *run);

void run_close(struct run *run);

#endif
