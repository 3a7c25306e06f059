/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A kernel that does all that a kernel may do with a file store's operations: takes a part of a
 * batch, has no room, answers EAGAIN or EOPNOTSUPP at once or later, reads and writes less than it
 * was asked for, fails. fault_aio.c puts it in libaio's place, fault_uring.c in liburing's.
 */
#ifndef UNIT_FAULT_KERNEL_H
#define UNIT_FAULT_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define FAULT_ROOM 64

/* What the kernel does now. */
struct fault_kernel {
	unsigned int take_max;  /* operations at a call; 0: all */
	unsigned int room;      /* operations at a time */
	bool hold;              /* nothing is completed */
	int submit_nowait;      /* what is said at once to an RWF_NOWAIT, if not 0 */
	int submit_fdsync;      /* ... to a flush */
	int event_nowait;       /* result of an RWF_NOWAIT, if not 0 */
	int event_any;          /* result of each read and write, if not 0 */
	int event_fallocate;    /* ... of each discard and write zeroes */
	bool no_workers;        /* for slow operations (io_uring) */
	unsigned int short_max; /* bytes at a time, a multiple of 512; 0: all */
	unsigned int every;     /* of the operations only each such is treated so; 0: each */
	unsigned int n_seen;

	unsigned int n_calls;  /* that hand operations over */
	unsigned int n_sleepy; /* reads and writes that were taken and might have slept */
	unsigned int n_fdsync;
	unsigned int n_fallocate;
	unsigned int n_slow_max; /* of the two at a time */
	unsigned int n_dsync;    /* writes with RWF_DSYNC */
};

extern struct fault_kernel kernel;

enum fault_kind { FAULT_READ, FAULT_WRITE, FAULT_FDSYNC, FAULT_FALLOCATE };

struct fault_op {
	enum fault_kind kind;
	int fd;
	int flags;               /* RWF_*, or fallocate()'s mode */
	struct iovec one;        /* READ, WRITE without an iov */
	const struct iovec *iov; /* NULL: `one` */
	int n_iov;
	uint64_t offset, n_bytes; /* n_bytes: FALLOCATE */
	void *data;
	void *object;
};

/** Begins anew. */
void fault_reset(void);

/** 0: taken; -EAGAIN: no room; else the kernel's answer to this operation. */
int fault_take(const struct fault_op *op);

/** How many of a batch of n are looked at. */
unsigned int fault_batch(unsigned int n);

/** Takes out one that has ended, in whatever order it likes. False: there is none. */
bool fault_complete(struct fault_op *ret_op, int64_t *ret_result);

/** Operations that were taken and have not ended. */
unsigned int fault_n_queued(void);

#endif
