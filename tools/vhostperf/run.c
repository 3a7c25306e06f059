/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* How often the main thread looks whether all workers have begun the next phase. */
#define PHASE_LOOK_US 100

/* All of the process stays on the CPUs it is given, so that it disturbs nobody on the others: what
 * the main thread takes from a worker is measured, as being away. */
static enum exit_code take_cpus(const struct options *o)
{
	cpu_set_t may, set;

	CPU_ZERO(&set);
	if (o->n_cpus == 0)
		return EXIT_OK;
	if (sched_getaffinity(0, sizeof(may), &may) < 0)
		return fail(EXIT_FAILED, "--cpu: %s", strerror(errno));
	for (unsigned int i = 0; i < o->n_cpus; i++) {
		if (!CPU_ISSET(o->cpu[i], &may))
			return fail(EXIT_USAGE, "--cpu: this process may not run on a CPU %u",
				    o->cpu[i]);
		CPU_SET(o->cpu[i], &set);
	}
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		return fail(EXIT_FAILED, "--cpu: %s", strerror(errno));
	return EXIT_OK;
}

static int make_workers(struct run *run)
{
	const struct options *o = run->options;
	unsigned int n = o->n_cpus ? o->n_cpus : 1;
	int rc = 0;

	run->worker = aligned_alloc(CACHE_LINE, n * sizeof(*run->worker));
	run->sum = calloc(1, sizeof(*run->sum));
	run->orders.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!run->worker || !run->sum)
		return -ENOMEM;
	if (run->orders.event_fd < 0)
		return -errno;
	for (unsigned int i = 0; i < n && !rc; i++) {
		struct worker *w = &run->worker[i];

		run->n_workers = i + 1;
		rc = worker_init(w, &run->orders, &run->clock, o->away_us);
		w->cpu = o->n_cpus ? (int)o->cpu[i] : -1;
	}
	for (unsigned int q = 0; q < run->disk.n_queues && !rc; q++) {
		struct worker *w = &run->worker[q % n];

		w->queue[w->n_queues++] = &run->disk.queue[q];
	}
	return rc;
}

static enum exit_code cant_start(int rc)
{
	return fail(EXIT_FAILED, "can't start the load: %s", strerror(-rc));
}

enum exit_code run_open(struct run *run, const struct options *options)
{
	enum exit_code code;
	int rc;

	*run = (struct run){
		.options = options,
		.orders = {.event_fd = -1,
			   .wait_block = options->wait == WAIT_BLOCK,
			   .read_back = options->verify && options_writes(options)},
	};
	code = take_cpus(options);
	clock_init(&run->clock);
	if (code == EXIT_OK)
		code = disk_open(&run->disk, options);
	if (code != EXIT_OK)
		return code;
	rc = make_workers(run);
	return rc ? cant_start(rc) : EXIT_OK;
}

enum exit_code run_start(struct run *run)
{
	int rc;

	while (run->n_started < run->n_workers) {
		rc = worker_start(&run->worker[run->n_started]);
		if (rc)
			return cant_start(rc);
		run->n_started++;
	}
	return EXIT_OK;
}

static void wake_all(const struct run *run)
{
	for (unsigned int i = 0; i < run->n_started; i++)
		worker_wake(&run->worker[i]);
}

/* Takes what the workers have counted in a phase that is over, and empties their buffers. */
static const struct stats *collect(struct run *run, uint32_t phase)
{
	stats_clear(run->sum);
	for (unsigned int i = 0; i < run->n_started; i++) {
		struct stats *stats = &run->worker[i].buffer[phase & 1];

		stats_merge(run->sum, stats);
		stats_clear(stats);
	}
	run->sum->reads = run->sum->requests - run->sum->writes;
	run->n_errors += run->sum->errors;
	run->n_mismatches += run->sum->mismatches;
	return run->sum;
}

/* Has every worker begun the phase, or ended? */
static bool all_in(const struct run *run, uint32_t phase)
{
	for (unsigned int i = 0; i < run->n_started; i++) {
		const struct worker *w = &run->worker[i];

		if (!__atomic_load_n(&w->has_ended, __ATOMIC_ACQUIRE) &&
		    __atomic_load_n(&w->phase, __ATOMIC_ACQUIRE) != phase)
			return false;
	}
	return true;
}

const struct stats *run_next_phase(struct run *run)
{
	uint32_t phase = run->orders.phase + 1;

	__atomic_store_n(&run->orders.phase, phase, __ATOMIC_RELEASE);
	wake_all(run);
	while (!all_in(run, phase))
		usleep(PHASE_LOOK_US);
	return collect(run, phase - 1);
}

void run_stop(struct run *run, enum stop stop)
{
	if (run->orders.stop < stop)
		__atomic_store_n(&run->orders.stop, (uint32_t)stop, __ATOMIC_RELEASE);
	wake_all(run);
}

bool run_has_ended(const struct run *run)
{
	for (unsigned int i = 0; i < run->n_started; i++) {
		if (!__atomic_load_n(&run->worker[i].has_ended, __ATOMIC_ACQUIRE))
			return false;
	}
	return true;
}

unsigned int run_n_out(const struct run *run)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < run->disk.n_queues; i++)
		n += run->disk.queue[i].n_out;
	return n;
}

uint64_t run_n_done(const struct run *run)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < run->n_started; i++)
		n += __atomic_load_n(&run->worker[i].n_done, __ATOMIC_RELAXED);
	return n;
}

/* What came after the last phase: only what was checked counts. */
static void add_afterwards(struct run *run, uint32_t phase)
{
	for (unsigned int i = 0; i < run->n_started; i++) {
		const struct stats *after = &run->worker[i].buffer[(phase + 1) & 1];

		run->sum->errors += after->errors;
		run->sum->verified_blocks += after->verified_blocks;
		run->sum->mismatches += after->mismatches;
		run->n_errors += after->errors;
		run->n_mismatches += after->mismatches;
	}
}

static void join(struct run *run)
{
	while (run->n_started > 0)
		pthread_join(run->worker[--run->n_started].thread, NULL);
}

const struct stats *run_end(struct run *run)
{
	unsigned int n = run->n_started;

	join(run);
	run->n_started = n;
	collect(run, run->orders.phase);
	add_afterwards(run, run->orders.phase);
	run->n_started = 0;
	return run->sum;
}

const char *run_failure(const struct run *run)
{
	for (unsigned int i = 0; i < run->n_workers; i++) {
		if (run->worker[i].failure)
			return run->worker[i].failure;
	}
	return NULL;
}

void run_close(struct run *run)
{
	bool healthy = run->n_workers > 0 && run->orders.stop == STOP_DRAIN && !run_failure(run);

	if (run->n_started > 0)
		run_stop(run, STOP_AT_ONCE);
	join(run);
	disk_close(&run->disk, healthy);
	for (unsigned int i = 0; i < run->n_workers; i++)
		worker_fini(&run->worker[i]);
	if (run->orders.event_fd >= 0)
		close(run->orders.event_fd);
	free(run->worker);
	free(run->sum);
}
