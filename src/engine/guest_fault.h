/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What happens when a front end takes away memory that a guest's map says is there (it truncates
 * the file, or the huge pages run out): the access raises SIGBUS. The handler puts anonymous
 * zeroes in its place, a page of them where not too many are lost, and marks the map as lost, so
 * that the thread goes on and the queue rests. SIGBUS at any other address ends the process as
 * ever.
 */
#ifndef ENGINE_GUEST_FAULT_H
#define ENGINE_GUEST_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/** Installs the handler; once, before any guest's memory is mapped. */
void guest_fault_init(void);

/** Three quarters of the mappings that the kernel lets a process have (vm.max_map_count) where
 * nobody has raised it: stacks of threads, stores and rings need some, too. */
#define GUEST_FAULT_WATCHES_MAX 49152

struct guest_fault_watch;

/** [addr, addr + n_bytes) is a guest's, in pages of page_bytes; *lost is set when a page of it has
 *  gone. NULL when the table is full. Any thread but an LCORE. */
struct guest_fault_watch *guest_fault_watch(void *addr, size_t n_bytes, size_t page_bytes,
					    atomic_bool *lost);

/** Of all that are watched; not to be written. */
extern atomic_uint guest_fault_n_holes;

/** Is anybody's memory lost? Cheap: whose is then to be asked (guest_mem_is_lost()). */
static inline bool guest_fault_happened(void)
{
	return atomic_load_explicit(&guest_fault_n_holes, memory_order_relaxed) != 0;
}

/** Before it is unmapped. NULL is none. */
void guest_fault_forget(struct guest_fault_watch *watch);

#endif
