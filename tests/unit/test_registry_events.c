/* SPDX-License-Identifier: BSD-3-Clause
 *
 * CTRL and its mailbox: it looks again at what it could not get at, because a sender that rings no
 * bell had not come to the end of sending. No EAL.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/events.h"
#include "device/registry_impl.h"
#include "lib/unit.h"

#define N_JOBS 3

/* The oldest event: its sender is done with it; the next sender links its own to it, and can't
 * while the page is read-only. */
static struct job *first;
static struct job others[N_JOBS - 1];
static size_t page_bytes;
static unsigned int n_done;
static atomic_bool is_stuck, may_go_on;

static void on_done(struct job *job)
{
	(void)job;
	n_done++;
}

static void job_ended(struct job *job, struct mbox *events)
{
	job->done = on_done;
	job->events = events;
	msg_init(&job->msg, EVENT_JOB_DONE);
}

static void allow_writing(bool allowed)
{
	assert_int_equal(mprotect(first, page_bytes, PROT_READ | (allowed ? PROT_WRITE : 0)), 0);
}

/* The sender stays where it is, as if something else had got its CPU. */
static void on_segv(int number)
{
	if (atomic_exchange(&is_stuck, true))
		signal(number, SIG_DFL); /* a fault that is none of this test's */
	while (!atomic_load(&may_go_on))
		sched_yield();
}

static void *leave(void *arg)
{
	struct job *job = arg;

	mbox_leave(job->events, &job->msg);
	return NULL;
}

static bool is_readable(const struct mbox *mbox)
{
	struct pollfd p = {.fd = mbox_fd(mbox), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* Leaves the second one, and is preempted before it has linked it to the first. */
static pthread_t leave_half(struct job *job)
{
	const struct sigaction action = {.sa_handler = on_segv};
	pthread_t thread;

	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
	allow_writing(false);
	assert_int_equal(pthread_create(&thread, NULL, leave, job), 0);
	while (!atomic_load(&is_stuck))
		sched_yield();
	return thread;
}

static void test_behind_one_who_leaves(void **state)
{
	struct registry r = {0};
	struct error err = {0};
	pthread_t thread;

	(void)state;
	assert_int_equal(mbox_new(true, &r.params.events, &err), 0);
	job_ended(first, r.params.events);
	job_ended(&others[0], r.params.events);
	job_ended(&others[1], r.params.events);
	mbox_leave(r.params.events, &first->msg);
	thread = leave_half(&others[0]);
	mbox_send(r.params.events, &others[1].msg);
	role_enter(&role_ctrl);
	registry_on_events(&r);
	assert_int_equal(n_done, 0);
	assert_true(is_readable(r.params.events)); /* nobody rings any more */
	allow_writing(true);
	atomic_store(&may_go_on, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	registry_on_events(&r);
	role_leave(&role_ctrl);
	assert_int_equal(n_done, N_JOBS);
	assert_false(is_readable(r.params.events));
	mbox_free(r.params.events);
}

static int setup(void **state)
{
	(void)state;
	page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	first = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return first == MAP_FAILED || sizeof(*first) > page_bytes;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_behind_one_who_leaves),
	};

	return cmocka_run_group_tests_name("registry_events", tests, setup, NULL);
}
