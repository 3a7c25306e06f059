/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/reload.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"
#include "control/conf.h"

struct reload {
	const char *path;
	const struct options *options;
	const struct notify *notify;
};

static int read_settings(const struct reload *reload, struct settings *settings, struct error *err)
{
	struct conf *conf = NULL;

	if (reload->path && conf_load(reload->path, settings, &conf, err))
		return -1;
	conf_free(conf);
	return options_apply(reload->options, settings, err);
}

static void take_over(const struct settings *settings)
{
	enum log_level before = log_get_level();

	log_set_level(settings->log_level);
	log_notice("vhostd", "log level %s, was %s", log_level_name(settings->log_level),
		   log_level_name(before));
}

static void *reload_main(void *arg)
{
	struct reload *reload = arg;
	struct settings settings;
	struct error err = {0};

	role_enter(&role_job);
	notify_reloading(reload->notify);
	settings_init(&settings);
	if (read_settings(reload, &settings, &err))
		log_err("vhostd", "nothing is changed: %s", err.text);
	else
		take_over(&settings);
	settings_fini(&settings);
	notify_send(reload->notify, "READY=1");
	free(reload);
	role_leave(&role_job);
	return NULL;
}

void reload_start(const char *path, const struct options *options, const struct notify *notify)
{
	struct reload *reload = malloc(sizeof(*reload));
	pthread_t thread;

	if (!reload)
		return;
	*reload = (struct reload){.path = path, .options = options, .notify = notify};
	if (pthread_create(&thread, NULL, reload_main, reload)) {
		log_err("vhostd", "SIGHUP: no thread can be made");
		free(reload);
		return;
	}
	pthread_detach(thread);
}
