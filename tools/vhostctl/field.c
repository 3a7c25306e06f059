/* SPDX-License-Identifier: BSD-3-Clause */
#include "field.h"

#include <inttypes.h>
#include <json-c/linkhash.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "text.h"

struct json_object *field_get(struct json_object *object, const char *key)
{
	char part[64];
	while (json_object_is_type(object, json_type_object)) {
		size_t n = strcspn(key, ".");
		if (n >= sizeof(part))
			return NULL;
		memcpy(part, key, n);
		part[n] = '\0';
		object = json_object_object_get(object, part);
		if (!key[n])
			return object;
		key += n + 1;
	}
	return NULL;
}

static char *plain_text(struct json_object *value)
{
	if (json_object_is_type(value, json_type_string))
		return text_escaped(json_object_get_string(value),
				    (size_t)json_object_get_string_len(value));
	const char *json = json_object_to_json_string_ext(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	return text_escaped(json, strlen(json));
}

static char *list_text(struct json_object *array)
{
	char *list = NULL;
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		char *item = field_text(json_object_array_get_idx(array, i), FIELD_TEXT);
		char *longer = list ? text_printf("%s, %s", list, item) : NULL;
		free(list);
		list = longer ? longer : item;
		if (longer)
			free(item);
	}
	return list ? list : text_printf("-");
}

static char *counts_text(struct json_object *object)
{
	char *text = text_printf("%s", "");
	json_object_object_foreach(object, key, value)
	{
		char *name = text_escaped(key, strlen(key)), *count = plain_text(value);
		char *longer = text_printf("%s%s%s %s", text, *text ? ", " : "", name, count);
		free(count);
		free(name);
		free(text);
		text = longer;
	}
	return text;
}

static char *size_exact_text(uint64_t bytes)
{
	char *size = text_size(bytes);
	char *text = bytes < 1024 ? text_printf("%s", size)
				  : text_printf("%s (%" PRIu64 " bytes)", size, bytes);
	free(size);
	return text;
}

static char *rate_text(uint64_t bytes_per_s)
{
	char *size = text_size(bytes_per_s);
	char *text = bytes_per_s ? text_printf("%s/s", size) : text_printf("-");
	free(size);
	return text;
}

static char *percent_text(struct json_object *value)
{
	double percent = json_object_get_double(value);
	return isfinite(percent) ? text_printf("%.1f %%", percent) : text_printf("-");
}

static char *number_text(struct json_object *value, enum field_format format)
{
	uint64_t n = json_object_get_uint64(value);
	switch (format) {
	case FIELD_SIZE:
		return text_size(n);
	case FIELD_SIZE_EXACT:
		return size_exact_text(n);
	case FIELD_AGE_MS:
		return text_age_ms(n);
	case FIELD_AGE_S:
		return text_age_ms(n > UINT64_MAX / 1000 ? UINT64_MAX : n * 1000);
	case FIELD_TIME_US:
		return text_time_us(n);
	case FIELD_TIME_MS:
		return text_time_us(n > UINT64_MAX / 1000 ? UINT64_MAX : n * 1000);
	case FIELD_RATE:
		return rate_text(n);
	case FIELD_PERCENT:
		return percent_text(value);
	case FIELD_ID:
		return n ? plain_text(value) : text_printf("-");
	default:
		return plain_text(value);
	}
}

char *field_text(struct json_object *value, enum field_format format)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		return text_printf("-");
	case json_type_boolean:
		return text_printf(json_object_get_boolean(value) ? "yes" : "no");
	case json_type_int:
	case json_type_double:
		return number_text(value, format);
	case json_type_array:
		return format == FIELD_LIST ? list_text(value) : plain_text(value);
	case json_type_string:
		if (json_object_get_string_len(value) == 0)
			return text_printf("-");
		break;
	case json_type_object:
		return format == FIELD_COUNTS ? counts_text(value) : plain_text(value);
	}
	return plain_text(value);
}

bool field_is_number(enum field_format format)
{
	return format != FIELD_TEXT && format != FIELD_YES && format != FIELD_LIST &&
	       format != FIELD_COUNTS;
}

static bool is_empty_object(struct json_object *value)
{
	return json_object_is_type(value, json_type_object) &&
	       json_object_object_length(value) == 0;
}

void fields_print(struct json_object *object, const struct field *fields, int indent)
{
	size_t width = 0;
	for (const struct field *f = fields; f->title; f++) {
		if (text_width(f->title) > width)
			width = text_width(f->title);
	}
	for (const struct field *f = fields; f->title; f++) {
		struct json_object *value = field_get(object, f->key);
		if (!*f->title && (!value || is_empty_object(value)))
			continue; /* goes on what the line before has not said either */
		char *text = field_text(value, f->format);
		printf("%*s%-*s  %s\n", indent, "", (int)width, f->title, text);
		free(text);
	}
}

void fields_print_table(struct json_object *array, const struct field *fields, int indent)
{
	size_t n_rows =
		json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
	struct table *table = table_new();
	for (const struct field *f = fields; f->title; f++)
		table_column(table, f->title, field_is_number(f->format));
	for (size_t i = 0; i < n_rows; i++) {
		struct json_object *row = json_object_array_get_idx(array, i);
		for (const struct field *f = fields; f->title; f++)
			table_cell(table, field_text(field_get(row, f->key), f->format));
	}
	table_print(table, indent);
	table_free(table);
}

static bool is_known(const char *key, const struct field *const *known, size_t n)
{
	size_t length = strlen(key);
	for (size_t i = 0; i < n; i++) {
		for (const struct field *f = known[i]; f->title; f++) {
			if (strncmp(f->key, key, length) == 0 &&
			    (f->key[length] == '\0' || f->key[length] == '.'))
				return true;
		}
	}
	return false;
}

void fields_print_others(struct json_object *object, const struct field *const *known, size_t n,
			 const char *title)
{
	size_t n_rows = 0;
	if (!json_object_is_type(object, json_type_object))
		return;
	struct table *table = table_new_plain(2);
	json_object_object_foreach(object, key, value)
	{
		if (is_known(key, known, n))
			continue;
		n_rows++;
		table_cell(table, text_escaped(key, strlen(key)));
		table_cell(table, field_text(value, FIELD_LIST));
	}
	if (n_rows > 0) {
		puts(title);
		table_print(table, 2);
	}
	table_free(table);
}
