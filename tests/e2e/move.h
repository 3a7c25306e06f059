/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests of moving virtqueues share: where a virtqueue is, a thread that keeps moving them, and
 * a verified load on two queues. The daemon has the lcores 0 and 1.
 */
#ifndef MOVE_H
#define MOVE_H

#include <json-c/json.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fixture.h"
#include "td_rpc.h"
#include "vfe_verify.h"

#define MV_PATIENCE_MS 20000

/* Hundreds of moves; tens where everything takes long. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MV_MANY 50u
#else
#define MV_MANY 300u
#endif

/* device.move; -1 for all of the disk's virtqueues. As td_rpc(); `ret_error` (may be NULL) gets the
 * name and the text of an error, 256 bytes. */
int mv_move(const struct td_disk *disk, int queue, int lcore, char *ret_error);

/* A member of a virtqueue, as device.show has it: a number, or whether it is this text. */
int64_t mv_number(const struct td_disk *disk, int queue, const char *key);
bool mv_is(const struct td_disk *disk, int queue, const char *key, const char *text);

/* Waits until it is. Fails the test after MV_PATIENCE_MS. */
void mv_wait(const struct td_disk *disk, int queue, const char *key, const char *text);

/* A thread that moves the disk's two virtqueues between the lcores without a pause. */
struct mover {
	const struct td_disk *disk;
	pthread_t thread;
	bool running;
	atomic_bool stop;
	atomic_uint n_moves; /* done */
	atomic_uint n_busy;  /* refused, or ended by a deletion */
	atomic_int error;    /* another outcome; 0 none */
};

/* It ends after the test at the latest. */
struct mover *mover_start(const struct td_disk *disk);

/* Fails the test if a move failed. The object stays until the test ends. */
void mover_stop(struct mover *mover);

/* A session with two queues, and verified requests on both. */
struct mv_load {
	struct vfe_model model;
	struct vfe_blk *blk;
	struct vfe_load load[2];
};

void mv_load_open(struct mv_load *l, const struct td_disk *disk);

/* `n` requests over both queues, with their answers. */
void mv_load_run(struct mv_load *l, uint64_t n);
void mv_load_close(struct mv_load *l);

#endif
