/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Prints the tables that documents have to agree with, one row a line, fields parted by tabs, for
 * check_docs.py. The first field is the table's name.
 */
#include <stdio.h>

#include "device/device_state.h"
#include "device/store_watch.h"
#include "engine/counters.h"
#include "engine/queue_state.h"
#include "engine/store.h"
#include "pure/guest_mem.h"
#include "vhostctl/exit_codes.h"
#include "vhostctl/options.h"
#include "vhostd/errors.h"
#include "vhostd/limits.h"
#include "vhostd/methods.h"
#include "vhostd/settings.h"

static void print_params(const char *method, const struct vhostd_param *params)
{
	for (const struct vhostd_param *p = params; p->name; p++)
		printf("param\t%s\t%s\t%s\t%u\n", method, p->name, p->metavar, p->flags);
}

static void print_methods(void)
{
#define METHOD(id, method, command, summary)                                                       \
	{                                                                                          \
		static const struct vhostd_param params[] = {                                      \
			VHOSTD_PARAMS_##id(VHOSTD_P){.name = NULL}};                               \
		printf("method\t%s\t%s\n", method, command);                                       \
		print_params(method, params);                                                      \
	}
	VHOSTD_METHODS(METHOD)
}

static void print_settings(void)
{
#define SETTING(name, type, metavar, def, where, summary)                                          \
	printf("setting\t%s\t%s\t%s\t%d\n", #name, metavar, def, where);
	VHOSTD_SETTINGS(SETTING)
}

static void print_names(void)
{
#define ERROR(name, code, summary) printf("error\t%s\t%d\n", #name, code);
	VHOSTD_ERRORS(ERROR)
#define EXIT_CODE(name, status, summary) printf("exit\t%d\n", status);
	EXIT_CODES(EXIT_CODE)
#define GLOBAL_OPTION(id, name, metavar, summary) printf("global\t%s\t%s\n", name, metavar);
	GLOBAL_OPTIONS(GLOBAL_OPTION)
#define COUNTER(name, summary) printf("counter\t%s\n", #name);
	QUEUE_COUNTERS(COUNTER)
#define STATE(name, text) printf("state\t%s\n", text);
	DEVICE_STATES(STATE)
	QUEUE_STATES(STATE)
#define STORE_STATE(name, text, line) STATE(name, text)
	STORE_STATES(STORE_STATE)
#define KIND(id, name) printf("backend\t%s\n", name);
	STORE_KINDS(KIND)
}

static void print_limits(void)
{
	printf("limit\tdisks\t%d\n", VHOSTD_DEVICES_MAX);
	printf("limit\tvirtqueues\t%d\n", VHOSTD_QUEUES_MAX);
	printf("limit\tentries\t%d\n", VHOSTD_RING_SIZE_MAX);
	printf("limit\tmemory regions\t%d\n", GUEST_MEM_REGIONS_MAX);
	printf("limit\tlcores\t%d\n", VHOSTD_LCORES_MAX);
	printf("limit\tclients\t%d\n", VHOSTD_CTL_CLIENTS_MAX);
	printf("limit\trequests\t%d\n", VHOSTD_CTL_PENDING_MAX);
	printf("limit\tbytes\t%d\n", VHOSTD_CTL_LINE_MAX);
	printf("limit\tdeep\t%d\n", VHOSTD_CTL_DEPTH_MAX);
	printf("default\ttimeout\t%d\n", TIMEOUT_DEFAULT_S);
}

int main(void)
{
	print_methods();
	print_settings();
	print_names();
	print_limits();
	return 0;
}
