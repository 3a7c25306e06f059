/* SPDX-License-Identifier: BSD-3-Clause */
#include "exit_codes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

enum exit_code fail(enum exit_code code, const char *fmt, ...)
{
	va_list args;
	char *line = NULL;
	va_start(args, fmt);
	if (vasprintf(&line, fmt, args) < 0)
		line = NULL;
	va_end(args);

	char *safe = text_escaped(line ? line : "out of memory", line ? strlen(line) : 13);
	fprintf(stderr, "vhostctl: %s\n", safe);
	free(safe);
	free(line);
	return code;
}
