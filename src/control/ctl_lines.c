/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/ctl_lines.h"

#include <string.h>

void ctl_lines_init(struct ctl_lines *lines)
{
	lines->begin = 0;
	lines->scanned = 0;
	lines->end = 0;
}

char *ctl_lines_room(struct ctl_lines *lines, size_t *ret_n_bytes)
{
	if (lines->begin == lines->end) {
		ctl_lines_init(lines);
	} else if (lines->end == sizeof(lines->bytes) && lines->begin) {
		memmove(lines->bytes, lines->bytes + lines->begin, lines->end - lines->begin);
		lines->scanned -= lines->begin;
		lines->end -= lines->begin;
		lines->begin = 0;
	}
	*ret_n_bytes = sizeof(lines->bytes) - lines->end;
	return lines->bytes + lines->end;
}

void ctl_lines_added(struct ctl_lines *lines, size_t n_bytes)
{
	lines->end += n_bytes;
}

/* Looks at each byte once: what has been scanned in vain isn't scanned again. */
static char *find_newline(struct ctl_lines *lines)
{
	char *newline = memchr(lines->bytes + lines->scanned, '\n', lines->end - lines->scanned);

	lines->scanned = newline ? (size_t)(newline - lines->bytes) : lines->end;
	return newline;
}

const char *ctl_lines_take(struct ctl_lines *lines, size_t *ret_n_bytes)
{
	char *newline = find_newline(lines);
	const char *line = lines->bytes + lines->begin;

	if (!newline)
		return NULL;
	*ret_n_bytes = (size_t)(newline - line);
	lines->begin = (size_t)(newline - lines->bytes) + 1;
	lines->scanned = lines->begin;
	return line;
}

bool ctl_lines_has_line(struct ctl_lines *lines)
{
	return find_newline(lines) != NULL;
}

bool ctl_lines_is_too_long(struct ctl_lines *lines)
{
	return lines->end - lines->begin == sizeof(lines->bytes) && !find_newline(lines);
}

size_t ctl_lines_rest(const struct ctl_lines *lines)
{
	return lines->end - lines->begin;
}
