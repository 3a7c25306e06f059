/* SPDX-License-Identifier: BSD-3-Clause */
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vfe_pattern.h"

#define SECTOR_BYTES 512

int verify_init(struct verify *verify, uint64_t first_block, uint64_t n_blocks,
		uint32_t block_sectors, bool writes)
{
	*verify = (struct verify){
		.first_block = first_block,
		.n_blocks = n_blocks,
		.block_sectors = block_sectors,
		.writes = writes,
		.run_generation = (uint64_t)time(NULL) << 32,
	};
	verify->generation = calloc(n_blocks, sizeof(*verify->generation));
	verify->busy = calloc(n_blocks, sizeof(*verify->busy));
	if (verify->generation && verify->busy)
		return 0;
	verify_fini(verify);
	return -ENOMEM;
}

void verify_fini(struct verify *verify)
{
	free(verify->generation);
	free(verify->busy);
	*verify = (struct verify){0};
}

uint64_t verify_claim(struct verify *verify, uint64_t block)
{
	uint64_t at = block - verify->first_block;

	while (verify->busy[at])
		at = at + 1 < verify->n_blocks ? at + 1 : 0;
	verify->busy[at] = 1;
	return verify->first_block + at;
}

void verify_release(struct verify *verify, uint64_t block)
{
	verify->busy[block - verify->first_block] = 0;
}

bool verify_recent(const struct verify *verify, uint64_t random, uint64_t *ret_block)
{
	if (verify->n_recent == 0)
		return false;
	*ret_block = verify->recent[random % verify->n_recent];
	return true;
}

bool verify_next_written(struct verify *verify, uint64_t *ret_block)
{
	while (verify->read_back < verify->n_blocks) {
		uint64_t at = verify->read_back++;

		if (verify->generation[at] == 0)
			continue;
		verify->busy[at] = 1;
		*ret_block = verify->first_block + at;
		return true;
	}
	return false;
}

uint32_t verify_fill(struct verify *verify, uint64_t block, void *data)
{
	uint32_t generation = ++verify->last ? verify->last : ++verify->last;

	verify->generation[block - verify->first_block] = 0;
	vfe_pattern_fill(data, block * verify->block_sectors, verify->block_sectors,
			 verify->run_generation + generation);
	return generation;
}

void verify_written(struct verify *verify, uint64_t block, uint32_t generation)
{
	verify->generation[block - verify->first_block] = generation;
	verify->recent[verify->next_recent] = block;
	verify->next_recent = (verify->next_recent + 1) % VERIFY_RECENT;
	if (verify->n_recent < VERIFY_RECENT)
		verify->n_recent++;
}

static bool is_zero(const uint8_t *data, size_t n_bytes)
{
	return data[0] == 0 && memcmp(data, data + 1, n_bytes - 1) == 0;
}

int verify_check(const struct verify *verify, uint64_t block, const void *data, char *text,
		 size_t size)
{
	uint64_t sector = block * verify->block_sectors;
	uint64_t generation = verify->generation[block - verify->first_block];
	int64_t wrong;

	if (generation)
		generation += verify->run_generation;
	else if (verify->writes)
		return -1;
	else if (!is_zero(data, (size_t)verify->block_sectors * SECTOR_BYTES))
		memcpy(&generation, (const uint8_t *)data + 8, sizeof(generation));
	wrong = vfe_pattern_check(data, sector, verify->block_sectors, generation);
	if (wrong < 0)
		return 1;
	snprintf(text, size, "sector %" PRIu64 ": expected generation %" PRIu64 ", found %s",
		 sector + (uint64_t)wrong, generation,
		 vfe_pattern_describe((const uint8_t *)data + wrong * SECTOR_BYTES));
	return 0;
}
