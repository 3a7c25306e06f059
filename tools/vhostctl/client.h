/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A connection to the daemon's control socket: JSON-RPC 2.0, one object a line, both ways. One
 * deadline covers all of it, from connect() to the last answer. Functions that fail have printed
 * why, and return the exit code.
 */
#ifndef VHOSTCTL_CLIENT_H
#define VHOSTCTL_CLIENT_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exit_codes.h"

struct client {
	const char *path;
	int fd;
	int64_t timeout_ms;  /* 0: none */
	int64_t deadline_ms; /* of CLOCK_MONOTONIC; INT64_MAX: none */
	char *buf;           /* received, n_buf bytes of room_bytes */
	size_t n_buf;
	size_t n_scanned; /* without a newline so far */
	size_t room_bytes;
};

/** `path` has to outlive the client. After a failure there is nothing to close. */
enum exit_code client_open(struct client *c, const char *path, int64_t timeout_ms);

void client_close(struct client *c);

/** `params` stays the caller's; NULL: none. */
enum exit_code client_send(struct client *c, int id, const char *method,
			   struct json_object *params);

/** One message of the daemon: *ret_message, the caller's to put. NULL, with EXIT_OK, when none
 *  came before `until_ms` (INT64_MAX: no such moment). */
enum exit_code client_receive(struct client *c, int64_t until_ms, struct json_object **ret_message);

/** Whether the message answers request `id`. */
bool client_answers(struct json_object *message, int id);

/** Takes the result out of an answer: *ret_result is the caller's to put. A refusal is printed,
 *  EXIT_REFUSED. */
enum exit_code client_result(const struct client *c, struct json_object *answer,
			     struct json_object **ret_result);

/** Sends a request and waits for its result. */
enum exit_code client_call(struct client *c, const char *method, struct json_object *params,
			   struct json_object **ret_result);

/** Waits until the daemon hangs up, which it does as it ends. */
enum exit_code client_wait_end(struct client *c);

int64_t client_now_ms(void);

#endif
