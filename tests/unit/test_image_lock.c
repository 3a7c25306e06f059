/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Image locks: among ourselves, and both ways with QEMU's own tools. No EAL.
 */
#include "engine/image_lock.h"

#include <errno.h>

#include "test_store_qemu.h"

#define N_BYTES (1 << 20)

static char path[] = "./image-XXXXXX";

static int open_image(bool writable)
{
	int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* What the lock says, without keeping it. */
static int try(bool writable)
{
	int fd = open_image(writable), ret = image_lock(fd, writable);

	close(fd);
	return ret;
}

static int hold(bool writable)
{
	int fd = open_image(writable);

	assert_int_equal(image_lock(fd, writable), 0);
	return fd;
}

static void test_ourselves(void **state)
{
	int a, b;

	(void)state;
	a = hold(true);
	assert_int_equal(try(true), -EAGAIN);
	assert_int_equal(try(false), -EAGAIN);
	assert_int_equal(image_lock(a, true), 0); /* it's ours already */
	close(a);
	a = hold(false);
	b = hold(false);
	assert_int_equal(try(true), -EAGAIN);
	close(a);
	assert_int_equal(try(true), -EAGAIN);
	close(b);
	assert_int_equal(try(true), 0);
	assert_int_equal(try(true), 0);
}

/* The lock goes with the last descriptor of the open file, and not before. */
static void test_descriptor(void **state)
{
	int a = hold(true), copy = dup(a), other = open_image(false);

	(void)state;
	assert_true(copy >= 0);
	close(other); /* POSIX locks would go here */
	close(a);
	assert_int_equal(try(false), -EAGAIN);
	close(copy);
	assert_int_equal(try(false), 0);
}

static void test_keeps_qemu_out(void **state)
{
	int fd;

	(void)state;
	qemu_require();
	fd = hold(true);
	qemu_may(true, QEMU_INFO, path);
	qemu_may(false, QEMU_CONVERT, path);
	qemu_may(false, QEMU_WRITE, path);
	qemu_may(false, QEMU_VM_READER, path);
	qemu_may(false, QEMU_VM_WRITER, path);
	close(fd);
	fd = hold(false);
	qemu_may(true, QEMU_CONVERT, path);
	qemu_may(true, QEMU_VM_READER, path);
	qemu_may(false, QEMU_WRITE, path);
	qemu_may(false, QEMU_VM_WRITER, path);
	close(fd);
	qemu_may(true, QEMU_WRITE, path);
	qemu_may(true, QEMU_VM_WRITER, path);
}

static void test_kept_out_by_qemu(void **state)
{
	struct qemu q;

	(void)state;
	qemu_require();
	q = qemu_hold(path, true);
	assert_int_equal(try(true), -EAGAIN);
	assert_int_equal(try(false), -EAGAIN);
	qemu_end(&q);
	q = qemu_hold(path, false);
	assert_int_equal(try(true), -EAGAIN);
	assert_int_equal(try(false), 0);
	qemu_end(&q);
	assert_int_equal(try(true), 0);
}

/* An export lets others write as far as QEMU is asked; we don't write beside it. */
static void test_storage_daemon(void **state)
{
	char shell[] = "sh", c[] = "-c", command[1024], pidfile[64], server[64];
	char *const argv[] = {shell, c, command, NULL};
	struct qemu q;

	(void)state;
	qemu_require();
	snprintf(pidfile, sizeof(pidfile), "%s.pid", path);
	snprintf(server, sizeof(server), "%s.nbd", path);
	snprintf(command, sizeof(command),
		 "exec qemu-storage-daemon --nbd-server addr.type=unix,addr.path=%s --pidfile %s "
		 "--blockdev driver=file,node-name=d,filename=%s "
		 "--export type=nbd,id=e,node-name=d,writable=on",
		 server, pidfile, path);
	q = qemu_start(argv);
	for (int i = 0; access(pidfile, F_OK) && i < 3000; i++) /* it is ready */
		usleep(10000);
	assert_int_equal(try(true), -EAGAIN);
	assert_int_equal(try(false), -EAGAIN);
	qemu_end(&q);
	assert_int_equal(try(true), 0);
	unlink(server);
	unlink(pidfile);
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	return fd < 0 || ftruncate(fd, N_BYTES) || close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ourselves),      cmocka_unit_test(test_descriptor),
		cmocka_unit_test(test_keeps_qemu_out), cmocka_unit_test(test_kept_out_by_qemu),
		cmocka_unit_test(test_storage_daemon),
	};

	return cmocka_run_group_tests_name("image_lock", tests, setup, teardown);
}
