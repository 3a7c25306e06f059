/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define COLUMNS_MAX 64
#define GAP         2

struct table {
	size_t n_columns;
	bool right[COLUMNS_MAX];
	char **cells; /* titles, if there are any, are the first row */
	size_t n_cells;
	size_t room;
};

struct table *table_new(void)
{
	return text_must(calloc(1, sizeof(struct table)));
}

struct table *table_new_plain(size_t n_columns)
{
	struct table *table = table_new();
	table->n_columns = n_columns;
	return table;
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

void table_cell(struct table *table, char *text)
{
	if (table->n_cells == table->room) {
		table->room = table->room ? table->room * 2 : 64;
		table->cells =
			text_must(realloc(table->cells, table->room * sizeof(*table->cells)));
	}
	table->cells[table->n_cells++] = text;
}

void table_column(struct table *table, const char *title, bool right_aligned)
{
	if (table->n_columns == COLUMNS_MAX)
		return;
	table->right[table->n_columns++] = right_aligned;
	table_cell(table, text_must(strdup(title)));
}

static void print_row(const struct table *table, char *const *row, const size_t *widths, int indent)
{
	printf("%*s", indent, "");
	for (size_t i = 0; i < table->n_columns; i++) {
		int pad = (int)(widths[i] - text_width(row[i]));
		bool last = i + 1 == table->n_columns;
		printf("%*s%s%*s", table->right[i] ? pad : 0, "", row[i],
		       last ? 0 : GAP + (table->right[i] ? 0 : pad), "");
	}
	putchar('\n');
}

void table_print(const struct table *table, int indent)
{
	size_t widths[COLUMNS_MAX] = {0};
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t width = text_width(table->cells[i]);
		if (width > widths[i % table->n_columns])
			widths[i % table->n_columns] = width;
	}
	for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns)
		print_row(table, table->cells + i, widths, indent);
}
