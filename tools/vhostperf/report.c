/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <inttypes.h>
#include <json-c/json_object.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Percentiles as both forms have them; they are JSON keys, too. */
static const struct {
	const char *name;
	double fraction;
} percentiles[] = {
	{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999},
};

static void add_double(struct json_object *to, const char *key, double value)
{
	char text[64];

	snprintf(text, sizeof(text), "%.3f", value);
	json_object_object_add(to, key, json_object_new_double_s(value, text));
}

static void add_uint(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

static void add_bool(struct json_object *to, const char *key, bool value)
{
	json_object_object_add(to, key, json_object_new_boolean(value));
}

static void add_text(struct json_object *to, const char *key, const char *text)
{
	json_object_object_add(to, key, json_object_new_string(text));
}

static void append_double(struct json_object *to, double value)
{
	char text[64];

	snprintf(text, sizeof(text), "%.3f", value);
	json_object_array_add(to, json_object_new_double_s(value, text));
}

/* The buckets that are not empty: the middle of each, and how many there are in it. */
static struct json_object *buckets_json(const struct clock *clock, const struct hist *hist)
{
	struct json_object *to = json_object_new_array(), *pair;

	for (unsigned int i = 0; i < HIST_N_BUCKETS; i++) {
		if (!hist->bucket[i])
			continue;
		pair = json_object_new_array_ext(2);
		append_double(pair, clock_us(clock, (double)hist_middle(i)));
		json_object_array_add(pair, json_object_new_uint64(hist->bucket[i]));
		json_object_array_add(to, pair);
	}
	return to;
}

static struct json_object *latency_json(const struct clock *clock, const struct hist *hist,
					bool with_buckets)
{
	struct json_object *to = json_object_new_object();

	add_double(to, "min", clock_us(clock, hist->n ? (double)hist->min : 0));
	add_double(to, "mean", clock_us(clock, hist_mean(hist)));
	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++) {
		uint64_t ticks = hist_percentile(hist, percentiles[i].fraction);

		add_double(to, percentiles[i].name, clock_us(clock, (double)ticks));
	}
	add_double(to, "max", clock_us(clock, (double)hist->max));
	if (with_buckets)
		json_object_object_add(to, "histogram", buckets_json(clock, hist));
	return to;
}

static struct json_object *settings_json(const struct run *run)
{
	const struct options *o = run->options;
	struct json_object *to = json_object_new_object();

	add_text(to, "socket", o->socket);
	add_text(to, "rw", rw_words[o->rw]);
	add_uint(to, "bs_bytes", o->bs_bytes);
	add_uint(to, "size_bytes", run->disk.used_bytes);
	add_uint(to, "depth", o->depth);
	add_uint(to, "queues", o->queues);
	add_uint(to, "threads", run->n_workers);
	add_uint(to, "read_percent", options_read_percent(o));
	add_uint(to, "seed", o->seed);
	add_bool(to, "verify", o->verify);
	add_text(to, "wait", wait_words[o->wait]);
	add_text(to, "ring", ring_words[o->ring]);
	add_bool(to, "indirect", run->disk.indirect);
	add_bool(to, "event_idx", run->disk.event_idx);
	add_double(to, "away_us", o->away_us);
	add_bool(to, "tsc", run->clock.is_tsc);
	return to;
}

/* What both forms are made from. */
struct result {
	double seconds, iops, bytes_per_s;
	struct hist raw, net;
};

static void make_result(const struct run *run, const struct stats *stats, struct result *ret)
{
	double ticks = stats->end > stats->begin ? (double)(stats->end - stats->begin) : 0;

	ret->seconds = clock_us(&run->clock, ticks) / 1e6;
	ret->iops = ret->seconds > 0 ? (double)stats->requests / ret->seconds : 0;
	ret->bytes_per_s = ret->iops * (double)run->options->bs_bytes;
	ret->raw = stats->calm;
	ret->net = stats->calm;
	hist_merge(&ret->raw, &stats->disturbed);
	hist_merge(&ret->net, &stats->rest);
}

static void print_json(const struct run *run, const struct stats *stats,
		       const struct result *result, const char *phase)
{
	const struct clock *clock = &run->clock;
	struct json_object *to = json_object_new_object();
	bool buckets = run->options->histogram;

	if (phase)
		add_text(to, "phase", phase);
	add_double(to, "seconds", result->seconds);
	add_double(to, "iops", result->iops);
	add_double(to, "bytes_per_s", result->bytes_per_s);
	json_object_object_add(to, "latency_us", latency_json(clock, &result->raw, buckets));
	json_object_object_add(to, "latency_net_us", latency_json(clock, &result->net, buckets));
	add_double(to, "gap_max_us", clock_us(clock, (double)stats->gap_max));
	add_double(to, "gap_net_max_us", clock_us(clock, (double)stats->gap_net_max));
	add_double(to, "away_us", clock_us(clock, (double)stats->away));
	add_double(to, "away_max_us", clock_us(clock, (double)stats->away_max));
#define ADD_COUNTER(name) add_uint(to, #name, stats->name);
	STATS_COUNTERS(ADD_COUNTER)
#undef ADD_COUNTER
	json_object_object_add(to, "settings", settings_json(run));
	puts(json_object_to_json_string_ext(to, JSON_C_TO_STRING_SPACED |
							JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(to);
}

static void print_latency(const char *label, const struct clock *clock, const struct hist *hist)
{
	printf("  %-11s  min %.1f  mean %.1f", label,
	       clock_us(clock, hist->n ? (double)hist->min : 0), clock_us(clock, hist_mean(hist)));
	for (size_t i = 0; i < ARRAY_LEN(percentiles); i++) {
		uint64_t ticks = hist_percentile(hist, percentiles[i].fraction);

		printf("  %s %.1f", percentiles[i].name, clock_us(clock, (double)ticks));
	}
	printf("  max %.1f us\n", clock_us(clock, (double)hist->max));
}

static void print_text(const struct run *run, const struct stats *stats,
		       const struct result *result, const char *phase)
{
	const struct options *o = run->options;
	const struct clock *clock = &run->clock;

	printf("%s%s%s, %" PRIu64 " bytes, depth %" PRIu64 ", queues %" PRIu64 ", %s: %.3f s\n",
	       phase ? phase : "", phase && *phase ? ": " : "", rw_words[o->rw], o->bs_bytes,
	       o->depth, o->queues, wait_words[o->wait], result->seconds);
	printf("  %.0f IOPS, %.1f MiB/s; %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64
	       " errors\n",
	       result->iops, result->bytes_per_s / (1 << 20), stats->reads, stats->writes,
	       stats->errors);
	if (o->verify)
		printf("  %" PRIu64 " blocks verified, %" PRIu64 " wrong\n", stats->verified_blocks,
		       stats->mismatches);
	print_latency("latency", clock, &result->raw);
	print_latency("latency net", clock, &result->net);
	printf("  longest time without a completion: %.1f us, net %.1f us\n",
	       clock_us(clock, (double)stats->gap_max),
	       clock_us(clock, (double)stats->gap_net_max));
	printf("  the client was away %" PRIu64 " times, %.1f us in all, %.1f us at most\n",
	       stats->away_count, clock_us(clock, (double)stats->away),
	       clock_us(clock, (double)stats->away_max));
}

void report_print(const struct run *run, const struct stats *stats, const char *phase)
{
	static struct result result; /* too large for some stacks */

	make_result(run, stats, &result);
	if (run->options->json)
		print_json(run, stats, &result, phase);
	else
		print_text(run, stats, &result, phase);
	fflush(stdout);
}
