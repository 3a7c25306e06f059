/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "control/suggest.h"
#include "param_value.h"
#include "text.h"
#include "vhostd/limits.h"

#define GLOBAL_OPTION_ROW(id, name, metavar, summary) [OPTION_##id] = {name, metavar, summary},
const struct global_option_row global_options[OPTION_N] = {GLOBAL_OPTIONS(GLOBAL_OPTION_ROW)};

/* Where the parser stands. */
struct parser {
	int argc;
	char **argv;
	int at;               /* next word */
	bool only_positional; /* "--" was seen */
	size_t n_positional;  /* taken by the command */
	struct options *options;
};

static const char *command_or_program(const struct parser *p)
{
	return p->options->command ? p->options->command->name : "vhostctl";
}

static enum exit_code usage_error(const struct parser *p, const char *text)
{
	const struct command *c = p->options->command;
	return fail(EXIT_USAGE, "%s (see: vhostctl %s%s--help)", text, c ? c->name : "",
		    c ? " " : "");
}

static enum exit_code unknown(const struct parser *p, const char *what, const char *word,
			      const char *const *known, size_t n_known)
{
	char hint[512];
	suggest_format(word, known, n_known, hint, sizeof(hint));
	char *text = text_printf("unknown %s \"%s\"%s", what, word, hint);
	enum exit_code code = usage_error(p, text);
	free(text);
	return code;
}

static enum exit_code unknown_command(const struct parser *p, const char *word)
{
#define COMMAND_COUNT(id, method, name, summary) +1
	const char *known[0 VHOSTD_METHODS(COMMAND_COUNT)];
#undef COMMAND_COUNT
	size_t n_known = 0;
	for (const struct command *c = commands; c->method; c++) {
		if (*c->name)
			known[n_known++] = c->name;
	}
	return unknown(p, "command", word, known, n_known);
}

size_t options_names(const struct command *command, char names[OPTION_NAMES_MAX][OPTION_NAME_BYTES])
{
	size_t n = 0;
	for (const struct vhostd_param *p = command ? command->params : NULL; p && p->name; p++) {
		if (param_is_option(p) && n < OPTION_NAMES_MAX - OPTION_N)
			snprintf(names[n++], OPTION_NAME_BYTES, "%s", param_option(p));
	}
	for (int i = 0; i < OPTION_N; i++)
		snprintf(names[n++], OPTION_NAME_BYTES, "--%s", global_options[i].name);
	return n;
}

static enum exit_code unknown_option(const struct parser *p, const char *word)
{
	char names[OPTION_NAMES_MAX][OPTION_NAME_BYTES];
	const char *known[OPTION_NAMES_MAX];
	size_t n_known = options_names(p->options->command, names);
	for (size_t i = 0; i < n_known; i++)
		known[i] = names[i];
	return unknown(p, "option", word, known, n_known);
}

/* The value of an option: after its '=', else the next word. NULL, with the reason printed, when
 * there is none, or one too many. */
static const char *option_value(struct parser *p, const char *word, const char *attached,
				const char *metavar)
{
	static const char none[] = "";
	char *text = NULL;
	if (!*metavar && attached)
		text = text_printf("option \"%s\" takes no value", word);
	else if (*metavar && !attached && p->at >= p->argc)
		text = text_printf("option \"%s\" needs a value: %s", word, metavar);
	if (text) {
		usage_error(p, text);
		free(text);
		return NULL;
	}
	if (!*metavar)
		return none;
	return attached ? attached : p->argv[p->at++];
}

static enum exit_code set_timeout(struct parser *p, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);
	if (end == value || *end || !(seconds >= 0 && seconds <= TIMEOUT_MAX_S))
		return usage_error(p, "--timeout wants seconds, 0 (for ever) to 86400");
	p->options->timeout_ms = (int64_t)(seconds * 1000);
	if (seconds > 0 && p->options->timeout_ms == 0)
		p->options->timeout_ms = 1;
	return EXIT_OK;
}

static enum exit_code set_control(struct parser *p, const char *value)
{
	if (!*value)
		return usage_error(p, "--control wants the path of a socket");
	p->options->control = value;
	return EXIT_OK;
}

static enum exit_code set_global(struct parser *p, enum global_option option, const char *value)
{
	switch (option) {
	case OPTION_CONTROL:
		return set_control(p, value);
	case OPTION_TIMEOUT:
		return set_timeout(p, value);
	case OPTION_JSON:
		p->options->json = true;
		break;
	case OPTION_HELP:
		p->options->help = true;
		break;
	case OPTION_VERSION:
		p->options->version = true;
		break;
	case OPTION_N:
		break;
	}
	return EXIT_OK;
}

static enum exit_code set_param(struct parser *p, const struct vhostd_param *param,
				const char *value)
{
	char *text = NULL;
	if (!utf8_is_valid(value, strlen(value)))
		text = text_printf("\"%s\" is not UTF-8, which JSON has to be", value);
	else if (json_object_object_get_ex(p->options->params, param->name, NULL))
		text = text_printf("\"%s\" is given twice", param->name);
	else if (param_value_add(p->options->params, param, value) < 0)
		text = text_printf("%s wants a whole number, not \"%s\"", param_option(param),
				   value);
	if (!text)
		return EXIT_OK;
	enum exit_code code = usage_error(p, text);
	free(text);
	return code;
}

static enum exit_code parse_option_named(struct parser *p, const char *word, const char *attached)
{
	const struct command *c = p->options->command;
	for (const struct vhostd_param *q = c ? c->params : NULL; q && q->name; q++) {
		if (!param_is_option(q) || strcmp(word, param_option(q)) != 0)
			continue;
		const char *value = option_value(p, word, attached, q->metavar);
		return value ? set_param(p, q, value) : EXIT_USAGE;
	}
	for (int i = 0; i < OPTION_N; i++) {
		if (strcmp(word + 2, global_options[i].name) != 0)
			continue;
		const char *value = option_value(p, word, attached, global_options[i].metavar);
		return value ? set_global(p, (enum global_option)i, value) : EXIT_USAGE;
	}
	return unknown_option(p, word);
}

static enum exit_code parse_option(struct parser *p, const char *arg)
{
	if (strcmp(arg, "-h") == 0)
		return set_global(p, OPTION_HELP, "");
	if (strncmp(arg, "--", 2) != 0)
		return unknown_option(p, arg);
	const char *equals = strchr(arg, '=');
	char *word = text_must(strndup(arg, equals ? (size_t)(equals - arg) : strlen(arg)));
	enum exit_code code = parse_option_named(p, word, equals ? equals + 1 : NULL);
	free(word);
	return code;
}

static enum exit_code parse_positional(struct parser *p, const char *arg)
{
	if (!p->options->command) {
		p->options->command = command_find(arg);
		return p->options->command ? EXIT_OK : unknown_command(p, arg);
	}
	size_t i = 0;
	for (const struct vhostd_param *q = p->options->command->params; q->name; q++) {
		if (!param_is_positional(q))
			continue;
		if (i++ == p->n_positional) {
			p->n_positional++;
			return set_param(p, q, arg);
		}
	}
	char *text = text_printf("%s: \"%s\" is one word too many", command_or_program(p), arg);
	enum exit_code code = usage_error(p, text);
	free(text);
	return code;
}

static enum exit_code check_required(const struct parser *p)
{
	const struct options *o = p->options;
	if (o->help || o->version)
		return EXIT_OK;
	if (!o->command)
		return usage_error(p, "no command is given");
	for (const struct vhostd_param *q = o->command->params; q->name; q++) {
		if (!(q->flags & VHOSTD_PARAM_REQUIRED) ||
		    json_object_object_get_ex(o->params, q->name, NULL))
			continue;
		char *text = text_printf("%s needs %s%s%s", o->command->name,
					 param_is_option(q) ? param_option(q) : "",
					 param_is_option(q) ? " " : "", q->metavar);
		enum exit_code code = usage_error(p, text);
		free(text);
		return code;
	}
	return EXIT_OK;
}

enum exit_code options_parse(int argc, char **argv, struct options *ret_options)
{
	*ret_options = (struct options){.timeout_ms = TIMEOUT_DEFAULT_S * 1000,
					.params = text_must(json_object_new_object())};
	struct parser p = {.argc = argc, .argv = argv, .at = 1, .options = ret_options};
	while (p.at < argc) {
		const char *arg = argv[p.at++];
		enum exit_code code = EXIT_OK;
		if (!p.only_positional && strcmp(arg, "--") == 0)
			p.only_positional = true;
		else if (!p.only_positional && arg[0] == '-' && arg[1])
			code = parse_option(&p, arg);
		else
			code = parse_positional(&p, arg);
		if (code != EXIT_OK)
			return code;
	}
	return check_required(&p);
}

void options_free(struct options *options)
{
	json_object_put(options->params);
}

char *options_control_path(const char *control)
{
	const char *from_env = getenv("VHOSTD_CONTROL");
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	if (control)
		return text_must(strdup(control));
	if (from_env && *from_env)
		return text_must(strdup(from_env));
	if (geteuid() != 0 && runtime && *runtime)
		return text_printf("%s/vhostd/%s", runtime, VHOSTD_CONTROL_SOCKET);
	return text_must(strdup(VHOSTD_RUNTIME_DIR_ROOT "/" VHOSTD_CONTROL_SOCKET));
}
