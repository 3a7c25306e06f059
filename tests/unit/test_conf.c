/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The configuration file as text; the parameter checker behind it; the guesses at typing errors.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/conf.h"
#include "control/params.h"
#include "control/suggest.h"

static char path[] = "/tmp/vhostd-conf.XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

/* Loads and checks, with /run as socket_dir and lcores 0 and 1. */
static int load(const char *text, size_t n_bytes, struct settings *settings, struct error *err)
{
	struct conf *conf = NULL;
	FILE *file = fopen(path, "w");
	int rc;

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, n_bytes, file), n_bytes);
	fclose(file);
	settings_init(settings);
	strcpy(settings->socket_dir, "/run");
	lcore_set_add(&settings->lcores, 0);
	lcore_set_add(&settings->lcores, 1);
	rc = conf_load(path, settings, &conf, err);
	if (!rc)
		rc = conf_check_devices(conf, settings, err);
	conf_free(conf);
	return rc;
}

static void assert_refused(const char *text, const char *wanted)
{
	struct settings settings;
	struct error err = {0};
	char whole[256];

	assert_int_equal(load(text, strlen(text), &settings, &err), -1);
	snprintf(whole, sizeof(whole), "%s%s", path, wanted);
	if (strncmp(err.text, whole, strlen(whole)) != 0)
		fail_msg("\"%s\" doesn't begin with \"%s\"", err.text, whole);
	settings_fini(&settings);
}

static void test_a_whole_file(void **state)
{
	static const char text[] =
		"{\"control\": \"/run/c.sock\", \"memory\": 256, \"hugepages\": true, \"lcores\": "
		"\"1\","
		" \"log_level\": \"debug\", \"control_mode\": \"0620\", \"control_group\": "
		"\"root\",\n"
		" \"devices\": [{\"name\": \"a\", \"backend\": \"aio\", \"path\": \"/a\"},\n"
		"  {\"name\": \"b\", \"backend\": \"malloc\", \"size\": \"64M\", \"block_size\": "
		"4096,"
		" \"queues\": 4, \"readonly\": true, \"serial\": \"S\", \"lcores\": \"1\"}]}\n";
	struct settings settings;
	struct error err = {0};

	(void)state;
	if (load(text, strlen(text), &settings, &err))
		fail_msg("%s", err.text);
	assert_string_equal(settings.control, "/run/c.sock");
	assert_int_equal(settings.memory_mb, 256);
	assert_true(settings.hugepages);
	assert_int_equal(settings.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(settings.control_mode, 0620);
	assert_int_equal(settings.control_gid, 0);
	assert_int_equal(settings.n_devices, 2);
	assert_int_equal(settings.devices[0].backend, STORE_KIND_AIO);
	assert_string_equal(settings.devices[0].path, "/a");
	assert_int_equal(settings.devices[0].size_bytes, 0);
	assert_int_equal(settings.devices[1].size_bytes, 64 << 20);
	assert_int_equal(settings.devices[1].block_size_bytes, 4096);
	assert_int_equal(settings.devices[1].n_queues, 4);
	assert_true(settings.devices[1].readonly);
	assert_string_equal(settings.devices[1].serial, "S");
	assert_true(lcore_set_has(&settings.devices[1].lcores, 1));
	settings_fini(&settings);
}

#define DISK(more) "{\"name\":\"d\",\"backend\":\"null\",\"size\":\"1G\"" more "}"

static void test_errors_name_file_line_and_key(void **state)
{
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{"", ":1: unexpected end of data"},
		{"{", ":1: unexpected end of data"},
		{"{\n\"memory\": 64,\n}", ":3: "},
		{"{} x", ":1: unexpected character"},
		{"[1]", ":1: is not a JSON object"},
		{"{\"control\": \"\xff\"}", ":1: invalid utf-8 string"},
		{"{\n\"a\":[[[[[[[[[[1]]]]]]]]]]}", ":2: nesting too deep"},
		{"{\n\"log_levle\": 1}", ":2: log_levle: unknown key; did you mean \"log_level\"?"},
		{"{\"device\": []}", ":1: device: unknown key; did you mean \"devices\"?"},
		{"{\"zzzzzzzzzz\": 1}", ":1: zzzzzzzzzz: unknown key; known: control, "},
		{"{\"memory\": 64,\n\"memory\": 64}", ":2: memory: the key stands here twice"},
		{"{\"memory\": 1e3}", ":1: memory: 1e3 is not a whole number"},
		{"{\"memory\": null}", ":1: memory: null is not a whole number"},
		{"{\"lcores\": 1}", ":1: lcores: 1 is not a list of CPUs, such as \"1,3-5\""},
		{"{\"control\": \"a\\u0000b\"}", ":1: control: \"a\\u0000b\" is not a string"},
		{"{\"devices\": {}}", ":1: devices: is not a list"},
		{"{\"devices\": [\n1]}", ":2: devices[0]: is not an object"},
		{"{\"devices\": [\n{\"name\":\"d\"}]}", ":2: devices[0].backend: missing"},
		{"{\"devices\": [" DISK("") ",\n" DISK("") "]}", ":2: devices[1].name: \"d\" is "
								 "devices[0]'s already"},
		{"{\"devices\": [" DISK(",\n\"queues\":\n65") "]}",
		 ":3: devices[0].queues: 65 is not from 1 to 64"},
		{"{\"devices\": [" DISK(",\"size\":1") "]}", ":1: devices[0].size: the key stands"},
		{"{\"devices\": [" DISK(",\"lcores\":\"2\"") "]}",
		 ":1: devices[0].lcores: \"2\" is not among the daemon's lcores, 0-1"},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(cases); i++)
		assert_refused(cases[i].text, cases[i].wanted);
}

static void test_files_that_can_not_be_read(void **state)
{
	struct settings settings;
	struct conf *conf = NULL;
	struct error err = {0};

	(void)state;
	assert_int_equal(load("{}\n\0{", 5, &settings, &err), -1);
	assert_non_null(strstr(err.text, ":2: has a NUL byte"));
	memset(&err, 0, sizeof(err));
	assert_int_equal(conf_load("/no/such.json", &settings, &conf, &err), -1);
	assert_string_equal(err.text, "/no/such.json: No such file or directory");
	memset(&err, 0, sizeof(err));
	assert_int_equal(conf_load("/tmp", &settings, &conf, &err), -1);
	assert_string_equal(err.text, "/tmp: is not a regular file");
	assert_null(conf);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0},
		    {"512", 512},
		    {"1K", 1024},
		    {"3M", 3 << 20},
		    {"10G", UINT64_C(10) << 30},
		    {"16777215T", UINT64_C(16777215) << 40},
		    {"18446744073709551615", UINT64_MAX}};
	static const char *const bad[] = {"",
					  "K",
					  "-1",
					  "+1",
					  " 1",
					  "1 ",
					  "1k",
					  "1KB",
					  "1.5G",
					  "0x1",
					  "1KK",
					  "16777216T",
					  "18446744073709551616"};
	uint64_t bytes = 1;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(params_parse_size(good[i].text, &bytes), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(params_parse_size(bad[i], &bytes), -EINVAL);
}

static void test_types(void **state)
{
	static const struct {
		const char *json;
		enum vhostd_param_type type;
		int rc;
	} cases[] = {
		{"\"\"", VHOSTD_PARAM_STRING, 0},
		{"1", VHOSTD_PARAM_STRING, -1},
		{"{}", VHOSTD_PARAM_STRING, -1},
		{"0", VHOSTD_PARAM_UINT, 0},
		{"4294967295", VHOSTD_PARAM_UINT, 0},
		{"4294967296", VHOSTD_PARAM_UINT, -1},
		{"-1", VHOSTD_PARAM_UINT, -1},
		{"1.0", VHOSTD_PARAM_UINT, -1},
		{"18446744073709551615", VHOSTD_PARAM_UINT, -1},
		{"99999999999999999999999", VHOSTD_PARAM_UINT, -1},
		{"true", VHOSTD_PARAM_UINT, -1},
		{"true", VHOSTD_PARAM_BOOL, 0},
		{"1", VHOSTD_PARAM_BOOL, -1},
		{"\"true\"", VHOSTD_PARAM_BOOL, -1},
		{"512", VHOSTD_PARAM_SIZE, 0},
		{"\"1G\"", VHOSTD_PARAM_SIZE, 0},
		{"0", VHOSTD_PARAM_SIZE, -1},
		{"\"0\"", VHOSTD_PARAM_SIZE, -1},
		{"-512", VHOSTD_PARAM_SIZE, -1},
		{"9223372036854775807", VHOSTD_PARAM_SIZE, 0},
		{"9223372036854775808", VHOSTD_PARAM_SIZE, -1},
		{"1e3", VHOSTD_PARAM_SIZE, -1},
		{"0", VHOSTD_PARAM_RATE, 0},
		{"\"0\"", VHOSTD_PARAM_RATE, 0},
		{"\"200M\"", VHOSTD_PARAM_RATE, 0},
		{"\"200Mi\"", VHOSTD_PARAM_RATE, -1},
		{"-1", VHOSTD_PARAM_RATE, -1},
		{"9223372036854775808", VHOSTD_PARAM_RATE, -1},
		{"\"500ms\"", VHOSTD_PARAM_TIME, 0},
		{"\"0s\"", VHOSTD_PARAM_TIME, 0},
		{"\"4294967295ms\"", VHOSTD_PARAM_TIME, 0},
		{"\"4294967296ms\"", VHOSTD_PARAM_TIME, -1},
		{"\"4294968s\"", VHOSTD_PARAM_TIME, -1},
		{"\"99999999999999999999999ms\"", VHOSTD_PARAM_TIME, -1},
		{"\"2\"", VHOSTD_PARAM_TIME, -1},
		{"\"2 s\"", VHOSTD_PARAM_TIME, -1},
		{"\"s\"", VHOSTD_PARAM_TIME, -1},
		{"\"-2s\"", VHOSTD_PARAM_TIME, -1},
		{"\"1.5s\"", VHOSTD_PARAM_TIME, -1},
		{"2", VHOSTD_PARAM_TIME, -1},
		{"\"0-1\"", VHOSTD_PARAM_LCORES, 0},
		{"\"\"", VHOSTD_PARAM_LCORES, -1},
		{"[0]", VHOSTD_PARAM_LCORES, -1},
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(cases); i++) {
		struct json_object *value = json_tokener_parse(cases[i].json);
		struct error err = {0};

		if (params_check_value(value, "key", cases[i].type, &err) != cases[i].rc)
			fail_msg("%s as type %d: %s", cases[i].json, cases[i].type, err.text);
		json_object_put(value);
	}
}

static void test_suggestions(void **state)
{
	static const char *const words[] = {"size", "serial", "block_size"};
	char text[64];

	(void)state;
	assert_string_equal(suggest_nearest("sise", words, 3), "size");
	assert_string_equal(suggest_nearest("blocksize", words, 3), "block_size");
	assert_null(suggest_nearest("", words, 3));
	assert_null(suggest_nearest("readonly", words, 3));
	assert_null(suggest_nearest("size-size-size-size-size-size-size", words, 3));
	suggest_format("colour", words, 3, text, sizeof(text));
	assert_string_equal(text, "; known: size, serial, block_size");
	suggest_format("colour", words, 3, text, 12);
	assert_string_equal(text, "; known: si");
	suggest_format("colour", words, 0, text, sizeof(text));
	assert_string_equal(text, "; there are none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_whole_file),
		cmocka_unit_test(test_errors_name_file_line_and_key),
		cmocka_unit_test(test_files_that_can_not_be_read),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_suggestions),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
