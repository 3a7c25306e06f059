/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Interrupt coalescing: a virtqueue that completes many requests a second may tell its driver later
 * than at once, so that one interrupt tells of more of them. Whether the driver wants one is asked
 * each time something is published, because its answer is about what came since the last question;
 * only the interrupt is put off.
 *
 * None is lost: an interrupt that is put off has a time, and until then the queue doesn't sleep and
 * its lane is polled. It is sent at once when the queue has drained, and with the next publication
 * when the rate has fallen or coalescing has been switched off.
 */
#ifndef ENGINE_COALESCE_H
#define ENGINE_COALESCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define COALESCE_MAX_US 10000

/** A disk's setting, for all of its virtqueues. CTRL writes it at any moment, its lcores read. */
struct coalesce {
	_Atomic uint32_t delay_us;  /* 0: interrupts are not coalesced */
	_Atomic uint32_t from_iops; /* completions a second of a virtqueue from which on they are */
};

/** How fast a queue completes requests; its lcore's. */
struct coalesce_rate {
	uint64_t since_tsc;
	uint32_t n;    /* since then */
	bool is_above; /* as found by the last measurement */
};

#endif
