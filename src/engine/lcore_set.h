/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A set of lcores (by CPU number), as the keys "lcores" give it: "1,3-5".
 */
#ifndef ENGINE_LCORE_SET_H
#define ENGINE_LCORE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhostd/limits.h"

struct lcore_set {
	uint64_t bits[VHOSTD_LCORES_MAX / 64];
};

/** 0, or -EINVAL when `text` is no list of CPU numbers below VHOSTD_LCORES_MAX (empty is none). */
int lcore_set_parse(const char *text, struct lcore_set *ret_set);

/** Writes the set as "1,3-5" into buf; always ends it with NUL. */
void lcore_set_format(const struct lcore_set *set, char *buf, size_t size);

bool lcore_set_has(const struct lcore_set *set, unsigned int lcore);
void lcore_set_add(struct lcore_set *set, unsigned int lcore);
unsigned int lcore_set_count(const struct lcore_set *set);
bool lcore_set_is_subset(const struct lcore_set *set, const struct lcore_set *of);

#endif
