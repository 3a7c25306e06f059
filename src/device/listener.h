/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A disk's socket, on which front ends connect: its file, with mode and owner, and the descriptor
 * that listens. Who is let in is admission.h's business.
 */
#ifndef DEVICE_LISTENER_H
#define DEVICE_LISTENER_H

#include <sys/types.h>

#include "base/error.h"
#include "base/thread_role.h"

struct listener_params {
	const char *path;
	const char *name; /* the disk's, for the log */
	mode_t mode;
	gid_t gid; /* (gid_t)-1: leave */
};

/** Makes the file and listens, without blocking. The file of a socket that nobody listens on is
 *  replaced, any other is left. The descriptor, or -1 with *err (SOCKET). */
int listener_new(const struct listener_params *params, struct error *err) IN_JOB;

/** Removes the file. */
void listener_unlink(const char *path, const char *name) IN_JOB;

#endif
