/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A mailbox over an rte_ring in plain memory: it needs no EAL, so tests use it without one.
 */
#include "engine/mbox.h"

#include <errno.h>
#include <rte_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WAIT_SLEEP_NS   2000
#define WAIT_DEADLINE_S 10

struct mbox {
	struct rte_ring *ring;
	int wakeup_fd; /* -1: nobody sleeps on it */
};

int mbox_new(const char *name, unsigned int n_slots, bool wakeup, struct mbox **ret_mbox,
	     struct error *err)
{
	ssize_t n_bytes = rte_ring_get_memsize(n_slots);
	struct mbox *mbox = calloc(1, sizeof(*mbox));

	CHECK(n_bytes > 0, "n_slots is a power of two");
	if (!mbox)
		goto no_memory;
	mbox->wakeup_fd = -1;
	mbox->ring = aligned_alloc(CACHE_LINE,
				   ((size_t)n_bytes + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!mbox->ring || rte_ring_init(mbox->ring, name, n_slots, RING_F_SC_DEQ))
		goto free_mbox;
	if (wakeup) {
		mbox->wakeup_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (mbox->wakeup_fd < 0)
			goto free_mbox;
	}
	*ret_mbox = mbox;
	return 0;

free_mbox:
	free(mbox->ring);
	free(mbox);
no_memory:
	return error_set(err, VHOSTD_ERR_INTERNAL, "can't make mailbox %s: %s", name,
			 strerror(errno));
}

void mbox_free(struct mbox *mbox)
{
	if (!mbox)
		return;
	if (mbox->wakeup_fd >= 0)
		close(mbox->wakeup_fd);
	free(mbox->ring);
	free(mbox);
}

void mbox_send(struct mbox *mbox, struct msg *msg)
{
	static const uint64_t one = 1;
	ssize_t written;
	int ret;

	/* Pairs with the acquire in mbox_receive(): what the sender wrote is seen by the reader. In
	 * 22.11 the ring itself lets a sender publish another's slot after a relaxed load, which is
	 * no happens-before in C11. */
	atomic_store_explicit(&msg->done, 0, memory_order_release);
	ret = rte_ring_enqueue(mbox->ring, msg);
	CHECK(ret == 0, "a mailbox is read faster than it fills");
	if (mbox->wakeup_fd < 0)
		return;
	/* Fails only when the counter is at its end: then it is readable anyway. */
	written = write(mbox->wakeup_fd, &one, sizeof(one));
	(void)written;
}

unsigned int mbox_receive(struct mbox *mbox, struct msg **ret_msgs, unsigned int n_max)
{
	unsigned int n;

	if (mbox->wakeup_fd >= 0) {
		uint64_t count;
		ssize_t got = read(mbox->wakeup_fd, &count, sizeof(count));

		(void)got; /* EAGAIN: nobody rang since the last time */
	}
	n = rte_ring_dequeue_burst(mbox->ring, (void **)ret_msgs, n_max, NULL);
	for (unsigned int i = 0; i < n; i++)
		(void)atomic_load_explicit(&ret_msgs[i]->done, memory_order_acquire);
	return n;
}

int mbox_fd(const struct mbox *mbox)
{
	return mbox->wakeup_fd;
}

void msg_wait(struct msg *msg)
{
	const struct timespec pause = {.tv_nsec = WAIT_SLEEP_NS};
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!msg_is_done(msg)) {
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
		CHECK(now.tv_sec - start.tv_sec <= WAIT_DEADLINE_S,
		      "an lcore answers within ten seconds");
	}
}
