/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Slow turns: for each a line, and a table of what was done in it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "field.h"
#include "view.h"

static const struct field piece_fields[] = {
	{"WORK", "cause", FIELD_TEXT},   {"DISK", "device", FIELD_TEXT},
	{"QUEUE", "queue", FIELD_COUNT}, {"COUNT", "count", FIELD_COUNT},
	{"TIME", "us", FIELD_TIME_US},   {NULL, NULL, FIELD_TEXT},
};

static void print_turn(struct json_object *turn)
{
	char *lcore = field_text(field_get(turn, "lcore"), FIELD_COUNT);
	char *time = field_text(field_get(turn, "us"), FIELD_TIME_US);
	char *age = field_text(field_get(turn, "age_ms"), FIELD_AGE_MS);
	unsigned long long left_out = json_object_get_uint64(field_get(turn, "pieces_left_out"));

	printf("lcore %s: a turn of %s, %s ago\n", lcore, time, age);
	fields_print_table(field_get(turn, "pieces"), piece_fields, 2);
	if (left_out)
		printf("  and %llu more pieces of work\n", left_out);
	free(age);
	free(time);
	free(lcore);
}

void view_lcore_trace(struct json_object *result)
{
	struct json_object *turns = field_get(result, "turns");
	size_t n =
		json_object_is_type(turns, json_type_array) ? json_object_array_length(turns) : 0;

	for (size_t i = 0; i < n; i++)
		print_turn(json_object_array_get_idx(turns, i));
	if (json_object_get_boolean(field_get(result, "tracing")))
		printf("%s turns of %llu us or more are kept\n", n ? "going on:" : "none so far;",
		       (unsigned long long)json_object_get_uint64(field_get(result, "over_us")));
	else
		printf("%s\n", n ? "tracing is off" : "tracing is off; --over-us US begins it");
}
