/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/disk.h"

#include <stdlib.h>
#include <time.h>

#include "lib/random.h"
#include "lib/unit.h"

#define REAP_MAX 64

static enum store_kind file_kind = STORE_KIND_AIO;

static int open_all(struct disk *disk, const struct store_params *params, struct error *err) IN_JOB
{
	struct store_params with_offload = *params;

	if (offload_new(&disk->offload, err))
		return -1;
	with_offload.offload = disk->offload;
	if (store_open(&with_offload, &disk->store, err))
		goto free_offload;
	if (store_channel_open(disk->store, NULL, &disk->channel, err))
		goto close_store;
	return 0;

close_store:
	store_close(disk->store);
free_offload:
	offload_free(disk->offload);
	*disk = (struct disk){0};
	return -1;
}

int disk_try_open(struct disk *disk, const struct store_params *params, struct error *err)
{
	int ret;

	*disk = (struct disk){0};
	role_enter(&role_job);
	ret = open_all(disk, params, err);
	role_leave(&role_job);
	return ret;
}

void disk_open(struct disk *disk, const struct store_params *params)
{
	struct error err = {0};

	if (disk_try_open(disk, params, &err))
		fail_msg("%s", err.text);
}

void disk_choose_file_kind(int argc, char **argv)
{
	if (argc > 1)
		assert_int_equal(store_kind_parse(argv[1], &file_kind), 0);
}

enum store_kind disk_file_kind(void)
{
	return file_kind;
}

void disk_open_path(struct disk *disk, const char *path)
{
	disk_open(disk, &(struct store_params){.kind = file_kind,
					       .name = "test",
					       .path = path,
					       .block_size_bytes = 512});
}

static void reap_all(struct disk *disk)
{
	struct timespec pause = {.tv_nsec = 100000}, now, start;
	struct store_io *ios[REAP_MAX];

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		if (!disk_reap(disk, ios, REAP_MAX))
			nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (disk->channel->n_inflight && now.tv_sec - start.tv_sec < DISK_WAIT_MAX_S);
}

void disk_close(struct disk *disk)
{
	if (!disk->store)
		return;
	reap_all(disk);
	role_enter(&role_job);
	store_channel_close(disk->channel);
	store_close(disk->store);
	role_leave(&role_job);
	offload_free(disk->offload);
	*disk = (struct disk){0};
}

uint64_t disk_capacity(const struct disk *disk)
{
	return atomic_load(&disk->store->capacity_bytes);
}

static int resize(struct disk *disk, uint64_t size_bytes, bool shrink, struct error *err)
{
	int ret;

	role_enter(&role_job);
	ret = store_resize(disk->store, size_bytes, shrink, err);
	role_leave(&role_job);
	return ret;
}

int disk_resize(struct disk *disk, uint64_t size_bytes, struct error *err)
{
	return resize(disk, size_bytes, false, err);
}

int disk_shrink(struct disk *disk, uint64_t size_bytes, struct error *err)
{
	return resize(disk, size_bytes, true, err);
}

void disk_submit(struct disk *disk, struct store_io **ios, unsigned int n_ios)
{
	role_enter(&role_lcore);
	store_submit(disk->channel, ios, n_ios);
	role_leave(&role_lcore);
}

unsigned int disk_reap(struct disk *disk, struct store_io **ret_ios, unsigned int n_max)
{
	unsigned int n;

	role_enter(&role_lcore);
	n = store_reap(disk->channel, ret_ios, n_max);
	role_leave(&role_lcore);
	return n;
}

void disk_wait(struct disk *disk)
{
	reap_all(disk);
	if (disk->channel->n_inflight)
		fail_msg("%u operations haven't ended after %d s", disk->channel->n_inflight,
			 DISK_WAIT_MAX_S);
}

int disk_do(struct disk *disk, enum store_op op, uint8_t flags, uint64_t offset_bytes, void *buf,
	    uint64_t n_bytes)
{
	/* Static: a test that fails leaves it in flight. */
	static struct store_io io;
	static struct iovec iov;
	struct store_io *ios[] = {&io};
	bool has_data = op == STORE_READ || op == STORE_WRITE;

	iov = (struct iovec){buf, n_bytes};
	io = (struct store_io){.op = (uint8_t)op,
			       .flags = flags,
			       .n_iov = has_data,
			       .result = 1,
			       .offset_bytes = offset_bytes,
			       .n_bytes = n_bytes,
			       .iov = has_data ? &iov : NULL};
	disk_submit(disk, ios, 1);
	disk_wait(disk);
	return io.result;
}

int disk_read(struct disk *disk, uint64_t offset_bytes, void *buf, uint64_t n_bytes)
{
	return disk_do(disk, STORE_READ, 0, offset_bytes, buf, n_bytes);
}

int disk_write(struct disk *disk, uint64_t offset_bytes, void *buf, uint64_t n_bytes)
{
	return disk_do(disk, STORE_WRITE, 0, offset_bytes, buf, n_bytes);
}

int disk_flush(struct disk *disk)
{
	return disk_do(disk, STORE_FLUSH, 0, 0, NULL, 0);
}

void *disk_buffer(size_t n_bytes)
{
	void *buf = aligned_alloc(4096, (n_bytes + 4095) / 4096 * 4096);

	assert_non_null(buf);
	return buf;
}

void disk_pattern(uint8_t *buf, size_t n_bytes, uint64_t seed)
{
	struct random r = {.state = seed * 2 + 1};

	for (size_t i = 0; i < n_bytes; i += sizeof(uint64_t)) {
		uint64_t word = random_next(&r);
		size_t n = n_bytes - i < sizeof(word) ? n_bytes - i : sizeof(word);

		memcpy(buf + i, &word, n);
	}
}
