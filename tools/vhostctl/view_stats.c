/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Counters: a row for each disk, and for each queue if it is the only one. The columns are the
 * counters that the daemon sends; those that are zero in every row are left out.
 */
#include <ctype.h>
#include <json-c/linkhash.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "table.h"
#include "text.h"
#include "view.h"

#define COUNTERS_MAX 48 /* shown */

/* A row: what it is of, and its counters. */
struct row {
	char *label;
	struct json_object *counters;
};

struct rows {
	struct row *row;
	size_t n;
};

static void row_add(struct rows *rows, char *label, struct json_object *counters)
{
	rows->row = text_must(realloc(rows->row, (rows->n + 1) * sizeof(*rows->row)));
	rows->row[rows->n++] = (struct row){label, counters};
}

static void rows_free(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		free(rows->row[i].label);
	free(rows->row);
}

static enum field_format counter_format(const char *key)
{
	const char *suffix = strrchr(key, '_');
	return suffix && strcmp(suffix, "_bytes") == 0 ? FIELD_SIZE : FIELD_COUNT;
}

/* "READ BYTES" for "read_bytes". */
static void add_counter_column(struct table *table, const char *key)
{
	char *title = text_escaped(key, strlen(key));
	for (char *p = title; *p; p++)
		*p = (char)(*p == '_' ? ' ' : toupper((unsigned char)*p));
	table_column(table, title, true);
	free(title);
}

/* Reads and writes are always shown. */
static bool counter_shown(const struct rows *rows, const char *key)
{
	bool shown = strcmp(key, "reads") == 0 || strcmp(key, "writes") == 0;
	for (size_t i = 0; i < rows->n && !shown; i++)
		shown = json_object_get_uint64(field_get(rows->row[i].counters, key)) != 0;
	return shown;
}

/* The counters to show: members of the first row's, every row of one daemon has the same. A new
 * array of strings. */
static struct json_object *shown_counters(const struct rows *rows)
{
	struct json_object *keys = text_must(json_object_new_array());
	if (!json_object_is_type(rows->row[0].counters, json_type_object))
		return keys;
	json_object_object_foreach(rows->row[0].counters, key, value)
	{
		(void)value;
		if (json_object_array_length(keys) < COUNTERS_MAX && counter_shown(rows, key))
			json_object_array_add(keys, json_object_new_string(key));
	}
	return keys;
}

static void rows_print(const struct rows *rows)
{
	struct json_object *keys = shown_counters(rows);
	size_t n_keys = json_object_array_length(keys);
	struct table *table = table_new();
	table_column(table, "NAME", false);
	for (size_t k = 0; k < n_keys; k++)
		add_counter_column(table,
				   json_object_get_string(json_object_array_get_idx(keys, k)));
	for (size_t i = 0; i < rows->n; i++) {
		table_cell(table, text_must(strdup(rows->row[i].label)));
		for (size_t k = 0; k < n_keys; k++) {
			const char *key =
				json_object_get_string(json_object_array_get_idx(keys, k));
			table_cell(table, field_text(field_get(rows->row[i].counters, key),
						     counter_format(key)));
		}
	}
	table_print(table, 0);
	table_free(table);
	json_object_put(keys);
}

static size_t array_length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static void collect_queues(struct rows *rows, struct json_object *queues)
{
	for (size_t i = 0; i < array_length(queues); i++) {
		struct json_object *queue = json_object_array_get_idx(queues, i);
		char *index = field_text(field_get(queue, "index"), FIELD_COUNT);
		row_add(rows, text_printf("  queue %s", index), field_get(queue, "counters"));
		free(index);
	}
}

void view_stats_get(struct json_object *result)
{
	struct rows rows = {0};
	struct json_object *devices = field_get(result, "devices");
	size_t n = array_length(devices);
	for (size_t i = 0; i < n; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		row_add(&rows, field_text(field_get(device, "name"), FIELD_TEXT),
			field_get(device, "totals"));
		if (n == 1)
			collect_queues(&rows, field_get(device, "queues"));
	}
	if (n == 0)
		puts("no disks");
	else
		rows_print(&rows);
	rows_free(&rows);
}
