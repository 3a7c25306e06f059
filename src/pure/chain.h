/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A descriptor chain taken from a virtqueue, translated: the device-readable pieces, then the
 * device-writable ones, as addresses of ours. What a ring format produces and the block-request
 * code takes; neither knows the other.
 */
#ifndef PURE_CHAIN_H
#define PURE_CHAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* 126 data segments (the SEG_MAX we offer), header and status, and room for buffers that cross
 * memory regions: what a driver sends that keeps to SEG_MAX. */
#define CHAIN_IOV_MAX 160

/* The longest chain a ring allows, 1024 descriptors, and the same room. */
#define CHAIN_IOV_BIG 1088

struct chain {
	uint16_t id;      /* what its used element names: index of the first descriptor, or the
			   * driver's buffer id */
	uint16_t n_slots; /* descriptors of a packed ring itself; their used element skips them */
	uint16_t n_readable; /* iov[0 .. n_readable) */
	uint16_t n_writable; /* iov[n_readable .. n_readable + n_writable) */
	uint16_t n_descs;    /* descriptors walked */
	bool too_long;       /* more pieces than n_iov_max: iov holds the first ones only */
	uint64_t readable_bytes;
	uint64_t writable_bytes;
	uint8_t *last_writable; /* the last device-writable byte; NULL without one */
	struct iovec *iov;      /* the caller's */
	unsigned int n_iov_max;
};

#endif
