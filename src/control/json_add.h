/* SPDX-License-Identifier: BSD-3-Clause
 *
 * json_object_object_add() for values of C.
 */
#ifndef CONTROL_JSON_ADD_H
#define CONTROL_JSON_ADD_H

#include <json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "control/jsonrpc.h"

static inline void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, jsonrpc_text(text));
}

static inline void add_uint(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static inline void add_int(struct json_object *object, const char *key, int64_t value)
{
	json_object_object_add(object, key, json_object_new_int64(value));
}

static inline void add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

/** With one decimal. */
static inline void add_decimal(struct json_object *object, const char *key, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.1f", value);
	json_object_object_add(object, key, json_object_new_double_s(value, text));
}

#endif
