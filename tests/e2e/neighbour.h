/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Three disks on one lcore: A is served in a thread of its own, under verified I/O, while B is in
 * trouble, which is each test's business; C comes, is used and goes meanwhile. In the end the back
 * end has what it had in the beginning.
 *
 * Only what a user would notice is checked, with bounds far wider than what is measured elsewhere:
 * seconds, where a wait for B would be longer or without end.
 */
#ifndef NEIGHBOUR_H
#define NEIGHBOUR_H

#include "fixture.h"

#include <json-c/json.h>
#include <pthread.h>
#include <stdatomic.h>

#include "td_helper.h"
#include "td_rpc.h"
#include "vfe_verify.h"

/* What C's life, and a few requests of A, may take. A's are the longer: its file may be on a disk
 * that others use, too. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define NB_BOUND_MS 10000
#define NB_A_MS     20000
#else
#define NB_BOUND_MS 2000
#define NB_A_MS     5000
#endif

/* What the back end's process has, by /proc. */
struct nb_counts {
	unsigned int n_fds, n_sockets, n_threads, n_maps, n_guest_maps;
};

struct neighbour {
	struct vfe_model model;
	struct vfe_load load;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	atomic_uint n_rounds;    /* of A's load */
	atomic_llong longest_ms; /* round */
	atomic_bool failed;      /* load.failure, or this: */
	int error;
	struct nb_counts before;
	struct td_helper helper[2]; /* ended after the test */
};

/* A is being served from here to nb_finish(). B's disk comes after this, and is gone before that:
 * what is there now is what must be there then. */
struct neighbour *nb_start(void);

/* A is served at this moment. */
void nb_a_is_served(struct neighbour *nb);

/* C's life, within NB_BOUND_MS: device.list, device.add; with `connect` a front end and a request;
 * device.del. */
void nb_c_lives(struct neighbour *nb, bool connect);

/* Both, some times. */
void nb_goes_on(struct neighbour *nb);

/* A was served well all the time, and nothing has leaked. */
void nb_finish(struct neighbour *nb);

/* A process on the other end of B's socket, or below its disk; `which` 0 or 1. Started, and it has
 * said `ready`. */
struct td_helper *nb_helper(struct neighbour *nb, unsigned int which, const char *const *argv);
struct td_helper *nb_trouble(struct neighbour *nb, const struct td_disk *disk, const char *kind,
			     const char *const *options);

/* A request that must succeed, within NB_BOUND_MS; the result is the caller's to put. */
struct json_object *nb_call(const char *method, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Wait until device.show of the disk says `state`; "" for a disk that is gone. Fails the test
 * after NB_BOUND_MS. `ret_waits_for` (may be NULL) gets waits_for, 128 bytes. */
void nb_wait_state(const char *name, const char *state, char *ret_waits_for);

/* B under load: a session with one queue of verified requests. */
struct nb_load {
	struct vfe_model model;
	struct vfe_load load;
	struct vfe_blk *blk;
};

struct nb_load *nb_load_open(const struct td_disk *disk, uint16_t depth);
struct nb_load *nb_load_open_in(const struct td_disk *disk, uint16_t depth,
				const struct vfe_region_spec *regions, unsigned int n_regions);
void nb_load_run(struct nb_load *b, uint64_t n_requests);

/* The device is gone, the rings are still here: take the last answers, and hold the file against
 * all that was acknowledged. */
void nb_load_ended(struct nb_load *b, const struct td_disk *disk);
void nb_load_close(struct nb_load *b);

#endif
