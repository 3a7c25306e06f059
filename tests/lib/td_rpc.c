/* SPDX-License-Identifier: BSD-3-Clause */
/* Line-based JSON over a Unix stream socket, with a deadline on every line. */
#include "td_rpc.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vfe_msg.h"

#define QMP_TRIES 3

#define LINE_BYTES (1u << 20)

struct line_sock {
	int sock;
	int64_t deadline_ms;
	size_t n;
	char *buf; /* LINE_BYTES */
};

static int line_open(struct line_sock *ls, const char *path)
{
	ls->sock = vfe_msg_connect(path);
	if (ls->sock < 0)
		return ls->sock;
	ls->deadline_ms = vfe_now_ms() + TD_RPC_TIMEOUT_MS;
	ls->n = 0;
	ls->buf = malloc(LINE_BYTES);
	if (!ls->buf) {
		close(ls->sock);
		return -ENOMEM;
	}
	return 0;
}

static void line_close(struct line_sock *ls)
{
	close(ls->sock);
	free(ls->buf);
}

static int line_send(struct line_sock *ls, const char *bytes, size_t n_bytes)
{
	ssize_t n;

	while (n_bytes > 0) {
		n = send(ls->sock, bytes, n_bytes, MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
		bytes += n;
		n_bytes -= (size_t)n;
	}
	return 0;
}

/* The next line, without its end; the caller frees it. */
static int line_recv(struct line_sock *ls, char **ret_line)
{
	struct pollfd pfd = {.fd = ls->sock, .events = POLLIN};
	int64_t left_ms;
	char *end;
	ssize_t n;

	while (!(end = memchr(ls->buf, '\n', ls->n))) {
		left_ms = ls->deadline_ms - vfe_now_ms();
		if (left_ms <= 0 || poll(&pfd, 1, (int)left_ms) == 0)
			return -ETIMEDOUT;
		if (ls->n == LINE_BYTES)
			return -EMSGSIZE;
		n = recv(ls->sock, ls->buf + ls->n, LINE_BYTES - ls->n, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0)
			return -errno;
		ls->n += (size_t)n;
	}
	*ret_line = strndup(ls->buf, (size_t)(end - ls->buf));
	ls->n -= (size_t)(end + 1 - ls->buf);
	memmove(ls->buf, end + 1, ls->n);
	return *ret_line ? 0 : -ENOMEM;
}

/* If `response` has `key`: give its value out and say so. */
static bool take_key(struct json_object *response, const char *key, struct json_object **ret_object)
{
	struct json_object *value;

	if (!json_object_object_get_ex(response, key, &value))
		return false;
	if (ret_object)
		*ret_object = json_object_get(value);
	return true;
}

/* Read lines up to the response; lines that are none (greeting, events) are passed over. */
static int recv_response(struct line_sock *ls, const char *ok_key, struct json_object **ret_object)
{
	struct json_object *response;
	char *line = NULL;
	int rc;

	do {
		rc = line_recv(ls, &line);
		if (rc)
			return rc;
		response = json_tokener_parse(line);
		free(line);
		if (!response)
			return -EBADMSG;
		rc = -EAGAIN;
		if (take_key(response, ok_key, ret_object))
			rc = 0;
		else if (take_key(response, "error", ret_object))
			rc = -EREMOTEIO;
		json_object_put(response);
	} while (rc == -EAGAIN);
	return rc;
}

static int send_request(struct line_sock *ls, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int send_request(struct line_sock *ls, const char *format, ...)
{
	char *text;
	va_list ap;
	int n, rc;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	rc = line_send(ls, text, (size_t)n);
	free(text);
	return rc;
}

int td_rpc(const struct td *td, const char *method, const char *params,
	   struct json_object **ret_object)
{
	struct line_sock ls;
	int rc = line_open(&ls, td->control);

	if (rc)
		return rc;
	rc = send_request(&ls, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n",
			  method, params ? params : "{}");
	if (!rc)
		rc = recv_response(&ls, "result", ret_object);
	line_close(&ls);
	return rc;
}

/*
 * QEMU's monitor takes one client at a time, and resets one that comes while it lets the last one
 * go: nothing was asked of it then, so the handshake may be tried again.
 */
static int qmp_open(struct line_sock *ls, const char *path)
{
	int64_t deadline_ms = vfe_now_ms() + TD_RPC_TIMEOUT_MS;
	int rc;

	for (;;) {
		rc = line_open(ls, path);
		if (rc)
			return rc;
		rc = send_request(ls, "{\"execute\":\"qmp_capabilities\"}\n");
		if (!rc)
			rc = recv_response(ls, "return", NULL);
		if (!rc)
			return 0;
		line_close(ls);
		if ((rc != -ECONNRESET && rc != -EPIPE) || vfe_now_ms() >= deadline_ms)
			return rc;
		usleep(2000);
	}
}

int td_qmp(const struct td *td, const char *command, const char *arguments,
	   struct json_object **ret_object)
{
	struct line_sock ls;
	int rc = -ETIMEDOUT;

	/* qemu-storage-daemon serves one monitor client at a time, and now and then does not see
	 * the next one that comes right after the last. */
	for (unsigned int i = 0; i < QMP_TRIES && rc == -ETIMEDOUT; i++)
		rc = qmp_open(&ls, td->control);
	if (rc)
		return rc;
	rc = send_request(&ls, "{\"execute\":\"%s\",\"arguments\":%s}\n", command,
			  arguments ? arguments : "{}");
	if (!rc)
		rc = recv_response(&ls, "return", ret_object);
	line_close(&ls);
	return rc;
}

const char *td_error_name(struct json_object *error)
{
	struct json_object *data, *name;

	if (json_object_object_get_ex(error, "data", &data) &&
	    json_object_object_get_ex(data, "error", &name))
		return json_object_get_string(name);
	return "?";
}

int td_control_raw(const struct td *td, const char *bytes, size_t n_bytes, char *ret_line,
		   size_t max)
{
	struct line_sock ls;
	char *line = NULL;
	int rc = line_open(&ls, td->control);

	if (rc)
		return rc;
	rc = line_send(&ls, bytes, n_bytes);
	if (!rc)
		rc = line_recv(&ls, &line);
	if (!rc)
		snprintf(ret_line, max, "%s", line);
	free(line);
	line_close(&ls);
	return rc;
}
