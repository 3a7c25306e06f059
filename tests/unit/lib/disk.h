/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A store with its helper threads and one channel, used by one thread that takes up the role of a
 * JOB or an LCORE for each call.
 */
#ifndef UNIT_DISK_H
#define UNIT_DISK_H

#include "engine/offload.h"
#include "engine/store.h"

#define DISK_WAIT_MAX_S 30

struct disk {
	struct offload *offload;
	struct store *store;
	struct store_channel *channel;
};

/** 0, or -1 with *err set and nothing open. */
int disk_try_open(struct disk *disk, const struct store_params *params, struct error *err);

/** Fails the test when that fails. */
void disk_open(struct disk *disk, const struct store_params *params);

/** The kind that the test is to open files and devices as: aio, unless argv[1] names another. */
void disk_choose_file_kind(int argc, char **argv);
enum store_kind disk_file_kind(void);

/** Opens a file or device, with blocks of 512. */
void disk_open_path(struct disk *disk, const char *path);

/** Waits for what is in flight and closes; also a disk that is not open. For teardowns. */
void disk_close(struct disk *disk);

uint64_t disk_capacity(const struct disk *disk);
int disk_resize(struct disk *disk, uint64_t size_bytes, struct error *err);
int disk_shrink(struct disk *disk, uint64_t size_bytes, struct error *err);

void disk_submit(struct disk *disk, struct store_io **ios, unsigned int n_ios);
unsigned int disk_reap(struct disk *disk, struct store_io **ret_ios, unsigned int n_max);

/** Reaps until nothing is in flight. */
void disk_wait(struct disk *disk);

/** One operation on one buffer, from start to end; its result. */
int disk_do(struct disk *disk, enum store_op op, uint8_t flags, uint64_t offset_bytes, void *buf,
	    uint64_t n_bytes);
int disk_read(struct disk *disk, uint64_t offset_bytes, void *buf, uint64_t n_bytes);
int disk_write(struct disk *disk, uint64_t offset_bytes, void *buf, uint64_t n_bytes);
int disk_flush(struct disk *disk);

/** Memory at an address that is a multiple of 4096; fails the test when there is none. */
void *disk_buffer(size_t n_bytes);

/** Bytes that depend on the seed and the place. */
void disk_pattern(uint8_t *buf, size_t n_bytes, uint64_t seed);

#endif
