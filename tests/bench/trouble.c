/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-trouble: a front end that makes trouble on one disk, for benchmarks and tests that look at
 * the others.
 *
 *   bench-trouble KIND --socket PATH [OPTION...]
 *
 * It talks over standard input and output, a line at a time:
 *
 *   ready               printed once it is connected and set up
 *   go                  read: the trouble begins
 *   lull                read instead: its load runs, but the trouble doesn't happen (kind plug)
 *   running             printed when it has begun
 *   stop                read: the trouble ends (some kinds end by themselves)
 *   done KEY=NUMBER...  printed when it has ended: what was counted, and the time it took; then
 *                       `go` is read again
 *   failed REASON       printed instead of `ready` or `done`; the exit status is 1
 *
 * The end of standard input ends it in whatever state it is: status 0, the connection closed by
 * exit. `--help` lists kinds and options.
 */
#include "trouble.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIN_MEM_BYTES (16ull << 20)

static void usage(FILE *out)
{
	unsigned int i, k;

	fprintf(out, "usage: bench-trouble KIND --socket PATH [OPTION...]\n\nkinds, and what each "
		     "counts:\n");
	for (i = 0; i < trouble_n_kinds; i++) {
		fprintf(out, "  %-9s %s (", trouble_kinds[i].name, trouble_kinds[i].summary);
		for (k = 0; k < TROUBLE_COUNTS && trouble_kinds[i].counts[k]; k++)
			fprintf(out, "%s%s", k ? ", " : "", trouble_kinds[i].counts[k]);
		fputs(")\n", out);
	}
	fputs("\noptions:\n"
	      "  --socket PATH   the disk's vhost-user socket\n"
	      "  --mem SIZE      guest memory, such as 256M or 4G; default 64M\n"
	      "  --regions N     in so many memory regions, 1 (default) to 4\n"
	      "  --touch         read the disk into all of it before `ready` (plug: into what "
	      "stays)\n"
	      "  --depth N       requests in flight, 1 to 512; default 32\n"
	      "  --bs SIZE       bytes of a request, 512 to 1M; default 4K\n"
	      "  --rw read|write default read\n"
	      "  --count N       end by itself after N times; default 0, until `stop`\n",
	      out);
}

/* "4K", "256M", "2G", or a number of bytes. */
static bool parse_size(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	static const char units[] = "KMG";
	const char *unit;
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *text == '-')
		return false;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		value <<= 10 * (unit - units + 1);
		end++;
	}
	if (*end || value < min || value > max)
		return false;
	*ret_value = value;
	return true;
}

static bool parse_rw(const char *text, bool *ret_write)
{
	*ret_write = strcmp(text, "write") == 0;
	return *ret_write || strcmp(text, "read") == 0;
}

/* False: `text` is not right for option `c`. */
static bool set_option(struct trouble_opts *opts, int c, const char *text)
{
	uint64_t n = 0;
	bool ok = true;

	switch (c) {
	case 's':
		opts->socket = text;
		break;
	case 'm':
		ok = parse_size(text, MIN_MEM_BYTES, 1ull << 40, &opts->mem_bytes);
		break;
	case 'r':
		ok = parse_size(text, 1, 4, &n);
		opts->n_regions = (unsigned int)n;
		break;
	case 't':
		opts->touch = true;
		break;
	case 'd':
		ok = parse_size(text, 1, 512, &n);
		opts->depth = (uint16_t)n;
		break;
	case 'b':
		ok = parse_size(text, 512, 1u << 20, &n) && n % 512 == 0;
		opts->block_bytes = (uint32_t)n;
		break;
	case 'w':
		ok = parse_rw(text, &opts->write);
		break;
	default:
		ok = parse_size(text, 0, UINT64_MAX, &opts->n_times);
		break;
	}
	return ok;
}

/* 0; 2: the command line is wrong; -1: --help was printed. */
static int parse_options(int argc, char **argv, struct trouble_opts *opts)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},  {"mem", required_argument, NULL, 'm'},
		{"regions", required_argument, NULL, 'r'}, {"touch", no_argument, NULL, 't'},
		{"depth", required_argument, NULL, 'd'},   {"bs", required_argument, NULL, 'b'},
		{"rw", required_argument, NULL, 'w'},      {"count", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
	int c, index = 0;

	*opts = (struct trouble_opts){
		.mem_bytes = 64ull << 20, .n_regions = 1, .block_bytes = 4096, .depth = 32};
	while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return -1;
		}
		if (c == '?')
			return 2;
		if (!set_option(opts, c, optarg)) {
			fprintf(stderr, "--%s: \"%s\" is not right; see --help\n",
				options[index].name, optarg);
			return 2;
		}
	}
	return 0;
}

static const struct trouble_kind *find_kind(const char *name)
{
	unsigned int i;

	for (i = 0; i < trouble_n_kinds; i++) {
		if (strcmp(trouble_kinds[i].name, name) == 0)
			return &trouble_kinds[i];
	}
	return NULL;
}

/* One line of standard input, without its end; false at the end of input. */
static bool read_line(char *line, size_t max)
{
	size_t n = 0;
	char c;

	/* Byte by byte: what stdio holds back, poll() would not see. */
	while (read(STDIN_FILENO, &c, 1) == 1) {
		if (c == '\n') {
			line[n] = '\0';
			return true;
		}
		if (n + 1 < max)
			line[n++] = c;
	}
	return false;
}

bool trouble_is_over(struct trouble *t)
{
	struct pollfd pfd = {.fd = STDIN_FILENO, .events = POLLIN};
	char line[64];

	if (t->stopped || poll(&pfd, 1, 0) <= 0)
		return t->stopped;
	t->stdin_ended = !read_line(line, sizeof(line));
	t->stopped = true;
	return true;
}

static void print_done(const struct trouble *t, const struct trouble_kind *kind, int64_t start_ms)
{
	unsigned int i;

	printf("done");
	for (i = 0; i < TROUBLE_COUNTS && kind->counts[i]; i++)
		printf(" %s=%" PRIu64, kind->counts[i], t->count[i]);
	printf(" ms=%" PRId64 "\n", vfe_now_ms() - start_ms);
}

static int fail(int rc)
{
	printf("failed %s\n", strerror(-rc));
	return 1;
}

/* The lines of standard input, up to its end. */
static int obey(struct trouble *t, const struct trouble_kind *kind)
{
	int64_t start_ms;
	char line[64];
	int rc;

	puts("ready");
	while (!t->stdin_ended && read_line(line, sizeof(line))) {
		t->lull = strcmp(line, "lull") == 0;
		if (!t->lull && strcmp(line, "go") != 0)
			continue; /* a `stop` that came after the end */
		memset(t->count, 0, sizeof(t->count));
		t->stopped = false;
		start_ms = vfe_now_ms();
		puts("running");
		rc = kind->run(t);
		if (rc)
			return fail(rc);
		print_done(t, kind, start_ms);
	}
	return 0;
}

static int make_trouble(struct trouble *t, const struct trouble_kind *kind)
{
	int rc = kind->set_up(t);

	rc = rc ? fail(rc) : obey(t, kind);
	vfe_io_fini(&t->io);
	vfe_blk_close(&t->blk);
	return rc;
}

int main(int argc, char **argv)
{
	const struct trouble_kind *kind = NULL;
	struct trouble *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return 1;
	rc = parse_options(argc, argv, &t->opts);
	if (rc == 0 && optind + 1 == argc)
		kind = find_kind(argv[optind]);
	if (rc == 0 && (!kind || !t->opts.socket)) {
		usage(stderr);
		rc = 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (rc == 0)
		rc = make_trouble(t, kind);
	free(t);
	return rc < 0 ? 0 : rc;
}
