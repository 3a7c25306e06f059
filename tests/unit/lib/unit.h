/* SPDX-License-Identifier: BSD-3-Clause
 *
 * cmocka, with the headers that it wants before it.
 */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/** Asserts that `fault` says something with `word` in it. */
#define assert_fault(fault, word)                                                                  \
	do {                                                                                       \
		const char *fault_ = (fault);                                                      \
		if (!fault_)                                                                       \
			fail_msg("no fault where one about \"%s\" was expected", word);            \
		if (!strstr(fault_, word))                                                         \
			fail_msg("\"%s\" doesn't speak of \"%s\"", fault_, word);                  \
	} while (0)

/** Asserts that there is no fault; shows it if there is. */
#define assert_sound(fault)                                                                        \
	do {                                                                                       \
		const char *fault_ = (fault);                                                      \
		if (fault_)                                                                        \
			fail_msg("unexpected fault: %s", fault_);                                  \
	} while (0)

#endif
