/* SPDX-License-Identifier: BSD-3-Clause
 *
 * File stores (aio, or the kind that is named as argument) on a kernel that does all that a kernel
 * may do: fault_kernel.h. No EAL.
 */
#include "test_store_rig.h"

#include <linux/magic.h>
#include <sys/statfs.h>

#include "fault_kernel.h"

#define MIB        (1ull << 20)
#define DISK_BYTES (24 * MIB)
#define N_ROUNDS   50

static enum store_kind kind = STORE_KIND_AIO;
static char dir[PATH_MAX], path[PATH_MAX + 64];

static void make(struct rig *rig)
{
	struct store_params p = {.kind = kind, .path = path};

	fault_reset();
	rig_file(path, DISK_BYTES);
	rig_open(rig, &p);
}

static void run(struct rig *rig, uint64_t seed)
{
	rig_random(rig, seed, N_ROUNDS);
	assert_true(kernel.n_calls > N_ROUNDS / 2);
	assert_int_equal(kernel.n_sleepy, 0); /* an lcore never calls what may sleep */
	rig_close(rig);
}

static void test_plain(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	run(&rig, 0xfa017);
	assert_true(kernel.n_fdsync > 0);
	assert_true(kernel.n_dsync > 0);
}

static void test_partial_batches(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	kernel.take_max = 3;
	run(&rig, 0xfa018);
}

static void test_little_room(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	kernel.room = 2;
	run(&rig, 0xfa019);
}

static void test_short(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	kernel.short_max = 3 * 512;
	run(&rig, 0xfa01a);
	assert_true(kernel.n_calls > 10 * N_ROUNDS);
}

static void test_eagain_events(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	kernel.event_nowait = -EAGAIN;
	run(&rig, 0xfa01b);
	make(&rig);
	kernel.event_nowait = -EAGAIN;
	kernel.every = 3;
	kernel.short_max = 8192;
	run(&rig, 0xfa01c);
}

/* No RWF_NOWAIT here, says io_submit(): a file system without it. */
static void test_eopnotsupp_at_once(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	kernel.submit_nowait = -EOPNOTSUPP;
	rig_random(&rig, 0xfa01d, N_ROUNDS);
	assert_int_equal(kernel.n_sleepy, 0);
	assert_in_range(kernel.n_calls, 1, 2 * N_ROUNDS);
	rig_close(&rig);
}

/* The same, says the completion: device mapper, or a file that falls back to buffered I/O. */
static void test_eopnotsupp_events(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	kernel.event_nowait = -EOPNOTSUPP;
	rig_random(&rig, 0xfa01e, N_ROUNDS);
	assert_int_equal(kernel.n_sleepy, 0);
	rig_close(&rig);
	make(&rig);
	kernel.event_nowait = -EOPNOTSUPP;
	kernel.every = 5;
	rig_random(&rig, 0xfa01f, N_ROUNDS);
	assert_int_equal(kernel.n_sleepy, 0);
	rig_close(&rig);
}

static void test_no_fdsync(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	kernel.submit_fdsync = -EINVAL;
	run(&rig, 0xfa020);
	assert_int_equal(kernel.n_fdsync, 0);
}

/* Flushes, discards and write zeroes in the ring: a few at a time, and what fails there is done in
 * another way. */
static void test_slow(void **state)
{
	struct rig rig;

	(void)state;
	make(&rig);
	run(&rig, 0xfa021);
	assert_true(kernel.n_fallocate > N_ROUNDS / 2);
	assert_in_range(kernel.n_slow_max, 2, 4);
	make(&rig);
	kernel.event_fallocate = -EOPNOTSUPP;
	run(&rig, 0xfa022);
	assert_true(kernel.n_fallocate > N_ROUNDS / 2);
	make(&rig);
	kernel.no_workers = true;
	run(&rig, 0xfa023);
	assert_int_equal(kernel.n_fallocate + kernel.n_fdsync, 0);
}

static void test_errors(void **state)
{
	uint8_t *buf = aligned_alloc(4096, 8192);
	struct rig rig;

	(void)state;
	assert_non_null(buf);
	memset(buf, 0, 8192);
	make(&rig);
	kernel.event_any = -EIO;
	assert_int_equal(rig_rw(&rig, STORE_READ, 0, buf, 4096), -EIO);
	assert_int_equal(rig_rw(&rig, STORE_WRITE, 0, buf + 1, 4096), -EIO);
	assert_int_equal(rig_rw(&rig, STORE_READ, 0, buf + 1, 4096), -EIO);
	kernel.event_any = -ENOSPC;
	assert_int_equal(rig_rw(&rig, STORE_WRITE, 0, buf, 4096), -ENOSPC);
	kernel.event_any = 0;
	kernel.submit_nowait = -EFAULT;
	assert_int_equal(rig_rw(&rig, STORE_READ, 0, buf, 4096), -EFAULT);
	kernel.submit_nowait = 0;
	assert_int_equal(rig_n_errors(&rig), 5);
	/* Bounce buffers have come back: as many as ever can be used. */
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(rig_rw(&rig, STORE_READ, 0, buf + 1, 4096), 0);
	rig_close(&rig);
	free(buf);
}

/* Reads of a page each, from the disk's beginning on, into `buf`. */
static void make_reads(struct store_io *ios, struct iovec *iov, struct store_io **list,
		       uint8_t *buf, unsigned int n)
{
	assert_non_null(buf);
	for (unsigned int i = 0; i < n; i++) {
		iov[i] = (struct iovec){buf + i * 4096, 4096};
		ios[i] = (struct store_io){.op = STORE_READ,
					   .n_iov = 1,
					   .offset_bytes = i * 4096,
					   .n_bytes = 4096,
					   .iov = &iov[i]};
		list[i] = &ios[i];
	}
}

/* What the kernel has not taken rings no doorbell: an lcore must not sleep on it. */
static void test_not_taken_is_not_away(void **state)
{
	struct store_io ios[6], *list[6];
	struct iovec iov[6];
	uint8_t *buf = aligned_alloc(4096, 6 * 4096);
	struct rig rig;

	(void)state;
	make(&rig);
	kernel.room = 4;
	kernel.hold = true;
	make_reads(ios, iov, list, buf, 6);
	rig_submit(&rig, list, 6);
	assert_int_equal(rig.channel->n_away, 4);
	kernel.hold = false;
	rig_wait(&rig, list, 6);
	assert_int_equal(rig.channel->n_away, 0);
	rig_close(&rig);
	free(buf);
}

/* A full context is not asked again and again, only when something has come out of it. */
static void test_full_context(void **state)
{
	struct store_io ios[8], *list[8], *got[8];
	struct iovec iov[8];
	uint8_t *buf = aligned_alloc(4096, 8 * 4096);
	unsigned int n_calls;
	struct rig rig;

	(void)state;
	make(&rig);
	kernel.room = 4;
	kernel.hold = true;
	make_reads(ios, iov, list, buf, 8);
	rig_submit(&rig, list, 6);
	n_calls = kernel.n_calls;
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(rig_reap(&rig, got, 8), 0);
	rig_submit(&rig, list + 6, 2);
	assert_int_equal(kernel.n_calls, n_calls);
	kernel.hold = false;
	rig_wait(&rig, list, 8);
	rig_close(&rig);
	free(buf);
}

/* Bounce buffers are filled and emptied a little at a time, however many wait for it. */
static void test_bounce_turns(void **state)
{
	enum { N = 16, EACH = 512 << 10 };
	struct store_io *ios = calloc(N, sizeof(*ios)), *list[N], *got[N];
	struct iovec iov[N];
	uint8_t *buf = calloc(1, (size_t)N * EACH + 4096);
	struct rig rig;

	(void)state;
	assert_true(ios && buf);
	make(&rig);
	for (int op = STORE_READ; op <= STORE_WRITE; op++) {
		unsigned int n_ended = 0, n_turns = 1;

		for (unsigned int i = 0; i < N; i++) {
			iov[i] = (struct iovec){buf + 1 + (size_t)i * EACH, EACH};
			ios[i] = (struct store_io){.op = (uint8_t)op,
						   .n_iov = 1,
						   .offset_bytes = (uint64_t)i * EACH,
						   .n_bytes = EACH,
						   .iov = &iov[i]};
			list[i] = &ios[i];
		}
		rig_submit(&rig, list, N);
		while (n_ended < N && n_turns < 100000) {
			n_ended += rig_reap(&rig, got, N);
			n_turns++;
		}
		assert_int_equal(n_ended, N);
		/* At most 256 KiB at a time. */
		assert_in_range(n_turns, (unsigned int)N * EACH / (256u << 10), 99999);
	}
	rig_close(&rig);
	free(ios);
	free(buf);
}

static int setup(void **state)
{
	struct statfs fs;

	(void)state;
	/* On tmpfs the store does without RWF_NOWAIT. */
	if (statfs(".", &fs) == 0 && fs.f_type == TMPFS_MAGIC)
		rig_dir("/var/tmp", dir, sizeof(dir));
	else
		rig_dir(".", dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/disk", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

#define COMMON                                                                                     \
	cmocka_unit_test(test_plain), cmocka_unit_test(test_partial_batches),                      \
		cmocka_unit_test(test_little_room), cmocka_unit_test(test_short),                  \
		cmocka_unit_test(test_eagain_events), cmocka_unit_test(test_eopnotsupp_at_once),   \
		cmocka_unit_test(test_eopnotsupp_events), cmocka_unit_test(test_errors),           \
		cmocka_unit_test(test_not_taken_is_not_away), cmocka_unit_test(test_bounce_turns)

int main(int argc, char **argv)
{
	const struct CMUnitTest aio[] = {COMMON, cmocka_unit_test(test_no_fdsync),
					 cmocka_unit_test(test_full_context)};
	const struct CMUnitTest uring[] = {COMMON, cmocka_unit_test(test_slow)};

	if (argc > 1 && store_kind_parse(argv[1], &kind))
		return 2;
	if (kind == STORE_KIND_AIO)
		return cmocka_run_group_tests_name("store_fault", aio, setup, teardown);
	return cmocka_run_group_tests_name("store_fault", uring, setup, teardown);
}
