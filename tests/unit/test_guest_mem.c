/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Translation of guest physical and front-end addresses: borders, holes, neighbours, addresses
 * that wrap. Host addresses are made up: nothing here looks at memory.
 */
#include "base/compiler.h"
#include "lib/random.h"
#include "lib/unit.h"
#include "pure/guest_mem.h"

#define HOST(n) ((uint8_t *)(uintptr_t)(0x10000000u + (n)))

/* Two neighbours whose order in our memory is the other way round, a hole, one at the very top. */
static const struct guest_mem three = {
	.n_regions = 3,
	.regions = {{0x1000, 0x7000, 0x1000, HOST(0x5000)},
		    {0x2000, 0x20000, 0x800, HOST(0x1000)},
		    {0xfffffffffffff000, 0x9000, 0xfff, HOST(0x9000)}},
};

static void test_from_gpa_borders(void **state)
{
	const struct {
		uint64_t gpa, n_bytes;
		uint8_t *host;
	} cases[] = {
		{0xfff, 1, NULL},
		{0xfff, 2, NULL},
		{0x1000, 1, HOST(0x5000)},
		{0x1001, 1, HOST(0x5001)},
		{0x1000, 0x1000, HOST(0x5000)},
		{0x1000, 0x1001, NULL}, /* in two regions */
		{0x1fff, 1, HOST(0x5fff)},
		{0x1fff, 2, NULL},
		{0x2000, 1, HOST(0x1000)},
		{0x2000, 0x800, HOST(0x1000)},
		{0x2000, 0x801, NULL},
		{0x27ff, 1, HOST(0x17ff)},
		{0x2800, 1, NULL},
		{0x2801, 1, NULL},
		{0, 1, NULL},
		{0x1000, UINT64_MAX, NULL},
		{0x1800, UINT64_MAX - 0x7ff, NULL}, /* ends at 0x1000 after wrapping */
		{0xffffffffffffeffe, 1, NULL},
		{0xfffffffffffff000, 0xfff, HOST(0x9000)},
		{0xfffffffffffff000, 0x1000, NULL},
		{0xfffffffffffffffe, 1, HOST(0x9ffe)},
		{0xffffffffffffffff, 1, NULL},
		{0xffffffffffffffff, 0x1002, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_ptr_equal(guest_mem_from_gpa(&three, cases[i].gpa, cases[i].n_bytes),
				 cases[i].host);
}

static void test_from_uva_borders(void **state)
{
	const struct {
		uint64_t uva, n_bytes;
		uint8_t *host;
	} cases[] = {
		{0x6fff, 1, NULL},
		{0x7000, 1, HOST(0x5000)},
		{0x7000, 0x1000, HOST(0x5000)},
		{0x7000, 0x1001, NULL},
		{0x7fff, 1, HOST(0x5fff)},
		{0x7fff, 0, HOST(0x5fff)},
		{0x8000, 0, NULL},
		{0x8000, 1, NULL},
		{0x8fff, 1, NULL},
		{0x9000, 0xfff, HOST(0x9000)},
		{0x9ffe, 2, NULL},
		{0x20001, 0x7ff, HOST(0x1001)},
		{0x20001, 0x800, NULL},
		{0x1000, 1, NULL}, /* a guest physical address */
		{0x7800, UINT64_MAX, NULL},
		{UINT64_MAX, 1, NULL},
		{0, 1, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_ptr_equal(guest_mem_from_uva(&three, cases[i].uva, cases[i].n_bytes),
				 cases[i].host);
}

static void assert_piece(const struct iovec *iov, uint8_t *host, size_t n_bytes)
{
	assert_ptr_equal(iov->iov_base, host);
	assert_int_equal(iov->iov_len, n_bytes);
}

static void test_split(void **state)
{
	struct iovec iov[4] = {0};

	(void)state;
	assert_int_equal(guest_mem_split(&three, 0x1800, 0x800, iov, 4), 1);
	assert_piece(&iov[0], HOST(0x5800), 0x800);
	assert_int_equal(guest_mem_split(&three, 0x1800, 0x801, iov, 4), 2);
	assert_piece(&iov[0], HOST(0x5800), 0x800);
	assert_piece(&iov[1], HOST(0x1000), 1);
	assert_int_equal(guest_mem_split(&three, 0x1000, 0x1800, iov, 4), 2);
	assert_piece(&iov[1], HOST(0x1000), 0x800);
	assert_int_equal(guest_mem_split(&three, 0x1000, 0x1801, iov, 4), -1);
	assert_int_equal(guest_mem_split(&three, 0x2800, 1, iov, 4), -1);
	assert_int_equal(guest_mem_split(&three, 0xfff, 2, iov, 4), -1);
	assert_int_equal(guest_mem_split(&three, 0x1000, UINT32_MAX, iov, 4), -1);
	assert_int_equal(guest_mem_split(&three, 0xfffffffffffffffe, 1, iov, 4), 1);
	assert_int_equal(guest_mem_split(&three, 0xfffffffffffffffe, 0x3000, iov, 4), -1);
}

/* Pieces that don't fit are counted, and nothing is written behind the others. */
static void test_split_counts_what_does_not_fit(void **state)
{
	struct iovec iov[2] = {{HOST(1), 1}, {HOST(2), 2}};

	(void)state;
	assert_int_equal(guest_mem_split(&three, 0x1fff, 2, iov, 1), 2);
	assert_piece(&iov[0], HOST(0x5fff), 1);
	assert_piece(&iov[1], HOST(2), 2);
	assert_int_equal(guest_mem_split(&three, 0x1ffe, 3, iov, 0), 2);
	assert_piece(&iov[0], HOST(0x5fff), 1);
}

/* Eight neighbours of three bytes each, in any order: every address, every length. */
static void test_eight_regions(void **state)
{
	const unsigned int order[] = {5, 0, 7, 2, 4, 1, 6, 3};
	struct guest_mem mem = {.n_regions = 8};
	struct iovec iov[8];

	(void)state;
	for (unsigned int i = 0; i < 8; i++)
		mem.regions[order[i]] =
			(struct guest_region){100 + 3 * i, 500 + 3 * i, 3, HOST(0x100 * i)};
	assert_null(guest_mem_check(&mem));
	for (uint64_t gpa = 98; gpa < 126; gpa++)
		for (uint32_t n = 1; n <= 28; n++) {
			bool inside = gpa >= 100 && gpa + n <= 124;
			int first = (int)(gpa - 100) / 3, last = (int)(gpa + n - 101) / 3;
			int got = guest_mem_split(&mem, gpa, n, iov, 8);

			assert_int_equal(got, inside ? last - first + 1 : -1);
			assert_int_equal(guest_mem_from_gpa(&mem, gpa, n) != NULL,
					 inside && first == last);
			for (int i = 0; i < got; i++) {
				uint64_t at = i ? (uint64_t)(first + i) * 3 : gpa - 100;

				assert_ptr_equal(iov[i].iov_base, HOST(0x100 * (at / 3) + at % 3));
			}
		}
}

static void test_no_regions(void **state)
{
	struct guest_mem none = {0};
	struct iovec iov[1];

	(void)state;
	assert_null(guest_mem_check(&none));
	assert_null(guest_mem_from_gpa(&none, 0, 1));
	assert_null(guest_mem_from_uva(&none, 0, 1));
	assert_int_equal(guest_mem_split(&none, 0, 1, iov, 1), -1);
}

static const char *check_two(uint64_t gpa, uint64_t uva, uint64_t n_bytes)
{
	struct guest_mem mem = {
		.n_regions = 2,
		.regions = {{0x10000, 0x90000, 0x1000, HOST(0)}, {gpa, uva, n_bytes, HOST(0)}}};
	struct guest_mem turned = {.n_regions = 2, .regions = {mem.regions[1], mem.regions[0]}};
	const char *fault = guest_mem_check(&mem);

	assert_int_equal(!fault, !guest_mem_check(&turned));
	return fault;
}

static void test_check(void **state)
{
	(void)state;
	assert_null(guest_mem_check(&three));
	assert_null(check_two(0x11000, 0x91000, 1));
	assert_null(check_two(0xf000, 0x8f000, 0x1000));
	assert_fault(check_two(0x1000, 0x1000, 0), "empty");
	assert_fault(check_two(UINT64_MAX, 0x1000, 2), "wrap around");
	assert_fault(check_two(0x1000, UINT64_MAX - 0xffe, 0x1000), "wrap around");
	assert_fault(check_two(0x1000, 0x1000, UINT64_MAX), "wrap around");
	assert_null(check_two(UINT64_MAX - 1, 0x1000, 1));
	assert_fault(check_two(0x10fff, 0x1000, 1), "guest physical");
	assert_fault(check_two(0xf000, 0x1000, 0x1001), "guest physical");
	assert_fault(check_two(0xf000, 0x1000, 0x8000), "guest physical");
	assert_fault(check_two(0x10000, 0x1000, 0x1000), "guest physical");
	assert_fault(check_two(0x10800, 0x1000, 1), "guest physical");
	assert_fault(check_two(0x1000, 0x90fff, 1), "front-end addresses");
	assert_fault(check_two(0x1000, 0x8f000, 0x1001), "front-end addresses");
}

/* All pairs are compared, not only neighbours in the table. */
static void test_check_compares_all(void **state)
{
	(void)state;
	for (unsigned int bad = 0; bad < 8; bad++)
		for (unsigned int with = 0; with < 8; with++) {
			struct guest_mem mem = {.n_regions = 8};

			for (unsigned int i = 0; i < 8; i++)
				mem.regions[i] = (struct guest_region){
					0x1000 * i, 0x100000 + 0x1000 * i, 0x1000, HOST(0)};
			mem.regions[bad].gpa = mem.regions[with].gpa;
			assert_int_equal(!guest_mem_check(&mem), bad == with);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_gpa_borders),
		cmocka_unit_test(test_from_uva_borders),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_split_counts_what_does_not_fit),
		cmocka_unit_test(test_eight_regions),
		cmocka_unit_test(test_no_regions),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_check_compares_all),
	};

	return cmocka_run_group_tests_name("guest_mem", tests, NULL, NULL);
}
