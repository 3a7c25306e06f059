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

struct guest_fault_watch {
	_Atomic uintptr_t addr; /* 0: free. Release by writers, acquire by the handler */
	_Atomic size_t n_bytes;
	_Atomic size_t page_bytes;
	atomic_bool *_Atomic lost;
};

static struct guest_fault_watch watches[GUEST_FAULT_WATCHES_MAX];
static atomic_uint n_used; /* those at or beyond it were never used */
/* Writers', by the lock: */
static uint32_t free_numbers[GUEST_FAULT_WATCHES_MAX]; /* of those below n_used */
static unsigned int n_free;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A hole splits a mapping, and the kernel limits their number. After so many holes in all, one goes
 * to the mapping's end: that splits it once, and behind the end of a file that was cut all has gone
 * anyway. */
#define HOLES_MAX 4096
static atomic_uint n_holes;

static struct guest_fault_watch *find(uintptr_t at)
{
	unsigned int n = atomic_load_explicit(&n_used, memory_order_acquire);

	for (unsigned int i = 0; i < n; i++) {
		struct guest_fault_watch *e = &watches[i];
		uintptr_t addr = atomic_load_explicit(&e->addr, memory_order_acquire);

		if (addr && at >= addr && at - addr < atomic_load(&e->n_bytes))
			return e;
	}
	return NULL;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	struct guest_fault_watch *e = find(at);

	(void)context;
	if (e) {
		size_t page = atomic_load(&e->page_bytes), n_bytes = page;
		uintptr_t addr = at / page * page;

		if (atomic_fetch_add(&n_holes, 1) >= HOLES_MAX && info->si_code != BUS_MCEERR_AR)
			n_bytes = atomic_load(&e->addr) + atomic_load(&e->n_bytes) - addr;
		if (mmap((void *)addr, n_bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
			 0) != MAP_FAILED) {
			atomic_store(atomic_load(&e->lost), true);
			return;
		}
	}
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
	free_numbers[n_free++] = (uint32_t)(watch - watches);
	pthread_mutex_unlock(&lock);
}
