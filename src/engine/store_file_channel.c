/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/store_file_channel.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"

/* Reads and writes of more than that are large, and go on in steps. */
#define LARGE_BYTES      (1u << 20)
#define LARGE_STEP_BYTES (512u << 10)

static struct store_io *io_of(struct file_io *f)
{
	return container_of((uint8_t(*)[STORE_IO_PRIV_BYTES])(void *)f, struct store_io, priv);
}

int file_channel_init(struct file_channel *ch, const struct file_kernel *kernel,
		      struct doorbell *doorbell, struct error *err)
{
	ch->kernel = kernel;
	ch->offloaded.doorbell = doorbell;
	return bounce_open(&ch->bounce, err);
}

void file_channel_fini(struct file_channel *ch)
{
	bounce_close(&ch->bounce);
}

static void end(struct file_channel *ch, struct store_io *io, int result)
{
	struct file_io *f = file_io_of(io);

	if (f->bounce) {
		bounce_put(&ch->bounce, f->bounce);
		f->bounce = NULL;
	}
	io->result = result;
	if (result)
		store_count_error(ch->base.store, result);
	io_fifo_put(&ch->ended, io);
}

/* In a helper. The result is taken up by take_offloaded(). */
static void offload_run(struct offload_task *task)
{
	struct file_store *s = container_of(task->group, struct file_store, offload);
	struct file_io *f = container_of(task, struct file_io, task);
	struct store_io *io = io_of(f);
	struct iovec one = {f->bounce, f->step_bytes};

	role_assert(&role_job);
	if (!is_rw(io))
		io->result = file_range(s, io);
	else if (f->bounce)
		io->result = file_rw(s, io, &one, 1, io->offset_bytes + f->n_done);
	else
		io->result = file_rw(s, io, io->iov, f->n_iov, io->offset_bytes + f->n_done);
}

void file_channel_offload(struct file_channel *ch, struct store_io *io)
{
	struct file_io *f = file_io_of(io);

	f->task.run = offload_run;
	f->task.done = &ch->offloaded;
	ch->base.n_away++;
	atomic_fetch_add_explicit(&ch->base.store->n_helped, 1, memory_order_relaxed);
	offload_submit(&file_store_of(ch)->offload, &f->task);
}

/* Makes ready the next piece of a read or write that has to go through a bounce buffer. False:
 * there is none free, or enough was copied; the operation waits. */
static bool prepare_bounce(struct file_channel *ch, struct store_io *io) IN_LCORE
{
	struct file_io *f = file_io_of(io);
	uint64_t left = io->n_bytes - f->n_done;

	if (!f->bounce)
		f->bounce = bounce_get(&ch->bounce, io);
	if (!f->bounce)
		return false;
	f->step_bytes = left < BOUNCE_BYTES ? left : BOUNCE_BYTES;
	return io->op == STORE_READ ||
	       bounce_copy(&ch->bounce, io, f->bounce, f->step_bytes, false);
}

/* The step has all that is left of the operation, or the first LARGE_STEP_BYTES of it; they end
 * between blocks, because all pieces do. */
static void cut(struct store_io *io)
{
	struct file_io *f = file_io_of(io);
	uint64_t n_bytes = 0;

	f->n_iov = io->n_iov;
	f->cut_bytes = 0;
	if (f->step_bytes <= LARGE_BYTES)
		return;
	f->step_bytes = LARGE_STEP_BYTES;
	f->n_iov = 0;
	while (n_bytes < LARGE_STEP_BYTES)
		n_bytes += io->iov[f->n_iov++].iov_len;
	f->cut_bytes = n_bytes - LARGE_STEP_BYTES;
	io->iov[f->n_iov - 1].iov_len -= f->cut_bytes;
}

static void mend(struct store_io *io)
{
	struct file_io *f = file_io_of(io);

	if (f->cut_bytes)
		io->iov[f->n_iov - 1].iov_len += f->cut_bytes;
	f->cut_bytes = 0;
}

/* Another step of a large operation, or the first? False: enough were begun, it waits. */
static bool may_go_on(struct file_channel *ch, struct store_io *io)
{
	const struct file_io *f = file_io_of(io);

	if (io->n_bytes <= LARGE_BYTES)
		return true;
	if (ch->large_left == 0) {
		io_fifo_put(&ch->large, io);
		return false;
	}
	ch->large_left -= f->step_bytes < ch->large_left ? f->step_bytes : ch->large_left;
	return true;
}

/* Is the step's read or write for the kernel? Else a helper has it now. */
static bool route_rw(struct file_channel *ch, struct store_io *io) IN_LCORE
{
	const struct file_store *s = file_store_of(ch);
	bool no_nowait = atomic_load_explicit(&s->base.no_nowait, memory_order_relaxed);

	if (s->direct && (!no_nowait || file_is_copied(ch)))
		return true;
	file_channel_offload(ch, io);
	return false;
}

static bool route_range(struct file_channel *ch, struct store_io *io) IN_LCORE
{
	if (ch->kernel->takes_range(ch, io))
		return true;
	file_channel_offload(ch, io);
	return false;
}

/* Begins the operation's next step. Is it for the kernel? Else it has gone elsewhere. */
static bool next_step(struct file_channel *ch, struct store_io *io) IN_LCORE
{
	const struct file_store *s = file_store_of(ch);
	struct file_io *f = file_io_of(io);

	if (!is_rw(io))
		return route_range(ch, io);
	f->step_bytes = io->n_bytes - f->n_done;
	if (s->direct && (f->bounce || !file_is_aligned(s, io))) {
		if (!prepare_bounce(ch, io))
			return false;
	} else {
		if (!may_go_on(ch, io))
			return false;
		cut(io);
	}
	return route_rw(ch, io);
}

static void start_steps(struct file_channel *ch, struct store_io **ios, unsigned int n_ios) IN_LCORE
{
	struct store_io *batch[FILE_BATCH_MAX];
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_ios; i++) {
		if (next_step(ch, ios[i]))
			batch[n++] = ios[i];
		if (n == FILE_BATCH_MAX) {
			ch->kernel->start(ch, batch, n);
			n = 0;
		}
	}
	if (n)
		ch->kernel->start(ch, batch, n);
}

void file_channel_submit(struct store_channel *channel, struct store_io **ios, unsigned int n_ios)
{
	struct file_channel *ch = (struct file_channel *)channel;

	role_assert(&role_lcore);
	bounce_begin(&ch->bounce);
	ch->large_left = LARGE_STEP_BYTES;
	for (unsigned int i = 0; i < n_ios; i++) {
		struct file_io *f = file_io_of(ios[i]);

		f->n_done = 0;
		f->bounce = NULL;
		f->cut_bytes = 0;
		f->syncing = false;
	}
	start_steps(ch, ios, n_ios);
}

/* The rest of a bounced piece that was written in part only; it has left the iov already. */
static void write_rest(struct file_channel *ch, struct store_io *io, uint64_t n_written) IN_LCORE
{
	struct file_io *f = file_io_of(io);

	f->step_bytes -= n_written;
	memmove(f->bounce, f->bounce + n_written, f->step_bytes);
	if (route_rw(ch, io))
		ch->kernel->start(ch, &io, 1);
}

/* n bytes of the step were read, or written. */
static void step_done(struct file_channel *ch, struct store_io *io, uint64_t n) IN_LCORE
{
	struct file_io *f = file_io_of(io);

	if (f->bounce && io->op == STORE_READ) {
		f->step_bytes = n;
		if (!bounce_copy(&ch->bounce, io, f->bounce, n, true))
			return;
	} else if (!f->bounce) {
		mend(io);
		store_io_advance(io, n);
	}
	f->n_done += n;
	if (f->n_done == io->n_bytes)
		end(ch, io, 0);
	else if (f->bounce && io->op == STORE_WRITE && n < f->step_bytes)
		write_rest(ch, io, n);
	else
		start_steps(ch, &io, 1);
}

/* A step has ended with `result` bytes or -errno: the operation ends, or goes on. */
static void step_ended(struct file_channel *ch, struct store_io *io, int64_t result) IN_LCORE
{
	if (!is_rw(io) || result < 0)
		end(ch, io, result < 0 ? (int)result : 0);
	else if (result == 0 || (uint64_t)result > file_io_of(io)->step_bytes)
		end(ch, io, -EIO); /* the file is shorter than the disk, or the device is full */
	else
		step_done(ch, io, (uint64_t)result);
}

/* The kernel has ended a flush, discard or write zeroes. A helper knows other ways to do them. */
static void range_ended(struct file_channel *ch, struct store_io *io, int64_t result) IN_LCORE
{
	struct file_io *f = file_io_of(io);

	if (result < 0 && io->op != STORE_FLUSH && !f->syncing) {
		file_channel_offload(ch, io);
	} else if (result == 0 && (io->flags & STORE_IO_FUA) && io->op != STORE_FLUSH &&
		   !f->syncing) {
		f->syncing = true;
		start_steps(ch, &io, 1);
	} else {
		end(ch, io, (int)result);
	}
}

void file_channel_ended(struct file_channel *ch, struct store_io *io, int64_t result)
{
	if (!is_rw(io)) {
		range_ended(ch, io, result);
	} else if (result == -EOPNOTSUPP) {
		/* No RWF_NOWAIT: store_watch.c tells. */
		atomic_store_explicit(&ch->base.store->no_nowait, true, memory_order_relaxed);
		file_channel_offload(ch, io);
	} else if (result == -EAGAIN) {
		file_channel_offload(ch, io);
	} else {
		step_ended(ch, io, result);
	}
}

static void take_offloaded(struct file_channel *ch) IN_LCORE
{
	struct offload_task *task = offload_reap(&ch->offloaded);

	while (task) {
		struct offload_task *next = task->next;
		struct store_io *io = io_of(container_of(task, struct file_io, task));

		ch->base.n_away--;
		step_ended(ch, io, io->result);
		task = next;
	}
}

/* Hands over again what waited for room in the kernel. */
static void retry_waiting(struct file_channel *ch) IN_LCORE
{
	struct io_fifo waiting = ch->waiting;
	struct store_io *io, *batch[FILE_BATCH_MAX];
	unsigned int n = 0;

	ch->waiting = (struct io_fifo){0};
	while (n < FILE_BATCH_MAX && (io = io_fifo_get(&waiting)))
		batch[n++] = io;
	ch->kernel->start(ch, batch, n);
	while ((io = io_fifo_get(&waiting)))
		io_fifo_put(&ch->waiting, io);
}

/* Goes on with what waited to be copied, then with what waited for a bounce buffer. */
static void retry_bounced(struct file_channel *ch) IN_LCORE
{
	struct bounce *b = &ch->bounce;
	struct store_io *io;
	uint8_t *buf;

	while (b->copy_left > 0 && (io = io_fifo_get(&b->copy_waiting))) {
		if (io->op == STORE_READ)
			step_done(ch, io, file_io_of(io)->step_bytes);
		else
			start_steps(ch, &io, 1);
	}
	while ((io = bounce_next(b, &buf))) {
		file_io_of(io)->bounce = buf;
		start_steps(ch, &io, 1);
	}
}

static void retry_large(struct file_channel *ch) IN_LCORE
{
	struct store_io *io;

	while (ch->large_left > 0 && (io = io_fifo_get(&ch->large)))
		start_steps(ch, &io, 1);
}

unsigned int file_channel_reap(struct store_channel *channel, struct store_io **ret_ios,
			       unsigned int n_max)
{
	struct file_channel *ch = (struct file_channel *)channel;
	unsigned int n = 0;

	role_assert(&role_lcore);
	bounce_begin(&ch->bounce);
	ch->large_left = LARGE_STEP_BYTES;
	ch->kernel->take(ch);
	take_offloaded(ch);
	if (ch->waiting.head && !ch->full)
		retry_waiting(ch);
	if (ch->bounce.copy_waiting.head || ch->bounce.waiting.head)
		retry_bounced(ch);
	retry_large(ch);
	while (n < n_max && ch->ended.head)
		ret_ios[n++] = io_fifo_get(&ch->ended);
	return n;
}
