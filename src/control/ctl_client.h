/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One connection to the control socket. Takes lines, has requests served, sends answers. A client
 * can cost the daemon no more than its buffers: one line of VHOSTD_CTL_LINE_MAX,
 * VHOSTD_CTL_PENDING_MAX requests under way, VHOSTD_CTL_BACKLOG_MAX bytes of answers it doesn't
 * read (and one more answer), and LINES_PER_TURN requests before others have their turn.
 */
#ifndef CONTROL_CTL_CLIENT_H
#define CONTROL_CTL_CLIENT_H

#include "control/ctl_lines.h"
#include "control/ctl_request.h"
#include "control/loop.h"

enum ctl_client_state {
	CTL_CLIENT_OPEN,
	CTL_CLIENT_NO_INPUT, /* half closed or out of step: closed when all is answered and read */
	CTL_CLIENT_DEAD,     /* closed as soon as nobody is using it */
};

/** Where clients come from, and what they need. */
struct ctl_client_owner {
	struct loop *loop;
	ctl_serve_fn serve;
	void *serve_arg;
	void (*gone)(void *arg, struct ctl_client *client); /* the last that is heard of it */
	void *gone_arg;
};

struct ctl_client {
	const struct ctl_client_owner *owner;
	enum ctl_client_state state;
	struct loop_source source;
	struct loop_task task; /* a turn that isn't due to an event */
	struct ucred peer;
	struct ctl_request_list requests;
	unsigned int n_requests;
	char *out; /* answers not sent yet: out[out_begin..out_end) */
	size_t out_begin;
	size_t out_end;
	size_t out_size;
	TAILQ_ENTRY(ctl_client) link; /* free for the owner */
	struct ctl_lines lines;
};

/** Takes over a connected, non-blocking socket. NULL, and the socket closed, without memory. */
struct ctl_client *ctl_client_new(const struct ctl_client_owner *owner, int fd) IN_CTRL;

/** Hangs up; its requests live on. Doesn't call owner->gone. */
void ctl_client_free(struct ctl_client *client) IN_CTRL;

/** Queues an answer (a JSON-RPC object, taken) to be sent in the client's next turn. */
void ctl_client_send(struct ctl_client *client, struct json_object *answer) IN_CTRL;

/** Are there answers it hasn't taken? */
bool ctl_client_has_output(const struct ctl_client *client) IN_CTRL;

#endif
