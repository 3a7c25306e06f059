/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/params.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/suggest.h"

#define TIME_HELP "a time, such as \"500ms\" or \"2s\""
#define RATE_HELP                                                                                  \
	"a number of bytes a second, or a string such as \"200M\" (K, M, G, T); 0 is no limit"
#define SIZE_HELP "a number of bytes, or a string such as \"512M\" or \"10G\" (K, M, G, T)"

static const struct vhostd_param device_params[] = {VHOSTD_PARAMS_device_add(VHOSTD_P)};

int params_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	unsigned int shift = 0;
	uint64_t number = 0;
	const char *unit;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return -EINVAL;
	if (*text) {
		unit = strchr(units, *text);
		if (!unit || text[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (number > UINT64_MAX >> shift)
		return -EINVAL;
	*ret_bytes = number << shift;
	return 0;
}

int params_parse_time(const char *text, uint32_t *ret_ms)
{
	uint64_t number = 0;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		number = number * 10 + (uint64_t)(*text - '0');
		if (number > UINT32_MAX)
			return -EINVAL;
	}
	if (strcmp(text, "s") == 0)
		number *= 1000;
	else if (strcmp(text, "ms") != 0)
		return -EINVAL;
	if (number > UINT32_MAX)
		return -EINVAL;
	*ret_ms = (uint32_t)number;
	return 0;
}

/* How a value looks in an error text: as JSON, cut short. */
static const char *shown(struct json_object *value, char buf[64])
{
	const char *text = json_object_to_json_string_ext(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	snprintf(buf, 64, strlen(text) < 64 ? "%s" : "%.60s...", text);
	return buf;
}

static int wrong(struct json_object *value, const char *key, const char *right, struct error *err)
{
	char buf[64];

	return error_set(err, VHOSTD_ERR_PARAMS, "%s: %s is not %s", key, shown(value, buf), right);
}

static bool is_string(struct json_object *value)
{
	return json_object_is_type(value, json_type_string) &&
	       strlen(json_object_get_string(value)) == (size_t)json_object_get_string_len(value);
}

static bool is_int_upto(struct json_object *value, uint64_t max)
{
	return json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0 &&
	       json_object_get_uint64(value) <= max;
}

static bool is_rate(struct json_object *value)
{
	uint64_t bytes;

	if (is_string(value))
		return params_parse_size(json_object_get_string(value), &bytes) == 0;
	return is_int_upto(value, INT64_MAX);
}

static bool is_size(struct json_object *value)
{
	uint64_t bytes;

	if (is_string(value))
		return params_parse_size(json_object_get_string(value), &bytes) == 0 && bytes;
	return is_int_upto(value, INT64_MAX) && json_object_get_int64(value) > 0;
}

static bool is_time(struct json_object *value)
{
	uint32_t ms;

	return is_string(value) && params_parse_time(json_object_get_string(value), &ms) == 0;
}

static bool is_lcores(struct json_object *value)
{
	struct lcore_set set;

	return is_string(value) && lcore_set_parse(json_object_get_string(value), &set) == 0;
}

int params_check_value(struct json_object *value, const char *key, enum vhostd_param_type type,
		       struct error *err)
{
	switch (type) {
	case VHOSTD_PARAM_STRING:
		return is_string(value) ? 0 : wrong(value, key, "a string", err);
	case VHOSTD_PARAM_SIZE:
		return is_size(value) ? 0 : wrong(value, key, SIZE_HELP, err);
	case VHOSTD_PARAM_RATE:
		return is_rate(value) ? 0 : wrong(value, key, RATE_HELP, err);
	case VHOSTD_PARAM_TIME:
		return is_time(value) ? 0 : wrong(value, key, TIME_HELP, err);
	case VHOSTD_PARAM_UINT:
		return is_int_upto(value, UINT32_MAX) ? 0
						      : wrong(value, key, "a whole number", err);
	case VHOSTD_PARAM_BOOL:
		return json_object_is_type(value, json_type_boolean)
			       ? 0
			       : wrong(value, key, "true or false", err);
	case VHOSTD_PARAM_LCORES:
		return is_lcores(value)
			       ? 0
			       : wrong(value, key, "a list of CPUs, such as \"1,3-5\"", err);
	}
	return error_set(err, VHOSTD_ERR_INTERNAL, "%s: unknown type", key);
}

static const struct vhostd_param *find_row(const struct vhostd_param *table, unsigned int n_rows,
					   const char *key)
{
	for (unsigned int i = 0; i < n_rows; i++)
		if (strcmp(table[i].name, key) == 0)
			return &table[i];
	return NULL;
}

static int unknown_key(const struct vhostd_param *table, unsigned int n_rows, const char *key,
		       struct error *err)
{
	const char *names[PARAMS_MAX];
	char hint[256];

	for (unsigned int i = 0; i < n_rows; i++)
		names[i] = table[i].name;
	suggest_format(key, names, n_rows, hint, sizeof(hint));
	return error_set(err, VHOSTD_ERR_PARAMS, "%.64s: unknown key%s", key, hint);
}

int params_check(struct json_object *object, const struct vhostd_param *table, unsigned int n_rows,
		 struct error *err)
{
	CHECK(n_rows <= PARAMS_MAX, "parameter tables are short");
	if (object) {
		json_object_object_foreach(object, key, value)
		{
			const struct vhostd_param *row = find_row(table, n_rows, key);

			if (!row)
				return unknown_key(table, n_rows, key, err);
			if (params_check_value(value, key, row->type, err))
				return -1;
		}
	}
	for (unsigned int i = 0; i < n_rows; i++)
		if (table[i].flags & VHOSTD_PARAM_REQUIRED &&
		    !json_object_object_get_ex(object, table[i].name, NULL))
			return error_set(err, VHOSTD_ERR_PARAMS, "%s: missing: %s", table[i].name,
					 table[i].summary);
	return 0;
}

static struct json_object *get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

const char *params_string(struct json_object *object, const char *key)
{
	struct json_object *value = get(object, key);

	return value ? json_object_get_string(value) : NULL;
}

uint64_t params_size(struct json_object *object, const char *key)
{
	struct json_object *value = get(object, key);
	uint64_t bytes = 0;

	if (!value)
		return 0;
	if (json_object_is_type(value, json_type_string)) {
		int rc = params_parse_size(json_object_get_string(value), &bytes);

		CHECK(rc == 0, "the size was checked");
		return bytes;
	}
	return json_object_get_uint64(value);
}

uint32_t params_uint(struct json_object *object, const char *key, uint32_t default_value)
{
	struct json_object *value = get(object, key);

	return value ? (uint32_t)json_object_get_int64(value) : default_value;
}

bool params_bool(struct json_object *object, const char *key)
{
	return json_object_get_boolean(get(object, key));
}

static int copy_string(struct json_object *object, const char *key, char *dst, size_t size,
		       struct error *err)
{
	const char *text = params_string(object, key);

	if (!text)
		return 0;
	if (strlen(text) >= size)
		return error_set(err, VHOSTD_ERR_PARAMS, "%s: \"%.80s%s\" is longer than %zu bytes",
				 key, text, strlen(text) > 80 ? "..." : "", size - 1);
	strcpy(dst, text);
	return 0;
}

static int to_backend(struct json_object *object, enum store_kind *ret_kind, struct error *err)
{
#define KIND_NAME(id, name) name,
	static const char *const names[] = {STORE_KINDS(KIND_NAME)};
#undef KIND_NAME
	const char *text = params_string(object, "backend");
	char hint[128];

	if (!text && !params_string(object, "path"))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "backend: missing; a disk has a path, or the backend malloc or "
				 "null");
	if (!text) {
		*ret_kind = STORE_KIND_AUTO;
		return 0;
	}
	for (unsigned int i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_kind = (enum store_kind)i;
			return 0;
		}
	}
	suggest_format("", names, ARRAY_LEN(names), hint, sizeof(hint));
	return error_set(err, VHOSTD_ERR_PARAMS, "backend: \"%.64s\" is none%s", text, hint);
}

bool params_to_qos(struct json_object *object, struct qos_spec *qos)
{
	const char *burst = params_string(object, "burst");
	bool any = burst != NULL;

	for (unsigned int i = 0; i < QOS_N_LIMITS; i++) {
		const char *key = qos_limit_key((enum qos_limit)i);

		if (!get(object, key))
			continue;
		qos->per_s[i] = params_size(object, key);
		any = true;
	}
	if (burst) {
		int rc = params_parse_time(burst, &qos->burst_ms);

		CHECK(rc == 0, "the time was checked");
	}
	return any;
}

int params_check_device(struct json_object *object, struct error *err)
{
	return params_check(object, device_params, ARRAY_LEN(device_params), err);
}

int params_to_spec(struct json_object *object, struct device_spec *ret_spec, struct error *err)
{
	const char *lcores = params_string(object, "lcores");
	const char *poll = params_string(object, "poll");
	uint32_t n_queues = params_uint(object, "queues", 1);

	device_spec_init(ret_spec);
	if (copy_string(object, "name", ret_spec->name, sizeof(ret_spec->name), err) ||
	    to_backend(object, &ret_spec->backend, err) ||
	    copy_string(object, "path", ret_spec->path, sizeof(ret_spec->path), err) ||
	    copy_string(object, "serial", ret_spec->serial, sizeof(ret_spec->serial), err))
		return -1;
	if (n_queues > VHOSTD_QUEUES_MAX)
		return error_set(err, VHOSTD_ERR_PARAMS, "queues: %" PRIu32 " is not from 1 to %d",
				 n_queues, VHOSTD_QUEUES_MAX);
	ret_spec->n_queues = (uint16_t)n_queues;
	ret_spec->size_bytes = params_size(object, "size");
	ret_spec->block_size_bytes = params_uint(object, "block_size", ret_spec->block_size_bytes);
	ret_spec->readonly = params_bool(object, "readonly");
	ret_spec->pin_memory = params_bool(object, "pin_memory");
	ret_spec->uring.sqpoll = json_object_object_get_ex(object, "sqpoll_cpu", NULL);
	ret_spec->uring.sqpoll_cpu = params_uint(object, "sqpoll_cpu", 0);
	ret_spec->uring.iopoll = params_bool(object, "iopoll");
	ret_spec->coalesce_us = params_uint(object, "coalesce_us", 0);
	ret_spec->coalesce_iops = params_uint(object, "coalesce_iops", 0);
	params_to_qos(object, &ret_spec->qos);
	if (poll && poll_mode_parse(poll, &ret_spec->poll))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "poll: \"%.64s\" is no poll mode; busy or adaptive is", poll);
	if (lcores && lcore_set_parse(lcores, &ret_spec->lcores))
		return error_set(err, VHOSTD_ERR_PARAMS, "lcores: \"%.64s\" is no list", lcores);
	return 0;
}
