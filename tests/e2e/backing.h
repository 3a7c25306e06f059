/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests of a disk's file or device share: a disk on one that the test has made, on a file
 * system that misbehaves if that is wanted. All of it goes when the test ends.
 */
#ifndef BACKING_H
#define BACKING_H

#include <json-c/json.h>

#include "fixture.h"
#include "td_helper.h"

#define BK_MIB         (1ull << 20)
#define BK_SIZE_BYTES  (16 * BK_MIB)
#define BK_PATIENCE_MS 15000
#define BK_DEPTH       32 /* three descriptors each */

struct bk_rig {
	struct td_helper fs; /* faultfs, if there is one */
	int loop_fd;         /* -1: no loop device */
	struct td_disk disk; /* no name: there is none */
	char path[TD_PATH_MAX];
	char mount[64]; /* of a tmpfs; empty: there is none */
};

struct bk_rig *bk_rig_new(void);

/* A file of BK_SIZE_BYTES in a directory, or on faultfs. */
void bk_make_file(struct bk_rig *r, const char *dir);
void bk_make_file_on_faultfs(struct bk_rig *r);

void bk_tell_fs(struct bk_rig *r, const char *command);

/* Waits until a call waits there. Those that write to the same file queue up before it. */
void bk_wait_held(struct bk_rig *r);

/* A disk on `path`; requests for it, of up to 8 KiB. */
struct vfe_io *bk_serve(struct bk_rig *r, const char *path);

/* device.show, and its "store"; put the object that is returned. */
struct json_object *bk_show(const struct bk_rig *r, struct json_object **ret_store);

/* -1 without it. */
int64_t bk_number(struct json_object *object, const char *key);

/* Does device.show say so? */
bool bk_shows(const struct bk_rig *r, const char *key, const char *text);

/* Waits until it does. */
void bk_wait_shown(const struct bk_rig *r, const char *key, const char *text);

/* The virtio status of a write or read of 4 KiB. */
int bk_status_of(struct vfe_io *io, bool write, uint64_t offset_bytes);

void bk_truncate_to(const struct bk_rig *r, uint64_t n_bytes);

#endif
