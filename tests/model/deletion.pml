/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A model of how a disk is deleted, for spin (tests/model/check runs it). One disk name on one lcore:
 * added, deleted by force, added again and deleted again, while front ends connect, start and stop a
 * ring, replace their memory, hang up and reconnect as they please, and the store hangs at any
 * moment, for a while or for ever.
 *
 *   process  stands for
 *   LCORE    engine/lcore.c:poll_loop, engine/lane.c:lane_turn, engine/queue.c
 *   CTRL     device/registry_events.c:handle_event, device/device.c, registry_add and registry_del
 *   JOB      device/job.c:job_thread with device_open() or device_close() (device/device_open.c), and
 *            in it rte_vhost_driver_unregister() of librte_vhost 22.11 with its retry loop
 *   VHOST    librte_vhost's fd_man.c:fdset_event_dispatch, socket.c:vhost_user_server_new_connection
 *            and vhost_user_read_cb, with our device/endpoint.c and device/conn.c in them
 *   STORE    a backing file: answers requests, hangs
 *   FE       the front ends: hostile in that they send anything at any time
 *
 * What is checked:
 *   deadlock    whoever rests, rests where it may: LCORE, CTRL and VHOST at the head of their loops,
 *               a JOB also in open() or close() of the store
 *   assertions  no use of a queue, lane, store, connection, disk or librte_vhost socket that was
 *               freed; no ring attached while requests of an earlier one are in flight; no store
 *               closed under a request; no event that the state table of the disk calls a bug
 *   ltl ends    each deletion ends, unless the store never answers
 *   ltl base    each GET_VRING_BASE that was put off is answered, or its connection ends, unless the
 *               store never answers
 *   waits       all that LCORE and CTRL do between two looks at their inboxes stands in d_steps, and
 *               spin reports a statement that blocks inside of one, a full mailbox too: they wait for
 *               nobody
 *
 * What is left out:
 *   - Identities are never used again: freed is freed for good, so that each use after it is seen.
 *     The numbers of file descriptors are left out with that.
 *   - One ring, one lcore, one request in flight. A turn of the lcore that finds nothing is no step.
 *   - Mailboxes are FIFOs (engine/mbox.h); sending is one step. Memory is sequentially consistent.
 *   - vhost_user.mutex, conn_mutex and access_lock are there; fd_mutex and our list's lock are held for
 *     single steps. A mutex goes to who waits for it before its last owner has it again: pthreads do
 *     not promise that, but an owner does not win for ever.
 *   - librte_vhost looks at vhost_user.mutex on a connection's first message; here on each.
 *   - Guest maps, call descriptors, resizing, and the JOBs that close sockets or unmap memory.
 *
 * Each BROKEN_ macro breaks one rule, and spin must find out:
 *   BROKEN_CTRL_UNREGISTERS  CTRL unregisters by itself, while VHOST waits for CTRL
 *   BROKEN_LCORE_WAITS       the lcore interrupts by rte_vhost_vring_call(), which takes access_lock
 *   BROKEN_VHOST_WAITS       VHOST waits for the drain before it answers GET_VRING_BASE
 *   BROKEN_FREE_EARLY        the lcore says "drained" before it lets go of the lane
 *   BROKEN_NO_GATE           connections are not refused before the socket is removed
 *   BROKEN_NO_HOLD           a new connection's ring is attached at once
 */
#define N_DISKS 2 /* lives of the disk */
#define N_CONNS 3
#define N_RUNS	3 /* starts of a ring */
#define NONE	9
#define LISTENER 8

mtype = {
	ATTACH, STOP, SWAP_MAP,                                       /* to LCORE */
	OPENED, CLOSED, RUN_START, RUN_STOP, DRAINED, JOB_DONE,       /* to CTRL */
	NEW, LISTENING, ATTACHING, RUNNING, QUIESCING, REMOVING, GONE, /* enum device_state */
	MADE, HELD, ATTACHED, STOPPING,                               /* enum run_state */
	POLLING, DRAINING,                                            /* enum queue_state */
	KICK, SET_MEM_TABLE, GET_VRING_BASE,                          /* from a front end */
	OPEN, CLOSE,                                                  /* a JOB's work */
	UP, DOWN, FREED
}

chan inbox = [3] of { mtype, byte };          /* lcore->inbox: a run */
chan events = [14] of { mtype, byte };         /* registry_params.events: a connection or run */
chan backlog = [N_CONNS] of { byte };         /* of the listening socket */

/* The disk. There is one at a time: which life of it has what. */
byte disk = NONE;         /* struct device */
mtype state = GONE;       /* CTRL's, as all to the next blank line */
byte n_added = 0;
byte disk_conn = NONE;    /* dev->conn */
byte n_opened = 0, n_accepted = 0, n_attached = 0;
bool job_running = false;

mtype job = 0;            /* handed to JOB */
byte lane = NONE;         /* exists */
byte store = NONE;        /* is open */
byte listed = NONE;       /* the endpoint that find_endpoint() finds */
byte gate_count = 0;      /* endpoint->gate */
bool gate_closed = false;

/* Connections. */
byte conn_disk[N_CONNS];  /* conn->endpoint */
mtype conn[N_CONNS];      /* struct conn: 0, OPEN, CLOSED (CTRL knows), FREED */
mtype peer[N_CONNS];      /* the front end's end: 0, UP, DOWN */
bool shut[N_CONNS];       /* our end was shut down or closed */
mtype msg[N_CONNS];       /* in the socket */

/* Runs. */
byte run_conn[N_RUNS];    /* run->conn */
mtype ring[N_RUNS];        /* CTRL's: 0, MADE, HELD, ATTACHED, STOPPING, FREED */
mtype queue[N_RUNS];      /* LCORE's: 0, POLLING, DRAINING */
bool in_flight[N_RUNS];   /* submitted to the store, not reaped */
bool ended[N_RUNS];       /* the store has answered */
bool wants_base[N_RUNS];
byte n_runs = 0;

byte linked = NONE;       /* LCORE's: the lane in lcore->lanes */

/* VHOST's */
byte vhost_conn = NONE;   /* endpoint->conn, conn_of_vid */
byte vhost_run = NONE;    /* conn->rings[0].run */
bool swapped = false;     /* msg->done of the message it waits for */

/* librte_vhost's */
bool mutex = false, mutex_wanted = false;           /* vhost_user.mutex */
bool conn_mutex = false, conn_mutex_wanted = false; /* vsocket->conn_mutex */
bool access_lock = false;                           /* vq->access_lock */
byte vsocket = NONE;      /* exists */
byte listening = NONE;    /* vsocket whose listener is in the fdset */
bool polled[N_CONNS];     /* the connection is in the fdset */
bool in_list[N_CONNS];    /* and in vsocket->conn_list */
byte busy = NONE;         /* the entry of the fdset whose callback runs */

bool hangs = false, dead = false; /* the store: for now, for ever */

/* mbox_send() never waits: the messages are embedded in what they are about. */
#define SEND(mbox, kind, id) assert(nfull(mbox)); mbox ! kind, id

#define RUN_LISTED(r) (ring[r] == HELD || ring[r] == ATTACHED || ring[r] == STOPPING)
#define RUN_ALIVE(r)  (ring[r] != 0 && ring[r] != FREED)
#define BASE_DUE(r)   (wants_base[r] && ring[r] != FREED)
#define HUNG_UP(c)    (peer[c] == DOWN || shut[c])
#define deleting      (state == QUIESCING || state == REMOVING)
#define base_due      (BASE_DUE(0) || BASE_DUE(1) || BASE_DUE(2))

ltl ends { [] (deleting -> <> (!deleting || dead)) }
ltl base { [] (base_due -> <> (!base_due || dead)) }

/* ------------------------------------------------------------------------------------- LCORE */

#define HAS_WORK(r)                                                                                \
	(queue[r] != 0 && (ended[r] || (!in_flight[r] && (queue[r] == POLLING || queue[r] == DRAINING))))

inline lcore_attach(r) {
	assert(RUN_ALIVE(r) && lane == conn_disk[run_conn[r]] && (linked == NONE || linked == lane));
	/* The promise to the guest: a late write never lands after a newer one. */
	for (other : 0 .. N_RUNS - 1) {
		assert(!in_flight[other]);
	}
	other = 0;
	linked = lane;
	queue[r] = POLLING;
}

inline lcore_messages() {
	do
	:: nempty(inbox) ->
		inbox ? kind, q;
		assert(RUN_ALIVE(q));
		if
		:: kind == ATTACH -> lcore_attach(q)
		:: kind == STOP -> assert(queue[q] == POLLING); queue[q] = DRAINING
		:: kind == SWAP_MAP -> swapped = true
		fi
	:: empty(inbox) -> break
	od;
	kind = 0;
	q = 0;
}

/* Fetch, submit, reap; takes a drained queue off the lane. */
inline lane_turn() {
	for (q : 0 .. N_RUNS - 1) {
		if
		:: queue[q] != 0 ->
			assert(RUN_ALIVE(q) && lane == linked && store == linked);
			assert(linked == conn_disk[run_conn[q]]);
			if
			:: queue[q] == POLLING && !in_flight[q] -> in_flight[q] = true
			:: ended[q] -> in_flight[q] = false; ended[q] = false; reaped = true
			:: else
			fi;
			if
			:: queue[q] == DRAINING && !in_flight[q] && drained == NONE ->
				queue[q] = 0;
				drained = q
			:: else
			fi
		:: else
		fi
	}
	q = 0;
}

inline unlink_lane() {
	assert(lane == linked);
	if
	:: queue[0] == 0 && queue[1] == 0 && queue[2] == 0 -> linked = NONE
	:: else
	fi
}

active proctype LCORE() {
	mtype kind = 0;
	byte q = 0, other = 0, drained = NONE;
	bool reaped = false;

end_poll:
	do
	:: nempty(inbox) || HAS_WORK(0) || HAS_WORK(1) || HAS_WORK(2) ->
		d_step { lcore_messages() }
		d_step { lane_turn() }
#ifdef BROKEN_LCORE_WAITS
		if
		:: reaped -> !access_lock /* rte_vhost_vring_call() */
		:: else
		fi;
#endif
		reaped = false;
		if
		:: drained != NONE ->
#ifdef BROKEN_FREE_EARLY
			d_step { SEND(events, DRAINED, drained); drained = NONE }
			d_step { unlink_lane() }
#else
			d_step { unlink_lane() }
			d_step { SEND(events, DRAINED, drained); drained = NONE }
#endif
		:: else
		fi
	od
}

/* ------------------------------------------------------------------- rte_vhost_driver_unregister */

/* pthread_mutex_lock() by a JOB */
#define LOCK(m) atomic { !m && !m##_wanted -> m = true }

/* fdset_try_del() of a connection and what follows; `again` when its callback runs. */
#define TRY_CONN(c)                                                                                \
	atomic {                                                                                   \
		in_list[c] ->                                                                      \
		if                                                                                 \
		:: busy == c -> conn_mutex = false; mutex = false; goto again                      \
		:: else ->                                                                         \
			assert(vhost_conn != c); /* no callback tells us of this end */            \
			polled[c] = false;                                                         \
			in_list[c] = false;                                                        \
			shut[c] = true;                                                            \
			msg[c] = 0                                                                 \
		fi                                                                                 \
	}

inline unregister() {
	true;
again:
	LOCK(mutex);
	atomic {
		if
		:: busy == LISTENER -> mutex = false; goto again
		:: else -> listening = NONE
		fi
	}
	LOCK(conn_mutex);
	do
	:: TRY_CONN(0)
	:: TRY_CONN(1)
	:: TRY_CONN(2)
	:: !in_list[0] && !in_list[1] && !in_list[2] -> break
	od;
	conn_mutex = false;
	d_step {
		do
		:: nempty(backlog) -> backlog ? c; shut[c] = true; c = 0
		:: empty(backlog) -> break
		od;
		vsocket = NONE
	}
	mutex = false
}

/* --------------------------------------------------------------------------------------- JOB */

active proctype JOB() {
	byte c = 0;

end_idle:
	do
	:: job == OPEN ->
end_open:
		!hangs;
		store = disk;
		lane = disk;
		listed = disk;
		LOCK(mutex);
		vsocket = disk;
		mutex = false;
		listening = disk;
		d_step { job = 0; SEND(events, JOB_DONE, OPEN) }
	:: job == CLOSE ->
#ifndef BROKEN_CTRL_UNREGISTERS
		unregister();
#endif
		listed = NONE;
		d_step { assert(linked == NONE); lane = NONE }
end_close:
		!hangs;
		d_step {
			assert(!in_flight[0] && !in_flight[1] && !in_flight[2]);
			store = NONE;
			job = 0;
			SEND(events, JOB_DONE, CLOSE)
		}
	od
}

/* -------------------------------------------------------------------------------------- CTRL */

/* device_event(): the rows of device_state.c */
inline on_connected() {
	assert(state == NEW || state == LISTENING || state == QUIESCING);
	if
	:: state == LISTENING -> state = ATTACHING
	:: else
	fi
}

inline on_disconnected() {
	assert(state == NEW || state == ATTACHING || state == RUNNING || state == QUIESCING);
	if
	:: state == ATTACHING || state == RUNNING -> state = LISTENING
	:: else
	fi
}

inline on_started() {
	assert(state == NEW || state == ATTACHING);
	if
	:: state == ATTACHING -> state = RUNNING
	:: else
	fi
}

inline on_stopped() {
	assert(state == NEW || state == RUNNING || state == QUIESCING);
	if
	:: state == RUNNING -> state = ATTACHING
	:: else
	fi
}

inline attach_runs() {
	held = false; /* by an earlier run */
	for (i : 0 .. N_RUNS - 1) {
		if
		:: ring[i] == HELD && !held ->
			ring[i] = ATTACHED;
			if
			:: n_attached == 0 -> on_started()
			:: else
			fi;
			n_attached++;
			SEND(inbox, ATTACH, i)
		:: else
		fi;
#ifndef BROKEN_NO_HOLD
		held = held || RUN_LISTED(i)
#endif
	}
	i = 0;
	held = false;
}

inline free_conn_if_done(c) {
	if
	:: conn[c] == CLOSED && !(RUN_LISTED(0) && run_conn[0] == c) &&
	   !(RUN_LISTED(1) && run_conn[1] == c) && !(RUN_LISTED(2) && run_conn[2] == c) ->
		conn[c] = FREED
	:: else
	fi
}

inline end_run(r) {
	ring[r] = FREED;
	assert(conn[run_conn[r]] == OPEN || conn[run_conn[r]] == CLOSED); /* conn_reply_base() */
	free_conn_if_done(run_conn[r]);
	if
	:: state != QUIESCING -> attach_runs()
	:: else
	fi
}

/* The object's disk, which must be there. */
#define CHECK_CONN(c)  assert((conn[c] == OPEN || conn[c] == CLOSED) && conn_disk[c] == disk)
#define CHECK_RUN(r)   assert(RUN_ALIVE(r)); CHECK_CONN(run_conn[r])

inline handle_event() {
	if
	:: kind == OPENED ->
		CHECK_CONN(id);
		n_opened++;
		disk_conn = id;
		on_connected();
		if
		:: state == QUIESCING -> shut[id] = true
		:: else
		fi
	:: kind == CLOSED ->
		CHECK_CONN(id);
		assert(disk_conn == id);
		disk_conn = NONE;
		n_attached = 0;
		conn[id] = CLOSED;
		on_disconnected();
		free_conn_if_done(id)
	:: kind == RUN_START ->
		CHECK_RUN(id);
		ring[id] = HELD;
		if
		:: state != QUIESCING -> attach_runs()
		:: else
		fi
	:: kind == RUN_STOP ->
		CHECK_RUN(id);
		if
		:: ring[id] == HELD -> end_run(id)
		:: else -> ring[id] = STOPPING; SEND(inbox, STOP, id)
		fi
	:: kind == DRAINED ->
		CHECK_RUN(id);
		if
		:: run_conn[id] == disk_conn ->
			n_attached--;
			if
			:: n_attached == 0 -> on_stopped()
			:: else
			fi
		:: else
		fi;
		end_run(id)
	:: kind == JOB_DONE && id == OPEN -> /* add_done() */
		assert(state == NEW);
		job_running = false;
		state = LISTENING;
		if
		:: disk_conn != NONE -> on_connected()
		:: else
		fi;
		if
		:: n_attached != 0 -> on_started()
		:: else
		fi
	:: kind == JOB_DONE && id == CLOSE -> /* remove_done() */
		assert(state == REMOVING);
		for (i : 0 .. N_RUNS - 1) {
			assert(!RUN_LISTED(i))
		}
		for (i : 0 .. N_CONNS - 1) {
			assert(conn[i] == 0 || conn[i] == FREED)
		}
		i = 0;
		job_running = false;
		state = GONE;
		disk = NONE
	fi;
	if
	:: kind != RUN_START && kind != JOB_DONE -> remove_if_quiet()
	:: else
	fi;
	kind = 0;
	id = 0;
}

#ifdef BROKEN_NO_GATE
#define ALL_SEEN true
#else
#define ALL_SEEN (n_opened == n_accepted)
#endif

inline remove_if_quiet() {
	if
	:: state == QUIESCING && disk_conn == NONE && ALL_SEEN && !job_running &&
	   conn[0] != CLOSED && conn[1] != CLOSED && conn[2] != CLOSED &&
	   !RUN_LISTED(0) && !RUN_LISTED(1) && !RUN_LISTED(2) ->
		state = REMOVING;
		job_running = true;
		job = CLOSE
	:: else
	fi
}

inline add() {
	disk = n_added;
	n_added++;
	state = NEW;
	disk_conn = NONE;
	n_opened = 0;
	n_accepted = 0;
	n_attached = 0;
	gate_count = 0;
	gate_closed = false;
	job_running = true;
	job = OPEN;
}

inline quiesce() {
	state = QUIESCING;
	n_accepted = gate_count; /* endpoint_refuse() */
#ifndef BROKEN_NO_GATE
	gate_closed = true
#endif
}

inline hang_up() {
	if
	:: disk_conn != NONE -> shut[disk_conn] = true
	:: else
	fi;
	remove_if_quiet()
}

active proctype CTRL() {
	mtype kind = 0;
	byte id = 0, i = 0, c = 0;
	bool held = false;

end_poll:
	do
	:: nempty(events) -> d_step { events ? kind, id; handle_event() }
	:: state == GONE && n_added < N_DISKS -> d_step { add() }
	:: state == LISTENING || state == ATTACHING || state == RUNNING ->
		d_step { quiesce() }
#ifdef BROKEN_CTRL_UNREGISTERS
		unregister();
#endif
		d_step { hang_up() }
	od
}

/* ------------------------------------------------------------------------------------- VHOST */

/* What our code under librte_vhost's callbacks is about to touch. */
#define CHECK_ENDPOINT(d) assert(d == disk)

/* let_go(): from here on it is CTRL's. */
inline let_go(c) {
	atomic {
		CHECK_ENDPOINT(conn_disk[c]);
		vhost_conn = NONE;
		shut[c] = true;
		if
		:: vhost_run != NONE -> SEND(events, RUN_STOP, vhost_run); vhost_run = NONE
		:: else
		fi
	}
	atomic { assert(conn[c] == OPEN); CHECK_ENDPOINT(conn_disk[c]); SEND(events, CLOSED, c) }
#ifdef BROKEN_CTRL_UNREGISTERS
	conn[c] != OPEN /* until CTRL has seen it */
#endif
}

/* vhost_user_add_connection() with on_new_connection() */
inline new_connection() {
	atomic { d = listed; if :: d == NONE -> goto refused :: else fi }
	CHECK_ENDPOINT(d);
	if
	:: vhost_conn != NONE && HUNG_UP(vhost_conn) -> old = vhost_conn; let_go(old); old = 0
	:: else
	fi;
	if
	:: vhost_conn != NONE -> goto refused /* a second front end */
	:: else
	fi;
	atomic {
		CHECK_ENDPOINT(d);
		if
		:: gate_closed -> goto refused
		:: else -> gate_count++
		fi
	}
	atomic {
		CHECK_ENDPOINT(d);
		conn[c] = OPEN;
		conn_disk[c] = d;
		vhost_conn = c;
		SEND(events, OPENED, c)
	}
	polled[c] = true;
	conn_mutex_wanted = true;
	atomic { !conn_mutex -> conn_mutex_wanted = false; assert(vsocket == d); in_list[c] = true }
	goto accepted;
refused:
	shut[c] = true;
accepted:
	skip
}

/* conn_handle() */
inline handle_message() {
	if
	:: m == KICK ->
		atomic {
			if
			:: vhost_run == NONE && n_runs < N_RUNS ->
				CHECK_ENDPOINT(conn_disk[c]);
				vhost_run = n_runs;
				n_runs++;
				ring[vhost_run] = MADE;
				run_conn[vhost_run] = c;
				SEND(events, RUN_START, vhost_run)
			:: else
			fi
		}
	:: m == SET_MEM_TABLE ->
		/* vhost_user_lock_all_queue_pairs() is around our handler */
		access_lock = true;
		if
		:: vhost_run != NONE ->
			atomic { assert(RUN_ALIVE(vhost_run)); SEND(inbox, SWAP_MAP, vhost_run) }
			swapped -> swapped = false /* msg_wait(): one turn of an lcore */
		:: else
		fi;
		access_lock = false
	:: m == GET_VRING_BASE ->
		atomic {
			if
			:: vhost_run != NONE ->
				CHECK_ENDPOINT(conn_disk[c]);
				wants_base[vhost_run] = true;
				SEND(events, RUN_STOP, vhost_run);
				old = vhost_run;
				vhost_run = NONE
			:: else -> old = NONE /* answered at once */
			fi
		}
#ifdef BROKEN_VHOST_WAITS
		old == NONE || ring[old] == FREED;
#endif
		old = 0
	fi;
	m = 0
}

/* vhost_user_read_cb() when the connection ends, with on_destroy_connection() */
inline tear_down() {
	shut[c] = true;
	if
	:: vhost_conn == c -> let_go(c)
	:: else /* let go of already */
	fi;
	conn_mutex_wanted = true;
	atomic { !conn_mutex -> conn_mutex_wanted = false; assert(vsocket == d); in_list[c] = false }
	polled[c] = false
}

#define READABLE(n) polled[n] && (msg[n] != 0 || HUNG_UP(n)) -> busy = n; c = n

active proctype VHOST() {
	byte c = 0, d = NONE, old = 0;
	mtype m = 0;

end_poll:
	do
	:: atomic { listening != NONE && nempty(backlog) -> busy = LISTENER; backlog ? c }
		new_connection();
		atomic { busy = NONE; c = 0; d = NONE }
	:: atomic {
		if
		:: READABLE(0)
		:: READABLE(1)
		:: READABLE(2)
		fi;
		d = vsocket
	}
		mutex_wanted = true;
		atomic { !mutex -> mutex_wanted = false } /* vhost_driver_callback_get() */
		atomic { m = msg[c]; msg[c] = 0 }
		if
		:: m != 0 && vhost_conn == c -> handle_message()
		:: else -> m = 0; tear_down()
		fi;
		atomic { busy = NONE; c = 0; d = NONE }
	od
}

/* ------------------------------------------------------------------------------ STORE and FE */

#define ANSWER(r) atomic { in_flight[r] && !ended[r] -> ended[r] = true }

active proctype STORE() {
end_idle:
	do
	:: ANSWER(0)
	:: ANSWER(1)
	:: ANSWER(2)
	:: hangs = true;
		if
		:: hangs = false; break
		:: dead = true; break
		fi
	od;
end_after:
	do
	:: !dead && in_flight[0] && !ended[0] -> ended[0] = true
	:: !dead && in_flight[1] && !ended[1] -> ended[1] = true
	:: !dead && in_flight[2] && !ended[2] -> ended[2] = true
	od
}

#define CAN_CONNECT(c) listening != NONE && peer[c] == 0 -> peer[c] = UP; backlog ! c
#define CAN_SEND(c)    peer[c] == UP && !shut[c] && msg[c] == 0
#define FRONT_END(c)                                                                               \
	:: atomic { CAN_SEND(c) -> msg[c] = KICK }                                                 \
	:: atomic { CAN_SEND(c) -> msg[c] = SET_MEM_TABLE }                                        \
	:: atomic { CAN_SEND(c) -> msg[c] = GET_VRING_BASE }                                       \
	:: atomic { peer[c] == UP -> peer[c] = DOWN }

active proctype FE() {
end_idle:
	do
	:: atomic { CAN_CONNECT(0) }
	:: atomic { peer[0] != 0 && CAN_CONNECT(1) }
	:: atomic { peer[1] != 0 && CAN_CONNECT(2) }
	FRONT_END(0)
	FRONT_END(1)
	FRONT_END(2)
	od
}
