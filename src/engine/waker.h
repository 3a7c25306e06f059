/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How an lcore that has nothing to poll sleeps, and what wakes it: the kick descriptors of its
 * sleeping virtqueues, and a doorbell for everything else: messages, operations that helper threads
 * have ended, operations that the kernel has ended.
 *
 * All of them are eventfds that nobody reads: they are watched edge-triggered, so that each write
 * is seen once. (A read could block: a front end may empty its own eventfd at any moment.) An edge
 * that comes while nobody waits is kept by epoll until somebody does.
 *
 * No wake-up is lost. Operations that have ended always ring, and the ring stays in epoll until it
 * is seen. Messages ring a sleeper only:
 *
 *   lcore     sleeping = true;  full barrier;  looks for work;   sleeps
 *   others    hand work over;   full barrier;  sleeping? ring
 *
 * Either the lcore sees the work, or the others see that it sleeps. For kicks the same holds
 * between the driver's avail index and what the queue has written to ask for kicks
 * (queue_try_sleep(), queue_doze()).
 *
 * An lcore naps, too, while lanes are polled (engine/lcore_sleep.c). It does the same in the same
 * order: it says that it sleeps; it looks for messages; it has each polled queue ask for kicks, and
 * look at its ring after that; it sleeps. Operations that have ended since it looked have rung. A
 * kick that comes between the look and the sleep, or when the lcore is awake again but has not
 * refused kicks yet, is an edge that is in epoll at the next sleep: that one ends at once, for
 * nothing. What is to be done at a certain time (an interrupt that is put off, a limit that allows
 * something again) is no wake-up: the sleep ends by then.
 */
#ifndef ENGINE_WAKER_H
#define ENGINE_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/thread_role.h"

/** Rung by whoever has something for an lcore that may sleep. */
struct doorbell {
	atomic_bool sleeping; /* the lcore sleeps, or is about to */
	int fd;               /* an eventfd; may be given to the kernel to ring */
};

/** Rings in any case: for work that a polling lcore does not look for by itself. After the work was
 *  handed over. Any thread; never waits. */
void doorbell_ring(struct doorbell *doorbell);

/** Rings if the lcore sleeps: for work that it finds by itself while it polls. */
void doorbell_ring_sleeper(struct doorbell *doorbell);

struct waker {
	int epoll_fd;
	bool is_coarse; /* this kernel's epoll counts in milliseconds */
	struct doorbell doorbell;
};

/** 0, or -1 with *err set. */
int waker_init(struct waker *waker, struct error *err);
void waker_fini(struct waker *waker);

/** Watches an eventfd. `what` is what waker_look() then gives; not NULL. False: can't be watched.
 */
bool waker_watch(struct waker *waker, int fd, void *what) IN_LCORE;

/** Before the descriptor is closed or `what` is freed. */
void waker_forget(struct waker *waker, int fd) IN_LCORE;

/** What has been written to since the last look; up to n_max. NULL stands for the doorbell. */
unsigned int waker_look(struct waker *waker, void **ret_whats, unsigned int n_max) IN_LCORE;

/** Says that it is about to sleep: from now on the doorbell is rung. Look for work after this. */
static inline void waker_prepare(struct waker *waker) IN_LCORE
{
	atomic_store_explicit(&waker->doorbell.sleeping, true, memory_order_seq_cst);
	/* Partner: doorbell_ring_sleeper(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/** Sleeps until something comes, max_ns or some time has passed; then as waker_look(). After
 *  waker_prepare(). */
unsigned int waker_sleep(struct waker *waker, void **ret_whats, unsigned int n_max,
			 uint64_t max_ns) IN_LCORE;

/** It found work after waker_prepare(). */
static inline void waker_cancel(struct waker *waker) IN_LCORE
{
	atomic_store_explicit(&waker->doorbell.sleeping, false, memory_order_relaxed);
}

#endif
