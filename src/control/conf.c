/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The text is kept beside the values, so that an error that is found late can still name the line.
 */
#include "control/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/json_map.h"
#include "control/params.h"
#include "control/suggest.h"

#define FILE_BYTES_MAX (8 << 20)
#define DEVICES_KEY    "devices"

struct conf {
	char *path;
	char *text;
	size_t n_bytes;
};

const char *conf_path(const struct conf *conf)
{
	return conf->path;
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	free(conf->path);
	free(conf->text);
	free(conf);
}

/* Rewrites "KEY: why" as "FILE:LINE: PREFIX.KEY: why". */
static int blame(const struct conf *conf, const char *prefix, struct error *err)
{
	const char *dot = *prefix ? "." : "";
	char path[JSON_PATH_MAX], why[sizeof(err->text)];
	size_t key_len = strcspn(err->text, ":");
	enum vhostd_error code = err->code;

	snprintf(path, sizeof(path), "%s%s%.*s", prefix, dot, (int)key_len, err->text);
	memcpy(why, err->text, sizeof(why));
	err->code = VHOSTD_ERR_OK;
	return error_set(err, code, "%s:%u: %s%s%s", conf->path,
			 json_map_line(conf->text, conf->n_bytes, path), prefix, dot, why);
}

void conf_blame_device(const struct conf *conf, unsigned int index, struct error *err)
{
	char prefix[32];

	snprintf(prefix, sizeof(prefix), DEVICES_KEY "[%u]", index);
	blame(conf, prefix, err);
}

static int read_all(struct conf *conf, int fd, struct error *err)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return error_set(err, VHOSTD_ERR_PARAMS, "%s: %s", conf->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, VHOSTD_ERR_PARAMS, "%s: is not a regular file", conf->path);
	if (st.st_size > FILE_BYTES_MAX)
		return error_set(err, VHOSTD_ERR_PARAMS, "%s: is larger than %d bytes", conf->path,
				 FILE_BYTES_MAX);
	conf->text = malloc((size_t)st.st_size + 1);
	if (!conf->text)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	while (conf->n_bytes < (size_t)st.st_size) {
		n = read(fd, conf->text + conf->n_bytes, (size_t)st.st_size - conf->n_bytes);
		if (n < 0)
			return error_set(err, VHOSTD_ERR_PARAMS, "%s: %s", conf->path,
					 strerror(errno));
		if (n == 0)
			break;
		conf->n_bytes += (size_t)n;
	}
	conf->text[conf->n_bytes] = '\0';
	return 0;
}

static int read_file(struct conf *conf, struct error *err)
{
	int fd = open(conf->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int rc;

	if (fd < 0)
		return error_set(err, VHOSTD_ERR_PARAMS, "%s: %s", conf->path, strerror(errno));
	rc = read_all(conf, fd, err);
	close(fd);
	return rc;
}

static unsigned int line_of(const struct conf *conf, size_t offset)
{
	unsigned int line = 1;

	for (size_t i = 0; i < offset && i < conf->n_bytes; i++)
		line += conf->text[i] == '\n';
	return line;
}

/* json-c would stop there without a word. */
static int check_no_nul(const struct conf *conf, struct error *err)
{
	size_t n_bytes;

	CHECK(conf->text, "read_all() leaves a text, if only an empty one");
	n_bytes = strlen(conf->text);
	if (n_bytes == conf->n_bytes)
		return 0;
	return error_set(err, VHOSTD_ERR_PARAMS, "%s:%u: has a NUL byte", conf->path,
			 line_of(conf, n_bytes));
}

static struct json_object *parse(const struct conf *conf, struct error *err)
{
	struct json_tokener *tok = json_tokener_new_ex(VHOSTD_CTL_DEPTH_MAX);
	struct json_object *root;

	if (!tok) {
		error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
		return NULL;
	}
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* With its NUL, so that a number at the very end ends. */
	root = json_tokener_parse_ex(tok, conf->text, (int)conf->n_bytes + 1);
	if (json_tokener_get_error(tok) != json_tokener_success)
		error_set(err, VHOSTD_ERR_PARAMS, "%s:%u: %s", conf->path,
			  line_of(conf, json_tokener_get_parse_end(tok)),
			  json_tokener_error_desc(json_tokener_get_error(tok)));
	else if (!json_object_is_type(root, json_type_object))
		error_set(err, VHOSTD_ERR_PARAMS, "%s:1: is not a JSON object, {...}", conf->path);
	json_tokener_free(tok);
	if (err->code && root) {
		json_object_put(root);
		root = NULL;
	}
	return root;
}

static int check_doubles(const struct conf *conf, struct error *err)
{
	char path[JSON_PATH_MAX];
	unsigned int line;

	if (!json_map_duplicate(conf->text, conf->n_bytes, path, &line))
		return 0;
	return error_set(err, VHOSTD_ERR_PARAMS,
			 "%s:%u: %s: the key stands here twice, or is written with a backslash",
			 conf->path, line, path);
}

static int unknown_key(const char *key, struct error *err)
{
	const char *names[N_SETTINGS + 1];
	char hint[256];

	for (unsigned int i = 0; i < N_SETTINGS; i++)
		names[i] = setting_table[i].name;
	names[N_SETTINGS] = DEVICES_KEY;
	suggest_format(key, names, ARRAY_LEN(names), hint, sizeof(hint));
	return error_set(err, VHOSTD_ERR_PARAMS, "%.64s: unknown key%s", key, hint);
}

static int load_setting(struct settings *settings, const char *key, struct json_object *value,
			struct error *err)
{
	struct error why = {0};

	for (unsigned int i = 0; i < N_SETTINGS; i++) {
		if (strcmp(setting_table[i].name, key) != 0)
			continue;
		if (params_check_value(value, key, setting_table[i].type, err))
			return -1;
		if (settings_set(settings, (enum setting_id)i, json_object_get_string(value), &why))
			return error_set(err, why.code, "%s: %s", key, why.text);
		return 0;
	}
	return unknown_key(key, err);
}

static int load_device(const struct conf *conf, struct json_object *object,
		       struct settings *settings, struct error *err)
{
	unsigned int index = settings->n_devices;

	if (!json_object_is_type(object, json_type_object)) {
		char path[32];

		snprintf(path, sizeof(path), DEVICES_KEY "[%u]", index);
		error_set(err, VHOSTD_ERR_PARAMS, "%s: is not an object, {...}", path);
		return blame(conf, "", err);
	}
	if (params_check_device(object, err) ||
	    params_to_spec(object, &settings->devices[index], err)) {
		conf_blame_device(conf, index, err);
		return -1;
	}
	settings->n_devices++;
	return 0;
}

static int load_devices(const struct conf *conf, struct json_object *list,
			struct settings *settings, struct error *err)
{
	size_t n;

	if (!json_object_is_type(list, json_type_array)) {
		error_set(err, VHOSTD_ERR_PARAMS, DEVICES_KEY ": is not a list, [...]");
		return blame(conf, "", err);
	}
	n = json_object_array_length(list);
	if (n > VHOSTD_DEVICES_MAX) {
		error_set(err, VHOSTD_ERR_PARAMS, DEVICES_KEY ": more than %d disks",
			  VHOSTD_DEVICES_MAX);
		return blame(conf, "", err);
	}
	settings->devices = calloc(n ? n : 1, sizeof(*settings->devices));
	if (!settings->devices)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	for (size_t i = 0; i < n; i++)
		if (load_device(conf, json_object_array_get_idx(list, i), settings, err))
			return -1;
	return 0;
}

static int load_all(const struct conf *conf, struct json_object *root, struct settings *settings,
		    struct error *err)
{
	json_object_object_foreach(root, key, value)
	{
		if (strcmp(key, DEVICES_KEY) == 0) {
			if (load_devices(conf, value, settings, err))
				return -1;
		} else if (load_setting(settings, key, value, err)) {
			return blame(conf, "", err);
		}
	}
	return 0;
}

int conf_load(const char *path, struct settings *settings, struct conf **ret_conf,
	      struct error *err)
{
	struct conf *conf = calloc(1, sizeof(*conf));
	struct json_object *root = NULL;
	int rc = -1;

	if (!conf || !(conf->path = strdup(path))) {
		error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
		goto out;
	}
	if (read_file(conf, err) || check_no_nul(conf, err))
		goto out;
	root = parse(conf, err);
	if (root && check_doubles(conf, err) == 0 && load_all(conf, root, settings, err) == 0)
		rc = 0;
	json_object_put(root);
out:
	if (rc)
		conf_free(conf);
	else
		*ret_conf = conf;
	return rc;
}

static int check_name_is_new(const struct settings *settings, unsigned int index, struct error *err)
{
	const char *name = settings->devices[index].name;

	for (unsigned int i = 0; i < index; i++)
		if (strcmp(settings->devices[i].name, name) == 0)
			return error_set(err, VHOSTD_ERR_PARAMS,
					 "name: \"%s\" is " DEVICES_KEY "[%u]'s already", name, i);
	return 0;
}

int conf_check_devices(const struct conf *conf, const struct settings *settings, struct error *err)
{
	for (unsigned int i = 0; i < settings->n_devices; i++) {
		if (device_spec_check(&settings->devices[i], settings->socket_dir,
				      &settings->lcores, err) ||
		    check_name_is_new(settings, i, err)) {
			conf_blame_device(conf, i, err);
			return -1;
		}
	}
	return 0;
}
