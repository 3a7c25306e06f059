/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What people see: a function for each method's result, which may lack anything and carry more.
 * Each prints on standard output.
 */
#ifndef VHOSTCTL_VIEW_H
#define VHOSTCTL_VIEW_H

#include <json-c/json_object.h>

#include "vhostd/methods.h"

#define VIEW_PROTOTYPE(id, method, name, summary) void view_##id(struct json_object *result);
VHOSTD_METHODS(VIEW_PROTOTYPE)
#undef VIEW_PROTOTYPE

/** The result as the daemon gave it, laid out. */
void view_json(struct json_object *result);

#endif
