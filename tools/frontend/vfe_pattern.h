/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data that says where it belongs: every sector holds its device sector and a generation, and the
 * rest follows from the two. A sector in the wrong place, of the wrong age, or torn is recognised.
 */
#ifndef VFE_PATTERN_H
#define VFE_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

void vfe_pattern_fill(void *buf, uint64_t sector, uint32_t n_sectors, uint64_t generation);

/*
 * -1 when `buf` is what vfe_pattern_fill() makes, else the index of the first sector that is not.
 * Generation 0 stands for "never written": zeroes.
 */
int64_t vfe_pattern_check(const void *buf, uint64_t sector, uint32_t n_sectors,
			  uint64_t generation);

/* Is the sector at `buf` as some generation has it at this place? That generation. */
bool vfe_pattern_generation(const void *buf, uint64_t sector, uint64_t *ret_generation);

/* One line on what the sector at `buf` seems to hold, for a failing test's message; static buffer.
 */
const char *vfe_pattern_describe(const void *buf);

/* A small generator (splitmix64): the same seed gives the same test. */
uint64_t vfe_random(uint64_t *state);

#endif
