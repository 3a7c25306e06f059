/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Chooses between the kernel's aio and io_uring for a file or block device. The rule:
 *
 *   iopoll or sqpoll_cpu    uring, which alone has them
 *   no io_uring here        aio
 *   tmpfs                   aio, which copies at once; io_uring would leave each request to another
 *                           thread, at a quarter of the requests per second or less
 *   no O_DIRECT             aio: helper threads read and write either way
 *   else                    uring: as fast as aio with few requests in flight and a little faster
 *                           with many, a flush or discard doesn't cost a helper thread's wake-up,
 * and the sysctl fs.aio-max-nr doesn't limit the number of disks
 *
 * Measured with random 4 KiB requests on ext4 and tmpfs, Linux 6.18, 1 to 128 of them in flight;
 * tests/run.sh --bench storage does it again.
 */
#include <stdio.h>

#include "engine/store_file.h"
#include "engine/store_uring.h"

/* Which it is to be; the reason goes to ret_why. */
static const struct store_ops *choose(const struct file_store *s, char *ret_why) IN_JOB
{
	if (s->uring.iopoll || s->uring.sqpoll) {
		snprintf(ret_why, STORE_WHY_BYTES, "%s is its own",
			 s->uring.iopoll ? "iopoll" : "sqpoll_cpu");
		return &store_uring_ops;
	}
	if (!uring_probe(ret_why, STORE_WHY_BYTES))
		return &store_aio_ops;
	if (s->in_memory) {
		snprintf(ret_why, STORE_WHY_BYTES,
			 "on tmpfs it copies at once, and io_uring leaves that to other threads");
		return &store_aio_ops;
	}
	if (!s->direct) {
		snprintf(ret_why, STORE_WHY_BYTES,
			 "without O_DIRECT helper threads read and write either way");
		return &store_aio_ops;
	}
	snprintf(ret_why, STORE_WHY_BYTES,
		 "with O_DIRECT it is as fast as aio, or faster with many requests in flight");
	return &store_uring_ops;
}

static int auto_open(const struct store_params *params, struct store **ret_store, struct error *err)
{
	struct store *store;

	role_assert(&role_job);
	if (file_open(params, &store_aio_ops, &store, err))
		return -1;
	store->ops = choose((const struct file_store *)store, store->why);
	if (store->ops == &store_uring_ops && uring_check_store(store, err)) {
		file_close(store);
		return -1;
	}
	*ret_store = store;
	return 0;
}

const struct store_ops store_auto_ops = {
	.kind = STORE_KIND_AUTO,
	.open = auto_open,
};
