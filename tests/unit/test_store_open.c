/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a file store refuses to open, with which code and in which words. No EAL.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/disk.h"
#include "lib/scratch.h"
#include "lib/unit.h"

#define MIB    (1ull << 20)
#define NOBODY 65534

static struct scratch scratch;
static struct disk disk;
static char path[SCRATCH_PATH_MAX];

static struct store_params params_of(const char *file)
{
	return (struct store_params){
		.kind = disk_file_kind(), .name = "test", .path = file, .block_size_bytes = 512};
}

static unsigned int count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* It is refused, in those words, and nothing stays open. A call that blocks is a SIGALRM. */
static void refuse(const struct store_params *params, enum vhostd_error code, const char *text)
{
	struct store *store = NULL;
	struct error err = {0};
	unsigned int n_fds = count_fds();
	int ret;

	alarm(10);
	role_enter(&role_job);
	ret = store_open(params, &store, &err);
	role_leave(&role_job);
	alarm(0);
	assert_int_equal(ret, -1);
	assert_null(store);
	assert_string_equal(err.text, text);
	assert_string_equal(error_name(err.code), error_name(code));
	assert_int_equal(count_fds(), n_fds);
}

static void refuse_path(const char *file, const char *reason)
{
	struct store_params params = params_of(file);
	char text[SCRATCH_PATH_MAX + 128];

	snprintf(text, sizeof(text), "path: %s%s", file, reason);
	refuse(&params, VHOSTD_ERR_STORE, text);
	params.readonly = true;
	refuse(&params, VHOSTD_ERR_STORE, text);
}

#define RIGHT "; a regular file or a block device is right"

static void test_kinds_of_files(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "socket"};
	char old[SCRATCH_PATH_MAX];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), ret;

	(void)state;
	assert_int_equal(mkdir(scratch_path(&scratch, "dir", path), 0700), 0);
	refuse_path(path, " is a directory" RIGHT);
	assert_int_equal(mkfifo(scratch_path(&scratch, "fifo", path), 0600), 0);
	refuse_path(path, " is a FIFO" RIGHT);
	refuse_path("/dev/null", " is a character device" RIGHT);
	assert_non_null(getcwd(old, sizeof(old)));
	assert_int_equal(chdir(scratch.dir), 0);
	ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	assert_int_equal(chdir(old), 0);
	assert_int_equal(ret, 0);
	refuse_path(scratch_path(&scratch, "socket", path), " is a socket" RIGHT);
	close(fd);
}

static void test_missing(void **state)
{
	char link[SCRATCH_PATH_MAX];

	(void)state;
	refuse_path(scratch_path(&scratch, "none", path), ": No such file or directory");
	assert_int_equal(symlink(path, scratch_path(&scratch, "link", link)), 0);
	refuse_path(link, ": No such file or directory");
	assert_int_equal(symlink("loop", scratch_path(&scratch, "loop", link)), 0);
	refuse_path(link, ": Too many levels of symbolic links");
	assert_int_equal(scratch_file(&scratch, "file", MIB, path), 0);
	strcat(path, "/file");
	refuse_path(path, ": Not a directory");
}

/* The assertion's message comes from the child; its end tells the rest. */
static void in_child(void (*run)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("the child ended with status %#x", status);
}

/* assert_*() would return into the parent's copy of the test runner. */
static int open_error(bool readonly, struct error *err)
{
	struct store_params params = params_of(path);
	struct store *store;
	int ret;

	params.readonly = readonly;
	role_enter(&role_job);
	ret = store_open(&params, &store, err);
	role_leave(&role_job);
	return ret;
}

static void expect_denied(bool readonly, const char *reason)
{
	struct error err = {0};
	char text[SCRATCH_PATH_MAX + 128];

	snprintf(text, sizeof(text), "path: %s: %s", path, reason);
	if (open_error(readonly, &err) != -1 || err.code != VHOSTD_ERR_STORE ||
	    strcmp(err.text, text) != 0) {
		fprintf(stderr, "\"%s\" where \"%s\" was expected\n", err.text, text);
		_exit(1);
	}
}

static void become_nobody(void)
{
	if (geteuid() == 0 && (setgid(NOBODY) || setuid(NOBODY)))
		_exit(2);
}

static void run_unreadable(void)
{
	become_nobody();
	expect_denied(false, "Permission denied");
	expect_denied(true, "Permission denied");
}

static void run_unwritable(void)
{
	struct error err = {0};

	become_nobody();
	expect_denied(false, "Permission denied");
	if (open_error(true, &err)) {
		fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
}

static void test_permissions(void **state)
{
	(void)state;
	assert_int_equal(chmod(scratch.dir, 0755), 0);
	assert_int_equal(scratch_file(&scratch, "file", MIB, path), 0);
	assert_int_equal(chmod(path, 0000), 0);
	in_child(run_unreadable);
	assert_int_equal(chmod(path, 0444), 0);
	in_child(run_unwritable);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(scratch.dir, 0700), 0);
	in_child(geteuid() == 0 ? run_unreadable : become_nobody);
}

static void test_sizes(void **state)
{
	struct store_params params = params_of(path);
	char text[SCRATCH_PATH_MAX + 256];

	(void)state;
	assert_int_equal(scratch_file(&scratch, "file", 0, path), 0);
	refuse_path(path, " has 0 bytes, less than one block of 512; make it larger first "
			  "(truncate -s 10G)");
	assert_int_equal(truncate(path, 4095), 0);
	params.block_size_bytes = 4096;
	snprintf(text, sizeof(text),
		 "path: %s has 4095 bytes, less than one block of 4096; make it larger first "
		 "(truncate -s 10G)",
		 path);
	refuse(&params, VHOSTD_ERR_STORE, text);
	params.block_size_bytes = 512;
	params.size_bytes = 4096;
	snprintf(text, sizeof(text),
		 "size: 4096 is more than %s has (4095 bytes); leave size out, or make the file "
		 "larger first",
		 path);
	refuse(&params, VHOSTD_ERR_STORE, text);
}

/* What the file has, what was asked for, and never a part of a block. */
static void test_capacity(void **state)
{
	struct store_params params = params_of(path);

	(void)state;
	assert_int_equal(scratch_file(&scratch, "file", MIB + 4095, path), 0);
	disk_open(&disk, &params);
	assert_int_equal(disk_capacity(&disk), MIB + 3584);
	disk_close(&disk);
	params.block_size_bytes = 4096;
	disk_open(&disk, &params);
	assert_int_equal(disk_capacity(&disk), MIB);
	disk_close(&disk);
	params.size_bytes = 8192;
	disk_open(&disk, &params);
	assert_int_equal(disk_capacity(&disk), 8192);
	assert_true(disk.store->caps.volatile_cache);
	assert_true(disk.store->caps.discard);
	assert_true(disk.store->caps.write_zeroes);
	assert_false(disk.store->caps.readonly);
	assert_int_equal(disk.store->caps.block_size_bytes, 512);
}

static void test_readonly(void **state)
{
	struct store_params params = params_of(path);
	uint8_t *buf = disk_buffer(4096), *got = disk_buffer(4096);
	int fd;

	(void)state;
	assert_int_equal(scratch_file(&scratch, "file", MIB, path), 0);
	disk_pattern(buf, 4096, 1);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, buf, 4096, 4096), 4096);
	close(fd);
	params.readonly = true;
	disk_open(&disk, &params);
	assert_true(disk.store->caps.readonly);
	assert_false(disk.store->caps.discard);
	assert_false(disk.store->caps.write_zeroes);
	assert_int_equal(disk_read(&disk, 4096, got, 4096), 0);
	assert_memory_equal(got, buf, 4096);
	/* Whoever sends one all the same gets an error, and the file stays. */
	assert_int_not_equal(disk_write(&disk, 0, buf, 4096), 0);
	assert_int_not_equal(disk_do(&disk, STORE_DISCARD, 0, 4096, NULL, 4096), 0);
	assert_int_not_equal(disk_do(&disk, STORE_WRITE_ZEROES, 0, 4096, NULL, 4096), 0);
	assert_int_equal(disk_read(&disk, 4096, got, 4096), 0);
	assert_memory_equal(got, buf, 4096);
	assert_int_equal(atomic_load(&disk.store->n_errors), 3);
	free(buf);
	free(got);
}

/* A path that doesn't begin at the root is the daemon's working directory's. */
static void test_relative(void **state)
{
	char old[SCRATCH_PATH_MAX];

	(void)state;
	assert_int_equal(scratch_file(&scratch, "file", MIB, path), 0);
	assert_non_null(getcwd(old, sizeof(old)));
	assert_int_equal(chdir(scratch.dir), 0);
	disk_open_path(&disk, "file");
	assert_int_equal(chdir(old), 0);
	assert_int_equal(disk_capacity(&disk), MIB);
}

static void test_in_use(void **state)
{
	struct store_params params = params_of(path);
	char text[SCRATCH_PATH_MAX + 128];

	(void)state;
	assert_int_equal(scratch_file(&scratch, "file", MIB, path), 0);
	disk_open_path(&disk, path);
	snprintf(text, sizeof(text),
		 "path: %s is in use by another disk or program (image lock); one writer, or any "
		 "number of readers, may have it",
		 path);
	refuse(&params, VHOSTD_ERR_IN_USE, text);
	disk_close(&disk);
	disk_open_path(&disk, path);
}

static int teardown(void **state)
{
	(void)state;
	disk_close(&disk);
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

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kinds_of_files), TEST(test_missing),  TEST(test_permissions),
		TEST(test_sizes),          TEST(test_capacity), TEST(test_readonly),
		TEST(test_relative),       TEST(test_in_use),
	};

	disk_choose_file_kind(argc, argv);
	return cmocka_run_group_tests_name("store_open", tests, group_setup, group_teardown);
}
