/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines as they reach stderr, which is a pipe here; and what UTF-8 is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/utf8.h"

struct capture {
	int pipe_fd;
	int saved_fd;
	char text[16384];
};

static void capture_begin(struct capture *capture)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	capture->pipe_fd = fds[0];
	capture->saved_fd = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
}

static const char *capture_end(struct capture *capture)
{
	ssize_t n;

	dup2(capture->saved_fd, STDERR_FILENO); /* the pipe's last writer goes */
	close(capture->saved_fd);
	n = read(capture->pipe_fd, capture->text, sizeof(capture->text) - 1);
	close(capture->pipe_fd);
	capture->text[n > 0 ? n : 0] = '\0';
	return capture->text;
}

#define assert_logged(wanted, ...)                                                                 \
	do {                                                                                       \
		struct capture capture_;                                                           \
		capture_begin(&capture_);                                                          \
		log_line(__VA_ARGS__);                                                             \
		assert_string_equal(capture_end(&capture_), wanted);                               \
	} while (0)

static void test_plain_lines(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_init(LOG_LEVEL_INFO);
	assert_logged("d0: 5 requests\n", LOG_LEVEL_INFO, "d0", "%d requests", 5);
	assert_logged("d0: hm\n", LOG_LEVEL_NOTICE, "d0", "hm");
	assert_logged("d0: warning: hm\n", LOG_LEVEL_WARNING, "d0", "hm");
	assert_logged("d0: error: hm\n", LOG_LEVEL_ERR, "d0", "hm");
	assert_logged("", LOG_LEVEL_DEBUG, "d0", "hm");
}

static void test_levels(void **state)
{
	enum log_level level = LOG_LEVEL_ERR;

	(void)state;
	for (int i = LOG_LEVEL_ERR; i <= LOG_LEVEL_DEBUG; i++) {
		assert_int_equal(log_level_parse(log_level_name((enum log_level)i), &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_null(log_level_name((enum log_level)0));
	assert_null(log_level_name((enum log_level)8));
	log_set_level(LOG_LEVEL_ERR);
	assert_logged("", LOG_LEVEL_WARNING, "d0", "hm");
	log_set_level(LOG_LEVEL_DEBUG);
	assert_logged("d0: hm\n", LOG_LEVEL_DEBUG, "d0", "hm");
	log_set_level(LOG_LEVEL_INFO);
}

static void test_the_journal(void **state)
{
	struct capture capture;
	struct stat st;
	char stream[64];

	(void)state;
	capture_begin(&capture);
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(LOG_LEVEL_INFO);
	log_warning("d0", "hm");
	assert_string_equal(capture_end(&capture), "<4>d0: hm\n");
	unsetenv("JOURNAL_STREAM");
	log_init(LOG_LEVEL_INFO);
}

static void test_one_line_whatever_is_in_it(void **state)
{
	(void)state;
	assert_logged("d: a\\x0ab\\x0d\\x1b[2J\\x7f\n", LOG_LEVEL_INFO, "d", "a\nb\r\x1b[2J\x7f");
	assert_logged("d\\x0a: \xc3\xa9 \xe2\x82\xac\n", LOG_LEVEL_INFO, "d\n",
		      "\xc3\xa9 \xe2\x82\xac");
	assert_logged("d: \\xff\\xc3( \\xc2\\x9b\n", LOG_LEVEL_INFO, "d", "\xff\xc3( \xc2\x9b");
}

static void test_long_lines_are_cut(void **state)
{
	struct capture capture;
	char text[5000];
	const char *line;

	(void)state;
	memset(text, '\n', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	capture_begin(&capture);
	log_info(text, "%s", text);
	line = capture_end(&capture);
	assert_string_equal(line + strlen(line) - 4, "...\n");
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void test_limit(void **state)
{
	struct log_limit limit = {0};
	unsigned int n_passed = 0, n_suppressed;

	(void)state;
	for (int i = 0; i < 1000; i++)
		n_passed += log_limit_pass(&limit, &n_suppressed);
	assert_int_equal(n_passed, LOG_LIMIT_BURST);
	/* As if the window were over. */
	atomic_store(&limit.window_start_ms, atomic_load(&limit.window_start_ms) - LOG_LIMIT_MS);
	assert_true(log_limit_pass(&limit, &n_suppressed));
	assert_int_equal(n_suppressed, 1000 - LOG_LIMIT_BURST);
	assert_true(log_limit_pass(&limit, &n_suppressed));
	assert_int_equal(n_suppressed, 0);
}

/* RFC 3629 section 4, at its edges. */
static void test_utf8(void **state)
{
	static const char *const good[] = {"",
					   "a",
					   "\x7f",
					   "\xc2\x80",
					   "\xdf\xbf",
					   "\xe0\xa0\x80",
					   "\xed\x9f\xbf",
					   "\xee\x80\x80",
					   "\xef\xbf\xbf",
					   "\xf0\x90\x80\x80",
					   "\xf4\x8f\xbf\xbf"};
	static const char *const bad[] = {"\x80",
					  "\xc0\x80",
					  "\xc1\xbf",
					  "\xc2",
					  "\xe0\x9f\xbf",
					  "\xe0\xa0",
					  "\xed\xa0\x80",
					  "\xf0\x8f\xbf\xbf",
					  "\xf4\x90\x80\x80",
					  "\xf5\x80\x80\x80",
					  "\xff",
					  "a\xc2"};
	char text[] = "a\xffz\xc3\xa9\xe2\x82";

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(good); i++)
		assert_true(utf8_is_valid(good[i], strlen(good[i])));
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(utf8_is_valid(bad[i], strlen(bad[i])));
	utf8_repair(text);
	assert_string_equal(text, "a?z\xc3\xa9??");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_lines),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_the_journal),
		cmocka_unit_test(test_one_line_whatever_is_in_it),
		cmocka_unit_test(test_long_lines_are_cut),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
