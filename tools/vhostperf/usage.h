/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How to use vhostperf, as --help prints it.
 */
#ifndef VHOSTPERF_USAGE_H
#define VHOSTPERF_USAGE_H

void usage_print(void);

#endif
