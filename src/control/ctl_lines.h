/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a client has sent, cut into lines.
 */
#ifndef CONTROL_CTL_LINES_H
#define CONTROL_CTL_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "vhostd/limits.h"

struct ctl_lines {
	size_t begin;   /* of what hasn't been taken yet */
	size_t scanned; /* no newline before */
	size_t end;
	char bytes[VHOSTD_CTL_LINE_MAX];
};

void ctl_lines_init(struct ctl_lines *lines);

/** Where the next bytes go, and how many have room: 0 when a line must be taken first, or when a
 *  line is too long. */
char *ctl_lines_room(struct ctl_lines *lines, size_t *ret_n_bytes);

/** `n_bytes` have been put there. */
void ctl_lines_added(struct ctl_lines *lines, size_t n_bytes);

/** Takes a line, without its newline; it is good until the next call of ctl_lines_room(). NULL
 *  when there is no whole one. */
const char *ctl_lines_take(struct ctl_lines *lines, size_t *ret_n_bytes);

/** Is there a whole line? */
bool ctl_lines_has_line(struct ctl_lines *lines);

/** Is it full, without a whole line? */
bool ctl_lines_is_too_long(struct ctl_lines *lines);

/** Bytes of a line that hasn't ended. Only meaningful when there is no whole line. */
size_t ctl_lines_rest(const struct ctl_lines *lines);

#endif
