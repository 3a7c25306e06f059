/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Back-end processes for tests: vhostd (path in the environment variable VHOSTD) or QEMU's
 * qemu-storage-daemon, each in a private directory below one temporary directory of the test
 * process.
 *
 * Nothing survives the test, however it ends: the back end gets SIGKILL with its parent
 * (PR_SET_PDEATHSIG), and a guard process removes the directory once the test process is gone.
 * Start back ends from the main thread: the kernel ties the signal to the thread that forked.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Long enough for a start under a sanitizer or valgrind on a busy machine. */
#define TD_START_TIMEOUT_MS 20000
#define TD_STOP_TIMEOUT_MS  10000

#define TD_PATH_MAX 108 /* sun_path */

struct td {
	pid_t pid; /* 0 when it does not run */
	char dir[TD_PATH_MAX - 40];
	char control[TD_PATH_MAX]; /* JSON-RPC (vhostd) or QMP (qemu-storage-daemon) socket */
	char log[TD_PATH_MAX];     /* its standard error and output */
};

/* The test process's temporary directory, made at the first call. Aborts when it cannot be made. */
const char *td_tmpdir(void);

/*
 * Start, and wait until the control socket answers. `extra_argv` (NULL-terminated, may be NULL) is
 * appended to the command line. 0; -ETIMEDOUT; -ECHILD when it ended at once (its log is printed to
 * standard error); another -errno. vhostd: DIR/control.sock, sockets in DIR, state in DIR/state.
 */
int td_start_vhostd(struct td *td, const char *const *extra_argv);
int td_start_qsd(struct td *td, const char *const *extra_argv);

/*
 * SIGTERM, and SIGKILL when that does not end it in time. Returns the exit status (0 is a clean
 * exit), or -signal when a signal ended it (-SIGKILL: it had to be killed), -ESRCH when it did not
 * run.
 */
int td_stop(struct td *td);

/* SIGKILL, as a crash. */
void td_kill(struct td *td);

/* Still running? (Reaps it if not.) */
bool td_alive(struct td *td);

/* Lines in its log so far; -errno when the log can't be read. */
int td_log_lines(const struct td *td);

/* Print the last `n_bytes` of its log to standard error, for a test that fails. */
void td_log_dump(const struct td *td, size_t n_bytes);

#endif
