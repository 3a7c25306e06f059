/* SPDX-License-Identifier: BSD-3-Clause */
#include "td_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TRIES 10 /* somebody may take the device that was free a moment ago */

static int configure_free_one(int control, int file, char *ret_path, size_t n_bytes)
{
	struct loop_config config = {.fd = (uint32_t)file,
				     .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
	int number = ioctl(control, LOOP_CTL_GET_FREE), fd, rc;

	if (number < 0)
		return -ENODEV;
	snprintf(ret_path, n_bytes, "/dev/loop%d", number);
	fd = open(ret_path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -ENODEV;
	if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int td_loop_open(const char *file, char *ret_path, size_t n_bytes)
{
	int file_fd = open(file, O_RDWR | O_CLOEXEC);
	int control, rc = -EBUSY;

	if (file_fd < 0)
		return -errno;
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		rc = -ENODEV;
	for (unsigned int i = 0; i < TRIES && rc == -EBUSY; i++)
		rc = configure_free_one(control, file_fd, ret_path, n_bytes);
	close(file_fd);
	if (control >= 0)
		close(control);
	return rc;
}

int td_loop_resize(int fd)
{
	return ioctl(fd, LOOP_SET_CAPACITY, 0) ? -errno : 0;
}
