/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/guest_fault.h"

#define N_ARGS_OWN 24

int eal_start(const struct eal_params *params, struct error *err)
{
	char lcores[1024], memory[16], prefix[48];
	char **argv = calloc(N_ARGS_OWN + params->n_extra + 1, sizeof(*argv));
	const char *const fixed[] = {
		params->program,
		"-l",
		lcores,
		"-m",
		memory,
		"--file-prefix",
		prefix,
		"--no-pci",
		"--no-telemetry",
		"--iova-mode=va",
		/* librte_vhost logs an error for each bad message of a front end, without limit:
		 * vhostd writes lines of its own. */
		"--log-level=*:warning",
		"--log-level=lib.vhost.*:critical",
	};
	unsigned int n = 0;
	int ret;

	if (!argv)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	lcore_set_format(&params->lcores, lcores, sizeof(lcores));
	snprintf(memory, sizeof(memory), "%u", params->memory_mb);
	snprintf(prefix, sizeof(prefix), "vhostd-%d", (int)getpid());
	for (; n < ARRAY_LEN(fixed); n++)
		argv[n] = strdup(fixed[n]);
	if (params->hugepages) {
		argv[n++] = strdup("--in-memory");
	} else {
		argv[n++] = strdup("--no-huge");
		argv[n++] = strdup("--no-shconf");
	}
	for (unsigned int i = 0; i < params->n_extra; i++)
		argv[n++] = params->extra[i];
	guest_fault_init();
	rte_openlog_stream(stderr);
	ret = rte_eal_init((int)n, argv); /* keeps pointers to its arguments */
	if (ret < 0)
		return error_set(err, VHOSTD_ERR_INTERNAL,
				 "DPDK's EAL does not start: %s (lcores %s, memory %u MB, %s)",
				 rte_strerror(rte_errno), lcores, params->memory_mb,
				 params->hugepages ? "hugepages: are enough reserved?"
						   : "no hugepages");
	/* Made by every EAL, of use only to secondary processes. */
	rmdir(rte_eal_get_runtime_dir());
	return 0;
}

const char *eal_version(void)
{
	return rte_version();
}
