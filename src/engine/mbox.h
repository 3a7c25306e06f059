/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A mailbox: many senders, one reader, lock-free, without a limit and without waiting on either
 * side. A list of messages linked through themselves (D. Vyukov's multi-producer queue): a sender
 * swaps itself in as the newest and then links its predecessor to itself. A sender that is
 * preempted in between hides what came after it from the reader for so long, but holds up no other
 * sender; an rte_ring would have the others spin, lcores among them, and can be full.
 *
 * The sender owns the message until it is sent, the reader while it deals with it; `done` gives it
 * back. Messages of one sender arrive in the order they were sent.
 */
#ifndef ENGINE_MBOX_H
#define ENGINE_MBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct mbox;

/** Embedded in what a message is about. One that is under way is not sent again. */
struct msg {
	struct msg *_Atomic next; /* release by the next sender, acquire by the reader */
	uint32_t kind;            /* the reader's enum */
	atomic_uint done; /* 1: dealt with. Release by the reader, acquire by msg_is_done() */
};

/** An empty mailbox. With `wakeup` it has an eventfd that is readable while there are messages. */
int mbox_new(bool wakeup, struct mbox **ret_mbox, struct error *err);
void mbox_free(struct mbox *mbox);

/** Any thread; never waits. */
void mbox_send(struct mbox *mbox, struct msg *msg);

/** The same without waking the reader: for what can wait until the next message comes or the reader
 *  looks by itself, and is not worth a system call of the sender's. */
void mbox_leave(struct mbox *mbox, struct msg *msg);

/** The reader: up to n_max messages. Clears the eventfd first: after n_max messages there may be
 *  more, of which only mbox_rearm() or the next call tells. */
unsigned int mbox_receive(struct mbox *mbox, struct msg **ret_msgs, unsigned int n_max);

/** The reader: has nobody sent anything since the last message it received? Who is about to send is
 *  not seen yet. */
bool mbox_is_empty(const struct mbox *mbox);

/** The reader, when it has received less than it asked for: is there something that it could not
 *  get at, because a sender has not come to the end of sending? Who only leaves messages doesn't
 *  ring then. */
bool mbox_is_behind(const struct mbox *mbox);

/** Makes the eventfd readable. */
void mbox_rearm(struct mbox *mbox);

/** The eventfd; -1 without `wakeup`. */
int mbox_fd(const struct mbox *mbox);

static inline void msg_init(struct msg *msg, uint32_t kind)
{
	msg->kind = kind;
	atomic_init(&msg->done, 0);
}

/** The reader gives the message back. */
static inline void msg_set_done(struct msg *msg)
{
	atomic_store_explicit(&msg->done, 1, memory_order_release);
}

static inline bool msg_is_done(struct msg *msg)
{
	return atomic_load_explicit(&msg->done, memory_order_acquire) != 0;
}

/** VHOST or JOB: waits, with short sleeps, for one turn of the reader. An lcore that doesn't
 *  answer within ten seconds is a bug of ours, unless the process was stopped meanwhile. */
void msg_wait(struct msg *msg);

#endif
