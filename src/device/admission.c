/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/admission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "device/carrier.h"
#include "device/events.h"
#include "device/listener.h"
#include "device/registry_impl.h"
#include "device/stray_fds.h"

/* How long the event thread would wait for room to write a reply, where endpoint.c let it. */
#define PEER_TIMEOUT_US 100000

#define READY_AT_ONCE 8

/* Ticks that an offer stands before the carrier is taken for lost. */
#define OFFER_TICKS_MAX 2

int admission_init(struct admission *a, struct jobs *jobs, struct error *err)
{
	*a = (struct admission){.jobs = jobs, .carrier = -1};
	TAILQ_INIT(&a->waiting);
	a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (a->epoll_fd < 0)
		return error_set(err, VHOSTD_ERR_INTERNAL, "epoll_create1: %s", strerror(errno));
	return 0;
}

void admission_fini(struct admission *a)
{
	close(a->epoll_fd);
}

int admission_add(struct admission *a, struct endpoint *ep, struct error *err)
{
	struct epoll_event event = {.events = EPOLLONESHOT, .data.ptr = ep};

	if (epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, ep->door.listener, &event) == 0)
		return 0;
	return error_set(err, VHOSTD_ERR_SOCKET, "%s: can't watch it: %s", ep->path,
			 strerror(errno));
}

/* The next front end that connects, or has, is told by the descriptor. Once. */
static void watch(struct admission *a, struct endpoint *ep)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = ep};

	epoll_ctl(a->epoll_fd, EPOLL_CTL_MOD, ep->door.listener, &event);
}

void admission_open(struct admission *a, struct endpoint *ep)
{
	ep->door.state = DOOR_OPEN;
	watch(a, ep);
}

void admission_retry(struct admission *a, struct endpoint *ep)
{
	if (ep->door.state == DOOR_OPEN && !ep->door.visitor)
		watch(a, ep);
}

/* Those who wait are looked at again in a second, not sooner: they stay ready meanwhile. */
static void run_short(struct admission *a, int error)
{
	struct rlimit limit = {0};

	if (a->is_short)
		return;
	a->is_short = true;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (error == EMFILE)
		log_err("daemon",
			"front ends have to wait: all of the %llu descriptors that the process may "
			"have are in use (LimitNOFILE=)",
			(unsigned long long)limit.rlim_cur);
	else
		log_err("daemon", "front ends have to wait: %s", strerror(error));
}

/* ------------------------------------------------------------------------------ turned away */

static void forget_visitor(struct visitor *v) IN_CTRL
{
	struct endpoint *ep = v->endpoint;

	if (ep) {
		ep->door.visitor = NULL;
		admission_retry(ep->admission, ep);
	}
	free(v);
}

static void close_run(struct job *job)
{
	close(container_of(job, struct visitor, job)->sock);
}

static void close_done(struct job *job)
{
	struct visitor *v = container_of(job, struct visitor, job);
	struct endpoint *ep = v->endpoint;

	role_assert(&role_ctrl);
	forget_visitor(v);
	if (!ep)
		return;
	registry_remove_if_quiet(ep->device->registry, ep->device);
	device_step_update(ep->device);
}

/* Whatever it has sent is closed with the socket, which may take as long as it likes. */
static bool has_sent(int sock)
{
	int n_bytes = 0;

	return ioctl(sock, FIONREAD, &n_bytes) || n_bytes > 0;
}

static void turn_away(struct admission *a, struct visitor *v) IN_CTRL
{
	shutdown(v->sock, SHUT_RDWR); /* it sees the end now, and sends nothing more */
	v->state = VISITOR_LEAVING;
	if (has_sent(v->sock)) {
		job_start(a->jobs, &v->job, "close a connection", close_run, close_done);
		return;
	}
	close(v->sock);
	forget_visitor(v);
}

/* --------------------------------------------------------------------------------- let in */

static void offer_next(struct admission *a) IN_CTRL
{
	struct visitor *v = TAILQ_FIRST(&a->waiting);

	if (!v || a->offered)
		return;
	a->carrier = carrier_new(&v->likely);
	if (a->carrier < 0) {
		run_short(a, errno);
		return;
	}
	TAILQ_REMOVE(&a->waiting, v, link);
	v->state = VISITOR_OFFERED;
	a->offered = v;
	a->n_ticks = 0;
	/* Pairs with the exchange of admission_take(). */
	atomic_store_explicit(&a->offer, v, memory_order_release);
	if (carrier_send(a->carrier))
		log_debug("daemon", "a carrier: %s; another one in a second", strerror(errno));
}

static void end_offer(struct admission *a)
{
	close(a->carrier);
	a->carrier = -1;
	a->offered = NULL;
}

/* False if VHOST has it already. */
static bool take_back(struct admission *a)
{
	if (!atomic_exchange_explicit(&a->offer, NULL, memory_order_acq_rel))
		return false;
	a->offered->state = VISITOR_WAITING;
	TAILQ_INSERT_HEAD(&a->waiting, a->offered, link);
	end_offer(a);
	return true;
}

static void limit_waiting(int sock)
{
	const struct timeval limit = {.tv_usec = PEER_TIMEOUT_US};

	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static struct visitor *new_visitor(struct endpoint *ep, int sock)
{
	struct visitor *v = calloc(1, sizeof(*v));
	struct ucred peer = {0};
	socklen_t n_bytes = sizeof(peer);

	if (!v)
		return NULL;
	getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &n_bytes);
	limit_waiting(sock);
	v->endpoint = ep;
	v->sock = sock;
	v->pid = peer.pid;
	return v;
}

static void admit(struct admission *a, struct endpoint *ep, int sock) IN_CTRL
{
	const struct conn *conn = ep->device->conn;
	struct visitor *v = new_visitor(ep, sock);

	CHECK(v, "there is memory for a visitor");
	ep->door.visitor = v;
	/* One that reconnects at once may be seen here before its hang-up is. */
	if (conn && !conn_has_hung_up(conn)) {
		log_limited(&ep->refusals, LOG_LEVEL_WARNING, ep->name,
			    "refused a second front end (pid %d): pid %d is connected", v->pid,
			    conn->pid);
		turn_away(a, v);
		return;
	}
	TAILQ_INSERT_TAIL(&a->waiting, v, link);
	offer_next(a);
}

static void knocked(struct admission *a, struct endpoint *ep) IN_CTRL
{
	int sock;

	if (stray_fds_are_too_many(ep->closer)) {
		log_limited(&ep->refusals, LOG_LEVEL_WARNING, ep->name,
			    "front ends have to wait: %d descriptors or more that came from "
			    "earlier ones are being closed",
			    STRAY_FDS_MAX);
		a->puts_off = true;
		return;
	}
	sock = accept4(ep->door.listener, NULL, NULL, SOCK_CLOEXEC);
	if (sock >= 0)
		admit(a, ep, sock);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
		run_short(a, errno);
	else
		watch(a, ep); /* it has gone again */
}

void admission_on_ready(struct admission *a)
{
	struct epoll_event event;

	for (int i = 0; i < READY_AT_ONCE && epoll_wait(a->epoll_fd, &event, 1, 0) == 1; i++)
		knocked(a, event.data.ptr);
}

bool admission_on_tick(struct admission *a)
{
	bool again = a->is_short || a->puts_off;

	a->puts_off = false;
	if (a->offered && ++a->n_ticks >= OFFER_TICKS_MAX && take_back(a))
		log_limited(&a->delays, LOG_LEVEL_WARNING, "daemon",
			    "librte_vhost's event thread has not taken a front end for a second: "
			    "offering it again");
	offer_next(a);
	return again;
}

struct conn *admission_on_answer(struct admission *a, struct visitor *v)
{
	struct conn *conn = v->conn;

	end_offer(a);
	if (a->is_short)
		log_notice("daemon", "front ends are let in again");
	a->is_short = false;
	if (conn) {
		forget_visitor(v);
	} else {
		log_limited(&v->endpoint->refusals, LOG_LEVEL_ERR, v->endpoint->name,
			    "can't take a front end (pid %d): %s", v->pid, v->refusal);
		turn_away(a, v);
	}
	offer_next(a);
	return conn;
}

struct visitor *admission_take(struct admission *a)
{
	return atomic_exchange_explicit(&a->offer, NULL, memory_order_acq_rel);
}

void admission_answer(struct visitor *v, struct conn *conn, const char *refusal)
{
	v->conn = conn;
	v->refusal = refusal;
	msg_init(&v->msg, EVENT_VISITOR);
	mbox_send(v->endpoint->events, &v->msg);
}

/* ---------------------------------------------------------------------------------- the end */

/* Who has connected and was not accepted is closed with the listener, with all it has sent. */
static void close_listener(struct admission *a, int listener) IN_CTRL
{
	int first;

	shutdown(listener, SHUT_RDWR); /* nobody connects any more */
	first = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (first < 0 && errno == EAGAIN) {
		close(listener);
		return;
	}
	stray_fd_close(first, a->jobs);
	stray_fd_close(listener, a->jobs);
}

static void unlink_run(struct job *job)
{
	struct endpoint *ep = container_of(job, struct endpoint, door.job);

	role_assert(&role_job);
	listener_unlink(ep->path, ep->name);
}

static void unlink_done(struct job *job)
{
	struct endpoint *ep = container_of(job, struct endpoint, door.job);

	role_assert(&role_ctrl);
	ep->door.state = DOOR_GONE;
	registry_remove_if_quiet(ep->device->registry, ep->device);
	device_step_update(ep->device);
}

void admission_shut(struct admission *a, struct endpoint *ep)
{
	struct visitor *v = ep->door.visitor;

	ep->door.state = DOOR_SHUT;
	epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, ep->door.listener, NULL);
	close_listener(a, ep->door.listener);
	if (v && v->state == VISITOR_OFFERED)
		take_back(a);
	if (v && v->state != VISITOR_OFFERED) {
		v->endpoint = NULL;
		ep->door.visitor = NULL;
	}
	if (v && v->state == VISITOR_WAITING) {
		TAILQ_REMOVE(&a->waiting, v, link);
		turn_away(a, v);
	}
	offer_next(a);
	job_start(a->jobs, &ep->door.job, "remove a socket", unlink_run, unlink_done);
}

bool admission_is_over(const struct endpoint *ep)
{
	return ep->door.state == DOOR_GONE && !ep->door.visitor;
}
