/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests of hostile front ends share: a device under attack, a bystander on another device, and
 * the checks that hold after any attack. The attacker uses raw messages on `blk->conn.sock`.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "fixture.h"

struct attack {
	struct td_disk *disk;       /* under attack; one queue of 128 */
	struct vfe_blk *blk;        /* the attacker's session */
	struct vfe_io *other;       /* on another device */
	unsigned int n_connections; /* the attacker's */
	int log_lines;
	unsigned int n_fds;
};

/* Bystander running, nothing connected to the attacked device. */
void attack_init(struct attack *a);

/*
 * A fresh connection of the attacker, the old one closed: only connected; or negotiated with rings
 * made but nothing started; or started.
 */
void attack_connect(struct attack *a);
void attack_prepare(struct attack *a);
void attack_start(struct attack *a);

/* The bystander is served, quickly, right now. */
void attack_bystander(struct attack *a);

/* Is the attacker's connection still usable? Asks for the features. */
bool attack_connected(struct attack *a);

/* Send; an error (the back end has hung up) is as good. */
void attack_send(struct attack *a, const struct vfe_msg *msg, const struct vfe_fds *fds);
void attack_send_u64(struct attack *a, uint32_t request, uint64_t value, int fd);
void attack_send_vring(struct attack *a, uint32_t request, uint32_t index, uint32_t num);

/*
 * The attacker leaves. Then: the daemon lives, the bystander is served, the attacked device serves
 * a proper front end, no descriptor has leaked, the log is short (a few lines for each connection).
 */
void attack_finish(struct attack *a);

#endif
