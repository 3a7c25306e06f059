/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Reads numbers from a fuzzer's bytes; zeroes when they have run out. Any bytes are valid input.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** Called with each input; a finding ends the process. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

/** What must hold whatever the input. */
#define HOLDS(expr)                                                                                \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: doesn't hold: %s\n", __FILE__, __LINE__, #expr);   \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct input {
	const uint8_t *bytes;
	size_t n_bytes;
};

static inline uint8_t input_u8(struct input *in)
{
	if (in->n_bytes == 0)
		return 0;
	in->n_bytes--;
	return *in->bytes++;
}

static inline uint16_t input_u16(struct input *in)
{
	uint16_t low = input_u8(in);

	return (uint16_t)(low | input_u8(in) << 8);
}

static inline uint32_t input_u32(struct input *in)
{
	uint32_t low = input_u16(in);

	return low | (uint32_t)input_u16(in) << 16;
}

static inline uint64_t input_u64(struct input *in)
{
	uint64_t low = input_u32(in);

	return low | (uint64_t)input_u32(in) << 32;
}

/** 0 to n - 1. */
static inline uint32_t input_below(struct input *in, uint32_t n)
{
	return (n > 256 ? input_u16(in) : input_u8(in)) % n;
}

#endif
