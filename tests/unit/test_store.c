/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What all kinds of stores have in common: data, results, capacity, resizing. No EAL.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/disk.h"
#include "lib/disk_verify.h"
#include "lib/scratch.h"
#include "lib/unit.h"

#define MIB        (1ull << 20)
#define DISK_BYTES (32 * MIB)
#define TURN_BYTES 65536 /* what malloc copies at most for each reap */

static struct scratch here, shm;
static struct disk disk;
static uint8_t *model;
static char path[SCRATCH_PATH_MAX];

static void open_memory(enum store_kind kind, uint64_t n_bytes, uint32_t block_size)
{
	disk_open(&disk, &(struct store_params){.kind = kind,
						.name = "test",
						.size_bytes = n_bytes,
						.block_size_bytes = block_size});
}

static void open_file(const struct scratch *s, uint64_t n_bytes)
{
	assert_int_equal(scratch_file(s, "disk", n_bytes, path), 0);
	disk_open_path(&disk, path);
}

static void test_names(void **state)
{
	static const char *const names[STORE_N_KINDS] = {"auto", "aio", "uring", "malloc", "null"};
	enum store_kind kind = STORE_N_KINDS;

	(void)state;
	for (unsigned int i = 0; i < STORE_N_KINDS; i++) {
		assert_string_equal(store_kind_name((enum store_kind)i), names[i]);
		assert_int_equal(store_kind_parse(names[i], &kind), 0);
		assert_int_equal(kind, i);
	}
	assert_int_equal(store_kind_parse("AIO", &kind), -EINVAL);
	assert_int_equal(store_kind_parse("", &kind), -EINVAL);
	assert_int_equal(kind, STORE_N_KINDS - 1);
	assert_string_equal(store_kind_name(STORE_N_KINDS), "?");
}

/* The disk holds the model after random operations, in both halves of a run with a reopening (of
 * files) between them, and so does the file. */
static void verify_memory(uint32_t block_size)
{
	const struct verify_params params = {11, 300, 24, block_size};

	open_memory(STORE_KIND_MALLOC, DISK_BYTES, block_size);
	disk_verify(&disk, &params, model);
	assert_int_equal(atomic_load(&disk.store->n_errors), 0);
}

static void test_verify_malloc(void **state)
{
	(void)state;
	verify_memory(512);
}

static void test_verify_malloc_4k(void **state)
{
	(void)state;
	verify_memory(4096);
}

static void compare_file(void)
{
	uint8_t *got = disk_buffer(DISK_BYTES);
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	assert_int_equal(fread(got, 1, DISK_BYTES, file), DISK_BYTES);
	fclose(file);
	assert_memory_equal(got, model, DISK_BYTES);
	free(got);
}

static void verify_file(const struct scratch *s)
{
	struct verify_params params = {21, 300, 24, 512};

	open_file(s, DISK_BYTES);
	disk_verify(&disk, &params, model);
	disk_close(&disk);
	compare_file();
	disk_open_path(&disk, path);
	params.seed = 22;
	disk_verify(&disk, &params, model);
	assert_int_equal(atomic_load(&disk.store->n_errors), 0);
	compare_file();
}

static void test_verify_shm(void **state)
{
	(void)state;
	verify_file(&shm);
}

static void test_verify_file(void **state)
{
	(void)state;
	verify_file(&here);
}

/* Everything succeeds, and reads leave the buffer. */
static void test_null(void **state)
{
	uint8_t buf[1024], old[1024];

	(void)state;
	open_memory(STORE_KIND_NULL, MIB + 511, 512);
	assert_int_equal(disk_capacity(&disk), MIB);
	disk_pattern(buf, sizeof(buf), 1);
	memcpy(old, buf, sizeof(old));
	assert_int_equal(disk_read(&disk, 0, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, old, sizeof(old));
	assert_int_equal(disk_write(&disk, 512, buf, sizeof(buf)), 0);
	assert_int_equal(disk_flush(&disk), 0);
	assert_int_equal(disk_do(&disk, STORE_DISCARD, 0, 0, NULL, MIB), 0);
	assert_int_equal(disk_do(&disk, STORE_WRITE_ZEROES, STORE_IO_UNMAP, 0, NULL, MIB), 0);
}

#define N_SMALL 100

/* A reap returns no more than was asked for, and each operation once. */
static void check_reaping(void)
{
	static struct store_io ios[N_SMALL];
	static struct iovec iov[N_SMALL];
	static uint8_t bytes[N_SMALL][512] __attribute__((aligned(512)));
	struct store_io *list[N_SMALL], *got[8] = {NULL};
	unsigned int n, n_got = 0;

	for (unsigned int i = 0; i < N_SMALL; i++) {
		iov[i] = (struct iovec){bytes[i], 512};
		ios[i] = (struct store_io){.op = STORE_READ,
					   .n_iov = 1,
					   .result = 1,
					   .offset_bytes = i * 512,
					   .n_bytes = 512,
					   .iov = &iov[i]};
		list[i] = &ios[i];
	}
	disk_submit(&disk, list, N_SMALL);
	assert_int_equal(disk.channel->n_inflight, N_SMALL);
	for (unsigned int tries = 0; n_got < N_SMALL && tries < 1000000; tries++) {
		n = disk_reap(&disk, got, 7);
		assert_true(n <= 7);
		assert_null(got[7]);
		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(got[i]->result, 0);
			got[i]->result = 2;
		}
		n_got += n;
		assert_int_equal(disk.channel->n_inflight, N_SMALL - n_got);
		if (n == 0)
			usleep(10);
	}
	assert_int_equal(n_got, N_SMALL);
	for (unsigned int i = 0; i < N_SMALL; i++)
		assert_int_equal(ios[i].result, 2);
	assert_int_equal(disk_reap(&disk, got, 7), 0);
}

static void test_reaping(void **state)
{
	(void)state;
	open_memory(STORE_KIND_NULL, MIB, 512);
	check_reaping();
	disk_close(&disk);
	open_memory(STORE_KIND_MALLOC, MIB, 512);
	check_reaping();
	disk_close(&disk);
	open_file(&here, MIB);
	check_reaping();
}

/* A channel that has long operations does a bounded part of them for each reap. */
static void test_malloc_turns(void **state)
{
	static struct store_io io;
	static struct iovec iov;
	struct store_io *ios[] = {&io}, *got[4];
	uint8_t *buf = disk_buffer(MIB);
	unsigned int n_reaps = 1;

	(void)state;
	open_memory(STORE_KIND_MALLOC, MIB, 512);
	disk_pattern(buf, MIB, 3);
	iov = (struct iovec){buf, MIB};
	io = (struct store_io){
		.op = STORE_WRITE, .n_iov = 1, .result = 1, .n_bytes = MIB, .iov = &iov};
	disk_submit(&disk, ios, 1);
	while (disk_reap(&disk, got, 4) == 0)
		n_reaps++;
	assert_true(n_reaps >= MIB / TURN_BYTES); /* more where copying takes long */
	assert_int_equal(io.result, 0);
	memset(buf, 0, MIB);
	assert_int_equal(disk_read(&disk, 0, buf, MIB), 0);
	disk_pattern(model, MIB, 3);
	assert_memory_equal(buf, model, MIB);
	free(buf);
}

/* Two channels of one store see the same bytes. */
static void test_two_channels(void **state)
{
	struct store_channel *first, *second;
	struct error err = {0};
	uint8_t bytes[512], got[512];

	(void)state;
	open_memory(STORE_KIND_MALLOC, MIB, 512);
	first = disk.channel;
	role_enter(&role_job);
	if (store_channel_open(disk.store, NULL, &second, &err))
		second = NULL;
	role_leave(&role_job);
	assert_non_null(second);
	disk_pattern(bytes, sizeof(bytes), 4);
	assert_int_equal(disk_write(&disk, 1024, bytes, sizeof(bytes)), 0);
	disk.channel = second;
	assert_int_equal(disk_read(&disk, 1024, got, sizeof(got)), 0);
	disk.channel = first;
	role_enter(&role_job);
	store_channel_close(second);
	role_leave(&role_job);
	assert_memory_equal(got, bytes, sizeof(got));
}

/* Calls `visit` with each line of /proc/self/smaps after the header of a mapping of the memfd. */
static unsigned int count_malloc_maps(const char *flag)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	unsigned int n = 0;
	char line[1024];
	bool ours = false;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		const char *dash = strchr(line, '-'), *space = strchr(line, ' ');

		if (dash && space && dash < space) /* FROM-TO ...: a mapping's first line */
			ours = strstr(line, "memfd:vhostd-malloc") != NULL;
		if (ours && strncmp(line, "VmFlags:", 8) == 0)
			n += !flag || strstr(line, flag);
	}
	fclose(maps);
	return n;
}

/* Guests' data is not for core dumps. */
static void test_malloc_not_dumped(void **state)
{
	struct error err = {0};

	(void)state;
	open_memory(STORE_KIND_MALLOC, MIB, 512);
	assert_int_not_equal(count_malloc_maps(NULL), 0);
	assert_int_equal(count_malloc_maps(" dd "), count_malloc_maps(NULL));
	assert_int_equal(disk_resize(&disk, 4 * MIB, &err), 0);
	assert_int_equal(count_malloc_maps(" dd "), count_malloc_maps(NULL));
}

/* What the memfd of the only malloc disk takes, in bytes. */
static uint64_t malloc_bytes(void)
{
	for (int fd = 3; fd < 256; fd++) {
		char link[64], target[128] = "";
		struct stat st;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (readlink(link, target, sizeof(target) - 1) > 0 &&
		    strstr(target, "memfd:vhostd-malloc") && fstat(fd, &st) == 0)
			return (uint64_t)st.st_blocks * 512;
	}
	fail_msg("no malloc disk is open");
	return 0;
}

/* A large discard gives memory back; the rest of the disk stays as it is. */
static void test_malloc_discard(void **state)
{
	uint8_t *buf = disk_buffer(4 * MIB);

	(void)state;
	open_memory(STORE_KIND_MALLOC, 4 * MIB, 512);
	assert_int_equal(malloc_bytes(), 0);
	disk_pattern(buf, 4 * MIB, 5);
	assert_int_equal(disk_write(&disk, 0, buf, 4 * MIB), 0);
	assert_int_equal(malloc_bytes(), 4 * MIB);
	assert_int_equal(disk_do(&disk, STORE_DISCARD, 0, MIB, NULL, 2 * MIB), 0);
	assert_int_equal(malloc_bytes(), 2 * MIB);
	memset(buf + MIB, 0, 2 * MIB);
	disk_compare(&disk, buf);
	free(buf);
}

/* Of a range that begins and ends inside of pages, all whole pages are given back. */
static void test_malloc_discard_unaligned(void **state)
{
	uint8_t *buf = disk_buffer(4 * MIB);

	(void)state;
	open_memory(STORE_KIND_MALLOC, 4 * MIB, 512);
	disk_pattern(buf, 4 * MIB, 7);
	assert_int_equal(disk_write(&disk, 0, buf, 4 * MIB), 0);
	assert_int_equal(disk_do(&disk, STORE_DISCARD, 0, 512, NULL, 3 * MIB), 0);
	assert_int_equal(malloc_bytes(), MIB + 4096);
	memset(buf + 512, 0, 3 * MIB);
	disk_compare(&disk, buf);
	free(buf);
}

/* Growing keeps the data, and the new end can be used at once. */
static void check_growth(uint64_t from, uint64_t to)
{
	uint8_t bytes[1024], got[1024], zeroes[512] = {0};
	struct error err = {0};

	disk_pattern(bytes, sizeof(bytes), 6);
	assert_int_equal(disk_write(&disk, from - 1024, bytes, 1024), 0);
	if (disk_resize(&disk, to, &err))
		fail_msg("%s", err.text);
	assert_int_equal(disk_capacity(&disk), to);
	assert_int_equal(disk_read(&disk, from - 1024, got, 1024), 0);
	assert_memory_equal(got, bytes, 1024);
	assert_int_equal(disk_read(&disk, from, got, 512), 0);
	assert_memory_equal(got, zeroes, 512);
	assert_int_equal(disk_write(&disk, to - 1024, bytes, 1024), 0);
	assert_int_equal(disk_read(&disk, to - 1024, got, 1024), 0);
	assert_memory_equal(got, bytes, 1024);
	assert_int_equal(disk_resize(&disk, to, &err), 0);
}

/* Only when it is meant; the data stays, and so does what lies behind the end. */
static void check_shrinking(uint64_t from, uint64_t to)
{
	uint8_t bytes[512], got[512];
	struct error err = {0};

	disk_pattern(bytes, sizeof(bytes), 7);
	assert_int_equal(disk_write(&disk, to - 512, bytes, 512), 0);
	assert_int_equal(disk_write(&disk, from - 512, bytes, 512), 0);
	if (disk_shrink(&disk, to, &err))
		fail_msg("%s", err.text);
	assert_int_equal(disk_capacity(&disk), to);
	assert_int_equal(disk_read(&disk, to - 512, got, 512), 0);
	assert_memory_equal(got, bytes, 512);
	assert_int_equal(disk_read(&disk, from - 512, got, 512), 0); /* it was in flight */
	assert_int_equal(disk_resize(&disk, from, &err), 0);
	assert_int_equal(disk_read(&disk, from - 512, got, 512), 0);
	assert_memory_equal(got, bytes, 512);
	assert_int_equal(disk_shrink(&disk, 511, &err), -1);
	assert_string_equal(err.text, "size: less than one block is no size");
}

static void check_refusal(uint64_t size, enum vhostd_error code, const char *word)
{
	uint64_t old = disk_capacity(&disk);
	struct error err = {0};

	assert_int_equal(disk_resize(&disk, size, &err), -1);
	assert_string_equal(error_name(err.code), error_name(code));
	assert_fault(err.text, "size: ");
	assert_fault(err.text, word);
	assert_int_equal(disk_capacity(&disk), old);
}

static void test_resize_malloc(void **state)
{
	(void)state;
	open_memory(STORE_KIND_MALLOC, MIB + 1536, 512);
	check_growth(MIB + 1536, 8 * MIB + 512);
	check_growth(8 * MIB + 512, 64 * MIB);
	check_refusal(MIB, VHOSTD_ERR_PARAMS, "1048576 is less than the disk has (67108864)");
	check_shrinking(64 * MIB, MIB + 512);
	check_refusal(1ull << 50, VHOSTD_ERR_UNSUPPORTED, "1125899906842624; this disk can have");
	check_refusal(0, VHOSTD_ERR_PARAMS, "a malloc disk has no file");
}

static void test_resize_null(void **state)
{
	struct error err = {0};

	(void)state;
	open_memory(STORE_KIND_NULL, MIB, 4096);
	assert_int_equal(disk_resize(&disk, 2 * MIB + 512, &err), 0);
	assert_int_equal(disk_capacity(&disk), 2 * MIB);
	check_refusal(MIB, VHOSTD_ERR_PARAMS, "1048576 is less than the disk has (2097152)");
	assert_int_equal(disk_shrink(&disk, MIB, &err), 0);
	assert_int_equal(disk_capacity(&disk), MIB);
	check_refusal(0, VHOSTD_ERR_PARAMS, "a null disk has no file");
}

static void test_resize_file(void **state)
{
	struct error err = {0};

	(void)state;
	open_file(&here, MIB);
	check_growth(MIB, 2 * MIB + 512);
	check_refusal(MIB, VHOSTD_ERR_PARAMS, "1048576 is less than the disk has (2097664)");
	check_shrinking(2 * MIB + 512, MIB);
	check_refusal(1ull << 62, VHOSTD_ERR_STORE, "the file can't grow to 4611686018427387904: ");
	/* The file grows; the disk takes what is whole of it. */
	assert_int_equal(truncate(path, 3 * MIB + 700), 0);
	assert_int_equal(disk_capacity(&disk), 2 * MIB + 512);
	assert_int_equal(disk_resize(&disk, 0, &err), 0);
	assert_int_equal(disk_capacity(&disk), 3 * MIB + 512);
	assert_int_equal(truncate(path, MIB), 0);
	check_refusal(0, VHOSTD_ERR_PARAMS, "1048576 is less than the disk has (3146240)");
	assert_int_equal(disk_shrink(&disk, 0, &err), 0);
	assert_int_equal(disk_capacity(&disk), MIB);
}

static int setup(void **state)
{
	(void)state;
	model = calloc(1, DISK_BYTES);
	return model ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	disk_close(&disk);
	free(model);
	scratch_clear(&here);
	scratch_clear(&shm);
	return 0;
}

static int group_setup(void **state)
{
	(void)state;
	return scratch_open(&here, ".") || scratch_open(&shm, "/dev/shm") ? -1 : 0;
}

static int group_teardown(void **state)
{
	(void)state;
	scratch_close(&here);
	scratch_close(&shm);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_verify_malloc),
		TEST(test_verify_malloc_4k),
		TEST(test_verify_shm),
		TEST(test_verify_file),
		TEST(test_null),
		TEST(test_reaping),
		TEST(test_malloc_turns),
		TEST(test_two_channels),
		TEST(test_malloc_not_dumped),
		TEST(test_malloc_discard),
		TEST(test_malloc_discard_unaligned),
		TEST(test_resize_malloc),
		TEST(test_resize_null),
		TEST(test_resize_file),
	};

	return cmocka_run_group_tests_name("store", tests, group_setup, group_teardown);
}
