/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* The table of RFC 3629 section 4, read from the left: what the first byte announces, and what
 * the second one may be. */
static size_t announced_bytes(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	if (first >= 0xf0 && first <= 0xf4)
		return 4;
	return 0;
}

static bool second_is_valid(unsigned char first, unsigned char second)
{
	unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	return second >= low && second <= high;
}

size_t utf8_char_bytes(const char *text, size_t n_bytes)
{
	const unsigned char *byte = (const unsigned char *)text;
	size_t n = n_bytes ? announced_bytes(byte[0]) : 0;

	if (n <= 1)
		return n;
	if (n > n_bytes || !second_is_valid(byte[0], byte[1]))
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool utf8_is_valid(const char *text, size_t n_bytes)
{
	while (n_bytes) {
		size_t n = utf8_char_bytes(text, n_bytes);

		if (!n)
			return false;
		text += n;
		n_bytes -= n;
	}
	return true;
}

void utf8_repair(char *text)
{
	size_t left = strlen(text);

	while (left) {
		size_t n = utf8_char_bytes(text, left);

		if (!n) {
			*text = '?';
			n = 1;
		}
		text += n;
		left -= n;
	}
}
