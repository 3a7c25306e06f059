/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Checks a JSON object against a table of vhostd/methods.h, and reads values out of one that has
 * been checked. The same for the parameters of a request and for a disk in the configuration file.
 *
 * Error texts begin with the key and a colon; the code is PARAMS.
 */
#ifndef CONTROL_PARAMS_H
#define CONTROL_PARAMS_H

#include <json.h>

#include "base/error.h"
#include "device/spec.h"
#include "vhostd/methods.h"

#define PARAMS_MAX 32 /* rows of a table */

/** Every key known, every required one there, every value of its type. `object` NULL: no keys.
 *  0, or -1 with *err set. */
int params_check(struct json_object *object, const struct vhostd_param *table, unsigned int n_rows,
		 struct error *err);

/** Is `value` of the type, as far as the type goes? `key` is for the text. 0, or -1 with *err. */
int params_check_value(struct json_object *value, const char *key, enum vhostd_param_type type,
		       struct error *err);

/* Of a checked object; what isn't there is NULL, 0, false or the default. Strings belong to it. */
const char *params_string(struct json_object *object, const char *key);
uint64_t params_size(struct json_object *object, const char *key);
uint32_t params_uint(struct json_object *object, const char *key, uint32_t default_value);
bool params_bool(struct json_object *object, const char *key);

/** Bytes of "512", "10G" and the like. 0, or -EINVAL. */
int params_parse_size(const char *text, uint64_t *ret_bytes);

/** Milliseconds of "500ms", "2s". 0, or -EINVAL. */
int params_parse_time(const char *text, uint32_t *ret_ms);

/** What a checked object has of the keys of VHOSTD_PARAMS_QOS replaces what is in *qos. True if it
 *  has any. */
bool params_to_qos(struct json_object *object, struct qos_spec *qos);

/** A disk's keys, checked against VHOSTD_PARAMS_device_add, as a spec. What belongs together is
 *  device_spec_check()'s. 0, or -1 with *err set. */
int params_check_device(struct json_object *object, struct error *err);
int params_to_spec(struct json_object *object, struct device_spec *ret_spec, struct error *err);

#endif
