/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A word of the command line as the JSON value of a method's parameter. Ranges and what belongs
 * together are the daemon's to check: it says best what would be right.
 */
#ifndef VHOSTCTL_PARAM_VALUE_H
#define VHOSTCTL_PARAM_VALUE_H

#include <json-c/json_object.h>

#include "vhostd/methods.h"

/** 0, or -1 when a UINT is no whole number. A path that is not absolute is taken from vhostctl's
 *  working directory, which the daemon does not share. */
int param_value_add(struct json_object *params, const struct vhostd_param *param, const char *word);

#endif
