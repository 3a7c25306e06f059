/* SPDX-License-Identifier: BSD-3-Clause
 *
 * "did you mean": the nearest of a list of words to one that isn't in it.
 */
#ifndef CONTROL_SUGGEST_H
#define CONTROL_SUGGEST_H

#include <stddef.h>

/** The nearest, or NULL if none is near enough to be meant. */
const char *suggest_nearest(const char *word, const char *const *candidates, size_t n_candidates);

/** Writes "; did you mean \"NEAREST\"?", or the list "; known: A, B" when none is near, into buf.
 */
void suggest_format(const char *word, const char *const *candidates, size_t n_candidates, char *buf,
		    size_t size);

#endif
