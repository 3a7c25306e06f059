/* SPDX-License-Identifier: BSD-3-Clause */
#include "lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

void lines_init(struct lines *lines, int fd)
{
	*lines = (struct lines){.fd = fd};
}

void lines_read(struct lines *lines)
{
	ssize_t n;

	if (lines->n == LINES_BYTES - 1) /* no newline in all of it: its end is lost */
		lines->n--;
	n = read(lines->fd, lines->buf + lines->n, LINES_BYTES - 1 - lines->n);
	if (n > 0)
		lines->n += (size_t)n;
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		lines->ended = true;
}

bool lines_next(struct lines *lines, char *ret_line)
{
	const char *newline = memchr(lines->buf, '\n', lines->n);
	size_t n_line = newline ? (size_t)(newline - lines->buf) : lines->n;
	size_t n_taken = newline ? n_line + 1 : n_line;

	if (!newline && !lines->ended)
		return false;
	memcpy(ret_line, lines->buf, n_line);
	ret_line[n_line] = 0;
	utf8_repair(ret_line);
	lines->n -= n_taken;
	memmove(lines->buf, lines->buf + n_taken, lines->n);
	return true;
}
