/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What vhostperf is told: values of options, and lines of standard input.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/compiler.h"
#include "lib/unit.h"
#include "lines.h"
#include "option_value.h"

#define UNTOUCHED 77

static void test_numbers(void **state)
{
	static const char *const bad[] = {"",   "-1", "+1",  " 1",
					  "1 ", "1k", "0x1", "18446744073709551616"};
	uint64_t number = UNTOUCHED;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(value_number(bad[i], &number));
	assert_int_equal(number, UNTOUCHED);
	assert_true(value_number("18446744073709551615", &number) && number == UINT64_MAX);
	assert_true(value_number("007", &number) && number == 7);
}

static void test_bytes(void **state)
{
	static const char *const bad[] = {"",   "k",  "4kB",  "4 k",      "4kk",
					  "4x", "-4", "1.5k", "16777216T"};
	uint64_t bytes = UNTOUCHED;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(value_bytes(bad[i], &bytes));
	assert_int_equal(bytes, UNTOUCHED);
	assert_true(value_bytes("512", &bytes) && bytes == 512);
	assert_true(value_bytes("4k", &bytes) && bytes == 4096);
	assert_true(value_bytes("3M", &bytes) && bytes == 3ull << 20);
	assert_true(value_bytes("1g", &bytes) && bytes == 1ull << 30);
	assert_true(value_bytes("16777215T", &bytes) && bytes == 16777215ull << 40);
}

static void test_decimals(void **state)
{
	static const char *const bad[] = {"", "-1", "1e9", "inf", "nan", "0x1", "1.2.3", ".", " 1"};
	double number = UNTOUCHED;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(value_decimal(bad[i], &number));
	assert_true(number == UNTOUCHED);
	assert_true(value_decimal("0.25", &number) && number == 0.25);
	assert_true(value_decimal("10", &number) && number == 10);
}

static void test_cpus(void **state)
{
	static const char *const bad[] = {"",    ",",   "1,",    "1,,2", "1-",     "-1",
					  "2-1", "1,1", "0-3,2", "1024", "0-1024", "a"};
	unsigned int cpu[4], n = UNTOUCHED;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(value_cpus(bad[i], cpu, ARRAY_LEN(cpu), &n));
	assert_false(value_cpus("0-4", cpu, ARRAY_LEN(cpu), &n));
	assert_int_equal(n, UNTOUCHED);
	assert_true(value_cpus("7", cpu, ARRAY_LEN(cpu), &n));
	assert_true(n == 1 && cpu[0] == 7);
	assert_true(value_cpus("5,1-3", cpu, ARRAY_LEN(cpu), &n));
	assert_true(n == 4 && cpu[0] == 5 && cpu[1] == 1 && cpu[2] == 2 && cpu[3] == 3);
}

static void test_words(void **state)
{
	static const char *const words[] = {"one", "two", "three", NULL};
	char list[64];

	(void)state;
	assert_int_equal(value_word("two", words), 1);
	assert_int_equal(value_word("tw", words), -1);
	value_list_words(words, list, sizeof(list));
	assert_string_equal(list, "one, two or three");
	value_list_words(words, list, 10);
	assert_string_equal(list, "one, two ");
}

static void feed(int fd, const char *text, size_t n)
{
	assert_int_equal(write(fd, text, n), n);
}

static void assert_line(struct lines *lines, const char *wanted)
{
	char line[LINES_BYTES];

	if (!lines_next(lines, line))
		fail_msg("no line where \"%s\" was expected", wanted);
	assert_string_equal(line, wanted);
}

static void test_lines(void **state)
{
	struct lines lines;
	char line[LINES_BYTES];
	int fd[2];

	(void)state;
	assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	lines_init(&lines, fd[0]);
	lines_read(&lines); /* nothing there yet */
	assert_false(lines_next(&lines, line));
	feed(fd[1], "one\n\nth", 7);
	lines_read(&lines);
	assert_line(&lines, "one");
	assert_line(&lines, "");
	assert_false(lines_next(&lines, line));
	feed(fd[1], "ree\xff\nrest", 9);
	lines_read(&lines);
	assert_line(&lines, "three?");
	assert_false(lines_next(&lines, line));
	close(fd[1]);
	lines_read(&lines);
	assert_true(lines.ended);
	assert_line(&lines, "rest");
	assert_line(&lines, "");
	close(fd[0]);
}

static void test_long_lines(void **state)
{
	static char text[3 * LINES_BYTES];
	struct lines lines;
	char line[LINES_BYTES];
	int fd[2];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	lines_init(&lines, fd[0]);
	feed(fd[1], text, sizeof(text));
	feed(fd[1], "\nnext\n", 6);
	for (size_t i = 0; i < sizeof(text) + 6; i++) {
		lines_read(&lines);
		if (lines_next(&lines, line))
			break;
	}
	assert_in_range(strlen(line), LINES_BYTES - 3, LINES_BYTES - 1);
	lines_read(&lines);
	assert_line(&lines, "next");
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),    cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_decimals),   cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_words),      cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
