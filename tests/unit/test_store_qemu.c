/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A disk and a virtual machine of QEMU want the same file, or the same block device: one of them
 * is refused, whichever comes second. No EAL.
 */
#include "test_store_qemu.h"

#include "lib/disk.h"
#include "lib/scratch.h"

#define N_BYTES (4u << 20)

static struct scratch scratch;
static struct disk disk;
static char file[SCRATCH_PATH_MAX], device[SCRATCH_PATH_MAX];

static struct store_params params_of(const char *path, bool readonly)
{
	return (struct store_params){.kind = STORE_KIND_AIO,
				     .name = "test",
				     .path = path,
				     .block_size_bytes = 512,
				     .readonly = readonly};
}

static void refuse(const char *path, bool readonly)
{
	struct store_params params = params_of(path, readonly);
	struct error err = {0};

	assert_int_equal(disk_try_open(&disk, &params, &err), -1);
	assert_string_equal(error_name(err.code), "IN_USE");
	assert_fault(err.text, "path: ");
	assert_fault(err.text, path);
}

static void open_it(const char *path, bool readonly)
{
	struct store_params params = params_of(path, readonly);

	disk_open(&disk, &params);
}

static void exclude(const char *path)
{
	struct qemu q = qemu_hold(path, true);

	refuse(path, false);
	refuse(path, true);
	qemu_end(&q);
	q = qemu_hold(path, false);
	refuse(path, false);
	open_it(path, true);
	disk_close(&disk);
	qemu_end(&q);
	open_it(path, false);
	qemu_may(false, QEMU_VM_READER, path);
	qemu_may(false, QEMU_VM_WRITER, path);
	qemu_may(false, QEMU_WRITE, path);
	disk_close(&disk);
	open_it(path, true);
	qemu_may(true, QEMU_VM_READER, path);
	qemu_may(false, QEMU_VM_WRITER, path);
	qemu_may(false, QEMU_WRITE, path);
	disk_close(&disk);
	qemu_may(true, QEMU_WRITE, path);
}

static void test_file(void **state)
{
	(void)state;
	qemu_require();
	assert_int_equal(scratch_file(&scratch, "file", N_BYTES, file), 0);
	exclude(file);
}

static void test_block_device(void **state)
{
	int ret;

	(void)state;
	qemu_require();
	if (geteuid() != 0)
		skip();
	assert_int_equal(scratch_file(&scratch, "file", N_BYTES, file), 0);
	ret = scratch_loop(file, 512, false, device);
	if (ret == SCRATCH_NO_LOOP)
		skip();
	assert_int_equal(ret, 0);
	exclude(device);
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
	signal(SIGPIPE, SIG_IGN);
	return scratch_open(&scratch, ".") ? -1 : 0;
}

static int group_teardown(void **state)
{
	(void)state;
	scratch_close(&scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_file, teardown),
		cmocka_unit_test_teardown(test_block_device, teardown),
	};

	return cmocka_run_group_tests_name("store_qemu", tests, group_setup, group_teardown);
}
