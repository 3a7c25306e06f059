/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The command line: options of vhostctl itself, the command, and the command's parameters, all
 * checked against the tables.
 */
#ifndef VHOSTCTL_OPTIONS_H
#define VHOSTCTL_OPTIONS_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commands.h"
#include "exit_codes.h"

#define TIMEOUT_DEFAULT_S 60
#define TIMEOUT_MAX_S     86400

/* X(ID, option, metavar, summary): understood before and after the command. */
#define GLOBAL_OPTIONS(X)                                                                          \
	X(CONTROL, "control", "PATH", "control socket of the daemon; default: see below")          \
	X(JSON, "json", "", "print the daemon's answer as JSON")                                   \
	X(TIMEOUT, "timeout", "S", "seconds to wait for the answer, 0 for ever; default: 60")      \
	X(HELP, "help", "", "print how to use vhostctl, or the command, and exit")                 \
	X(VERSION, "version", "", "print the version and exit")

#define GLOBAL_OPTION_ENUM(id, name, metavar, summary) OPTION_##id,
enum global_option { GLOBAL_OPTIONS(GLOBAL_OPTION_ENUM) OPTION_N };
#undef GLOBAL_OPTION_ENUM

struct global_option_row {
	const char *name;    /* without the dashes */
	const char *metavar; /* "": takes no value */
	const char *summary;
};
extern const struct global_option_row global_options[OPTION_N];

struct options {
	const char *control; /* NULL: the default */
	bool json;
	bool help;
	bool version;
	int64_t timeout_ms;            /* 0: none */
	const struct command *command; /* NULL: none given */
	struct json_object *params;
};

#define OPTION_NAME_BYTES 40 /* "--", the longest name and NUL */
#define OPTION_NAMES_MAX  32 /* of one command and vhostctl itself */

/** Fills in "--name" of each option that may stand after the command (NULL: before one), the
 *  command's first. Returns how many. */
size_t options_names(const struct command *command,
		     char names[OPTION_NAMES_MAX][OPTION_NAME_BYTES]);

/** EXIT_OK, or EXIT_USAGE with the reason printed. Strings point into argv. */
enum exit_code options_parse(int argc, char **argv, struct options *ret_options);

void options_free(struct options *options);

/** The daemon's control socket, as a new string: --control, $VHOSTD_CONTROL, or the runtime
 *  directory's. */
char *options_control_path(const char *control);

#endif
