/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What --verify knows of a queue's part of the disk: the generation that each block was last
 * written with, and which blocks have a request in flight (at most one each). A generation is new
 * with each write and with each run, so that data of the wrong place, of the wrong age or torn is
 * found.
 *
 * A load that writes checks what it has written itself. A load that only reads checks that each
 * block is either what some earlier run wrote there, whole, or zeroes.
 */
#ifndef VHOSTPERF_VERIFY_H
#define VHOSTPERF_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VERIFY_RECENT 256

struct verify {
	uint64_t first_block, n_blocks;
	uint32_t block_sectors;
	bool writes;                    /* the load does */
	uint64_t run_generation;        /* that the run's own are counted from */
	uint32_t last;                  /* generation given out */
	uint32_t *generation;           /* by block; 0: this run doesn't know */
	uint8_t *busy;                  /* by block */
	uint64_t recent[VERIFY_RECENT]; /* blocks written lately, for mixed loads to read */
	unsigned int n_recent, next_recent;
	uint64_t read_back; /* next block of the final pass */
};

/** The part of `n_blocks` blocks from `first_block`. 0 or -ENOMEM. */
int verify_init(struct verify *verify, uint64_t first_block, uint64_t n_blocks,
		uint32_t block_sectors, bool writes);
void verify_fini(struct verify *verify);

/** `block`, or the next one that has no request in flight; it has one then. There has to be one. */
uint64_t verify_claim(struct verify *verify, uint64_t block);

/** The request has ended. */
void verify_release(struct verify *verify, uint64_t block);

/** A block written lately, picked by `random`; false when there is none. */
bool verify_recent(const struct verify *verify, uint64_t random, uint64_t *ret_block);

/** Claims the next block of the final pass over all that was written; false at the end. */
bool verify_next_written(struct verify *verify, uint64_t *ret_block);

/** Fills a write's data. Until it has ended well, the block counts as unknown. */
uint32_t verify_fill(struct verify *verify, uint64_t block, void *data);
void verify_written(struct verify *verify, uint64_t block, uint32_t generation);

/** Whether a read's data is right, -1 if nothing is known of it; 0 when wrong, and `text` says in
 *  which sector, what was expected and what was found. */
int verify_check(const struct verify *verify, uint64_t block, const void *data, char *text,
		 size_t size);

#endif
