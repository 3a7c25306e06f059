/* SPDX-License-Identifier: BSD-3-Clause
 *
 * In the place of store_uring.c in a build without liburing.
 */
#include <stdio.h>

#include "engine/store_kinds.h"
#include "engine/store_uring.h"

bool uring_probe(char *ret_reason, size_t n_bytes)
{
	snprintf(ret_reason, n_bytes, "this vhostd was built without io_uring");
	return false;
}

int uring_check_store(struct store *store, struct error *err)
{
	(void)store;
	return error_set(err, VHOSTD_ERR_UNSUPPORTED, "this vhostd was built without io_uring");
}

static int no_uring_open(const struct store_params *params, struct store **ret_store,
			 struct error *err)
{
	(void)params;
	(void)ret_store;
	role_assert(&role_job);
	return error_set(err, VHOSTD_ERR_UNSUPPORTED,
			 "backend: this vhostd was built without io_uring; use aio");
}

const struct store_ops store_uring_ops = {
	.kind = STORE_KIND_URING,
	.open = no_uring_open,
};
