/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int error_set(struct error *err, enum vhostd_error code, const char *fmt, ...)
{
	va_list ap;

	if (err->code != VHOSTD_ERR_OK)
		return -1;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -1;
}

const char *error_name(enum vhostd_error code)
{
	switch (code) {
	case VHOSTD_ERR_OK:
		return "OK";
#define ERROR_NAME(name, number, summary)                                                          \
	case VHOSTD_ERR_##name:                                                                    \
		return #name;
		VHOSTD_ERRORS(ERROR_NAME)
#undef ERROR_NAME
	}
	return "?";
}

void check_failed(const char *expr, const char *file, int line, const char *what)
{
	fprintf(stderr, "<0>vhostd: bug: %s:%d: %s: %s\n", file, line, what, expr);
	abort();
}
