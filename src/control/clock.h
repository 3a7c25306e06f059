/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTROL_CLOCK_H
#define CONTROL_CLOCK_H

#include <stdint.h>
#include <time.h>

/** Of CLOCK_MONOTONIC. */
static inline uint64_t clock_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/** Since the process was executed, in steps of the kernel's tick (10 ms); 0 when unknown. */
uint64_t clock_since_exec_ms(void);

#endif
