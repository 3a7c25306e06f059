/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/job.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "device/events.h"

#define STACK_BYTES (256 * 1024)

static void *job_thread(void *arg)
{
	struct job *job = arg;

	pthread_setname_np(pthread_self(), "vhostd-job"); /* for people, and tests */
	role_enter(&role_job);
	job->run(job);
	role_leave(&role_job);
	mbox_send(job->events, &job->msg);
	return NULL;
}

static int spawn(struct job *job)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	ret = pthread_create(&thread, &attr, job_thread, job);
	pthread_attr_destroy(&attr);
	if (ret)
		log_err("daemon", "can't make a thread to %s: %s; trying again", job->what,
			strerror(ret));
	return ret;
}

void job_start(struct jobs *jobs, struct job *job, const char *what, job_fn run, job_fn done)
{
	msg_init(&job->msg, EVENT_JOB_DONE);
	job->jobs = jobs;
	job->events = jobs->events;
	job->what = what;
	job->run = run;
	job->done = done;
	atomic_store_explicit(&job->work, NULL, memory_order_relaxed);
	if (spawn(job) == 0)
		return;
	job->next = jobs->waiting;
	jobs->waiting = job;
}

void job_finish(struct job *job)
{
	atomic_store_explicit(&job->work, NULL, memory_order_relaxed);
	job->done(job);
}

void jobs_retry(struct jobs *jobs)
{
	while (jobs->waiting) {
		struct job *job = jobs->waiting;

		jobs->waiting = job->next;
		if (spawn(job) == 0)
			continue;
		job->next = jobs->waiting;
		jobs->waiting = job;
		return;
	}
}
