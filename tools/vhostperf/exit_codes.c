/* SPDX-License-Identifier: BSD-3-Clause */
#include "exit_codes.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/utf8.h"

enum exit_code fail(enum exit_code code, const char *fmt, ...)
{
	char line[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	utf8_repair(line);
	for (char *c = line; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	/* "\r", blank: over the progress line. */
	fprintf(stderr, "%svhostperf: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", line);
	return code;
}
