/* SPDX-License-Identifier: BSD-3-Clause
 *
 * SIGBUS in a guest's memory becomes a page of zeroes and a mark; anywhere else it ends the
 * process. No EAL.
 */
#include "engine/guest_fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/unit.h"

#define PAGE    4096u
#define N_PAGES 8u
#define ENTRIES GUEST_FAULT_WATCHES_MAX

static volatile uint8_t *memory;
static int fd = -1;
static atomic_bool lost;
static struct guest_fault_watch *watched; /* of `memory` */

/* cmocka has a handler of its own for each test. */
static struct guest_fault_watch *watch_at(volatile uint8_t *at, size_t n_bytes, size_t page_bytes,
					  atomic_bool *flag)
{
	guest_fault_init();
	return guest_fault_watch((void *)(uintptr_t)at, n_bytes, page_bytes, flag);
}

static bool watch(void)
{
	watched = watch_at(memory, N_PAGES * PAGE, PAGE, &lost);
	return watched != NULL;
}

static void forget(void)
{
	guest_fault_forget(watched);
	watched = NULL;
}

/* All but the first n_left pages go away. */
static void take_away(unsigned int n_left)
{
	assert_int_equal(ftruncate(fd, (off_t)n_left * PAGE), 0);
}

static void test_lost_page(void **state)
{
	(void)state;
	assert_true(watch());
	memory[0] = 7;
	memory[5 * PAGE + 9] = 7;
	assert_false(atomic_load(&lost));
	take_away(4);
	assert_int_equal(memory[0], 7);
	assert_false(atomic_load(&lost));
	for (unsigned int i = 0; i < PAGE; i++)
		assert_int_equal(memory[5 * PAGE + i], 0);
	assert_true(atomic_load(&lost));
	forget();
}

/* Each page on its own, for reads and writes, the last byte included; the others stay shared. */
static void test_pages(void **state)
{
	uint8_t byte = 3;

	(void)state;
	assert_true(watch());
	take_away(2);
	for (unsigned int page = 2; page < N_PAGES; page++) {
		atomic_store(&lost, false);
		memory[(page + 1) * PAGE - 1] = (uint8_t)(page + 1);
		assert_true(atomic_load(&lost));
		assert_int_equal(memory[(page + 1) * PAGE - 1], page + 1);
		assert_int_equal(memory[page * PAGE], 0);
	}
	assert_int_equal(pwrite(fd, &byte, 1, PAGE), 1);
	assert_int_equal(memory[PAGE], 3);
	forget();
}

/* A system call is told EFAULT, or gets the zeroes; the process lives. */
static void test_system_call(void **state)
{
	int fds[2];

	(void)state;
	assert_true(watch());
	take_away(0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], (void *)(uintptr_t)memory, PAGE), -1);
	assert_int_equal(memory[0], 0);
	assert_int_equal(write(fds[1], (void *)(uintptr_t)memory, PAGE), PAGE);
	close(fds[0]);
	close(fds[1]);
	forget();
}

/* A mark of one map is not another's. */
static void test_two_maps(void **state)
{
	static atomic_bool other_lost;
	uint8_t *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct guest_fault_watch *other_watch;

	(void)state;
	assert_true(other != MAP_FAILED);
	atomic_store(&other_lost, false);
	other_watch = watch_at(other, PAGE, PAGE, &other_lost);
	assert_non_null(other_watch);
	assert_true(watch());
	take_away(0);
	assert_int_equal(memory[PAGE], 0);
	assert_true(atomic_load(&lost));
	assert_false(atomic_load(&other_lost));
	assert_int_equal(*(volatile uint8_t *)other, 0);
	assert_true(atomic_load(&other_lost));
	guest_fault_forget(other_watch);
	forget();
	munmap(other, PAGE);
}

/* With pages of 16 KiB all of the page is replaced, from its beginning. */
static void test_large_pages(void **state)
{
	uintptr_t page = 4 * PAGE;
	uint8_t *room = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint8_t *at = (uint8_t *)(((uintptr_t)room + page - 1) / page * page);

	(void)state;
	assert_true(room != MAP_FAILED);
	assert_true(mmap((void *)(uintptr_t)at, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	memset((void *)(uintptr_t)at, 9, 2 * page);
	watched = watch_at(at, 2 * page, page, &lost);
	assert_non_null(watched);
	take_away(5);
	assert_int_equal(at[page + 3 * PAGE], 0);
	assert_true(atomic_load(&lost));
	assert_int_equal(at[page], 0); /* it went with the others of its page */
	assert_int_equal(at[page - 1], 9);
	forget();
	munmap(room, 3 * page);
}

/* The signal that ends a child which reads one byte there. */
static int death_at(const volatile uint8_t *at)
{
	const struct rlimit no_core = {0};
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setrlimit(RLIMIT_CORE, &no_core);
		alarm(10);
		_exit(*at ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void test_elsewhere(void **state)
{
	uint8_t *other = mmap(NULL, N_PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	(void)state;
	assert_true(other != MAP_FAILED);
	watched = watch_at(memory, 2 * PAGE, PAGE, &lost);
	assert_non_null(watched);
	take_away(0);
	assert_int_equal(death_at(other), SIGBUS);
	assert_int_equal(death_at(memory), -2);
	assert_int_equal(death_at(memory + 2 * PAGE - 1), -2);
	assert_int_equal(death_at(memory + 2 * PAGE), SIGBUS); /* one byte beyond */
	assert_false(atomic_load(&lost));
	forget();
	assert_int_equal(death_at(memory), SIGBUS); /* not watched any more */
	munmap(other, N_PAGES * PAGE);
}

static unsigned int n_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned int n = 0;

	assert_non_null(file);
	for (int c = getc(file); c != EOF; c = getc(file))
		n += c == '\n';
	fclose(file);
	return n;
}

/* One page is replaced: the others still are the file's. */
static void one_page_is_lost(void)
{
	const size_t n_bytes = N_PAGES * PAGE;
	volatile uint8_t *at = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct guest_fault_watch *watch_of_it;
	const uint8_t mark = 42;

	assert_true((const void *)(uintptr_t)at != MAP_FAILED);
	watch_of_it = watch_at(at, n_bytes, PAGE, &lost);
	assert_non_null(watch_of_it);
	take_away(2);
	assert_int_equal(at[4 * PAGE], 0);
	take_away(N_PAGES); /* there again, but for that one */
	assert_int_equal(pwrite(fd, &mark, 1, 4 * PAGE), 1);
	assert_int_equal(pwrite(fd, &mark, 1, 5 * PAGE), 1);
	assert_int_equal(at[4 * PAGE], 0);
	assert_int_equal(at[5 * PAGE], mark);
	guest_fault_forget(watch_of_it);
	munmap((void *)(uintptr_t)at, n_bytes);
}

/* Every other page of a large mapping is lost and touched: the kernel's limit of mappings is far,
 * because holes get longer, 64 MiB first, then to the end. They count until nobody watches. */
static void test_many_holes(void **state)
{
	enum { SINGLE = 4096, LONG = 2048, MANY = SINGLE + LONG };
	const size_t single_bytes = 2ul * SINGLE * PAGE, long_bytes = 64ul << 20;
	const size_t n_bytes = single_bytes + (LONG + 4) * 2 * long_bytes;
	const uint8_t mark = 42;
	unsigned int before = n_mappings();
	struct guest_fault_watch *watch_of_all;
	volatile uint8_t *all;
	uint8_t *tail;

	(void)state;
	one_page_is_lost();
	all = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	assert_true((const void *)(uintptr_t)all != MAP_FAILED);
	watch_of_all = watch_at(all, n_bytes, PAGE, &lost);
	assert_non_null(watch_of_all);
	take_away(0);
	for (size_t i = 0; i < SINGLE; i++)
		assert_int_equal(all[2 * i * PAGE], 0);
	assert_in_range(n_mappings(), before + SINGLE, before + 2 * SINGLE + 8);
	for (size_t i = 0; i < LONG; i++)
		assert_int_equal(all[single_bytes + 2 * i * long_bytes], 0);
	assert_in_range(n_mappings(), before + MANY, before + 2 * MANY + 8);
	tail = (uint8_t *)(uintptr_t)all + single_bytes + 2 * LONG * long_bytes;
	assert_int_equal(*(volatile uint8_t *)tail, 0);
	/* All behind it has gone with it. */
	assert_int_equal(ftruncate(fd, (off_t)n_bytes), 0);
	assert_int_equal(pwrite(fd, &mark, 1, (off_t)(n_bytes - PAGE)), 1);
	assert_int_equal(all[n_bytes - PAGE], 0);
	assert_true(atomic_load(&lost));
	guest_fault_forget(watch_of_all);
	munmap((void *)(uintptr_t)all, n_bytes);
	assert_false(guest_fault_happened());
	assert_int_equal(ftruncate(fd, N_PAGES * PAGE), 0);
	one_page_is_lost();
}

/* It holds ENTRIES, says so, and each that is forgotten makes room for one. */
static void test_full_table(void **state)
{
	struct guest_fault_watch **all = calloc(ENTRIES, sizeof(struct guest_fault_watch *));
	uint8_t *base =
		mmap(NULL, (size_t)ENTRIES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int n = 0;

	(void)state;
	assert_non_null(all);
	assert_true(base != MAP_FAILED);
	while (n < ENTRIES &&
	       (all[n] = guest_fault_watch(base + (size_t)n * PAGE, PAGE, PAGE, &lost)))
		n++;
	assert_int_equal(n, ENTRIES);
	assert_false(watch());
	guest_fault_forget(all[ENTRIES / 2]);
	assert_true(watch());
	take_away(0);
	assert_int_equal(memory[0], 0);
	assert_true(atomic_load(&lost));
	forget();
	all[ENTRIES / 2] = NULL;
	for (unsigned int i = 0; i < ENTRIES; i++)
		guest_fault_forget(all[i]);
	munmap(base, (size_t)ENTRIES * PAGE);
	free(all);
}

static int setup(void **state)
{
	(void)state;
	fd = memfd_create("guest", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, N_PAGES * PAGE))
		return -1;
	memory = mmap(NULL, N_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	atomic_store(&lost, false);
	return (const void *)(uintptr_t)memory == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	forget();
	munmap((void *)(uintptr_t)memory, N_PAGES * PAGE);
	close(fd);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lost_page),  TEST(test_pages),       TEST(test_system_call),
		TEST(test_two_maps),   TEST(test_large_pages), TEST(test_elsewhere),
		TEST(test_many_holes), TEST(test_full_table),
	};

	return cmocka_run_group_tests_name("guest_fault", tests, NULL, NULL);
}
