/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The data path of a file or block device, but for the calls that hand operations to the kernel:
 * those are a `struct file_kernel`, the aio's or the ring's. An lcore enters; nothing here sleeps.
 *
 * An operation goes through steps, each of which ends with step_ended():
 *
 *   aligned read or write   the kernel's work on the guest's own pages, RWF_NOWAIT; what comes back
 *                           EAGAIN is done again by a helper
 *   unaligned               the same on a bounce buffer, piece by piece
 *   flush                   the kernel's asynchronous fdatasync
 *   discard, write zeroes   the kernel's where it has such a thing, and a flush after it for FUA;
 *                           else a helper's, as is what the kernel has failed to do
 *
 *   large                   piece by piece, so many bytes a turn: the kernel looks up each page of
 *                           the guest's, and does in the caller's time what is quick (zeroes of a
 *                           hole: 2 ms for 64 MiB and more)
 *
 * Short reads and writes go on where they stopped. What the kernel has no room for, or what waits
 * for a bounce buffer or to be copied, waits in a list of the channel; reap goes on with it. Where
 * there is no RWF_NOWAIT, helpers do all reads and writes, because the lcore might sleep.
 */
#ifndef ENGINE_STORE_FILE_CHANNEL_H
#define ENGINE_STORE_FILE_CHANNEL_H

#include "base/compiler.h"
#include "engine/store_bounce.h"
#include "engine/store_file.h"

#define FILE_BATCH_MAX       64
#define FILE_IO_KERNEL_BYTES 64

struct file_channel;

/** How a kind hands operations to the kernel. The lcore calls. */
struct file_kernel {
	/** On tmpfs start() does reads and writes at once, copying memory: they need no RWF_NOWAIT,
	 *  which tmpfs doesn't have. */
	bool copies_tmpfs;
	/** Starts the operations' next steps, in this order: at most FILE_BATCH_MAX. Calls
	 *  file_channel_wait() for one that there is no room for, file_channel_ended() or
	 *  file_channel_offload() for one that the kernel refuses. */
	void (*start)(struct file_channel *ch, struct store_io **ios, unsigned int n_ios);
	/** Calls file_channel_ended() for each that has ended. */
	void (*take)(struct file_channel *ch);
	/** Is this FLUSH, DISCARD or WRITE_ZEROES for start()? Else a helper does it. */
	bool (*takes_range)(const struct file_channel *ch, const struct store_io *io);
};

/** A kind embeds it as its first member. */
struct file_channel {
	struct store_channel base;
	const struct file_kernel *kernel;
	bool full;              /* the kernel, since the last completion: the kind sets it */
	struct io_fifo waiting; /* for room in the kernel */
	struct io_fifo large;   /* for another turn, to do more of what is large */
	uint64_t large_left;    /* bytes of it that may begin in this turn */
	struct io_fifo ended;
	struct bounce bounce;
	struct offload_done offloaded;
};

/** What the store keeps in a store_io. iov's entries are as they were but while a step is under
 * way: then only n_iov of them are its, and the last one is shorter by cut_bytes. */
struct file_io {
	alignas(8) uint8_t kernel[FILE_IO_KERNEL_BYTES]; /* the kind's own */
	struct offload_task task;
	uint64_t n_done;     /* bytes of the operation */
	uint8_t *bounce;     /* NULL: on the guest's own pages */
	uint64_t step_bytes; /* of the step that is under way */
	uint64_t cut_bytes;
	uint16_t n_iov;
	bool syncing; /* DISCARD, WRITE_ZEROES: the step is the flush of FUA */
};

_Static_assert(sizeof(struct file_io) <= STORE_IO_PRIV_BYTES, "fits in a store_io");

static inline struct file_io *file_io_of(struct store_io *io)
{
	return (struct file_io *)(void *)io->priv;
}

static inline bool is_rw(const struct store_io *io)
{
	return io->op == STORE_READ || io->op == STORE_WRITE;
}

static inline struct file_store *file_store_of(const struct file_channel *ch)
{
	return (struct file_store *)ch->base.store;
}

static inline bool file_is_copied(const struct file_channel *ch)
{
	return file_store_of(ch)->in_memory && ch->kernel->copies_tmpfs;
}

/** The RWF_* flags of the operation's read or write. */
static inline int file_rw_flags(const struct file_channel *ch, const struct store_io *io)
{
	int flags = file_is_copied(ch) ? 0 : RWF_NOWAIT;

	return io->op == STORE_WRITE && (io->flags & STORE_IO_FUA) ? flags | RWF_DSYNC : flags;
}

/** As store_channel_open(). 0, or -1 with *err set. */
int file_channel_init(struct file_channel *ch, const struct file_kernel *kernel,
		      struct doorbell *doorbell, struct error *err) IN_JOB;
void file_channel_fini(struct file_channel *ch) IN_JOB;

/* As of struct store_ops. */
void file_channel_submit(struct store_channel *channel, struct store_io **ios, unsigned int n_ios);
unsigned int file_channel_reap(struct store_channel *channel, struct store_io **ret_ios,
			       unsigned int n_max);

/* For the kinds' start() and take(). */

/** The kernel has ended the step, or refused it: bytes done, 0 or -errno. */
void file_channel_ended(struct file_channel *ch, struct store_io *io, int64_t result) IN_LCORE;

/** There is no room; it is handed to start() again. */
static inline void file_channel_wait(struct file_channel *ch, struct store_io *io)
{
	io_fifo_put(&ch->waiting, io);
}

/** A helper shall do the step. */
void file_channel_offload(struct file_channel *ch, struct store_io *io) IN_LCORE;

#endif
