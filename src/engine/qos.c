/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/qos.h"

#include "engine/lcore.h"

#define SLICE_US 1000

static const struct {
	const char *key;
	bool of[QOS_N_CLASSES];
	bool bytes;
} rows[QOS_N_LIMITS] = {
#define QOS_ROW(name, key, reads, writes, bytes) {key, {reads, writes}, bytes},
	QOS_LIMITS(QOS_ROW)
#undef QOS_ROW
};

const char *qos_limit_key(enum qos_limit limit)
{
	return rows[limit].key;
}

bool qos_limit_is_bytes(enum qos_limit limit)
{
	return rows[limit].bytes;
}

void qos_spec_init(struct qos_spec *spec)
{
	*spec = (struct qos_spec){.burst_ms = QOS_BURST_MS};
}

/* The limits that a class of requests is under, as bits. */
static uint32_t limits_of(const struct qos_spec *spec, enum qos_class class)
{
	uint32_t bits = 0;

	for (unsigned int i = 0; i < QOS_N_LIMITS; i++)
		if (rows[i].of[class] && spec->per_s[i])
			bits |= 1u << i;
	return bits;
}

void qos_set(struct qos *qos, const struct qos_spec *spec)
{
	uint64_t burst_tsc = lcore_tsc_of_us(spec->burst_ms * 1000ull);
	uint64_t s_tsc = lcore_tsc_of_us(1000000);

	for (unsigned int i = 0; i < QOS_N_LIMITS; i++)
		atomic_store_explicit(&qos->prices[i], bucket_price(spec->per_s[i], s_tsc),
				      memory_order_relaxed);
	atomic_store_explicit(&qos->burst_tsc, burst_tsc, memory_order_relaxed);
	for (unsigned int c = 0; c < QOS_N_CLASSES; c++)
		atomic_store_explicit(&qos->limits[c], limits_of(spec, (enum qos_class)c),
				      memory_order_relaxed);
	/* Partner: qos_share_begin(). */
	atomic_fetch_add_explicit(&qos->n_changes, 1, memory_order_release);
}

void qos_share_init(struct qos_share *share, struct qos *qos)
{
	*share = (struct qos_share){
		.qos = qos,
		.slice_tsc = lcore_tsc_of_us(SLICE_US),
		.us_tsc = lcore_tsc_of_us(1),
	};
}

static uint32_t limits_on(const struct qos_share *share, enum qos_class class)
{
	return atomic_load_explicit(&share->qos->limits[class], memory_order_relaxed);
}

/* Debts are forgiven here, not by CTRL: this lcore may have gone into one by an old price after
 * CTRL had changed it. */
void qos_share_renew(struct qos_share *share)
{
	struct qos *qos = share->qos;
	uint64_t burst = atomic_load_explicit(&qos->burst_tsc, memory_order_relaxed);

	for (unsigned int i = 0; i < QOS_N_LIMITS; i++) {
		bucket_forgive(&qos->buckets[i], share->now_tsc, burst);
		share->shares[i] = (struct bucket_share){0};
	}
	share->limited = limits_on(share, QOS_READ) | limits_on(share, QOS_WRITE);
}

bool qos_share_admits(struct qos_share *share, enum qos_class class, uint64_t *ret_until_tsc)
{
	struct qos *qos = share->qos;
	uint64_t burst = atomic_load_explicit(&qos->burst_tsc, memory_order_relaxed);

	for (uint32_t bits = limits_on(share, class); bits; bits &= bits - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(bits);

		if (!bucket_is_ready(&qos->buckets[i], &share->shares[i], share->now_tsc, burst,
				     share->slice_tsc)) {
			*ret_until_tsc = share->shares[i].ready_at;
			return false;
		}
	}
	return true;
}

void qos_share_pay(struct qos_share *share, enum qos_class class, uint64_t n_bytes)
{
	struct qos *qos = share->qos;

	for (uint32_t bits = limits_on(share, class); bits; bits &= bits - 1) {
		unsigned int i = (unsigned int)__builtin_ctz(bits);
		uint64_t price = atomic_load_explicit(&qos->prices[i], memory_order_relaxed);

		bucket_pay(&qos->buckets[i], &share->shares[i], share->now_tsc,
			   bucket_ticks(price, rows[i].bytes ? n_bytes : 1));
	}
}
