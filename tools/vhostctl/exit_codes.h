/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What vhostctl's exit status says, and the one way to say why on standard error.
 */
#ifndef VHOSTCTL_EXIT_CODES_H
#define VHOSTCTL_EXIT_CODES_H

/* X(NAME, status, summary): in `vhostctl --help`; the man page is tested against it. */
#define EXIT_CODES(X)                                                                              \
	X(OK, 0, "done")                                                                           \
	X(REFUSED, 1, "refused by the daemon, or the output could not be written")                 \
	X(USAGE, 2, "the command line is wrong")                                                   \
	X(NO_DAEMON, 3, "no daemon answers on the control socket")                                 \
	X(TIMED_OUT, 4, "no answer in time; the daemon may still carry it out")

#define EXIT_CODE_ENUM(name, status, summary) EXIT_##name = (status),
enum exit_code { EXIT_CODES(EXIT_CODE_ENUM) };
#undef EXIT_CODE_ENUM

/** Prints "vhostctl: " and the text as one line on standard error, control characters escaped.
 *  Returns `code`, so that `return fail(...)` reads well. */
enum exit_code fail(enum exit_code code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
