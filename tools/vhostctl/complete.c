/* SPDX-License-Identifier: BSD-3-Clause */
#include "complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "commands.h"
#include "field.h"
#include "options.h"

#define ASK_TIMEOUT_MS 1000

/* Values that a parameter takes, by its name; src/man and the tests hold them against the daemon.
 */
static const struct {
	const char *param;
	const char *values[6];
} known_values[] = {
	{"backend", {"auto", "aio", "uring", "malloc", "null"}},
	{"block_size", {"512", "4096"}},
	{"level", {"err", "warning", "notice", "info", "debug"}},
};

/* What the words before the last one say. */
struct context {
	const struct command *command;
	const struct vhostd_param *value_of; /* the last word is this option's value */
	int global_value_of;                 /* the same of vhostctl's own; OPTION_N: no */
	size_t n_positional;
	const char *control;
	int n_words;
	char **words;
	const char *last;
};

static void offer(const struct context *x, const char *candidate)
{
	if (strncmp(candidate, x->last, strlen(x->last)) == 0)
		puts(candidate);
}

static void read_option(struct context *x, const char *word)
{
	for (int i = 0; i < OPTION_N; i++) {
		if (strcmp(word + 2, global_options[i].name) == 0 && *global_options[i].metavar)
			x->global_value_of = i;
	}
	if (!x->command)
		return;
	for (const struct vhostd_param *p = x->command->params; p->name; p++) {
		if (param_is_option(p) && *p->metavar && strcmp(word, param_option(p)) == 0)
			x->value_of = p;
	}
}

static void read_word(struct context *x, const char *word)
{
	if (strcmp(word, "=") == 0)
		return;
	if (x->global_value_of == OPTION_CONTROL)
		x->control = word;
	if (x->global_value_of != OPTION_N || x->value_of) {
		x->global_value_of = OPTION_N;
		x->value_of = NULL;
	} else if (strncmp(word, "--", 2) == 0) {
		read_option(x, word);
	} else if (!x->command) {
		x->command = command_find(word);
	} else {
		x->n_positional++;
	}
}

static bool was_typed(const struct context *x, const char *option)
{
	for (int i = 0; i + 1 < x->n_words; i++) {
		if (strcmp(x->words[i], option) == 0)
			return true;
	}
	return false;
}

static void offer_options(const struct context *x)
{
	char names[OPTION_NAMES_MAX][OPTION_NAME_BYTES];
	size_t n = options_names(x->command, names);
	for (size_t i = 0; i < n; i++) {
		if (!was_typed(x, names[i]))
			offer(x, names[i]);
	}
}

static void offer_commands(const struct context *x)
{
	for (const struct command *c = commands; c->method; c++) {
		if (*c->name)
			offer(x, c->name);
	}
}

/* A shell will paste it: only what vhostd accepts as a name. */
static bool is_device_name(const char *name)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	return *name && *name != '.' && strspn(name, letters) == strlen(name);
}

static void offer_names_in(const struct context *x, struct json_object *list)
{
	struct json_object *devices = field_get(list, "devices");
	if (!json_object_is_type(devices, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *name = field_get(json_object_array_get_idx(devices, i), "name");
		if (name && is_device_name(json_object_get_string(name)))
			offer(x, json_object_get_string(name));
	}
}

static void offer_device_names(const struct context *x)
{
	char *path = options_control_path(x->control);
	struct client client;
	struct json_object *list = NULL;
	if (client_open(&client, path, ASK_TIMEOUT_MS) == EXIT_OK) {
		if (client_call(&client, "device.list", NULL, &list) == EXIT_OK)
			offer_names_in(x, list);
		client_close(&client);
	}
	json_object_put(list);
	free(path);
}

static void offer_values(const struct context *x, const struct vhostd_param *param)
{
	if (strcmp(param->metavar, "PATH") == 0)
		puts(COMPLETE_FILES);
	for (size_t i = 0; i < sizeof(known_values) / sizeof(known_values[0]); i++) {
		if (strcmp(known_values[i].param, param->name) != 0)
			continue;
		for (const char *const *v = known_values[i].values; *v; v++)
			offer(x, *v);
	}
	/* Every command but the one that makes a disk names one that there is. */
	if (strcmp(param->name, "name") == 0 && x->command != commands)
		offer_device_names(x);
}

static void offer_positional(const struct context *x)
{
	size_t i = 0;
	for (const struct vhostd_param *p = x->command->params; p->name; p++) {
		if (param_is_positional(p) && i++ == x->n_positional)
			offer_values(x, p);
	}
}

void complete_print(int n_words, char **words)
{
	static const char nothing[] = "";
	struct context x = {.global_value_of = OPTION_N, .n_words = n_words, .words = words};
	x.last = n_words ? words[n_words - 1] : nothing;
	for (int i = 0; i + 1 < n_words; i++)
		read_word(&x, words[i]);
	if (strcmp(x.last, "=") == 0)
		x.last = nothing;

	if (x.global_value_of == OPTION_CONTROL)
		puts(COMPLETE_FILES);
	else if (x.value_of)
		offer_values(&x, x.value_of);
	else if (x.global_value_of != OPTION_N)
		return;
	else if (x.last[0] == '-')
		offer_options(&x);
	else if (!x.command)
		offer_commands(&x);
	else
		offer_positional(&x);
}
