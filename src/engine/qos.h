/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Limits of a disk: how many requests and bytes it may do in a second. Each limit is a token bucket
 * (pure/bucket.h) that the disk's lcores share, without a lock; each lcore pays from a share of its
 * own, for which it goes to the bucket once in a millisecond. So the limit holds for the disk, on
 * however many lcores it is and however unevenly it uses them.
 *
 * What counts: reads; writes, DISCARD and WRITE_ZEROES as writes. Bytes are the data of reads and
 * writes and what WRITE_ZEROES sets to zero; a DISCARD has none. FLUSH, GET_ID and what is refused
 * cost nothing.
 *
 * CTRL sets limits at any moment; an lcore takes a price and a burst as it finds them. Only the
 * count of changes tells it that what it knew of the old ones is void.
 */
#ifndef ENGINE_QOS_H
#define ENGINE_QOS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/thread_role.h"
#include "pure/bucket.h"

/* X(NAME, key, reads, writes, bytes): the parameter's name, whose requests it limits, and whether
 * bytes instead of requests. */
#define QOS_LIMITS(X)                                                                              \
	X(IOPS, "iops", true, true, false)                                                         \
	X(READ_IOPS, "read_iops", true, false, false)                                              \
	X(WRITE_IOPS, "write_iops", false, true, false)                                            \
	X(BANDWIDTH, "bandwidth", true, true, true)                                                \
	X(READ_BANDWIDTH, "read_bandwidth", true, false, true)                                     \
	X(WRITE_BANDWIDTH, "write_bandwidth", false, true, true)

#define QOS_LIMIT_ENUM(name, key, reads, writes, bytes) QOS_##name,
enum qos_limit { QOS_LIMITS(QOS_LIMIT_ENUM) QOS_N_LIMITS };
#undef QOS_LIMIT_ENUM

const char *qos_limit_key(enum qos_limit limit);
bool qos_limit_is_bytes(enum qos_limit limit);

#define QOS_BURST_MS      100 /* unless something else is asked for */
#define QOS_BURST_MS_MIN  10  /* an lcore that sleeps wakes up in time for it */
#define QOS_BURST_MS_MAX  3600000
#define QOS_BANDWIDTH_MIN 4096 /* bytes a second */

/** What is asked for. */
struct qos_spec {
	uint64_t per_s[QOS_N_LIMITS]; /* 0: no limit */
	uint32_t burst_ms;            /* what a disk that did nothing may save up */
};

/** No limit, and the default burst. */
void qos_spec_init(struct qos_spec *spec);

enum qos_class { QOS_READ, QOS_WRITE, QOS_N_CLASSES };

/** A disk's; all zero: no limits. */
struct qos {
	/* CTRL writes, lcores read */
	_Atomic uint32_t n_changes;
	_Atomic uint32_t limits[QOS_N_CLASSES]; /* bits of enum qos_limit */
	_Atomic uint64_t prices[QOS_N_LIMITS];
	_Atomic uint64_t burst_tsc;
	uint8_t apart[CACHE_LINE];
	/* lcores write */
	struct bucket buckets[QOS_N_LIMITS];
};

/** Sets all limits. The lcores learn of it in their next turn of the disk; they forgive debts of
 * the old ones, and give no burst. */
void qos_set(struct qos *qos, const struct qos_spec *spec) IN_CTRL;

/** What one lcore has of it. */
struct qos_share {
	struct qos *qos;
	uint64_t now_tsc;
	uint64_t slice_tsc;
	uint64_t us_tsc; /* cycles of a microsecond */
	uint32_t n_changes;
	bool limited;
	struct bucket_share shares[QOS_N_LIMITS];
};

/** `qos` outlives it. */
void qos_share_init(struct qos_share *share, struct qos *qos);

/** The limits have changed: forgets what is left of the old ones. */
void qos_share_renew(struct qos_share *share) IN_LCORE;

/** Before all else of a turn. True: the limits have changed. */
static inline bool qos_share_begin(struct qos_share *share, uint64_t now_tsc) IN_LCORE
{
	/* Partner: qos_set(). */
	uint32_t n = atomic_load_explicit(&share->qos->n_changes, memory_order_acquire);

	share->now_tsc = now_tsc;
	if (likely(n == share->n_changes))
		return false;
	share->n_changes = n;
	qos_share_renew(share);
	return true;
}

/** May a request of this class begin now? If not, not before *ret_until_tsc. */
bool qos_share_admits(struct qos_share *share, enum qos_class class,
		      uint64_t *ret_until_tsc) IN_LCORE;

/** It has begun. */
void qos_share_pay(struct qos_share *share, enum qos_class class, uint64_t n_bytes) IN_LCORE;

#endif
