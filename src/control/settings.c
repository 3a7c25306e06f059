/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Two passes: set_<name>() for each row of the table turns text into a value, then
 * settings_finish() fills in the defaults that depend on the environment.
 */
#include "control/settings.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_MB_MIN  32
#define MEMORY_MB_MAX  (1 << 20)
#define DEADLINE_S_MAX 86400
#define POLL_US_MAX    1000000

#define SETTING_ROW(name, type, metavar, def, where, summary)                                      \
	[SETTING_##name] = {#name, VHOSTD_PARAM_##type, metavar, def, where, summary},
const struct setting setting_table[N_SETTINGS] = {VHOSTD_SETTINGS(SETTING_ROW)};
#undef SETTING_ROW

void settings_init(struct settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	settings->memory_mb = 128;
	settings->poll = POLL_ADAPTIVE;
	settings->poll_idle_us = 100;
	settings->poll_io_us = 20;
	settings->deadlines.s[DEADLINE_OPEN] = 10;
	settings->deadlines.s[DEADLINE_DRAIN] = 30;
	settings->deadlines.s[DEADLINE_CLOSE] = 10;
	settings->log_level = LOG_LEVEL_INFO;
	settings->control_mode = 0600;
	settings->socket_mode = 0660;
	settings->control_gid = (gid_t)-1;
	settings->socket_gid = (gid_t)-1;
}

void settings_fini(struct settings *settings)
{
	free(settings->devices);
	settings->devices = NULL;
	settings->n_devices = 0;
}

static int set_path(char *dst, size_t size, const char *text, struct error *err)
{
	if (text[0] != '/')
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "\"%s\" is not an absolute path; begin it with /", text);
	if (strlen(text) >= size)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "\"%s\" is longer than the %zu bytes there is room for", text,
				 size - 1);
	strcpy(dst, text);
	return 0;
}

static int set_control(struct settings *s, const char *text, struct error *err)
{
	return set_path(s->control, sizeof(s->control), text, err);
}

static int set_socket_dir(struct settings *s, const char *text, struct error *err)
{
	return set_path(s->socket_dir, sizeof(s->socket_dir), text, err);
}

static int set_state_dir(struct settings *s, const char *text, struct error *err)
{
	return set_path(s->state_dir, sizeof(s->state_dir), text, err);
}

static int set_lcores(struct settings *s, const char *text, struct error *err)
{
	if (lcore_set_parse(text, &s->lcores))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "\"%s\" is not a list of CPUs below %d, such as 1,3-5", text,
				 VHOSTD_LCORES_MAX);
	return 0;
}

static int set_hugepages(struct settings *s, const char *text, struct error *err)
{
	bool on = strcmp(text, "true") == 0;

	if (!on && strcmp(text, "false") != 0)
		return error_set(err, VHOSTD_ERR_PARAMS, "\"%s\" is neither true nor false", text);
	s->hugepages = on;
	return 0;
}

static int set_poll(struct settings *s, const char *text, struct error *err)
{
	if (poll_mode_parse(text, &s->poll))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "\"%s\" is no poll mode; busy or adaptive is", text);
	return 0;
}

/* A decimal number from min to max. */
static int parse_uint(uint32_t *ret, const char *text, uint32_t min, uint32_t max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < min || n > max)
		return -EINVAL;
	*ret = (uint32_t)n;
	return 0;
}

static int set_memory(struct settings *s, const char *text, struct error *err)
{
	if (parse_uint(&s->memory_mb, text, MEMORY_MB_MIN, MEMORY_MB_MAX))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "\"%s\" is not a number of MB from %d to %d", text, MEMORY_MB_MIN,
				 MEMORY_MB_MAX);
	return 0;
}

static int set_poll_us(uint32_t *ret_us, const char *text, uint32_t min, struct error *err)
{
	if (parse_uint(ret_us, text, min, POLL_US_MAX))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "\"%s\" is not a number of microseconds from %u to %d", text, min,
				 POLL_US_MAX);
	return 0;
}

static int set_poll_idle_us(struct settings *s, const char *text, struct error *err)
{
	return set_poll_us(&s->poll_idle_us, text, 1, err);
}

static int set_poll_io_us(struct settings *s, const char *text, struct error *err)
{
	return set_poll_us(&s->poll_io_us, text, 0, err);
}

static int set_deadline(uint32_t *ret_s, const char *text, struct error *err)
{
	if (parse_uint(ret_s, text, 0, DEADLINE_S_MAX))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "\"%s\" is not a number of seconds from 0 (never) to %d", text,
				 DEADLINE_S_MAX);
	return 0;
}

static int set_open_deadline(struct settings *s, const char *text, struct error *err)
{
	return set_deadline(&s->deadlines.s[DEADLINE_OPEN], text, err);
}

static int set_drain_deadline(struct settings *s, const char *text, struct error *err)
{
	return set_deadline(&s->deadlines.s[DEADLINE_DRAIN], text, err);
}

static int set_close_deadline(struct settings *s, const char *text, struct error *err)
{
	return set_deadline(&s->deadlines.s[DEADLINE_CLOSE], text, err);
}

static int set_log_level(struct settings *s, const char *text, struct error *err)
{
	if (log_level_parse(text, &s->log_level))
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "\"%s\" is none of err, warning, notice, info, debug", text);
	return 0;
}

static int parse_mode(mode_t *ret_mode, const char *text, struct error *err)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (*text < '0' || *text > '7' || *end || mode > 0777)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "\"%s\" is not an octal file mode up to 0777, such as \"0660\"",
				 text);
	*ret_mode = (mode_t)mode;
	return 0;
}

static int set_control_mode(struct settings *s, const char *text, struct error *err)
{
	return parse_mode(&s->control_mode, text, err);
}

static int set_socket_mode(struct settings *s, const char *text, struct error *err)
{
	return parse_mode(&s->socket_mode, text, err);
}

static int parse_group(gid_t *ret_gid, const char *text, struct error *err)
{
	const struct group *group = getgrnam(text);
	char *end;
	unsigned long gid;

	if (group) {
		*ret_gid = group->gr_gid;
		return 0;
	}
	gid = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || gid >= UINT32_MAX)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "there is no group \"%s\"; give the name or number of one", text);
	*ret_gid = (gid_t)gid;
	return 0;
}

static int set_control_group(struct settings *s, const char *text, struct error *err)
{
	return parse_group(&s->control_gid, text, err);
}

static int set_socket_group(struct settings *s, const char *text, struct error *err)
{
	return parse_group(&s->socket_gid, text, err);
}

int settings_set(struct settings *settings, enum setting_id id, const char *text, struct error *err)
{
#define SETTING_FN(name, type, metavar, def, where, summary) [SETTING_##name] = set_##name,
	static int (*const setters[N_SETTINGS])(struct settings *, const char *,
						struct error *) = {VHOSTD_SETTINGS(SETTING_FN)};
#undef SETTING_FN

	if (setters[id](settings, text, err))
		return -1;
	settings->is_set[id] = true;
	return 0;
}

/* systemd.exec(5), RuntimeDirectory=: $RUNTIME_DIRECTORY and $STATE_DIRECTORY may be lists joined
 * with colons; ours is the first. */
static int first_dir(char *dst, size_t size, const char *list, const char *suffix,
		     struct error *err)
{
	size_t len = strcspn(list, ":");

	if (len + strlen(suffix) >= size)
		return error_set(
			err, VHOSTD_ERR_PARAMS,
			"the directory %s%s is longer than the %zu bytes there is room for", list,
			suffix, size - 1);
	snprintf(dst, size, "%.*s%s", (int)len, list, suffix);
	return 0;
}

static int find_runtime_dir(struct settings *s, struct error *err)
{
	const char *systemd = getenv("RUNTIME_DIRECTORY");
	const char *xdg = getenv("XDG_RUNTIME_DIR");

	if (systemd && systemd[0] == '/')
		return first_dir(s->runtime_dir, sizeof(s->runtime_dir), systemd, "", err);
	if (geteuid() == 0)
		return first_dir(s->runtime_dir, sizeof(s->runtime_dir), VHOSTD_RUNTIME_DIR_ROOT,
				 "", err);
	if (xdg && xdg[0] == '/')
		return first_dir(s->runtime_dir, sizeof(s->runtime_dir), xdg, "/vhostd", err);
	return error_set(err, VHOSTD_ERR_PARAMS,
			 "there is no runtime directory: neither $RUNTIME_DIRECTORY nor "
			 "$XDG_RUNTIME_DIR is set; give --control, --socket-dir and --state-dir");
}

static int fill_in_dirs(struct settings *s, struct error *err)
{
	const char *state = getenv("STATE_DIRECTORY");
	bool has_state = s->is_set[SETTING_state_dir] || (state && state[0] == '/');

	if (!s->is_set[SETTING_state_dir] && has_state &&
	    first_dir(s->state_dir, sizeof(s->state_dir), state, "", err))
		return -1;
	if (s->is_set[SETTING_control] && s->is_set[SETTING_socket_dir] && has_state)
		return 0;
	if (find_runtime_dir(s, err))
		return -1;
	if (!has_state)
		strcpy(s->state_dir, s->runtime_dir);
	if (!s->is_set[SETTING_socket_dir])
		strcpy(s->socket_dir, s->runtime_dir);
	if (!s->is_set[SETTING_control])
		return first_dir(s->control, sizeof(s->control), s->runtime_dir,
				 "/" VHOSTD_CONTROL_SOCKET, err);
	return 0;
}

static void fill_in_lcores(struct settings *s, const cpu_set_t *allowed)
{
	for (unsigned int cpu = VHOSTD_LCORES_MAX; cpu-- > 0;) {
		if (CPU_ISSET(cpu, allowed)) {
			lcore_set_add(&s->lcores, cpu);
			return;
		}
	}
}

/* The kernel is the one that knows: offline CPUs and cpusets are refused here. */
static int check_lcores(const struct settings *s, const cpu_set_t *allowed, struct error *err)
{
	int rc = 0;

	for (unsigned int cpu = 0; cpu < VHOSTD_LCORES_MAX && !rc; cpu++) {
		cpu_set_t one;

		if (!lcore_set_has(&s->lcores, cpu))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one) < 0)
			rc = error_set(err, VHOSTD_ERR_PARAMS,
				       "lcores: CPU %u does not exist or may not be used here",
				       cpu);
	}
	sched_setaffinity(0, sizeof(*allowed), allowed);
	return rc;
}

int settings_finish(struct settings *settings, struct error *err)
{
	cpu_set_t allowed;

	if (fill_in_dirs(settings, err))
		return -1;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return error_set(err, VHOSTD_ERR_INTERNAL, "sched_getaffinity: %s",
				 strerror(errno));
	if (!settings->is_set[SETTING_lcores])
		fill_in_lcores(settings, &allowed);
	if (lcore_set_count(&settings->lcores) == 0)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "lcores: none of the CPUs below %d may be used here",
				 VHOSTD_LCORES_MAX);
	return check_lcores(settings, &allowed, err);
}

int settings_make_dirs(const struct settings *settings, struct error *err)
{
	const char *dir = settings->runtime_dir;

	if (*dir && mkdir(dir, 0755) < 0 && errno != EEXIST)
		return error_set(err, VHOSTD_ERR_SOCKET, "%s: %s", dir, strerror(errno));
	if (access(settings->socket_dir, W_OK | X_OK) < 0)
		return error_set(err, VHOSTD_ERR_SOCKET, "socket_dir: %s: %s", settings->socket_dir,
				 strerror(errno));
	return 0;
}
