/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Flushes that helper threads do, and what follows one that has failed. A pipe's flush fails, with
 * EINVAL. No EAL.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/store_file.h"
#include "lib/unit.h"

static int file = -1, broken = -1, other = -1;

static int flush(struct file_store *s, int fd)
{
	const struct store_io io = {.op = STORE_FLUSH};
	int ret;

	s->fd = fd;
	role_enter(&role_job);
	ret = file_range(s, &io);
	role_leave(&role_job);
	return ret;
}

/* The kernel tells of a page that it could not write once, and forgets it: what was acknowledged
 * before will never be on stable storage, so no later flush may say that it is. */
static void test_page_cache(void **state)
{
	struct file_store store = {.direct = false};

	(void)state;
	assert_int_equal(flush(&store, file), 0);
	assert_int_equal(flush(&store, broken), -EINVAL);
	assert_int_equal(flush(&store, file), -EINVAL);
	assert_int_equal(flush(&store, file), -EINVAL);
}

/* A write that is to be on stable storage is flushed, and hears of what was lost, too. */
static void test_write_through(void **state)
{
	struct file_store store = {.direct = false};
	char data[512] = {0};
	struct iovec iov = {data, sizeof(data)};
	struct store_io io = {.op = STORE_WRITE, .iov = &iov, .n_iov = 1, .n_bytes = sizeof(data)};

	(void)state;
	assert_int_equal(flush(&store, broken), -EINVAL);
	store.fd = file;
	role_enter(&role_job);
	assert_int_equal(file_rw(&store, &io, &iov, 1, 0), sizeof(data));
	io.flags = STORE_IO_FUA;
	assert_int_equal(file_rw(&store, &io, &iov, 1, 0), -EINVAL);
	store.direct = true;
	assert_int_equal(file_rw(&store, &io, &iov, 1, 0), sizeof(data));
	role_leave(&role_job);
}

/* Nothing but the device has the data: it is asked again. */
static void test_direct(void **state)
{
	struct file_store store = {.direct = true};

	(void)state;
	assert_int_equal(flush(&store, broken), -EINVAL);
	assert_int_equal(flush(&store, file), 0);
}

static int setup(void **state)
{
	int ends[2];

	(void)state;
	file = memfd_create("file", MFD_CLOEXEC);
	if (file < 0 || pipe(ends))
		return -1;
	broken = ends[0];
	other = ends[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(file);
	close(broken);
	close(other);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_cache),
		cmocka_unit_test(test_write_through),
		cmocka_unit_test(test_direct),
	};

	return cmocka_run_group_tests_name("store_flush", tests, setup, teardown);
}
