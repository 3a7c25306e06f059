/* SPDX-License-Identifier: BSD-3-Clause */
#include "pure/vring_desc.h"

#include <string.h>

struct guest_words desc_read_split(const struct guest_mem *mem, uint64_t gpa)
{
	struct iovec piece[GUEST_MEM_REGIONS_MAX];
	int n = guest_mem_split(mem, gpa, VRING_DESC_BYTES, piece, ARRAY_LEN(piece));
	struct guest_words words = {0, 0};
	uint8_t *to = (uint8_t *)&words;

	CHECK(n > 0 && n <= (int)ARRAY_LEN(piece), "a table that was found is in the memory");
	for (int i = 0; i < n; i++) {
		memcpy(to, piece[i].iov_base, piece[i].iov_len);
		to += piece[i].iov_len;
	}
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* from here on only the copy is looked at */
	return words;
}

const char *chain_add_pieces(struct chain *c, const struct guest_mem *mem, uint64_t gpa,
			     uint32_t n_bytes, bool writable)
{
	unsigned int n = (unsigned int)c->n_readable + c->n_writable;
	int pieces = guest_mem_split(mem, gpa, n_bytes, &c->iov[n], c->n_iov_max - n);

	if (pieces < 0)
		return "a descriptor points outside of the guest's memory";
	if ((unsigned int)pieces > c->n_iov_max - n) {
		pieces = (int)(c->n_iov_max - n);
		c->too_long = true;
	}
	if (!writable) {
		c->n_readable = (uint16_t)(c->n_readable + pieces);
		c->readable_bytes += n_bytes;
		return NULL;
	}
	c->n_writable = (uint16_t)(c->n_writable + pieces);
	c->writable_bytes += n_bytes;
	c->last_writable = guest_mem_from_gpa(mem, gpa + n_bytes - 1, 1);
	return NULL;
}
