/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines out of bytes, requests out of lines, answers as lines; and what json_map.c knows of a text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/ctl_lines.h"
#include "control/json_map.h"
#include "control/jsonrpc.h"

static void feed(struct ctl_lines *lines, const char *text, size_t n_bytes)
{
	while (n_bytes) {
		size_t room;
		char *to = ctl_lines_room(lines, &room);
		size_t n = n_bytes < room ? n_bytes : room;

		assert_true(room > 0);
		memcpy(to, text, n);
		ctl_lines_added(lines, n);
		text += n;
		n_bytes -= n;
	}
}

static void assert_takes(struct ctl_lines *lines, const char *wanted)
{
	size_t n_bytes;
	const char *line = ctl_lines_take(lines, &n_bytes);

	assert_non_null(line);
	assert_int_equal(n_bytes, strlen(wanted));
	assert_memory_equal(line, wanted, n_bytes);
}

static void test_lines(void **state)
{
	struct ctl_lines *lines = malloc(sizeof(*lines));
	size_t n_bytes;

	(void)state;
	ctl_lines_init(lines);
	assert_null(ctl_lines_take(lines, &n_bytes));
	feed(lines, "one\ntw", 6);
	assert_true(ctl_lines_has_line(lines));
	assert_takes(lines, "one");
	assert_false(ctl_lines_has_line(lines));
	assert_int_equal(ctl_lines_rest(lines), 2);
	feed(lines, "o\n\nthree\n", 9);
	assert_takes(lines, "two");
	assert_takes(lines, "");
	assert_takes(lines, "three");
	assert_null(ctl_lines_take(lines, &n_bytes));
	assert_int_equal(ctl_lines_rest(lines), 0);
	free(lines);
}

/* Lines of many lengths in pieces of many lengths, over the end of the buffer again and again. */
static void test_lines_in_pieces(void **state)
{
	struct ctl_lines *lines = malloc(sizeof(*lines));
	char text[1024];

	(void)state;
	ctl_lines_init(lines);
	for (unsigned int i = 0; i < 2000; i++) {
		size_t len = i * 7 % 1000;

		memset(text, 'a' + (int)(i % 26), len);
		text[len] = '\n';
		for (size_t at = 0; at <= len; at += 100)
			feed(lines, text + at, len + 1 - at < 100 ? len + 1 - at : 100);
		text[len] = '\0';
		assert_takes(lines, text);
	}
	free(lines);
}

static void test_too_long_lines(void **state)
{
	struct ctl_lines *lines = malloc(sizeof(*lines));
	char *junk = malloc(VHOSTD_CTL_LINE_MAX);
	size_t room;

	(void)state;
	memset(junk, 'x', VHOSTD_CTL_LINE_MAX);
	ctl_lines_init(lines);
	feed(lines, "first\n", 6);
	feed(lines, junk, VHOSTD_CTL_LINE_MAX - 6);
	assert_false(ctl_lines_is_too_long(lines));
	ctl_lines_room(lines, &room);
	assert_int_equal(room, 0);
	assert_takes(lines, "first");
	assert_false(ctl_lines_is_too_long(lines));
	feed(lines, junk, 5);
	assert_false(ctl_lines_is_too_long(lines));
	feed(lines, junk, 1);
	assert_true(ctl_lines_is_too_long(lines));
	ctl_lines_init(lines);
	feed(lines, junk, VHOSTD_CTL_LINE_MAX - 1);
	feed(lines, "\n", 1);
	assert_false(ctl_lines_is_too_long(lines));
	assert_true(ctl_lines_has_line(lines));
	free(junk);
	free(lines);
}

static void test_requests(void **state)
{
	static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"a.b\","
				   "\"params\":{\"name\":\"d0\"}}  ";
	struct jsonrpc_request request;
	struct error err = {0};

	(void)state;
	assert_int_equal(jsonrpc_parse(text, strlen(text), &request, &err), 0);
	assert_string_equal(request.method, "a.b");
	assert_true(request.has_id);
	assert_string_equal(json_object_get_string(request.id), "x");
	assert_true(json_object_object_get_ex(request.params, "name", NULL));
	jsonrpc_request_fini(&request);

	assert_int_equal(jsonrpc_parse("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"m\"}", 40,
				       &request, &err),
			 0);
	assert_true(request.has_id); /* null is an id, none is a notification */
	assert_null(request.id);
	assert_null(request.params);
	jsonrpc_request_fini(&request);

	assert_int_equal(
		jsonrpc_parse("{\"jsonrpc\":\"2.0\",\"method\":\"m\"}", 30, &request, &err), 0);
	assert_false(request.has_id);
	jsonrpc_request_fini(&request);
}

static void assert_refused(const char *line, size_t n_bytes, enum vhostd_error code, int id)
{
	struct jsonrpc_request request;
	struct error err = {0};

	assert_int_equal(jsonrpc_parse(line, n_bytes, &request, &err), -1);
	if (err.code != code)
		fail_msg("%s: %s, %s", line, error_name(err.code), err.text);
	assert_int_equal(request.has_id, id != 0);
	assert_int_equal(json_object_get_int(request.id), id);
	jsonrpc_request_fini(&request);
}

#define V "\"jsonrpc\":\"2.0\",\"id\":7"

static void test_what_is_no_request(void **state)
{
	static const struct {
		const char *line;
		enum vhostd_error code;
		int id;
	} cases[] = {
		{"", VHOSTD_ERR_PARSE, 0},
		{"{", VHOSTD_ERR_PARSE, 0},
		{"12", VHOSTD_ERR_REQUEST, 0},
		{"nul", VHOSTD_ERR_PARSE, 0},
		{"{} {}", VHOSTD_ERR_PARSE, 0},
		{"{" V ",}", VHOSTD_ERR_PARSE, 0},
		{"/* c */ {" V "}", VHOSTD_ERR_PARSE, 0},
		{"{" V ",\"method\":\"\xff\"}", VHOSTD_ERR_PARSE, 0},
		{"[[[[[[[[[1]]]]]]]]]", VHOSTD_ERR_PARSE, 0},
		{"[]", VHOSTD_ERR_REQUEST, 0},
		{"[{" V ",\"method\":\"m\"}]", VHOSTD_ERR_REQUEST, 0},
		{"{}", VHOSTD_ERR_REQUEST, 0},
		{"{\"id\":7,\"method\":\"m\"}", VHOSTD_ERR_REQUEST, 7},
		{"{\"jsonrpc\":\"2\",\"id\":7,\"method\":\"m\"}", VHOSTD_ERR_REQUEST, 7},
		{"{" V "}", VHOSTD_ERR_REQUEST, 7},
		{"{" V ",\"method\":null}", VHOSTD_ERR_REQUEST, 7},
		{"{" V ",\"method\":\"m\",\"param\":{}}", VHOSTD_ERR_REQUEST, 7},
		{"{" V ",\"method\":\"m\",\"params\":[1]}", VHOSTD_ERR_PARAMS, 7},
		{"{" V ",\"method\":\"m\",\"params\":null}", VHOSTD_ERR_PARAMS, 7},
		{"{" V ",\"method\":\"m\",\"params\":{\"a\":1,\"a\":2}}", VHOSTD_ERR_REQUEST, 7},
		{"{" V ",\"method\":\"m\",\"params\":{\"n\\u0061me\":1}}", VHOSTD_ERR_REQUEST, 7},
		{"{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"m\"}", VHOSTD_ERR_REQUEST, 0},
		{"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"m\"}", VHOSTD_ERR_REQUEST, 0},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(cases); i++)
		assert_refused(cases[i].line, strlen(cases[i].line), cases[i].code, cases[i].id);
	assert_refused("{}\0{}", 5, VHOSTD_ERR_PARSE, 0);
}

static void test_answers(void **state)
{
	struct json_object *id = json_object_new_string("a\nb"), *answer;
	struct error err = {0};
	size_t n_bytes;

	(void)state;
	answer = jsonrpc_result(id, json_object_new_object());
	assert_string_equal(jsonrpc_print(answer, &n_bytes),
			    "{\"jsonrpc\":\"2.0\",\"id\":\"a\\nb\",\"result\":{}}");
	json_object_put(answer);
	error_set(&err, VHOSTD_ERR_BUSY, "d/0\nis \xff busy");
	answer = jsonrpc_error(NULL, &err);
	assert_string_equal(jsonrpc_print(answer, &n_bytes),
			    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":3,\"message\":"
			    "\"d/0\\nis ? busy\",\"data\":{\"error\":\"BUSY\"}}}");
	assert_int_equal(n_bytes, strlen(jsonrpc_print(answer, &n_bytes)));
	json_object_put(answer);
	json_object_put(id);
}

static void assert_line(const char *text, const char *path, unsigned int line)
{
	assert_int_equal(json_map_line(text, strlen(text), path), line);
}

static void test_lines_of_values(void **state)
{
	static const char text[] = "\n{\n \"a\": 1,\n \"b\": [\n  {\"c\": 2},\n  {\n   \"c\"\n  :"
				   "\n   \"x\\\"]}\"}],\n \"bc\": true}\n";

	(void)state;
	assert_line(text, "", 2);
	assert_line(text, "a", 3);
	assert_line(text, "b", 4);
	assert_line(text, "b[0].c", 5);
	assert_line(text, "b[1]", 6);
	assert_line(text, "b[1].c", 9);
	assert_line(text, "bc", 10);
	assert_line(text, "b[1].nothing", 6); /* the nearest there is */
	assert_line(text, "nothing", 2);
	assert_line("", "a", 1);
}

static void assert_double(const char *text, const char *path, unsigned int line)
{
	char got_path[JSON_PATH_MAX];
	unsigned int got_line;

	assert_int_equal(json_map_duplicate(text, strlen(text), got_path, &got_line), 1);
	assert_string_equal(got_path, path);
	assert_int_equal(got_line, line);
}

static void test_doubles(void **state)
{
	static const char fine[] = "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":1}],\"ab\":\"\\\"a\"}";
	char path[JSON_PATH_MAX], text[4096] = "{";
	unsigned int line;

	(void)state;
	assert_int_equal(json_map_duplicate(fine, strlen(fine), path, &line), 0);
	assert_double("{\"a\":1,\n\"a\":1}", "a", 2);
	assert_double("{\"x\":[1,{\"a\":{},\"b\":[],\"a\":1}]}", "x[1].a", 1);
	assert_double("{\"\\u0061\":1}", "\\u0061", 1);
	for (int i = 0; i < 60; i++)
		sprintf(text + strlen(text), "\"key%d\":%d,", i, i);
	strcat(text, "\"key7\":0}");
	assert_double(text, "key7", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_lines_in_pieces),
		cmocka_unit_test(test_too_long_lines),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_what_is_no_request),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_lines_of_values),
		cmocka_unit_test(test_doubles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
