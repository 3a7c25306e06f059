/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Values of options, from text. Each takes the whole text or says false; results are untouched
 * then.
 */
#ifndef VHOSTPERF_OPTION_VALUE_H
#define VHOSTPERF_OPTION_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** "4096" */
bool value_number(const char *text, uint64_t *ret_number);

/** "4096", "4k", "1G": suffixes k, M, G and T in either case, powers of 1024. */
bool value_bytes(const char *text, uint64_t *ret_bytes);

/** "2", "0.5" */
bool value_decimal(const char *text, double *ret_number);

/** "0", "2,3", "0-3": CPU numbers, none twice, at most `max`. */
bool value_cpus(const char *text, unsigned int *ret_cpu, unsigned int max, unsigned int *ret_n);

/** Index in a list that ends with NULL, or -1. */
int value_word(const char *text, const char *const *words);

/** Writes "a, b or c" of such a list. */
void value_list_words(const char *const *words, char *buf, size_t size);

#endif
