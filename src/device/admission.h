/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Who is let in: CTRL accepts the front ends that connect to the disks' sockets, turns away the
 * second one of a disk, and offers the others to librte_vhost's event thread, one after the other
 * (carrier.h), which takes it and answers with an event. Nothing waits: CTRL may take an offer back
 * until VHOST has it, and VHOST answers before it does anything else.
 *
 * A disk has one visitor at a time; while it has, the kernel keeps the others of that disk waiting.
 * So a front end that connects without end makes CTRL do one thing at a time, as its clients do.
 */
#ifndef DEVICE_ADMISSION_H
#define DEVICE_ADMISSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/log.h"
#include "device/job.h"

struct conn;
struct endpoint;

enum visitor_state {
	VISITOR_WAITING, /* to be offered */
	VISITOR_OFFERED, /* VHOST has it, or may take it, and will answer then */
	VISITOR_LEAVING, /* a JOB closes its socket */
};

/** A front end that was accepted and is not connected yet. CTRL's, VHOST's between taking it and
 *  its answer. */
struct visitor {
	struct msg msg; /* EVENT_VISITOR, the answer */
	enum visitor_state state;
	struct endpoint *endpoint; /* NULL: it leaves, and its disk no longer minds */
	int sock;
	pid_t pid;
	int likely; /* see carrier_new() */
	/* The answer: */
	struct conn *conn;   /* it is connected, the socket is the connection's */
	const char *refusal; /* or this is why not */
	struct job job;
	TAILQ_ENTRY(visitor) link;
};

TAILQ_HEAD(visitor_list, visitor);

struct admission {
	int epoll_fd; /* the listening sockets */
	struct jobs *jobs;
	/* CTRL puts it there; VHOST, or CTRL again, takes it out and then has it. */
	struct visitor *_Atomic offer;
	/* CTRL's: */
	struct visitor_list waiting;
	struct visitor *offered; /* and not answered */
	unsigned int n_ticks;    /* since then */
	int carrier;             /* that brings it */
	bool is_short;           /* of descriptors or memory; that was said */
	bool puts_off;           /* front ends of some endpoint, until the next tick */
	struct log_limit delays;
};

/** What an endpoint has of it. CTRL's, but for the descriptor, which a JOB makes. */
enum door_state { DOOR_NONE, DOOR_OPEN, DOOR_SHUT, DOOR_GONE };

struct door {
	enum door_state state;
	int listener;
	struct visitor *visitor;
	struct job job; /* removes the socket's file */
};

/** 0, or -1 with *err set. */
int admission_init(struct admission *admission, struct jobs *jobs, struct error *err);
void admission_fini(struct admission *admission);

/** Adds the endpoint's listener, which nobody looks at yet. 0, or -1 with *err set. */
int admission_add(struct admission *admission, struct endpoint *endpoint, struct error *err) IN_JOB;

/** Lets front ends in from now on, those first that wait already. */
void admission_open(struct admission *admission, struct endpoint *endpoint) IN_CTRL;

/** Lets nobody in any more and has the socket removed; a front end that VHOST has taken still comes
 *  with an event. */
void admission_shut(struct admission *admission, struct endpoint *endpoint) IN_CTRL;

/** The file has gone and no front end is on its way to the endpoint. */
bool admission_is_over(const struct endpoint *endpoint) IN_CTRL;

/** Something is to be done when admission->epoll_fd is readable. */
void admission_on_ready(struct admission *admission) IN_CTRL;

/** EVENT_VISITOR. Returns the new connection; NULL: it was turned away. */
struct conn *admission_on_answer(struct admission *admission, struct visitor *visitor) IN_CTRL;

/** About once a second: tries again what failed. True if admission_retry() is to be called for
 *  each endpoint. */
bool admission_on_tick(struct admission *admission) IN_CTRL;
void admission_retry(struct admission *admission, struct endpoint *endpoint) IN_CTRL;

/** The visitor that is offered, NULL if there is none; it is to be answered at once. */
struct visitor *admission_take(struct admission *admission) IN_VHOST;

/** Answers: a connection, or why there is none. */
void admission_answer(struct visitor *visitor, struct conn *conn, const char *refusal) IN_VHOST;

#endif
