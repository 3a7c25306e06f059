/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The JSON configuration file: the keys of vhostd/settings.h and the list "devices". Nothing is
 * guessed at: what isn't understood is refused with file, line, key, value and what would be right.
 */
#ifndef CONTROL_CONF_H
#define CONTROL_CONF_H

#include "base/error.h"
#include "control/settings.h"

struct conf;

/** Reads the file into *settings. On success *ret_conf can still tell lines. -1 with *err set. */
int conf_load(const char *path, struct settings *settings, struct conf **ret_conf,
	      struct error *err);

/** The disks against what settings_finish() has made of the settings. -1 with *err set. */
int conf_check_devices(const struct conf *conf, const struct settings *settings, struct error *err);

/** Rewrites an error about disk `index` as "FILE:LINE: devices[index].KEY: ...". */
void conf_blame_device(const struct conf *conf, unsigned int index, struct error *err);

const char *conf_path(const struct conf *conf);
void conf_free(struct conf *conf);

#endif
