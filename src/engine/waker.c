/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/waker.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* An lcore looks around after so long even when nobody has called. */
#define SLEEP_MAX_NS 1000000000u
#define NS_PER_MS    1000000u
#define EVENTS_MAX   32

void doorbell_ring(struct doorbell *doorbell)
{
	static const uint64_t one = 1;
	ssize_t written = write(doorbell->fd, &one, sizeof(one));

	(void)written; /* fails only after 2^64 calls */
}

void doorbell_ring_sleeper(struct doorbell *doorbell)
{
	/* Partner: waker_prepare(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (atomic_load_explicit(&doorbell->sleeping, memory_order_seq_cst))
		doorbell_ring(doorbell);
}

static int watch(int epoll_fd, int fd, void *what)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = what};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int waker_init(struct waker *waker, struct error *err)
{
	atomic_init(&waker->doorbell.sleeping, false);
	waker->doorbell.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	waker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (waker->doorbell.fd >= 0 && waker->epoll_fd >= 0 &&
	    watch(waker->epoll_fd, waker->doorbell.fd, NULL) == 0)
		return 0;
	error_set(err, VHOSTD_ERR_INTERNAL, "eventfd or epoll: %s", strerror(errno));
	waker_fini(waker);
	return -1;
}

void waker_fini(struct waker *waker)
{
	if (waker->doorbell.fd >= 0)
		close(waker->doorbell.fd);
	if (waker->epoll_fd >= 0)
		close(waker->epoll_fd);
	waker->doorbell.fd = waker->epoll_fd = -1;
}

bool waker_watch(struct waker *waker, int fd, void *what)
{
	return watch(waker->epoll_fd, fd, what) == 0;
}

void waker_forget(struct waker *waker, int fd)
{
	epoll_ctl(waker->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* epoll_pwait2() is of Linux 5.11; a system call filter may not know it either. */
static int wait_so_long(struct waker *waker, struct epoll_event *events, int n_max, uint64_t ns)
{
	const struct timespec timeout = {.tv_nsec = (long)ns};

	if (ns > 0 && ns < SLEEP_MAX_NS && !waker->is_coarse) {
		int n = epoll_pwait2(waker->epoll_fd, events, n_max, &timeout, NULL);

		if (n >= 0 || (errno != ENOSYS && errno != EPERM))
			return n;
		waker->is_coarse = true;
	}
	return epoll_wait(waker->epoll_fd, events, n_max, (int)((ns + NS_PER_MS - 1) / NS_PER_MS));
}

static unsigned int wait_events(struct waker *waker, void **ret_whats, unsigned int n_max,
				uint64_t ns)
{
	struct epoll_event events[EVENTS_MAX];
	int n = wait_so_long(waker, events, n_max < EVENTS_MAX ? (int)n_max : EVENTS_MAX, ns);

	for (int i = 0; i < n; i++)
		ret_whats[i] = events[i].data.ptr;
	return n > 0 ? (unsigned int)n : 0;
}

unsigned int waker_look(struct waker *waker, void **ret_whats, unsigned int n_max)
{
	return wait_events(waker, ret_whats, n_max, 0);
}

unsigned int waker_sleep(struct waker *waker, void **ret_whats, unsigned int n_max, uint64_t max_ns)
{
	unsigned int n =
		wait_events(waker, ret_whats, n_max, max_ns < SLEEP_MAX_NS ? max_ns : SLEEP_MAX_NS);

	waker_cancel(waker);
	return n;
}
