/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What json-c doesn't tell of a JSON text: on which line a value stands, and which key stands twice
 * in one object. Works on text that json-c has parsed without complaint.
 *
 * Paths are written as in error texts: "devices[2].block_size"; "" is the whole text.
 */
#ifndef CONTROL_JSON_MAP_H
#define CONTROL_JSON_MAP_H

#include <stddef.h>

#define JSON_PATH_MAX 256

/** The line (from 1) on which the value at `path` begins, or else its nearest parent. */
unsigned int json_map_line(const char *text, size_t n_bytes, const char *path);

/** Nonzero if a key stands twice in an object; its path goes to ret_path, the second one's line to
 *  *ret_line. */
int json_map_duplicate(const char *text, size_t n_bytes, char ret_path[JSON_PATH_MAX],
		       unsigned int *ret_line);

#endif
