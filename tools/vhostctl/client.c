/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <errno.h>
#include <json-c/json_tokener.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

#define LINE_MAX_BYTES (256u << 20) /* of one answer: ends a peer that never ends its line */
#define ROOM_MIN_BYTES 16384u
#define DEPTH_MAX      32
#define NO_DEADLINE    INT64_MAX

int64_t client_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum exit_code timed_out(const struct client *c)
{
	return fail(EXIT_TIMED_OUT,
		    "no answer from %s within %g s; the daemon may still carry the command out "
		    "(--timeout S waits longer, --timeout 0 for ever)",
		    c->path, (double)c->timeout_ms / 1000);
}

static enum exit_code no_daemon(const char *path, int error)
{
	const char *hint =
		error == EACCES || error == EPERM
			? "its owner and group may use it: run vhostctl as one of them"
			: "is vhostd running? Start it, or name its socket with --control PATH or "
			  "VHOSTD_CONTROL";
	return fail(EXIT_NO_DAEMON, "no daemon on %s: %s; %s", path, strerror(error), hint);
}

static enum exit_code not_vhostd(const struct client *c, const char *why)
{
	return fail(EXIT_NO_DAEMON, "what listens on %s is no vhostd: %s", c->path, why);
}

/* connect() waits while the listener's backlog is full, for as long as SO_SNDTIMEO says. */
static int connect_within(int fd, const char *path, int64_t timeout_ms)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
}

enum exit_code client_open(struct client *c, const char *path, int64_t timeout_ms)
{
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return fail(EXIT_USAGE,
			    "the path of the control socket has %zu bytes, and %zu "
			    "is the most a Unix socket can have: %s",
			    strlen(path), sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1, path);
	*c = (struct client){.path = path, .timeout_ms = timeout_ms};
	c->deadline_ms = timeout_ms ? client_now_ms() + timeout_ms : NO_DEADLINE;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return fail(EXIT_NO_DAEMON, "can't make a socket: %s", strerror(errno));
	int error = -connect_within(c->fd, path, timeout_ms);
	if (!error)
		return EXIT_OK;
	close(c->fd);
	return error == EAGAIN ? timed_out(c) : no_daemon(path, error);
}

void client_close(struct client *c)
{
	close(c->fd);
	free(c->buf);
}

/* Waits until the socket is ready for `events`, or *ret_ready = false at until_ms. */
static enum exit_code wait_ready(struct client *c, short events, int64_t until_ms, bool *ret_ready)
{
	int64_t end_ms = until_ms < c->deadline_ms ? until_ms : c->deadline_ms;
	for (;;) {
		struct pollfd pfd = {.fd = c->fd, .events = events};
		int64_t left_ms = end_ms == NO_DEADLINE ? -1 : end_ms - client_now_ms();
		if (end_ms != NO_DEADLINE && left_ms < 0)
			left_ms = 0;
		int n = poll(&pfd, 1, left_ms > 60000 ? 60000 : (int)left_ms);
		*ret_ready = n > 0;
		if (n > 0)
			return EXIT_OK;
		if (end_ms == NO_DEADLINE || client_now_ms() < end_ms)
			continue;
		return end_ms == c->deadline_ms ? timed_out(c) : EXIT_OK;
	}
}

static enum exit_code hung_up(const struct client *c)
{
	return fail(EXIT_NO_DAEMON,
		    "the daemon on %s closed the connection before it answered: "
		    "it has ended, or has too many clients",
		    c->path);
}

static enum exit_code send_all(struct client *c, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t n_sent = send(c->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n_sent > 0) {
			bytes += n_sent;
			n -= (size_t)n_sent;
			continue;
		}
		bool ready;
		if (n_sent < 0 && errno == EINTR)
			continue;
		if (n_sent < 0 && errno != EAGAIN)
			return EXIT_OK; /* it hung up; an answer may still be there to read */
		enum exit_code code = wait_ready(c, POLLOUT, NO_DEADLINE, &ready);
		if (code != EXIT_OK)
			return code;
	}
	return EXIT_OK;
}

enum exit_code client_send(struct client *c, int id, const char *method, struct json_object *params)
{
	struct json_object *request = text_must(json_object_new_object());
	json_object_object_add(request, "jsonrpc", json_object_new_string("2.0"));
	json_object_object_add(request, "id", json_object_new_int(id));
	json_object_object_add(request, "method", json_object_new_string(method));
	if (params)
		json_object_object_add(request, "params", json_object_get(params));
	char *line = text_printf(
		"%s\n", json_object_to_json_string_ext(
				request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	enum exit_code code = send_all(c, line, strlen(line));
	free(line);
	json_object_put(request);
	return code;
}

/* Reads what has come; the socket is readable. */
static enum exit_code read_some(struct client *c)
{
	if (c->n_buf == c->room_bytes) {
		if (c->room_bytes >= LINE_MAX_BYTES)
			return not_vhostd(c, "its answer does not end");
		c->room_bytes = c->room_bytes ? c->room_bytes * 2 : ROOM_MIN_BYTES;
		c->buf = text_must(realloc(c->buf, c->room_bytes));
	}
	ssize_t n = recv(c->fd, c->buf + c->n_buf, c->room_bytes - c->n_buf, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return EXIT_OK;
	if (n <= 0)
		return hung_up(c);
	c->n_buf += (size_t)n;
	return EXIT_OK;
}

/* The first n_line bytes of the buffer, a newline after them, as JSON. */
static enum exit_code take_line(struct client *c, size_t n_line, struct json_object **ret_message)
{
	struct json_tokener *tokener = text_must(json_tokener_new_ex(DEPTH_MAX));
	/* With the newline, so that a lone number or word has an end. */
	*ret_message = json_tokener_parse_ex(tokener, c->buf, (int)n_line + 1);
	enum json_tokener_error error = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	c->n_buf -= n_line + 1;
	memmove(c->buf, c->buf + n_line + 1, c->n_buf);
	c->n_scanned = 0;
	if (error == json_tokener_success && json_object_is_type(*ret_message, json_type_object))
		return EXIT_OK;
	json_object_put(*ret_message);
	*ret_message = NULL;
	return not_vhostd(c, "its answer is not a JSON object");
}

enum exit_code client_receive(struct client *c, int64_t until_ms, struct json_object **ret_message)
{
	*ret_message = NULL;
	for (;;) {
		size_t n_new = c->n_buf - c->n_scanned;
		char *newline = n_new ? memchr(c->buf + c->n_scanned, '\n', n_new) : NULL;
		if (newline)
			return take_line(c, (size_t)(newline - c->buf), ret_message);
		c->n_scanned = c->n_buf;
		bool ready;
		enum exit_code code = wait_ready(c, POLLIN, until_ms, &ready);
		if (code == EXIT_OK && ready)
			code = read_some(c);
		if (code != EXIT_OK || !ready)
			return code;
	}
}

bool client_answers(struct json_object *message, int id)
{
	struct json_object *its_id = json_object_object_get(message, "id");
	/* Errors about the request as a whole have a null id, JSON-RPC 2.0 section 5. */
	return json_object_is_type(its_id, json_type_null)
		       ? json_object_object_get_ex(message, "error", NULL)
		       : json_object_get_int(its_id) == id;
}

static enum exit_code refused(struct json_object *error)
{
	struct json_object *message = json_object_object_get(error, "message");
	struct json_object *data = json_object_object_get(error, "data");
	struct json_object *name = NULL;
	if (json_object_is_type(data, json_type_object))
		name = json_object_object_get(data, "error");
	const char *text = message ? json_object_get_string(message) : "the daemon refused";
	if (!name)
		return fail(EXIT_REFUSED, "%s", text);
	return fail(EXIT_REFUSED, "%s: %s", json_object_get_string(name), text);
}

enum exit_code client_result(const struct client *c, struct json_object *answer,
			     struct json_object **ret_result)
{
	struct json_object *error;
	if (json_object_object_get_ex(answer, "error", &error))
		return json_object_is_type(error, json_type_object)
			       ? refused(error)
			       : not_vhostd(c, "its error is not a JSON-RPC 2.0 error");
	if (!json_object_object_get_ex(answer, "result", ret_result))
		return not_vhostd(c, "its answer has neither a result nor an error");
	json_object_get(*ret_result);
	return EXIT_OK;
}

enum exit_code client_call(struct client *c, const char *method, struct json_object *params,
			   struct json_object **ret_result)
{
	const int id = 1;
	enum exit_code code = client_send(c, id, method, params);
	while (code == EXIT_OK) {
		struct json_object *message;
		code = client_receive(c, NO_DEADLINE, &message);
		if (code != EXIT_OK)
			break;
		bool ours = client_answers(message, id);
		if (ours)
			code = client_result(c, message, ret_result);
		json_object_put(message);
		if (ours)
			break;
	}
	return code;
}

enum exit_code client_wait_end(struct client *c)
{
	char dropped[256];
	for (;;) {
		bool ready;
		enum exit_code code = wait_ready(c, POLLIN, NO_DEADLINE, &ready);
		if (code != EXIT_OK)
			return code;
		ssize_t n = recv(c->fd, dropped, sizeof(dropped), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return EXIT_OK;
	}
}
