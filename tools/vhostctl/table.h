/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A table of text in aligned columns, on standard output.
 */
#ifndef VHOSTCTL_TABLE_H
#define VHOSTCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct table;

struct table *table_new(void);

/** Without titles: n columns, aligned to the left. */
struct table *table_new_plain(size_t n_columns);

void table_free(struct table *table);

/** Columns come before cells. `title` is copied. */
void table_column(struct table *table, const char *title, bool right_aligned);

/** The next cell, row by row. The table frees `text`. */
void table_cell(struct table *table, char *text);

/** Each line begins with `indent` spaces. */
void table_print(const struct table *table, int indent);

#endif
