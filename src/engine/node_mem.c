/* SPDX-License-Identifier: BSD-3-Clause
 *
 * By system calls: libnuma has nothing more than these to give us, and EAL's heap is on one node
 * when it is not in hugepages.
 */
#include "engine/node_mem.h"

#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NODES_MAX 64

/* A mask with this node only; NULL if it can't be said. */
static const unsigned long *mask_of(int node, unsigned long *mask)
{
	if (node < 0 || node >= NODES_MAX)
		return NULL;
	*mask = 1ul << node;
	return mask;
}

void *node_mem_new(int node, size_t n_bytes)
{
	void *mem = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long mask;

	if (mem == MAP_FAILED)
		return NULL;
	/* May fail: see the header. The kernel takes one bit less than it is told. */
	if (mask_of(node, &mask))
		syscall(SYS_mbind, mem, n_bytes, MPOL_PREFERRED, &mask, NODES_MAX + 1, 0);
	memset(mem, 0, n_bytes);
	return mem;
}

void node_mem_free(void *mem, size_t n_bytes)
{
	if (mem)
		munmap(mem, n_bytes);
}

void node_mem_prefer(int node)
{
	unsigned long mask;

	if (mask_of(node, &mask))
		syscall(SYS_set_mempolicy, MPOL_PREFERRED, &mask, NODES_MAX + 1);
	else
		syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
}
