/* SPDX-License-Identifier: BSD-3-Clause */
#include "param_value.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

/* Whether the word is digits and no more, and fits. */
static bool parse_uint(const char *word, int64_t *ret_n)
{
	if (!*word || strspn(word, "0123456789") != strlen(word))
		return false;
	errno = 0;
	long long n = strtoll(word, NULL, 10);
	if (errno)
		return false;
	*ret_n = n;
	return true;
}

static struct json_object *path_value(const char *word)
{
	char *cwd = *word && *word != '/' ? getcwd(NULL, 0) : NULL;
	char *path = cwd ? text_printf("%s/%s", strcmp(cwd, "/") ? cwd : "", word)
			 : text_must(strdup(word));
	struct json_object *value = json_object_new_string(path);
	free(path);
	free(cwd);
	return value;
}

static struct json_object *value_new(const struct vhostd_param *param, const char *word)
{
	int64_t n;
	switch (param->type) {
	case VHOSTD_PARAM_BOOL:
		return json_object_new_boolean(1);
	case VHOSTD_PARAM_UINT:
		return parse_uint(word, &n) ? json_object_new_int64(n) : NULL;
	case VHOSTD_PARAM_SIZE:
	case VHOSTD_PARAM_RATE:
		return parse_uint(word, &n) ? json_object_new_int64(n)
					    : json_object_new_string(word);
	case VHOSTD_PARAM_STRING:
	case VHOSTD_PARAM_TIME:
	case VHOSTD_PARAM_LCORES:
		break;
	}
	return strcmp(param->metavar, "PATH") == 0 ? path_value(word)
						   : json_object_new_string(word);
}

int param_value_add(struct json_object *params, const struct vhostd_param *param, const char *word)
{
	struct json_object *value = value_new(param, word);
	if (!value)
		return -1;
	json_object_object_add(params, param->name, value);
	return 0;
}
