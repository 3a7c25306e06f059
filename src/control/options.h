/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The command line of vhostd: a flag for each setting of vhostd/settings.h that isn't FILE_ONLY,
 * a few more, and EAL arguments after "--".
 */
#ifndef CONTROL_OPTIONS_H
#define CONTROL_OPTIONS_H

#include <stdio.h>

#include "base/error.h"
#include "control/settings.h"

enum options_action { OPTIONS_RUN, OPTIONS_CHECK_CONFIG, OPTIONS_VERSION, OPTIONS_HELP };

struct options {
	enum options_action action;
	const char *config;           /* NULL: not given */
	const char *text[N_SETTINGS]; /* NULL: not given */
	char *const *eal_argv;
	unsigned int n_eal_args;
};

/** 0, or -1 with *err set. The strings stay argv's. */
int options_parse(int argc, char **argv, struct options *ret_options, struct error *err);

/** Sets what was given. -1 with *err "--flag: why". */
int options_apply(const struct options *options, struct settings *settings, struct error *err);

/** The text of --help. */
void options_help(FILE *to);

#endif
