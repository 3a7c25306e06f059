/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/mbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SLEEP_NS    2000
#define WAIT_DEADLINE_NS 10000000000
#define WAIT_STEP_MAX_NS 10000000 /* what a sleep takes beyond this was no waiting */

struct mbox {
	_Alignas(CACHE_LINE) struct msg *_Atomic newest; /* senders swap; acq_rel */
	_Alignas(CACHE_LINE) struct msg *oldest;         /* the reader's */
	struct msg stub;                                 /* in the list when nothing else is */
	int wakeup_fd;                                   /* -1: nobody sleeps on it */
};

int mbox_new(bool wakeup, struct mbox **ret_mbox, struct error *err)
{
	struct mbox *mbox = aligned_alloc(CACHE_LINE, sizeof(*mbox));

	if (!mbox)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	memset(mbox, 0, sizeof(*mbox));
	atomic_init(&mbox->newest, &mbox->stub);
	mbox->oldest = &mbox->stub;
	mbox->wakeup_fd = -1;
	if (wakeup) {
		mbox->wakeup_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (mbox->wakeup_fd < 0) {
			free(mbox);
			return error_set(err, VHOSTD_ERR_INTERNAL, "eventfd: %s", strerror(errno));
		}
	}
	*ret_mbox = mbox;
	return 0;
}

void mbox_free(struct mbox *mbox)
{
	if (!mbox)
		return;
	if (mbox->wakeup_fd >= 0)
		close(mbox->wakeup_fd);
	free(mbox);
}

static void put(struct mbox *mbox, struct msg *msg)
{
	struct msg *before;

	atomic_store_explicit(&msg->next, NULL, memory_order_relaxed);
	before = atomic_exchange_explicit(&mbox->newest, msg, memory_order_acq_rel);
	atomic_store_explicit(&before->next, msg, memory_order_release);
}

void mbox_rearm(struct mbox *mbox)
{
	static const uint64_t one = 1;
	ssize_t written = write(mbox->wakeup_fd, &one, sizeof(one));

	(void)written; /* fails only when the counter is at its end: it is readable then */
}

void mbox_send(struct mbox *mbox, struct msg *msg)
{
	put(mbox, msg);
	if (mbox->wakeup_fd >= 0)
		mbox_rearm(mbox);
}

void mbox_leave(struct mbox *mbox, struct msg *msg)
{
	put(mbox, msg);
}

/* The oldest message, or NULL: none, or its predecessor's sender is about to link it (and to ring
 * the bell after that). */
static struct msg *take(struct mbox *mbox)
{
	struct msg *msg = mbox->oldest;
	struct msg *next = atomic_load_explicit(&msg->next, memory_order_acquire);

	if (msg == &mbox->stub) {
		if (!next)
			return NULL;
		mbox->oldest = next;
		msg = next;
		next = atomic_load_explicit(&msg->next, memory_order_acquire);
	}
	if (!next) {
		/* It can't leave while it is the newest: put the stub behind it. */
		if (atomic_load_explicit(&mbox->newest, memory_order_acquire) != msg)
			return NULL;
		put(mbox, &mbox->stub);
		next = atomic_load_explicit(&msg->next, memory_order_acquire);
		if (!next)
			return NULL;
	}
	mbox->oldest = next;
	return msg;
}

unsigned int mbox_receive(struct mbox *mbox, struct msg **ret_msgs, unsigned int n_max)
{
	unsigned int n = 0;

	if (mbox->wakeup_fd >= 0) {
		uint64_t count;
		ssize_t got = read(mbox->wakeup_fd, &count, sizeof(count));

		(void)got; /* EAGAIN: nobody rang since the last time */
	}
	while (n < n_max && (ret_msgs[n] = take(mbox)))
		n++;
	return n;
}

bool mbox_is_empty(const struct mbox *mbox)
{
	struct msg *_Atomic *next = (struct msg * _Atomic *)(uintptr_t)&mbox->stub.next;

	return mbox->oldest == &mbox->stub && !atomic_load_explicit(next, memory_order_acquire);
}

bool mbox_is_behind(const struct mbox *mbox)
{
	struct msg *_Atomic *newest = (struct msg * _Atomic *)(uintptr_t)&mbox->newest;

	return atomic_load_explicit(newest, memory_order_acquire) != mbox->oldest;
}

int mbox_fd(const struct mbox *mbox)
{
	return mbox->wakeup_fd;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The clock goes on while the process is stopped (SIGSTOP, a frozen cgroup), and the lcore with it:
 * so the deadline is of the time in which the waiter itself was running. */
void msg_wait(struct msg *msg)
{
	const struct timespec pause = {.tv_nsec = WAIT_SLEEP_NS};
	int64_t last_ns = now_ns(), waited_ns = 0;

	while (!msg_is_done(msg)) {
		int64_t step_ns;

		nanosleep(&pause, NULL);
		step_ns = now_ns() - last_ns;
		last_ns += step_ns;
		waited_ns += step_ns < WAIT_STEP_MAX_NS ? step_ns : WAIT_STEP_MAX_NS;
		CHECK(waited_ns <= WAIT_DEADLINE_NS, "an lcore answers within ten seconds");
	}
}
