/* SPDX-License-Identifier: BSD-3-Clause
 *
 * QEMU's tools as the other user of an image.
 */
#ifndef UNIT_TEST_STORE_QEMU_H
#define UNIT_TEST_STORE_QEMU_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/unit.h"

#define QEMU_PATIENCE_MS 30000

static inline void qemu_require(void)
{
	if (system("command -v qemu-io qemu-img qemu-storage-daemon >/dev/null")) {
		print_message("no qemu-io, qemu-img or qemu-storage-daemon\n");
		skip();
	}
}

/* Runs a shell command; its exit status, and what it printed. */
static inline int qemu_run(const char *command, char *ret_text, size_t n_bytes)
{
	char line[1024];
	FILE *f;
	size_t n;
	int status;

	snprintf(line, sizeof(line), "(%s) 2>&1 </dev/null", command);
	f = popen(line, "re");
	assert_non_null(f);
	n = fread(ret_text, 1, n_bytes - 1, f);
	ret_text[n] = '\0';
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/** Asserts that `TOOL ARGUMENTS PATH` succeeds, or that it fails for a lock. */
static inline void qemu_may(bool may, const char *tool, const char *path)
{
	char command[512], text[4096];
	int status;

	snprintf(command, sizeof(command), "%s '%s'", tool, path);
	status = qemu_run(command, text, sizeof(text));
	if (may && status)
		fail_msg("%s: %s", command, text);
	if (!may && (status == 0 || !strstr(text, "lock")))
		fail_msg("%s ends with %d, should be kept out: %s", command, status, text);
}

#define QEMU_INFO       "qemu-img info -f raw"
#define QEMU_INFO_FORCE "qemu-img info -U -f raw"
#define QEMU_READ       "qemu-io -r -f raw -c 'read 0 512'"
#define QEMU_WRITE      "qemu-io -f raw -c 'write 0 512'"

/* A process that has the image open until it is told to end. */
struct qemu {
	pid_t pid;
	int in, out;
};

static inline void qemu_exec(const int in[2], const int out[2], char *const argv[])
{
	dup2(in[0], 0);
	dup2(out[1], 1);
	dup2(out[1], 2);
	execvp(argv[0], argv);
	_exit(127);
}

/* Waits until it has printed `word`. */
static inline void qemu_expect(struct qemu *q, const char *word)
{
	struct pollfd p = {.fd = q->out, .events = POLLIN};
	char text[4096] = "";
	size_t n = 0;

	while (!strstr(text, word)) {
		ssize_t got = 0;

		if (poll(&p, 1, QEMU_PATIENCE_MS) == 1)
			got = read(q->out, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			fail_msg("qemu did not say \"%s\" but: %s", word, text);
		n += (size_t)got;
		text[n] = '\0';
	}
}

static inline struct qemu qemu_start(char *const argv[])
{
	struct qemu q;
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	q.pid = fork();
	assert_true(q.pid >= 0);
	if (q.pid == 0)
		qemu_exec(in, out, argv);
	close(in[0]);
	close(out[1]);
	q.in = in[1];
	q.out = out[0];
	return q;
}

/** qemu-io keeps the image open, for reading only or for writing too. */
static inline struct qemu qemu_hold(const char *path, bool writable)
{
	char raw[] = "raw", f[] = "-f", r[] = "-r", program[] = "qemu-io", file[512];
	char *const argv[] = {program, f, raw, writable ? file : r, writable ? NULL : file, NULL};
	struct qemu q;

	snprintf(file, sizeof(file), "%s", path);
	q = qemu_start(argv);
	assert_int_equal(write(q.in, "read 0 512\n", 11), 11);
	qemu_expect(&q, "read 512/512");
	return q;
}

static inline void qemu_end(struct qemu *q)
{
	int status;

	close(q->in);
	close(q->out);
	kill(q->pid, SIGTERM);
	assert_int_equal(waitpid(q->pid, &status, 0), q->pid);
}

#endif
