/* SPDX-License-Identifier: BSD-3-Clause
 *
 * libFuzzer: the configuration file, through a memfd.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	struct settings settings;
	struct conf *conf = NULL;
	struct error err = {0};
	char path[64];
	int fd = memfd_create("conf", MFD_CLOEXEC);

	CHECK(write(fd, data, n_bytes) == (ssize_t)n_bytes, "a memfd takes it");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	settings_init(&settings);
	strcpy(settings.socket_dir, "/run");
	if (conf_load(path, &settings, &conf, &err) == 0)
		conf_check_devices(conf, &settings, &err);
	else
		CHECK(err.code && err.text[0], "a refusal says why");
	conf_free(conf);
	settings_fini(&settings);
	close(fd);
	return 0;
}
