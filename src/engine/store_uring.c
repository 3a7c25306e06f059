/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Files and block devices by io_uring: all operations but the discard of a block device.
 *
 * A JOB makes the ring; the lcore's first call enables it, because a ring with
 * IORING_SETUP_SINGLE_ISSUER is its submitter's only. With IORING_SETUP_DEFER_TASKRUN completions
 * come about in the lcore's own io_uring_enter() and interrupt it at no other time; the ring's
 * flags, which are mapped, tell when there are any. Older kernels get fewer flags.
 *
 * Reads and writes are RWF_NOWAIT, and what would wait goes to helpers, as with aio. Flushes,
 * discards and write zeroes are done by the kernel's worker threads (io-wq), which all rings of an
 * lcore share. So that a hung disk leaves workers to the others, a channel has at most SLOW_MAX of
 * them, and the lcore may have as many as all its channels can want. They stay off the lcores'
 * CPUs.
 *
 * The file is not registered with the ring: that saves 16 cycles of an operation's thousands, but
 * would keep the file open, and locked, for some 20 ms after the disk was deleted.
 */
#include "engine/store_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "engine/counters.h"
#include "engine/pinned.h"
#include "engine/store_file_channel.h"
#include "engine/uring_ring.h"
#include "engine/waker.h"
#include "vhostd/limits.h"

#define RING_ENTRIES 256 /* operations in the kernel; the completion ring has twice as many */
#define SLOW_MAX     OFFLOAD_GROUP_THREADS
#define WORKERS_MAX  (VHOSTD_DEVICES_MAX * SLOW_MAX)

struct uring_channel {
	struct file_channel base;
	struct io_uring ring;
	cpu_set_t worker_cpus;
	bool started;     /* by the lcore */
	bool has_workers; /* enough of them for the slow operations; else helpers do those */
	unsigned int n_in_kernel;
	unsigned int n_slow;   /* of those: with the kernel's workers */
	unsigned int n_unsent; /* of those: the kernel has not taken them, being short of memory */
	struct io_fifo slow_waiting;
	const struct pinned *pinned; /* NULL: none */
};

static const struct uring_settings *settings_of(const struct uring_channel *ch)
{
	return &file_store_of(&ch->base)->uring;
}

/* Those of the thread that submits. */
static void set_workers(struct uring_channel *ch)
{
	unsigned int n_workers[2] = {WORKERS_MAX, 0};

	io_uring_register_iowq_aff(&ch->ring, sizeof(ch->worker_cpus), &ch->worker_cpus);
	ch->has_workers = io_uring_register_iowq_max_workers(&ch->ring, n_workers) == 0;
}

/* The lcore's first call. What is set for the workers holds for all rings of the lcore; the kernel
 * knows the lcore by its first operation. */
static void start_ring(struct uring_channel *ch) IN_LCORE
{
	ch->started = true;
	if (ch->ring.flags & IORING_SETUP_R_DISABLED)
		io_uring_register((unsigned int)ch->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
				  NULL, 0);
	if (settings_of(ch)->iopoll)
		return; /* helpers do what workers would */
	io_uring_prep_nop(io_uring_get_sqe(&ch->ring));
	io_uring_submit(&ch->ring);
	set_workers(ch);
}

/* The guest's memory is one of the ring's buffers here. */
static void prepare_pinned(struct uring_channel *ch, struct store_io *io, int piece,
			   struct io_uring_sqe *sqe) IN_LCORE
{
	int fd = file_store_of(&ch->base)->fd;
	uint64_t at = io->offset_bytes + file_io_of(io)->n_done;
	const struct iovec *one = &io->iov[0];

	if (io->op == STORE_READ)
		io_uring_prep_read_fixed(sqe, fd, one->iov_base, (unsigned int)one->iov_len, at,
					 piece);
	else
		io_uring_prep_write_fixed(sqe, fd, one->iov_base, (unsigned int)one->iov_len, at,
					  piece);
	counter_add(&ch->base.base.n_pinned, 1);
}

/* The piece that all of it is in; -1: it is not in one. */
static int piece_of(const struct uring_channel *ch, struct store_io *io) IN_LCORE
{
	if (!ch->pinned || file_io_of(io)->n_iov != 1 || file_io_of(io)->bounce)
		return -1;
	return pinned_find(ch->pinned, io->iov[0].iov_base, io->iov[0].iov_len);
}

static void prepare_rw(struct uring_channel *ch, struct store_io *io,
		       struct io_uring_sqe *sqe) IN_LCORE
{
	const struct file_io *f = file_io_of(io);
	int fd = file_store_of(&ch->base)->fd, piece = piece_of(ch, io);
	uint64_t at = io->offset_bytes + f->n_done;
	struct iovec one = {f->bounce, f->step_bytes};

	if (!f->bounce)
		one = io->iov[0];
	if (piece >= 0)
		prepare_pinned(ch, io, piece, sqe);
	else if (!f->bounce && (f->n_iov > 1 || one.iov_len > INT32_MAX) && io->op == STORE_READ)
		io_uring_prep_readv(sqe, fd, io->iov, f->n_iov, at);
	else if (!f->bounce && (f->n_iov > 1 || one.iov_len > INT32_MAX))
		io_uring_prep_writev(sqe, fd, io->iov, f->n_iov, at);
	else if (io->op == STORE_READ)
		io_uring_prep_read(sqe, fd, one.iov_base, (unsigned int)one.iov_len, at);
	else
		io_uring_prep_write(sqe, fd, one.iov_base, (unsigned int)one.iov_len, at);
	sqe->rw_flags = file_rw_flags(&ch->base, io);
}

/* The kernel does these in its workers, at once. */
static void prepare_slow(const struct uring_channel *ch, struct store_io *io,
			 struct io_uring_sqe *sqe) IN_LCORE
{
	bool punch = io->op == STORE_DISCARD || (io->flags & STORE_IO_UNMAP);
	int mode = FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	int fd = file_store_of(&ch->base)->fd;

	if (io->op == STORE_FLUSH || file_io_of(io)->syncing)
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	else
		io_uring_prep_fallocate(sqe, fd, mode, (off_t)io->offset_bytes, (off_t)io->n_bytes);
}

static void start_one(struct uring_channel *ch, struct store_io *io) IN_LCORE
{
	struct io_uring_sqe *sqe = NULL;

	if (!is_rw(io) && ch->n_slow == SLOW_MAX) {
		io_fifo_put(&ch->slow_waiting, io);
		return;
	}
	if (ch->n_in_kernel < RING_ENTRIES)
		sqe = io_uring_get_sqe(&ch->ring);
	if (!sqe) {
		ch->base.full = true;
		file_channel_wait(&ch->base, io);
		return;
	}
	if (is_rw(io))
		prepare_rw(ch, io, sqe);
	else
		prepare_slow(ch, io, sqe);
	io_uring_sqe_set_data(sqe, io);
	ch->n_in_kernel++;
	ch->n_unsent++;
	ch->n_slow += !is_rw(io);
}

/* What the kernel doesn't take now it gets from uring_take(): until then it is not away, for nobody
 * would ring. A thread of the kernel's takes all of it. */
static void hand_in(struct uring_channel *ch) IN_LCORE
{
	unsigned int n_left = 0;

	io_uring_submit(&ch->ring);
	if (!settings_of(ch)->sqpoll)
		n_left = io_uring_sq_ready(&ch->ring);
	if (unlikely(n_left > ch->n_unsent))
		n_left = ch->n_unsent; /* start_ring()'s is among them */
	if (!settings_of(ch)->iopoll)
		ch->base.base.n_away += ch->n_unsent - n_left;
	ch->n_unsent = n_left;
}

static void uring_start(struct file_channel *channel, struct store_io **ios,
			unsigned int n_ios) IN_LCORE
{
	struct uring_channel *ch = (struct uring_channel *)channel;

	for (unsigned int i = 0; i < n_ios; i++)
		start_one(ch, ios[i]);
	if (io_uring_sq_ready(&ch->ring))
		hand_in(ch);
}

static void cqe_ended(struct uring_channel *ch, struct store_io *io, int result) IN_LCORE
{
	struct store_io *next;

	ch->n_in_kernel--;
	ch->base.base.n_away -= !settings_of(ch)->iopoll;
	ch->base.full = false;
	if (!is_rw(io)) {
		ch->n_slow--;
		next = io_fifo_get(&ch->slow_waiting);
		if (next)
			uring_start(&ch->base, &next, 1);
	}
	file_channel_ended(&ch->base, io, result);
}

/* Has the kernel something to go on with in the lcore's own call? */
static bool wants_call(const struct uring_channel *ch) IN_LCORE
{
	const struct uring_settings *settings = settings_of(ch);

	if (settings->iopoll && !settings->sqpoll && ch->n_in_kernel)
		return true; /* it looks at the device */
	return __atomic_load_n(ch->ring.sq.kflags, __ATOMIC_RELAXED) &
	       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* Lets the kernel go on; most calls find nothing to go on with, in memory. Where a thread of the
 * kernel takes submissions, io_uring_submit() is a call only to wake it up. */
static void poll_ring(struct uring_channel *ch) IN_LCORE
{
	if (io_uring_sq_ready(&ch->ring))
		hand_in(ch);
	if (wants_call(ch))
		io_uring_get_events(&ch->ring);
}

static void uring_take(struct file_channel *channel) IN_LCORE
{
	struct uring_channel *ch = (struct uring_channel *)channel;

	poll_ring(ch);
	for (unsigned int n = io_uring_cq_ready(&ch->ring); n > 0; n--) {
		struct io_uring_cqe *cqe;
		struct store_io *io;
		int result;

		io_uring_peek_cqe(&ch->ring, &cqe);
		io = io_uring_cqe_get_data(cqe);
		result = cqe->res;
		io_uring_cqe_seen(&ch->ring, cqe);
		if (io) /* else it was start_ring()'s */
			cqe_ended(ch, io, result);
	}
}

static bool uring_takes_range(const struct file_channel *channel,
			      const struct store_io *io) IN_LCORE
{
	const struct uring_channel *ch = (const struct uring_channel *)channel;

	return ch->has_workers && file_store_of(channel)->direct &&
	       !(io->op == STORE_DISCARD && file_store_of(channel)->is_block_device);
}

static const struct file_kernel uring_kernel = {
	.start = uring_start,
	.take = uring_take,
	.takes_range = uring_takes_range,
};

static int uring_channel_open(struct store *store, struct doorbell *doorbell,
			      struct store_channel **ret_channel, struct error *err)
{
	const struct file_store *s = (const struct file_store *)store;
	struct uring_channel *ch = calloc(1, sizeof(*ch));
	int ret;

	role_assert(&role_job);
	if (!ch)
		return error_set(err, VHOSTD_ERR_STORE, "out of memory");
	if (file_channel_init(&ch->base, &uring_kernel, doorbell, err))
		goto free_channel;
	if (uring_ring_open(RING_ENTRIES, &s->uring, &ch->ring, err))
		goto fini;
	/* With DEFER_TASKRUN it is rung when there is something to go on with. */
	ret = doorbell ? io_uring_register_eventfd(&ch->ring, doorbell->fd) : 0;
	if (ret) {
		error_set(err, VHOSTD_ERR_STORE, "backend: io_uring takes no eventfd: %s",
			  strerror(-ret));
		goto exit_ring;
	}
	offload_get_cpus(s->offload.offload, &ch->worker_cpus);
	if (s->uring.sqpoll) {
		ch->started = true;
		if (!s->uring.iopoll)
			set_workers(ch); /* of that thread: it may wait for it */
	}
	*ret_channel = &ch->base.base;
	return 0;

exit_ring:
	io_uring_queue_exit(&ch->ring);
fini:
	file_channel_fini(&ch->base);
free_channel:
	free(ch);
	return -1;
}

static void uring_channel_close(struct store_channel *channel)
{
	struct uring_channel *ch = (struct uring_channel *)channel;

	role_assert(&role_job);
	io_uring_queue_exit(&ch->ring);
	file_channel_fini(&ch->base);
	free(ch);
}

static void uring_submit(struct store_channel *channel, struct store_io **ios, unsigned int n_ios)
{
	struct uring_channel *ch = (struct uring_channel *)channel;

	role_assert(&role_lcore);
	if (unlikely(!ch->started))
		start_ring(ch);
	file_channel_submit(channel, ios, n_ios);
}

static int uring_use_pinned(struct store_channel *channel, const struct pinned *pinned)
{
	struct uring_channel *ch = (struct uring_channel *)channel;
	int ret;

	role_assert(&role_lcore);
	if (!ch->started)
		start_ring(ch);
	ret = pinned_give(pinned, ch->ring.ring_fd);
	ch->pinned = ret ? NULL : pinned;
	return ret;
}

int uring_check_store(struct store *store, struct error *err)
{
	const struct file_store *s = (const struct file_store *)store;

	if (!s->direct)
		store->no_pinned = "without O_DIRECT helper threads read and write";
	if (!s->uring.iopoll)
		return 0;
	if (!s->is_block_device || !s->direct)
		return error_set(err, VHOSTD_ERR_STORE,
				 "iopoll: only a block device can be polled, such as an NVMe "
				 "device; leave iopoll out");
	if (file_device_limit(s, "io_poll") == 0)
		return error_set(err, VHOSTD_ERR_STORE,
				 "iopoll: the device has no queues to poll (queue/io_poll in /sys "
				 "is 0); load its driver with some, such as nvme.poll_queues=4, or "
				 "leave iopoll out");
	return 0;
}

static int uring_open(const struct store_params *params, struct store **ret_store,
		      struct error *err)
{
	struct store *store;

	role_assert(&role_job);
	if (file_open(params, &store_uring_ops, &store, err))
		return -1;
	if (uring_check_store(store, err)) {
		file_close(store);
		return -1;
	}
	*ret_store = store;
	return 0;
}

const struct store_ops store_uring_ops = {
	.kind = STORE_KIND_URING,
	.open = uring_open,
	.close = file_close,
	.resize = file_resize,
	.real_size = file_real_size,
	.channel_open = uring_channel_open,
	.channel_close = uring_channel_close,
	.submit = uring_submit,
	.reap = file_channel_reap,
	.use_pinned = uring_use_pinned,
};
