/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The data path of the aio store. An lcore enters; nothing here sleeps.
 *
 * An operation goes through steps, each of which ends with step_ended():
 *
 *   aligned read or write   the kernel's aio on the guest's own pages, RWF_NOWAIT; what comes back
 *                           EAGAIN is done again by a helper
 *   unaligned               the same on a bounce buffer, piece by piece
 *   flush                   the kernel's asynchronous fdatasync
 *   discard, write zeroes   a helper
 *
 * Short reads and writes go on where they stopped. What the io_context has no room for, or what
 * waits for a bounce buffer, waits in a list of the channel and is tried again at each reap.
 */
#include <errno.h>
#include <libaio.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/store_aio.h"

#define CONTEXT_EVENTS 256
#define BATCH_MAX      64
#define BOUNCE_BUFFERS 16
#define BOUNCE_BYTES   (128u << 10)
#define KERNEL_IOV_MAX 1024 /* UIO_MAXIOV */

/* The ring that io_setup() maps into the process: fs/aio.c, struct aio_ring. */
#define AIO_RING_MAGIC 0xa10a10a1u

struct aio_ring {
	unsigned int id;
	unsigned int nr;
	unsigned int head; /* ours */
	unsigned int tail; /* the kernel's */
	unsigned int magic;
	unsigned int compat_features;
	unsigned int incompat_features;
	unsigned int header_length;
	struct io_event events[];
};

struct aio_channel {
	struct store_channel base;
	io_context_t context;
	struct aio_ring *ring;
	struct io_fifo waiting; /* for room in the context */
	struct io_fifo bounce_waiting;
	struct io_fifo ended;
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

int aio_channel_open(struct store *store, struct store_channel **ret_channel, struct error *err)
{
	struct aio_channel *ch = calloc(1, sizeof(*ch));
	int ret;

	if (!ch)
		return error_set(err, VHOSTD_ERR_STORE, "out of memory");
	ch->base.store = store;
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

/* Reads or writes the step's bytes, waiting as long as it takes. */
static int blocking_rw(const struct aio_store *s, struct store_io *io)
{
	struct aio_io *a = priv(io);
	struct iovec one = {a->bounce, a->step_bytes};
	const struct iovec *iov = a->bounce ? &one : io->iov;
	int n_iov = a->bounce ? 1 : io->n_iov;
	off_t at = (off_t)(io->offset_bytes + a->n_done);
	ssize_t n;

	if (n_iov > KERNEL_IOV_MAX)
		n_iov = KERNEL_IOV_MAX;
	do {
		if (io->op == STORE_READ)
			n = preadv2(s->fd, iov, n_iov, at, 0);
		else
			n = pwritev2(s->fd, iov, n_iov, at,
				     io->flags & STORE_IO_FUA ? RWF_DSYNC : 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

static int blocking_range(const struct aio_store *s, const struct store_io *io) IN_JOB
{
	int ret;

	if (io->op == STORE_DISCARD)
		ret = aio_discard(s, io->offset_bytes, io->n_bytes);
	else
		ret = aio_write_zeroes(s, io->offset_bytes, io->n_bytes,
				       io->flags & STORE_IO_UNMAP);
	if (ret == 0 && (io->flags & STORE_IO_FUA) && fdatasync(s->fd))
		ret = -errno;
	return ret;
}

/* In a helper. The result is taken up by take_offloaded(). */
static void offload_run(struct offload_task *task)
{
	const struct aio_store *s = container_of(task->group, struct aio_store, offload);
	struct store_io *io = io_of(container_of(task, struct aio_io, task));

	role_assert(&role_job);
	if (io->op == STORE_READ || io->op == STORE_WRITE)
		io->result = blocking_rw(s, io);
	else if (io->op == STORE_FLUSH)
		io->result = fdatasync(s->fd) ? -errno : 0;
	else
		io->result = blocking_range(s, io);
}

static void offload(struct aio_channel *ch, struct store_io *io) IN_LCORE
{
	struct aio_io *a = priv(io);

	a->task.run = offload_run;
	a->task.done = &ch->offloaded;
	offload_submit(&store_of(ch)->offload, &a->task);
}

/* May the kernel work on the guest's pages as they are? */
static bool is_aligned(const struct aio_store *s, const struct store_io *io)
{
	uintptr_t bits = 0;

	if (io->n_iov > KERNEL_IOV_MAX)
		return false;
	for (unsigned int i = 0; i < io->n_iov; i++) {
		if ((uintptr_t)io->iov[i].iov_base & (s->memory_alignment - 1))
			return false;
		bits |= io->iov[i].iov_len;
	}
	return (bits & (s->offset_alignment - 1)) == 0;
}

static void prepare_rw(struct aio_channel *ch, struct store_io *io)
{
	const struct aio_store *s = store_of(ch);
	struct aio_io *a = priv(io);
	int64_t at = (int64_t)io->offset_bytes + (int64_t)a->n_done;
	bool nowait = atomic_load_explicit(&s->nowait, memory_order_relaxed);

	if (a->bounce && io->op == STORE_READ)
		io_prep_pread(&a->iocb, s->fd, a->bounce, a->step_bytes, at);
	else if (a->bounce)
		io_prep_pwrite(&a->iocb, s->fd, a->bounce, a->step_bytes, at);
	else if (io->op == STORE_READ)
		io_prep_preadv(&a->iocb, s->fd, io->iov, io->n_iov, at);
	else
		io_prep_pwritev(&a->iocb, s->fd, io->iov, io->n_iov, at);
	a->iocb.aio_rw_flags = nowait ? RWF_NOWAIT : 0;
	if (io->op == STORE_WRITE && (io->flags & STORE_IO_FUA))
		a->iocb.aio_rw_flags |= RWF_DSYNC;
	a->iocb.data = io;
}

/* Makes ready the next piece of a read or write that has to go through a bounce buffer. False:
 * there is none free, the operation waits for one. */
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
	if (io->op == STORE_WRITE) {
		/* On a copy of the list: a short write goes on from where it stopped. */
		store_io_copy(io, a->bounce, a->step_bytes, false);
	}
	return true;
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
		return &a->iocb;
	}
	a->step_bytes = io->n_bytes - a->n_done;
	if (s->direct && (a->bounce || !is_aligned(s, io)) && !prepare_bounce(ch, io))
		return NULL;
	if (!s->direct) {
		offload(ch, io);
		return NULL;
	}
	prepare_rw(ch, io);
	return &a->iocb;
}

/* io_submit() refused the first of a batch. */
static void refused(struct aio_channel *ch, struct store_io *io, int ret) IN_LCORE
{
	if (ret == -EOPNOTSUPP && (priv(io)->iocb.aio_rw_flags & RWF_NOWAIT)) {
		atomic_store_explicit(&store_of(ch)->nowait, false, memory_order_relaxed);
		priv(io)->iocb.aio_rw_flags &= ~RWF_NOWAIT;
		io_fifo_put(&ch->waiting, io);
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

	while (i < n) {
		int ret = io_submit(ch->context, (long)(n - i), iocbs + i);

		if (ret > 0) {
			i += (unsigned int)ret;
		} else if (ret == 0 || ret == -EAGAIN) {
			for (; i < n; i++)
				io_fifo_put(&ch->waiting, iocbs[i]->data);
		} else if (ret != -EINTR) {
			refused(ch, iocbs[i]->data, ret);
			i++;
		}
	}
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
	for (unsigned int i = 0; i < n_ios; i++) {
		priv(ios[i])->n_done = 0;
		priv(ios[i])->bounce = NULL;
	}
	start_steps(ch, ios, n_ios);
}

/* A step has ended with `result` bytes or -errno: the operation ends, or goes on. */
static void step_ended(struct aio_channel *ch, struct store_io *io, int64_t result) IN_LCORE
{
	struct aio_io *a = priv(io);
	uint64_t n = result > 0 ? (uint64_t)result : 0;

	if (io->op != STORE_READ && io->op != STORE_WRITE) {
		end(ch, io, result < 0 ? (int)result : 0);
		return;
	}
	/* Nothing more: the file is shorter than the disk, or the device is full. */
	if (result <= 0 || n > a->step_bytes) {
		end(ch, io, result < 0 ? (int)result : -EIO);
		return;
	}
	if (a->bounce && io->op == STORE_READ)
		store_io_copy(io, a->bounce, n, true);
	else if (!a->bounce)
		store_io_advance(io, n);
	a->n_done += n;
	if (a->n_done == io->n_bytes) {
		end(ch, io, 0);
		return;
	}
	if (a->bounce && io->op == STORE_WRITE && n < a->step_bytes) {
		/* The rest of this piece has left the iov already. */
		memmove(a->bounce, a->bounce + n, a->step_bytes - n);
		a->step_bytes -= n;
		prepare_rw(ch, io);
		submit_iocbs(ch, &(struct iocb *){&a->iocb}, 1);
		return;
	}
	start_steps(ch, &io, 1);
}

static void event_ended(struct aio_channel *ch, const struct io_event *event) IN_LCORE
{
	struct store_io *io = event->data;
	int64_t result = (int64_t)event->res;

	if (result == -EAGAIN && (io->op == STORE_READ || io->op == STORE_WRITE))
		offload(ch, io);
	else
		step_ended(ch, io, result);
}

/* Takes completions from the mapped ring: no system call. The tail is read with acquire (partner:
 * the kernel's write barrier in aio_complete()), the head written with release. */
static void take_events(struct aio_channel *ch) IN_LCORE
{
	struct aio_ring *ring = ch->ring;
	unsigned int head = ring->head;
	unsigned int tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);

	if (head == tail)
		return;
	while (head != tail) {
		struct io_event event = ring->events[head];

		head = head + 1 == ring->nr ? 0 : head + 1;
		__atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
		event_ended(ch, &event);
	}
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

		step_ended(ch, io, io->result);
		task = next;
	}
}

/* Tries again what waited for room in the context, or for a bounce buffer. */
static void retry_waiting(struct aio_channel *ch) IN_LCORE
{
	struct io_fifo waiting = ch->waiting;
	struct store_io *io;
	struct iocb *iocbs[BATCH_MAX];
	unsigned int n = 0;

	if (waiting.head) {
		ch->waiting = (struct io_fifo){0};
		while (n < BATCH_MAX && (io = io_fifo_get(&waiting)))
			iocbs[n++] = &priv(io)->iocb;
		submit_iocbs(ch, iocbs, n);
		while ((io = io_fifo_get(&waiting)))
			io_fifo_put(&ch->waiting, io);
	}
	while (ch->n_bounce_free && (io = io_fifo_get(&ch->bounce_waiting)))
		start_steps(ch, &io, 1);
}

unsigned int aio_reap(struct store_channel *channel, struct store_io **ret_ios, unsigned int n_max)
{
	struct aio_channel *ch = (struct aio_channel *)channel;
	unsigned int n = 0;

	role_assert(&role_lcore);
	if (ch->ring)
		take_events(ch);
	else
		get_events(ch);
	take_offloaded(ch);
	if (ch->waiting.head || ch->bounce_waiting.head)
		retry_waiting(ch);
	while (n < n_max && ch->ended.head)
		ret_ios[n++] = io_fifo_get(&ch->ended);
	return n;
}
