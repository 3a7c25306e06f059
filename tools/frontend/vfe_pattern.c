/* SPDX-License-Identifier: BSD-3-Clause */
/* Sector pattern: word 0 the sector, word 1 the generation, 62 words from a generator seeded by
 * both. */
#include "vfe_pattern.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECTOR_BYTES 512u
#define WORDS        (SECTOR_BYTES / 8)

uint64_t vfe_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void make_sector(uint64_t *word, uint64_t sector, uint64_t generation)
{
	uint64_t state = sector * 0x2545f4914f6cdd1dull ^ generation;
	unsigned int i;

	if (generation == 0) {
		memset(word, 0, SECTOR_BYTES);
		return;
	}
	word[0] = sector;
	word[1] = generation;
	for (i = 2; i < WORDS; i++)
		word[i] = vfe_random(&state);
}

void vfe_pattern_fill(void *buf, uint64_t sector, uint32_t n_sectors, uint64_t generation)
{
	uint64_t word[WORDS];
	uint32_t i;

	for (i = 0; i < n_sectors; i++) {
		make_sector(word, sector + i, generation);
		memcpy((uint8_t *)buf + i * SECTOR_BYTES, word, SECTOR_BYTES);
	}
}

int64_t vfe_pattern_check(const void *buf, uint64_t sector, uint32_t n_sectors, uint64_t generation)
{
	uint64_t word[WORDS];
	uint32_t i;

	for (i = 0; i < n_sectors; i++) {
		make_sector(word, sector + i, generation);
		if (memcmp((const uint8_t *)buf + i * SECTOR_BYTES, word, SECTOR_BYTES) != 0)
			return i;
	}
	return -1;
}

bool vfe_pattern_generation(const void *buf, uint64_t sector, uint64_t *ret_generation)
{
	uint64_t word[WORDS];

	memcpy(word, buf, SECTOR_BYTES);
	if (vfe_pattern_check(buf, sector, 1, word[1]) >= 0)
		return false;
	*ret_generation = word[1];
	return true;
}

const char *vfe_pattern_describe(const void *buf)
{
	static char text[128];
	uint64_t word[WORDS], expected[WORDS];

	memcpy(word, buf, SECTOR_BYTES);
	make_sector(expected, word[0], word[1]);
	snprintf(text, sizeof(text), "sector %" PRIu64 " generation %" PRIu64 "%s", word[0],
		 word[1], memcmp(word, expected, SECTOR_BYTES) ? " (torn or foreign)" : "");
	return text;
}
