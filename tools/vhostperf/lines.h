/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Lines of a descriptor, without ever waiting for the rest of one.
 */
#ifndef VHOSTPERF_LINES_H
#define VHOSTPERF_LINES_H

#include <stdbool.h>
#include <stddef.h>

#define LINES_BYTES 4096 /* of the longest line; what is longer is cut */

struct lines {
	int fd;
	size_t n; /* bytes in buf */
	bool ended;
	char buf[LINES_BYTES];
};

void lines_init(struct lines *lines, int fd);

/** Reads once; call it when the descriptor is readable. */
void lines_read(struct lines *lines);

/** Takes the next whole line, NUL in place of its newline and valid UTF-8; false when there is none
 *  yet. `ret_line` has LINES_BYTES bytes. At the end of the input this is what is left, which may
 * be nothing, and lines->ended. */
bool lines_next(struct lines *lines, char *ret_line);

#endif
