/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The faulty kernel in libaio's place. Without the mapped ring's magic number the store has to call
 * io_getevents(), which is tried so as well.
 */
#include <errno.h>
#include <libaio.h>

#include "fault_kernel.h"
#include "lib/unit.h"

static struct {
	unsigned int id, nr, head, tail, magic, compat, incompat, length;
} no_ring;

int io_setup(int maxevents, io_context_t *ctxp)
{
	assert_true(maxevents > 0);
	if (maxevents == 1) /* file_first_io(), which is for the real kernel */
		return -EAGAIN;
	*ctxp = (io_context_t)(void *)&no_ring;
	return 0;
}

int io_destroy(io_context_t ctx)
{
	assert_ptr_equal(ctx, &no_ring);
	assert_int_equal(fault_n_queued(), 0);
	return 0;
}

static struct fault_op op_of(struct iocb *iocb)
{
	int code = iocb->aio_lio_opcode;
	struct fault_op op = {.fd = iocb->aio_fildes,
			      .flags = iocb->aio_rw_flags,
			      .offset = (uint64_t)iocb->u.c.offset,
			      .data = iocb->data,
			      .object = iocb};

	op.kind = code == IO_CMD_FDSYNC                           ? FAULT_FDSYNC
		  : code == IO_CMD_PREADV || code == IO_CMD_PREAD ? FAULT_READ
								  : FAULT_WRITE;
	if (code == IO_CMD_PREADV || code == IO_CMD_PWRITEV) {
		op.iov = iocb->u.c.buf;
		op.n_iov = (int)iocb->u.c.nbytes;
	} else {
		op.one = (struct iovec){iocb->u.c.buf, iocb->u.c.nbytes};
	}
	return op;
}

int io_submit(io_context_t ctx, long nr, struct iocb *ios[])
{
	unsigned int n = 0, max = fault_batch((unsigned int)nr);
	int ret = 0;

	(void)ctx;
	while (n < max && ret == 0) {
		struct fault_op op = op_of(ios[n]);

		ret = fault_take(&op);
		n += ret == 0;
	}
	return n ? (int)n : ret;
}

int io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
		 struct timespec *timeout)
{
	struct fault_op op;
	int64_t result;
	long n = 0;

	(void)ctx;
	assert_int_equal(min_nr, 0);
	assert_int_equal(timeout->tv_sec + timeout->tv_nsec, 0);
	while (n < nr && fault_complete(&op, &result)) {
		events[n].data = op.data;
		events[n].obj = op.object;
		events[n].res = (unsigned long)result;
		n++;
	}
	return (int)n;
}
