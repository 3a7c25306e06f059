/* SPDX-License-Identifier: BSD-3-Clause
 *
 * All work is done in turns: after an event of the socket, or when an answer or further lines are
 * waiting. Only the end of a turn frees the client, so that whoever serves a request may answer at
 * once, fail, or overrun the backlog without the client vanishing under its caller.
 */
#include "control/ctl_client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define LINES_PER_TURN 16

static void on_socket(void *arg, uint32_t events);
static void on_task(void *arg);

struct ctl_client *ctl_client_new(const struct ctl_client_owner *owner, int fd)
{
	struct ctl_client *client = malloc(sizeof(*client));
	socklen_t len = sizeof(client->peer);

	if (!client) {
		close(fd);
		return NULL;
	}
	/* Not the lines: pages of theirs that are never touched cost nothing. */
	memset(client, 0, offsetof(struct ctl_client, lines));
	ctl_lines_init(&client->lines);
	client->owner = owner;
	client->task = (struct loop_task){.fn = on_task, .arg = client};
	LIST_INIT(&client->requests);
	client->peer = (struct ucred){.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &client->peer, &len);
	if (loop_add(owner->loop, &client->source, fd, EPOLLIN, on_socket, client)) {
		close(fd);
		free(client);
		return NULL;
	}
	return client;
}

void ctl_client_free(struct ctl_client *client)
{
	int fd = client->source.fd;
	struct ctl_request *request;

	while ((request = LIST_FIRST(&client->requests)) != NULL) {
		LIST_REMOVE(request, client_link);
		request->client = NULL;
	}
	loop_cancel(client->owner->loop, &client->task);
	loop_remove(client->owner->loop, &client->source);
	close(fd);
	free(client->out);
	free(client);
}

bool ctl_client_has_output(const struct ctl_client *client)
{
	return client->out_end > client->out_begin;
}

/* Makes room for n_bytes behind out_end. */
static int reserve_output(struct ctl_client *client, size_t n_bytes)
{
	size_t used = client->out_end - client->out_begin;
	size_t size = client->out_size ? client->out_size : 4096;
	char *out;

	if (client->out_begin) {
		memmove(client->out, client->out + client->out_begin, used);
		client->out_begin = 0;
		client->out_end = used;
	}
	while (size < used + n_bytes)
		size *= 2;
	if (size == client->out_size)
		return 0;
	out = realloc(client->out, size);
	if (!out)
		return -ENOMEM;
	client->out = out;
	client->out_size = size;
	return 0;
}

/* The limit is looked at before an answer is added: a single one may be as long as it is. */
static void append_output(struct ctl_client *client, const char *text, size_t n_bytes)
{
	size_t backlog = client->out_end - client->out_begin;

	if (client->state == CTL_CLIENT_DEAD)
		return;
	if (backlog > VHOSTD_CTL_BACKLOG_MAX) {
		log_warning("control",
			    "pid %d uid %u dropped: it doesn't read its answers, %zu bytes",
			    (int)client->peer.pid, client->peer.uid, backlog);
		client->state = CTL_CLIENT_DEAD;
		return;
	}
	if (client->out_size - client->out_end < n_bytes + 1 &&
	    reserve_output(client, n_bytes + 1)) {
		client->state = CTL_CLIENT_DEAD;
		return;
	}
	memcpy(client->out + client->out_end, text, n_bytes);
	client->out[client->out_end + n_bytes] = '\n';
	client->out_end += n_bytes + 1;
}

void ctl_client_send(struct ctl_client *client, struct json_object *answer)
{
	size_t n_bytes;
	const char *text = jsonrpc_print(answer, &n_bytes);

	if (text)
		append_output(client, text, n_bytes);
	else
		client->state = CTL_CLIENT_DEAD;
	json_object_put(answer);
	loop_defer(client->owner->loop, &client->task);
}

static void send_error(struct ctl_client *client, struct json_object *id,
		       const struct error *err) IN_CTRL
{
	ctl_client_send(client, jsonrpc_error(id, err));
}

static void start_request(struct ctl_client *client, struct jsonrpc_request *rpc) IN_CTRL
{
	struct ctl_request *request = calloc(1, sizeof(*request));

	if (!request) {
		jsonrpc_request_fini(rpc);
		client->state = CTL_CLIENT_DEAD;
		return;
	}
	request->rpc = *rpc;
	request->peer = client->peer;
	request->client = client;
	LIST_INSERT_HEAD(&client->requests, request, client_link);
	client->n_requests++;
	client->owner->serve(client->owner->serve_arg, request);
}

static void serve_line(struct ctl_client *client, const char *line, size_t n_bytes) IN_CTRL
{
	struct jsonrpc_request rpc;
	struct error err = {0};

	while (n_bytes && strchr(" \t\r", line[n_bytes - 1]))
		n_bytes--;
	if (!n_bytes)
		return;
	if (jsonrpc_parse(line, n_bytes, &rpc, &err) == 0 &&
	    client->n_requests >= VHOSTD_CTL_PENDING_MAX)
		error_set(&err, VHOSTD_ERR_LIMIT, "%u requests are unanswered; wait for an answer",
			  client->n_requests);
	if (!err.code) {
		start_request(client, &rpc);
		return;
	}
	/* A notification isn't answered, but what may be no request at all is. */
	if (rpc.has_id || err.code == VHOSTD_ERR_PARSE || err.code == VHOSTD_ERR_REQUEST)
		send_error(client, rpc.id, &err);
	jsonrpc_request_fini(&rpc);
}

static void refuse_rest(struct ctl_client *client, const char *why) IN_CTRL
{
	struct error err = {0};

	error_set(&err, VHOSTD_ERR_PARSE, "%s", why);
	send_error(client, NULL, &err);
	client->state = CTL_CLIENT_NO_INPUT;
	ctl_lines_init(&client->lines);
}

static void read_some(struct ctl_client *client)
{
	size_t room;
	char *to = ctl_lines_room(&client->lines, &room);
	ssize_t n;

	if (!room)
		return;
	n = recv(client->source.fd, to, room, MSG_DONTWAIT);
	if (n > 0)
		ctl_lines_added(&client->lines, (size_t)n);
	else if (n == 0)
		client->state = CTL_CLIENT_NO_INPUT;
	else if (errno != EAGAIN && errno != EINTR)
		client->state = CTL_CLIENT_DEAD;
}

static void serve_lines(struct ctl_client *client) IN_CTRL
{
	for (unsigned int i = 0; i < LINES_PER_TURN && client->state != CTL_CLIENT_DEAD; i++) {
		size_t n_bytes;
		const char *line = ctl_lines_take(&client->lines, &n_bytes);

		if (!line)
			break;
		serve_line(client, line, n_bytes);
	}
	if (client->state == CTL_CLIENT_OPEN && ctl_lines_is_too_long(&client->lines))
		refuse_rest(client, "the line is too long");
	if (client->state == CTL_CLIENT_NO_INPUT && !ctl_lines_has_line(&client->lines) &&
	    ctl_lines_rest(&client->lines))
		refuse_rest(client, "the last line has no newline");
}

static void write_some(struct ctl_client *client) IN_CTRL
{
	ssize_t n;

	if (client->state == CTL_CLIENT_DEAD || !ctl_client_has_output(client))
		return;
	n = send(client->source.fd, client->out + client->out_begin,
		 client->out_end - client->out_begin, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		client->state = CTL_CLIENT_DEAD;
	if (n > 0)
		client->out_begin += (size_t)n;
	if (!ctl_client_has_output(client)) {
		free(client->out);
		client->out = NULL;
		client->out_begin = client->out_end = client->out_size = 0;
	}
}

/* What to wait for now; with lines left, for nothing. */
static void end_turn(struct ctl_client *client) IN_CTRL
{
	bool has_lines = ctl_lines_has_line(&client->lines);
	bool has_output = ctl_client_has_output(client);
	uint32_t events = has_output ? EPOLLOUT : 0;

	if (client->state == CTL_CLIENT_NO_INPUT && !has_lines && !has_output &&
	    !client->n_requests)
		client->state = CTL_CLIENT_DEAD;
	if (client->state == CTL_CLIENT_DEAD) {
		client->owner->gone(client->owner->gone_arg, client);
		ctl_client_free(client);
		return;
	}
	if (client->state == CTL_CLIENT_OPEN && !has_lines)
		events |= EPOLLIN;
	loop_change(client->owner->loop, &client->source, events);
	if (has_lines)
		loop_defer(client->owner->loop, &client->task);
}

static void take_turn(struct ctl_client *client) IN_CTRL
{
	serve_lines(client);
	write_some(client);
	end_turn(client);
}

static void on_task(void *arg)
{
	role_assert(&role_ctrl);
	take_turn(arg);
}

/* EPOLLHUP: the peer has closed both ways and nobody will read an answer; what it had sent before
 * is served all the same. It stays set, so reading goes on until the end of file. */
static void on_socket(void *arg, uint32_t events)
{
	struct ctl_client *client = arg;

	role_assert(&role_ctrl);
	if (client->state == CTL_CLIENT_OPEN && (events & (EPOLLIN | EPOLLHUP)))
		read_some(client);
	else if ((events & (EPOLLHUP | EPOLLERR)) && !ctl_lines_has_line(&client->lines))
		client->state = CTL_CLIENT_DEAD;
	take_turn(client);
}

void ctl_request_answer(struct ctl_request *request, struct json_object *result)
{
	struct ctl_client *client = request->client;

	if (client) {
		LIST_REMOVE(request, client_link);
		client->n_requests--;
	}
	if (client && request->rpc.has_id)
		ctl_client_send(client, jsonrpc_result(request->rpc.id, result));
	else
		json_object_put(result);
	jsonrpc_request_fini(&request->rpc);
	free(request);
}

void ctl_request_fail(struct ctl_request *request, const struct error *err)
{
	struct ctl_client *client = request->client;

	if (client) {
		LIST_REMOVE(request, client_link);
		client->n_requests--;
	}
	if (client && request->rpc.has_id)
		ctl_client_send(client, jsonrpc_error(request->rpc.id, err));
	jsonrpc_request_fini(&request->rpc);
	free(request);
}
