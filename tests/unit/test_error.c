/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The operator's errors: the first cause stands, texts fit, codes have names.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "lib/unit.h"

static void test_set(void **state)
{
	struct error err = {0};

	(void)state;
	assert_int_equal(error_set(&err, VHOSTD_ERR_BUSY, "%s has %d", "disk", 3), -1);
	assert_int_equal(err.code, VHOSTD_ERR_BUSY);
	assert_string_equal(err.text, "disk has 3");
}

static void test_first_cause_stands(void **state)
{
	struct error err = {0};

	(void)state;
	error_set(&err, VHOSTD_ERR_STORE, "first");
	assert_int_equal(error_set(&err, VHOSTD_ERR_SOCKET, "second"), -1);
	assert_int_equal(err.code, VHOSTD_ERR_STORE);
	assert_string_equal(err.text, "first");
}

static void test_long_text_is_cut(void **state)
{
	struct {
		struct error err;
		char behind;
	} e = {.behind = 'x'};
	size_t size = sizeof(e.err.text);
	char text[2 * sizeof(e.err.text)];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&e.err, VHOSTD_ERR_PARAMS, "%s", text);
	assert_int_equal(strlen(e.err.text), size - 1);
	assert_int_equal(e.behind, 'x');
}

/* The codes are what scripts see: they don't change. */
static void test_names(void **state)
{
	const struct {
		int code;
		const char *name;
	} table[] = {
		{0, "OK"},          {-32700, "PARSE"},    {-32600, "REQUEST"}, {-32601, "METHOD"},
		{-32602, "PARAMS"}, {-32603, "INTERNAL"}, {1, "EXISTS"},       {2, "NOT_FOUND"},
		{3, "BUSY"},        {4, "IN_USE"},        {5, "STORE"},        {6, "SOCKET"},
		{7, "LIMIT"},       {8, "UNSUPPORTED"},   {9, "SHUTDOWN"},     {10, "?"},
		{-1, "?"},          {-32604, "?"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_string_equal(error_name((enum vhostd_error)table[i].code), table[i].name);
}

/* Runs CHECK(holds) in a child; what it wrote to stderr, and how it ended. */
static int run_check(int holds, char *ret_text, size_t n_bytes)
{
	int pipe_fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(pipe_fds[1], STDERR_FILENO);
		CHECK(holds, "water is wet");
		_exit(0);
	}
	close(pipe_fds[1]);
	n = read(pipe_fds[0], ret_text, n_bytes - 1);
	ret_text[n > 0 ? n : 0] = '\0';
	close(pipe_fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_check(void **state)
{
	char text[256];
	int status = run_check(1, text, sizeof(text));

	(void)state;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_string_equal(text, "");
	status = run_check(0, text, sizeof(text));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "test_error.c:"));
	assert_non_null(strstr(text, "water is wet"));
	assert_non_null(strstr(text, "holds"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_first_cause_stands),
		cmocka_unit_test(test_long_text_is_cut),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
