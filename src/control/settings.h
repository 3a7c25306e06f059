/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What the daemon runs with: the settings of vhostd/settings.h and the disks of the configuration
 * file. Each setting is set from text, by the file first and by the command line last; what nobody
 * set is filled in by settings_finish().
 */
#ifndef CONTROL_SETTINGS_H
#define CONTROL_SETTINGS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/log.h"
#include "device/device_step.h"
#include "device/spec.h"
#include "engine/lcore_set.h"
#include "vhostd/methods.h"
#include "vhostd/settings.h"

#define SETTING_ENUM(name, type, metavar, def, where, summary) SETTING_##name,
enum setting_id { VHOSTD_SETTINGS(SETTING_ENUM) N_SETTINGS };
#undef SETTING_ENUM

/** A row of the table. */
struct setting {
	const char *name;
	enum vhostd_param_type type;
	const char *metavar;
	const char *default_text;
	enum vhostd_setting_where where;
	const char *summary;
};

extern const struct setting setting_table[N_SETTINGS];

#define SUN_PATH_BYTES 108 /* sun_path of unix(7), NUL included */

struct settings {
	bool is_set[N_SETTINGS];
	char control[SUN_PATH_BYTES];
	char socket_dir[SUN_PATH_BYTES];
	char state_dir[PATH_MAX];
	char runtime_dir[SUN_PATH_BYTES]; /* "" when it isn't needed */
	struct lcore_set lcores;
	uint32_t memory_mb;
	bool hugepages;
	enum poll_mode poll;
	uint32_t poll_idle_us;
	uint32_t poll_io_us;
	struct step_deadlines deadlines;
	enum log_level log_level;
	mode_t control_mode;
	mode_t socket_mode;
	gid_t control_gid; /* (gid_t)-1: leave */
	gid_t socket_gid;

	struct device_spec *devices; /* owned */
	unsigned int n_devices;
};

void settings_init(struct settings *settings);
void settings_fini(struct settings *settings);

/** Sets one from `text`. -1 with *err (PARAMS) "value: what would be right"; the caller says where
 *  it came from. */
int settings_set(struct settings *settings, enum setting_id id, const char *text,
		 struct error *err);

/** Fills in what isn't set from the environment, and checks that the CPUs exist. -1 with *err. */
int settings_finish(struct settings *settings, struct error *err);

/** Makes the default directory if it doesn't exist; one that was asked for has to. -1 with *err. */
int settings_make_dirs(const struct settings *settings, struct error *err);

#endif
