/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/store_bounce.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define ALL_BYTES ((size_t)BOUNCE_BUFFERS * BOUNCE_BYTES)

int bounce_open(struct bounce *b, struct error *err)
{
	*b = (struct bounce){0};
	b->memory = mmap(NULL, ALL_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b->memory == MAP_FAILED)
		return error_set(err, VHOSTD_ERR_STORE, "bounce buffers: %s", strerror(errno));
	for (unsigned int i = 0; i < BOUNCE_BUFFERS; i++)
		bounce_put(b, b->memory + (size_t)i * BOUNCE_BYTES);
	return 0;
}

void bounce_close(struct bounce *b)
{
	munmap(b->memory, ALL_BYTES);
}

uint8_t *bounce_get(struct bounce *b, struct store_io *io)
{
	if (b->n_free && !b->waiting.head)
		return b->free[--b->n_free];
	io_fifo_put(&b->waiting, io);
	return NULL;
}

struct store_io *bounce_next(struct bounce *b, uint8_t **ret_buf)
{
	struct store_io *io = b->n_free ? io_fifo_get(&b->waiting) : NULL;

	if (io)
		*ret_buf = b->free[--b->n_free];
	return io;
}

bool bounce_copy(struct bounce *b, struct store_io *io, uint8_t *buf, uint64_t n_bytes, bool to_iov)
{
	if (b->copy_left == 0) {
		io_fifo_put(&b->copy_waiting, io);
		return false;
	}
	b->copy_left -= n_bytes < b->copy_left ? (uint32_t)n_bytes : b->copy_left;
	store_io_copy(io, buf, n_bytes, to_iov);
	return true;
}
