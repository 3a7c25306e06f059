/* SPDX-License-Identifier: BSD-3-Clause */
#include "floor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cpus.h"

static void kick(const struct wake_floor *floor)
{
	static const uint64_t one = 1;
	ssize_t written = write(floor->kick_fd, &one, sizeof(one));

	(void)written;
}

/* As an lcore sleeps: the eventfd is watched edge-triggered and never read. */
static void *answer(void *arg)
{
	struct wake_floor *floor = arg;
	struct epoll_event event;

	while (!atomic_load(&floor->stop)) {
		epoll_wait(floor->epoll_fd, &event, 1, -1);
		atomic_store(&floor->n_answered, atomic_load(&floor->n_asked));
	}
	return NULL;
}

static void end_thread(struct wake_floor *floor)
{
	atomic_store(&floor->stop, true);
	kick(floor);
	pthread_join(floor->thread, NULL);
}

static int make_thread(struct wake_floor *floor, unsigned int cpu)
{
	int rc = pthread_create(&floor->thread, NULL, answer, floor);

	if (rc)
		return -rc;
	rc = bench_pin(floor->thread, cpu);
	if (rc)
		end_thread(floor);
	return -rc;
}

int wake_floor_start(struct wake_floor *floor, unsigned int cpu)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int rc;

	*floor = (struct wake_floor){0};
	floor->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	floor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (floor->kick_fd < 0 || floor->epoll_fd < 0 ||
	    epoll_ctl(floor->epoll_fd, EPOLL_CTL_ADD, floor->kick_fd, &event))
		rc = -errno;
	else
		rc = make_thread(floor, cpu);
	if (rc == 0)
		return 0;
	close(floor->kick_fd);
	close(floor->epoll_fd);
	return rc;
}

void wake_floor_stop(struct wake_floor *floor)
{
	end_thread(floor);
	close(floor->epoll_fd);
	close(floor->kick_fd);
}

void wake_floor_ask(struct wake_floor *floor)
{
	unsigned int n = atomic_fetch_add(&floor->n_asked, 1) + 1;

	kick(floor);
	while (atomic_load(&floor->n_answered) != n)
		;
}
