/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Help, made from the tables, on standard output.
 */
#ifndef VHOSTCTL_USAGE_H
#define VHOSTCTL_USAGE_H

#include "commands.h"

void usage_print(void);
void usage_print_command(const struct command *command);

#endif
