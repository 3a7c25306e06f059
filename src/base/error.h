/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What went wrong, for the operator: a code of the table in vhostd/errors.h and one line of text
 * that names the key, the value and what would be right. Set once, where the cause is known;
 * handed up as it is.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/compiler.h"
#include "vhostd/errors.h"

struct error {
	enum vhostd_error code; /* VHOSTD_ERR_OK: no error */
	char text[512];
};

/** Sets code and text. The first cause stands: a second call on the same error changes nothing.
 *  Any thread; `err` belongs to the caller. Returns -1, so that `return error_set(...)` reads well.
 */
int error_set(struct error *err, enum vhostd_error code, const char *fmt, ...) PRINTF(3, 4);

/** The table's name of a code, such as "BUSY"; "?" for a number that is not in it. */
const char *error_name(enum vhostd_error code);

#endif
