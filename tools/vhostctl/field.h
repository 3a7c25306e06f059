/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A value of the daemon's JSON as text for people. The views are tables of fields.
 */
#ifndef VHOSTCTL_FIELD_H
#define VHOSTCTL_FIELD_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>

enum field_format {
	FIELD_TEXT,       /* as it is */
	FIELD_COUNT,      /* a number, aligned to the right */
	FIELD_ID,         /* the same, and 0 is none */
	FIELD_SIZE,       /* bytes: "10.0 GiB" */
	FIELD_SIZE_EXACT, /* bytes: "10.0 GiB (10737418240 bytes)" */
	FIELD_YES,        /* bool: "yes", "no" */
	FIELD_AGE_MS,     /* "3 min 5 s" */
	FIELD_AGE_S,
	FIELD_TIME_US, /* "1.2 ms" */
	FIELD_TIME_MS, /* the same */
	FIELD_RATE,    /* bytes a second: "10.0 MiB/s", and 0 is none */
	FIELD_PERCENT,
	FIELD_LIST,   /* an array: "a, b, c" */
	FIELD_COUNTS, /* an object of numbers: "a 1, b 2"; nothing for an empty one */
};

struct field {
	const char *title; /* NULL ends a table of fields */
	const char *key;   /* members of members as "peer.pid" */
	enum field_format format;
};

/** The member `key` of an object, or of a member object; NULL when there is none. */
struct json_object *field_get(struct json_object *object, const char *key);

/** A new string; "-" for what is missing, null or empty. */
char *field_text(struct json_object *value, enum field_format format);

bool field_is_number(enum field_format format);

/** "title  text" of each field, the titles in one column, indented. */
void fields_print(struct json_object *object, const struct field *fields, int indent);

/** The members of the object that none of `n` tables of fields names, as "key  JSON": what a newer
 *  daemon tells. Prints `title` and a newline before them, if there are any. */
void fields_print_others(struct json_object *object, const struct field *const *known, size_t n,
			 const char *title);

/** A table with a row for each object of the array. */
void fields_print_table(struct json_object *array, const struct field *fields, int indent);

#endif
