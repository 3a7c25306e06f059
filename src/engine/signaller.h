/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Signals eventfds that belong to somebody else, who may have filled their counter: a plain write
 * would then sleep, unless the descriptor is in non-blocking mode, which the other side can change
 * at any moment, between a look at it and the write, too. So the kernel does it, as the completion
 * of an empty aio read (IOCB_FLAG_RESFD): that never sleeps, and takes a quarter longer.
 */
#ifndef ENGINE_SIGNALLER_H
#define ENGINE_SIGNALLER_H

#include "base/error.h"
#include "base/thread_role.h"

struct signaller;

/** One for each lcore. 0, or -1 with *err set. */
int signaller_new(struct signaller **ret_signaller, struct error *err);
void signaller_free(struct signaller *signaller);

/** Adds 1 to the eventfd's counter, or leaves it when it is full. Never sleeps, but all who watch
 *  the eventfd are told in it: some 50 ns for each. */
void signaller_signal(struct signaller *signaller, int fd) IN_LCORE;

/** Some for helper threads, which may have to wait for one another. */
struct signaller_pool;

/** 0, or -1 with *err set. */
int signaller_pool_new(struct signaller_pool **ret_pool, struct error *err);
void signaller_pool_free(struct signaller_pool *pool);
void signaller_pool_signal(struct signaller_pool *pool, int fd) IN_JOB;

#endif
