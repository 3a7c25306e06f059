/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/options.h"

#include <getopt.h>
#include <string.h>

#define FLAG_MAX 32 /* "--name=" and NUL */

/* Values of getopt_long(): settings are their id plus FIRST_SETTING. */
enum { FLAG_CONFIG = 1, FLAG_CHECK_CONFIG, FLAG_VERSION, FLAG_HELP, FIRST_SETTING = 256 };

struct flag {
	int value;
	const char *name;
	const char *metavar; /* "": takes none */
	const char *summary;
	const char *default_text;
};

static const struct flag own_flags[] = {
	{FLAG_CONFIG, "config", "FILE", "configuration file", VHOSTD_CONFIG_FILE " if it exists"},
	{FLAG_CHECK_CONFIG, "check-config", "", "check file and command line, don't start", ""},
	{FLAG_VERSION, "version", "", "print the version", ""},
	{FLAG_HELP, "help", "", "print this", ""},
};

#define MAX_FLAGS (ARRAY_LEN(own_flags) + N_SETTINGS)

struct flag_table {
	char names[MAX_FLAGS][FLAG_MAX]; /* with '-' for '_' */
	struct flag flags[MAX_FLAGS];
	struct option longopts[MAX_FLAGS + 1];
	unsigned int n_flags;
};

static void add_flag(struct flag_table *table, const struct flag *flag)
{
	unsigned int i = table->n_flags++;
	char *name = table->names[i];

	snprintf(name, FLAG_MAX, "%s", flag->name);
	for (char *c = name; *c; c++)
		if (*c == '_')
			*c = '-';
	table->flags[i] = *flag;
	table->flags[i].name = name;
	table->longopts[i] = (struct option){
		.name = name,
		.has_arg = *flag->metavar ? required_argument : no_argument,
		.val = flag->value,
	};
}

static void make_table(struct flag_table *table)
{
	memset(table, 0, sizeof(*table));
	for (unsigned int i = 0; i < ARRAY_LEN(own_flags); i++)
		add_flag(table, &own_flags[i]);
	for (int i = 0; i < N_SETTINGS; i++) {
		const struct setting *setting = &setting_table[i];

		if (setting->where == VHOSTD_FLAG_AND_FILE)
			add_flag(table,
				 &(struct flag){FIRST_SETTING + i, setting->name, setting->metavar,
						setting->summary, setting->default_text});
	}
}

static void take(struct options *options, int value)
{
	switch (value) {
	case FLAG_CONFIG:
		options->config = optarg;
		break;
	case FLAG_CHECK_CONFIG:
		options->action = OPTIONS_CHECK_CONFIG;
		break;
	case FLAG_VERSION:
		options->action = OPTIONS_VERSION;
		break;
	case FLAG_HELP:
		options->action = OPTIONS_HELP;
		break;
	default:
		options->text[value - FIRST_SETTING] = optarg ? optarg : "true";
	}
}

int options_parse(int argc, char **argv, struct options *ret_options, struct error *err)
{
	struct options options = {.action = OPTIONS_RUN};
	struct flag_table table;
	int value;

	make_table(&table);
	opterr = 0;
	optind = 0; /* glibc: start anew */
	while ((value = getopt_long(argc, argv, "+:", table.longopts, NULL)) != -1) {
		if (value == ':')
			return error_set(err, VHOSTD_ERR_PARAMS, "%s needs a value; see --help",
					 argv[optind - 1]);
		if (value == '?')
			return error_set(err, VHOSTD_ERR_PARAMS,
					 "%s is not an option, or takes no value; see --help",
					 argv[optind - 1]);
		take(&options, value);
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "%s is not an option; EAL arguments come after --", argv[optind]);
	options.eal_argv = argv + optind;
	options.n_eal_args = (unsigned int)(argc - optind);
	*ret_options = options;
	return 0;
}

int options_apply(const struct options *options, struct settings *settings, struct error *err)
{
	struct flag_table table;
	struct error why = {0};

	make_table(&table);
	for (unsigned int i = ARRAY_LEN(own_flags); i < table.n_flags; i++) {
		int id = table.flags[i].value - FIRST_SETTING;

		if (options->text[id] &&
		    settings_set(settings, (enum setting_id)id, options->text[id], &why))
			return error_set(err, why.code, "--%s: %s", table.flags[i].name, why.text);
	}
	return 0;
}

void options_help(FILE *to)
{
	struct flag_table table;

	make_table(&table);
	fprintf(to, "usage: vhostd");
	for (unsigned int i = 0; i < table.n_flags; i++)
		fprintf(to, " [--%s%s%s]", table.flags[i].name, *table.flags[i].metavar ? " " : "",
			table.flags[i].metavar);
	fprintf(to,
		" [-- EAL ARGS]\n\nvhost-user-blk back end: serves disks to virtual machines\n\n");
	for (unsigned int i = 0; i < table.n_flags; i++) {
		const struct flag *flag = &table.flags[i];
		char left[64];

		snprintf(left, sizeof(left), "--%s %s", flag->name, flag->metavar);
		fprintf(to, "  %-20s %s", left, flag->summary);
		fprintf(to, *flag->default_text ? " (default: %s)\n" : "%s\n", flag->default_text);
	}
	fprintf(to, "\nEach flag but the first four is also a key of the configuration file, "
		    "vhostd.json(5),\nwith '_' for '-'; the command line wins.\n");
}
