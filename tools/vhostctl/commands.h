/* SPDX-License-Identifier: BSD-3-Clause
 *
 * vhostctl's commands: one for each method of vhostd/methods.h that has a command word.
 */
#ifndef VHOSTCTL_COMMANDS_H
#define VHOSTCTL_COMMANDS_H

#include <json-c/json_object.h>
#include <stdbool.h>

#include "vhostd/methods.h"

struct command {
	const char *method; /* NULL ends the table */
	const char *name;   /* "": no command of vhostctl */
	const char *summary;
	const struct vhostd_param *params; /* ended by one without a name */
	void (*view)(struct json_object *result);
};

/** In the table's order, ended by one without a method. */
extern const struct command commands[];

/** NULL when there is no such command. */
const struct command *command_find(const char *name);

bool param_is_positional(const struct vhostd_param *param);

/** Whether vhostctl offers it as an option. */
bool param_is_option(const struct vhostd_param *param);

/** "--no-wait" for the parameter "no_wait". A static buffer: good until the next call. */
const char *param_option(const struct vhostd_param *param);

#endif
