/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A table that a signal handler can read: a watch is there while its address is not 0, which is
 * written last and taken back first. Writers take turns by a lock that the handler doesn't take.
 */
#include "engine/guest_fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* A hole splits a mapping, in three at most, and the kernel limits the number of mappings. While
 * there are few holes, one is a page; then it is longer, and beyond that it goes to the mapping's
 * end, which splits it once. What is taken out with it from memory that is still there costs time:
 * about 2 ms for 64 MiB. */
#define HOLES_OF_A_PAGE  4096
#define HOLES_NOT_TO_END 6144
#define LONG_HOLE_BYTES  ((size_t)64 << 20)

struct guest_fault_watch {
	_Atomic uintptr_t addr; /* 0: free. Release by writers, acquire by the handler */
	_Atomic size_t n_bytes;
	_Atomic size_t page_bytes;
	atomic_bool *_Atomic lost;
	atomic_uint n_holes;
};

atomic_uint guest_fault_n_holes;

static struct guest_fault_watch watches[GUEST_FAULT_WATCHES_MAX];
static atomic_uint n_used; /* those at or beyond it were never used */
/* Writers', by the lock: */
static uint32_t free_numbers[GUEST_FAULT_WATCHES_MAX]; /* of those below n_used */
static unsigned int n_free;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct guest_fault_watch *find(uintptr_t at)
{
	unsigned int n = atomic_load_explicit(&n_used, memory_order_acquire);

	for (unsigned int i = 0; i < n; i++) {
		struct guest_fault_watch *w = &watches[i];
		uintptr_t addr = atomic_load_explicit(&w->addr, memory_order_acquire);

		if (addr && at >= addr && at - addr < atomic_load(&w->n_bytes))
			return w;
	}
	return NULL;
}

/* How much of it, from `addr` on, is replaced. A page whose memory has failed is the only one. */
static size_t hole_bytes(const struct guest_fault_watch *w, uintptr_t addr, unsigned int n_holes,
			 bool memory_failed)
{
	size_t page = atomic_load(&w->page_bytes);
	size_t rest = atomic_load(&w->addr) + atomic_load(&w->n_bytes) - addr;

	if (n_holes < HOLES_OF_A_PAGE || memory_failed)
		return page;
	if (n_holes < HOLES_NOT_TO_END && page < LONG_HOLE_BYTES && LONG_HOLE_BYTES < rest)
		return LONG_HOLE_BYTES;
	return rest;
}

static bool make_hole(struct guest_fault_watch *w, uintptr_t at, bool memory_failed)
{
	size_t page = atomic_load(&w->page_bytes);
	uintptr_t addr = at / page * page;
	unsigned int n_holes = atomic_fetch_add(&guest_fault_n_holes, 1);

	atomic_fetch_add(&w->n_holes, 1);
	/* Before anything can be read from it. */
	atomic_store(atomic_load(&w->lost), true);
	return mmap((void *)addr, hole_bytes(w, addr, n_holes, memory_failed),
		    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
		    -1, 0) != MAP_FAILED;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	struct guest_fault_watch *w = find(at);

	(void)context;
	if (!w || !make_hole(w, at, info->si_code == BUS_MCEERR_AR))
		signal(number, SIG_DFL); /* the access is tried again, and ends the process */
}

void guest_fault_init(void)
{
	struct sigaction action = {.sa_flags = SA_SIGINFO};

	action.sa_sigaction = on_sigbus;
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

struct guest_fault_watch *guest_fault_watch(void *addr, size_t n_bytes, size_t page_bytes,
					    atomic_bool *lost)
{
	struct guest_fault_watch *watch = NULL;
	unsigned int n;

	pthread_mutex_lock(&lock);
	n = atomic_load(&n_used);
	if (n_free)
		watch = &watches[free_numbers[--n_free]];
	else if (n < GUEST_FAULT_WATCHES_MAX)
		watch = &watches[n];
	if (watch) {
		atomic_store(&watch->n_bytes, n_bytes);
		atomic_store(&watch->page_bytes, page_bytes);
		atomic_store(&watch->lost, lost);
		atomic_store_explicit(&watch->addr, (uintptr_t)addr, memory_order_release);
		if (watch == &watches[n])
			atomic_store_explicit(&n_used, n + 1, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return watch;
}

void guest_fault_forget(struct guest_fault_watch *watch)
{
	if (!watch)
		return;
	pthread_mutex_lock(&lock);
	atomic_store(&watch->addr, 0);
	atomic_fetch_sub(&guest_fault_n_holes, atomic_exchange(&watch->n_holes, 0));
	free_numbers[n_free++] = (uint32_t)(watch - watches);
	pthread_mutex_unlock(&lock);
}
