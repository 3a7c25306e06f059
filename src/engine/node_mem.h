/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Memory on the NUMA node of the lcore that will use it. A node is a preference: when it has no
 * memory left, or the kernel knows no nodes, the memory is somewhere else.
 */
#ifndef ENGINE_NODE_MEM_H
#define ENGINE_NODE_MEM_H

#include <stddef.h>

/** Zeroed memory on pages of its own, which are all there: using it costs no page fault. node -1:
 *  any. NULL when memory is short. */
void *node_mem_new(int node, size_t n_bytes);

/** With the same n_bytes; NULL is nothing. */
void node_mem_free(void *mem, size_t n_bytes);

/** New pages of the calling thread come from the node from now on; -1: as at first. For what is
 *  allocated by others, such as a channel to a store. */
void node_mem_prefer(int node);

#endif
