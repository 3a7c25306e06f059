/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kinds of trouble (trouble_kinds.c) and the program around them (trouble.c) share.
 */
#ifndef TROUBLE_H
#define TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "vfe_io.h"

/* Numbers that `done` tells; each kind counts what its table row names. */
#define TROUBLE_COUNTS 4

struct trouble_opts {
	const char *socket;
	uint64_t mem_bytes; /* of guest memory, in all */
	unsigned int n_regions;
	uint32_t block_bytes;
	uint16_t depth;
	uint64_t n_times; /* 0: until told to stop */
	bool touch;
	bool write;
};

struct trouble {
	struct trouble_opts opts;
	struct vfe_region_spec regions[VFE_MEM_REGIONS_MAX];
	struct vfe_blk blk;
	struct vfe_io io;
	uint64_t capacity_bytes;
	uint64_t next_sector;
	uint64_t count[TROUBLE_COUNTS];
	bool stopped; /* since the last `go` or `lull` */
	bool lull;    /* all but the trouble itself */
	bool stdin_ended;
};

struct trouble_kind {
	const char *name;
	const char *summary;
	const char *counts[TROUBLE_COUNTS]; /* names of the numbers; NULL: no more */
	/* Before `ready`. 0 or -errno. */
	int (*set_up)(struct trouble *t);
	/* From `go` on, until trouble_is_over(). 0 or -errno. */
	int (*run)(struct trouble *t);
};

extern const struct trouble_kind trouble_kinds[];
extern const unsigned int trouble_n_kinds;

/* True from `stop`, or the end of standard input, on: asked in each turn. */
bool trouble_is_over(struct trouble *t);

#endif
