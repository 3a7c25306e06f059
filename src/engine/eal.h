/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Starts DPDK's environment abstraction layer with what vhostd needs and nothing else.
 */
#ifndef ENGINE_EAL_H
#define ENGINE_EAL_H

#include <stdbool.h>

#include "base/error.h"
#include "engine/lcore_set.h"

struct eal_params {
	const char *program;
	struct lcore_set lcores;
	unsigned int memory_mb;
	bool hugepages;
	char *const *extra; /* further EAL arguments, as given after "--" */
	unsigned int n_extra;
};

/** Once, on the process's first thread, which becomes the main lcore (the lowest of the set).
 *  0, or -1 with *err set. */
int eal_start(const struct eal_params *params, struct error *err);

/** "DPDK 22.11.11" */
const char *eal_version(void);

#endif
