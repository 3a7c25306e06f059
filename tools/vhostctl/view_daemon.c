/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The daemon itself: info, log-level, shutdown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "text.h"
#include "view.h"

static const struct field daemon_fields[] = {
	{"version", "version", FIELD_TEXT},
	{"built on", "dpdk", FIELD_TEXT},
	{"pid", "pid", FIELD_COUNT},
	{"up for", "uptime_s", FIELD_AGE_S},
	{"control socket", "control", FIELD_TEXT},
	{"vhost-user sockets", "socket_dir", FIELD_TEXT},
	{"state", "state_dir", FIELD_TEXT},
	{"configuration", "config", FIELD_TEXT},
	{"lcores", "lcores", FIELD_LIST},
	{"poll mode", "poll", FIELD_TEXT},
	{"poll idle, us", "poll_idle_us", FIELD_COUNT},
	{"poll I/O, us", "poll_io_us", FIELD_COUNT},
	{"hugepages", "hugepages", FIELD_YES},
	{"DPDK heap, MB", "memory_mb", FIELD_COUNT},
	{"open deadline, s", "open_deadline", FIELD_COUNT},
	{"drain deadline, s", "drain_deadline", FIELD_COUNT},
	{"close deadline, s", "close_deadline", FIELD_COUNT},
	{"overstays", "overstays", FIELD_COUNT},
	{"log level", "log_level", FIELD_TEXT},
	{"disks", "devices", FIELD_COUNT},
	{"clients", "clients", FIELD_COUNT},
	{NULL, NULL, FIELD_TEXT},
};

static const struct field limits_field[] = {
	{"", "limits", FIELD_TEXT},
	{NULL, NULL, FIELD_TEXT},
};

void view_daemon_info(struct json_object *result)
{
	static const struct field *const known[] = {daemon_fields, limits_field};
	fields_print(result, daemon_fields, 0);
	fields_print_others(field_get(result, "limits"), NULL, 0, "limits");
	fields_print_others(result, known, 2, "other");
}

void view_log_level(struct json_object *result)
{
	char *level = field_text(field_get(result, "level"), FIELD_TEXT);
	char *previous = field_text(field_get(result, "previous"), FIELD_TEXT);
	if (field_get(result, "previous") && strcmp(level, previous) != 0)
		printf("%s (was %s)\n", level, previous);
	else
		printf("%s\n", level);
	free(level);
	free(previous);
}

void view_daemon_shutdown(struct json_object *result)
{
	(void)result;
	puts("the daemon has drained its disks and ended");
}

void view_rpc_discover(struct json_object *result)
{
	view_json(result);
}

void view_json(struct json_object *result)
{
	char *safe = text_json_safe(json_object_to_json_string_ext(
		result, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
				JSON_C_TO_STRING_NOSLASHESCAPE));
	puts(safe);
	free(safe);
}
