/* SPDX-License-Identifier: BSD-3-Clause
 *
 * vhostctl, the command line client of vhostd's control socket: one command, one request, one
 * answer, and an exit status that says how it went.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "complete.h"
#include "del_watch.h"
#include "options.h"
#include "usage.h"
#include "view.h"

static bool is_method(const struct options *o, const char *method)
{
	return strcmp(o->command->method, method) == 0;
}

static bool wants_watching(const struct options *o)
{
	return is_method(o, "device.del") && !o->json &&
	       !json_object_object_get_ex(o->params, "no_wait", NULL) && isatty(STDOUT_FILENO);
}

static enum exit_code run_command(const struct options *o, struct client *client)
{
	struct json_object *result = NULL;
	enum exit_code code = wants_watching(o)
				      ? del_watch(client, o->params, &result)
				      : client_call(client, o->command->method, o->params, &result);
	if (code == EXIT_OK && is_method(o, "daemon.shutdown"))
		code = client_wait_end(client); /* so that another may be started at once */
	if (code == EXIT_OK)
		o->json ? view_json(result) : o->command->view(result);
	json_object_put(result);
	return code;
}

static enum exit_code run(const struct options *o)
{
	if (o->version) {
		puts("vhostctl " VHOSTD_VERSION);
		return EXIT_OK;
	}
	if (o->help) {
		o->command ? usage_print_command(o->command) : usage_print();
		return EXIT_OK;
	}
	struct client client;
	char *path = options_control_path(o->control);
	enum exit_code code = client_open(&client, path, o->timeout_ms);
	if (code == EXIT_OK) {
		code = run_command(o, &client);
		client_close(&client);
	}
	free(path);
	return code;
}

/* A full disk or a closed pipe must not pass for success. */
static enum exit_code flush_output(enum exit_code code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	return fail(code == EXIT_OK ? EXIT_REFUSED : code, "can't write the output: %s",
		    strerror(errno));
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--complete") == 0) {
		complete_print(argc - 2, argv + 2);
		return EXIT_OK;
	}
	struct options options;
	enum exit_code code = options_parse(argc, argv, &options);
	if (code == EXIT_OK)
		code = flush_output(run(&options));
	options_free(&options);
	return code;
}
