/* SPDX-License-Identifier: BSD-3-Clause
 *
 * vhostperf, a load generator for vhost-user-blk back ends: it connects as QEMU does, plays the
 * guest itself, and measures what a guest would see at best.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "run.h"
#include "usage.h"
#include "watch.h"

static enum exit_code measure(const struct options *options)
{
	struct run run;
	enum exit_code code = run_open(&run, options);

	/* Until here a signal ends the program as it always does. */
	if (code == EXIT_OK)
		code = watch_run(&run);
	run_close(&run);
	return code;
}

static enum exit_code act(const struct options *options)
{
	if (options->version) {
		puts("vhostperf " VHOSTD_VERSION);
		return EXIT_OK;
	}
	if (options->help) {
		usage_print();
		return EXIT_OK;
	}
	return measure(options);
}

/* A full disk or a closed pipe must not pass for success. */
static enum exit_code flush_output(enum exit_code code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	return fail(EXIT_FAILED, "can't write the output: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct options options;
	enum exit_code code = options_parse(argc, argv, &options);

	return code == EXIT_OK ? flush_output(act(&options)) : code;
}
