/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What an operator asks for when adding a disk: the keys of VHOSTD_PARAMS_device_add, checked.
 */
#ifndef DEVICE_SPEC_H
#define DEVICE_SPEC_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/coalesce.h"
#include "engine/lcore_set.h"
#include "engine/qos.h"
#include "engine/store.h"
#include "vhostd/limits.h"

/* X(NAME, name): how a disk's virtqueues are waited for. */
#define POLL_MODES(X)                                                                              \
	X(BUSY, "busy")         /* polled without end */                                           \
	X(ADAPTIVE, "adaptive") /* polled while there is something, woken by kicks otherwise */

#define POLL_MODE_ENUM(name, text) POLL_##name,
enum poll_mode { POLL_DEFAULT, POLL_MODES(POLL_MODE_ENUM) };
#undef POLL_MODE_ENUM

/** "busy" or "adaptive"; "default" for POLL_DEFAULT. */
const char *poll_mode_name(enum poll_mode mode);

/** 0, or -EINVAL. */
int poll_mode_parse(const char *name, enum poll_mode *ret_mode);

struct device_spec {
	char name[VHOSTD_NAME_MAX + 1];
	enum store_kind backend;
	char path[PATH_MAX];       /* "" for malloc and null */
	uint64_t size_bytes;       /* 0: all of the file */
	uint32_t block_size_bytes; /* 512 or 4096 */
	uint16_t n_queues;         /* 1..VHOSTD_QUEUES_MAX */
	bool readonly;
	char serial[VHOSTD_SERIAL_MAX + 1];
	struct lcore_set lcores; /* empty: all */
	enum poll_mode poll;     /* POLL_DEFAULT: the daemon's */
	bool pin_memory;
	struct uring_settings uring;
	struct qos_spec qos;
	uint32_t coalesce_us; /* 0: interrupts are not coalesced */
	uint32_t coalesce_iops;
};

/** Fills in the defaults: 512-byte blocks, one queue, no limits. */
void device_spec_init(struct device_spec *spec);

/** Checks ranges and what belongs together (path with auto, aio and uring, size with malloc and
 * null, the length of socket_dir/NAME.sock, lcores among `available`). 0, or -1 with *err (PARAMS)
 * naming key, value and what would be right. */
int device_spec_check(const struct device_spec *spec, const char *socket_dir,
		      const struct lcore_set *available, struct error *err);

/** Checks the ranges of limits alone, in the same way. */
int device_spec_check_qos(const struct qos_spec *qos, struct error *err);

/** Checks the two of interrupt coalescing alone, in the same way. */
int device_spec_check_coalesce(uint32_t coalesce_us, uint32_t coalesce_iops, struct error *err);

#endif
