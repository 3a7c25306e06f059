/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lists: disks, lcores.
 */
#include <stdio.h>

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
	{"BUSY", "busy_percent", FIELD_PERCENT},
	{"ASLEEP", "asleep_percent", FIELD_PERCENT},
	{"TURNS", "turns", FIELD_COUNT},
	{">50US", "turns_over_50us", FIELD_COUNT},
	{">1MS", "turns_over_1ms", FIELD_COUNT},
	{"LONGEST TURN", "longest_turn_us", FIELD_TIME_US},
	{"CAUSE", "longest_turn_cause", FIELD_TEXT},
	{"OF", "longest_turn_device", FIELD_TEXT},
	{"QUEUE", "longest_turn_queue", FIELD_COUNT},
	{"MESSAGES", "messages", FIELD_COUNT},
	{"DISKS", "devices", FIELD_LIST},
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

void view_lcore_list(struct json_object *result)
{
	fields_print_table(field_get(result, "lcores"), lcore_fields, 0);
}
