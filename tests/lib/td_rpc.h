/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control requests to a back end that a test started: JSON-RPC 2.0 to vhostd, QMP to
 * qemu-storage-daemon. One connection for each request; one JSON object a line both ways.
 */
#ifndef TD_RPC_H
#define TD_RPC_H

#include "daemon.h"

#define TD_RPC_TIMEOUT_MS 10000

struct json_object;

/*
 * Call `method` with `params` (JSON text of an object; NULL: none). 0 and the response's "result"
 * (for QMP "return"); -EREMOTEIO and the response's "error" object when the back end says no;
 * another -errno when there is no usable response. *ret_object is the caller's (json_object_put());
 * the pointer `ret_object` may be NULL.
 */
int td_rpc(const struct td *td, const char *method, const char *params,
	   struct json_object **ret_object);
int td_qmp(const struct td *td, const char *command, const char *arguments,
	   struct json_object **ret_object);

/* The name in an error object of vhostd (error.data.error), or "?"; lives as long as the object. */
const char *td_error_name(struct json_object *error);

/* Send bytes as they are to the control socket and take one line back, for hostile tests. */
int td_control_raw(const struct td *td, const char *bytes, size_t n_bytes, char *ret_line,
		   size_t max);

#endif
