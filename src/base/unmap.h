/* SPDX-License-Identifier: BSD-3-Clause
 *
 * munmap() keeps every other change of the process's mappings waiting for as long as it takes: 65
 * ms for a touched GiB of 4 KiB pages. Large mappings are taken down in pieces, with pauses between
 * those that take time: who waits has its turn, and a CPU that others need is not taken for
 * seconds.
 */
#ifndef BASE_UNMAP_H
#define BASE_UNMAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define UNMAP_PIECE_BYTES ((size_t)8 << 20)
#define UNMAP_SPELL_NS    500000 /* of work, then a pause */
#define UNMAP_PAUSE_US    200

static inline int64_t unmap_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/** page_bytes: of the mapping's pages; pieces are never smaller. Sleeps. */
static inline void unmap_in_pieces(void *addr, size_t n_bytes, size_t page_bytes)
{
	size_t piece = page_bytes > UNMAP_PIECE_BYTES ? page_bytes : UNMAP_PIECE_BYTES;
	int64_t begin_ns = unmap_now_ns();

	for (size_t at = 0; at < n_bytes; at += piece) {
		if (unmap_now_ns() - begin_ns > UNMAP_SPELL_NS) {
			usleep(UNMAP_PAUSE_US);
			begin_ns = unmap_now_ns();
		}
		munmap((char *)addr + at, n_bytes - at < piece ? n_bytes - at : piece);
	}
}

#endif
