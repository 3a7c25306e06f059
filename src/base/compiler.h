/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Small things every room uses: branch hints, container_of, printf checking, the always-on check.
 */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stddef.h>

#ifndef likely
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

#define ARRAY_LEN(a)    (sizeof(a) / sizeof((a)[0]))
#define PRINTF(fmt, va) __attribute__((format(printf, fmt, va)))
#define CACHE_LINE      64
#define ALWAYS_INLINE   inline __attribute__((always_inline))

#ifndef container_of
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#endif

/** Has a line come into the cache for writing, and be taken from the CPU that has it. gcc makes a
 *  prefetch for reading of __builtin_prefetch(p, 1) where it may not assume PREFETCHW; CPUs of 64
 *  bits that lack it ignore it. */
static inline void prefetch_write(const void *p)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/** Ends the process: our own bug. Never give it an expression with a side effect. */
_Noreturn void check_failed(const char *expr, const char *file, int line, const char *what)
	__attribute__((cold));

/** Always on, also in release builds. `what` says in words what was expected. */
#define CHECK(expr, what)                                                                          \
	do {                                                                                       \
		if (unlikely(!(expr)))                                                             \
			check_failed(#expr, __FILE__, __LINE__, what);                             \
	} while (0)

#endif
