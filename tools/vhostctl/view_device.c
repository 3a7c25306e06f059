/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One disk: show, and what has become of it after add, del and resize.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "text.h"
#include "view.h"

static const struct field state_fields[] = {
	{"state", "state", FIELD_TEXT},
	{"for", "state_age_ms", FIELD_AGE_MS},
	{"step", "step", FIELD_TEXT},
	{"for", "step_age_ms", FIELD_AGE_MS},
	{"waits for", "waits_for", FIELD_TEXT},
	{"overstays", "overstays", FIELD_COUNT},
	{"being deleted", "deleting", FIELD_YES},
	{"in flight", "inflight", FIELD_COUNT},
	{NULL, NULL, FIELD_TEXT},
};

static const struct field disk_fields[] = {
	{"size", "size_bytes", FIELD_SIZE_EXACT},
	{"block size", "block_size", FIELD_SIZE},
	{"read only", "readonly", FIELD_YES},
	{"serial", "serial", FIELD_TEXT},
	{"queues offered", "queues_max", FIELD_COUNT},
	{"lcores", "lcores", FIELD_TEXT},
	{"write cache", "write_cache", FIELD_YES},
	{"poll mode", "poll", FIELD_TEXT},
	{"interrupts later by", "coalesce_us", FIELD_TIME_US},
	{"from requests/s", "coalesce_iops", FIELD_COUNT},
	{NULL, NULL, FIELD_TEXT},
};

static const struct field store_fields[] = {
	{"backend", "backend", FIELD_TEXT},
	{"served by", "store.kind", FIELD_TEXT},
	{"because", "store.why", FIELD_TEXT},
	{"path", "path", FIELD_TEXT},
	{"block size", "store.block_size", FIELD_SIZE},
	{"state", "store.state", FIELD_TEXT},
	{"real size", "store.size_bytes", FIELD_SIZE_EXACT},
	{"errors", "store.errors", FIELD_COUNT},
	{"", "store.errors_by_errno", FIELD_COUNTS},
	{"left to helpers", "store.helped", FIELD_COUNT},
	{"submits on CPU", "sqpoll_cpu", FIELD_COUNT},
	{"polls the device", "iopoll", FIELD_YES},
	{"pins memory", "pin_memory", FIELD_YES},
	{"which is", "pinned.state", FIELD_TEXT},
	{"because", "pinned.why", FIELD_TEXT},
	{"memory pinned", "pinned.bytes", FIELD_SIZE},
	{"requests on it", "pinned.requests", FIELD_COUNT},
	{NULL, NULL, FIELD_TEXT},
};

static const struct field front_end_fields[] = {
	{"socket", "socket", FIELD_TEXT},
	{"connected", "connected", FIELD_YES},
	{"pid", "peer.pid", FIELD_ID},
	{"uid", "peer.uid", FIELD_COUNT},
	{"connections", "connections", FIELD_COUNT},
	{"features", "virtio_features", FIELD_TEXT},
	{"", "virtio_feature_names", FIELD_LIST},
	{NULL, NULL, FIELD_TEXT},
};

static const struct field qos_fields[] = {
	{"requests/s", "qos.iops", FIELD_ID},
	{"reads/s", "qos.read_iops", FIELD_ID},
	{"writes/s", "qos.write_iops", FIELD_ID},
	{"bandwidth", "qos.bandwidth", FIELD_RATE},
	{"of reads", "qos.read_bandwidth", FIELD_RATE},
	{"of writes", "qos.write_bandwidth", FIELD_RATE},
	{"burst", "qos.burst_ms", FIELD_TIME_MS},
	{"requests held back", "qos.throttled", FIELD_COUNT},
	{"for", "qos.throttled_us", FIELD_TIME_US},
	{NULL, NULL, FIELD_TEXT},
};

static const struct field queue_fields[] = {
	{"QUEUE", "index", FIELD_COUNT},
	{"LCORE", "lcore", FIELD_COUNT},
	{"MOVES TO", "moving_to", FIELD_COUNT},
	{"LOAD", "load_percent", FIELD_PERCENT},
	{"STATE", "state", FIELD_TEXT},
	{"RING", "ring_size", FIELD_COUNT},
	{"IN FLIGHT", "inflight", FIELD_COUNT},
	{"READS", "counters.reads", FIELD_COUNT},
	{"WRITES", "counters.writes", FIELD_COUNT},
	{"ERRORS", "counters.io_errors", FIELD_COUNT},
	{"BREAKS", "counters.breaks", FIELD_COUNT},
	{"BROKEN BECAUSE", "broken", FIELD_TEXT},
	{NULL, NULL, FIELD_TEXT},
};

/* Members that are printed in ways of their own. */
static const struct field special_fields[] = {
	{"", "name", FIELD_TEXT},
	{"", "queues", FIELD_TEXT},
	{NULL, NULL, FIELD_TEXT},
};

void view_device_show(struct json_object *result)
{
	static const struct field *const known[] = {state_fields,     disk_fields, store_fields,
						    front_end_fields, qos_fields,  special_fields};
	char *name = field_text(field_get(result, "name"), FIELD_TEXT);
	printf("%s\n", name);
	free(name);
	fields_print(result, state_fields, 2);
	puts("Disk");
	fields_print(result, disk_fields, 2);
	puts("Backing store");
	fields_print(result, store_fields, 2);
	puts("Front end");
	fields_print(result, front_end_fields, 2);
	puts("Limits");
	fields_print(result, qos_fields, 2);
	puts("Queues");
	fields_print_table(field_get(result, "queues"), queue_fields, 2);
	fields_print_others(result, known, sizeof(known) / sizeof(known[0]), "Other");
}

void view_device_qos(struct json_object *result)
{
	static const struct field *const known[] = {qos_fields, special_fields};
	char *name = field_text(field_get(result, "name"), FIELD_TEXT);
	printf("%s\n", name);
	free(name);
	fields_print(result, qos_fields, 2);
	fields_print_others(result, known, sizeof(known) / sizeof(known[0]), "Other");
}

void view_device_coalesce(struct json_object *result)
{
	static const struct field fields[] = {
		{"disk", "name", FIELD_TEXT},
		{"interrupts later by", "coalesce_us", FIELD_TIME_US},
		{"from requests/s", "coalesce_iops", FIELD_COUNT},
		{NULL, NULL, FIELD_TEXT},
	};

	fields_print(result, fields, 0);
}

/* "name: " and the size. */
static void print_headline(struct json_object *result, const char *what)
{
	char *name = field_text(field_get(result, "name"), FIELD_TEXT);
	char *size = field_text(field_get(result, "size_bytes"), FIELD_SIZE_EXACT);
	printf("%s: %s%s\n", name, what, size);
	free(name);
	free(size);
}

/* The path as QEMU's option parser and a shell want it: commas doubled, quoted. */
static char *qemu_chardev(const char *id, const char *path)
{
	char *doubled = text_must(malloc(2 * strlen(path) + 1)), *d = doubled;
	for (const char *p = path; *p; p++) {
		if (*p == ',')
			*d++ = ',';
		*d++ = *p;
	}
	*d = '\0';
	char *option = text_printf("socket,id=%s,path=%s,reconnect=1", id, doubled);
	char *quoted = text_shell_quoted(option);
	free(doubled);
	free(option);
	return quoted;
}

static void print_qemu_options(struct json_object *result, const char *socket_path)
{
	char *name = field_text(field_get(result, "name"), FIELD_TEXT);
	char *id = text_printf("vhostd-%s", name); /* QEMU's ids begin with a letter */
	char *chardev = qemu_chardev(id, socket_path);
	char *device = text_printf("vhost-user-blk-pci,chardev=%s,num-queues=%" PRIu64, id,
				   json_object_get_uint64(field_get(result, "queues_max")));
	char *device_quoted = text_shell_quoted(device);
	puts("QEMU options (once for the guest, with the size of its memory):");
	puts("  -m 4G -object memory-backend-memfd,id=mem,size=4G,share=on"
	     " -machine memory-backend=mem");
	puts("and for this disk:");
	printf("  -chardev %s \\\n  -device %s\n", chardev, device_quoted);
	free(device_quoted);
	free(device);
	free(chardev);
	free(id);
	free(name);
}

void view_device_add(struct json_object *result)
{
	char *socket_path = field_text(field_get(result, "socket"), FIELD_TEXT);
	print_headline(result, "added, ");
	printf("socket: %s\n", socket_path);
	print_qemu_options(result, socket_path);
	free(socket_path);
}

void view_device_resize(struct json_object *result)
{
	print_headline(result, "");
}

void view_device_move(struct json_object *result)
{
	static const struct field fields[] = {
		{"QUEUE", "index", FIELD_COUNT},
		{"LCORE", "lcore", FIELD_COUNT},
		{"STATE", "state", FIELD_TEXT},
		{NULL, NULL, FIELD_TEXT},
	};
	char *name = field_text(field_get(result, "name"), FIELD_TEXT);
	printf("%s\n", name);
	fields_print_table(field_get(result, "queues"), fields, 2);
	free(name);
}

void view_device_del(struct json_object *result)
{
	char *name = field_text(field_get(result, "name"), FIELD_TEXT);
	char *state = field_text(field_get(result, "state"), FIELD_TEXT);
	if (strcmp(state, "gone") == 0)
		printf("%s: deleted\n", name);
	else
		printf("%s: deletion has begun; state: %s\n", name, state);
	free(name);
	free(state);
}
