/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/unmap.h"

#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES_MIN ((size_t)8 << 20)
#define PIECE_BYTES_MAX ((size_t)64 << 20) /* 4 ms when it turns out to be full */
#define CHUNK_BYTES     ((size_t)1 << 30)  /* unmapped at once, when it is empty */
#define QUICK_NS        20000              /* there was next to nothing in this piece */
#define SPELL_NS        500000             /* of work, then a pause */
#define PAUSE_US        200

struct spell {
	int64_t begin_ns;
	size_t piece_bytes_min;
	size_t piece_bytes; /* the next one */
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static size_t at_least(size_t n_bytes, size_t min_bytes)
{
	return n_bytes > min_bytes ? n_bytes : min_bytes;
}

static void next_piece(struct spell *spell, int64_t began_ns)
{
	int64_t ns = now_ns();

	if (ns - began_ns > QUICK_NS)
		spell->piece_bytes = spell->piece_bytes_min;
	else if (spell->piece_bytes < PIECE_BYTES_MAX)
		spell->piece_bytes *= 2;
	if (ns - spell->begin_ns <= SPELL_NS)
		return;
	usleep(PAUSE_US);
	spell->begin_ns = now_ns();
}

/* Where it can't be done (huge pages before Linux 5.18) the pages go with the mapping. */
static void empty(char *addr, size_t n_bytes, struct spell *spell)
{
	while (n_bytes > 0) {
		size_t n = n_bytes < spell->piece_bytes ? n_bytes : spell->piece_bytes;
		int64_t began_ns = now_ns();

		madvise(addr, n, MADV_DONTNEED);
		addr += n;
		n_bytes -= n;
		next_piece(spell, began_ns);
	}
}

void unmap_in_pieces(void *addr, size_t n_bytes, size_t page_bytes)
{
	size_t piece = at_least(PIECE_BYTES_MIN, page_bytes);
	size_t chunk = at_least(CHUNK_BYTES, page_bytes);
	struct spell spell = {now_ns(), piece, piece};

	for (char *at = addr; n_bytes > 0; at += chunk) {
		size_t n = n_bytes < chunk ? n_bytes : chunk;

		empty(at, n, &spell);
		munmap(at, n);
		n_bytes -= n;
	}
}
