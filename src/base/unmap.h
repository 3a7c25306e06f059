/* SPDX-License-Identifier: BSD-3-Clause
 *
 * munmap() keeps every other change of the process's mappings waiting for as long as it takes: 65
 * ms for a touched GiB of 4 KiB pages. So large mappings are emptied first, piece by piece, which
 * keeps fewer waiting, with pauses between pieces that take time: who waits has its turn, and a CPU
 * that others need is not taken for seconds. What is empty is unmapped quickly.
 */
#ifndef BASE_UNMAP_H
#define BASE_UNMAP_H

#include <stddef.h>

/** page_bytes: of the mapping's pages; pieces are never smaller. Sleeps. */
void unmap_in_pieces(void *addr, size_t n_bytes, size_t page_bytes);

#endif
