/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A request under way: who asked for what, and where the answer goes. It belongs to whoever serves
 * it, from the call of ctl_serve_fn until it is answered, which may be much later; the client may
 * have hung up by then, and the answer goes nowhere.
 */
#ifndef CONTROL_CTL_REQUEST_H
#define CONTROL_CTL_REQUEST_H

#include <json.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/thread_role.h"
#include "control/jsonrpc.h"

struct ctl_client;

struct ctl_request {
	struct jsonrpc_request rpc;
	struct ucred peer;
	struct ctl_client *client; /* NULL: gone */
	LIST_ENTRY(ctl_request) client_link;
	LIST_ENTRY(ctl_request) link; /* free for whoever serves it */
};

LIST_HEAD(ctl_request_list, ctl_request);

/** Serves one: answers it now, or keeps it and answers later. */
typedef void (*ctl_serve_fn)(void *arg, struct ctl_request *request);

/** Each ends the request and frees it. `result` is taken. */
void ctl_request_answer(struct ctl_request *request, struct json_object *result) IN_CTRL;
void ctl_request_fail(struct ctl_request *request, const struct error *err) IN_CTRL;

#endif
