/* SPDX-License-Identifier: BSD-3-Clause */
/* Loop devices, for root: tests of disks on block devices. */
#ifndef TD_LOOP_H
#define TD_LOOP_H

#include <stddef.h>

/* A loop device on the file, with sectors of 512 bytes. A descriptor that keeps it, its path in
 * `ret_path`; the device goes when nobody has it open any more. -ENODEV: there are none here for
 * us; another -errno. */
int td_loop_open(const char *file, char *ret_path, size_t n_bytes);

/* Its file has another size: now it has it, too. 0 or -errno. */
int td_loop_resize(int fd);

#endif
