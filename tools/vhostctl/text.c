/* SPDX-License-Identifier: BSD-3-Clause */
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "exit_codes.h"

#define REPLACEMENT 0xfffdu /* stands for what is not UTF-8, Unicode 15 section 3.9 */

void *text_must(void *ptr)
{
	if (!ptr) {
		fputs("vhostctl: out of memory\n", stderr);
		exit(EXIT_REFUSED);
	}
	return ptr;
}

char *text_printf(const char *fmt, ...)
{
	va_list args;
	char *s = NULL;
	va_start(args, fmt);
	int n = vasprintf(&s, fmt, args);
	va_end(args);
	return text_must(n < 0 ? NULL : s);
}

/* Length of the well-formed UTF-8 character at s and *ret_cp; 0 if there is none. */
static size_t utf8_decode(const char *s, size_t n, uint32_t *ret_cp)
{
	size_t len = utf8_char_bytes(s, n);
	unsigned char first = (unsigned char)s[0];
	if (len == 0)
		return 0;
	*ret_cp = len == 1 ? first : first & (0x7fu >> len);
	for (size_t i = 1; i < len; i++)
		*ret_cp = *ret_cp << 6 | ((unsigned char)s[i] & 0x3f);
	return len;
}

/* Controls, line separators and overrides of the writing direction. */
static bool is_unsafe(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x200e && cp <= 0x200f) ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0x061c ||
	       cp == 0xfeff;
}

static void put_escape(FILE *out, uint32_t cp)
{
	static const char letters[] = "abtnvfr"; /* from 7, ISO C 5.2.2 */
	if (cp >= 7 && cp <= 13)
		fprintf(out, "\\%c", letters[cp - 7]);
	else if (cp < 0x100)
		fprintf(out, "\\x%02" PRIx32, cp);
	else
		fprintf(out, "\\u%04" PRIx32, cp);
}

static FILE *stream_open(char **ret_s, size_t *ret_n)
{
	return text_must(open_memstream(ret_s, ret_n));
}

static char *stream_close(FILE *out, char **s)
{
	return text_must(fclose(out) ? NULL : *s);
}

char *text_escaped(const char *s, size_t n)
{
	char *text;
	size_t n_text;
	FILE *out = stream_open(&text, &n_text);
	for (size_t i = 0; i < n;) {
		uint32_t cp;
		size_t len = utf8_decode(s + i, n - i, &cp);
		if (len == 0)
			fprintf(out, "\\x%02x", (unsigned char)s[i]);
		else if (cp == '\\')
			fputs("\\\\", out);
		else if (is_unsafe(cp))
			put_escape(out, cp);
		else
			fwrite(s + i, 1, len, out);
		i += len ? len : 1;
	}
	return stream_close(out, &text);
}

char *text_json_safe(const char *json)
{
	char *text;
	size_t n_text, n = strlen(json);
	FILE *out = stream_open(&text, &n_text);
	for (size_t i = 0; i < n;) {
		uint32_t cp = REPLACEMENT;
		size_t len = utf8_decode(json + i, n - i, &cp);
		/* json-c has written the controls below 0x20; its own layout is '\n' and ' '. */
		if (len == 0 || (cp >= 0x7f && is_unsafe(cp)))
			fprintf(out, "\\u%04" PRIx32, cp);
		else
			fwrite(json + i, 1, len, out);
		i += len ? len : 1;
	}
	return stream_close(out, &text);
}

size_t text_width(const char *s)
{
	size_t width = 0;
	for (; *s; s++)
		width += ((unsigned char)*s & 0xc0) != 0x80;
	return width;
}

char *text_size(uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	if (bytes < 1024)
		return text_printf("%" PRIu64 " B", bytes);
	double size = (double)bytes / 1024;
	size_t unit = 0;
	for (; size >= 1023.95 && unit < 5; unit++)
		size /= 1024;
	return text_printf("%.1f %s", size, units[unit]);
}

static char *two_units(uint64_t n, uint64_t per_big, const char *big, const char *small)
{
	if (n % per_big == 0)
		return text_printf("%" PRIu64 " %s", n / per_big, big);
	return text_printf("%" PRIu64 " %s %" PRIu64 " %s", n / per_big, big, n % per_big, small);
}

char *text_age_ms(uint64_t ms)
{
	uint64_t s = ms / 1000;
	if (ms < 1000)
		return text_printf("%" PRIu64 " ms", ms);
	if (s < 60)
		return text_printf("%" PRIu64 " s", s);
	if (s < 3600)
		return two_units(s, 60, "min", "s");
	if (s < 86400)
		return two_units(s / 60, 60, "h", "min");
	return two_units(s / 3600, 24, "d", "h");
}

char *text_time_us(uint64_t us)
{
	if (us < 1000)
		return text_printf("%" PRIu64 " us", us);
	if (us < 1000000)
		return text_printf("%.1f ms", (double)us / 1e3);
	return text_printf("%.1f s", (double)us / 1e6);
}

char *text_shell_quoted(const char *s)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789%+,-./:=@_";
	if (*s && strspn(s, plain) == strlen(s))
		return text_must(strdup(s));
	char *text;
	size_t n_text;
	FILE *out = stream_open(&text, &n_text);
	fputc('\'', out);
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", out);
		else
			fputc(*s, out);
	}
	fputc('\'', out);
	return stream_close(out, &text);
}
