/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/uring_ring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "engine/store_uring.h"

#define SQ_IDLE_MS 1 /* then the kernel's thread sleeps until it is woken */

/* Best first. */
static const unsigned int ring_flags[] = {
	/* Linux 6.1 */
	IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
	/* 5.19 */
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
	0,
};

/* With a kernel thread that submits, which runs what there is to run, too. */
static const unsigned int sqpoll_flags[] = {
	IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_SUBMIT_ALL,
	IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF,
};

static int make_ring(unsigned int n_entries, const struct uring_settings *settings,
		     struct io_uring *ret_ring)
{
	const unsigned int *flags = settings->sqpoll ? sqpoll_flags : ring_flags;
	unsigned int n = settings->sqpoll ? ARRAY_LEN(sqpoll_flags) : ARRAY_LEN(ring_flags);
	int ret = -EINVAL;

	for (unsigned int i = 0; i < n && ret == -EINVAL; i++) {
		struct io_uring_params params = {
			.flags = flags[i] | (settings->iopoll ? IORING_SETUP_IOPOLL : 0),
			.sq_thread_cpu = settings->sqpoll_cpu,
			.sq_thread_idle = SQ_IDLE_MS,
		};

		ret = io_uring_queue_init_params(n_entries, ret_ring, &params);
		/* Of 5.6, as are the operations we need. */
		if (ret == 0 && !(params.features & IORING_FEAT_RW_CUR_POS)) {
			io_uring_queue_exit(ret_ring);
			return -ENOSYS;
		}
	}
	return ret;
}

/* The sysctl kernel.io_uring_disabled; 0 where there is none. */
static int disabled_by_sysctl(void)
{
	FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
	int value = 0;

	if (file && fscanf(file, "%d", &value) != 1)
		value = 0;
	if (file)
		fclose(file);
	return value;
}

/* Why there is no ring: what is so, and what to do about it. */
struct no_ring {
	char reason[128];
	const char *remedy;
};

static void explain(int ret, struct no_ring *no)
{
	int disabled = ret == -EPERM ? disabled_by_sysctl() : 0;

	if (ret == -ENOSYS) {
		snprintf(no->reason, sizeof(no->reason),
			 "this kernel's io_uring is missing or too old");
		no->remedy = "take Linux 5.6 or later";
	} else if (disabled) {
		snprintf(no->reason, sizeof(no->reason),
			 "io_uring is switched off by the sysctl kernel.io_uring_disabled, which "
			 "is %d",
			 disabled);
		no->remedy = "set it to 0";
	} else if (ret == -EPERM || ret == -EACCES) {
		snprintf(no->reason, sizeof(no->reason), "io_uring is forbidden to vhostd");
		no->remedy = "allow it in the system call filter";
	} else {
		snprintf(no->reason, sizeof(no->reason), "io_uring can't be had: %s",
			 strerror(-ret));
		no->remedy = ret == -ENOMEM ? "raise the limit of locked memory (LimitMEMLOCK=)"
					    : "raise the limit of open files (LimitNOFILE=)";
	}
}

static int no_ring(int ret, const struct uring_settings *settings, struct error *err)
{
	bool limit = ret == -ENOMEM || ret == -EMFILE || ret == -ENFILE;
	struct no_ring no;

	if (ret == -EINVAL && settings->sqpoll)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "sqpoll_cpu: %u is no CPU that vhostd may use",
				 settings->sqpoll_cpu);
	explain(ret, &no);
	return error_set(err, limit ? VHOSTD_ERR_LIMIT : VHOSTD_ERR_STORE,
			 "backend: %s; %s, or use aio", no.reason, no.remedy);
}

bool uring_probe(char *ret_reason, size_t n_bytes)
{
	struct io_uring ring;
	struct no_ring no;
	int ret = make_ring(1, &(struct uring_settings){0}, &ring);

	if (ret) {
		explain(ret, &no);
		snprintf(ret_reason, n_bytes, "%s", no.reason);
		return false;
	}
	io_uring_queue_exit(&ring);
	return true;
}

int uring_ring_open(unsigned int n_entries, const struct uring_settings *settings,
		    struct io_uring *ret_ring, struct error *err)
{
	int ret = make_ring(n_entries, settings, ret_ring);

	return ret ? no_ring(ret, settings, err) : 0;
}
