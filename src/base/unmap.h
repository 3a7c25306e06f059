/* SPDX-License-Identifier: BSD-3-Clause
 *
 * munmap() keeps every other change of the process's mappings waiting for as long as it takes: 65
 * ms for a touched GiB of 4 KiB pages. Large mappings are taken down in pieces.
 */
#ifndef BASE_UNMAP_H
#define BASE_UNMAP_H

#include <stddef.h>
#include <sys/mman.h>

#define UNMAP_PIECE_BYTES ((size_t)32 << 20)

/** page_bytes: of the mapping's pages; pieces are never smaller. */
static inline void unmap_in_pieces(void *addr, size_t n_bytes, size_t page_bytes)
{
	size_t piece = page_bytes > UNMAP_PIECE_BYTES ? page_bytes : UNMAP_PIECE_BYTES;

	for (size_t at = 0; at < n_bytes; at += piece)
		munmap((char *)addr + at, n_bytes - at < piece ? n_bytes - at : piece);
}

#endif
