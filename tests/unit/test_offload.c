/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Helper threads: nothing is lost, a group is served by few threads in its order, and groups that
 * hang hold up no other, however many they are. No EAL.
 */
#include "engine/offload.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "lib/unit.h"

#define N_LCORES   4
#define N_TASKS    2000
#define N_HUNG     80 /* groups; with 4 threads for each they would want more than the maximum */
#define PATIENCE_S 20

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
	HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer)
#define SANITIZED 1 /* shadow memory does not get by with a limit of address space */
#else
#define SANITIZED 0
#endif

/* A task that notes the order it began in, and waits for its gate if it has one. */
struct job {
	struct offload_task task;
	sem_t *gate;
	cpu_set_t cpus;
	atomic_uint began; /* 1: the first */
	bool ended;
};

static atomic_uint n_begun;
static atomic_uint n_at_work;
static atomic_uint most_at_work;

static void job_run(struct offload_task *task)
{
	struct job *job = container_of(task, struct job, task);
	unsigned int n = atomic_fetch_add(&n_at_work, 1) + 1, most = atomic_load(&most_at_work);

	role_assert(&role_job);
	while (n > most && !atomic_compare_exchange_weak(&most_at_work, &most, n))
		;
	atomic_store(&job->began, atomic_fetch_add(&n_begun, 1) + 1);
	sched_getaffinity(0, sizeof(job->cpus), &job->cpus);
	if (job->gate)
		while (sem_wait(job->gate))
			;
	atomic_fetch_sub(&n_at_work, 1);
}

static void reset(void)
{
	atomic_store(&n_begun, 0);
	atomic_store(&n_at_work, 0);
	atomic_store(&most_at_work, 0);
}

static struct offload *make(void)
{
	struct offload *offload = NULL;
	struct error err = {0};

	if (offload_new(&offload, &err))
		fail_msg("%s", err.text);
	reset();
	return offload;
}

static void submit(struct offload_group *group, struct offload_done *done, struct job *job)
{
	job->ended = false;
	job->task.run = job_run;
	job->task.done = done;
	role_enter(&role_lcore);
	offload_submit(group, &job->task);
	role_leave(&role_lcore);
}

/* How many have ended since the last call. */
static unsigned int reap(struct offload_done *done)
{
	struct offload_task *task;
	unsigned int n = 0;

	role_enter(&role_lcore);
	task = offload_reap(done);
	while (task) {
		struct job *job = container_of(task, struct job, task);

		task = task->next;
		job->ended = true;
		n++;
	}
	role_leave(&role_lcore);
	return n;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Waits for n to end; returns how many did. */
static unsigned int wait_for(struct offload_done *done, unsigned int n)
{
	double until = now_s() + PATIENCE_S;
	unsigned int n_ended = 0;

	while (n_ended < n && now_s() < until) {
		n_ended += reap(done);
		usleep(200);
	}
	return n_ended;
}

static bool wait_for_begin(const struct job *job)
{
	double until = now_s() + PATIENCE_S;

	while (atomic_load(&job->began) == 0 && now_s() < until)
		usleep(500);
	return atomic_load(&job->began) != 0;
}

static bool wait_for_at_work(unsigned int n)
{
	double until = now_s() + PATIENCE_S;

	while (atomic_load(&n_at_work) != n && now_s() < until)
		usleep(500);
	return atomic_load(&n_at_work) == n;
}

static void test_one(void **state)
{
	struct offload *offload = make();
	struct offload_group group;
	struct offload_done done = {NULL};
	struct job job = {0};

	(void)state;
	offload_group_init(&group, offload);
	assert_int_equal(offload_n_threads(offload), 0); /* made when they are needed */
	assert_int_equal(reap(&done), 0);
	for (int i = 0; i < 3; i++) {
		submit(&group, &done, &job);
		assert_int_equal(wait_for(&done, 1), 1);
		assert_true(job.ended);
	}
	assert_in_range(offload_n_threads(offload), 1, 3);
	offload_free(offload);
}

/* Several lcores at once: each gets its own back, all of them. */
struct lcore {
	pthread_t thread;
	struct offload_group *groups;
	struct offload_done done;
	struct job jobs[N_TASKS];
	unsigned int n_ended;
};

static void *lcore_main(void *arg)
{
	struct lcore *l = arg;

	for (unsigned int i = 0; i < N_TASKS; i++) {
		submit(&l->groups[i % 3], &l->done, &l->jobs[i]);
		l->n_ended += reap(&l->done);
	}
	l->n_ended += wait_for(&l->done, N_TASKS - l->n_ended);
	return NULL;
}

static void test_many_lcores(void **state)
{
	struct offload *offload = make();
	struct lcore *lcores = calloc(N_LCORES, sizeof(*lcores));
	struct offload_group groups[3];

	(void)state;
	assert_non_null(lcores);
	for (int i = 0; i < 3; i++)
		offload_group_init(&groups[i], offload);
	for (int i = 0; i < N_LCORES; i++) {
		lcores[i].groups = groups;
		assert_int_equal(pthread_create(&lcores[i].thread, NULL, lcore_main, &lcores[i]),
				 0);
	}
	for (int i = 0; i < N_LCORES; i++) {
		pthread_join(lcores[i].thread, NULL);
		assert_int_equal(lcores[i].n_ended, N_TASKS);
		for (unsigned int k = 0; k < N_TASKS; k++)
			assert_true(lcores[i].jobs[k].ended);
	}
	assert_int_equal(atomic_load(&n_begun), N_LCORES * N_TASKS);
	assert_in_range(atomic_load(&most_at_work), 1, 3 * OFFLOAD_GROUP_THREADS);
	assert_in_range(offload_n_threads(offload), 1, 3 * OFFLOAD_GROUP_THREADS);
	offload_free(offload);
	free(lcores);
}

/* A group's tasks begin in the order they came, OFFLOAD_GROUP_THREADS at a time. */
static void test_order_and_width(void **state)
{
	enum { N = 3 * OFFLOAD_GROUP_THREADS };
	struct offload *offload = make();
	struct offload_group group;
	struct offload_done done = {NULL};
	struct job jobs[N] = {0};
	sem_t gate;

	(void)state;
	sem_init(&gate, 0, 0);
	offload_group_init(&group, offload);
	submit(&group, &done, &jobs[0]); /* there is one idle thread now, but no more */
	assert_int_equal(wait_for(&done, 1), 1);
	atomic_store(&n_begun, 0);
	for (unsigned int i = 0; i < N; i++) {
		atomic_store(&jobs[i].began, 0);
		jobs[i].gate = &gate;
		submit(&group, &done, &jobs[i]);
	}
	assert_true(wait_for_at_work(OFFLOAD_GROUP_THREADS));
	usleep(50000);
	assert_int_equal(atomic_load(&n_begun), OFFLOAD_GROUP_THREADS);
	assert_int_equal(offload_n_threads(offload), OFFLOAD_GROUP_THREADS);
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(atomic_load(&jobs[i].began) != 0, i < OFFLOAD_GROUP_THREADS);
	}
	for (unsigned int i = 1; i <= N; i++) {
		sem_post(&gate);
		assert_int_equal(wait_for(&done, 1), 1);
		if (i + OFFLOAD_GROUP_THREADS <= N)
			assert_true(wait_for_at_work(OFFLOAD_GROUP_THREADS));
	}
	for (unsigned int i = OFFLOAD_GROUP_THREADS; i < N; i++)
		assert_int_equal(atomic_load(&jobs[i].began), i + 1);
	assert_int_equal(atomic_load(&most_at_work), OFFLOAD_GROUP_THREADS);
	offload_free(offload);
	sem_destroy(&gate);
}

/* One group hangs with a long queue behind: another's tasks come back all the same. */
static void test_hung_group(void **state)
{
	enum { N = 40 };
	struct offload *offload = make();
	struct offload_group hung, sound;
	struct offload_done hung_done = {NULL}, sound_done = {NULL};
	struct job hung_jobs[N] = {0}, sound_jobs[N] = {0};
	sem_t gate;

	(void)state;
	sem_init(&gate, 0, 0);
	offload_group_init(&hung, offload);
	offload_group_init(&sound, offload);
	for (unsigned int i = 0; i < N; i++) {
		hung_jobs[i].gate = &gate;
		submit(&hung, &hung_done, &hung_jobs[i]);
	}
	assert_true(wait_for_at_work(OFFLOAD_GROUP_THREADS));
	for (unsigned int i = 0; i < N; i++)
		submit(&sound, &sound_done, &sound_jobs[i]);
	assert_int_equal(wait_for(&sound_done, N), N);
	assert_int_equal(reap(&hung_done), 0);
	assert_int_equal(atomic_load(&n_begun), OFFLOAD_GROUP_THREADS + N);
	for (unsigned int i = 0; i < N; i++)
		sem_post(&gate);
	assert_int_equal(wait_for(&hung_done, N), N);
	offload_free(offload);
	sem_destroy(&gate);
}

/* More hung groups than there are threads to lend: a sound one still gets its own. */
static void test_many_hung_groups(void **state)
{
	enum { PER_GROUP = OFFLOAD_GROUP_THREADS + 1, N = N_HUNG * PER_GROUP };
	struct offload *offload = make();
	struct offload_group *groups = calloc(N_HUNG, sizeof(*groups)), sound;
	struct job *jobs = calloc(N, sizeof(*jobs)), sound_jobs[8] = {0};
	struct offload_done done = {NULL}, sound_done = {NULL};
	sem_t gate;

	(void)state;
	assert_non_null(groups);
	assert_non_null(jobs);
	sem_init(&gate, 0, 0);
	for (unsigned int i = 0; i < N; i++) {
		struct offload_group *group = &groups[i / PER_GROUP];

		if (i % PER_GROUP == 0)
			offload_group_init(group, offload);
		jobs[i].gate = &gate;
		submit(group, &done, &jobs[i]);
	}
	offload_group_init(&sound, offload);
	for (unsigned int i = 0; i < 8; i++)
		submit(&sound, &sound_done, &sound_jobs[i]);
	assert_int_equal(wait_for(&sound_done, 8), 8);
	assert_int_equal(reap(&done), 0);
	/* Each of the hung ones has its turn as well, which may come later than the sound one's. */
	for (unsigned int i = 0; i < N; i += PER_GROUP)
		assert_true(wait_for_begin(&jobs[i]));
	assert_in_range(offload_n_threads(offload), N_HUNG, OFFLOAD_THREADS_MAX + N_HUNG + 1);
	for (unsigned int i = 0; i < N; i++)
		sem_post(&gate);
	assert_int_equal(wait_for(&done, N), N);
	assert_int_equal(atomic_load(&n_begun), N + 8);
	offload_free(offload);
	sem_destroy(&gate);
	free(groups);
	free(jobs);
}

#if !SANITIZED
/* No thread can be had for a while, and there is none yet: the task is done later, not never. The
 * first test: the C library keeps the stacks of threads that have ended. */
static void test_no_threads(void **state)
{
	struct offload *offload;
	struct offload_group group;
	struct offload_done done = {NULL};
	struct job jobs[6] = {0};
	struct rlimit old, none;

	(void)state;
	offload = make();
	offload_group_init(&group, offload);
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	none = (struct rlimit){.rlim_cur = 1, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	for (int i = 0; i < 6; i++)
		submit(&group, &done, &jobs[i]);
	usleep(300000);
	assert_int_equal(reap(&done), 0);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	assert_int_equal(wait_for(&done, 6), 6);
	offload_free(offload);
}
#endif

static void test_cpus(void **state)
{
	struct offload *offload = make();
	struct offload_group group;
	struct offload_done done = {NULL};
	struct job job = {0};
	cpu_set_t mine, one;
	int cpu = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(mine), &mine), 0);
	while (!CPU_ISSET(cpu, &mine))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	offload_set_cpus(offload, &one);
	offload_group_init(&group, offload);
	submit(&group, &done, &job);
	assert_int_equal(wait_for(&done, 1), 1);
	assert_true(CPU_EQUAL(&job.cpus, &one));
	offload_free(offload);
}

static void test_idle_threads_end(void **state)
{
	struct offload *offload = make();
	struct offload_group group;
	struct offload_done done = {NULL};
	struct job jobs[8] = {0};
	double until = now_s() + OFFLOAD_IDLE_S + PATIENCE_S;

	(void)state;
	offload_group_init(&group, offload);
	for (int i = 0; i < 8; i++)
		submit(&group, &done, &jobs[i]);
	assert_int_equal(wait_for(&done, 8), 8);
	assert_int_not_equal(offload_n_threads(offload), 0);
	while (offload_n_threads(offload) && now_s() < until)
		usleep(20000);
	assert_int_equal(offload_n_threads(offload), 0);
	submit(&group, &done, &jobs[0]); /* and come again */
	assert_int_equal(wait_for(&done, 1), 1);
	offload_free(offload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if !SANITIZED
		cmocka_unit_test(test_no_threads),
#endif
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_many_lcores),
		cmocka_unit_test(test_order_and_width),
		cmocka_unit_test(test_hung_group),
		cmocka_unit_test(test_many_hung_groups),
		cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_idle_threads_end),
	};

	return cmocka_run_group_tests_name("offload", tests, NULL, NULL);
}
