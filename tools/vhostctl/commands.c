/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include "view.h"

/* One parameter table for each method. */
#define PARAM_TABLE(id, its_method, word, text)                                                    \
	static const struct vhostd_param params_##id[] = {                                         \
		VHOSTD_PARAMS_##id(VHOSTD_P){.name = NULL}};
VHOSTD_METHODS(PARAM_TABLE)

#define COMMAND_ROW(id, its_method, word, text) {its_method, word, text, params_##id, view_##id},
const struct command commands[] = {VHOSTD_METHODS(COMMAND_ROW){.method = NULL}};

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->method; c++) {
		if (*name && strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

bool param_is_positional(const struct vhostd_param *param)
{
	return param->flags & VHOSTD_PARAM_POSITIONAL;
}

bool param_is_option(const struct vhostd_param *param)
{
	return !(param->flags & VHOSTD_PARAM_POSITIONAL);
}

const char *param_option(const struct vhostd_param *param)
{
	static char option[64];
	snprintf(option, sizeof(option), "--%s", param->name);
	for (char *p = option; *p; p++) {
		if (*p == '_')
			*p = '-';
	}
	return option;
}
