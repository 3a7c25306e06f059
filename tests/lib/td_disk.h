/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks on a back end, the same way for each kind of back end, so that one test runs against vhostd
 * with its stores and against qemu-storage-daemon.
 */
#ifndef TD_DISK_H
#define TD_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon.h"

enum td_kind { TD_VHOSTD_AIO, TD_VHOSTD_URING, TD_VHOSTD_MALLOC, TD_QSD, TD_N_KINDS };

/* By enum td_kind: "aio", "uring", "malloc", "qsd". */
extern const char *const td_kind_names[];

struct td_backend {
	enum td_kind kind;
	struct td td;
};

struct td_disk_opts {
	uint64_t size_bytes; /* 0: 64 MiB */
	uint32_t block_size; /* 0: 512 */
	uint16_t n_queues;   /* 0: 1 */
	bool readonly;
	const char *serial; /* vhostd only */
	bool pin_memory;    /* the same */
};

struct td_disk {
	char name[32];
	uint64_t size_bytes;
	char socket[TD_PATH_MAX];
	char file[TD_PATH_MAX]; /* the disk's image; empty for malloc */
};

/* 0 or -errno, as of daemon.h. */
int td_backend_start(struct td_backend *b, enum td_kind kind, const char *const *extra_argv);
int td_backend_stop(struct td_backend *b);

/* Name and add a disk; its image file is made anew. 0 or -errno; the cause goes to standard error.
 */
int td_disk_add(struct td_backend *b, struct td_disk *ret_disk, const char *name,
		const struct td_disk_opts *opts);
int td_disk_del(struct td_backend *b, const struct td_disk *disk, bool force);
int td_disk_resize(struct td_backend *b, struct td_disk *disk, uint64_t size_bytes);
int td_disk_shrink(struct td_backend *b, struct td_disk *disk, uint64_t size_bytes); /* vhostd */

/* Read the disk's image file behind the back end's back. 0, -ENOTSUP without one, -errno. */
int td_disk_peek(const struct td_disk *disk, uint64_t offset, void *ret_data, size_t n_bytes);

#endif
