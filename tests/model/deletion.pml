/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A model of how a disk is deleted, for spin (tests/model/check runs it). One disk name on one
 * lcore: added, deleted by force, added and deleted again, at any moment, while front ends connect,
 * start and stop rings, replace their memory, hang up and reconnect as they please, and the store
 * takes as long as it likes.
 *
 *   process  stands for
 *   LCORE    engine/lcore.c:lcore_poll, engine/lane.c:lane_turn, engine/queue.c
 *   CTRL     device/registry_events.c:handle_event, device/device.c, registry_add, registry_del; the
 *            operator, too
 *   JOB      device/job.c:job_thread with device_open() or device_close() (device/device_open.c), and
 *            in it rte_vhost_driver_unregister() of librte_vhost 22.11 with its retry loop
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
 *   assertions  no use of a run, lane, store, connection, disk or librte_vhost socket that was
 *               freed; no ring attached while requests of an earlier one are in flight; no front
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
 *   - vhost_user.mutex, conn_mutex and access_lock are there; fd_mutex and the lock of our list of
 *     endpoints are held for single steps.
 *   - Who wants a mutex gets it before its last owner has it again, and unregister finds the listener
 *     idle before the next front end is refused. Neither is promised, each fails with a probability
 *     that vanishes with the number of tries.
 *   - librte_vhost wants vhost_user.mutex for a connection's first message; here for each.
 *   - Guest maps, call descriptors, broken rings, resizing, a disk that can't be opened, and the
 *     JOBs that close sockets or unmap memory.
 *   - Without EARLY, front ends that come before the JOB which opened the disk has ended.
 *
 * Each BROKEN_ macro breaks one rule, and spin must find out:
 *   BROKEN_CTRL_UNREGISTERS  CTRL unregisters by itself, and VHOST waits for CTRL
 *   BROKEN_LCORE_WAITS       the lcore interrupts by rte_vhost_vring_call(), which takes access_lock
 *   BROKEN_VHOST_WAITS       VHOST waits for the drain before it answers GET_VRING_BASE
 *   BROKEN_FREE_EARLY        the lcore says "drained" before it lets go of the lane
 *   BROKEN_NO_GATE           connections are not refused before the socket is removed
 *   BROKEN_NO_HOLD           a new connection's ring is attached at once
 *   BROKEN_CUT_OFF_FIRST     a deletion shuts the connection down before its requests have ended
 *   BROKEN_CUT_OFF_SOON      a deletion shuts it down when one of its rings has drained
 *   BROKEN_CUT_OFF_ONCE      only the beginning of a deletion shuts it down, no drain does
 *   BROKEN_LATE_STAYS        one that came through the gate just before it closed is not shut down
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
	OPENED, CLOSED, RUN_START, RUN_STOP, QUEUE_DRAINED, JOB_DONE, /* to CTRL */
	NEW, LISTENING, ATTACHING, RUNNING, QUIESCING, REMOVING,     /* enum device_state */
	GONE,
	MADE, HELD, ATTACHED, STOPPING, DRAINED,                      /* enum run_state */
	POLLING, DRAINING,                                            /* enum queue_state */
	KICK, SET_MEM_TABLE, GET_VRING_BASE,                          /* from a front end */
	OPEN, CLOSE,                                                  /* a JOB's work */
	FREED
}

/* lcore->inbox: a run; registry_params.events: a connection or run */
chan inbox = [2 * N_RUNS + 1] of { mtype, byte };
chan events = [2 * N_CONNS + 3 * N_RUNS + 1] of { mtype, byte };

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
bool shut[N_CONNS];       /* conn->sock was shut down by us */
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
bool mutex = false, mutex_wanted = false;           /* vhost_user.mutex */
bool conn_mutex = false, conn_mutex_wanted = false; /* vsocket->conn_mutex */
bool access_lock = false;                           /* vq->access_lock */
byte vsocket = NONE;      /* exists */
byte listening = NONE;    /* vsocket whose listener is in the fdset */
bool in_list[N_CONNS];    /* the connection is in the fdset and in vsocket->conn_list */
byte busy = NONE;         /* the entry of the fdset whose callback runs */
bool spins = false;       /* unregister has found the listener busy */

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

/* ------------------------------------------------------------------- rte_vhost_driver_unregister */

/* pthread_mutex_lock() by a JOB */
#define LOCK(m) atomic { !m && !m##_wanted -> m = true }

/* fdset_try_del() of a connection and what follows; `again` when its callback runs. */
#define TRY_CONN(c)                                                                                \
	:: atomic {                                                                                \
		in_list[c] ->                                                                      \
		if                                                                                 \
		:: busy == c -> conn_mutex = false; mutex = false; goto again                      \
		:: else ->                                                                         \
			assert(vhost_conn != c); /* no callback tells us of this end */            \
			in_list[c] = false;                                                        \
			shut[c] = true                                                             \
		fi                                                                                 \
	}

#define IN_LIST(c) in_list[c]

inline unregister() {
	true; /* an inline must not begin with a label */
again:
	LOCK(mutex);
	atomic {
		if
		:: busy == LISTENER -> mutex = false; spins = true; goto again
		:: else -> listening = NONE; spins = false
		fi
	}
	LOCK(conn_mutex);
	do
	EACH_CONN(TRY_CONN, )
	:: !(EACH_CONN(IN_LIST, ||)) -> break
	od;
	conn_mutex = false;
	d_step { vsocket = NONE; mutex = false }
}

/* --------------------------------------------------------------------------------------- JOB */

#define IN_FLIGHT(r) in_flight[r]

active proctype JOB() {
end_idle:
	do
	:: job == OPEN ->
end_open:
		!silent;
		atomic {
			!mutex && !mutex_wanted ->
			store = disk;
			lane = disk;
			listed = disk;
			vsocket = disk
		}
#ifdef EARLY
		listening = disk;
		d_step { job = 0; SEND(events, JOB_DONE, OPEN) }
#else
		d_step { listening = disk; job = 0; SEND(events, JOB_DONE, OPEN) }
#endif
	:: job == CLOSE ->
#ifndef BROKEN_CTRL_UNREGISTERS
		unregister();
#endif
		d_step { /* lane_free() */
			listed = NONE;
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
	:: kind == OPENED ->
		CHECK_CONN(id);
		n_opened++;
		disk_conn = id;
		on_connected();
#ifndef BROKEN_LATE_STAYS
		if
		:: state == QUIESCING -> cut_off()
		:: else
		fi
#endif
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
			assert(!RUN_ALIVE(i))
		}
		for (i : 0 .. N_CONNS - 1) {
			assert(conn[i] == 0 || conn[i] == FREED)
		}
		i = 0;
		job_running = false;
		state = GONE;
		disk = NONE;
		n_opened = 0;
		n_accepted = 0;
		n_attached = 0;
		gate_count = 0;
		gate_closed = false
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
	:: kind != RUN_START && kind != JOB_DONE -> remove_if_quiet()
	:: else
	fi;
	ends = false;
	kind = 0;
	id = 0;
}

#ifdef BROKEN_NO_GATE
#define ALL_SEEN true
#else
#define ALL_SEEN (n_opened == n_accepted)
#endif

#define IS_CLOSED(c) conn[c] == CLOSED

inline remove_if_quiet() {
	if
	:: state == QUIESCING && disk_conn == NONE && ALL_SEEN && !job_running &&
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

inline refuse() {
	state = QUIESCING;
	n_accepted = gate_count; /* endpoint_refuse() */
#ifndef BROKEN_NO_GATE
	gate_closed = true
#endif
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
	:: state == LISTENING || state == ATTACHING || state == RUNNING ->
		d_step { refuse() } /* registry_del(), device_quiesce() */
#ifdef BROKEN_CTRL_UNREGISTERS
		unregister();
#endif
		d_step { stop_runs() }
		d_step { disconnect_if_drained(); remove_if_quiet() }
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
#ifdef BROKEN_CTRL_UNREGISTERS
	conn[c] != OPEN /* until CTRL has seen it */
#endif
}

/* pthread_mutex_lock() by VHOST; in an atomic */
#define WAIT_FOR(m)                                                                                \
	if                                                                                         \
	:: !m                                                                                      \
	:: else -> m##_wanted = true; !m -> m##_wanted = false                                     \
	fi

/* vhost_user_add_connection() with on_new_connection(). An old front end has hung up, or has not. */
inline new_connection() {
	atomic {
		listening != NONE && !spins && !others_first && !silent ->
		busy = LISTENER;
		assert(listed == listening); /* find_endpoint() */
		CHECK_ENDPOINT(listed);
		if
		:: vhost_conn == NONE -> goto admit
		:: vhost_conn != NONE -> goto done /* a second one is refused */
		:: vhost_conn != NONE -> c = vhost_conn
		fi
	}
	let_go(c);
admit:
	atomic {
		CHECK_ENDPOINT(listed);
		if
		:: gate_closed || n_conns == N_CONNS -> goto done
		:: else -> gate_count++
		fi
	}
	atomic {
		CHECK_ENDPOINT(listed);
		c = n_conns;
		n_conns++;
		conn[c] = OPEN;
		conn_disk[c] = listed;
		vhost_conn = c;
		SEND(events, OPENED, c)
	}
	/* No JOB has conn_mutex: it would have found the listener busy. */
	atomic { assert(!conn_mutex && vsocket == listed); in_list[c] = true }
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
		WAIT_FOR(mutex); /* vhost_driver_callback_get() */
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
	atomic { WAIT_FOR(conn_mutex); assert(vsocket != NONE); in_list[c] = false }
}

active proctype VHOST() {
	byte c = 0, x = 0;
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
