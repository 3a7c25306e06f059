/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A table that a signal handler can read: an entry is there while its address is not 0, which is
 * written last and taken back first. Writers take turns by a lock that the handler doesn't take.
 */
#include "engine/guest_fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "vhostd/limits.h"

#define ENTRIES (VHOSTD_DEVICES_MAX * 16) /* 8 regions, and the maps that are on their way out */

struct entry {
	_Atomic uintptr_t addr; /* 0: free. Release by writers, acquire by the handler */
	_Atomic size_t n_bytes;
	_Atomic size_t page_bytes;
	atomic_bool *_Atomic lost;
};

static struct entry entries[ENTRIES];
static atomic_uint n_used; /* entries at or beyond it were never used */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct entry *find(uintptr_t at)
{
	unsigned int n = atomic_load_explicit(&n_used, memory_order_acquire);

	for (unsigned int i = 0; i < n; i++) {
		struct entry *e = &entries[i];
		uintptr_t addr = atomic_load_explicit(&e->addr, memory_order_acquire);

		if (addr && at >= addr && at - addr < atomic_load(&e->n_bytes))
			return e;
	}
	return NULL;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	struct entry *e = find(at);

	(void)context;
	if (e) {
		size_t page = atomic_load(&e->page_bytes);
		void *addr = (void *)(at / page * page);

		if (mmap(addr, page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
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

bool guest_fault_watch(void *addr, size_t n_bytes, size_t page_bytes, atomic_bool *lost)
{
	unsigned int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < ENTRIES && atomic_load(&entries[i].addr); i++)
		;
	if (i < ENTRIES) {
		atomic_store(&entries[i].n_bytes, n_bytes);
		atomic_store(&entries[i].page_bytes, page_bytes);
		atomic_store(&entries[i].lost, lost);
		atomic_store_explicit(&entries[i].addr, (uintptr_t)addr, memory_order_release);
		if (i >= atomic_load(&n_used))
			atomic_store_explicit(&n_used, i + 1, memory_order_release);
	}
	pthread_mutex_unlock(&lock);
	return i < ENTRIES;
}

void guest_fault_forget(void *addr)
{
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < ENTRIES; i++) {
		if (atomic_load(&entries[i].addr) == (uintptr_t)addr) {
			atomic_store(&entries[i].addr, 0);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
}
