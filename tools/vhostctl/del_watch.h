/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Deletion as somebody at a terminal sees it: what the disk waits for, each time that changes.
 */
#ifndef VHOSTCTL_DEL_WATCH_H
#define VHOSTCTL_DEL_WATCH_H

#include <json-c/json_object.h>

#include "client.h"

/** Like client_call() of device.del, with a line on standard output for each change. */
enum exit_code del_watch(struct client *client, struct json_object *params,
			 struct json_object **ret_result);

#endif
