/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Signalling eventfds of somebody else: each signal counts once, and none sleeps, whatever the
 * descriptor is. No EAL.
 */
#include "engine/signaller.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/unit.h"

#define FULL (UINT64_MAX - 1) /* the most that write() leaves in the counter */

static struct signaller *signaller;
static int fd = -1;

/* A signal that sleeps is a SIGALRM, and the end. */
static void signal_fd(int to)
{
	alarm(10);
	role_enter(&role_lcore);
	signaller_signal(signaller, to);
	role_leave(&role_lcore);
	alarm(0);
}

static bool is_readable(void)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

static uint64_t take(void)
{
	uint64_t count = 0;

	assert_true(is_readable());
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_false(is_readable());
	return count;
}

static void fill(void)
{
	uint64_t count = FULL;

	assert_int_equal(write(fd, &count, sizeof(count)), sizeof(count));
}

static void check_counts(int flags)
{
	fd = eventfd(0, EFD_CLOEXEC | flags);
	assert_true(fd >= 0);
	for (unsigned int n = 1; n < 200; n += 66) {
		for (unsigned int i = 0; i < n; i++)
			signal_fd(fd);
		assert_int_equal(take(), n);
	}
}

static void test_counts_blocking(void **state)
{
	(void)state;
	check_counts(0);
}

static void test_counts_nonblocking(void **state)
{
	(void)state;
	check_counts(EFD_NONBLOCK);
}

/* More signals than the kernel takes at a time; readable before and after; usable once emptied. */
static void check_full(int flags)
{
	fd = eventfd(0, EFD_CLOEXEC | flags);
	assert_true(fd >= 0);
	fill();
	for (unsigned int i = 0; i < 300; i++)
		signal_fd(fd);
	assert_true(take() >= FULL);
	signal_fd(fd);
	assert_int_equal(take(), 1);
}

static void test_full_blocking(void **state)
{
	(void)state;
	check_full(0);
}

static void test_full_nonblocking(void **state)
{
	(void)state;
	check_full(EFD_NONBLOCK);
}

/* The other side changes the mode of the shared file description while it is in use. */
static void test_mode_changes(void **state)
{
	int other;

	(void)state;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	other = dup(fd);
	signal_fd(fd);
	assert_int_equal(fcntl(other, F_SETFL, 0), 0);
	signal_fd(fd);
	assert_int_equal(take(), 2);
	fill();
	signal_fd(fd);
	assert_int_equal(fcntl(other, F_SETFL, O_NONBLOCK), 0);
	signal_fd(fd);
	assert_true(take() >= FULL);
	close(other);
}

static atomic_bool toggling;

static void *toggle(void *arg)
{
	int other = *(int *)arg;

	while (atomic_load(&toggling)) {
		fcntl(other, F_SETFL, O_NONBLOCK);
		fcntl(other, F_SETFL, 0);
	}
	return NULL;
}

/* The same at each moment, also between a look at the mode and a write. */
static void test_mode_toggles(void **state)
{
	pthread_t thread;
	int other;

	(void)state;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	other = dup(fd);
	fill();
	atomic_store(&toggling, true);
	assert_int_equal(pthread_create(&thread, NULL, toggle, &other), 0);
	for (unsigned int i = 0; i < 200000; i++)
		signal_fd(fd);
	atomic_store(&toggling, false);
	pthread_join(thread, NULL);
	assert_true(take() >= FULL);
	close(other);
}

static void test_semaphore(void **state)
{
	(void)state;
	fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	signal_fd(fd);
	signal_fd(fd);
	for (unsigned int i = 2; i > 0; i--) {
		uint64_t count = 0;

		assert_true(is_readable());
		assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
		assert_int_equal(count, 1);
	}
	assert_false(is_readable());
}

/* What is no eventfd, or no descriptor, does no harm, also not to the next. */
static void test_other_descriptors(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fd = eventfd(0, EFD_CLOEXEC);
	for (unsigned int i = 0; i < 100; i++) {
		signal_fd(fds[1]);
		signal_fd(fds[0]);
		signal_fd(-1);
	}
	signal_fd(fd);
	assert_int_equal(take(), 1);
	close(fds[0]);
	close(fds[1]);
}

static void test_no_descriptors(void **state)
{
	struct signaller *none = NULL;
	struct error err = {0};
	struct rlimit old, zero;
	int ret;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	zero = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &zero), 0);
	ret = signaller_new(&none, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(ret, -1);
	assert_null(none);
	assert_int_equal(err.code, VHOSTD_ERR_INTERNAL);
	assert_fault(err.text, "Too many open files");
	signaller_free(NULL);
}

static int setup(void **state)
{
	struct error err = {0};

	(void)state;
	return signaller_new(&signaller, &err);
}

static int teardown(void **state)
{
	(void)state;
	signaller_free(signaller);
	signaller = NULL;
	if (fd >= 0)
		close(fd);
	fd = -1;
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_counts_blocking), TEST(test_counts_nonblocking),
		TEST(test_full_blocking),   TEST(test_full_nonblocking),
		TEST(test_mode_changes),    TEST(test_mode_toggles),
		TEST(test_semaphore),       TEST(test_other_descriptors),
		TEST(test_no_descriptors),
	};

	return cmocka_run_group_tests_name("signaller", tests, NULL, NULL);
}
