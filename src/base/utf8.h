/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Just enough UTF-8 to keep bytes from outside from spoiling a log line or an answer.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/** Bytes (1 to 4) of the valid character that `text` begins with, 0 if it begins with none.
 *  RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
size_t utf8_char_bytes(const char *text, size_t n_bytes);

bool utf8_is_valid(const char *text, size_t n_bytes);

/** Puts '?' over each byte that is not part of a valid character. */
void utf8_repair(char *text);

#endif
