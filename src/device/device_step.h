/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a disk is waiting for at this moment, as an operator thinks of it: a step of its life that
 * may take long, with a deadline. CTRL looks after each event; a step that overstays its deadline
 * is told once and counted, never waited for or cut short.
 */
#ifndef DEVICE_DEVICE_STEP_H
#define DEVICE_DEVICE_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/thread_role.h"

struct device;

/* X(NAME, name, deadline, what is awaited) */
#define DEVICE_STEPS(X)                                                                            \
	X(NONE, "none", NONE, "nothing")                                                           \
	X(OPEN, "open", OPEN, "the store to open")                                                 \
	X(RESIZE, "resize", OPEN, "the store to be resized")                                       \
	X(DRAIN, "drain", DRAIN, "requests to end")                                                \
	X(SHRINK, "shrink", DRAIN, "requests to end that are older than the new end")              \
	X(MOVE, "move", DRAIN, "virtqueues to move")                                               \
	X(DISCONNECT, "disconnect", CLOSE, "the connection to close")                              \
	X(UNPIN, "unpin", CLOSE, "the guest's memory to be let go of")                             \
	X(LOOK, "look", CLOSE, "the store's size to be read")                                      \
	X(CLOSE, "close", CLOSE, "the socket and the store to close")

#define DEVICE_STEP_ENUM(name, text, deadline, awaited) STEP_##name,
enum device_step { DEVICE_STEPS(DEVICE_STEP_ENUM) DEVICE_N_STEPS };
#undef DEVICE_STEP_ENUM

enum step_deadline { DEADLINE_NONE, DEADLINE_OPEN, DEADLINE_DRAIN, DEADLINE_CLOSE, N_DEADLINES };

/** How long steps may take before they are told, by enum step_deadline, in seconds; 0: for ever. */
struct step_deadlines {
	uint32_t s[N_DEADLINES];
};

/** A step under way. CTRL's. */
struct step_watch {
	enum device_step step;
	uint64_t since_us;
	bool told;            /* it has overstayed, and that was said */
	uint64_t n_overstays; /* of this disk, so far */
};

const char *device_step_name(enum device_step step);

/** After whatever may have begun or ended a step. */
void device_step_update(struct device *dev) IN_CTRL;

/** Tells and counts an overstaying step, once. Returns whether it did. */
bool device_step_check(struct device *dev, const struct step_deadlines *deadlines) IN_CTRL;

/** What is awaited, in words, with numbers: "3 requests in flight, ...". "" for nothing. */
void device_step_describe(const struct device *dev, char *buf, size_t size) IN_CTRL;

#endif
