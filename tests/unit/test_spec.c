/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What device_spec_check() lets through, and what its errors say. The rules between keys; that each
 * key is of its type is test_params.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "device/spec.h"

#define DIR "/run/vhostd"

static struct device_spec good(void)
{
	struct device_spec spec;

	device_spec_init(&spec);
	strcpy(spec.name, "d0");
	spec.backend = STORE_KIND_MALLOC;
	spec.size_bytes = 1 << 20;
	return spec;
}

static struct lcore_set lcores(const char *text)
{
	struct lcore_set set;

	assert_int_equal(lcore_set_parse(text, &set), 0);
	return set;
}

static void assert_good_in(const struct device_spec *spec, const char *dir)
{
	struct lcore_set available = lcores("1-3");
	struct error err = {0};

	if (device_spec_check(spec, dir, &available, &err))
		fail_msg("refused: %s", err.text);
	assert_int_equal(err.code, VHOSTD_ERR_OK);
}

static void assert_good(const struct device_spec *spec)
{
	assert_good_in(spec, DIR);
}

static void assert_bad_in(const struct device_spec *spec, const char *dir, const char *begins,
			  const char *has)
{
	struct lcore_set available = lcores("1-3");
	struct error err = {0};

	assert_int_equal(device_spec_check(spec, dir, &available, &err), -1);
	assert_int_equal(err.code, VHOSTD_ERR_PARAMS);
	if (strncmp(err.text, begins, strlen(begins)) != 0 || !strstr(err.text, has))
		fail_msg("\"%s\" doesn't begin with \"%s\" or say \"%s\"", err.text, begins, has);
}

static void assert_bad(const struct device_spec *spec, const char *begins, const char *has)
{
	assert_bad_in(spec, DIR, begins, has);
}

static void test_defaults(void **state)
{
	struct device_spec spec;

	(void)state;
	memset(&spec, 0xff, sizeof(spec));
	device_spec_init(&spec);
	assert_int_equal(spec.block_size_bytes, 512);
	assert_int_equal(spec.n_queues, 1);
	assert_int_equal(lcore_set_count(&spec.lcores), 0);
	assert_false(spec.readonly);
	assert_string_equal(spec.serial, "");
	spec = good();
	assert_good(&spec);
}

static void test_names(void **state)
{
	static const char *const fine[] = {"a", "0", "_", "-", "a.b", "A-Z_09.", "d0."};
	static const char *const bad[] = {"",    ".",   "..",    ".a",      "a/b",
					  "a b", "a\n", "a\x7f", "\xc3\xa9"};
	struct device_spec spec = good();

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(fine); i++) {
		strcpy(spec.name, fine[i]);
		assert_good(&spec);
	}
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++) {
		strcpy(spec.name, bad[i]);
		assert_bad(&spec, "name: ", "1 to 64");
	}
}

/* unix(7): sun_path has 108 bytes, NUL included. */
static void test_length_of_the_socket_path(void **state)
{
	struct device_spec spec = good();
	char dir[108];

	(void)state;
	memset(spec.name, 'n', VHOSTD_NAME_MAX);
	spec.name[VHOSTD_NAME_MAX] = '\0';
	assert_good(&spec);
	memset(dir, 'd', sizeof(dir));
	dir[0] = '/';
	dir[107 - VHOSTD_NAME_MAX - (int)strlen("/.sock")] = '\0';
	assert_good_in(&spec, dir);
	strcat(dir, "d");
	assert_bad_in(&spec, dir, "name: ", "longer than 107 bytes");
}

static void test_what_backends_need(void **state)
{
	struct device_spec spec = good();

	(void)state;
	spec.size_bytes = 0;
	assert_bad(&spec, "size: missing", "malloc");
	spec.backend = STORE_KIND_NULL;
	assert_bad(&spec, "size: missing", "null");
	spec.backend = STORE_KIND_AUTO;
	assert_bad(&spec, "path: missing", "the auto backend");
	spec.backend = STORE_KIND_URING;
	assert_bad(&spec, "path: missing", "the uring backend");
	spec.backend = STORE_KIND_AIO;
	assert_bad(&spec, "path: missing", "the aio backend");
	strcpy(spec.path, "disk.img");
	assert_bad(&spec, "path: \"disk.img\"", "absolute");
	strcpy(spec.path, "/disk.img");
	assert_good(&spec);
	spec.size_bytes = 512;
	assert_good(&spec);
	spec.backend = STORE_KIND_NULL;
	assert_bad(&spec, "path: \"/disk.img\"", "of no use to the null backend");
}

static void test_geometry(void **state)
{
	struct device_spec spec = good();

	(void)state;
	for (uint32_t size = 0; size <= 8192; size += 256) {
		spec.block_size_bytes = size;
		if (size == 512 || size == 4096)
			assert_good(&spec);
		else
			assert_bad(&spec, "block_size: ", "neither 512 nor 4096");
	}
	spec.block_size_bytes = 4096;
	spec.size_bytes = 4096 + 512;
	assert_bad(&spec, "size: 4608", "multiple of the block size 4096");
	spec.size_bytes = UINT64_MAX - 4095;
	assert_bad(&spec, "size: ", "is more than");
	spec = good();
	spec.n_queues = 0;
	assert_bad(&spec, "queues: 0", "1 to 64");
	spec.n_queues = 65;
	assert_bad(&spec, "queues: 65", "1 to 64");
	spec.n_queues = 64;
	assert_good(&spec);
}

static void test_serials(void **state)
{
	struct device_spec spec = good();

	(void)state;
	strcpy(spec.serial, "~ABC 123!");
	assert_good(&spec);
	strcpy(spec.serial, "a\tb");
	assert_bad(&spec, "serial: ", "printable");
	strcpy(spec.serial, "\xc3\xa9");
	assert_bad(&spec, "serial: ", "printable");
}

static void test_lcores(void **state)
{
	struct device_spec spec = good();

	(void)state;
	spec.lcores = lcores("1,3");
	assert_good(&spec);
	spec.lcores = lcores("3-4");
	assert_bad(&spec, "lcores: \"3-4\"", "1-3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_length_of_the_socket_path),
		cmocka_unit_test(test_what_backends_need),
		cmocka_unit_test(test_geometry),
		cmocka_unit_test(test_serials),
		cmocka_unit_test(test_lcores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
