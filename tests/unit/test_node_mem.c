/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Memory on a NUMA node. Where the kernel knows no nodes, or a container's filter keeps them from
 * us, it is memory all the same, and no more is asked of it.
 */
#include "engine/node_mem.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/unit.h"

#define N_BYTES 300000u
#define PAGE    4096u

/* The policy of an address, or of the thread, and its first nodes; -1: can't be asked for. */
static int policy_of(void *addr, unsigned long *ret_mask)
{
	unsigned long mask[16] = {0};
	int policy = -1;

	if (syscall(SYS_get_mempolicy, &policy, mask, 8 * sizeof(mask), addr,
		    addr ? MPOL_F_ADDR : 0))
		return -1;
	*ret_mask = mask[0];
	return policy;
}

static int nodes_can_be_chosen(void)
{
	unsigned long mask = 1;
	int ok = syscall(SYS_set_mempolicy, MPOL_PREFERRED, &mask, 64) == 0;

	syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
	return ok;
}

static void test_memory(void **state)
{
	unsigned char present[N_BYTES / PAGE + 1];
	unsigned char *mem = node_mem_new(0, N_BYTES);
	unsigned long mask = 0;

	(void)state;
	assert_non_null(mem);
	assert_int_equal((uintptr_t)mem % PAGE, 0);
	for (unsigned int i = 0; i < N_BYTES; i++)
		assert_int_equal(mem[i], 0);
	assert_int_equal(mincore(mem, N_BYTES, present), 0);
	for (unsigned int i = 0; i < sizeof(present); i++)
		assert_true(present[i] & 1);
	if (nodes_can_be_chosen()) {
		assert_int_equal(policy_of(mem, &mask), MPOL_PREFERRED);
		assert_int_equal(mask, 1);
	}
	node_mem_free(mem, N_BYTES);
	node_mem_free(NULL, N_BYTES);
}

static void test_no_such_node(void **state)
{
	static const int nodes[] = {-1, 63, 64, 1000};

	(void)state;
	for (unsigned int i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		unsigned char *mem = node_mem_new(nodes[i], N_BYTES);

		assert_non_null(mem);
		mem[N_BYTES - 1] = 1;
		node_mem_free(mem, N_BYTES);
	}
}

static void test_no_memory(void **state)
{
	(void)state;
	assert_null(node_mem_new(0, (size_t)1 << 60));
}

static void test_a_thread_prefers_a_node(void **state)
{
	unsigned long mask = 0;

	(void)state;
	node_mem_prefer(0);
	if (nodes_can_be_chosen()) {
		node_mem_prefer(0);
		assert_int_equal(policy_of(NULL, &mask), MPOL_PREFERRED);
		assert_int_equal(mask, 1);
		node_mem_prefer(-1);
		assert_int_equal(policy_of(NULL, &mask), MPOL_DEFAULT);
	}
	node_mem_prefer(-1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_no_such_node),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_a_thread_prefers_a_node),
	};

	return cmocka_run_group_tests_name("node_mem", tests, NULL, NULL);
}
