/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How a front end's socket gets into librte_vhost, which takes none from its user: it accepts
 * connections itself, on sockets that it listens on itself. So it listens on one, a private one,
 * and a connection of our own to that, the carrier, has it accept. The descriptor that it then has
 * is found and made to be the front end's by dup3(), before librte_vhost has looked at it. With
 * that the carrier has done its work and is closed.
 *
 * The private socket has a file only until librte_vhost listens on it. /proc/self/fd leads to it
 * from then on: nobody else connects, nobody can take it away, and a crash leaves nothing behind.
 */
#ifndef DEVICE_CARRIER_H
#define DEVICE_CARRIER_H

#include "base/error.h"
#include "base/thread_role.h"

/** Chooses the path of the private socket, on which librte_vhost is to listen. 0, or -1 with *err
 *  set. */
int carriers_init(const char *socket_dir, struct error *err);

const char *carriers_path(void);

/** It listens: removes the file. 0, or -1 with *err set. */
int carriers_hide_path(struct error *err);

/** A carrier, close() ends it. -1 with errno set when there are too few descriptors for it and for
 *  librte_vhost's. *ret_likely: the number that librte_vhost's descriptor will have, if nobody else
 *  takes it meanwhile. */
int carrier_new(int *ret_likely);

/** Has librte_vhost's event thread accept it; never blocks. 0, or -1 with errno set. */
int carrier_send(int carrier);

/** The descriptor that librte_vhost has just accepted. -1: there is none, which is a bug. */
int carrier_arrived(int likely) IN_VHOST;

#endif
