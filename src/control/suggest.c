/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/suggest.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 32 /* longer ones aren't guessed at */

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's distance, one row of the matrix at a time. */
static size_t distance(const char *a, const char *b)
{
	size_t len = strlen(b);
	size_t row[WORD_MAX + 1];

	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			size_t replaced = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = min3(row[j] + 1, row[j - 1] + 1, replaced);
		}
	}
	return row[len];
}

const char *suggest_nearest(const char *word, const char *const *candidates, size_t n_candidates)
{
	size_t len = strlen(word);
	size_t best_distance = len / 3 + 2; /* as far as a typing error goes */
	const char *best = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n_candidates; i++) {
		size_t d = strlen(candidates[i]) <= WORD_MAX ? distance(word, candidates[i])
							     : WORD_MAX;

		if (d < best_distance && d < len) {
			best_distance = d;
			best = candidates[i];
		}
	}
	return best;
}

void suggest_format(const char *word, const char *const *candidates, size_t n_candidates, char *buf,
		    size_t size)
{
	const char *nearest = suggest_nearest(word, candidates, n_candidates);
	size_t len;

	if (nearest) {
		snprintf(buf, size, "; did you mean \"%s\"?", nearest);
		return;
	}
	len = (size_t)snprintf(buf, size, n_candidates ? "; known: " : "; there are none");
	for (size_t i = 0; i < n_candidates && len < size; i++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i ? ", " : "",
					candidates[i]);
}
