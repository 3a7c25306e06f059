/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The faulty kernel in liburing's place: an old one, which knows no flags of a ring, so that the
 * store has to do without. It tells by IORING_SQ_TASKRUN when it wants to be called.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "fault_kernel.h"
#include "lib/unit.h"

static struct {
	unsigned int sq_head, sq_flags, cq_head, cq_tail;
	struct io_uring_cqe *cqes;
} mapped;

int io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
			       struct io_uring_params *p)
{
	if (p->flags)
		return -EINVAL;
	memset(ring, 0, sizeof(*ring));
	memset(&mapped, 0, sizeof(mapped));
	mapped.cqes = calloc(2 * entries, sizeof(struct io_uring_cqe));
	ring->sq.sqes = calloc(entries, sizeof(struct io_uring_sqe));
	assert_true(mapped.cqes && ring->sq.sqes);
	ring->sq.khead = &mapped.sq_head;
	ring->sq.kflags = &mapped.sq_flags;
	ring->sq.ring_entries = entries;
	ring->sq.ring_mask = entries - 1;
	ring->cq.khead = &mapped.cq_head;
	ring->cq.ktail = &mapped.cq_tail;
	ring->cq.cqes = mapped.cqes;
	ring->cq.ring_entries = 2 * entries;
	ring->cq.ring_mask = 2 * entries - 1;
	ring->features = p->features = IORING_FEAT_RW_CUR_POS | IORING_FEAT_EXT_ARG;
	return 0;
}

void io_uring_queue_exit(struct io_uring *ring)
{
	assert_int_equal(fault_n_queued(), 0);
	assert_int_equal(mapped.cq_tail, mapped.cq_head);
	free(ring->sq.sqes);
	free(mapped.cqes);
}

int io_uring_register_iowq_aff(struct io_uring *ring, size_t cpusz, const cpu_set_t *mask)
{
	(void)ring;
	(void)cpusz;
	(void)mask;
	return 0;
}

int io_uring_register_iowq_max_workers(struct io_uring *ring, unsigned int *values)
{
	(void)ring;
	assert_true(values[0] >= 4);
	return kernel.no_workers ? -EINVAL : 0;
}

static void complete(struct io_uring *ring, void *data, int64_t result)
{
	struct io_uring_cqe *cqe = &mapped.cqes[mapped.cq_tail & ring->cq.ring_mask];

	assert_true(mapped.cq_tail - mapped.cq_head < ring->cq.ring_entries);
	*cqe = (struct io_uring_cqe){.user_data = (uintptr_t)data, .res = (int)result};
	mapped.cq_tail++;
}

static struct fault_op op_of(const struct io_uring_sqe *sqe)
{
	struct fault_op op = {.fd = sqe->fd,
			      .flags = sqe->rw_flags,
			      .offset = sqe->off,
			      .data = (void *)(uintptr_t)sqe->user_data};

	switch (sqe->opcode) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
		op.kind = sqe->opcode == IORING_OP_READ ? FAULT_READ : FAULT_WRITE;
		op.one = (struct iovec){(void *)(uintptr_t)sqe->addr, sqe->len};
		break;
	case IORING_OP_READV:
	case IORING_OP_WRITEV:
		op.kind = sqe->opcode == IORING_OP_READV ? FAULT_READ : FAULT_WRITE;
		op.iov = (const struct iovec *)(uintptr_t)sqe->addr;
		op.n_iov = (int)sqe->len;
		break;
	case IORING_OP_FSYNC:
		op.kind = FAULT_FDSYNC;
		assert_int_equal(sqe->fsync_flags, IORING_FSYNC_DATASYNC);
		break;
	default:
		assert_int_equal(sqe->opcode, IORING_OP_FALLOCATE);
		op.kind = FAULT_FALLOCATE;
		op.flags = (int)sqe->len;
		op.n_bytes = sqe->addr;
	}
	return op;
}

int io_uring_submit(struct io_uring *ring)
{
	unsigned int n = 0, max = fault_batch(ring->sq.sqe_tail - mapped.sq_head);
	int ret = 0;

	for (; n < max; n++) {
		const struct io_uring_sqe *sqe =
			&ring->sq.sqes[mapped.sq_head & ring->sq.ring_mask];
		struct fault_op op;

		if (sqe->opcode == IORING_OP_NOP) {
			complete(ring, NULL, 0);
			mapped.sq_head++;
			continue;
		}
		op = op_of(sqe);
		ret = fault_take(&op);
		if (ret == -EAGAIN)
			break;
		if (ret)
			complete(ring, op.data, ret);
		mapped.sq_head++;
	}
	if (fault_n_queued() && !kernel.hold)
		mapped.sq_flags |= IORING_SQ_TASKRUN;
	return n ? (int)n : ret;
}

int io_uring_get_events(struct io_uring *ring)
{
	struct fault_op op;
	int64_t result;

	assert_true(mapped.sq_flags &
		    IORING_SQ_TASKRUN); /* else there is nothing to be called for */
	while (fault_complete(&op, &result))
		complete(ring, op.data, result);
	mapped.sq_flags = 0;
	return 0;
}
