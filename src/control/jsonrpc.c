/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/jsonrpc.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "control/json_map.h"
#include "vhostd/limits.h"

static struct json_object *parse_json(const char *line, size_t n_bytes, struct error *err)
{
	struct json_tokener *tok = json_tokener_new_ex(VHOSTD_CTL_DEPTH_MAX);
	struct json_object *root = NULL;
	enum json_tokener_error rc;

	if (!tok) {
		error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
		return NULL;
	}
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	root = json_tokener_parse_ex(tok, line, (int)n_bytes);
	rc = json_tokener_get_error(tok);
	if (rc == json_tokener_continue) /* a number at the very end waits for more */
		root = json_tokener_parse_ex(tok, "", 1);
	rc = json_tokener_get_error(tok);
	if (rc == json_tokener_error_depth)
		error_set(err, VHOSTD_ERR_PARSE, "nested more than %d deep", VHOSTD_CTL_DEPTH_MAX);
	else if (rc != json_tokener_success)
		error_set(err, VHOSTD_ERR_PARSE, "%s at byte %zu", json_tokener_error_desc(rc),
			  json_tokener_get_parse_end(tok));
	json_tokener_free(tok);
	if (err->code) {
		json_object_put(root);
		root = NULL;
	}
	return root;
}

/* JSON-RPC 2.0 section 4: a string, a number or null. */
static int take_id(struct jsonrpc_request *request, struct json_object *id, struct error *err)
{
	switch (json_object_get_type(id)) {
	case json_type_null:
	case json_type_int:
	case json_type_double:
	case json_type_string:
		request->id = id;
		request->has_id = true;
		return 0;
	default:
		return error_set(err, VHOSTD_ERR_REQUEST, "id: is no string, number or null");
	}
}

static int check_version(struct json_object *version, struct error *err)
{
	if (!json_object_is_type(version, json_type_string) ||
	    strcmp(json_object_get_string(version), "2.0") != 0)
		return error_set(err, VHOSTD_ERR_REQUEST, "jsonrpc: is not \"2.0\"");
	return 0;
}

static int take_params(struct jsonrpc_request *request, struct json_object *params,
		       struct error *err)
{
	if (!json_object_is_type(params, json_type_object))
		return error_set(err, VHOSTD_ERR_PARAMS, "params: give them by name, as an object");
	request->params = params;
	return 0;
}

static int check_members(struct json_object *root, struct error *err)
{
	json_object_object_foreach(root, key, value)
	{
		(void)value;
		if (strcmp(key, "jsonrpc") != 0 && strcmp(key, "id") != 0 &&
		    strcmp(key, "method") != 0 && strcmp(key, "params") != 0)
			return error_set(err, VHOSTD_ERR_REQUEST,
					 "%.64s: unknown; a request has jsonrpc, id, method and "
					 "params",
					 key);
	}
	return 0;
}

/* The id first: whatever else is wrong can then be answered with it. */
static int take_members(struct jsonrpc_request *request, struct error *err)
{
	struct json_object *member = NULL;

	if (json_object_is_type(request->root, json_type_array))
		return error_set(err, VHOSTD_ERR_REQUEST,
				 "batches are not served; send one object a line");
	if (!json_object_is_type(request->root, json_type_object))
		return error_set(err, VHOSTD_ERR_REQUEST, "the line is not a JSON object");
	if (json_object_object_get_ex(request->root, "id", &member) &&
	    take_id(request, member, err))
		return -1;
	if (check_members(request->root, err))
		return -1;
	if (!json_object_object_get_ex(request->root, "jsonrpc", &member))
		return error_set(err, VHOSTD_ERR_REQUEST, "jsonrpc: missing; it is \"2.0\"");
	if (check_version(member, err))
		return -1;
	if (!json_object_object_get_ex(request->root, "method", &member) ||
	    !json_object_is_type(member, json_type_string))
		return error_set(err, VHOSTD_ERR_REQUEST, "method: missing, or no string");
	request->method = json_object_get_string(member);
	if (json_object_object_get_ex(request->root, "params", &member))
		return take_params(request, member, err);
	return 0;
}

int jsonrpc_parse(const char *line, size_t n_bytes, struct jsonrpc_request *ret_request,
		  struct error *err)
{
	char path[JSON_PATH_MAX];
	unsigned int line_number;

	memset(ret_request, 0, sizeof(*ret_request));
	if (memchr(line, '\0', n_bytes)) /* json-c would stop there without a word */
		return error_set(err, VHOSTD_ERR_PARSE, "a NUL byte in the line");
	ret_request->root = parse_json(line, n_bytes, err);
	if (err->code)
		return -1;
	if (take_members(ret_request, err))
		return -1;
	if (json_map_duplicate(line, n_bytes, path, &line_number))
		return error_set(err, VHOSTD_ERR_REQUEST,
				 "%s: the key stands twice, or is written with a backslash", path);
	return 0;
}

void jsonrpc_request_fini(struct jsonrpc_request *request)
{
	json_object_put(request->root);
	memset(request, 0, sizeof(*request));
}

static struct json_object *new_answer(struct json_object *id)
{
	struct json_object *answer = json_object_new_object();

	json_object_object_add(answer, "jsonrpc", json_object_new_string("2.0"));
	json_object_object_add(answer, "id", json_object_get(id));
	return answer;
}

struct json_object *jsonrpc_result(struct json_object *id, struct json_object *result)
{
	struct json_object *answer = new_answer(id);

	json_object_object_add(answer, "result", result);
	return answer;
}

struct json_object *jsonrpc_error(struct json_object *id, const struct error *err)
{
	struct json_object *answer = new_answer(id);
	struct json_object *error = json_object_new_object();
	struct json_object *data = json_object_new_object();

	json_object_object_add(data, "error", json_object_new_string(error_name(err->code)));
	json_object_object_add(error, "code", json_object_new_int(err->code));
	json_object_object_add(error, "message", jsonrpc_text(err->text));
	json_object_object_add(error, "data", data);
	json_object_object_add(answer, "error", error);
	return answer;
}

const char *jsonrpc_print(struct json_object *object, size_t *ret_n_bytes)
{
	return json_object_to_json_string_length(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, ret_n_bytes);
}

struct json_object *jsonrpc_text(const char *text)
{
	struct json_object *string;
	char *copy;

	if (utf8_is_valid(text, strlen(text)))
		return json_object_new_string(text);
	copy = strdup(text);
	if (!copy)
		return json_object_new_string("?");
	utf8_repair(copy);
	string = json_object_new_string(copy);
	free(copy);
	return string;
}
