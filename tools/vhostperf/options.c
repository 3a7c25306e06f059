/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <stdio.h>
#include <string.h>

#include "control/suggest.h"
#include "option_value.h"
#include "ring.h"

#define OPTION_ROW(id, name, metavar, summary) [OPTION_##id] = {name, metavar, summary},
const struct option_row option_rows[OPTION_N] = {OPTIONS(OPTION_ROW)};

const char *const rw_words[] = {"randread", "randwrite", "read", "write", "mixed", NULL};
const char *const wait_words[] = {"poll", "block", NULL};
const char *const feature_words[] = {"auto", "on", "off", NULL};
const char *const ring_words[] = {"split", "packed", NULL};

#define BS_MAX       (64ull << 20)
#define QUEUES_MAX   64
#define TIME_MAX_S   (366.0 * 86400)
#define AWAY_MIN_US  1
#define AWAY_MAX_US  1e6
#define SECTOR_BYTES 512
#define SECTOR_ALIGN "a multiple of 512"

bool options_writes(const struct options *options)
{
	return options->rw == RW_RANDWRITE || options->rw == RW_WRITE || options->rw == RW_MIXED;
}

uint64_t options_read_percent(const struct options *options)
{
	if (options->rw == RW_MIXED)
		return options->read_percent;
	return options_writes(options) ? 0 : 100;
}

bool options_sequential(const struct options *options)
{
	return options->rw == RW_READ || options->rw == RW_WRITE;
}

static enum exit_code set_bytes(const char *name, const char *value, uint64_t max, uint64_t *ret)
{
	uint64_t bytes;

	if (!value_bytes(value, &bytes) || bytes == 0 || bytes > max || bytes % SECTOR_BYTES)
		return fail(EXIT_USAGE,
			    "--%s wants a number of bytes such as 4k, " SECTOR_ALIGN
			    " up to %llu, not \"%s\"",
			    name, (unsigned long long)max, value);
	*ret = bytes;
	return EXIT_OK;
}

static enum exit_code set_number(const char *name, const char *value, uint64_t min, uint64_t max,
				 uint64_t *ret)
{
	uint64_t number;

	if (!value_number(value, &number) || number < min || number > max)
		return fail(EXIT_USAGE, "--%s wants a whole number, %llu to %llu, not \"%s\"", name,
			    (unsigned long long)min, (unsigned long long)max, value);
	*ret = number;
	return EXIT_OK;
}

static enum exit_code set_decimal(const char *name, const char *value, double min, double max,
				  double *ret)
{
	double number;

	if (!value_decimal(value, &number) || number < min || number > max)
		return fail(EXIT_USAGE, "--%s wants a number, %g to %.0f, not \"%s\"", name, min,
			    max, value);
	*ret = number;
	return EXIT_OK;
}

static enum exit_code set_word(const char *name, const char *value, const char *const *words,
			       int *ret)
{
	int i = value_word(value, words);
	char list[128];

	if (i < 0) {
		value_list_words(words, list, sizeof(list));
		return fail(EXIT_USAGE, "--%s wants %s, not \"%s\"", name, list, value);
	}
	*ret = i;
	return EXIT_OK;
}

static enum exit_code set_cpus(const char *value, struct options *o)
{
	if (!value_cpus(value, o->cpu, OPTIONS_CPUS_MAX, &o->n_cpus))
		return fail(EXIT_USAGE,
			    "--cpu wants up to %d different CPUs such as 0 or 2,3, not \"%s\"",
			    OPTIONS_CPUS_MAX, value);
	return EXIT_OK;
}

static enum exit_code set_flag(bool *flag)
{
	*flag = true;
	return EXIT_OK;
}

static enum exit_code set_option(struct options *o, enum option_id id, const char *value)
{
	const char *name = option_rows[id].name;

	switch (id) {
	case OPTION_RW:
		return set_word(name, value, rw_words, &o->rw);
	case OPTION_BS:
		return set_bytes(name, value, BS_MAX, &o->bs_bytes);
	case OPTION_DEPTH:
		return set_number(name, value, 1, RING_SIZE_MAX, &o->depth);
	case OPTION_QUEUES:
		return set_number(name, value, 1, QUEUES_MAX, &o->queues);
	case OPTION_READ_PERCENT:
		return set_number(name, value, 0, 100, &o->read_percent);
	case OPTION_SIZE:
		return set_bytes(name, value, UINT64_MAX / SECTOR_BYTES * SECTOR_BYTES,
				 &o->size_bytes);
	case OPTION_TIME:
		return set_decimal(name, value, 0.001, TIME_MAX_S, &o->time_s);
	case OPTION_SEED:
		return set_number(name, value, 0, UINT64_MAX, &o->seed);
	case OPTION_CPU:
		return set_cpus(value, o);
	case OPTION_WAIT:
		return set_word(name, value, wait_words, &o->wait);
	case OPTION_RING:
		return set_word(name, value, ring_words, &o->ring);
	case OPTION_INDIRECT:
		return set_word(name, value, feature_words, &o->indirect);
	case OPTION_EVENT_IDX:
		return set_word(name, value, feature_words, &o->event_idx);
	case OPTION_AWAY_US:
		return set_decimal(name, value, AWAY_MIN_US, AWAY_MAX_US, &o->away_us);
	case OPTION_OVERWRITE:
		return set_flag(&o->overwrite);
	case OPTION_VERIFY:
		return set_flag(&o->verify);
	case OPTION_PHASES:
		return set_flag(&o->phases);
	case OPTION_JSON:
		return set_flag(&o->json);
	case OPTION_HISTOGRAM:
		return set_flag(&o->histogram);
	case OPTION_HELP:
		return set_flag(&o->help);
	case OPTION_VERSION:
		return set_flag(&o->version);
	case OPTION_N:
		break;
	}
	return EXIT_OK;
}

static enum exit_code unknown_option(const char *word, size_t n_word)
{
	const char *known[OPTION_N];
	char name[64], hint[512];

	for (int i = 0; i < OPTION_N; i++)
		known[i] = option_rows[i].name;
	snprintf(name, sizeof(name), "%.*s", (int)(n_word < 63 ? n_word : 63), word);
	suggest_format(name, known, OPTION_N, hint, sizeof(hint));
	return fail(EXIT_USAGE, "unknown option \"--%s\"%s", name, hint);
}

/* Where the parser stands. */
struct parser {
	char **argv;
	int argc, at;
	bool given[OPTION_N];
};

/* `word` is "name" or "name=value". */
static enum exit_code parse_option(struct parser *p, const char *word, struct options *o)
{
	const char *equals = strchr(word, '=');
	size_t n_word = equals ? (size_t)(equals - word) : strlen(word);
	const char *value = equals ? equals + 1 : NULL;
	int id = 0;

	while (id < OPTION_N &&
	       (strncmp(option_rows[id].name, word, n_word) != 0 || option_rows[id].name[n_word]))
		id++;
	if (id == OPTION_N)
		return unknown_option(word, n_word);
	const struct option_row *row = &option_rows[id];
	if (p->given[id])
		return fail(EXIT_USAGE, "--%s is given twice", row->name);
	p->given[id] = true;
	if (!*row->metavar && value)
		return fail(EXIT_USAGE, "--%s takes no value", row->name);
	if (*row->metavar && !value && p->at < p->argc)
		value = p->argv[p->at++];
	if (*row->metavar && !value)
		return fail(EXIT_USAGE, "--%s needs a value: %s", row->name, row->metavar);
	return set_option(o, (enum option_id)id, value);
}

static enum exit_code parse_word(struct parser *p, const char *word, struct options *o)
{
	if (strcmp(word, "-h") == 0)
		return set_flag(&o->help);
	if (strncmp(word, "--", 2) == 0 && word[2])
		return parse_option(p, word + 2, o);
	if (word[0] == '-')
		return fail(EXIT_USAGE, "unknown option \"%s\"; see: vhostperf --help", word);
	if (o->socket)
		return fail(EXIT_USAGE, "\"%s\" is one word too many; the socket is \"%s\"", word,
			    o->socket);
	o->socket = word;
	return EXIT_OK;
}

/* What no single option can tell. */
static enum exit_code check_together(const struct parser *p, const struct options *o)
{
	if (!o->socket)
		return fail(EXIT_USAGE, "no socket is given; see: vhostperf --help");
	if (options_writes(o) && !o->overwrite)
		return fail(EXIT_USAGE,
			    "--rw %s overwrites the disk, and a vhost-user-blk socket doesn't tell "
			    "whether anybody needs what is on it; give --overwrite if nobody does",
			    rw_words[o->rw]);
	if (p->given[OPTION_READ_PERCENT] && o->rw != RW_MIXED)
		return fail(EXIT_USAGE, "--read-percent goes with --rw mixed, not with --rw %s",
			    rw_words[o->rw]);
	if (o->histogram && !o->json)
		return fail(EXIT_USAGE, "--histogram has no meaning without --json");
	if (p->given[OPTION_TIME] && o->phases)
		return fail(EXIT_USAGE, "--time has no meaning with --phases, which run until "
					"standard input ends");
	if (o->n_cpus > o->queues)
		return fail(EXIT_USAGE, "--cpu lists %u CPUs, and --queues %llu has work for %llu",
			    o->n_cpus, (unsigned long long)o->queues,
			    (unsigned long long)o->queues);
	if (o->size_bytes && o->size_bytes < o->bs_bytes)
		return fail(EXIT_USAGE, "--size %llu is less than --bs %llu",
			    (unsigned long long)o->size_bytes, (unsigned long long)o->bs_bytes);
	return EXIT_OK;
}

enum exit_code options_parse(int argc, char **argv, struct options *ret_options)
{
	struct options o = {.bs_bytes = 4096,
			    .depth = 32,
			    .queues = 1,
			    .read_percent = 50,
			    .seed = 1,
			    .time_s = 10,
			    .away_us = 20};
	struct parser p = {.argv = argv, .argc = argc, .at = 1};
	enum exit_code code = EXIT_OK;

	while (p.at < argc && code == EXIT_OK)
		code = parse_word(&p, argv[p.at++], &o);
	if (code == EXIT_OK && !o.help && !o.version)
		code = check_together(&p, &o);
	if (code == EXIT_OK)
		*ret_options = o;
	return code;
}
