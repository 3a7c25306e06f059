/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Files and block devices by the kernel's aio (io_submit): reads, writes and flushes. Completions
 * are taken from the io_context's mapped ring.
 */
#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/aio_ring.h"
#include "engine/store_file_channel.h"
#include "engine/waker.h"

#define CONTEXT_EVENTS 256

struct aio_channel {
	struct file_channel base;
	io_context_t context;
	struct aio_ring *ring; /* NULL: of another layout than we know */
	unsigned int n_in_kernel;
	bool fsync_unsupported; /* the kernel's asynchronous one */
};

_Static_assert(sizeof(struct iocb) <= FILE_IO_KERNEL_BYTES, "fits in a file_io");

static struct iocb *iocb_of(struct store_io *io)
{
	return (struct iocb *)(void *)file_io_of(io)->kernel;
}

/* Is it away, and rings when it has ended? What the kernel does in io_submit() does not: the lcore
 * reaps after it has submitted. */
static bool is_away(const struct aio_channel *ch, const struct store_io *io)
{
	return !is_rw(io) || !file_is_copied(&ch->base);
}

static void prepare(const struct aio_channel *ch, struct store_io *io) IN_LCORE
{
	const struct file_store *s = file_store_of(&ch->base);
	const struct file_io *f = file_io_of(io);
	int64_t at = (int64_t)io->offset_bytes + (int64_t)f->n_done;
	struct iocb *iocb = iocb_of(io);

	if (io->op == STORE_FLUSH)
		io_prep_fdsync(iocb, s->fd);
	else if (f->bounce && io->op == STORE_READ)
		io_prep_pread(iocb, s->fd, f->bounce, f->step_bytes, at);
	else if (f->bounce)
		io_prep_pwrite(iocb, s->fd, f->bounce, f->step_bytes, at);
	else if (io->op == STORE_READ)
		io_prep_preadv(iocb, s->fd, io->iov, f->n_iov, at);
	else
		io_prep_pwritev(iocb, s->fd, io->iov, f->n_iov, at);
	if (is_rw(io))
		iocb->aio_rw_flags = file_rw_flags(&ch->base, io);
	if (ch->base.base.doorbell && is_away(ch, io)) /* IOCB_FLAG_RESFD: the kernel rings */
		io_set_eventfd(iocb, ch->base.base.doorbell->fd);
	iocb->data = io;
}

static void taken(struct aio_channel *ch, struct store_io *const *ios, unsigned int n) IN_LCORE
{
	ch->n_in_kernel += n;
	for (unsigned int i = 0; i < n; i++)
		ch->base.base.n_away += is_away(ch, ios[i]);
}

/* io_submit() refused the first of a batch. */
static void refused(struct aio_channel *ch, struct store_io *io, int ret) IN_LCORE
{
	if (io->op == STORE_FLUSH && (ret == -EINVAL || ret == -EOPNOTSUPP)) {
		ch->fsync_unsupported = true;
		file_channel_offload(&ch->base, io);
	} else {
		file_channel_ended(&ch->base, io, ret);
	}
}

static void aio_start(struct file_channel *channel, struct store_io **ios,
		      unsigned int n_ios) IN_LCORE
{
	struct aio_channel *ch = (struct aio_channel *)channel;
	struct iocb *iocbs[FILE_BATCH_MAX];
	unsigned int i = 0;

	for (unsigned int k = 0; k < n_ios; k++) {
		prepare(ch, ios[k]);
		iocbs[k] = iocb_of(ios[k]);
	}
	while (i < n_ios && !channel->full) {
		int ret = io_submit(ch->context, (long)(n_ios - i), iocbs + i);

		if (ret > 0) {
			taken(ch, ios + i, (unsigned int)ret);
			i += (unsigned int)ret;
		} else if (ret == 0 || ret == -EAGAIN) {
			channel->full =
				ch->n_in_kernel > 0; /* else the kernel is short of memory */
			break;
		} else if (ret != -EINTR) {
			refused(ch, ios[i++], ret);
		}
	}
	for (; i < n_ios; i++)
		file_channel_wait(channel, ios[i]);
}

static void event_ended(struct aio_channel *ch, const struct io_event *event) IN_LCORE
{
	ch->n_in_kernel--;
	ch->base.base.n_away -= is_away(ch, event->data);
	ch->base.full = false;
	file_channel_ended(&ch->base, event->data, (int64_t)event->res);
}

static void get_events(struct aio_channel *ch) IN_LCORE
{
	struct io_event events[FILE_BATCH_MAX];
	struct timespec at_once = {0};
	int n = io_getevents(ch->context, 0, FILE_BATCH_MAX, events, &at_once);

	for (int i = 0; i < n; i++)
		event_ended(ch, &events[i]);
}

/* Takes completions from the mapped ring: no system call. */
static void aio_take(struct file_channel *channel) IN_LCORE
{
	struct aio_channel *ch = (struct aio_channel *)channel;
	struct io_event event;

	if (!ch->ring)
		get_events(ch);
	else
		while (aio_ring_take(ch->ring, &event))
			event_ended(ch, &event);
}

static bool aio_takes_range(const struct file_channel *channel, const struct store_io *io) IN_LCORE
{
	const struct aio_channel *ch = (const struct aio_channel *)channel;

	return io->op == STORE_FLUSH && !ch->fsync_unsupported && file_store_of(channel)->direct;
}

static const struct file_kernel aio_kernel = {
	.copies_tmpfs = true,
	.start = aio_start,
	.take = aio_take,
	.takes_range = aio_takes_range,
};

static int aio_channel_open(struct store *store, struct doorbell *doorbell,
			    struct store_channel **ret_channel, struct error *err)
{
	struct aio_channel *ch = calloc(1, sizeof(*ch));
	int ret;

	(void)store;
	role_assert(&role_job);
	if (!ch)
		return error_set(err, VHOSTD_ERR_STORE, "out of memory");
	if (file_channel_init(&ch->base, &aio_kernel, doorbell, err))
		goto free_channel;
	ret = io_setup(CONTEXT_EVENTS, &ch->context);
	if (ret) {
		error_set(err, ret == -EAGAIN ? VHOSTD_ERR_LIMIT : VHOSTD_ERR_STORE,
			  "io_setup of %u events: %s%s", CONTEXT_EVENTS, strerror(-ret),
			  ret == -EAGAIN ? " (raise the sysctl fs.aio-max-nr)" : "");
		goto fini;
	}
	ch->ring = aio_ring_of(ch->context);
	*ret_channel = &ch->base.base;
	return 0;

fini:
	file_channel_fini(&ch->base);
free_channel:
	free(ch);
	return -1;
}

static void aio_channel_close(struct store_channel *channel)
{
	struct aio_channel *ch = (struct aio_channel *)channel;

	role_assert(&role_job);
	io_destroy(ch->context);
	file_channel_fini(&ch->base);
	free(ch);
}

/* The kernel makes everything ready, and then can't get at the memory. */
static void try_in_vain(io_context_t context, struct iocb *iocb) IN_JOB
{
	struct io_event event;

	if (io_submit(context, 1, &iocb) == 1)
		io_getevents(context, 1, 1, &event, NULL);
}

void file_first_io(const struct file_store *s)
{
	size_t n_bytes = s->base.caps.discard_granularity_bytes; /* a block of the file system */
	void *memory = mmap(NULL, n_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	off_t data = lseek(s->fd, 0, SEEK_DATA);
	io_context_t context = NULL;
	struct iocb iocb;

	if (memory == MAP_FAILED)
		return;
	if (io_setup(1, &context) == 0) {
		io_prep_pread(&iocb, s->fd, memory, n_bytes, 0);
		try_in_vain(context, &iocb);
		io_prep_pwrite(&iocb, s->fd, memory, n_bytes, data > 0 ? data : 0);
		if (!s->base.caps.readonly)
			try_in_vain(context, &iocb);
		io_destroy(context);
	}
	munmap(memory, n_bytes);
}

static int aio_open(const struct store_params *params, struct store **ret_store, struct error *err)
{
	role_assert(&role_job);
	return file_open(params, &store_aio_ops, ret_store, err);
}

const struct store_ops store_aio_ops = {
	.kind = STORE_KIND_AIO,
	.open = aio_open,
	.close = file_close,
	.resize = file_resize,
	.real_size = file_real_size,
	.channel_open = aio_channel_open,
	.channel_close = aio_channel_close,
	.submit = file_channel_submit,
	.reap = file_channel_reap,
};
