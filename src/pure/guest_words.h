/* SPDX-License-Identifier: BSD-3-Clause
 *
 * 16 bytes of a guest's memory, read once: a descriptor, or a request's header. The guest may
 * change them at any moment, so that from then on only the copy is looked at.
 */
#ifndef PURE_GUEST_WORDS_H
#define PURE_GUEST_WORDS_H

#include <stdint.h>

#include "base/compiler.h"

struct guest_words {
	uint64_t first, second;
};

/** At any alignment. Volatile: each word is one load, and none is repeated; nor is it one load of
 *  16 bytes that goes through the stack to be taken apart. */
static ALWAYS_INLINE struct guest_words guest_words_read(const void *from)
{
	const volatile struct __attribute__((packed, may_alias)) {
		uint64_t first, second;
	} *words = from;

	return (struct guest_words){words->first, words->second};
}

#endif
