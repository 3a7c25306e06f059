/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/lcore_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* One number at *text, which is moved past it. Not strtoul(): that takes signs and blanks. */
static int parse_number(const char **text, unsigned int *ret_number)
{
	const char *digit = *text;
	unsigned int number = 0;

	if (*digit < '0' || *digit > '9')
		return -EINVAL;
	for (; *digit >= '0' && *digit <= '9'; digit++) {
		number = number * 10 + (unsigned int)(*digit - '0');
		if (number >= VHOSTD_LCORES_MAX)
			return -EINVAL;
	}
	*text = digit;
	*ret_number = number;
	return 0;
}

static int parse_range(const char **text, struct lcore_set *set)
{
	unsigned int first, last;

	if (parse_number(text, &first))
		return -EINVAL;
	last = first;
	if (**text == '-') {
		(*text)++;
		if (parse_number(text, &last) || last < first)
			return -EINVAL;
	}
	for (unsigned int lcore = first; lcore <= last; lcore++)
		lcore_set_add(set, lcore);
	return 0;
}

int lcore_set_parse(const char *text, struct lcore_set *ret_set)
{
	struct lcore_set set = {0};

	for (;;) {
		if (parse_range(&text, &set))
			return -EINVAL;
		if (*text == '\0')
			break;
		if (*text++ != ',')
			return -EINVAL;
	}
	*ret_set = set;
	return 0;
}

void lcore_set_format(const struct lcore_set *set, char *buf, size_t size)
{
	size_t len = 0;

	if (size)
		buf[0] = '\0';
	for (unsigned int first = 0; first < VHOSTD_LCORES_MAX; first++) {
		unsigned int last = first;
		const char *comma = len ? "," : "";

		if (!lcore_set_has(set, first))
			continue;
		while (last + 1 < VHOSTD_LCORES_MAX && lcore_set_has(set, last + 1))
			last++;
		if (len < size && first == last)
			len += (size_t)snprintf(buf + len, size - len, "%s%u", comma, first);
		else if (len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%u-%u", comma, first,
						last);
		first = last;
	}
}

bool lcore_set_has(const struct lcore_set *set, unsigned int lcore)
{
	return lcore < VHOSTD_LCORES_MAX && (set->bits[lcore / 64] >> (lcore % 64) & 1);
}

void lcore_set_add(struct lcore_set *set, unsigned int lcore)
{
	if (lcore < VHOSTD_LCORES_MAX)
		set->bits[lcore / 64] |= UINT64_C(1) << (lcore % 64);
}

unsigned int lcore_set_count(const struct lcore_set *set)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < VHOSTD_LCORES_MAX / 64; i++)
		n += (unsigned int)__builtin_popcountll(set->bits[i]);
	return n;
}

bool lcore_set_is_subset(const struct lcore_set *set, const struct lcore_set *of)
{
	for (unsigned int i = 0; i < VHOSTD_LCORES_MAX / 64; i++)
		if (set->bits[i] & ~of->bits[i])
			return false;
	return true;
}
