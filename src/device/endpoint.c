/* SPDX-License-Identifier: BSD-3-Clause
 *
 * librte_vhost, and all that has to be known about it.
 *
 * It listens on one private socket, on which carriers (carrier.h) bring it the front ends that were
 * let in. Its event thread calls on_new_connection(), on_message() and on_destroy_connection(),
 * and recvmsg(), which is ours: these take up the role VHOST for as long as they run. All else here
 * that calls it is the daemon's beginning and end: rte_vhost_driver_unregister() spins while a
 * callback runs, and connecting to a front end by RTE_VHOST_USER_CLIENT puts a connection where the
 * event thread finds it before it is in the list from which that removes it.
 *
 * Why recvmsg() is ours: librte_vhost waits for the rest of a message, closes the descriptors of
 * one that is too long or comes in half, which may take as long as the front end likes, and loses
 * those of one for a virtqueue beyond its limit. So it is told of empty messages only, of a request
 * that is none, when something has come (conn_receive.c), and on_message() puts the real one in
 * their place.
 *
 * vid is an index that librte_vhost reuses at once; what is here by vid is touched on the event
 * thread only.
 */
#include "device/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <rte_vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device/carrier.h"
#include "device/conn.h"
#include "device/event_thread.h"
#include "device/listener.h"
#include "device/stray_fds.h"

/* librte_vhost polls 1024 descriptors: a pipe's, the private socket's, the connections', and for
 * one round those it has just closed. Beyond that it would wait for its own poll() to end. More
 * than there may be disks: a front end that reconnects comes before its old connection is taken
 * down. */
#define CONNECTIONS_MAX 1020

static_assert(CONNECTIONS_MAX > VHOSTD_DEVICES_MAX, "each disk may have a front end");

#define TEXT_OF(number) #number
#define TEXT(macro)     TEXT_OF(macro)

#define REQUEST_NONE 0 /* librte_vhost leaves it to on_message(), whatever comes with it */

/* VHOST's: */
static struct conn *conn_of_vid[RTE_MAX_VHOST_DEVICE];
static struct conn **conn_of_sock; /* by librte_vhost's descriptor */
static size_t n_socks;
static unsigned int n_connections; /* that librte_vhost polls */
static struct admission *admission;
static _Thread_local bool is_event_thread; /* once it has called us */

/* Makes room for one more in conn_of_sock. 0, or -1 with errno. */
static int reserve_sock(int sock) IN_VHOST
{
	size_t n = (size_t)sock + 1;
	struct conn **larger;

	if (n <= n_socks)
		return 0;
	n += n / 2;
	larger = realloc(conn_of_sock, n * sizeof(*larger));
	if (!larger)
		return -1;
	memset(larger + n_socks, 0, (n - n_socks) * sizeof(*larger));
	conn_of_sock = larger;
	n_socks = n;
	return 0;
}

/* Tells librte_vhost of a message that is none, or, by 0, of the end. */
static ssize_t on_readable(struct conn *conn, struct msghdr *mh) IN_VHOST
{
	static const struct vhost_header none = {REQUEST_NONE, VHOST_MSG_VERSION, 0};

	CHECK(mh->msg_iovlen == 1 && mh->msg_iov->iov_len == sizeof(none),
	      "librte_vhost receives a message's header first");
	if (conn->left || conn_receive(conn) == RECEIVED_END)
		return 0;
	memcpy(mh->msg_iov->iov_base, &none, sizeof(none));
	mh->msg_controllen = 0;
	mh->msg_flags = 0;
	return sizeof(none);
}

/* The one that librte_vhost calls. Of all other threads and descriptors it is the system's. */
ssize_t recvmsg(int sock, struct msghdr *mh, int flags)
{
	struct conn *conn = NULL;
	ssize_t ret;

	if (is_event_thread && sock >= 0 && (size_t)sock < n_socks)
		conn = conn_of_sock[sock];
	if (!conn)
		return syscall(SYS_recvmsg, sock, mh, flags);
	role_enter(&role_vhost);
	ret = on_readable(conn, mh);
	role_leave(&role_vhost);
	return ret;
}

/* librte_vhost does not look at whether a reply could be sent: whoever reads none would cost the
 * event thread the whole timeout (admission.c) for each of its messages, without end. */
static bool reads_replies(struct conn *conn)
{
	struct pollfd p = {.fd = conn->sock, .events = POLLOUT};

	if (poll(&p, 1, 0) == 1)
		return true;
	log_limited(&conn->endpoint->complaints, LOG_LEVEL_WARNING, conn->endpoint->name,
		    "front end (pid %d) does not read its replies: hung up", conn->pid);
	return false;
}

static enum rte_vhost_msg_result on_message(int vid, void *ctx) IN_VHOST
{
	struct vu_msg *msg = ctx;
	struct conn *conn = conn_of_vid[vid];

	CHECK(msg->header.request == REQUEST_NONE, "librte_vhost receives by our recvmsg()");
	if (!reads_replies(conn))
		return RTE_VHOST_MSG_RESULT_ERR;
	if (!conn_take_message(conn, msg))
		return RTE_VHOST_MSG_RESULT_OK; /* the rest is to follow */
	switch (conn_handle(conn, msg)) {
	case HANDLED_OK:
		return RTE_VHOST_MSG_RESULT_OK;
	case HANDLED_REPLY:
		return RTE_VHOST_MSG_RESULT_REPLY;
	case HANDLED_ERROR:
		break;
	}
	return RTE_VHOST_MSG_RESULT_ERR;
}

static enum rte_vhost_msg_result pre_message(int vid, void *ctx)
{
	enum rte_vhost_msg_result result;

	role_enter(&role_vhost);
	result = on_message(vid, ctx);
	role_leave(&role_vhost);
	return result;
}

static const struct rte_vhost_user_extern_ops extern_ops = {.pre_msg_handle = pre_message};

/* Ends a connection for its disk; librte_vhost has yet to see that. */
static void let_go(struct conn *conn) IN_VHOST
{
	conn->left = true;
	conn->endpoint->conn = NULL;
	conn_close(conn);
}

/* Puts the front end in the carrier's place. NULL and *ret_why, or its connection. */
static struct conn *connect_visitor(struct visitor *v, int vid, const char **ret_why) IN_VHOST
{
	int carried = carrier_arrived(v->likely);
	struct conn *conn;

	CHECK(carried >= 0, "librte_vhost has a descriptor for a new connection");
	if (n_connections >= CONNECTIONS_MAX) {
		*ret_why = "librte_vhost serves " TEXT(CONNECTIONS_MAX) " connections at most";
		return NULL;
	}
	conn = conn_new(v->endpoint, v->sock);
	if (!conn || reserve_sock(carried) ||
	    rte_vhost_extern_callback_register(vid, &extern_ops, NULL) ||
	    dup3(v->sock, carried, O_CLOEXEC) < 0) {
		*ret_why = strerror(errno);
		free(conn);
		return NULL;
	}
	conn->vid = vid;
	conn->rte_sock = carried;
	return conn;
}

static int on_visitor(struct visitor *v, int vid) IN_VHOST
{
	struct endpoint *ep = v->endpoint;
	const char *why = NULL;
	struct conn *conn = connect_visitor(v, vid, &why);

	if (!conn) {
		admission_answer(v, NULL, why);
		return -1;
	}
	if (ep->conn)
		let_go(ep->conn); /* it has hung up: CTRL has seen that */
	n_connections++;
	ep->conn = conn;
	conn_of_vid[vid] = conn;
	conn_of_sock[conn->rte_sock] = conn;
	admission_answer(v, conn, NULL);
	return 0;
}

/* A carrier whose visitor was taken back brings nobody. */
static int on_new_connection(int vid)
{
	struct visitor *visitor;
	int ret = -1;

	is_event_thread = true;
	role_enter(&role_vhost);
	visitor = admission_take(admission);
	if (visitor)
		ret = on_visitor(visitor, vid);
	role_leave(&role_vhost);
	return ret;
}

/* Only of connections that on_new_connection() took. librte_vhost has closed its descriptor. */
static void on_destroy_connection(int vid)
{
	struct conn *conn = conn_of_vid[vid];

	role_enter(&role_vhost);
	n_connections--;
	if (!conn->left)
		let_go(conn);
	conn_of_vid[vid] = NULL;
	conn_of_sock[conn->rte_sock] = NULL;
	mbox_send(conn->endpoint->events, &conn->gone_msg);
	role_leave(&role_vhost);
}

/* new_device is mandatory and never called: no ring is ever ready as librte_vhost sees it. */
static int on_new_device(int vid)
{
	(void)vid;
	return -1;
}

static const struct rte_vhost_device_ops device_ops = {
	.new_device = on_new_device,
	.new_connection = on_new_connection,
	.destroy_connection = on_destroy_connection,
};

int endpoints_init(const char *socket_dir, struct admission *who_comes, struct error *err)
{
	const char *path = carriers_path();

	admission = who_comes;
	if (carriers_init(socket_dir, err))
		return -1;
	unlink(path); /* of a process that had our number and crashed */
	if (rte_vhost_driver_register(path, 0) || rte_vhost_driver_set_features(path, 0) ||
	    rte_vhost_driver_callback_register(path, &device_ops) || rte_vhost_driver_start(path))
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: librte_vhost can't listen on it: %s",
				 path, strerror(errno));
	if (carriers_hide_path(err))
		return -1;
	event_thread_settle();
	return 0;
}

void endpoints_fini(void)
{
	rte_vhost_driver_unregister(carriers_path());
}

int endpoint_open(struct endpoint *ep, struct error *err)
{
	const struct listener_params params = {
		.path = ep->path,
		.name = ep->name,
		.mode = ep->socket_mode,
		.gid = ep->socket_gid,
	};

	ep->door.listener = listener_new(&params, err);
	if (ep->door.listener < 0)
		return -1;
	if (admission_add(ep->admission, ep, err) == 0)
		return 0;
	listener_unlink(ep->path, ep->name);
	close(ep->door.listener);
	return -1;
}
