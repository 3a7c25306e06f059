/* SPDX-License-Identifier: BSD-3-Clause */
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "text.h"

#define LINE_COLUMNS 80
#define INDENT       8 /* of a line that goes on */

/* "NAME", "[SIZE]", "--backend KIND", "[--force]"; begins a new line when it does not fit. */
static void print_param(const struct vhostd_param *param, size_t *column)
{
	bool required = param->flags & VHOSTD_PARAM_REQUIRED;
	const char *option = param_is_option(param) ? param_option(param) : "";
	char *text = text_printf("%s%s%s%s%s", required ? "" : "[", option,
				 *option && *param->metavar ? " " : "", param->metavar,
				 required ? "" : "]");
	if (*column + 1 + strlen(text) > LINE_COLUMNS) {
		printf("\n%*s", INDENT - 1, "");
		*column = INDENT - 1;
	}
	printf(" %s", text);
	*column += 1 + strlen(text);
	free(text);
}

static void print_synopsis(const struct command *command)
{
	size_t column = (size_t)printf("Usage: vhostctl [OPTIONS] %s", command->name);
	for (const struct vhostd_param *p = command->params; p->name; p++) {
		if (param_is_positional(p))
			print_param(p, &column);
	}
	for (const struct vhostd_param *p = command->params; p->name; p++) {
		if (param_is_option(p))
			print_param(p, &column);
	}
	putchar('\n');
}

static void print_row(const char *word, const char *metavar, const char *summary)
{
	char *left = text_printf("%s%s%s", word, *word && *metavar ? " " : "", metavar);
	printf("  %-20s  %s\n", left, summary);
	free(left);
}

static void print_global_options(void)
{
	puts("\nOptions of vhostctl:");
	for (int i = 0; i < OPTION_N; i++) {
		char *word = text_printf("--%s", global_options[i].name);
		print_row(word, global_options[i].metavar, global_options[i].summary);
		free(word);
	}
}

static void print_exit_codes(void)
{
	puts("\nExit status:");
#define EXIT_CODE_ROW(name, status, summary) printf("  %d  %s\n", status, summary);
	EXIT_CODES(EXIT_CODE_ROW)
#undef EXIT_CODE_ROW
}

void usage_print(void)
{
	puts("Usage: vhostctl [--control PATH] [--json] [--timeout S] COMMAND ...\n"
	     "Controls vhostd, which serves the disks of virtual machines.\n\nCommands:");
	for (const struct command *c = commands; c->method; c++) {
		if (*c->name)
			print_row(c->name, "", c->summary);
	}
	print_global_options();
	print_exit_codes();
	char *path = options_control_path(NULL);
	char *safe = text_escaped(path, strlen(path));
	printf("\nThe control socket is --control, else $VHOSTD_CONTROL, else the one in the "
	       "runtime\ndirectory. Now, without --control: %s\n"
	       "\"vhostctl COMMAND --help\" tells more; so does vhostctl(1).\n",
	       safe);
	free(safe);
	free(path);
}

void usage_print_command(const struct command *command)
{
	print_synopsis(command);
	printf("%s.\n", command->summary);
	if (command->params->name)
		putchar('\n');
	for (const struct vhostd_param *p = command->params; p->name; p++) {
		if (param_is_positional(p))
			print_row("", p->metavar, p->summary);
		else if (param_is_option(p))
			print_row(param_option(p), p->metavar, p->summary);
	}
	print_global_options();
}
