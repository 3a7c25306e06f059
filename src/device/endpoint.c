/* SPDX-License-Identifier: BSD-3-Clause
 *
 * librte_vhost, and all that has to be known about it.
 *
 * Its event thread calls on_new_connection(), on_message() and on_destroy_connection(); these take
 * up the role VHOST for as long as they run. endpoint_open() and endpoint_close() are JOBs, because
 * rte_vhost_driver_unregister() spins while a callback of that socket runs. vid is an index that
 * librte_vhost reuses at once; conn_of_vid is touched on the event thread only.
 *
 * `lock` guards the list of endpoints, between JOBs and VHOST; it is held for a look-up, never
 * across a call of librte_vhost.
 */
#include "device/endpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <rte_vhost.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "device/conn.h"
#include "device/event_thread.h"
#include "device/stray_fds.h"
#include "device/vhost_msg.h"

/* How long the event thread waits for the rest of a message, or for room to write a reply. */
#define PEER_TIMEOUT_US 100000

/* librte_vhost polls at most 1024 descriptors; some of them are its own. Beyond that
 * rte_vhost_driver_start() fails, and closes a descriptor that unregistering closes again. */
#define DESCRIPTORS_MAX 1016

#define CLOSING_MAX 2

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct endpoint *endpoints;
static struct conn *conn_of_vid[RTE_MAX_VHOST_DEVICE];
static struct mbox *events;
static atomic_int number_of_vid[RTE_MAX_VHOST_DEVICE]; /* a connection's descriptor, plus one */
static int closed_vid = -1;                            /* VHOST's: the one it closed last */
static atomic_uint n_descriptors; /* that librte_vhost polls: listeners and connections */

static struct endpoint *find_endpoint(const char *path)
{
	struct endpoint *ep;

	pthread_mutex_lock(&lock);
	for (ep = endpoints; ep; ep = ep->next)
		if (strcmp(ep->path, path) == 0)
			break;
	pthread_mutex_unlock(&lock);
	return ep;
}

static void list_endpoint(struct endpoint *endpoint)
{
	pthread_mutex_lock(&lock);
	endpoint->next = endpoints;
	endpoints = endpoint;
	pthread_mutex_unlock(&lock);
}

static void unlist_endpoint(struct endpoint *endpoint)
{
	struct endpoint **link;

	pthread_mutex_lock(&lock);
	for (link = &endpoints; *link; link = &(*link)->next) {
		if (*link == endpoint) {
			*link = endpoint->next;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}

static bool is_connection_of(int fd, const char *path)
{
	struct sockaddr_un addr = {0};
	socklen_t n_bytes = sizeof(addr);
	int listening = 0;
	socklen_t n_int = sizeof(listening);

	return getsockname(fd, (struct sockaddr *)&addr, &n_bytes) == 0 &&
	       addr.sun_family == AF_UNIX && strcmp(addr.sun_path, path) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n_int) == 0 && !listening;
}

/* librte_vhost doesn't tell which descriptor it has just accepted: it is the one of ours that is
 * bound to the endpoint's path, does not listen, and has no FD_CLOEXEC, which all others have: our
 * dups from the start, librte_vhost's since we found them here. -1 if there is none. */
static int accepted_socket(const struct endpoint *ep)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int found = -1;

	while (dir && found < 0 && (entry = readdir(dir))) {
		int fd = (int)strtol(entry->d_name, NULL, 10);

		if (entry->d_name[0] != '.' && fcntl(fd, F_GETFD) == 0 &&
		    is_connection_of(fd, ep->path))
			found = fd;
	}
	if (dir)
		closedir(dir);
	if (found >= 0)
		fcntl(found, F_SETFD, FD_CLOEXEC);
	return found;
}

static pid_t peer_pid(int fd)
{
	struct ucred peer = {0};
	socklen_t n_bytes = sizeof(peer);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n_bytes);
	return peer.pid;
}

/* VHOST's side of the gate: one more connection, unless CTRL has closed it. */
static bool gate_pass(struct endpoint *ep)
{
	unsigned int seen = atomic_load_explicit(&ep->gate, memory_order_relaxed);

	do {
		if (seen & 1)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&ep->gate, &seen, seen + 2, memory_order_acq_rel, memory_order_relaxed));
	return true;
}

unsigned int endpoint_refuse(struct endpoint *ep)
{
	return atomic_fetch_or_explicit(&ep->gate, 1, memory_order_acq_rel) / 2;
}

/* A peer that sends half a message, or reads no reply, must not hold up the event thread. */
static void limit_waiting(int sock)
{
	const struct timeval limit = {.tv_usec = PEER_TIMEOUT_US};

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* librte_vhost does not look at whether a reply could be sent: whoever reads none would cost the
 * event thread PEER_TIMEOUT_US for each of its messages, without end. */
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

	/* No connection: it was hung up, and a new one has its place. */
	if (!conn || !reads_replies(conn)) {
		stray_fds_drop(msg, events);
		msg->header.flags &= ~VHOST_MSG_NEED_REPLY;
		return RTE_VHOST_MSG_RESULT_ERR;
	}
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

/* Forgets a connection; librte_vhost may still have messages of it, or be about to close it. */
static void let_go(struct conn *conn) IN_VHOST
{
	conn_of_vid[conn->vid] = NULL;
	atomic_fetch_sub(&n_descriptors, 1);
	conn->endpoint->conn = NULL;
	conn_close(conn);
}

/* A front end that reconnects at once may be seen here before its hang-up is. */
static bool has_hung_up(const struct conn *conn)
{
	struct pollfd p = {.fd = conn->sock, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* librte_vhost finds its entries by descriptor number, and has the entry of a connection that it
 * has closed until the callback that did so ends. These numbers are kept from new sockets: to
 * unregister one with such a number would spin until then. */
static void note_number(int vid, int number) IN_VHOST
{
	if (closed_vid == vid)
		closed_vid = -1;
	atomic_store(&number_of_vid[vid], number + 1);
}

/* The callback that closed the one before has ended, else we would not be here. */
static void note_closed(int vid) IN_VHOST
{
	if (closed_vid >= 0)
		atomic_store(&number_of_vid[closed_vid], 0);
	closed_vid = vid;
}

static bool is_of_connection(int number)
{
	for (int vid = 0; vid < RTE_MAX_VHOST_DEVICE; vid++)
		if (atomic_load_explicit(&number_of_vid[vid], memory_order_relaxed) == number + 1)
			return true;
	return false;
}

/* Takes the lowest numbers, as long as they are free and yet a connection's: at most one that is
 * being closed, and the one closed last. A number that comes free right after is not seen: the
 * spinning ends by itself. */
static unsigned int take_closing_numbers(int fds[CLOSING_MAX])
{
	unsigned int n = 0;
	int fd;

	while (n < CLOSING_MAX && (fd = eventfd(0, EFD_CLOEXEC)) >= 0) {
		if (!is_of_connection(fd)) {
			close(fd);
			break;
		}
		fds[n++] = fd;
	}
	return n;
}

static int driver_register(const char *path)
{
	int fds[CLOSING_MAX], ret;
	unsigned int n = take_closing_numbers(fds);

	ret = rte_vhost_driver_register(path, 0);
	while (n > 0)
		close(fds[--n]);
	return ret;
}

static int accept_front_end(struct endpoint *ep, int vid) IN_VHOST
{
	int own, sock = accepted_socket(ep);
	struct conn *conn;

	if (ep->conn && has_hung_up(ep->conn))
		let_go(ep->conn);
	if (ep->conn) {
		log_limited(&ep->refusals, LOG_LEVEL_WARNING, ep->name,
			    "refused a second front end (pid %d): pid %d is connected",
			    peer_pid(sock), ep->conn->pid);
		return -1;
	}
	if (atomic_load(&n_descriptors) >= DESCRIPTORS_MAX) {
		log_limited(&ep->refusals, LOG_LEVEL_ERR, ep->name,
			    "refused a front end (pid %d): librte_vhost polls %u sockets and "
			    "connections at most",
			    peer_pid(sock), DESCRIPTORS_MAX);
		return -1;
	}
	own = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	conn = own >= 0 ? conn_new(ep, own) : NULL;
	if (!conn || rte_vhost_extern_callback_register(vid, &extern_ops, NULL)) {
		log_limited(&ep->refusals, LOG_LEVEL_ERR, ep->name, "can't take a front end: %s",
			    strerror(errno));
		goto free_conn;
	}
	if (!gate_pass(ep))
		goto free_conn;
	limit_waiting(own);
	/* 5.2.5.2: the cache is in write-back mode after each reset. */
	atomic_store_explicit(&ep->disk->write_cache, true, memory_order_relaxed);
	atomic_fetch_add(&n_descriptors, 1);
	conn->vid = vid;
	ep->conn = conn;
	conn_of_vid[vid] = conn;
	note_number(vid, sock);
	mbox_send(ep->events, &conn->opened_msg);
	return 0;

free_conn:
	free(conn);
	if (own >= 0)
		close(own);
	return -1;
}

static int on_new_connection(int vid)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)] = "";
	struct endpoint *ep;
	int ret = -1;

	role_enter(&role_vhost);
	rte_vhost_get_ifname(vid, path, sizeof(path));
	ep = find_endpoint(path);
	if (ep)
		ret = accept_front_end(ep, vid);
	role_leave(&role_vhost);
	return ret;
}

static void on_destroy_connection(int vid)
{
	struct conn *conn = conn_of_vid[vid]; /* NULL: let go of already */

	role_enter(&role_vhost);
	note_closed(vid);
	if (conn)
		let_go(conn);
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

/* A socket file that nobody listens on is a dead daemon's; any other file is not ours to remove. */
static int remove_stale(const char *path, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, ret;

	if (lstat(path, &st))
		return errno == ENOENT
			       ? 0
			       : error_set(err, VHOSTD_ERR_SOCKET, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, VHOSTD_ERR_SOCKET,
				 "%s is there and is not a socket: remove it", path);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
	if (fd >= 0)
		close(fd);
	if (ret == 0 || errno == EAGAIN)
		return error_set(
			err, VHOSTD_ERR_SOCKET,
			"%s: another process listens on it; use another name or socket_dir", path);
	if (unlink(path) && errno != ENOENT)
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: can't remove the stale socket: %s",
				 path, strerror(errno));
	return 0;
}

static int register_socket(const char *path, uint64_t features, struct error *err)
{
	if (atomic_fetch_add(&n_descriptors, 1) >= DESCRIPTORS_MAX) {
		atomic_fetch_sub(&n_descriptors, 1);
		return error_set(err, VHOSTD_ERR_LIMIT,
				 "librte_vhost takes %u sockets and connections at most",
				 DESCRIPTORS_MAX);
	}
	if (remove_stale(path, err)) {
		atomic_fetch_sub(&n_descriptors, 1);
		return -1;
	}
	if (driver_register(path)) {
		atomic_fetch_sub(&n_descriptors, 1);
		return error_set(err, VHOSTD_ERR_SOCKET,
				 "%s: librte_vhost takes no more sockets (at most 1024)", path);
	}
	if (rte_vhost_driver_set_features(path, features) ||
	    rte_vhost_driver_callback_register(path, &device_ops))
		goto unregister;
	if (rte_vhost_driver_start(path) == 0)
		return 0;
	/* It has closed its descriptor, which unregistering would close once more: the number may
	 * be somebody else's by now. What librte_vhost keeps of this path is left to it. */
	return error_set(err, VHOSTD_ERR_SOCKET, "%s: can't listen on it: %s", path,
			 strerror(errno));

unregister:
	rte_vhost_driver_unregister(path);
	atomic_fetch_sub(&n_descriptors, 1);
	return error_set(err, VHOSTD_ERR_SOCKET, "%s: librte_vhost doesn't take it", path);
}

int endpoints_init(const char *socket_dir, struct mbox *ctrl, struct error *err)
{
	events = ctrl;
	if (event_thread_init(socket_dir, err) || register_socket(event_thread_wake_path(), 0, err))
		return -1;
	event_thread_settle();
	return 0;
}

void endpoints_fini(void)
{
	rte_vhost_driver_unregister(event_thread_wake_path());
}

static void set_owner_and_mode(const struct endpoint *ep)
{
	if (chmod(ep->path, ep->socket_mode))
		log_warning(ep->name, "%s: can't set mode %o: %s", ep->path, ep->socket_mode,
			    strerror(errno));
	if (ep->socket_gid != (gid_t)-1 && chown(ep->path, (uid_t)-1, ep->socket_gid))
		log_warning(ep->name, "%s: can't set group %u: %s", ep->path, ep->socket_gid,
			    strerror(errno));
}

int endpoint_open(struct endpoint *ep, struct error *err)
{
	list_endpoint(ep);
	if (register_socket(ep->path, ep->features, err)) {
		unlist_endpoint(ep);
		return -1;
	}
	set_owner_and_mode(ep);
	event_thread_wake();
	return 0;
}

void endpoint_close(struct endpoint *ep)
{
	rte_vhost_driver_unregister(ep->path);
	atomic_fetch_sub(&n_descriptors, 1);
	unlist_endpoint(ep);
}
