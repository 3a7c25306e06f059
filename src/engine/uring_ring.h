/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A ring, with the flags that this kernel has and the settings of its disk, and why there is none.
 */
#ifndef ENGINE_URING_RING_H
#define ENGINE_URING_RING_H

#include <liburing.h>

#include "base/error.h"
#include "base/thread_role.h"
#include "engine/store.h"

/** A ring of so many entries; IORING_SETUP_R_DISABLED is among its flags if its submitter has to
 *  enable it. 0, or -1 with *err (LIMIT, STORE, PARAMS) saying what to do. */
int uring_ring_open(unsigned int n_entries, const struct uring_settings *settings,
		    struct io_uring *ret_ring, struct error *err) IN_JOB;

#endif
