/* SPDX-License-Identifier: BSD-3-Clause
 *
 * JSON-RPC 2.0 as text: a line in, a request out; an answer in, a line out. Knows no sockets and no
 * methods. Batches are refused (REQUEST): a client sends as many lines as it likes instead.
 */
#ifndef CONTROL_JSONRPC_H
#define CONTROL_JSONRPC_H

#include <json.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct jsonrpc_request {
	struct json_object *root; /* owns the rest */
	struct json_object *id;   /* NULL is JSON's null too */
	bool has_id;              /* false: a notification, never answered */
	const char *method;
	struct json_object *params; /* an object, or NULL when there are none */
};

/** Parses a line (without its newline). 0, or -1 with *err (PARSE, REQUEST or PARAMS) set; then
 *  ret_request has no more than the id the error is to be answered with. Ends with
 *  jsonrpc_request_fini() in either case. */
int jsonrpc_parse(const char *line, size_t n_bytes, struct jsonrpc_request *ret_request,
		  struct error *err);
void jsonrpc_request_fini(struct jsonrpc_request *request);

/** Answers, as objects to be printed by jsonrpc_print(); `id` is borrowed, `result` is taken. */
struct json_object *jsonrpc_result(struct json_object *id, struct json_object *result);
struct json_object *jsonrpc_error(struct json_object *id, const struct error *err);

/** The object on one line, without newline; the text is the object's. */
const char *jsonrpc_print(struct json_object *object, size_t *ret_n_bytes);

/** A JSON string of text that may come from anywhere: what isn't UTF-8 becomes '?'. */
struct json_object *jsonrpc_text(const char *text);

#endif
