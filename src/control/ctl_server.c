/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/ctl_client.h"

TAILQ_HEAD(client_list, ctl_client);

struct ctl_server {
	struct ctl_client_owner owner;
	struct loop_source source;
	struct client_list clients;
	unsigned int n_clients;
	struct log_limit log_limit;
};

static void on_gone(void *arg, struct ctl_client *client)
{
	struct ctl_server *server = arg;

	TAILQ_REMOVE(&server->clients, client, link);
	server->n_clients--;
	loop_change(server->owner.loop, &server->source, EPOLLIN);
}

static void refuse(int fd)
{
	struct error err = {0};
	struct json_object *answer;
	const char *text;
	size_t n_bytes;

	error_set(&err, VHOSTD_ERR_LIMIT, "%d clients are connected, which is the limit",
		  VHOSTD_CTL_CLIENTS_MAX);
	answer = jsonrpc_error(NULL, &err);
	text = jsonrpc_print(answer, &n_bytes);
	if (send(fd, text, n_bytes, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE) > 0)
		send(fd, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	json_object_put(answer);
	close(fd);
}

/* Out of descriptors or memory: not asked again before a client leaves or a second has passed, for
 * the connection stays there to be taken and would wake us without end. */
static void on_accept_failed(struct ctl_server *server, int error)
{
	if (error == EAGAIN || error == EINTR || error == ECONNABORTED)
		return;
	loop_change(server->owner.loop, &server->source, 0);
	log_limited(&server->log_limit, LOG_LEVEL_WARNING, "control", "accept: %s",
		    strerror(error));
}

static void on_connection(void *arg, uint32_t events)
{
	struct ctl_server *server = arg;
	struct ctl_client *client;
	int fd;

	(void)events;
	role_assert(&role_ctrl);
	fd = accept4(server->source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		on_accept_failed(server, errno);
		return;
	}
	if (server->n_clients >= VHOSTD_CTL_CLIENTS_MAX) {
		log_limited(&server->log_limit, LOG_LEVEL_WARNING, "control",
			    "a client is refused: %d are connected", VHOSTD_CTL_CLIENTS_MAX);
		refuse(fd);
		return;
	}
	client = ctl_client_new(&server->owner, fd);
	if (!client)
		return;
	TAILQ_INSERT_TAIL(&server->clients, client, link);
	server->n_clients++;
}

int ctl_server_new(struct loop *loop, int listen_fd, ctl_serve_fn serve, void *arg,
		   struct ctl_server **ret_server, struct error *err)
{
	struct ctl_server *server = calloc(1, sizeof(*server));
	int rc;

	if (!server)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	TAILQ_INIT(&server->clients);
	server->owner = (struct ctl_client_owner){.loop = loop,
						  .serve = serve,
						  .serve_arg = arg,
						  .gone = on_gone,
						  .gone_arg = server};
	rc = loop_add(loop, &server->source, listen_fd, EPOLLIN, on_connection, server);
	if (rc) {
		free(server);
		return error_set(err, VHOSTD_ERR_INTERNAL, "epoll_ctl: %s", strerror(-rc));
	}
	*ret_server = server;
	return 0;
}

void ctl_server_free(struct ctl_server *server)
{
	struct ctl_client *client;

	loop_remove(server->owner.loop, &server->source);
	while ((client = TAILQ_FIRST(&server->clients)) != NULL) {
		TAILQ_REMOVE(&server->clients, client, link);
		ctl_client_free(client);
	}
	free(server);
}

bool ctl_server_is_flushed(const struct ctl_server *server)
{
	const struct ctl_client *client;

	TAILQ_FOREACH (client, &server->clients, link)
		if (ctl_client_has_output(client))
			return false;
	return true;
}

unsigned int ctl_server_n_clients(const struct ctl_server *server)
{
	return server->n_clients;
}

void ctl_server_on_tick(struct ctl_server *server)
{
	loop_change(server->owner.loop, &server->source, EPOLLIN);
}
