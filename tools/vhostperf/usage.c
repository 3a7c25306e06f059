/* SPDX-License-Identifier: BSD-3-Clause */
#include "usage.h"

#include <stdio.h>

#include "options.h"

void usage_print(void)
{
	puts("Usage: vhostperf SOCKET [OPTIONS]\n"
	     "Loads a vhost-user-blk back end as a guest would, and measures it.\n\nOptions:");
	for (int i = 0; i < OPTION_N; i++) {
		const struct option_row *row = &option_rows[i];
		char left[64];

		snprintf(left, sizeof(left), "--%s %s", row->name, row->metavar);
		printf("  %-20s  %s\n", left, row->summary);
	}
	puts("\nSIZE is in bytes, or ends with k, M, G or T.\n\nExit status:");
#define EXIT_CODE_ROW(name, status, summary) printf("  %d  %s\n", status, summary);
	EXIT_CODES(EXIT_CODE_ROW)
#undef EXIT_CODE_ROW
	puts("\nvhostperf(1) tells more, the JSON keys among it.");
}
