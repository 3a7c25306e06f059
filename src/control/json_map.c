/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One walk over the text that keeps the path and the line of where it is, and tells a visitor of
 * each key and each value. Keys are compared as they are written: json_map_duplicate() also refuses
 * a key with a backslash, since none of ours needs one and it might be another's double.
 */
#include "control/json_map.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

/* Keys of one object that are compared. None of our objects has half as many, so one that has more
 * has a double among these or a key that is refused as unknown. */
#define KEYS_MAX 64

struct key {
	const char *text;
	size_t len;
};

struct walk {
	const char *at;
	const char *end;
	unsigned int line;
	char path[JSON_PATH_MAX];
	size_t path_len;
	const char *wanted_path; /* json_map_line(); NULL: looking for a double */
	size_t found_len;        /* of the part of wanted_path that was found */
	unsigned int found_line;
	bool has_double; /* its path is `path`, its line found_line: the walk is over */
};

static void walk_value(struct walk *walk);

static void skip_blanks(struct walk *walk)
{
	while (walk->at < walk->end && strchr(" \t\r\n", *walk->at)) {
		if (*walk->at == '\n')
			walk->line++;
		walk->at++;
	}
}

/* From a quote to behind its partner. */
static void skip_string(struct walk *walk)
{
	for (walk->at++; walk->at < walk->end && *walk->at != '"'; walk->at++) {
		if (*walk->at == '\n')
			walk->line++;
		if (*walk->at == '\\')
			walk->at++;
	}
	walk->at++;
}

static void skip_scalar(struct walk *walk)
{
	if (*walk->at == '"') {
		skip_string(walk);
		return;
	}
	do
		walk->at++;
	while (walk->at < walk->end && !strchr(",]} \t\r\n", *walk->at));
}

static void path_push(struct walk *walk, const char *text, size_t len, bool is_key)
{
	const char *dot = is_key && walk->path_len ? "." : "";
	size_t room = sizeof(walk->path) - walk->path_len;
	int n = snprintf(walk->path + walk->path_len, room, "%s%.*s", dot, (int)len, text);

	walk->path_len += (size_t)n < room ? (size_t)n : room - 1;
}

static void path_pop(struct walk *walk, size_t len)
{
	walk->path_len = len;
	walk->path[len] = '\0';
}

static bool at_end_of(struct walk *walk, char closing)
{
	skip_blanks(walk);
	if (walk->at >= walk->end || *walk->at == closing) {
		walk->at++;
		return true;
	}
	if (*walk->at == ',')
		walk->at++;
	skip_blanks(walk);
	return walk->has_double;
}

static void walk_array(struct walk *walk)
{
	size_t outer = walk->path_len;
	unsigned int index = 0;

	walk->at++;
	while (!at_end_of(walk, ']')) {
		char text[16];
		int n = snprintf(text, sizeof(text), "[%u]", index++);

		path_push(walk, text, (size_t)n, false);
		walk_value(walk);
		if (walk->has_double)
			return;
		path_pop(walk, outer);
	}
}

static bool is_double(const struct key *keys, size_t n_keys, const struct key *key)
{
	if (memchr(key->text, '\\', key->len))
		return true;
	for (size_t i = 0; i < n_keys; i++)
		if (keys[i].len == key->len && memcmp(keys[i].text, key->text, key->len) == 0)
			return true;
	return false;
}

static struct key walk_key(struct walk *walk)
{
	struct key key = {.text = walk->at + 1};

	skip_string(walk);
	key.len = (size_t)(walk->at - 1 - key.text);
	return key;
}

static void walk_object(struct walk *walk)
{
	size_t outer = walk->path_len, n_keys = 0;
	struct key keys[KEYS_MAX];

	walk->at++;
	while (!at_end_of(walk, '}')) {
		struct key key = walk_key(walk);

		path_push(walk, key.text, key.len, true);
		if (!walk->wanted_path && is_double(keys, n_keys, &key)) {
			walk->has_double = true;
			walk->found_line = walk->line;
			return;
		}
		if (n_keys < KEYS_MAX)
			keys[n_keys++] = key;
		skip_blanks(walk);
		walk->at++; /* the colon */
		skip_blanks(walk);
		walk_value(walk);
		if (walk->has_double)
			return;
		path_pop(walk, outer);
	}
}

/* Is `path` the wanted one or a parent of it, and nearer than what was found before? */
static void note_line(struct walk *walk)
{
	const char *rest = walk->wanted_path + walk->path_len;

	if (strncmp(walk->wanted_path, walk->path, walk->path_len) != 0 ||
	    (walk->path_len && *rest && *rest != '.' && *rest != '['))
		return;
	if (walk->found_line && walk->path_len <= walk->found_len)
		return;
	walk->found_len = walk->path_len;
	walk->found_line = walk->line;
}

static void walk_value(struct walk *walk)
{
	skip_blanks(walk);
	if (walk->at >= walk->end)
		return;
	if (walk->wanted_path)
		note_line(walk);
	if (*walk->at == '{')
		walk_object(walk);
	else if (*walk->at == '[')
		walk_array(walk);
	else
		skip_scalar(walk);
}

unsigned int json_map_line(const char *text, size_t n_bytes, const char *path)
{
	struct walk walk = {.at = text, .end = text + n_bytes, .line = 1, .wanted_path = path};

	walk_value(&walk);
	return walk.found_line ? walk.found_line : 1;
}

int json_map_duplicate(const char *text, size_t n_bytes, char ret_path[JSON_PATH_MAX],
		       unsigned int *ret_line)
{
	struct walk walk = {.at = text, .end = text + n_bytes, .line = 1};

	walk_value(&walk);
	if (!walk.has_double)
		return 0;
	memcpy(ret_path, walk.path, sizeof(walk.path));
	*ret_line = walk.found_line;
	return 1;
}
