/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <unistd.h>

struct fault_kernel kernel;

/* What it has taken and not yet given back. */
static struct fault_op queue[FAULT_ROOM];
static unsigned int n_queued, n_slow;

void fault_reset(void)
{
	memset(&kernel, 0, sizeof(kernel));
	n_queued = 0;
	n_slow = 0;
	kernel.room = FAULT_ROOM;
}

static bool is_its_turn(void)
{
	return !kernel.every || kernel.n_seen++ % kernel.every == 0;
}

static bool is_slow(const struct fault_op *op)
{
	return op->kind == FAULT_FDSYNC || op->kind == FAULT_FALLOCATE;
}

static bool is_nowait(const struct fault_op *op)
{
	return !is_slow(op) && (op->flags & RWF_NOWAIT);
}

int fault_take(const struct fault_op *op)
{
	if (n_queued == FAULT_ROOM || n_queued >= kernel.room)
		return -EAGAIN;
	if (is_nowait(op) && kernel.submit_nowait && is_its_turn())
		return kernel.submit_nowait;
	if (op->kind == FAULT_FDSYNC && kernel.submit_fdsync)
		return kernel.submit_fdsync;
	kernel.n_sleepy += !is_slow(op) && !is_nowait(op);
	kernel.n_fdsync += op->kind == FAULT_FDSYNC;
	kernel.n_fallocate += op->kind == FAULT_FALLOCATE;
	kernel.n_dsync += op->kind == FAULT_WRITE && (op->flags & RWF_DSYNC);
	n_slow += is_slow(op);
	if (n_slow > kernel.n_slow_max)
		kernel.n_slow_max = n_slow;
	queue[n_queued++] = *op;
	return 0;
}

unsigned int fault_batch(unsigned int n)
{
	kernel.n_calls++;
	return kernel.take_max && kernel.take_max < n ? kernel.take_max : n;
}

unsigned int fault_n_queued(void)
{
	return n_queued;
}

/* At most n_max bytes of it. */
static ssize_t transfer(const struct fault_op *op, size_t n_max)
{
	struct iovec cut[1024];
	const struct iovec *iov = op->iov ? op->iov : &op->one;
	int n_iov = op->iov ? op->n_iov : 1, n = 0;
	ssize_t ret;

	for (; n < n_iov && n_max > 0; n++) {
		cut[n] = iov[n];
		if (cut[n].iov_len > n_max)
			cut[n].iov_len = n_max;
		n_max -= cut[n].iov_len;
	}
	ret = op->kind == FAULT_READ ? preadv(op->fd, cut, n, (off_t)op->offset)
				     : pwritev(op->fd, cut, n, (off_t)op->offset);
	return ret < 0 ? -errno : ret;
}

static int64_t do_it(const struct fault_op *op)
{
	if (op->kind == FAULT_FDSYNC)
		return fdatasync(op->fd) ? -errno : 0;
	if (op->kind == FAULT_FALLOCATE && kernel.event_fallocate)
		return kernel.event_fallocate;
	if (op->kind == FAULT_FALLOCATE)
		return fallocate(op->fd, op->flags, (off_t)op->offset, (off_t)op->n_bytes) ? -errno
											   : 0;
	if (is_nowait(op) && kernel.event_nowait && is_its_turn())
		return kernel.event_nowait;
	if (kernel.event_any)
		return kernel.event_any;
	return transfer(op, kernel.short_max ? kernel.short_max : SIZE_MAX);
}

bool fault_complete(struct fault_op *ret_op, int64_t *ret_result)
{
	if (kernel.hold || n_queued == 0)
		return false;
	*ret_op = queue[--n_queued];
	n_slow -= is_slow(ret_op);
	*ret_result = do_it(ret_op);
	return true;
}
