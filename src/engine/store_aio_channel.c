/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The data path of the aio store. An lcore enters; nothing here sleeps.
 *
 * An operation goes through steps, each of which ends with step_ended():
 *
 *   aligned read or write   the kernel's aio on the guest's own pages, RWF_NOWAIT; what comes back
 *                           EAGAIN is done again by a helper
 *   unaligned               the same on a bounce buffer, piece by piece; COPY_BYTES for each call
 *   flush                   the kernel's asynchronous fdatasync
 *   discard, write zeroes   a helper
 *
 * Short reads and writes go on where they stopped. What the io_context has no room for, or what
 * waits for a bounce buffer or to be copied, waits in a list of the channel; reap goes on with it.
 * Where there is no RWF_NOWAIT, helpers do all reads and writes, because io_submit() might sleep;
 * but not on tmpfs, which copies memory.
 */
#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "engine/aio_ring.h"
#include "engine/store_aio.h"
#include "engine/waker.h"

#define CONTEXT_EVENTS 256
#define BATCH_MAX      64
#define BOUNCE_BUFFERS 16
#define COPY_BYTES     (128u << 10) /* a call begins no copy after so many */
#define BOUNCE_BYTES   (128u << 10)

struct aio_channel {
	struct store_channel base;
	io_context_t context;
	struct aio_ring *ring;
	struct io_fifo waiting;        /* for room in the context */
	struct io_fifo bounce_waiting; /* for a bounce buffer */
	struct io_fifo copy_waiting;   /* have one, and are to be copied */
	struct io_fifo ended;
	unsigned int n_in_kernel;
	bool full;          /* the context, since the last completion */
	uint32_t copy_left; /* bytes in this call */
	struct offload_done offloaded;
	uint8_t *bounce; /* BOUNCE_BUFFERS of BOUNCE_BYTES */
	uint8_t *bounce_free[BOUNCE_BUFFERS];
	unsigned int n_bounce_free;
	bool fsync_unsupported; /* the kernel's asynchronous one */
};

/* What the store keeps in a store_io. */
struct aio_io {
	struct iocb iocb;
	struct offload_task task;
	uint64_t n_done;     /* bytes of the operation */
	uint8_t *bounce;     /* NULL: on the guest's own pages */
	uint64_t step_bytes; /* of the step that is under way */
};

_Static_assert(sizeof(struct aio_io) <= STORE_IO_PRIV_BYTES, "fits in a store_io");

static struct aio_io *priv(struct store_io *io)
{
	return (struct aio_io *)(void *)io->priv;
}

static struct store_io *io_of(struct aio_io *a)
{
	return container_of((uint8_t(*)[STORE_IO_PRIV_BYTES])(void *)a, struct store_io, priv);
}

static struct aio_store *store_of(const struct aio_channel *ch)
{
	return (struct aio_store *)ch->base.store;
}

int aio_channel_open(struct store *store, struct doorbell *doorbell,
		     struct store_channel **ret_channel, struct error *err)
{
	struct aio_channel *ch = calloc(1, sizeof(*ch));
	int ret;

	if (!ch)
		return error_set(err, VHOSTD_ERR_STORE, "out of memory");
	(void)store;
	ch->offloaded.doorbell = doorbell;
	ch->bounce = mmap(NULL, (size_t)BOUNCE_BUFFERS * BOUNCE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ch->bounce == MAP_FAILED) {
		error_set(err, VHOSTD_ERR_STORE, "bounce buffers: %s", strerror(errno));
		goto free_channel;
	}
	for (unsigned int i = 0; i < BOUNCE_BUFFERS; i++)
		ch->bounce_free[ch->n_bounce_free++] = ch->bounce + (size_t)i * BOUNCE_BYTES;
	ret = io_setup(CONTEXT_EVENTS, &ch->context);
	if (ret) {
		error_set(err, ret == -EAGAIN ? VHOSTD_ERR_LIMIT : VHOSTD_ERR_STORE,
			  "io_setup of %u events: %s%s", CONTEXT_EVENTS, strerror(-ret),
			  ret == -EAGAIN ? " (raise the sysctl fs.aio-max-nr)" : "");
		goto unmap;
	}
	ch->ring = (struct aio_ring *)(void *)ch->context;
	if (ch->ring->magic != AIO_RING_MAGIC || ch->ring->incompat_features)
		ch->ring = NULL;
	*ret_channel = &ch->base;
	return 0;

unmap:
	munmap(ch->bounce, (size_t)BOUNCE_BUFFERS * BOUNCE_BYTES);
free_channel:
	free(ch);
	return -1;
}

void aio_channel_close(struct store_channel *channel)
{
	struct aio_channel *ch = (struct aio_channel *)channel;

	io_destroy(ch->context);
	munmap(ch->bounce, (size_t)BOUNCE_BUFFERS * BOUNCE_BYTES);
	free(ch);
}

static void end(struct aio_channel *ch, struct store_io *io, int result)
{
	struct aio_io *a = priv(io);

	if (a->bounce) {
		ch->bounce_free[ch->n_bounce_free++] = a->bounce;
		a->bounce = NULL;
	}
	io->result = result;
	if (result)
		atomic_fetch_add_explicit(&ch->base.store->n_errors, 1, memory_order_relaxed);
	io_fifo_put(&ch->ended, io);
}

/* In a helper. The result is taken up by take_offloaded(). */
static void offload_run(struct offload_task *task)
{
	const struct aio_store *s = container_of(task->group, struct aio_store, offload);
	struct aio_io *a = container_of(task, struct aio_io, task);
	struct store_io *io = io_of(a);
	struct iovec one = {a->bounce, a->step_bytes};

	role_assert(&role_job);
	if (io->op != STORE_READ && io->op != STORE_WRITE)
		io->result = aio_do_range(s, io);
	else if (a->bounce)
		io->result = aio_do_rw(s, io, &one, 1, io->offset_bytes + a->n_done);
	else
		io->result = aio_do_rw(s, io, io->iov, io->n_iov, io->offset_bytes + a->n_done);
}

static void offload(struct aio_channel *ch, struct store_io *io) IN_LCORE
{
	struct aio_io *a = priv(io);

	a->task.run = offload_run;
	a->task.done = &ch->offloaded;
	ch->base.n_away++;
	offload_submit(&store_of(ch)->offload, &a->task);
}

/* IOCB_FLAG_RESFD: the kernel rings. */
static void ring_when_ended(const struct aio_channel *ch, struct iocb *iocb)
{
	if (ch->base.doorbell)
		io_set_eventfd(iocb, ch->base.doorbell->fd);
}

static void prepare_rw(struct aio_channel *ch, struct store_io *io)
{
	const struct aio_store *s = store_of(ch);
	struct aio_io *a = priv(io);
	int64_t at = (int64_t)io->offset_bytes + (int64_t)a->n_done;

	if (a->bounce && io->op == STORE_READ)
		io_prep_pread(&a->iocb, s->fd, a->bounce, a->step_bytes, at);
	else if (a->bounce)
		io_prep_pwrite(&a->iocb, s->fd, a->bounce, a->step_bytes, at);
	else if (io->op == STORE_READ)
		io_prep_preadv(&a->iocb, s->fd, io->iov, io->n_iov, at);
	else
		io_prep_pwritev(&a->iocb, s->fd, io->iov, io->n_iov, at);
	a->iocb.aio_rw_flags = s->in_memory ? 0 : RWF_NOWAIT;
	if (io->op == STORE_WRITE && (io->flags & STORE_IO_FUA))
		a->iocb.aio_rw_flags |= RWF_DSYNC;
	a->iocb.data = io;
	ring_when_ended(ch, &a->iocb);
}

static void count_copy(struct aio_channel *ch, uint64_t n_bytes)
{
	ch->copy_left -= n_bytes < ch->copy_left ? (uint32_t)n_bytes : ch->copy_left;
}

/* Makes ready the next piece of a read or write that has to go through a bounce buffer. False:
 * there is none free, or enough was copied; the operation waits. */
static bool prepare_bounce(struct aio_channel *ch, struct store_io *io)
{
	struct aio_io *a = priv(io);
	uint64_t left = io->n_bytes - a->n_done;

	if (!a->bounce) {
		if (ch->n_bounce_free == 0) {
			io_fifo_put(&ch->bounce_waiting, io);
			return false;
		}
		a->bounce = ch->bounce_free[--ch->n_bounce_free];
	}
	a->step_bytes = left < BOUNCE_BYTES ? left : BOUNCE_BYTES;
	if (io->op == STORE_READ)
		return true;
	if (ch->copy_left == 0) {
		io_fifo_put(&ch->copy_waiting, io);
		return false;
	}
	count_copy(ch, a->step_bytes);
	store_io_copy(io, a->bounce, a->step_bytes, false);
	return true;
}

/* Readies the step's read or write for the kernel; NULL: a helper has it. */
static struct iocb *route_rw(struct aio_channel *ch, struct store_io *io) IN_LCORE
{
	const struct aio_store *s = store_of(ch);

	bool nowait = atomic_load_explicit(&s->nowait, memory_order_relaxed);

	if (!s->direct || !(nowait || s->in_memory)) {
		offload(ch, io);
		return NULL;
	}
	prepare_rw(ch, io);
	return &priv(io)->iocb;
}

/* Begins the operation's next step; the iocb is then to be submitted, unless NULL. */
static struct iocb *next_step(struct aio_channel *ch, struct store_io *io) IN_LCORE
{
	const struct aio_store *s = store_of(ch);
	struct aio_io *a = priv(io);

	if (io->op == STORE_DISCARD || io->op == STORE_WRITE_ZEROES ||
	    (io->op == STORE_FLUSH && (ch->fsync_unsupported || !s->direct))) {
		offload(ch, io);
		return NULL;
	}
	if (io->op == STORE_FLUSH) {
		io_prep_fdsync(&a->iocb, s->fd);
		a->iocb.data = io;
		ring_when_ended(ch, &a->iocb);
		return &a->iocb;
	}
	a->step_bytes = io->n_bytes - a->n_done;
	if (s->direct && (a->bounce || !aio_is_aligned(s, io)) && !prepare_bounce(ch, io))
		return NULL;
	return route_rw(ch, io);
}

/* There is no RWF_NOWAIT here: for this file system or device at all, or for the moment. */
static bool is_no_nowait(const struct store_io *io, int64_t result)
{
	return result == -EOPNOTSUPP && (io->op == STORE_READ || io->op == STORE_WRITE);
}

static void switch_nowait_off(struct aio_channel *ch, struct store_io *io) IN_LCORE
{
	atomic_store_explicit(&store_of(ch)->nowait, false, memory_order_relaxed);
	offload(ch, io);
}

/* io_submit() refused the first of a batch. */
static void refused(struct aio_channel *ch, struct store_io *io, int ret) IN_LCORE
{
	if (is_no_nowait(io, ret)) {
		switch_nowait_off(ch, io);
	} else if (io->op == STORE_FLUSH && (ret == -EINVAL || ret == -EOPNOTSUPP)) {
		ch->fsync_unsupported = true;
		offload(ch, io);
	} else {
		end(ch, io, ret);
	}
}

/* Hands iocbs to the kernel; what it has no room for waits. */
static void submit_iocbs(struct aio_channel *ch, struct iocb **iocbs, unsigned int n) IN_LCORE
{
	unsigned int i = 0;

	while (i < n && !ch->full) {
		int ret = io_submit(ch->context, (long)(n - i), iocbs + i);

		if (ret > 0) {
			i += (unsigned int)ret;
			ch->n_in_kernel += (unsigned int)ret;
			ch->base.n_away += (unsigned int)ret;
		} else if (ret == 0 || ret == -EAGAIN) {
			ch->full = ch->n_in_kernel > 0; /* else the kernel is short of memory */
			break;
		} else if (ret != -EINTR) {
			refused(ch, iocbs[i]->data, ret);
			i++;
		}
	}
	for (; i < n; i++)
		io_fifo_put(&ch->waiting, iocbs[i]->data);
}

static void start_steps(struct aio_channel *ch, struct store_io **ios, unsigned int n_ios) IN_LCORE
{
	struct iocb *iocbs[BATCH_MAX];
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_ios; i++) {
		struct iocb *iocb = next_step(ch, ios[i]);

		if (iocb)
			iocbs[n++] = iocb;
		if (n == BATCH_MAX) {
			submit_iocbs(ch, iocbs, n);
			n = 0;
		}
	}
	submit_iocbs(ch, iocbs, n);
}

void aio_submit(struct store_channel *channel, struct store_io **ios, unsigned int n_ios)
{
	struct aio_channel *ch = (struct aio_channel *)channel;

	role_assert(&role_lcore);
	ch->copy_left = COPY_BYTES;
	for (unsigned int i = 0; i < n_ios; i++) {
		priv(ios[i])->n_done = 0;
		priv(ios[i])->bounce = NULL;
	}
	start_steps(ch, ios, n_ios);
}

/* The rest of a bounced piece that was written in part only; it has left the iov already. */
static void write_rest(struct aio_channel *ch, struct store_io *io, uint64_t n_written) IN_LCORE
{
	struct aio_io *a = priv(io);
	struct iocb *iocb;

	a->step_bytes -= n_written;
	memmove(a->bounce, a->bounce + n_written, a->step_bytes);
	iocb = route_rw(ch, io);
	if (iocb)
		submit_iocbs(ch, &iocb, 1);
}

/* n bytes of the step were read, or written. */
static void step_done(struct aio_channel *ch, struct store_io *io, uint64_t n) IN_LCORE
{
	struct aio_io *a = priv(io);

	if (a->bounce && io->op == STORE_READ) {
		if (ch->copy_left == 0) {
			a->step_bytes = n;
			io_fifo_put(&ch->copy_waiting, io);
			return;
		}
		count_copy(ch, n);
		store_io_copy(io, a->bounce, n, true);
	} else if (!a->bounce) {
		store_io_advance(io, n);
	}
	a->n_done += n;
	if (a->n_done == io->n_bytes)
		end(ch, io, 0);
	else if (a->bounce && io->op == STORE_WRITE && n < a->step_bytes)
		write_rest(ch, io, n);
	else
		start_steps(ch, &io, 1);
}

/* A step has ended with `result` bytes or -errno: the operation ends, or goes on. */
static void step_ended(struct aio_channel *ch, struct store_io *io, int64_t result) IN_LCORE
{
	bool rw = io->op == STORE_READ || io->op == STORE_WRITE;

	if (!rw || result < 0)
		end(ch, io, result < 0 ? (int)result : 0);
	else if (result == 0 || (uint64_t)result > priv(io)->step_bytes)
		end(ch, io, -EIO); /* the file is shorter than the disk, or the device is full */
	else
		step_done(ch, io, (uint64_t)result);
}

static void event_ended(struct aio_channel *ch, const struct io_event *event) IN_LCORE
{
	struct store_io *io = event->data;
	int64_t result = (int64_t)event->res;

	ch->n_in_kernel--;
	ch->base.n_away--;
	ch->full = false;
	if (is_no_nowait(io, result))
		switch_nowait_off(ch, io);
	else if (result == -EAGAIN && (io->op == STORE_READ || io->op == STORE_WRITE))
		offload(ch, io);
	else
		step_ended(ch, io, result);
}

/* Takes completions from the mapped ring: no system call. */
static void take_events(struct aio_channel *ch) IN_LCORE
{
	struct io_event event;

	while (aio_ring_take(ch->ring, &event))
		event_ended(ch, &event);
}

static void get_events(struct aio_channel *ch) IN_LCORE
{
	struct io_event events[BATCH_MAX];
	struct timespec at_once = {0};
	int n = io_getevents(ch->context, 0, BATCH_MAX, events, &at_once);

	for (int i = 0; i < n; i++)
		event_ended(ch, &events[i]);
}

static void take_offloaded(struct aio_channel *ch) IN_LCORE
{
	struct offload_task *task = offload_reap(&ch->offloaded);

	while (task) {
		struct offload_task *next = task->next;
		struct store_io *io = io_of(container_of(task, struct aio_io, task));

		ch->base.n_away--;
		step_ended(ch, io, io->result);
		task = next;
	}
}

/* Hands over again what waited for room in the context. */
static void retry_waiting(struct aio_channel *ch) IN_LCORE
{
	struct io_fifo waiting = ch->waiting;
	struct store_io *io;
	struct iocb *iocbs[BATCH_MAX];
	unsigned int n = 0;

	ch->waiting = (struct io_fifo){0};
	while (n < BATCH_MAX && (io = io_fifo_get(&waiting)))
		iocbs[n++] = &priv(io)->iocb;
	submit_iocbs(ch, iocbs, n);
	while ((io = io_fifo_get(&waiting)))
		io_fifo_put(&ch->waiting, io);
}

/* Goes on with what waited to be copied, then with what waited for a bounce buffer. */
static void retry_bounced(struct aio_channel *ch) IN_LCORE
{
	struct store_io *io;

	while (ch->copy_left > 0 && (io = io_fifo_get(&ch->copy_waiting))) {
		if (io->op == STORE_READ)
			step_done(ch, io, priv(io)->step_bytes);
		else
			start_steps(ch, &io, 1);
	}
	while (ch->copy_left > 0 && ch->n_bounce_free && (io = io_fifo_get(&ch->bounce_waiting)))
		start_steps(ch, &io, 1);
}

unsigned int aio_reap(struct store_channel *channel, struct store_io **ret_ios, unsigned int n_max)
{
	struct aio_channel *ch = (struct aio_channel *)channel;
	unsigned int n = 0;

	role_assert(&role_lcore);
	ch->copy_left = COPY_BYTES;
	if (ch->ring)
		take_events(ch);
	else
		get_events(ch);
	take_offloaded(ch);
	if (ch->waiting.head && !ch->full)
		retry_waiting(ch);
	if (ch->copy_waiting.head || ch->bounce_waiting.head)
		retry_bounced(ch);
	while (n < n_max && ch->ended.head)
		ret_ios[n++] = io_fifo_get(&ch->ended);
	return n;
}
