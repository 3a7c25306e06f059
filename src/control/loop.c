/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

TAILQ_HEAD(task_list, loop_task);

struct loop {
	int epoll_fd;
	bool stopping;
	struct task_list tasks;
};

int loop_new(struct loop **ret_loop, struct error *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	TAILQ_INIT(&loop->tasks);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		error_set(err, VHOSTD_ERR_INTERNAL, "epoll_create1: %s", strerror(errno));
		free(loop);
		return -1;
	}
	*ret_loop = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	close(loop->epoll_fd);
	free(loop);
}

/* One of the tasks queued by now, so that a task that queues itself can't keep events waiting. */
static void run_one_task(struct loop *loop)
{
	struct loop_task *task = TAILQ_FIRST(&loop->tasks);

	if (!task)
		return;
	TAILQ_REMOVE(&loop->tasks, task, link);
	task->is_queued = false;
	task->fn(task->arg);
}

void loop_run(struct loop *loop)
{
	while (!loop->stopping) {
		int timeout_ms = TAILQ_EMPTY(&loop->tasks) ? -1 : 0;
		struct epoll_event event;
		int n = epoll_wait(loop->epoll_fd, &event, 1, timeout_ms);

		CHECK(n >= 0 || errno == EINTR, "epoll_wait works");
		if (n > 0) {
			struct loop_source *source = event.data.ptr;

			source->fn(source->arg, event.events);
		}
		run_one_task(loop);
	}
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

int loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events, loop_fn fn,
	     void *arg)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		source->fd = -1;
		return -errno;
	}
	*source = (struct loop_source){.fd = fd, .events = events, .fn = fn, .arg = arg};
	return 0;
}

void loop_change(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (source->events == events)
		return;
	source->events = events;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0)
		CHECK(errno == ENOMEM, "a watched descriptor can be changed");
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	if (source->fd < 0)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
}

int loop_add_timer(struct loop *loop, struct loop_source *source, unsigned int period_ms,
		   loop_fn fn, void *arg)
{
	struct timespec period = {.tv_sec = period_ms / 1000,
				  .tv_nsec = (long)(period_ms % 1000) * 1000000};
	struct itimerspec spec = {.it_interval = period, .it_value = period};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int rc;

	source->fd = -1;
	if (fd < 0)
		return -errno;
	rc = timerfd_settime(fd, 0, &spec, NULL) < 0 ? -errno
						     : loop_add(loop, source, fd, EPOLLIN, fn, arg);
	if (rc)
		close(fd);
	return rc;
}

void loop_drain(struct loop_source *source)
{
	uint64_t n_expirations;

	if (read(source->fd, &n_expirations, sizeof(n_expirations)) < 0)
		CHECK(errno == EAGAIN || errno == EINTR, "a timer can be read");
}

void loop_remove_timer(struct loop *loop, struct loop_source *source)
{
	int fd = source->fd;

	if (fd < 0)
		return;
	loop_remove(loop, source);
	close(fd);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	if (task->is_queued)
		return;
	task->is_queued = true;
	TAILQ_INSERT_TAIL(&loop->tasks, task, link);
}

void loop_cancel(struct loop *loop, struct loop_task *task)
{
	if (!task->is_queued)
		return;
	task->is_queued = false;
	TAILQ_REMOVE(&loop->tasks, task, link);
}
