/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A model of how a disk is deleted, for spin (tests/model/check runs it). One disk name on one
 * lcore: added, deleted by force, added and deleted again, at any moment, while front ends connect,
 * start and stop rings, replace their memory, hang up and reconnect as they please, and the store
 * takes as long as it likes.
 *
 *   process  stands for
 *   LCORE    engine/lcore.c:lcore_poll, engine/lane.c:lane_turn, engine/queue.c
 *   CTRL     device/registry_events.c:handle_event, device/device.c, device/admission.c, registry_add,
 *            registry_del; the operator, and front ends that connect, too
 *   JOB      device/job.c:job_thread with device_open() or device_close() (device/device_open.c), or
 *            with listener_unlink()
 *   VHOST    librte_vhost's fd_man.c:fdset_event_dispatch, socket.c:vhost_user_server_new_connection
 *            and vhost_user_read_cb, with our device/endpoint.c, device/vhost_handlers.c and
 *            device/conn.c in them; the front ends, too: what they do is what the event thread
 *            finds when it looks
 *   STORE0.. a backing file, and what it has of each run
 *
 * What is checked:
 *   rest        with SILENCE, from some moment on nothing more comes from the store and from front
 *               ends. Then all come to rest where they may: LCORE, CTRL and VHOST at the head of
 *               their loops, a JOB also in open() or close() of the store
 *   assertions  no use of a run, lane, store, connection, visitor or disk that was freed; no ring attached while requests of an earlier one are in flight; no front
 *               end cut off by the deletion while a ring of its is served or has a request in
 *               flight; no store closed under a request; no event that the state table of the disk
 *               calls a bug
 *   no waiting  what LCORE and CTRL do between two looks at their inboxes stands in d_steps, and spin
 *               reports a statement that blocks inside of one: they wait for nobody
 *   ltl ends    the store answering in the end, each deletion ends
 *   ltl base    and each GET_VRING_BASE that was put off is answered, or its connection ends
 *
 * What is left out:
 *   - Identities are never used again: freed is freed for good, so that each use after it is seen.
 *     The numbers of file descriptors are left out with that; an entry of the fdset is its own.
 *   - One lcore, one request in flight on each ring. A turn of the lcore that finds nothing is no
 *     step, and one that finds something is one step until a queue has drained.
 *   - That an lcore sleeps: whoever sends it a message wakes it (engine/waker.h).
 *   - Of two rings, the first to be started is ring 0.
 *   - SET_MEM_TABLE stands for all that VHOST waits a turn of the lcore for, and is about one ring.
 *   - Mailboxes are FIFOs (engine/mbox.h), sending is one step, memory is sequentially consistent.
 *   - librte_vhost's locks: nobody but VHOST calls it while disks come and go, so it waits for nobody
 *     there. Its access_lock is there, for what breaks when an lcore calls it.
 *   - An offer is taken when VHOST comes to it. That the carrier is lost and another one sent, or that
 *     one arrives whose visitor was taken back, changes nothing: it brings who is offered then, or
 *     nobody. A visitor that waits for its turn to be offered, or that is turned away, is CTRL's alone.
 *   - Guest maps, call descriptors, broken rings, resizing, a disk that can't be opened, and the
 *     JOBs that close sockets or unmap memory.
 *
 * Each BROKEN_ macro breaks one rule, and spin must find out:
 *   BROKEN_CTRL_WAITS        CTRL waits for the connection to end before it goes on with a deletion
 *   BROKEN_LCORE_WAITS       the lcore interrupts by rte_vhost_vring_call(), which takes access_lock
 *   BROKEN_VHOST_WAITS       VHOST waits for the drain before it answers GET_VRING_BASE
 *   BROKEN_FREE_EARLY        the lcore says "drained" before it lets go of the lane
 *   BROKEN_NO_ANSWER         a deletion does not wait for VHOST's answer about a visitor
 *   BROKEN_OFFER_STAYS       a deletion forgets a visitor, and does not take the offer back
 *   BROKEN_NO_HOLD           a new connection's ring is attached at once
 *   BROKEN_CUT_OFF_FIRST     a deletion shuts the connection down before its requests have ended
 *   BROKEN_CUT_OFF_SOON      a deletion shuts it down when one of its rings has drained
 *   BROKEN_CUT_OFF_ONCE      only the beginning of a deletion shuts it down, no drain does
 *   BROKEN_LATE_STAYS        one that VHOST had taken just before a deletion is not shut down
 *   BROKEN_END_UNDRAINED     a run ends when VHOST has forgotten it, drained or not
 *   BROKEN_END_UNFORGOTTEN   a run ends when it has drained, forgotten or not
 */
#ifndef N_DISKS
#define N_DISKS 2 /* lives of the disk */
#define N_CONNS 2 /* accepted in all */
#define N_RUNS  2 /* starts of a ring, in all */
#define N_RINGS 2 /* of a connection */
#endif
#if N_RINGS == 1
#define EACH_RING(X, op) X(0)
#else
#define EACH_RING(X, op) X(0) op X(1)
#endif
#if N_CONNS == 1
#define EACH_CONN(X, op) X(0)
#elif N_CONNS == 2
#define EACH_CONN(X, op) X(0) op X(1)
#else
#define EACH_CONN(X, op) X(0) op X(1) op X(2)
#endif
#if N_RUNS == 2
#define EACH_RUN(X, op) X(0) op X(1)
#else
#define EACH_RUN(X, op) X(0) op X(1) op X(2)
#endif
#define NONE	9
#define LISTENER 8

mtype = {
	ATTACH, STOP, SWAP_MAP,                                       /* to LCORE */
	ANSWER, CLOSED, RUN_START, RUN_STOP, QUEUE_DRAINED, JOB_DONE, /* to CTRL */
	NEW, LISTENING, ATTACHING, RUNNING, QUIESCING, REMOVING,     /* enum device_state */
	GONE,
	MADE, HELD, ATTACHED, STOPPING, DRAINED,                      /* enum run_state */
	POLLING, DRAINING,                                            /* enum queue_state */
	KICK, SET_MEM_TABLE, GET_VRING_BASE,                          /* from a front end */
	OPEN, UNLINK, CLOSE,                                          /* a JOB's work */
	OFFERED, REFUSED, FREED
}

/* lcore->inbox: a run; registry_params.events: a connection or run */
chan inbox = [2 * N_RUNS + 1] of { mtype, byte };
chan events = [2 * N_CONNS + 3 * N_RUNS + 1] of { mtype, byte };

/* The disk. There is one at a time: which life of it has what. */
byte disk = NONE;         /* struct device */
mtype state = GONE;       /* CTRL's, as all to the next blank line */
byte n_added = 0;
byte disk_conn = NONE;    /* dev->conn */
byte n_attached = 0;
byte visitor = NONE;      /* ep->door.visitor, that was accepted and is not connected yet */
bool door_gone = false;   /* DOOR_GONE */
bool job_running = false;

mtype job = 0;            /* handed to JOB */
byte lane = NONE;         /* exists */
byte store = NONE;        /* is open */
byte offer = NONE;        /* admission->offer: CTRL puts a visitor there, VHOST or CTRL takes it */

/* Visitors, and connections. */
byte conn_disk[N_CONNS];  /* conn->endpoint */
mtype conn[N_CONNS];      /* 0, OFFERED, REFUSED or OPEN, CLOSED (CTRL knows), FREED */
bool shut[N_CONNS];       /* conn->sock was shut down by us, or the front end has hung up */
bool late[N_CONNS];       /* it had a SET_MEM_TABLE in its socket then, which was read after it */
byte n_conns = 0;

/* Runs. */
byte run_conn[N_RUNS];    /* run->conn */
bit run_index[N_RUNS];    /* run->queue->index */
mtype ring[N_RUNS];       /* run->state, CTRL's: 0, MADE, HELD, ATTACHED, ..., FREED */
bool forgotten[N_RUNS];   /* run->forgotten, CTRL's */
mtype queue[N_RUNS];      /* LCORE's: 0, POLLING, DRAINING */
bool in_flight[N_RUNS];   /* submitted to the store, not reaped */
bool ended[N_RUNS];       /* the store has answered */
bool wants_base[N_RUNS];  /* run->wants_base */
byte n_runs = 0;

byte linked = NONE;       /* LCORE's: the lane in lcore->lanes */

/* VHOST's */
byte vhost_conn = NONE;   /* endpoint->conn, conn_of_vid */
byte vhost_run[N_RINGS] = NONE; /* conn->rings[].run */
bool swapped = false;     /* msg->done of the message it waits for */

/* librte_vhost's */
bool access_lock = false;                           /* vq->access_lock */
bool in_list[N_CONNS];    /* the connection is in the fdset */
byte busy = NONE;         /* the entry of the fdset whose callback runs */

#ifdef SILENCE
bool silent = false;      /* nothing more comes from the store or from front ends */
#else
#define silent false
#endif

/* mbox_send() never waits: the messages are embedded in what they are about. */
#define SEND(mbox, kind, id) assert(nfull(mbox)); mbox ! kind, id

#define RUN_LISTED(r)                                                                              \
	(ring[r] == HELD || ring[r] == ATTACHED || ring[r] == STOPPING || ring[r] == DRAINED)
#define RUN_ALIVE(r)  (ring[r] != 0 && ring[r] != FREED)
#define deleting      (state == QUIESCING || state == REMOVING)
#define BASE_DUE(r)   wants_base[r]
#define base_due      (EACH_RUN(BASE_DUE, ||))

#ifndef SILENCE
ltl ends { [] (deleting -> <> !deleting) }
ltl base { [] (base_due -> <> !base_due) }
#endif

/* ------------------------------------------------------------------------------------- LCORE */

#define HAS_WORK(r)                                                                                \
	(queue[r] != 0 && (ended[r] || !in_flight[r]))

inline lcore_attach(r) {
	assert(linked == NONE || linked == lane);
	/* The promise to the guest: a late write never lands after a newer one. */
	for (other : 0 .. N_RUNS - 1) {
		assert(!in_flight[other] ||
		       (run_conn[other] == run_conn[r] && run_index[other] != run_index[r]))
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
		assert(lane == conn_disk[run_conn[q]]);
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
			:: ended[q] ->
				in_flight[q] = false;
				ended[q] = false;
#ifdef BROKEN_LCORE_WAITS
				reaped = true
#endif
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

#define OFF_LANE(r) queue[r] == 0

inline unlink_lane() {
	assert(lane == linked);
	if
	:: EACH_RUN(OFF_LANE, &&) -> linked = NONE
	:: else
	fi
}

active proctype LCORE() {
	mtype kind = 0;
	byte q = 0, other = 0, drained = NONE;
#ifdef BROKEN_LCORE_WAITS
	bool reaped = false;
#endif

end_poll:
	do
	:: drained == NONE && (nempty(inbox) || EACH_RUN(HAS_WORK, ||)) ->
		d_step { lcore_messages(); lane_turn() }
#ifdef BROKEN_LCORE_WAITS
		if
		:: reaped -> !access_lock /* rte_vhost_vring_call() */
		:: else
		fi;
		reaped = false
#endif
	:: drained != NONE ->
#ifdef BROKEN_FREE_EARLY
		d_step { SEND(events, QUEUE_DRAINED, drained); drained = NONE }
		d_step { unlink_lane() }
#else
		d_step { unlink_lane() }
		d_step { SEND(events, QUEUE_DRAINED, drained); drained = NONE }
#endif
	od
}

/* --------------------------------------------------------------------------------------- JOB */

#define IN_FLIGHT(r) in_flight[r]

active proctype JOB() {
end_idle:
	do
	:: job == OPEN ->
end_open:
		!silent;
		d_step {
			store = disk;
			lane = disk;
			job = 0;
			SEND(events, JOB_DONE, OPEN)
		}
	:: job == UNLINK ->
		d_step { job = 0; SEND(events, JOB_DONE, UNLINK) }
	:: job == CLOSE ->
		d_step { /* lane_free() */
			assert(EACH_RUN(OFF_LANE, &&));
			lane = NONE
		}
end_close:
		!silent;
		d_step {
			assert(!(EACH_RUN(IN_FLIGHT, ||)));
			store = NONE;
			job = 0;
			SEND(events, JOB_DONE, CLOSE)
		}
	od
}

/* -------------------------------------------------------------------------------------- CTRL */

/* device_event(): the rows of device_state.c */
inline on_connected() {
	assert(state == LISTENING || state == QUIESCING);
	if
	:: state == LISTENING -> state = ATTACHING
	:: else
	fi
}

inline on_disconnected() {
	assert(state == ATTACHING || state == RUNNING || state == QUIESCING);
	if
	:: state == ATTACHING || state == RUNNING -> state = LISTENING
	:: else
	fi
}

inline on_started() {
	assert(state == ATTACHING);
	state = RUNNING
}

inline on_stopped() {
	assert(state == RUNNING || state == QUIESCING);
	if
	:: state == RUNNING -> state = ATTACHING
	:: else
	fi
}

#ifdef BROKEN_NO_HOLD
#define MUST_END_FIRST(r) false
#else
#define MUST_END_FIRST(r)                                                                          \
	(r < i && RUN_LISTED(r) && (run_conn[r] != run_conn[i] || run_index[r] == run_index[i]))
#endif

/* may_attach() is false while an earlier one must end first. */
inline attach_runs() {
	for (i : 0 .. N_RUNS - 1) {
		if
		:: ring[i] == HELD && !(EACH_RUN(MUST_END_FIRST, ||)) ->
			ring[i] = ATTACHED;
			if
			:: n_attached == 0 -> on_started()
			:: else
			fi;
			n_attached++;
			SEND(inbox, ATTACH, i)
		:: else
		fi
	}
	i = 0;
}

#define HAS_CONN(r) RUN_LISTED(r) && run_conn[r] == c

inline free_conn_if_done(c) {
	if
	:: conn[c] == CLOSED && !(EACH_RUN(HAS_CONN, ||)) ->
		conn[c] = FREED;
		shut[c] = false;
		late[c] = false;
		conn_disk[c] = 0
	:: else
	fi
}

inline end_run(r) {
	ring[r] = FREED;
	forgotten[r] = false;
	wants_base[r] = false; /* conn_reply_base() */
	c = run_conn[r];
	run_conn[r] = 0;
	run_index[r] = 0;
	free_conn_if_done(c);
	c = 0;
	if
	:: state != QUIESCING -> attach_runs()
	:: else
	fi
}

inline stop_run(r) {
	ring[r] = STOPPING;
	SEND(inbox, STOP, r);
}

/* Its lcore serves it, or will. */
#define UNDER_WAY(r)                                                                               \
	(RUN_ALIVE(r) && run_conn[r] == disk_conn &&                                               \
	 (queue[r] != 0 || in_flight[r] || inbox ?? [ATTACH, r]))

/* shutdown() of a connection whose front end has not gone by itself: it takes the used index for
 * the place to go on from. */
inline cut_off() {
	assert(conn[disk_conn] == OPEN);
	assert(!(EACH_RUN(UNDER_WAY, ||)));
	shut[disk_conn] = true;
}

#ifdef BROKEN_CUT_OFF_FIRST
#define MUST_DRAIN(r) false
#else
#define MUST_DRAIN(r)                                                                              \
	(run_conn[r] == disk_conn && (ring[r] == ATTACHED || ring[r] == STOPPING))
#endif

#ifdef BROKEN_CUT_OFF_SOON
#define HAS_DRAINED(r) ring[r] == DRAINED
#define ALL_DRAINED    (EACH_RUN(HAS_DRAINED, ||) || !(EACH_RUN(MUST_DRAIN, ||)))
#else
#define ALL_DRAINED (!(EACH_RUN(MUST_DRAIN, ||)))
#endif

inline disconnect_if_drained() {
	if
	:: disk_conn != NONE && ALL_DRAINED -> cut_off()
	:: else
	fi
}

/* The object's disk, which must be there. */
#define CHECK_CONN(c)  assert((conn[c] == OPEN || conn[c] == CLOSED) && conn_disk[c] == disk)
#define CHECK_RUN(r)   assert(RUN_ALIVE(r)); CHECK_CONN(run_conn[r])

inline handle_event() {
	if
	:: kind == ANSWER -> /* admission_on_answer() */
		assert((conn[id] == OPEN || conn[id] == REFUSED) && conn_disk[id] == disk);
		assert(visitor == id);
		visitor = NONE;
		if
		:: conn[id] == REFUSED -> conn[id] = FREED; conn_disk[id] = 0
		:: else ->
			disk_conn = id;
			on_connected();
#ifndef BROKEN_LATE_STAYS
			if
			:: state == QUIESCING -> cut_off()
			:: else
			fi
#endif
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
		forgotten[id] = true;
		if
		:: ring[id] == ATTACHED -> stop_run(id)
		:: ring[id] == HELD || ring[id] == DRAINED -> ends = true
#ifdef BROKEN_END_UNDRAINED
		:: ring[id] == STOPPING -> ends = true
#else
		:: else
#endif
		fi
	:: kind == QUEUE_DRAINED ->
		CHECK_RUN(id);
		ring[id] = DRAINED;
		if
		:: run_conn[id] == disk_conn ->
			n_attached--;
			if
			:: n_attached == 0 -> on_stopped()
			:: else
			fi
		:: else
		fi;
#ifdef BROKEN_END_UNFORGOTTEN
		ends = true
#else
		ends = forgotten[id]
#endif
	:: kind == JOB_DONE && id == OPEN -> /* add_done() */
		assert(state == NEW);
		job_running = false;
		state = LISTENING
	:: kind == JOB_DONE && id == UNLINK -> door_gone = true /* unlink_done() */
	:: kind == JOB_DONE && id == CLOSE -> /* remove_done() */
		assert(state == REMOVING);
		for (i : 0 .. N_RUNS - 1) {
			assert(!RUN_ALIVE(i))
		}
		for (i : 0 .. N_CONNS - 1) {
			assert(conn[i] == 0 || conn[i] == FREED)
		}
		i = 0;
		job_running = false;
		state = GONE;
		disk = NONE;
		n_attached = 0;
		door_gone = false
	fi;
	if
	:: ends -> end_run(id)
	:: else
	fi;
#ifndef BROKEN_CUT_OFF_ONCE
	if
	:: kind == QUEUE_DRAINED && state == QUIESCING -> disconnect_if_drained()
	:: else
	fi;
#endif
	if
	:: kind != RUN_START && !(kind == JOB_DONE && id != UNLINK) -> remove_if_quiet()
	:: else
	fi;
	ends = false;
	kind = 0;
	id = 0;
}

#ifdef BROKEN_NO_ANSWER
#define NO_VISITOR true
#else
#define NO_VISITOR (visitor == NONE)
#endif

#define IS_CLOSED(c) conn[c] == CLOSED

inline remove_if_quiet() {
	if
	:: state == QUIESCING && disk_conn == NONE && NO_VISITOR && door_gone && !job_running &&
	   !(EACH_CONN(IS_CLOSED, ||)) && !(EACH_RUN(RUN_LISTED, ||)) ->
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
	job_running = true;
	job = OPEN;
}

/* admission_on_ready(): a front end has connected; one that was there before has hung up, as CTRL
 * sees it: a second one is turned away. */
#define MAY_ACCEPT                                                                                 \
	((state == LISTENING || state == ATTACHING || state == RUNNING) && visitor == NONE &&      \
	 n_conns < N_CONNS && !silent)

inline accept() {
	visitor = n_conns;
	n_conns++;
	conn[visitor] = OFFERED;
	conn_disk[visitor] = disk;
	offer = visitor;
	if
	:: disk_conn != NONE -> shut[disk_conn] = true
	:: else
	fi
}

/* admission_shut() */
inline shut_door() {
	state = QUIESCING;
	if
	:: visitor != NONE && offer == visitor ->
#ifndef BROKEN_OFFER_STAYS
		offer = NONE;
#endif
		conn[visitor] = FREED;
		conn_disk[visitor] = 0;
		visitor = NONE
	:: else
	fi;
	job = UNLINK
}

inline stop_runs() {
	for (i : 0 .. N_RUNS - 1) {
		if
		:: ring[i] == ATTACHED -> stop_run(i)
		:: else
		fi
	}
	i = 0;
}

active proctype CTRL() {
	mtype kind = 0;
	byte id = 0, i = 0, c = 0;
	bool ends = false;

end_poll:
	do
	:: nempty(events) -> d_step { events ? kind, id; handle_event() }
	:: state == GONE && n_added < N_DISKS -> d_step { add() }
	:: MAY_ACCEPT -> d_step { accept() }
	:: state == LISTENING || state == ATTACHING || state == RUNNING ->
		d_step { shut_door() } /* registry_del(), device_quiesce() */
#ifdef BROKEN_CTRL_WAITS
		vhost_conn == NONE;
#endif
		d_step { stop_runs() }
		d_step { disconnect_if_drained() }
	od
}

/* ------------------------------------------------------------------------------------- VHOST */

/* What our code under librte_vhost's callbacks is about to touch. */
#define CHECK_ENDPOINT(d) assert(d == disk)

/* conn_ring_stop() */
#define FORGET(x)                                                                                  \
	atomic {                                                                                   \
		if                                                                                 \
		:: vhost_run[x] != NONE ->                                                         \
			SEND(events, RUN_STOP, vhost_run[x]);                                      \
			vhost_run[x] = NONE                                                        \
		:: else                                                                            \
		fi                                                                                 \
	}

/* let_go(): from here on it is CTRL's. */
inline let_go(c) {
	atomic {
		CHECK_ENDPOINT(conn_disk[c]);
		vhost_conn = NONE;
		shut[c] = true
	}
	EACH_RING(FORGET, ;);
	atomic { assert(conn[c] == OPEN); CHECK_ENDPOINT(conn_disk[c]); SEND(events, CLOSED, c) }
}

/* vhost_user_add_connection() with on_new_connection(). An old front end has hung up. */
inline new_connection() {
	atomic {
		offer != NONE && !others_first ->
		busy = LISTENER;
		next = offer; /* admission_take() */
		offer = NONE;
		assert(conn[next] == OFFERED && visitor == next);
		CHECK_ENDPOINT(conn_disk[next]);
		if
		:: conn[next] = REFUSED; SEND(events, ANSWER, next); goto done
		:: vhost_conn == NONE -> goto admit
		:: vhost_conn != NONE -> assert(shut[vhost_conn]); c = vhost_conn
		fi
	}
	let_go(c);
admit:
	atomic {
		CHECK_ENDPOINT(conn_disk[next]);
		conn[next] = OPEN;
		vhost_conn = next;
		in_list[next] = true;
		SEND(events, ANSWER, next)
	}
}

/* conn_handle() of SET_VRING_KICK */
inline start_ring() {
	CHECK_ENDPOINT(conn_disk[c]);
	vhost_run[x] = n_runs;
	n_runs++;
	ring[vhost_run[x]] = MADE;
	run_conn[vhost_run[x]] = c;
	run_index[vhost_run[x]] = x;
	SEND(events, RUN_START, vhost_run[x])
}

/* GET_VRING_BASE */
inline stop_ring() {
	CHECK_ENDPOINT(conn_disk[c]);
	wants_base[vhost_run[x]] = true;
	SEND(events, RUN_STOP, vhost_run[x]);
#ifdef BROKEN_VHOST_WAITS
	old = vhost_run[x];
#endif
	vhost_run[x] = NONE
}

/* SET_MEM_TABLE; vhost_user_lock_all_queue_pairs() is around our handler */
inline swap_map() {
	access_lock = true;
	assert(RUN_ALIVE(vhost_run[x]));
	SEND(inbox, SWAP_MAP, vhost_run[x])
}

/* What a connection may have for us: an end, or a message that may come in that state. What was
 * sent before we shut the socket down is still read after it. */
#define HAS_ENDED(n) in_list[n] && (shut[n] || vhost_conn != n)
#define MAY_SEND(n)  (in_list[n] && vhost_conn == n && !silent)
#define ABOUT_RING(n, i)                                                                           \
	:: MAY_SEND(n) && vhost_run[i] != NONE && !late[n] ->                                      \
		busy = n; x = i; m = SET_MEM_TABLE; late[n] = shut[n]                              \
	:: MAY_SEND(n) && vhost_run[i] != NONE -> busy = n; x = i; m = GET_VRING_BASE              \
	:: MAY_SEND(n) && vhost_run[i] == NONE && n_runs < N_RUNS && (i == 0 || n_runs != 0) ->    \
		busy = n; x = i; m = KICK
#if N_RINGS == 1
#define ABOUT_RINGS(n) ABOUT_RING(n, 0)
#else
#define ABOUT_RINGS(n) ABOUT_RING(n, 0) ABOUT_RING(n, 1)
#endif
#define READABLE(n)                                                                                \
	:: (HAS_ENDED(n)) || (in_list[n] && !silent) -> busy = n; m = 0                            \
	ABOUT_RINGS(n)

/* Back in fdset_event_dispatch(). Each round of the fdset serves all that are readable. */
inline leave() {
	others_first = busy == LISTENER && (EACH_CONN(HAS_ENDED, ||));
	busy = NONE;
	next = 0;
	c = 0;
	x = 0;
	m = 0
}

/* vhost_user_read_cb() with on_message() and on_destroy_connection() */
inline read_connection() {
	atomic {
		if
		EACH_CONN(READABLE, )
		fi;
		c = busy;
		if
		:: m == KICK -> start_ring(); leave(); goto end_poll
#ifdef BROKEN_VHOST_WAITS
		:: m == GET_VRING_BASE -> stop_ring(); goto stopped
#else
		:: m == GET_VRING_BASE -> stop_ring(); leave(); goto end_poll
#endif
		:: m == SET_MEM_TABLE -> swap_map()
		:: m == 0 && vhost_conn == c -> goto ends
		:: m == 0 && vhost_conn != c -> goto let_go_of
		fi
	}
	atomic { /* msg_wait(): one turn */
		swapped ->
		swapped = false;
		access_lock = false;
		leave();
		goto end_poll
	}
#ifdef BROKEN_VHOST_WAITS
stopped:
	ring[old] == FREED;
	goto done;
#endif
ends:
	let_go(c);
let_go_of:
	atomic { in_list[c] = false }
}

active proctype VHOST() {
	byte c = 0, x = 0, next = 0;
	mtype m = 0;
#ifdef BROKEN_VHOST_WAITS
	byte old = 0;
#endif
	bool others_first = false;

end_poll:
	do
	:: new_connection(); goto done
	:: read_connection();
done:
		atomic { leave() }
	od
}

/* ------------------------------------------------------------------------------------- STORE */

#ifdef SILENCE
#define MAY_FALL_SILENT :: atomic { !silent -> silent = true }
#else
#define MAY_FALL_SILENT
#endif

/* What it does about each run. That it hangs for a while needs no words: it is in no hurry. */
#define STORE(r)                                                                                   \
	active proctype STORE##r() {                                                               \
end_idle:                                                                                          \
		do                                                                                 \
		:: atomic { in_flight[r] && !ended[r] && !silent -> ended[r] = true }              \
		MAY_FALL_SILENT                                                                    \
		od                                                                                 \
	}

EACH_RUN(STORE, )
