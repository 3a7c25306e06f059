/* SPDX-License-Identifier: BSD-3-Clause
 *
 * File stores (aio, or the kind that is named as argument) on block devices, and on a file system
 * that has no RWF_NOWAIT: loop devices, so for root only. No EAL.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/disk.h"
#include "lib/disk_verify.h"
#include "lib/scratch.h"
#include "lib/unit.h"

#define MIB        (1ull << 20)
#define DISK_BYTES (16 * MIB)

static struct scratch scratch;
static struct disk disk;
static uint8_t *model;
static char file[SCRATCH_PATH_MAX], device[SCRATCH_PATH_MAX];

static void make_loop_of(uint64_t n_bytes, uint32_t sector_bytes, bool readonly)
{
	int ret = -EPERM;

	if (geteuid() == 0) {
		assert_int_equal(scratch_file(&scratch, "file", n_bytes, file), 0);
		ret = scratch_loop(file, sector_bytes, readonly, device);
	}
	if (ret == -EPERM || ret == SCRATCH_NO_LOOP)
		skip();
	assert_int_equal(ret, 0);
}

static void make_loop(uint32_t sector_bytes, bool readonly)
{
	make_loop_of(DISK_BYTES, sector_bytes, readonly);
}

static struct store_params params_of(uint32_t block_size)
{
	return (struct store_params){.kind = disk_file_kind(),
				     .name = "test",
				     .path = device,
				     .block_size_bytes = block_size};
}

static void refuse(const struct store_params *params, enum vhostd_error code, const char *text)
{
	struct error err = {0};

	assert_int_equal(disk_try_open(&disk, params, &err), -1);
	assert_string_equal(err.text, text);
	assert_string_equal(error_name(err.code), error_name(code));
}

static void verify_at(uint32_t sector_bytes)
{
	const struct verify_params verify = {31, 200, 16, sector_bytes};
	struct store_params params = params_of(sector_bytes);

	make_loop(sector_bytes, false);
	disk_open(&disk, &params);
	assert_int_equal(disk_capacity(&disk), DISK_BYTES);
	assert_int_equal(disk.store->caps.block_size_bytes, sector_bytes);
	disk_verify(&disk, &verify, model);
	assert_int_equal(atomic_load(&disk.store->n_errors), 0);
	disk_close(&disk);
	params.readonly = true;
	disk_open(&disk, &params);
	disk_compare(&disk, model);
}

static void test_verify(void **state)
{
	(void)state;
	verify_at(512);
}

static void test_verify_4k(void **state)
{
	(void)state;
	verify_at(4096);
}

static void test_block_size(void **state)
{
	struct store_params params = params_of(512);
	char text[SCRATCH_PATH_MAX + 128];

	(void)state;
	make_loop(4096, false);
	snprintf(text, sizeof(text),
		 "block_size: 512 is less than the 4096 that %s takes; use block_size 4096",
		 device);
	refuse(&params, VHOSTD_ERR_PARAMS, text);
	params.block_size_bytes = 4096;
	disk_open(&disk, &params);
}

static void expect_in_use(void)
{
	struct store_params params = params_of(512);
	char text[SCRATCH_PATH_MAX + 128];

	snprintf(text, sizeof(text),
		 "path: %s is in use (mounted, or opened exclusively by somebody)", device);
	refuse(&params, VHOSTD_ERR_IN_USE, text);
}

static void test_exclusive(void **state)
{
	int fd;

	(void)state;
	make_loop(512, false);
	fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	expect_in_use();
	close(fd);
	disk_open_path(&disk, device);
	assert_int_equal(open(device, O_RDONLY | O_EXCL | O_CLOEXEC), -1);
	assert_int_equal(errno, EBUSY);
	disk_close(&disk);
	fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
}

/* One store for writing, in this process or another; the second must not get in. */
static void test_two_stores(void **state)
{
	struct store_params params = params_of(512);
	struct disk second;
	struct error err = {0};

	(void)state;
	make_loop(512, false);
	disk_open_path(&disk, device);
	assert_int_equal(disk_try_open(&second, &params, &err), -1);
	assert_int_equal(err.code, VHOSTD_ERR_IN_USE);
	assert_fault(err.text, device);
}

static void make_ext4(const char *target)
{
	char program[] = "mkfs.ext4", quiet[] = "-qF", path[SCRATCH_PATH_MAX];
	char *argv[] = {program, quiet, path, NULL};
	char output[1024];

	snprintf(path, sizeof(path), "%s", target);
	if (scratch_run(argv, output, sizeof(output)))
		fail_msg("mkfs.ext4: %s", output);
}

static void test_mounted(void **state)
{
	char dir[SCRATCH_PATH_MAX];

	(void)state;
	make_loop(512, false);
	make_ext4(device);
	assert_int_equal(scratch_mount(&scratch, "mnt", "ext4", device, NULL, dir), 0);
	expect_in_use();
	scratch_clear(&scratch);
}

static void test_readonly_device(void **state)
{
	struct store_params params = params_of(512);
	char text[SCRATCH_PATH_MAX + 128];
	uint8_t *got = disk_buffer(4096);

	(void)state;
	make_loop(512, true);
	snprintf(text, sizeof(text), "path: %s is a read-only device; use readonly", device);
	refuse(&params, VHOSTD_ERR_STORE, text);
	params.readonly = true;
	disk_open(&disk, &params);
	assert_int_equal(disk_read(&disk, 0, got, 4096), 0);
	assert_int_not_equal(disk_write(&disk, 0, got, 4096), 0);
	free(got);
}

static void test_size(void **state)
{
	struct store_params params = params_of(512);
	char text[SCRATCH_PATH_MAX + 128];

	(void)state;
	make_loop(512, false);
	params.size_bytes = DISK_BYTES + 512;
	snprintf(text, sizeof(text),
		 "size: %llu is more than %s has (%llu bytes); leave size out, or make the file "
		 "larger first",
		 DISK_BYTES + 512, device, DISK_BYTES);
	refuse(&params, VHOSTD_ERR_STORE, text);
}

/* The device grows (losetup -c), then the disk; not beyond it, and not back. */
static void test_resize(void **state)
{
	struct error err = {0}, shrink = {0};
	uint8_t *bytes = disk_buffer(4096), *got = disk_buffer(4096);
	int fd;

	(void)state;
	make_loop(512, false);
	disk_open_path(&disk, device);
	assert_int_equal(disk_resize(&disk, 2 * DISK_BYTES, &err), -1);
	assert_int_equal(err.code, VHOSTD_ERR_STORE);
	assert_string_equal(err.text,
			    "size: 33554432 is more than the block device has (16777216)");
	assert_int_equal(truncate(file, 2 * DISK_BYTES), 0);
	fd = open(device, O_RDONLY | O_CLOEXEC);
	assert_int_equal(ioctl(fd, LOOP_SET_CAPACITY, 0), 0);
	close(fd);
	err.code = VHOSTD_ERR_OK;
	assert_int_equal(disk_capacity(&disk), DISK_BYTES);
	assert_int_equal(disk_resize(&disk, 0, &err), 0);
	assert_int_equal(disk_capacity(&disk), 2 * DISK_BYTES);
	disk_pattern(bytes, 4096, 1);
	assert_int_equal(disk_write(&disk, 2 * DISK_BYTES - 4096, bytes, 4096), 0);
	assert_int_equal(disk_read(&disk, 2 * DISK_BYTES - 4096, got, 4096), 0);
	assert_memory_equal(got, bytes, 4096);
	assert_int_equal(disk_resize(&disk, DISK_BYTES, &shrink), -1);
	assert_int_equal(shrink.code, VHOSTD_ERR_PARAMS);
	assert_fault(shrink.text, "size: 16777216 is less than the disk has (33554432)");
	assert_int_equal(disk_shrink(&disk, DISK_BYTES, &err), 0);
	assert_int_equal(disk_capacity(&disk), DISK_BYTES);
	free(bytes);
	free(got);
}

/* Whole units of 64 KiB: the file system's own blocks, which come and go, don't count. */
static uint64_t file_bytes(void)
{
	const uint64_t unit = 65536;
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	fsync(fd);
	close(fd);
	assert_int_equal(stat(file, &st), 0);
	return (uint64_t)st.st_blocks * 512 / unit * unit;
}

/* How many bytes the file behind the device has lost; zeroes are where they should be. */
static uint64_t zeroed(enum store_op op, uint8_t flags, uint64_t offset, uint64_t n_bytes)
{
	uint64_t before;

	disk_pattern(model, DISK_BYTES, 91);
	assert_int_equal(disk_write(&disk, 0, model, DISK_BYTES), 0);
	assert_int_equal(disk_flush(&disk), 0);
	before = file_bytes();
	assert_int_equal(disk_do(&disk, op, flags, offset, NULL, n_bytes), 0);
	memset(model + offset, 0, n_bytes);
	disk_compare(&disk, model);
	return before - file_bytes();
}

static void test_zeroing(void **state)
{
	(void)state;
	make_loop(512, false);
	disk_open_path(&disk, device);
	assert_true(disk.store->caps.discard);
	assert_in_range(disk.store->caps.discard_granularity_bytes, 512, MIB);
	assert_int_equal(zeroed(STORE_DISCARD, 0, MIB, 4 * MIB), 4 * MIB);
	assert_int_equal(zeroed(STORE_WRITE_ZEROES, STORE_IO_UNMAP, MIB, 4 * MIB), 4 * MIB);
	assert_int_equal(zeroed(STORE_WRITE_ZEROES, 0, MIB, 4 * MIB), 0);
	assert_int_equal(zeroed(STORE_WRITE_ZEROES, STORE_IO_FUA, MIB + 512, 1024), 0);
	assert_int_equal(zeroed(STORE_WRITE_ZEROES, 0, 512, DISK_BYTES - 1024), 0);
	assert_int_equal(atomic_load(&disk.store->n_errors), 0);
}

/* Field 16 of the device's `stat`: flushes that it has done. */
static unsigned long n_flushes(void)
{
	char path[128];
	unsigned long n = 0;
	FILE *stat_file;

	snprintf(path, sizeof(path), "/sys/block/%s/stat", strrchr(device, '/') + 1);
	stat_file = fopen(path, "re");
	assert_non_null(stat_file);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(fscanf(stat_file, "%lu", &n), 1);
	fclose(stat_file);
	return n;
}

/* A flush reaches the device, and so does FUA; nothing else does. */
static void test_flushes(void **state)
{
	unsigned long n;

	(void)state;
	make_loop(512, false);
	disk_open_path(&disk, device);
	n = n_flushes();
	assert_int_equal(disk_write(&disk, 0, model, 4096), 0);
	assert_int_equal(disk_read(&disk, 0, model, 4096), 0);
	assert_int_equal(disk_do(&disk, STORE_WRITE_ZEROES, 0, 0, NULL, 4096), 0);
	assert_int_equal(n_flushes(), n);
	assert_int_equal(disk_flush(&disk), 0);
	assert_int_equal(n_flushes(), n + 1);
	assert_int_equal(disk_do(&disk, STORE_WRITE, STORE_IO_FUA, 0, model, 4096), 0);
	assert_int_equal(n_flushes(), n + 2);
	assert_int_equal(disk_do(&disk, STORE_WRITE, STORE_IO_FUA, 0, model + 1, 4096), 0);
	assert_int_equal(n_flushes(), n + 3);
	assert_int_equal(disk_do(&disk, STORE_WRITE_ZEROES, STORE_IO_FUA, 0, NULL, 4096), 0);
	assert_int_equal(n_flushes(), n + 4);
}

/* The device shrinks under the disk. */
static void test_shrunk(void **state)
{
	int fd;

	(void)state;
	make_loop(512, false);
	disk_open_path(&disk, device);
	assert_int_equal(truncate(file, MIB), 0);
	fd = open(device, O_RDONLY | O_CLOEXEC);
	assert_int_equal(ioctl(fd, LOOP_SET_CAPACITY, 0), 0);
	close(fd);
	assert_int_equal(disk_read(&disk, 2 * MIB, model, 4096), -EIO);
	assert_int_equal(disk_read(&disk, MIB - 4096, model, 8192), -EIO);
	assert_int_equal(disk_write(&disk, 2 * MIB, model, 4096), -ENOSPC);
	assert_int_equal(disk_write(&disk, 0, model, 4096), 0);
	assert_int_equal(disk_read(&disk, 0, model, 4096), 0);
}

/* ext4 with data=journal takes O_DIRECT and does buffered I/O, which has no RWF_NOWAIT; it says so
 * only in the completion. */
static void test_no_nowait(void **state)
{
	const struct verify_params verify = {41, 100, 8, 512};
	char dir[SCRATCH_PATH_MAX], path[SCRATCH_PATH_MAX];

	(void)state;
	make_loop_of(4 * DISK_BYTES, 512, false);
	make_ext4(device);
	assert_int_equal(scratch_mount(&scratch, "mnt", "ext4", device, "data=journal", dir), 0);
	assert_int_equal(scratch_file(&scratch, "mnt/disk", DISK_BYTES, path), 0);
	disk_open_path(&disk, path);
	disk_verify(&disk, &verify, model);
	assert_int_equal(atomic_load(&disk.store->n_errors), 0);
}

static int setup(void **state)
{
	(void)state;
	model = disk_buffer(DISK_BYTES + 4096);
	memset(model, 0, DISK_BYTES + 4096);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	disk_close(&disk);
	free(model);
	scratch_clear(&scratch);
	return 0;
}

static int group_setup(void **state)
{
	(void)state;
	return scratch_open(&scratch, ".") ? -1 : 0;
}

static int group_teardown(void **state)
{
	(void)state;
	scratch_close(&scratch);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_verify),          TEST(test_verify_4k),  TEST(test_block_size),
		TEST(test_exclusive),       TEST(test_two_stores), TEST(test_mounted),
		TEST(test_readonly_device), TEST(test_size),       TEST(test_resize),
		TEST(test_zeroing),         TEST(test_flushes),    TEST(test_shrunk),
		TEST(test_no_nowait),
	};

	disk_choose_file_kind(argc, argv);
	return cmocka_run_group_tests_name("store_loop", tests, group_setup, group_teardown);
}
