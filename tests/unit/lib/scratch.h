/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A private directory for a test, with the mounts and loop devices made in it. A guard process
 * takes all of it away when the test process is gone, however it ended.
 */
#ifndef UNIT_SCRATCH_H
#define UNIT_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SCRATCH_PATH_MAX 512

struct scratch {
	char dir[SCRATCH_PATH_MAX - 128];
	int guard_fd; /* the guard waits for its end */
	pid_t guard;
};

/** Makes a directory in `parent`; its path is absolute. 0 or -errno. Call it before anything is
 * opened that the guard must not keep open. */
int scratch_open(struct scratch *s, const char *parent);

/** Takes away whatever is in the directory: mounts, loop devices' files, files. */
void scratch_clear(const struct scratch *s);

/** The same, and the directory and the guard. */
void scratch_close(struct scratch *s);

/** The path of `name` in the directory, in ret_path. */
char *scratch_path(const struct scratch *s, const char *name, char ret_path[SCRATCH_PATH_MAX]);

/** Makes a sparse file; its path in ret_path. 0 or -errno. */
int scratch_file(const struct scratch *s, const char *name, uint64_t n_bytes,
		 char ret_path[SCRATCH_PATH_MAX]);

#define SCRATCH_NO_LOOP (-77) /* this machine has no loop devices for us */

/** Binds a file of the directory to a loop device of that sector size; the device's path in
 *  ret_path. 0, SCRATCH_NO_LOOP or -errno. */
int scratch_loop(const char *file, uint32_t sector_bytes, bool readonly,
		 char ret_path[SCRATCH_PATH_MAX]);

/** Mounts a new tmpfs, or `source`, at DIR/name; the mount point in ret_path. 0 or -errno. */
int scratch_mount(const struct scratch *s, const char *name, const char *fstype, const char *source,
		  const char *options, char ret_path[SCRATCH_PATH_MAX]);

/** Runs a program to its end, which may take 20 s: its exit status, or -errno, or -signal. What it
 *  prints is in `output`, when that isn't NULL. It dies with the test. */
int scratch_run(char *const argv[], char *output, size_t output_bytes);

#endif
