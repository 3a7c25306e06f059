/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/cleaner.h"

#include <stdlib.h>

struct cleaner *cleaner_new(const char *what)
{
	struct cleaner *cleaner = calloc(1, sizeof(*cleaner));

	if (!cleaner)
		return NULL;
	atomic_init(&cleaner->n, 0);
	atomic_init(&cleaner->n_bytes, 0);
	cleaner->what = what;
	return cleaner;
}

static void free_if_over(struct cleaner *cleaner)
{
	if (cleaner->is_over && atomic_load_explicit(&cleaner->n, memory_order_relaxed) == 0)
		free(cleaner);
}

void cleaner_free(struct cleaner *cleaner)
{
	role_assert(&role_ctrl);
	if (!cleaner)
		return;
	cleaner->is_over = true;
	free_if_over(cleaner);
}

unsigned int cleaner_count(struct cleaner *cleaner, unsigned int n, uint64_t n_bytes)
{
	atomic_fetch_add_explicit(&cleaner->n_bytes, n_bytes, memory_order_relaxed);
	return atomic_fetch_add_explicit(&cleaner->n, n, memory_order_relaxed);
}

unsigned int cleaner_uncount(struct cleaner *cleaner, unsigned int n, uint64_t n_bytes)
{
	atomic_fetch_sub_explicit(&cleaner->n_bytes, n_bytes, memory_order_relaxed);
	return atomic_fetch_sub_explicit(&cleaner->n, n, memory_order_relaxed);
}

static void run(struct job *job)
{
	const struct cleaner *cleaner = container_of(job, struct cleaner, job);

	role_assert(&role_job);
	for (struct cleanup *c = cleaner->doing; c; c = c->next)
		c->run(c);
}

static void done(struct job *job);

/* If there is something to do, and nobody does it. */
static void go_on(struct cleaner *cleaner, struct jobs *jobs) IN_CTRL
{
	if (cleaner->doing || !cleaner->waiting)
		return;
	cleaner->doing = cleaner->waiting;
	cleaner->waiting = NULL;
	job_start(jobs, &cleaner->job, cleaner->what, run, done);
}

static void done(struct job *job)
{
	struct cleaner *cleaner = container_of(job, struct cleaner, job);

	role_assert(&role_ctrl);
	while (cleaner->doing) {
		struct cleanup *c = cleaner->doing;

		cleaner->doing = c->next;
		cleaner_uncount(cleaner, c->n, c->n_bytes);
		c->done(c);
	}
	go_on(cleaner, job->jobs);
	free_if_over(cleaner);
}

void cleaner_add(struct cleaner *cleaner, struct cleanup *cleanup, struct jobs *jobs)
{
	role_assert(&role_ctrl);
	cleanup->next = cleaner->waiting;
	cleaner->waiting = cleanup;
	go_on(cleaner, jobs);
}
