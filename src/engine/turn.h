/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What one turn of an lcore's poll loop was spent on: the clock that the lcore stops after each
 * piece of work, and, while somebody traces, a record of the slow turns with all their pieces.
 *
 * The lcore is the only writer. CTRL switches tracing on and reads records at any moment: a record
 * is a row of atomics with a sequence number that is odd while it is written, so that a reader
 * knows what it can't use. Without tracing a turn costs one look at the cycle counter for each
 * disk it has work for.
 */
#ifndef ENGINE_TURN_H
#define ENGINE_TURN_H

#include <rte_cycles.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/thread_role.h"
#include "engine/queue.h"

#define TURN_SPANS_MAX  64 /* kept of one turn; the others are counted */
#define TURN_TRACES_MAX 64 /* slow turns kept, the last ones */

/* X(NAME, text shown to the operator): pieces of work. A message is TURN_N_WORKS + its kind. */
#define TURN_WORKS(X)                                                                              \
	X(IO, "I/O")          /* all that was done for one disk */                                 \
	X(FETCH, "fetch")     /* requests taken from a virtqueue and parsed; while tracing */      \
	X(SUBMIT, "submit")   /* operations handed to the store; while tracing */                  \
	X(REAP, "reap")       /* operations that have ended, copying included; while tracing */    \
	X(PUBLISH, "publish") /* used ring and interrupt; while tracing */

#define TURN_WORK_ENUM(name, text) TURN_##name,
enum turn_work { TURN_WORKS(TURN_WORK_ENUM) TURN_N_WORKS };
#undef TURN_WORK_ENUM

/** "fetch", or the name of a message's kind. */
const char *turn_work_name(uint32_t work);

#define TURN_NO_QUEUE UINT16_MAX

/** A piece of work, and for whom. */
struct turn_cause {
	uint32_t device; /* number of the disk, 0 for none */
	uint16_t queue;  /* TURN_NO_QUEUE: of no certain one */
	uint8_t work;
};

/** In one word, for whoever reads it from outside. */
static inline uint64_t turn_cause_pack(struct turn_cause c)
{
	return (uint64_t)c.device << 32 | (uint64_t)c.queue << 16 | c.work;
}

static inline struct turn_cause turn_cause_unpack(uint64_t word)
{
	return (struct turn_cause){
		.device = (uint32_t)(word >> 32),
		.queue = (uint16_t)(word >> 16),
		.work = (uint8_t)word,
	};
}

/** One piece of a traced turn. */
struct turn_span {
	struct turn_cause cause;
	uint32_t n;   /* requests, operations or messages */
	uint32_t tsc; /* cycles it took */
};

struct turn_trace;

struct turn_clock {
	uint64_t start_tsc;
	uint64_t last_tsc;    /* end of the last piece */
	uint64_t longest_tsc; /* of this turn's pieces */
	struct turn_cause longest;
	struct turn_trace *trace; /* NULL: nobody traces */
	uint32_t n_spans;         /* of this turn, while tracing */
	struct turn_span spans[TURN_SPANS_MAX];
};

/** Now, for a piece of work that looks after its own length. */
static inline uint64_t turn_now_tsc(void)
{
	return rte_rdtsc();
}

static inline void turn_begin(struct turn_clock *clock, uint64_t now_tsc,
			      struct turn_trace *trace) IN_LCORE
{
	clock->start_tsc = now_tsc;
	clock->last_tsc = now_tsc;
	clock->longest_tsc = 0;
	clock->longest = (struct turn_cause){0};
	clock->trace = trace;
	clock->n_spans = 0;
}

void turn_add_span(struct turn_clock *clock, struct turn_cause cause, uint32_t n,
		   uint64_t tsc) IN_LCORE;

/** A piece of work has ended: what was done since the last one. Returns the cycles it took. */
static inline uint64_t turn_mark(struct turn_clock *clock, struct turn_cause cause,
				 uint32_t n) IN_LCORE
{
	uint64_t now = rte_rdtsc(), tsc = now - clock->last_tsc;

	if (tsc > clock->longest_tsc) {
		clock->longest_tsc = tsc;
		clock->longest = cause;
	}
	if (unlikely(clock->trace != NULL))
		turn_add_span(clock, cause, n, tsc);
	clock->last_tsc = now;
	return tsc;
}

/** The same, for pieces that are told apart only while somebody traces. */
static inline void turn_detail(struct turn_clock *clock, struct turn_cause cause,
			       uint32_t n) IN_LCORE
{
	if (unlikely(clock->trace != NULL) && n > 0)
		turn_mark(clock, cause, n);
}

/** A traced turn, as a reader gets it. */
struct turn_record {
	uint64_t start_tsc;
	uint64_t tsc;        /* cycles it took */
	uint32_t n_spans;    /* kept here */
	uint32_t n_left_out; /* pieces beyond TURN_SPANS_MAX */
	struct turn_span spans[TURN_SPANS_MAX];
};

/** Room for the records of one lcore. NULL when memory is short. */
struct turn_trace *turn_trace_new(void);
void turn_trace_free(struct turn_trace *trace);

/** Keeps the turn that has just ended. */
void turn_trace_keep(struct turn_trace *trace, const struct turn_clock *clock,
		     uint64_t tsc) IN_LCORE;

/** The i-th of TURN_TRACES_MAX, oldest first, any thread. False: there is none, or it is being
 *  written over at this moment. */
bool turn_trace_get(const struct turn_trace *trace, unsigned int i, struct turn_record *ret);

#endif
