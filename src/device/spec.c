/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Every error text begins with the key it is about and a colon: the configuration file's reader
 * finds the line by it.
 */
#include "device/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/un.h>

#define SOCKET_SUFFIX ".sock"
#define NAME_CHARS    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

const char *poll_mode_name(enum poll_mode mode)
{
	switch (mode) {
#define POLL_MODE_NAME(name, text)                                                                 \
	case POLL_##name:                                                                          \
		return text;
		POLL_MODES(POLL_MODE_NAME)
#undef POLL_MODE_NAME
	case POLL_DEFAULT:
		break;
	}
	return "default";
}

int poll_mode_parse(const char *name, enum poll_mode *ret_mode)
{
#define POLL_MODE_PARSE(id, text)                                                                  \
	if (strcmp(name, text) == 0) {                                                             \
		*ret_mode = POLL_##id;                                                             \
		return 0;                                                                          \
	}
	POLL_MODES(POLL_MODE_PARSE)
#undef POLL_MODE_PARSE
	return -EINVAL;
}

void device_spec_init(struct device_spec *spec)
{
	memset(spec, 0, sizeof(*spec));
	spec->block_size_bytes = 512;
	spec->n_queues = 1;
	qos_spec_init(&spec->qos);
}

static int check_name(const char *name, const char *socket_dir, struct error *err)
{
	size_t dir_len = strlen(socket_dir), len = strlen(name);
	size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (!len || name[0] == '.' || name[strspn(name, NAME_CHARS)])
		return error_set(
			err, VHOSTD_ERR_PARAMS,
			"name: \"%s\" is not 1 to %d of A-Z a-z 0-9 _ . - without a leading dot",
			name, VHOSTD_NAME_MAX);
	if (dir_len + 1 + len + strlen(SOCKET_SUFFIX) > room)
		return error_set(
			err, VHOSTD_ERR_PARAMS,
			"name: \"%s\" makes the socket path %s/%s%s longer than %zu bytes; "
			"take a shorter name or socket_dir",
			name, socket_dir, name, SOCKET_SUFFIX, room);
	return 0;
}

static int check_backing(const struct device_spec *spec, struct error *err)
{
	bool is_file = spec->backend != STORE_KIND_MALLOC && spec->backend != STORE_KIND_NULL;
	const char *backend = store_kind_name(spec->backend);

	if (is_file && !spec->path[0])
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "path: missing; the %s backend needs a file or block device",
				 backend);
	if (is_file && spec->path[0] != '/')
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "path: \"%s\" is not absolute; begin it with /", spec->path);
	if (!is_file && spec->path[0])
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "path: \"%s\" is of no use to the %s backend; leave one of them "
				 "out",
				 spec->path, backend);
	if (!is_file && !spec->size_bytes)
		return error_set(
			err, VHOSTD_ERR_PARAMS,
			"size: missing; the malloc and null backends need one, such as 1G");
	return 0;
}

static int check_geometry(const struct device_spec *spec, struct error *err)
{
	if (spec->block_size_bytes != 512 && spec->block_size_bytes != 4096)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "block_size: %" PRIu32 " is neither 512 nor 4096",
				 spec->block_size_bytes);
	if (spec->size_bytes % spec->block_size_bytes)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "size: %" PRIu64 " is not a multiple of the block size %" PRIu32,
				 spec->size_bytes, spec->block_size_bytes);
	if (spec->size_bytes > INT64_MAX)
		return error_set(err, VHOSTD_ERR_PARAMS, "size: %" PRIu64 " is more than %" PRId64,
				 spec->size_bytes, INT64_MAX);
	if (spec->n_queues < 1 || spec->n_queues > VHOSTD_QUEUES_MAX)
		return error_set(err, VHOSTD_ERR_PARAMS, "queues: %u is not from 1 to %d",
				 spec->n_queues, VHOSTD_QUEUES_MAX);
	return 0;
}

static int check_serial(const char *serial, struct error *err)
{
	for (const char *c = serial; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			return error_set(
				err, VHOSTD_ERR_PARAMS,
				"serial: \"%s\" has a character that is not printable ASCII",
				serial);
	return 0;
}

/* What only io_uring has. */
static int check_uring(const struct device_spec *spec, struct error *err)
{
	const char *key = spec->pin_memory     ? "pin_memory"
			  : spec->uring.sqpoll ? "sqpoll_cpu"
			  : spec->uring.iopoll ? "iopoll"
					       : NULL;

	if (key && spec->backend != STORE_KIND_URING && spec->backend != STORE_KIND_AUTO)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "%s: of no use to the %s backend; take uring or auto, or leave it "
				 "out",
				 key, store_kind_name(spec->backend));
	if (spec->pin_memory && spec->uring.sqpoll)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "pin_memory: can't be together with sqpoll_cpu; leave one of them "
				 "out");
	return 0;
}

static int check_sqpoll_cpu(const struct device_spec *spec, const struct lcore_set *available,
			    struct error *err)
{
	char text[256];

	if (!spec->uring.sqpoll || !lcore_set_has(available, spec->uring.sqpoll_cpu))
		return 0;
	lcore_set_format(available, text, sizeof(text));
	return error_set(err, VHOSTD_ERR_PARAMS,
			 "sqpoll_cpu: %" PRIu32 " is one of the daemon's lcores, %s; take a CPU "
			 "that no lcore polls on",
			 spec->uring.sqpoll_cpu, text);
}

static int check_lcores(const struct lcore_set *wanted, const struct lcore_set *available,
			struct error *err)
{
	char wanted_text[256], available_text[256];

	if (lcore_set_is_subset(wanted, available))
		return 0;
	lcore_set_format(wanted, wanted_text, sizeof(wanted_text));
	lcore_set_format(available, available_text, sizeof(available_text));
	return error_set(err, VHOSTD_ERR_PARAMS,
			 "lcores: \"%s\" is not among the daemon's lcores, %s", wanted_text,
			 available_text);
}

int device_spec_check_qos(const struct qos_spec *qos, struct error *err)
{
	for (unsigned int i = 0; i < QOS_N_LIMITS; i++)
		if (qos_limit_is_bytes((enum qos_limit)i) && qos->per_s[i] &&
		    qos->per_s[i] < QOS_BANDWIDTH_MIN)
			return error_set(err, VHOSTD_ERR_PARAMS,
					 "%s: %" PRIu64 " is less than %d bytes a second; 0 is no "
					 "limit",
					 qos_limit_key((enum qos_limit)i), qos->per_s[i],
					 QOS_BANDWIDTH_MIN);
	if (qos->burst_ms < QOS_BURST_MS_MIN || qos->burst_ms > QOS_BURST_MS_MAX)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "burst: %" PRIu32 " ms is not from %d ms to %d s", qos->burst_ms,
				 QOS_BURST_MS_MIN, QOS_BURST_MS_MAX / 1000);
	return 0;
}

int device_spec_check_coalesce(uint32_t coalesce_us, uint32_t coalesce_iops, struct error *err)
{
	if (coalesce_us > COALESCE_MAX_US)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "coalesce_us: %" PRIu32 " is not from 0 to %d", coalesce_us,
				 COALESCE_MAX_US);
	if (coalesce_iops && !coalesce_us)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "coalesce_iops: %" PRIu32 " means nothing without coalesce_us, "
				 "1 to %d",
				 coalesce_iops, COALESCE_MAX_US);
	return 0;
}

int device_spec_check(const struct device_spec *spec, const char *socket_dir,
		      const struct lcore_set *available, struct error *err)
{
	if (check_name(spec->name, socket_dir, err) || check_backing(spec, err) ||
	    check_geometry(spec, err) || check_serial(spec->serial, err) ||
	    check_uring(spec, err) || check_sqpoll_cpu(spec, available, err) ||
	    device_spec_check_qos(&spec->qos, err) ||
	    device_spec_check_coalesce(spec->coalesce_us, spec->coalesce_iops, err))
		return -1;
	return check_lcores(&spec->lcores, available, err);
}
