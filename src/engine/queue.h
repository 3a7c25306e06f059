/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A started virtqueue and the requests in flight on it. It is made when the front end starts a
 * ring, served by one lcore, and freed after it was stopped; a restarted ring is a new queue.
 *
 * VHOST makes it and tells it of new memory maps, call descriptors and enabling (queue_msg); CTRL
 * attaches, stops and frees it. From attach to drained only the lcore touches what is below
 * "lcore's".
 *
 *   VHOST  queue_new ........ SWAP_MAP, SET_CALL, SET_ENABLED (waits one turn for each)
 *   CTRL          ATTACH ................................ STOP            queue_free
 *   LCORE                 POLLING ......................... DRAINING  -> QUEUE_DRAINED to CTRL
 *
 * A move: CTRL sends MOVE, with the lane to go to in move_to. The lcore takes nothing new; when the
 * last request in flight has ended, so that nothing of the queue is left in the old lane's channel,
 * it sends the message on as ADOPT, and the queue with it, to the other lcore, which goes on where
 * the ring stopped and sends QUEUE_MOVED. A STOP that comes first ends the move.
 *
 * Messages about the queue go to its `home`, the lcore that has adopted it last; only an lcore that
 * adopts it changes that. One that gives it away says so in next_home, before ADOPT, and passes on
 * what still comes to itself, as does any lcore that is not the home any more. So whatever anybody
 * sends arrives behind ADOPT. QUEUE_MOVED comes after the change, so what CTRL sends after it goes
 * to the new home at once: CTRL's messages arrive in their order. (VHOST waits for each of its
 * own.) An lcore that has sent ADOPT touches the queue no more but for messages about it, and none
 * of these is under way when the queue is freed.
 *
 * A fence: CTRL, who has changed what requests are checked against, sends FENCE to a queue that it
 * has attached and not stopped, and that does not move: the old home might pass it on behind a STOP
 * that went to the new one. It gets the message back as QUEUE_FENCED when all requests that
 * were in flight then have ended: at the latest just before QUEUE_DRAINED or QUEUE_MOVED. One at a
 * time.
 */
#ifndef ENGINE_QUEUE_H
#define ENGINE_QUEUE_H

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/thread_role.h"
#include "engine/coalesce.h"
#include "engine/counters.h"
#include "engine/mbox.h"
#include "engine/offload.h"
#include "engine/queue_state.h"
#include "engine/store.h"
#include "pure/blkreq.h"
#include "pure/chain.h"
#include "pure/guest_mem.h"
#include "pure/virtq.h"

struct lane;
struct lcore;
struct queue;
struct signaller_pool;

/* X(NAME, text shown to the operator) of the messages to an lcore: attach_msg, stop_msg and
 * move_msg (MOVE, ADOPT) and fence_msg of a queue; USE_PINNED is a struct lane_pinned_msg, the
 * others are a struct queue_msg. */
#define LCORE_MSGS(X)                                                                              \
	X(ATTACH, "attach")                                                                        \
	X(STOP, "stop")                                                                            \
	X(MOVE, "move")                                                                            \
	X(ADOPT, "adopt")                                                                          \
	X(FENCE, "fence")                                                                          \
	X(SWAP_MAP, "memory map")                                                                  \
	X(SET_CALL, "call descriptor")                                                             \
	X(SET_KICK, "kick descriptor")                                                             \
	X(SET_ENABLED, "enable")                                                                   \
	X(USE_PINNED, "pinned memory")

#define LCORE_MSG_ENUM(name, text) LCORE_MSG_##name,
enum lcore_msg { LCORE_MSGS(LCORE_MSG_ENUM) LCORE_N_MSGS };
#undef LCORE_MSG_ENUM

/** Events from an lcore to CTRL; the device floor's own begin at ENGINE_EVENTS_END. */
enum engine_event {
	EVENT_QUEUE_DRAINED, /* the queue's drained_msg: the lcore has forgotten the queue */
	EVENT_QUEUE_MOVED,   /* the queue's moved_msg: the other lcore serves it */
	EVENT_QUEUE_FENCED,  /* the queue's fence_msg: what began before it has ended */
	EVENT_QUEUE_BROKEN,  /* the queue's broken_msg, once in its life */
	EVENT_MAP_UNUSED,    /* a map_use's msg: no request uses it any more. Left, not sent */
	EVENT_LANE_PINNED,   /* a lane_pinned_msg: the lane has done as it was told */
	ENGINE_EVENTS_END,
};

/** One queue's use of one memory map: requests that began under it end under it. */
struct map_use {
	struct msg msg; /* EVENT_MAP_UNUSED */
	const struct guest_mem *mem;
	uint32_t n_inflight; /* LCORE */
};

/** From VHOST to the queue's lcore; on the sender's stack, who waits for it. */
struct queue_msg {
	struct msg msg;
	struct queue *queue;
	union {
		struct map_use *map_use; /* SWAP_MAP: the queue's from now on */
		int fd;       /* SET_CALL, SET_KICK: in the new one, out the old one; -1 none */
		bool enabled; /* SET_ENABLED */
	};
};

/** A helper thread that signals the call descriptor: queue_notify.c. The lcore's, but for what the
 *  thread reads while it is away. */
struct relay {
	struct offload_task task;
	struct offload_group group; /* of its own: one that takes long holds up no other */
	struct signaller_pool *pool;
	int fd;     /* that is signalled */
	bool away;  /* the helper has it */
	bool again; /* to be signalled once more then */
	int left;   /* a descriptor that was replaced while it was away, for queue_free(); or -1 */
};

struct request {
	alignas(CACHE_LINE) struct store_io io;
	struct queue *queue;
	struct map_use *map_use;
	struct request *next_free;
	uint8_t *status;
	uint32_t type;       /* VIRTIO_BLK_T_* */
	uint32_t used_bytes; /* what the used element says on success */
	uint16_t id;         /* the chain's, and n_slots */
	uint16_t n_slots;
	uint8_t n_ranges; /* DISCARD, WRITE_ZEROES: one after the other */
	uint8_t next_range;
	uint8_t generation; /* the queue's when it began */
	union {
		struct iovec iov[CHAIN_IOV_MAX];
		struct blk_range ranges[BLK_RANGES_MAX];
	};
};

/** What VHOST knows when the front end has started a ring. */
struct queue_params {
	struct lane *lane; /* who serves it */
	struct mbox *events;
	struct queue_counters *counters;
	struct map_use *map_use;
	struct vring_addr addr;
	uint16_t index;
	uint16_t ring_size;
	int64_t base; /* as SET_VRING_BASE has it, or VIRTQ_BASE_UNKNOWN */
	bool is_packed;
	bool event_idx;
	bool write_through; /* FLUSH was not negotiated: 5.2.6.2 */
	bool enabled;
	int call_fd; /* -1 none; the queue's from now on */
	int kick_fd; /* the same; without one the queue can't sleep */
};

struct queue {
	/* lcore's, hot: what each turn and each request touches */
	alignas(CACHE_LINE) struct virtq vq;
	struct queue *next; /* in the lane */
	struct lane *lane;
	struct map_use *map_use;
	struct request *free_requests;
	struct queue_counters *counters;
	uint64_t last_tsc;               /* the last turn in which there was something */
	_Atomic(enum queue_state) state; /* one writer, its lcore; CTRL reads */
	_Atomic uint32_t n_inflight;     /* the same */
	int call_fd;
	uint16_t n_used_pending; /* used elements not yet published */
	bool write_through : 1;
	bool notify_put_off : 1; /* until notify_tsc: coalesce.h */
	uint8_t generation;      /* another one after each fence */
	/* lcore's, cold */
	bool enabled;
	bool watched;            /* the lcore's waker watches kick_fd */
	bool watch_later;        /* it is to, when the lane trusts its front end again */
	bool dozing;             /* SLEEPING for a nap of the lcore only */
	uint64_t held_until_tsc; /* by a limit of the disk: takes nothing before */
	uint64_t held_since_tsc; /* and is behind since then, as far as that is not in the
				  * counters; 0: it is not */
	int kick_fd;
	uint64_t notify_tsc;
	struct relay relay;
	struct coalesce_rate rate;    /* kept only where interrupts are coalesced */
	struct iovec *big_iov;        /* CHAIN_IOV_BIG, for a chain with more pieces than its own */
	struct request *big_iov_user; /* NULL: it is free */
	const char *_Atomic broken;   /* why; CTRL reads */
	_Atomic uint32_t n_fenced;    /* in flight since before the fence; CTRL reads */
	/* from CTRL, with move_msg */
	struct lane *move_to;
	/* lcores write, whoever sends messages reads: see above */
	struct lcore *_Atomic home;
	struct lcore *_Atomic next_home; /* not home: ADOPT is under way to it */
	/* fixed */
	struct vring_addr addr;
	uint16_t index;
	int64_t base;
	struct mbox *events;
	struct msg attach_msg;
	struct msg stop_msg;
	struct msg move_msg;
	struct msg drained_msg;
	struct msg moved_msg;
	struct msg fence_msg;
	struct msg broken_msg;
	void *owner;              /* the device floor's */
	struct request *requests; /* ring_size of them, behind the queue in its memory */
	size_t n_bytes;           /* of all of it */
};

static_assert(offsetof(struct queue, enabled) <= 2 * CACHE_LINE, "hot state in two cache lines");

/** NULL when memory is short; its memory is on the node of the lane's lcore, and stays there when
 * it moves. The queue owns call_fd and map_use until it is drained. */
struct queue *queue_new(const struct queue_params *params) IN_VHOST;

/** After EVENT_QUEUE_DRAINED, or when never attached. The descriptors (relay.left, too)
 *  are the caller's. The map_use
 *  has come back as EVENT_MAP_UNUSED, or is still queue->map_use when it was never attached. */
void queue_free(struct queue *queue) IN_CTRL;

/** Where messages about it are sent: the lcore that serves it, will or just did. Any thread. */
struct lcore *queue_home(const struct queue *queue);

/** Where a message about it that came to this lcore belongs: it, or the one to pass it on to. */
struct lcore *queue_serving(const struct queue *queue, struct lcore *lcore) IN_LCORE;

/* What the lcore does with a queue; called by engine/lane.c and engine/lcore.c only. */

/** The only writer of queue->state. */
void queue_event(struct queue *queue, enum queue_event event) IN_LCORE;

/** ATTACH: maps the ring and begins to serve it. */
void queue_attach(struct queue *queue) IN_LCORE;

/** MOVING, and nothing is in flight: gives it to the lcore of move_to. Not touched any more. */
void queue_hand_over(struct queue *queue) IN_LCORE;

/** ADOPT: serves it from here on. */
void queue_adopt(struct queue *queue) IN_LCORE;

/** FENCE: QUEUE_FENCED follows, now or when the last request in flight by now has ended. */
void queue_fence(struct queue *queue) IN_LCORE;

void queue_swap_map(struct queue *queue, struct map_use *map_use) IN_LCORE;
int queue_swap_call(struct queue *queue, int call_fd) IN_LCORE;
int queue_swap_kick(struct queue *queue, int kick_fd) IN_LCORE;
void queue_set_enabled(struct queue *queue, bool enabled) IN_LCORE;

/** Goes to sleep if it is POLLING, its kicks can be watched, no interrupt is put off, and nothing
 *  is available. */
void queue_try_sleep(struct queue *queue) IN_LCORE;

/** Polls again if it was SLEEPING. */
void queue_wake(struct queue *queue) IN_LCORE;

/** The lcore is about to nap: sleeps, too, if it was POLLING, until queue_rouse(). False: it can't,
 *  or there is something in its ring. What it will do at a certain time lowers *until_tsc. */
bool queue_doze(struct queue *queue, uint64_t *until_tsc) IN_LCORE;

/** After a nap: as before it. */
void queue_rouse(struct queue *queue) IN_LCORE;

/** Takes up to a batch of requests; appends what the store has to do to ios. Returns how many. */
unsigned int queue_fetch(struct queue *queue, struct store_io **ret_ios,
			 unsigned int n_max) IN_LCORE;

/** The store has ended n operations. Their requests end too (the driver sees it after
 *  queue_flush()), or go on with another operation: these are left at the front of ios. Returns how
 *  many. */
unsigned int queue_complete(struct store_io **ios, unsigned int n) IN_LCORE;

/** Publishes used elements and notifies the driver if it asked for that, now or, where interrupts
 * are coalesced, by notify_tsc. */
void queue_flush(struct queue *queue, uint64_t now_tsc) IN_LCORE;

/** Notifies the driver, which asked for that when notify_put_off was set. */
void queue_notify_now(struct queue *queue) IN_LCORE;

/** Its relay has come back. Returns the queue. */
struct queue *queue_relay_back(struct offload_task *task) IN_LCORE;

#endif
