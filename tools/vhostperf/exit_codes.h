/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What vhostperf's exit status says, and the one way to say why on standard error.
 */
#ifndef VHOSTPERF_EXIT_CODES_H
#define VHOSTPERF_EXIT_CODES_H

/* X(NAME, status, summary): in `vhostperf --help`; the man page is tested against it. */
#define EXIT_CODES(X)                                                                              \
	X(OK, 0, "measured, and every request was done well")                                      \
	X(FAILED, 1, "I/O error, wrong data, or the back end failed")                              \
	X(USAGE, 2, "the command line is wrong, or asks for what the disk doesn't have")

#define EXIT_CODE_ENUM(name, status, summary) EXIT_##name = (status),
enum exit_code { EXIT_CODES(EXIT_CODE_ENUM) };
#undef EXIT_CODE_ENUM

/** Prints "vhostperf: " and the text as one line on standard error, control characters as '?'. Any
 *  thread. Returns `code`, so that `return fail(...)` reads well. */
enum exit_code fail(enum exit_code code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
