/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Where a disk's bytes live. A store is opened once for a device by a JOB; each lcore that serves
 * the device has a channel of its own to it, so that nothing on the data path is shared between
 * lcores. An lcore gives a batch of `struct store_io` to its channel and reaps the ones that have
 * ended; a channel takes all it is given and never blocks, sleeps, locks or allocates. What has no
 * asynchronous form goes to the helper threads of engine/offload.h.
 *
 * A later kind of store is one file with a `struct store_ops` and a row in store.c's table.
 */
#ifndef ENGINE_STORE_H
#define ENGINE_STORE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/thread_role.h"

/* X(id, name) of every kind of store; the names are the values of the key "backend". AUTO opens as
 * AIO or URING (store_auto.c). */
#define STORE_KINDS(X)                                                                             \
	X(AUTO, "auto")                                                                            \
	X(AIO, "aio")                                                                              \
	X(URING, "uring")                                                                          \
	X(MALLOC, "malloc")                                                                        \
	X(NULL, "null")

#define STORE_KIND_ENUM(id, name) STORE_KIND_##id,
enum store_kind { STORE_KINDS(STORE_KIND_ENUM) STORE_N_KINDS };
#undef STORE_KIND_ENUM

const char *store_kind_name(enum store_kind kind);

/** 0 and *ret_kind, or -EINVAL. */
int store_kind_parse(const char *name, enum store_kind *ret_kind);

enum store_op { STORE_READ, STORE_WRITE, STORE_FLUSH, STORE_DISCARD, STORE_WRITE_ZEROES };

#define STORE_IO_UNMAP 1u /* WRITE_ZEROES: the range may be deallocated */
#define STORE_IO_FUA   2u /* WRITE, WRITE_ZEROES: on stable storage before it completes */

#define STORE_IO_PRIV_BYTES 192
#define STORE_WHY_BYTES     256

#define STORE_ERRNO_MAX 133 /* EHWPOISON, the highest */

#define SECTOR_BYTES_MIN 512u /* the smallest block */
#define STORE_RANGE_MAX_BYTES                                                                      \
	(1ull << 30) /* of one discard or write zeroes, where nothing else                         \
		      * sets a limit */

/** One operation. The caller owns it and its iov; between submit and reap the store does, and may
 *  change `iov`'s entries and n_iov. The caller has checked offset and length against the
 *  capacity; both are multiples of 512. */
struct store_io {
	uint8_t op;    /* enum store_op */
	uint8_t flags; /* STORE_IO_* */
	uint16_t n_iov;
	int32_t result;        /* 0 or -errno, valid once reaped */
	uint64_t offset_bytes; /* READ, WRITE, DISCARD, WRITE_ZEROES */
	uint64_t n_bytes;      /* the same; READ and WRITE: the sum of the iov's lengths */
	struct iovec *iov;     /* READ, WRITE: pieces of any alignment */
	struct store_io *next; /* the store's, for its lists */
	alignas(8) uint8_t priv[STORE_IO_PRIV_BYTES];
};

/** What a store can do; fixed while it is open, but for the capacity. */
struct store_caps {
	uint32_t block_size_bytes; /* smallest unit of I/O the store takes: 512 or 4096 */
	bool readonly;
	bool volatile_cache; /* completed writes need a flush to be stable */
	bool discard;
	bool write_zeroes;
	uint32_t discard_granularity_bytes; /* 0 without discard */
	uint64_t discard_max_bytes;         /* longest range of one operation */
	uint64_t write_zeroes_max_bytes;
};

struct offload;

/** What only the store uring has; all zero: none of it. */
struct uring_settings {
	bool iopoll; /* completions are polled for; the device has to be made for that */
	bool sqpoll; /* a thread of the kernel takes submissions, for each channel */
	uint32_t sqpoll_cpu;
};

/** What to open. Strings belong to the caller and are copied if kept. */
struct store_params {
	enum store_kind kind;
	const char *name;    /* the device's, for messages */
	const char *path;    /* auto, aio, uring */
	uint64_t size_bytes; /* 0: all of the file or device */
	uint32_t block_size_bytes;
	bool readonly;
	struct uring_settings uring; /* auto, uring */
	struct offload *offload;     /* helper threads for calls that may block */
};

struct store;
struct store_channel;
struct doorbell;
struct pinned;

struct store_ops {
	enum store_kind kind;
	int (*open)(const struct store_params *params, struct store **ret_store, struct error *err);
	void (*close)(struct store *store);
	int (*resize)(struct store *store, uint64_t size_bytes, bool shrink, struct error *err);
	int (*channel_open)(struct store *store, struct doorbell *doorbell,
			    struct store_channel **ret_channel, struct error *err);
	void (*channel_close)(struct store_channel *channel);
	/* NULL: nothing behind the store can change its size. */
	int (*real_size)(struct store *store, uint64_t *ret_bytes);
	void (*submit)(struct store_channel *channel, struct store_io **ios, unsigned int n_ios);
	unsigned int (*reap)(struct store_channel *channel, struct store_io **ret_ios,
			     unsigned int n_max);
	/* NULL: pinned memory is of no use to it. */
	int (*use_pinned)(struct store_channel *channel, const struct pinned *pinned);
};

/** The part all kinds share; a kind embeds it as its first member. */
struct store {
	const struct store_ops *ops;
	char why[STORE_WHY_BYTES]; /* it is of ops->kind: a sentence without a full stop */
	const char *no_pinned;     /* why it has no use for pinned memory; NULL: it has */
	struct store_caps caps;
	_Atomic uint64_t capacity_bytes; /* a multiple of caps.block_size_bytes */
	_Atomic uint64_t n_errors;       /* operations that ended with an error */
	_Atomic uint64_t n_errors_by_errno[STORE_ERRNO_MAX + 1];
	_Atomic uint64_t n_helped; /* steps of operations that helper threads did */
	atomic_bool no_nowait;     /* they do all reads and writes: there is no RWF_NOWAIT. An lcore
				    * has seen that */
};

/** One lcore's way into a store; a kind embeds it as its first member. */
struct store_channel {
	struct store *store;
	uint32_t n_inflight; /* LCORE: submitted, not yet reaped */
	/* LCORE: of these, in the hands of the kernel or of helpers, who ring the doorbell when
	 * they have ended; the others want to be reaped turn by turn. */
	uint32_t n_away;
	struct doorbell *doorbell; /* NULL: the lcore never sleeps */
	_Atomic uint64_t n_pinned; /* reads and writes on pinned memory; LCORE writes, any reads */
};

/** Opens a store: may take long. (*ret_store)->ops->kind is what AUTO has chosen. 0, or -1 with
 * *err set (IN_USE, STORE, PARAMS). */
int store_open(const struct store_params *params, struct store **ret_store,
	       struct error *err) IN_JOB;

/** Closes it: may take long. All its channels are closed. */
void store_close(struct store *store) IN_JOB;

/** Gives it another capacity; size_bytes 0: what the file or device has now. A smaller one is
 *  refused unless `shrink`; what lies behind its end then stays where it is, so that operations in
 *  flight there end as ever. 0, or -1 with *err set. */
int store_resize(struct store *store, uint64_t size_bytes, bool shrink, struct error *err) IN_JOB;

/** What the file or device has at this moment: may take long. 0 or -errno. */
int store_real_size(struct store *store, uint64_t *ret_bytes) IN_JOB;

/** Counts an operation that has ended with this -errno. Any role. */
void store_count_error(struct store *store, int result);

/** "EIO"; "other" for 0, which stands for what has no name. */
const char *store_errno_name(int number);

/** Makes a channel for one lcore. The doorbell is the lcore's, NULL if it never sleeps. 0, or -1
 *  with *err set. */
int store_channel_open(struct store *store, struct doorbell *doorbell,
		       struct store_channel **ret_channel, struct error *err) IN_JOB;

/** Frees an idle channel that its lcore has forgotten. */
void store_channel_close(struct store_channel *channel) IN_JOB;

/** Operations from now on that lie in a piece of this memory use it as pinned; NULL: none. It stays
 *  until the channel was told of another and those operations have ended. 0 or -errno: it uses
 *  none. */
int store_use_pinned(struct store_channel *channel, const struct pinned *pinned) IN_LCORE;

/** Starts n_ios operations, all of them, in this order. One system call for a batch at most, and
 *  none that can block. */
static inline void store_submit(struct store_channel *channel, struct store_io **ios,
				unsigned int n_ios) IN_LCORE;

/** Up to n_max operations that have ended. No system call when there are none. Does bounded work:
 *  a store that copies memory copies a bounded number of bytes for each call. */
static inline unsigned int store_reap(struct store_channel *channel, struct store_io **ret_ios,
				      unsigned int n_max) IN_LCORE;

static inline void store_submit(struct store_channel *channel, struct store_io **ios,
				unsigned int n_ios)
{
	channel->n_inflight += n_ios;
	channel->store->ops->submit(channel, ios, n_ios);
}

static inline unsigned int store_reap(struct store_channel *channel, struct store_io **ret_ios,
				      unsigned int n_max)
{
	unsigned int n = channel->store->ops->reap(channel, ret_ios, n_max);

	channel->n_inflight -= n;
	return n;
}

#endif
