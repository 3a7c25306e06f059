/* SPDX-License-Identifier: BSD-3-Clause */
#include "option_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPU_MAX 1023 /* of cpu_set_t */

/* Digits at `text`, and what stands behind them. */
static bool parse_digits(const char *text, const char **ret_rest, uint64_t *ret_number)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	*ret_rest = end;
	return errno == 0;
}

bool value_number(const char *text, uint64_t *ret_number)
{
	uint64_t number;
	const char *rest;

	if (!parse_digits(text, &rest, &number) || *rest)
		return false;
	*ret_number = number;
	return true;
}

bool value_bytes(const char *text, uint64_t *ret_bytes)
{
	static const char suffixes[] = "kmgt";
	unsigned int shift = 0;
	const char *rest, *at;
	uint64_t number;

	if (!parse_digits(text, &rest, &number))
		return false;
	if (*rest) {
		at = strchr(suffixes, tolower((unsigned char)*rest));
		if (!at || rest[1])
			return false;
		shift = 10 * (unsigned int)(at - suffixes + 1);
	}
	if (number > UINT64_MAX >> shift)
		return false;
	*ret_bytes = number << shift;
	return true;
}

bool value_decimal(const char *text, double *ret_number)
{
	char *end;

	/* No "inf", "nan", "0x10", " 1", "1e9". */
	if (!*text || strspn(text, "0123456789.") != strlen(text))
		return false;
	double number = strtod(text, &end);
	if (*end)
		return false;
	*ret_number = number;
	return true;
}

/* Adds first..last; false when one is there or there is no room. */
static bool add_cpus(uint64_t first, uint64_t last, unsigned int *cpu, unsigned int max,
		     unsigned int *n)
{
	for (uint64_t c = first; c <= last; c++) {
		for (unsigned int i = 0; i < *n; i++) {
			if (cpu[i] == c)
				return false;
		}
		if (*n == max)
			return false;
		cpu[(*n)++] = (unsigned int)c;
	}
	return true;
}

bool value_cpus(const char *text, unsigned int *ret_cpu, unsigned int max, unsigned int *ret_n)
{
	uint64_t first, last;
	unsigned int n = 0;

	for (;; text++) {
		if (!parse_digits(text, &text, &first))
			return false;
		last = first;
		if (*text == '-' && !parse_digits(text + 1, &text, &last))
			return false;
		if (last > CPU_MAX || first > last || !add_cpus(first, last, ret_cpu, max, &n))
			return false;
		if (*text != ',')
			break;
	}
	if (*text)
		return false;
	*ret_n = n;
	return true;
}

int value_word(const char *text, const char *const *words)
{
	for (int i = 0; words[i]; i++) {
		if (strcmp(words[i], text) == 0)
			return i;
	}
	return -1;
}

void value_list_words(const char *const *words, char *buf, size_t size)
{
	size_t n = 0;

	*buf = 0;
	for (int i = 0; words[i] && n < size; i++) {
		const char *before = words[i + 1] ? ", " : " or ";

		n += (size_t)snprintf(buf + n, size - n, "%s%s", i == 0 ? "" : before, words[i]);
	}
}
