/* SPDX-License-Identifier: BSD-3-Clause
 *
 * QEMU's tools as the other user of an image.
 */
#ifndef UNIT_TEST_STORE_QEMU_H
#define UNIT_TEST_STORE_QEMU_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/unit.h"

#define QEMU_PATIENCE_MS 30000

static inline void qemu_require(void)
{
	if (system("exec >/dev/null && command -v qemu-io && command -v qemu-img && "
		   "command -v qemu-storage-daemon && command -v qemu-system-x86_64") != 0)
		skip();
}

/* Runs a shell command; its exit status, and what it printed. */
static inline int qemu_run(const char *command, char *ret_text, size_t n_bytes)
{
	char line[2048];
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

/** Asserts that the command, which finds the path in $IMAGE, succeeds, or that it fails for a
 *  lock. */
static inline void qemu_may(bool may, const char *tool, const char *path)
{
	char command[1024], text[4096];
	int status;

	snprintf(command, sizeof(command), "IMAGE='%s'; %s", path, tool);
	status = qemu_run(command, text, sizeof(text));
	if (may && status)
		fail_msg("%s: %s", command, text);
	if (!may && (status == 0 || !strstr(text, "\" lock")))
		fail_msg("%s ends with %d, should be kept out: %s", command, status, text);
}

#define QEMU_VM    "qemu-system-x86_64 -accel tcg -machine q35 -nodefaults -display none -S "
#define QEMU_DRIVE "-monitor stdio -drive if=virtio,format=raw,file="

/* qemu-io's reader lets others write, qemu-img's and a machine's don't; `info` takes no lock. */
#define QEMU_INFO      "qemu-img info -f raw $IMAGE"
#define QEMU_CONVERT   "qemu-img convert -f raw -O raw $IMAGE $IMAGE.copy && rm $IMAGE.copy"
#define QEMU_WRITE     "qemu-io -f raw -c 'write 0 512' $IMAGE"
#define QEMU_VM_READER "echo quit | " QEMU_VM QEMU_DRIVE "$IMAGE,readonly=on"
#define QEMU_VM_WRITER "echo quit | " QEMU_VM QEMU_DRIVE "$IMAGE"

/* A process that has the image open until it is told to end. */
struct qemu {
	pid_t pid;
	int in, out;
};

static inline void qemu_exec(const int in[2], const int out[2], char *const argv[])
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with the test, however that ends */
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

/** A machine that has the image as its disk. */
static inline struct qemu qemu_hold(const char *path, bool writable)
{
	char shell[] = "sh", c[] = "-c", command[1024];
	char *const argv[] = {shell, c, command, NULL};
	struct qemu q;

	snprintf(command, sizeof(command), "exec " QEMU_VM QEMU_DRIVE "'%s'%s", path,
		 writable ? "" : ",readonly=on");
	q = qemu_start(argv);
	/* It answers when its disks are there. */
	assert_int_equal(write(q.in, "info status\n", 12), 12);
	qemu_expect(&q, "VM status:");
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
