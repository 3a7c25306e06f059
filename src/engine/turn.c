/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/turn.h"

#include <stdlib.h>

/* Words of a record: start, length, number of spans, then two for each span. */
enum { WORD_START, WORD_TSC, WORD_N_SPANS, WORD_SPANS };
#define WORDS (WORD_SPANS + 2 * TURN_SPANS_MAX)

struct slot {
	_Atomic uint64_t sequence; /* odd while it is written; 0: never was */
	_Atomic uint64_t words[WORDS];
};

struct turn_trace {
	_Atomic uint64_t n_kept; /* so far; the next goes to slot n_kept % TURN_TRACES_MAX */
	struct slot slots[TURN_TRACES_MAX];
};

const char *turn_work_name(uint32_t work)
{
	static const char *const names[] = {
#define TURN_WORK_NAME(name, text) text,
		TURN_WORKS(TURN_WORK_NAME)
#undef TURN_WORK_NAME
#define LCORE_MSG_NAME(name, text) text,
			LCORE_MSGS(LCORE_MSG_NAME)
#undef LCORE_MSG_NAME
	};

	return work < ARRAY_LEN(names) ? names[work] : "?";
}

void turn_add_span(struct turn_clock *clock, struct turn_cause cause, uint32_t n, uint64_t tsc)
{
	uint32_t i = clock->n_spans++;

	if (i >= TURN_SPANS_MAX)
		return;
	clock->spans[i] = (struct turn_span){
		.cause = cause,
		.n = n,
		.tsc = tsc < UINT32_MAX ? (uint32_t)tsc : UINT32_MAX,
	};
}

struct turn_trace *turn_trace_new(void)
{
	return calloc(1, sizeof(struct turn_trace));
}

void turn_trace_free(struct turn_trace *trace)
{
	free(trace);
}

/* Each word with release: none is seen before the odd number is (partner: the acquire loads in
 * turn_trace_get(), after which the number is looked at again). */
static void put(struct slot *slot, unsigned int word, uint64_t value)
{
	atomic_store_explicit(&slot->words[word], value, memory_order_release);
}

void turn_trace_keep(struct turn_trace *trace, const struct turn_clock *clock, uint64_t tsc)
{
	uint64_t i = atomic_load_explicit(&trace->n_kept, memory_order_relaxed);
	struct slot *slot = &trace->slots[i % TURN_TRACES_MAX];
	uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);
	uint32_t n = clock->n_spans < TURN_SPANS_MAX ? clock->n_spans : TURN_SPANS_MAX;

	atomic_store_explicit(&slot->sequence, sequence + 1, memory_order_relaxed);
	put(slot, WORD_START, clock->start_tsc);
	put(slot, WORD_TSC, tsc);
	put(slot, WORD_N_SPANS, clock->n_spans);
	for (uint32_t s = 0; s < n; s++) {
		const struct turn_span *span = &clock->spans[s];

		put(slot, WORD_SPANS + 2 * s, turn_cause_pack(span->cause));
		put(slot, WORD_SPANS + 2 * s + 1, (uint64_t)span->n << 32 | span->tsc);
	}
	atomic_store_explicit(&slot->sequence, sequence + 2, memory_order_release);
	atomic_store_explicit(&trace->n_kept, i + 1, memory_order_release);
}

static uint64_t get(const struct slot *slot, unsigned int word)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&slot->words[word],
				    memory_order_acquire);
}

static void read_slot(const struct slot *slot, struct turn_record *ret)
{
	uint64_t n_spans = get(slot, WORD_N_SPANS);

	ret->start_tsc = get(slot, WORD_START);
	ret->tsc = get(slot, WORD_TSC);
	ret->n_spans = n_spans < TURN_SPANS_MAX ? (uint32_t)n_spans : TURN_SPANS_MAX;
	ret->n_left_out = (uint32_t)n_spans - ret->n_spans;
	for (uint32_t s = 0; s < ret->n_spans; s++) {
		uint64_t figures = get(slot, WORD_SPANS + 2 * s + 1);

		ret->spans[s] = (struct turn_span){
			.cause = turn_cause_unpack(get(slot, WORD_SPANS + 2 * s)),
			.n = (uint32_t)(figures >> 32),
			.tsc = (uint32_t)figures,
		};
	}
}

bool turn_trace_get(const struct turn_trace *trace, unsigned int i, struct turn_record *ret)
{
	_Atomic uint64_t *n_kept = (_Atomic uint64_t *)(uintptr_t)&trace->n_kept;
	uint64_t n = atomic_load_explicit(n_kept, memory_order_acquire);
	uint64_t first = n > TURN_TRACES_MAX ? n - TURN_TRACES_MAX : 0;
	const struct slot *slot = &trace->slots[(first + i) % TURN_TRACES_MAX];
	_Atomic uint64_t *sequence = (_Atomic uint64_t *)(uintptr_t)&slot->sequence;
	uint64_t before;

	if (first + i >= n)
		return false;
	before = atomic_load_explicit(sequence, memory_order_acquire);
	if (before & 1)
		return false;
	read_slot(slot, ret);
	return atomic_load_explicit(sequence, memory_order_relaxed) == before;
}
