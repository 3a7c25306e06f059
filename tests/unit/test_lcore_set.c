/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "engine/lcore_set.h"

static void test_parses_and_formats(void **state)
{
	static const struct {
		const char *text, *formatted;
		unsigned int n;
	} cases[] = {
		{"0", "0", 1},           {"127", "127", 1},         {"1,3-5", "1,3-5", 4},
		{"5,4,3,1", "1,3-5", 4}, {"2-2", "2", 1},           {"0-127", "0-127", 128},
		{"63,64", "63-64", 2},   {"1-3,2-6", "1-6", 6},     {"007", "7", 1},
		{"0,2,4", "0,2,4", 3},   {"62-65,1", "1,62-65", 5},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(cases); i++) {
		struct lcore_set set;
		char text[64];

		assert_int_equal(lcore_set_parse(cases[i].text, &set), 0);
		assert_int_equal(lcore_set_count(&set), cases[i].n);
		lcore_set_format(&set, text, sizeof(text));
		assert_string_equal(text, cases[i].formatted);
	}
}

static void test_refuses_what_is_no_list(void **state)
{
	static const char *const bad[] = {
		"",    " ",   "x",     "1,",  ",1",         "1,,2",
		"1-",  "-1",  "3-1",   "128", "+1",         " 1",
		"1 ",  "1;2", "1-2-3", "0x1", "4294967296", "99999999999999999999",
		"1.5", "1\n", "0-128",
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++) {
		struct lcore_set set = {{5, 6}};

		assert_int_equal(lcore_set_parse(bad[i], &set), -EINVAL);
		assert_int_equal(set.bits[0], 5); /* untouched */
	}
}

static void test_format_never_overruns(void **state)
{
	struct lcore_set set;
	char text[16], whole[] = "0,2,4,6,8,10,12";

	(void)state;
	assert_int_equal(lcore_set_parse(whole, &set), 0);
	for (size_t size = 1; size <= sizeof(text); size++) {
		memset(text, 'x', sizeof(text));
		lcore_set_format(&set, text, size);
		assert_true(memchr(text, '\0', size) != NULL);
		assert_memory_equal(text, whole, strlen(text));
		if (size < sizeof(text))
			assert_int_equal(text[size], 'x');
	}
	lcore_set_format(&(struct lcore_set){{0, 0}}, text, sizeof(text));
	assert_string_equal(text, "");
}

static void test_sets(void **state)
{
	struct lcore_set set = {{0}}, of;

	(void)state;
	lcore_set_add(&set, 64);
	lcore_set_add(&set, VHOSTD_LCORES_MAX); /* out of range: nothing */
	assert_true(lcore_set_has(&set, 64));
	assert_false(lcore_set_has(&set, 0));
	assert_false(lcore_set_has(&set, VHOSTD_LCORES_MAX));
	assert_false(lcore_set_has(&set, 4096));
	assert_int_equal(lcore_set_count(&set), 1);
	assert_int_equal(lcore_set_parse("60-70", &of), 0);
	assert_true(lcore_set_is_subset(&set, &of));
	assert_false(lcore_set_is_subset(&of, &set));
	assert_true(lcore_set_is_subset(&(struct lcore_set){{0, 0}}, &set));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parses_and_formats),
		cmocka_unit_test(test_refuses_what_is_no_list),
		cmocka_unit_test(test_format_never_overruns),
		cmocka_unit_test(test_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
