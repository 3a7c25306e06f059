/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Whether there is io_uring here, for who may choose.
 */
#ifndef ENGINE_STORE_URING_H
#define ENGINE_STORE_URING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/thread_role.h"

struct store;

/** Can this build, kernel and process have a ring? If not, the reason why in a few words. */
bool uring_probe(char *ret_reason, size_t n_bytes) IN_JOB;

/** Can a file store that is to be served by it have what its settings ask for? 0, or -1 with *err
 *  set. */
int uring_check_store(struct store *store, struct error *err) IN_JOB;

#endif
