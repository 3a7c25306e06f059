/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/offload.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "engine/waker.h"

#define STACK_BYTES (256 * 1024)
#define RETRY_MS    100 /* when no thread could be had */

struct offload {
	struct offload_task
		*_Atomic inbox; /* newest first; lcores push, the dispatcher takes all */
	int wakeup_fd;
	pthread_t dispatcher;
	/* The rest is the dispatcher's and the helpers', under the lock; no lcore takes it. */
	pthread_mutex_t lock;
	pthread_cond_t work;  /* for idle helpers: `handed` is not empty, or the end */
	pthread_cond_t ended; /* for offload_free(): a helper has ended */
	struct offload_task
		*handed; /* count as running, wait for a thread to run on; oldest first */
	struct offload_task **handed_tail;
	struct offload_group
		*starved; /* have tasks that no thread could be had for; longest first */
	unsigned int n_threads;
	unsigned int n_idle;
	unsigned int n_handed;
	bool stop;
};

/* Returns whether the stack was empty. */
static bool push(struct offload_task *_Atomic *stack, struct offload_task *task)
{
	struct offload_task *head = atomic_load_explicit(stack, memory_order_relaxed);

	do
		task->next = head;
	while (!atomic_compare_exchange_weak_explicit(stack, &head, task, memory_order_release,
						      memory_order_relaxed));
	return head == NULL;
}

/* Takes a stack as a whole; the oldest comes first. */
static struct offload_task *take_all(struct offload_task *_Atomic *stack)
{
	struct offload_task *task = atomic_exchange_explicit(stack, NULL, memory_order_acquire);
	struct offload_task *first = NULL;

	while (task) {
		struct offload_task *next = task->next;

		task->next = first;
		first = task;
		task = next;
	}
	return first;
}

static void wake(struct offload *o)
{
	static const uint64_t one = 1;
	ssize_t written = write(o->wakeup_fd, &one, sizeof(one));

	(void)written; /* a full counter wakes as well */
}

void offload_submit(struct offload_group *group, struct offload_task *task)
{
	struct offload *o = group->offload;

	task->group = group;
	/* Whoever finds the inbox filled knows that its first one's wake-up is on its way. */
	if (push(&o->inbox, task))
		wake(o);
}

struct offload_task *offload_reap(struct offload_done *done)
{
	if (!atomic_load_explicit(&done->head, memory_order_relaxed))
		return NULL;
	return take_all(&done->head);
}

void offload_group_init(struct offload_group *group, struct offload *offload)
{
	*group = (struct offload_group){.offload = offload};
	group->tail = &group->head;
}

static struct offload_task *group_next(struct offload_group *group)
{
	struct offload_task *task = group->head;

	if (!task)
		return NULL;
	group->head = task->next;
	if (!group->head)
		group->tail = &group->head;
	return task;
}

static void add_starved(struct offload *o, struct offload_group *group)
{
	struct offload_group **link = &o->starved;

	if (group->starved)
		return;
	while (*link)
		link = &(*link)->next_starved;
	*link = group;
	group->next_starved = NULL;
	group->starved = true;
}

static void forget_starved(struct offload *o, struct offload_group *group)
{
	struct offload_group **link = &o->starved;

	if (!group->starved)
		return;
	while (*link != group)
		link = &(*link)->next_starved;
	*link = group->next_starved;
	group->starved = false;
}

/* A task of the group that has waited longest for a thread; it counts as running. */
static struct offload_task *starved_next(struct offload *o)
{
	while (o->starved) {
		struct offload_group *group = o->starved;
		struct offload_task *task = NULL;

		forget_starved(o, group);
		if (group->n_running < OFFLOAD_GROUP_THREADS)
			task = group_next(group);
		if (!task)
			continue;
		group->n_running++;
		if (group->head)
			add_starved(o, group);
		return task;
	}
	return NULL;
}

/* The next task for a helper that has just ended one of `group`. The lock is held. */
static struct offload_task *next_task(struct offload *o, struct offload_group *group)
{
	struct offload_task *task = group_next(group);

	if (task)
		return task;
	group->n_running--;
	forget_starved(o, group); /* its store may go from now on */
	return starved_next(o);
}

/* Waits for a handed task. NULL: it was idle for long enough, or the end has come. The lock is
 * held. */
static struct offload_task *wait_for_task(struct offload *o)
{
	struct offload_task *task;
	struct timespec until;
	int ret = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += OFFLOAD_IDLE_S;
	while (!o->handed && !o->stop && ret != ETIMEDOUT)
		ret = pthread_cond_timedwait(&o->work, &o->lock, &until);
	o->n_idle--;
	task = o->handed;
	if (task) {
		o->handed = task->next;
		if (!o->handed)
			o->handed_tail = &o->handed;
		o->n_handed--;
	}
	return task;
}

/* The channel, and `done` with it, may go as soon as the task is in the list; not the lcore. */
static void give_back(struct offload_done *done, struct offload_task *task)
{
	struct doorbell *doorbell = done->doorbell;

	push(&done->head, task);
	if (doorbell)
		doorbell_ring(doorbell);
}

static void *helper_thread(void *arg)
{
	struct offload *o = arg;
	struct offload_task *task;

	role_enter(&role_job);
	pthread_mutex_lock(&o->lock);
	while ((task = wait_for_task(o))) {
		while (task) {
			struct offload_group *group = task->group;
			struct offload_done *done = task->done;

			pthread_mutex_unlock(&o->lock);
			task->run(task);
			pthread_mutex_lock(&o->lock);
			/* The group counts it as ended before its store hears of it, and may go. */
			struct offload_task *next = next_task(o, group);

			give_back(done, task);
			task = next;
		}
		o->n_idle++;
	}
	o->n_threads--;
	pthread_cond_signal(&o->ended);
	pthread_mutex_unlock(&o->lock);
	role_leave(&role_job);
	return NULL;
}

static bool spawn(struct offload *o)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	ret = pthread_create(&thread, &attr, helper_thread, o);
	pthread_attr_destroy(&attr);
	if (ret == 0) {
		o->n_threads++;
		o->n_idle++; /* from now on: another may take the task it was made for */
	}
	return ret == 0;
}

/* Is there a thread for one more of the group's tasks? Its first one gets a new thread even when
 * there are many already: those may hang, all of them. */
static bool have_thread(struct offload *o, const struct offload_group *group)
{
	if (o->n_idle > o->n_handed)
		return true;
	if (group->n_running && o->n_threads >= OFFLOAD_THREADS_MAX)
		return false;
	return spawn(o);
}

/* Puts one more of the group's tasks to work if it may have another thread. The lock is held. */
static void put_to_work(struct offload *o, struct offload_group *group)
{
	struct offload_task *task;

	if (!group->head || group->n_running >= OFFLOAD_GROUP_THREADS)
		return;
	if (!have_thread(o, group)) {
		add_starved(o, group);
		return;
	}
	task = group_next(group);
	group->n_running++;
	task->next = NULL;
	*o->handed_tail = task;
	o->handed_tail = &task->next;
	o->n_handed++;
	pthread_cond_signal(&o->work);
}

static void dispatch(struct offload *o, struct offload_task *task)
{
	struct offload_group *group = task->group;

	task->next = NULL;
	*group->tail = task;
	group->tail = &task->next;
	put_to_work(o, group);
}

static void retry_starved(struct offload *o)
{
	struct offload_group *group = o->starved;

	o->starved = NULL;
	while (group) {
		struct offload_group *next = group->next_starved;

		group->starved = false;
		put_to_work(o, group);
		group = next;
	}
}

/* Sorts what has come in since the last time. Returns for how long to sleep: -1 until woken. */
static int dispatch_all(struct offload *o, bool *ret_stop)
{
	struct offload_task *task = take_all(&o->inbox);
	int sleep_ms;

	pthread_mutex_lock(&o->lock);
	retry_starved(o);
	while (task) {
		struct offload_task *next = task->next;

		dispatch(o, task);
		task = next;
	}
	*ret_stop = o->stop;
	sleep_ms = o->starved ? RETRY_MS : -1;
	pthread_mutex_unlock(&o->lock);
	return sleep_ms;
}

static void *dispatcher_thread(void *arg)
{
	struct offload *o = arg;
	struct pollfd wakeup = {.fd = o->wakeup_fd, .events = POLLIN};
	int sleep_ms = -1;
	bool stop = false;

	role_enter(&role_job);
	while (!stop) {
		uint64_t count;
		ssize_t n;

		poll(&wakeup, 1, sleep_ms);
		n = read(o->wakeup_fd, &count, sizeof(count));
		(void)n; /* nothing: it is the retry */
		sleep_ms = dispatch_all(o, &stop);
	}
	role_leave(&role_job);
	return NULL;
}

int offload_new(struct offload **ret_offload, struct error *err)
{
	struct offload *o = calloc(1, sizeof(*o));
	int ret;

	if (!o)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->work, NULL);
	pthread_cond_init(&o->ended, NULL);
	o->handed_tail = &o->handed;
	o->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (o->wakeup_fd < 0) {
		error_set(err, VHOSTD_ERR_INTERNAL, "eventfd: %s", strerror(errno));
		goto free_offload;
	}
	ret = pthread_create(&o->dispatcher, NULL, dispatcher_thread, o);
	if (ret) {
		error_set(err, VHOSTD_ERR_INTERNAL, "can't make a thread: %s", strerror(ret));
		goto close_wakeup;
	}
	pthread_setname_np(o->dispatcher, "vhostd-offload");
	*ret_offload = o;
	return 0;

close_wakeup:
	close(o->wakeup_fd);
free_offload:
	free(o);
	return -1;
}

void offload_set_cpus(struct offload *o, const cpu_set_t *cpus)
{
	pthread_setaffinity_np(o->dispatcher, sizeof(*cpus), cpus);
}

void offload_get_cpus(const struct offload *o, cpu_set_t *ret_cpus)
{
	pthread_getaffinity_np(o->dispatcher, sizeof(*ret_cpus), ret_cpus);
}

void offload_free(struct offload *o)
{
	pthread_mutex_lock(&o->lock);
	o->stop = true;
	pthread_cond_broadcast(&o->work);
	pthread_mutex_unlock(&o->lock);
	wake(o);
	pthread_join(o->dispatcher, NULL);
	pthread_mutex_lock(&o->lock);
	while (o->n_threads)
		pthread_cond_wait(&o->ended, &o->lock);
	pthread_mutex_unlock(&o->lock);
	CHECK(!o->handed && !o->starved && !atomic_load_explicit(&o->inbox, memory_order_relaxed),
	      "no task is left when the helper threads end");
	close(o->wakeup_fd);
	free(o);
}

unsigned int offload_n_threads(struct offload *o)
{
	unsigned int n;

	pthread_mutex_lock(&o->lock);
	n = o->n_threads;
	pthread_mutex_unlock(&o->lock);
	return n;
}
