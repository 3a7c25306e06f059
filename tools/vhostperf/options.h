/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The command line. One table has every option: parsing, --help and completion are made from it,
 * and the manual page is tested against --help.
 */
#ifndef VHOSTPERF_OPTIONS_H
#define VHOSTPERF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exit_codes.h"

#define OPTIONS_CPUS_MAX 64

/* X(ID, option, metavar, summary) */
#define OPTIONS(X)                                                                                 \
	X(RW, "rw", "KIND", "randread, randwrite, read, write or mixed; default: randread")        \
	X(BS, "bs", "SIZE", "bytes of a request; default: 4k")                                     \
	X(DEPTH, "depth", "N", "requests in flight for each queue; default: 32")                   \
	X(QUEUES, "queues", "N", "virtqueues; default: 1")                                         \
	X(READ_PERCENT, "read-percent", "N", "reads among the requests of mixed; default: 50")     \
	X(SIZE, "size", "SIZE", "only the first so many bytes of the disk; default: all")          \
	X(TIME, "time", "S", "seconds to run; default: 10")                                        \
	X(SEED, "seed", "N", "of the random places; default: 1")                                   \
	X(OVERWRITE, "overwrite", "", "what is on the disk may be lost")                           \
	X(VERIFY, "verify", "", "check the data that is read")                                     \
	X(CPU, "cpu", "LIST", "run on these CPUs, such as 0 or 2,3: one thread for each")          \
	X(WAIT, "wait", "HOW", "poll, or block until an interrupt; default: poll")                 \
	X(RING, "ring", "FORMAT", "format of the virtqueues: split or packed; default: split")     \
	X(INDIRECT, "indirect", "HOW", "indirect descriptors: auto, on or off; default: auto")     \
	X(EVENT_IDX, "event-idx", "HOW", "event index: auto, on or off; default: auto")            \
	X(AWAY_US, "away-us", "US", "away is what looks no more often at the ring; default: 20")   \
	X(PHASES, "phases", "", "each line of standard input ends a phase")                        \
	X(JSON, "json", "", "print the results as JSON, an object on a line")                      \
	X(HISTOGRAM, "histogram", "", "with --json: all latencies, as histograms")                 \
	X(HELP, "help", "", "print how to use vhostperf, and exit")                                \
	X(VERSION, "version", "", "print the version, and exit")

#define OPTION_ENUM(id, name, metavar, summary) OPTION_##id,
enum option_id { OPTIONS(OPTION_ENUM) OPTION_N };
#undef OPTION_ENUM

struct option_row {
	const char *name;    /* without the dashes */
	const char *metavar; /* "": takes no value */
	const char *summary;
};
extern const struct option_row option_rows[OPTION_N];

enum rw { RW_RANDREAD, RW_RANDWRITE, RW_READ, RW_WRITE, RW_MIXED };
enum wait_mode { WAIT_POLL, WAIT_BLOCK };
enum feature_use { USE_AUTO, USE_ON, USE_OFF };
enum ring_format { RING_SPLIT, RING_PACKED };

/* The words for each of these enums, with a NULL at the end. */
extern const char *const rw_words[];
extern const char *const wait_words[];
extern const char *const feature_words[];
extern const char *const ring_words[];

struct options {
	const char *socket;
	int rw, wait, ring, indirect, event_idx; /* of the enums above */
	uint64_t bs_bytes;
	uint64_t size_bytes; /* 0: all of the disk */
	uint64_t depth, queues;
	uint64_t read_percent;
	uint64_t seed;
	double time_s;
	double away_us;
	unsigned int cpu[OPTIONS_CPUS_MAX];
	unsigned int n_cpus; /* 0: wherever the kernel likes */
	bool overwrite, verify, phases, json, histogram, help, version;
};

/** EXIT_OK, or EXIT_USAGE with the reason printed. Strings point into argv. */
enum exit_code options_parse(int argc, char **argv, struct options *ret_options);

/** Whether the load writes to the disk. */
bool options_writes(const struct options *options);

/** Reads among the requests, whatever --rw is. */
uint64_t options_read_percent(const struct options *options);

/** Whether places follow one another. */
bool options_sequential(const struct options *options);

#endif
