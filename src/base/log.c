/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A line is put together in one buffer and leaves with one write(2), so that lines of several
 * threads never mix. Whatever a guest, a peer or a file name brings in can't start a new line or
 * reach the terminal: control characters and bytes that are no UTF-8 are written as \xNN.
 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

#define TEXT_MAX   1024 /* bytes of one line's text, before escaping */
#define OBJECT_MAX 100

static _Atomic int shown_level = LOG_LEVEL_INFO;
static atomic_bool to_journal;

static const char *const level_names[] = {
	[LOG_LEVEL_ERR] = "err",   [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
	[LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug",
};

/* systemd.exec(5), $JOURNAL_STREAM: the device and inode number of the journal's end of stderr. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &dev, &ino) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_init(enum log_level level)
{
	atomic_store(&to_journal, stderr_is_journal());
	log_set_level(level);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&shown_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&shown_level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
	return (unsigned int)level < ARRAY_LEN(level_names) ? level_names[level] : NULL;
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (unsigned int i = LOG_LEVEL_ERR; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* C0, DEL, and C1 in its UTF-8 form (0xc2 0x80 to 0xc2 0x9f). */
static bool is_control(const unsigned char *text)
{
	return text[0] < 0x20 || text[0] == 0x7f || (text[0] == 0xc2 && text[1] < 0xa0);
}

static size_t escape(char *line, size_t len, const char *text, size_t n_max)
{
	size_t left = strnlen(text, n_max);

	while (left) {
		size_t n = utf8_char_bytes(text, left);

		if (n && !is_control((const unsigned char *)text)) {
			memcpy(line + len, text, n);
			len += n;
		} else {
			n = 1;
			len += (size_t)sprintf(line + len, "\\x%02x", (unsigned char)*text);
		}
		text += n;
		left -= n;
	}
	return len;
}

/* The journal shows priorities itself; a terminal has to be told about the bad ones. */
static size_t begin_line(char *line, enum log_level level, const char *object)
{
	bool journal = atomic_load_explicit(&to_journal, memory_order_relaxed);
	const char *mark = "";
	size_t len = 0;

	if (journal)
		len = (size_t)sprintf(line, "<%d>", (int)level);
	else if (level == LOG_LEVEL_ERR)
		mark = "error: ";
	else if (level == LOG_LEVEL_WARNING)
		mark = "warning: ";
	len = escape(line, len, object, OBJECT_MAX);
	return len + (size_t)sprintf(line + len, ": %s", mark);
}

void log_line(enum log_level level, const char *object, const char *fmt, ...)
{
	char line[4 * (TEXT_MAX + OBJECT_MAX) + 32];
	char text[TEXT_MAX];
	size_t len;
	va_list ap;
	int n;

	if (level > log_get_level())
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	len = begin_line(line, level, object);
	len = escape(line, len, text, TEXT_MAX);
	len += (size_t)sprintf(line + len, n >= TEXT_MAX ? "...\n" : "\n");
	/* Nobody is left to be told of a failure. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool log_limit_pass(struct log_limit *limit, unsigned int *ret_suppressed)
{
	uint64_t start = atomic_load(&limit->window_start_ms);
	uint64_t now = now_ms();

	*ret_suppressed = 0;
	if (now - start >= LOG_LIMIT_MS &&
	    atomic_compare_exchange_strong(&limit->window_start_ms, &start, now)) {
		atomic_store(&limit->n_in_window, 1);
		*ret_suppressed = atomic_exchange(&limit->n_suppressed, 0);
		return true;
	}
	if (atomic_fetch_add(&limit->n_in_window, 1) < LOG_LIMIT_BURST)
		return true;
	atomic_fetch_add(&limit->n_suppressed, 1);
	return false;
}
