/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/offload.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define STACK_BYTES (256 * 1024)

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
		*handed; /* tasks that count as running and wait for a thread to run on */
	struct offload_group *starved;
	unsigned int n_threads;
	unsigned int n_idle;
	unsigned int n_handed;
	bool stop;
};

static void push(struct offload_task *_Atomic *stack, struct offload_task *task)
{
	struct offload_task *head = atomic_load_explicit(stack, memory_order_relaxed);

	do
		task->next = head;
	while (!atomic_compare_exchange_weak_explicit(stack, &head, task, memory_order_release,
						      memory_order_relaxed));
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
	task->group = group;
	push(&group->offload->inbox, task);
	wake(group->offload);
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

/* The next task for a helper that has just ended one of `group`. The lock is held. */
static struct offload_task *next_task(struct offload *o, struct offload_group *group)
{
	struct offload_task *task = group_next(group);

	if (task)
		return task;
	group->n_running--;
	forget_starved(o, group); /* its store may go from now on */
	while (!task && o->starved) {
		group = o->starved;
		o->starved = group->next_starved;
		group->starved = false;
		task = group_next(group);
		if (task)
			group->n_running++;
	}
	return task;
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
	o->n_idle++;
	while (!o->handed && !o->stop && ret != ETIMEDOUT)
		ret = pthread_cond_timedwait(&o->work, &o->lock, &until);
	o->n_idle--;
	task = o->handed;
	if (task) {
		o->handed = task->next;
		o->n_handed--;
	}
	return task;
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

			push(&done->head, task);
			task = next;
		}
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
	int ret = EAGAIN;

	if (o->n_threads < OFFLOAD_THREADS_MAX) {
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		pthread_attr_setstacksize(&attr, STACK_BYTES);
		ret = pthread_create(&thread, &attr, helper_thread, o);
		pthread_attr_destroy(&attr);
	}
	if (ret == 0)
		o->n_threads++;
	return ret == 0;
}

/* Puts one more of the group's tasks to work if it may have another thread. The lock is held. */
static void put_to_work(struct offload *o, struct offload_group *group)
{
	struct offload_task *task;

	if (group->n_running >= OFFLOAD_GROUP_THREADS)
		return;
	if (o->n_idle <= o->n_handed && !spawn(o)) {
		if (!group->starved) {
			group->starved = true;
			group->next_starved = o->starved;
			o->starved = group;
		}
		return;
	}
	task = group_next(group);
	group->n_running++;
	task->next = o->handed;
	o->handed = task;
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

static void *dispatcher_thread(void *arg)
{
	struct offload *o = arg;
	uint64_t count;

	role_enter(&role_job);
	while (read(o->wakeup_fd, &count, sizeof(count)) > 0 || errno == EINTR) {
		struct offload_task *task = take_all(&o->inbox);
		bool stop;

		pthread_mutex_lock(&o->lock);
		while (task) {
			struct offload_task *next = task->next;

			dispatch(o, task);
			task = next;
		}
		stop = o->stop;
		pthread_mutex_unlock(&o->lock);
		if (stop)
			break;
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
	/* Blocking for its reader. An lcore's write would wait only at 2^64 - 2 unread wake-ups. */
	o->wakeup_fd = eventfd(0, EFD_CLOEXEC);
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
