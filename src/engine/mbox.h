/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A mailbox: many senders, one reader, lock-free (an rte_ring of pointers). The sender owns the
 * message until it is sent, the reader while it deals with it; `done` gives it back.
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
	uint32_t kind;    /* the reader's enum */
	atomic_uint done; /* 1: dealt with. Release by the reader, acquire by mbox_wait(). */
};

/** An empty mailbox for up to n_slots - 1 messages (a power of two). With `wakeup` it has an
 *  eventfd that is readable while there are messages. */
int mbox_new(const char *name, unsigned int n_slots, bool wakeup, struct mbox **ret_mbox,
	     struct error *err);
void mbox_free(struct mbox *mbox);

/** Any thread; never waits: a full mailbox means that its reader is dead, which is a bug. */
void mbox_send(struct mbox *mbox, struct msg *msg);

/** The reader: up to n_max messages. Clears the eventfd first. */
unsigned int mbox_receive(struct mbox *mbox, struct msg **ret_msgs, unsigned int n_max);

/** The eventfd; -1 without `wakeup`. */
int mbox_fd(const struct mbox *mbox);

static inline void msg_init(struct msg *msg, uint32_t kind)
{
	msg->kind = kind;
	atomic_init(&msg->done, 0);
}

/** The reader gives the message back. Pairs with the acquire in msg_is_done(). */
static inline void msg_set_done(struct msg *msg)
{
	atomic_store_explicit(&msg->done, 1, memory_order_release);
}

static inline bool msg_is_done(struct msg *msg)
{
	return atomic_load_explicit(&msg->done, memory_order_acquire) != 0;
}

/** VHOST or JOB: waits, with short sleeps, for one turn of the reader. An lcore that doesn't
 *  answer within ten seconds is a bug of ours. */
void msg_wait(struct msg *msg);

#endif
