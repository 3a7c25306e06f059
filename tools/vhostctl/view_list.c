/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lists: disks, lcores, moves between them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "field.h"
#include "view.h"

static const struct field device_fields[] = {
	{"NAME", "name", FIELD_TEXT},
	{"STATE", "state", FIELD_TEXT},
	{"BACKEND", "backend", FIELD_TEXT},
	{"SIZE", "size_bytes", FIELD_SIZE},
	{"BLOCK", "block_size", FIELD_SIZE},
	{"QUEUES", "queues", FIELD_COUNT},
	{"READ ONLY", "readonly", FIELD_YES},
	{"PEER PID", "peer_pid", FIELD_ID},
	{"IN FLIGHT", "inflight", FIELD_COUNT},
	{"PATH", "path", FIELD_TEXT},
	{NULL, NULL, FIELD_TEXT},
};

static const struct field lcore_fields[] = {
	{"LCORE", "lcore", FIELD_COUNT},
	{"SOCKET", "socket", FIELD_COUNT},
	{"QUEUES", "queues", FIELD_COUNT},
	{"LOAD", "load_percent", FIELD_PERCENT},
	{"BUSY", "busy_percent", FIELD_PERCENT},
	{"ASLEEP", "asleep_percent", FIELD_PERCENT},
	{"TURNS", "turns", FIELD_COUNT},
	{">50US", "turns_over_50us", FIELD_COUNT},
	{">1MS", "turns_over_1ms", FIELD_COUNT},
	{"PREEMPTED", "preemptions", FIELD_COUNT},
	{"KERNEL SLEEPS", "kernel_sleeps", FIELD_COUNT},
	{"LONGEST TURN", "longest_turn_us", FIELD_TIME_US},
	{"CAUSE", "longest_turn_cause", FIELD_TEXT},
	{"OF", "longest_turn_device", FIELD_TEXT},
	{"QUEUE", "longest_turn_queue", FIELD_COUNT},
	{"MESSAGES", "messages", FIELD_COUNT},
	{NULL, NULL, FIELD_TEXT},
};

static const struct field share_fields[] = {
	{"DISK", "device", FIELD_TEXT},
	{"QUEUES", "queues", FIELD_LIST},
	{"LOAD", "load_percent", FIELD_PERCENT},
	{NULL, NULL, FIELD_TEXT},
};

void view_device_list(struct json_object *result)
{
	struct json_object *devices = field_get(result, "devices");
	if (json_object_is_type(devices, json_type_array) && json_object_array_length(devices) == 0)
		puts("no disks");
	else
		fields_print_table(devices, device_fields, 0);
}

/* Who runs on the lcore, if anybody does. */
static void print_served(struct json_object *lcore)
{
	struct json_object *served = field_get(lcore, "serves");
	if (!json_object_is_type(served, json_type_array) || !json_object_array_length(served))
		return;
	char *id = field_text(field_get(lcore, "lcore"), FIELD_COUNT);
	printf("lcore %s serves:\n", id);
	fields_print_table(served, share_fields, 2);
	free(id);
}

void view_lcore_list(struct json_object *result)
{
	struct json_object *lcores = field_get(result, "lcores");
	fields_print_table(lcores, lcore_fields, 0);
	if (!json_object_is_type(lcores, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(lcores); i++)
		print_served(json_object_array_get_idx(lcores, i));
}

static const struct field move_fields[] = {
	{"DISK", "device", FIELD_TEXT},          {"QUEUE", "queue", FIELD_COUNT},
	{"LOAD", "load_percent", FIELD_PERCENT}, {"FROM LCORE", "from", FIELD_COUNT},
	{"TO LCORE", "to", FIELD_COUNT},         {NULL, NULL, FIELD_TEXT},
};

static const struct field spread_fields[] = {
	{"LCORE", "lcore", FIELD_COUNT},
	{"LOAD", "load_percent", FIELD_PERCENT},
	{"AFTER", "load_percent_after", FIELD_PERCENT},
	{NULL, NULL, FIELD_TEXT},
};

void view_lcore_rebalance(struct json_object *result)
{
	struct json_object *moves = field_get(result, "moves");
	bool any = json_object_is_type(moves, json_type_array) && json_object_array_length(moves);
	if (any)
		fields_print_table(moves, move_fields, 0);
	fields_print_table(field_get(result, "lcores"), spread_fields, 0);
	if (!any)
		puts("no move would help: the virtqueues stay where they are");
	else if (json_object_get_boolean(field_get(result, "applied")))
		puts("the virtqueues have moved");
	else
		puts("a proposal: --apply carries it out");
}
