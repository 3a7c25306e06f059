/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The command line, and the settings it and the environment make.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/options.h"

#define ARGV_MAX 16

static int parse(const char *line, struct options *options, struct error *err)
{
	static char text[512];
	static char *argv[ARGV_MAX + 1];
	int argc = 1;

	snprintf(text, sizeof(text), "%s", line);
	memset(argv, 0, sizeof(argv));
	argv[0] = text + strlen(text); /* "" will do */
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	memset(err, 0, sizeof(*err));
	return options_parse(argc, argv, options, err);
}

static void test_flags(void **state)
{
	struct options options;
	struct error err;

	(void)state;
	assert_int_equal(parse("", &options, &err), 0);
	assert_int_equal(options.action, OPTIONS_RUN);
	assert_null(options.config);
	assert_int_equal(
		parse("--config f --socket-dir=/d --hugepages --check-config", &options, &err), 0);
	assert_int_equal(options.action, OPTIONS_CHECK_CONFIG);
	assert_string_equal(options.config, "f");
	assert_string_equal(options.text[SETTING_socket_dir], "/d");
	assert_string_equal(options.text[SETTING_hugepages], "true");
	assert_null(options.text[SETTING_memory]);
	assert_int_equal(parse("--version", &options, &err), 0);
	assert_int_equal(options.action, OPTIONS_VERSION);
	assert_int_equal(parse("--help", &options, &err), 0);
	assert_int_equal(options.action, OPTIONS_HELP);
}

static void test_eal_arguments(void **state)
{
	struct options options;
	struct error err;

	(void)state;
	assert_int_equal(parse("--memory 64 -- --log-level=8 -v", &options, &err), 0);
	assert_int_equal(options.n_eal_args, 2);
	assert_string_equal(options.eal_argv[0], "--log-level=8");
	assert_string_equal(options.eal_argv[1], "-v");
	assert_int_equal(parse("--", &options, &err), 0);
	assert_int_equal(options.n_eal_args, 0);
}

static void test_bad_command_lines(void **state)
{
	/* FILE_ONLY settings are no flags. */
	static const char *const bad[] = {"--nonsense",         "-x",          "stray",
					  "--memory",           "--version=1", "--hugepages=1",
					  "--control-mode 0600"};
	struct options options;
	struct error err;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(parse(bad[i], &options, &err), -1);
		assert_int_equal(err.code, VHOSTD_ERR_PARAMS);
	}
}

static void test_help_names_every_flag(void **state)
{
	char *text;
	size_t n_bytes;
	FILE *file = open_memstream(&text, &n_bytes);

	(void)state;
	options_help(file);
	fclose(file);
	for (int i = 0; i < N_SETTINGS; i++) {
		char flag[64] = "--";

		strcat(flag, setting_table[i].name);
		for (char *c = flag; *c; c++)
			*c = *c == '_' ? '-' : *c;
		strcat(flag, " ");
		if (setting_table[i].where == VHOSTD_FLAG_AND_FILE)
			assert_non_null(strstr(text, flag));
		else
			assert_null(strstr(text, flag));
	}
	assert_non_null(strstr(text, "--check-config"));
	free(text);
}

static void test_what_settings_take(void **state)
{
	static const struct {
		enum setting_id id;
		const char *good, *bad;
	} cases[] = {
		{SETTING_control, "/run/c.sock", "c.sock"},
		{SETTING_socket_dir, "/run", ""},
		{SETTING_state_dir, "/var", "./var"},
		{SETTING_lcores, "0,2-3", "two"},
		{SETTING_memory, "32", "31"},
		{SETTING_memory, "1048576", "1048577"},
		{SETTING_memory, "64", "64M"},
		{SETTING_memory, "64", "-64"},
		{SETTING_memory, "64", ""},
		{SETTING_hugepages, "true", "1"},
		{SETTING_poll, "busy", "Busy"},
		{SETTING_poll, "adaptive", "default"},
		{SETTING_poll_idle_us, "1", "0"},
		{SETTING_poll_idle_us, "1000000", "1000001"},
		{SETTING_poll_io_us, "0", "-1"},
		{SETTING_poll_io_us, "1000000", "1000001"},
		{SETTING_open_deadline, "0", "-1"},
		{SETTING_drain_deadline, "86400", "86401"},
		{SETTING_close_deadline, "1", "1s"},
		{SETTING_log_level, "debug", "7"},
		{SETTING_control_mode, "0600", "0800"},
		{SETTING_control_mode, "660", "rw"},
		{SETTING_socket_mode, "0777", "01777"},
		{SETTING_control_group, "0", "no-such-group"},
		{SETTING_socket_group, "root", "-1"},
	};
	struct settings settings;

	(void)state;
	settings_init(&settings);
	for (unsigned int i = 0; i < ARRAY_LEN(cases); i++) {
		struct error err = {0};

		assert_int_equal(settings_set(&settings, cases[i].id, cases[i].good, &err), 0);
		assert_true(settings.is_set[cases[i].id]);
		assert_int_equal(settings_set(&settings, cases[i].id, cases[i].bad, &err), -1);
		assert_non_null(strstr(err.text, cases[i].bad));
	}
	settings_fini(&settings);
}

static void test_the_flag_is_named(void **state)
{
	struct settings settings;
	struct options options;
	struct error err;

	(void)state;
	settings_init(&settings);
	assert_int_equal(parse("--log-level loud", &options, &err), 0);
	assert_int_equal(options_apply(&options, &settings, &err), -1);
	assert_memory_equal(err.text, "--log-level: \"loud\"", 19);
}

static void finish(struct settings *settings)
{
	struct error err = {0};

	settings_init(settings);
	if (settings_finish(settings, &err))
		fail_msg("%s", err.text);
}

static void test_directories_of_the_environment(void **state)
{
	struct settings settings;

	(void)state;
	setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1);
	setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1);
	finish(&settings);
	assert_string_equal(settings.control, "/run/a/control.sock");
	assert_string_equal(settings.socket_dir, "/run/a");
	assert_string_equal(settings.state_dir, "/var/lib/a");

	unsetenv("RUNTIME_DIRECTORY");
	unsetenv("STATE_DIRECTORY");
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	finish(&settings);
	assert_string_equal(settings.socket_dir,
			    geteuid() ? "/run/user/7/vhostd" : VHOSTD_RUNTIME_DIR_ROOT);
	assert_string_equal(settings.state_dir, settings.socket_dir);
}

static void test_directories_that_do_not_fit(void **state)
{
	struct settings settings;
	struct error err = {0};
	char dir[120];

	(void)state;
	memset(dir, 'd', sizeof(dir));
	dir[0] = '/';
	dir[100] = '\0'; /* the directory fits, control.sock in it doesn't */
	setenv("RUNTIME_DIRECTORY", dir, 1);
	settings_init(&settings);
	assert_int_equal(settings_finish(&settings, &err), -1);
	assert_non_null(strstr(err.text, "longer than"));
	unsetenv("RUNTIME_DIRECTORY");
}

static void test_default_lcore(void **state)
{
	struct settings settings;
	cpu_set_t cpus, after;
	unsigned int last = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	for (unsigned int cpu = 0; cpu < VHOSTD_LCORES_MAX; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			last = cpu;
	finish(&settings);
	assert_int_equal(lcore_set_count(&settings.lcores), 1);
	assert_true(lcore_set_has(&settings.lcores, last));
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&cpus, &after)); /* trying CPUs out leaves no trace */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_eal_arguments),
		cmocka_unit_test(test_bad_command_lines),
		cmocka_unit_test(test_help_names_every_flag),
		cmocka_unit_test(test_what_settings_take),
		cmocka_unit_test(test_the_flag_is_named),
		cmocka_unit_test(test_directories_of_the_environment),
		cmocka_unit_test(test_directories_that_do_not_fit),
		cmocka_unit_test(test_default_lcore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
