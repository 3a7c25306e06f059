/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What vhostperf --verify knows of the blocks: one request at a time on each, and what is right and
 * wrong on a read.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "lib/unit.h"
#include "verify.h"

#define FIRST         100
#define N_BLOCKS      8
#define BLOCK_SECTORS 2
#define BLOCK_BYTES   (BLOCK_SECTORS * 512)

static struct verify verify;
static uint8_t data[BLOCK_BYTES];

static void start(bool writes)
{
	assert_int_equal(verify_init(&verify, FIRST, N_BLOCKS, BLOCK_SECTORS, writes), 0);
}

static int check(uint64_t block)
{
	char text[256];

	return verify_check(&verify, block, data, text, sizeof(text));
}

static void test_a_block_is_claimed_once(void **state)
{
	bool seen[N_BLOCKS] = {false};

	(void)state;
	start(true);
	for (int i = 0; i < N_BLOCKS; i++) {
		uint64_t block = verify_claim(&verify, FIRST + 5);

		assert_in_range(block, FIRST, FIRST + N_BLOCKS - 1);
		assert_false(seen[block - FIRST]);
		seen[block - FIRST] = true;
	}
	verify_release(&verify, FIRST + 2);
	assert_int_equal(verify_claim(&verify, FIRST + 5), FIRST + 2);
	verify_fini(&verify);
}

/* A load that writes: what it has written itself, and no older version of it. */
static void test_own_writes(void **state)
{
	uint32_t generation;
	uint8_t older[BLOCK_BYTES];

	(void)state;
	start(true);
	assert_int_equal(check(FIRST), -1);
	generation = verify_fill(&verify, FIRST, data);
	memcpy(older, data, sizeof(older));
	assert_int_equal(check(FIRST), -1); /* it may have been written, or not */
	verify_written(&verify, FIRST, generation);
	assert_int_equal(check(FIRST), 1);
	verify_written(&verify, FIRST, verify_fill(&verify, FIRST, data));
	assert_int_equal(check(FIRST), 1);
	data[BLOCK_BYTES - 1] ^= 1;
	assert_int_equal(check(FIRST), 0);
	memcpy(data, older, sizeof(older));
	assert_int_equal(check(FIRST), 0);
	verify_fini(&verify);
}

/* A load that only reads: what any run has written there, whole, or zeroes. */
static void test_foreign_data(void **state)
{
	(void)state;
	start(false);
	memset(data, 0, sizeof(data));
	assert_int_equal(check(FIRST), 1);
	data[700] = 1;
	assert_int_equal(check(FIRST), 0);
	verify_fill(&verify, FIRST + 1, data);
	assert_int_equal(check(FIRST + 1), 1);
	assert_int_equal(check(FIRST), 0);
	memset(data, 0, 512);
	assert_int_equal(check(FIRST + 1), 0);
	verify_fill(&verify, FIRST + 1, data);
	memset(data + 512, 0, 512);
	assert_int_equal(check(FIRST + 1), 0);
	verify_fini(&verify);
}

static void test_read_back(void **state)
{
	uint64_t block;

	(void)state;
	start(true);
	assert_false(verify_recent(&verify, 7, &block));
	verify_written(&verify, FIRST + 1, verify_fill(&verify, FIRST + 1, data));
	verify_written(&verify, FIRST + 7, verify_fill(&verify, FIRST + 7, data));
	verify_fill(&verify, FIRST + 4, data); /* never ended */
	assert_true(verify_recent(&verify, 7, &block) && block == FIRST + 7);
	assert_true(verify_next_written(&verify, &block) && block == FIRST + 1);
	assert_true(verify_next_written(&verify, &block) && block == FIRST + 7);
	assert_false(verify_next_written(&verify, &block));
	verify_fini(&verify);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_block_is_claimed_once),
		cmocka_unit_test(test_own_writes),
		cmocka_unit_test(test_foreign_data),
		cmocka_unit_test(test_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
