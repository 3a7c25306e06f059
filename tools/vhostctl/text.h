/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Text for people and terminals: what the daemon says is not trusted to be printable. Strings
 * returned are the caller's to free(); out of memory ends the program.
 */
#ifndef VHOSTCTL_TEXT_H
#define VHOSTCTL_TEXT_H

#include <stddef.h>
#include <stdint.h>

/** printf into a new string. */
char *text_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** The n bytes at s with whatever could steer a terminal written as \n, \x1b, \u202e: control
 *  characters, bytes that are not UTF-8, overrides of the writing direction, and '\' itself. */
char *text_escaped(const char *s, size_t n);

/** A JSON document with the same characters written as \uXXXX; it stays the same document. */
char *text_json_safe(const char *json);

/** Columns that a UTF-8 string takes, one for each character. */
size_t text_width(const char *s);

/** "512 B", "10.0 GiB" */
char *text_size(uint64_t bytes);

/** "350 ms", "12 s", "3 min 5 s", "2 h 5 min", "3 d 4 h" */
char *text_age_ms(uint64_t ms);

/** "12 us", "1.2 ms", "3.4 s" */
char *text_time_us(uint64_t us);

/** `s` as one word of a shell command line: quoted when it has to be. */
char *text_shell_quoted(const char *s);

/** Takes what malloc() and its like gave, and ends the program if that is NULL. */
void *text_must(void *ptr);

#endif
