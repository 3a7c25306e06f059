/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Files as stores (aio, or the kind that is named as argument) when things are large, many, cut
 * short, full or gone; and which blocks of the file they leave. No EAL.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/disk.h"
#include "lib/scratch.h"
#include "lib/unit.h"

#define KIB        (1ull << 10)
#define MIB        (1ull << 20)
#define DISK_BYTES (16 * MIB)
#define N_MANY     2000 /* more than the rounded-up ring of an io_context of 256 holds */

static struct scratch here, shm;
static struct disk disk;
static uint8_t *buf, *got; /* DISK_BYTES and a little; they begin at a page */
static char path[SCRATCH_PATH_MAX];

/* Static: a test that fails leaves it in flight. */
static struct store_io io;
static struct iovec iov;

static void open_in(const struct scratch *s)
{
	assert_int_equal(scratch_file(s, "disk", DISK_BYTES, path), 0);
	disk_open_path(&disk, path);
}

static void submit_one(enum store_op op, uint64_t offset, void *at, uint64_t n_bytes)
{
	struct store_io *ios[] = {&io};

	iov = (struct iovec){at, n_bytes};
	io = (struct store_io){.op = (uint8_t)op,
			       .n_iov = 1,
			       .result = 1,
			       .offset_bytes = offset,
			       .n_bytes = n_bytes,
			       .iov = &iov};
	disk_submit(&disk, ios, 1);
}

static void read_file(uint64_t offset, uint8_t *to, size_t n_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, to, n_bytes, (off_t)offset);

	close(fd);
	assert_int_equal(n, n_bytes);
}

static uint64_t file_bytes(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* One operation for all of the disk, on pages and beside them. */
static void check_large(const struct scratch *s)
{
	open_in(s);
	for (size_t skew = 0; skew < 200; skew += 77) {
		disk_pattern(buf, DISK_BYTES + 200, skew);
		assert_int_equal(disk_write(&disk, 0, buf + skew, DISK_BYTES), 0);
		assert_int_equal(disk_flush(&disk), 0);
		read_file(0, got, DISK_BYTES);
		assert_memory_equal(got, buf + skew, DISK_BYTES);
		memset(got, 0, DISK_BYTES + 200);
		assert_int_equal(disk_read(&disk, 0, got + skew, DISK_BYTES), 0);
		assert_memory_equal(got + skew, buf + skew, DISK_BYTES);
	}
}

static void test_large_file(void **state)
{
	(void)state;
	check_large(&here);
}

static void test_large_shm(void **state)
{
	(void)state;
	check_large(&shm);
}

static struct store_io many[N_MANY];
static struct iovec many_iov[N_MANY];

/* All in one batch, nothing reaped before; skew: of the buffers. */
static void submit_many(enum store_op op, uint8_t *base, size_t skew)
{
	static struct store_io *list[N_MANY];

	for (unsigned int i = 0; i < N_MANY; i++) {
		many_iov[i] = (struct iovec){base + (size_t)i * 4096 + skew, 4096};
		many[i] = (struct store_io){
			.op = (uint8_t)op,
			.flags = op == STORE_WRITE && i % 256 == 0 ? STORE_IO_FUA : 0,
			.n_iov = 1,
			.result = 1,
			.offset_bytes = (uint64_t)i * 4096,
			.n_bytes = 4096,
			.iov = &many_iov[i]};
		list[i] = &many[i];
	}
	disk_submit(&disk, list, N_MANY);
	assert_int_equal(disk.channel->n_inflight, N_MANY);
}

static void expect_many(int result)
{
	disk_wait(&disk);
	for (unsigned int i = 0; i < N_MANY; i++)
		if (many[i].result != result)
			fail_msg("operation %u: result %d", i, many[i].result);
}

static void check_many(const struct scratch *s, size_t skew)
{
	size_t n_bytes = (size_t)N_MANY * 4096;

	open_in(s);
	disk_pattern(buf, n_bytes + skew, 31 + skew);
	submit_many(STORE_WRITE, buf, skew);
	expect_many(0);
	submit_many(STORE_READ, got, skew);
	expect_many(0);
	assert_memory_equal(got + skew, buf + skew, n_bytes);
	read_file(0, got, n_bytes);
	assert_memory_equal(got, buf + skew, n_bytes);
}

static void test_many_file(void **state)
{
	(void)state;
	check_many(&here, 0);
}

static void test_many_shm(void **state)
{
	(void)state;
	check_many(&shm, 0);
}

/* Far more than there are bounce buffers. */
static void test_many_bounced(void **state)
{
	(void)state;
	check_many(&here, 3);
}

/* Flushes among more operations than the kernel takes. */
static void test_many_flushes(void **state)
{
	static struct store_io *list[N_MANY];

	(void)state;
	open_in(&here);
	for (unsigned int i = 0; i < N_MANY; i++) {
		many[i] = (struct store_io){.op = STORE_FLUSH, .result = 1};
		list[i] = &many[i];
	}
	disk_submit(&disk, list, N_MANY);
	expect_many(0);
}

/* Behind the end that the file has now there is nothing but EIO; before it all is as ever. */
static void check_truncated(const struct scratch *s, uint64_t n_left, size_t skew)
{
	uint64_t sound = n_left / 4096 * 4096;

	open_in(s);
	disk_pattern(buf, DISK_BYTES, 41);
	assert_int_equal(disk_write(&disk, 0, buf, DISK_BYTES), 0);
	assert_int_equal(truncate(path, (off_t)n_left), 0);
	assert_int_equal(disk_read(&disk, 8 * MIB, got + skew, 4096), -EIO);
	assert_int_equal(disk_read(&disk, sound, got + skew, 64 * KIB), -EIO);
	assert_int_equal(disk_read(&disk, 0, got + skew, DISK_BYTES), -EIO);
	assert_int_equal(atomic_load(&disk.store->n_errors), 3);
	if (sound) {
		assert_int_equal(disk_read(&disk, 0, got + skew, sound), 0);
		assert_memory_equal(got + skew, buf, sound);
	}
	/* A write makes it longer again. */
	assert_int_equal(disk_write(&disk, 8 * MIB, buf, 4096), 0);
	assert_int_equal(disk_read(&disk, 8 * MIB, got + skew, 4096), 0);
	assert_memory_equal(got + skew, buf, 4096);
	disk_close(&disk);
}

static void test_truncated(void **state)
{
	static const uint64_t lengths[] = {MIB, 0, MIB + 512, MIB + 1000, 100};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(lengths); i++) {
		check_truncated(&here, lengths[i], 0);
		check_truncated(&here, lengths[i], 5);
		check_truncated(&shm, lengths[i], 0);
	}
}

/* Time for what was submitted to end, in the kernel or in a helper; nobody has reaped it. */
static void let_it_end(void)
{
	usleep(20000);
}

/* The first step ends at the end of the file; the file is longer before the next one begins. */
static void check_short_read(const struct scratch *s, size_t skew, uint64_t n_first)
{
	open_in(s);
	disk_pattern(buf, MIB, 51);
	assert_int_equal(disk_write(&disk, 0, buf, MIB), 0);
	memset(got, 0xee, MIB + skew);
	assert_int_equal(truncate(path, (off_t)n_first), 0);
	submit_one(STORE_READ, 0, got + skew, MIB);
	let_it_end();
	assert_int_equal(truncate(path, DISK_BYTES), 0);
	disk_wait(&disk);
	assert_int_equal(io.result, 0);
	memset(buf + n_first, 0, MIB - n_first);
	assert_memory_equal(got + skew, buf, MIB);
	disk_close(&disk);
}

static void check_short_reads(const struct scratch *s)
{
	check_short_read(s, 0, 300 * KIB);
	check_short_read(s, 0, 300 * KIB + 512);
	check_short_read(s, 7, 60 * KIB);
	check_short_read(s, 7, 60 * KIB + 512);
}

static void test_short_reads(void **state)
{
	(void)state;
	check_short_reads(&here);
	check_short_reads(&shm);
}

static void limit_files(uint64_t n_bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = n_bytes ? n_bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The same for a write over old data, by a limit that is raised in time. */
static void check_short_write(const struct scratch *s, size_t skew, uint64_t n_first)
{
	open_in(s);
	disk_pattern(buf, MIB, 60);
	assert_int_equal(disk_write(&disk, 0, buf, MIB), 0);
	disk_pattern(buf, MIB + skew, 61);
	limit_files(n_first);
	submit_one(STORE_WRITE, 0, buf + skew, MIB);
	let_it_end();
	limit_files(0);
	disk_wait(&disk);
	assert_int_equal(io.result, 0);
	assert_int_equal(disk_flush(&disk), 0);
	read_file(0, got, MIB);
	assert_memory_equal(got, buf + skew, MIB);
	disk_close(&disk);
}

static void check_short_writes(const struct scratch *s)
{
	check_short_write(s, 0, 300 * KIB);
	check_short_write(s, 0, 300 * KIB + 512);
	check_short_write(s, 7, 60 * KIB);
	check_short_write(s, 7, 60 * KIB + 512);
}

static void test_short_writes(void **state)
{
	(void)state;
	check_short_writes(&here);
	check_short_writes(&shm);
}

/* And when it isn't raised: what fits is written, the rest is an error. */
static void check_too_large(const struct scratch *s, size_t skew)
{
	open_in(s);
	disk_pattern(buf, MIB + skew, 71);
	limit_files(300 * KIB);
	submit_one(STORE_WRITE, 0, buf + skew, MIB);
	disk_wait(&disk);
	limit_files(0);
	assert_int_equal(io.result, -EFBIG);
	assert_int_equal(disk_read(&disk, 0, got, MIB), 0);
	assert_memory_equal(got, buf + skew, 300 * KIB);
	assert_int_equal(disk_write(&disk, 0, buf + skew, MIB), 0);
	disk_close(&disk);
}

static void test_too_large(void **state)
{
	(void)state;
	check_too_large(&here, 0);
	check_too_large(&here, 9);
	check_too_large(&shm, 0);
}

/* A file system of 4 MiB with a sparse file of 16 on it. */
static void test_no_space(void **state)
{
	char dir[SCRATCH_PATH_MAX];

	(void)state;
	if (geteuid() != 0 || scratch_mount(&here, "full", "tmpfs", "none", "size=4m", dir))
		skip();
	assert_int_equal(scratch_file(&here, "full/disk", DISK_BYTES, path), 0);
	disk_open_path(&disk, path);
	disk_pattern(buf, DISK_BYTES, 81);
	submit_many(STORE_WRITE, buf, 0);
	disk_wait(&disk);
	assert_int_equal(many[N_MANY - 1].result, -ENOSPC);
	assert_int_equal(disk_do(&disk, STORE_WRITE_ZEROES, 0, 8 * MIB, NULL, 4 * MIB), -ENOSPC);
	assert_int_equal(disk_flush(&disk), 0);
	for (unsigned int i = 0; i < N_MANY; i++) {
		assert_true(many[i].result == 0 || many[i].result == -ENOSPC);
		assert_int_equal(disk_read(&disk, (uint64_t)i * 4096, got, 4096), 0);
		if (many[i].result == 0)
			assert_memory_equal(got, buf + (size_t)i * 4096, 4096);
	}
	/* With room again it goes on. */
	assert_int_equal(disk_do(&disk, STORE_DISCARD, 0, 0, NULL, DISK_BYTES), 0);
	assert_int_equal(disk_write(&disk, 8 * MIB, buf, 3 * MIB), 0);
	assert_int_equal(disk_read(&disk, 8 * MIB, got, 3 * MIB), 0);
	assert_memory_equal(got, buf, 3 * MIB);
}

/* Zeroes from `offset` on, the pattern before and behind; how many bytes the file has lost. */
static uint64_t zeroed(enum store_op op, uint8_t flags, uint64_t offset, uint64_t n_bytes)
{
	uint64_t before;

	disk_pattern(buf, DISK_BYTES, 91);
	assert_int_equal(disk_write(&disk, 0, buf, DISK_BYTES), 0);
	assert_int_equal(disk_flush(&disk), 0);
	before = file_bytes();
	assert_true(before >= DISK_BYTES);
	assert_int_equal(disk_do(&disk, op, flags, offset, NULL, n_bytes), 0);
	memset(buf + offset, 0, n_bytes);
	assert_int_equal(disk_read(&disk, 0, got, DISK_BYTES), 0);
	assert_memory_equal(got, buf, DISK_BYTES);
	return before - file_bytes();
}

/* Blocks go when they may, and only then. */
static void check_zeroing(const struct scratch *s)
{
	open_in(s);
	assert_int_equal(zeroed(STORE_DISCARD, 0, MIB, 4 * MIB), 4 * MIB);
	assert_int_equal(zeroed(STORE_DISCARD, 0, 4096, 4096), 4096);
	assert_int_equal(zeroed(STORE_DISCARD, 0, MIB - 512, MIB + 1024), MIB);
	assert_int_equal(zeroed(STORE_DISCARD, 0, 1024, 512), 0);
	assert_int_equal(zeroed(STORE_WRITE_ZEROES, STORE_IO_UNMAP, MIB, 4 * MIB), 4 * MIB);
	assert_int_equal(zeroed(STORE_WRITE_ZEROES, STORE_IO_UNMAP | STORE_IO_FUA, 0, DISK_BYTES),
			 DISK_BYTES);
	assert_int_equal(zeroed(STORE_WRITE_ZEROES, STORE_IO_UNMAP, MIB - 512, MIB + 1024), MIB);
	assert_int_equal(zeroed(STORE_WRITE_ZEROES, 0, MIB, 4 * MIB), 0);
	assert_int_equal(zeroed(STORE_WRITE_ZEROES, STORE_IO_FUA, MIB - 512, 512), 0);
	assert_int_equal(zeroed(STORE_WRITE_ZEROES, 0, 3 * MIB + 512, 2 * MIB + 1024), 0);
	assert_int_equal(atomic_load(&disk.store->n_errors), 0);
}

static void test_zeroing_file(void **state)
{
	(void)state;
	check_zeroing(&here);
}

static void test_zeroing_shm(void **state)
{
	(void)state;
	check_zeroing(&shm);
}

static int group_setup(void **state)
{
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	buf = disk_buffer(DISK_BYTES + 4096);
	got = disk_buffer(DISK_BYTES + 4096);
	return scratch_open(&here, ".") || scratch_open(&shm, "/dev/shm") ? -1 : 0;
}

static int group_teardown(void **state)
{
	(void)state;
	scratch_close(&here);
	scratch_close(&shm);
	free(buf);
	free(got);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	limit_files(0);
	disk_close(&disk);
	scratch_clear(&here);
	scratch_clear(&shm);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_large_file),  TEST(test_large_shm),    TEST(test_many_file),
		TEST(test_many_shm),    TEST(test_many_bounced), TEST(test_many_flushes),
		TEST(test_truncated),   TEST(test_short_reads),  TEST(test_short_writes),
		TEST(test_too_large),   TEST(test_no_space),     TEST(test_zeroing_file),
		TEST(test_zeroing_shm),
	};

	disk_choose_file_kind(argc, argv);
	return cmocka_run_group_tests_name("store_file", tests, group_setup, group_teardown);
}
