/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fork, exec, wait, clean up. The guard is a child in a session of its own that holds the read end
 * of a pipe whose write end only the test process has: end of file there means that the test is
 * gone, in whatever way, and the guard removes the directory.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vfe_msg.h"

#define ARGV_MAX 64

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

static void guard_main(const char *dir, int pipe_fd)
{
	char byte;

	setsid();
	while (read(pipe_fd, &byte, 1) < 0 && errno == EINTR)
		;
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	_exit(0);
}

static int guard_start(const char *dir)
{
	int pipe_fd[2], null_fd;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(pipe_fd[1]);
		/* Hold no one's pipe open: a test runner waits for the end of our output. */
		null_fd = open("/dev/null", O_RDWR);
		dup2(null_fd, 0);
		dup2(null_fd, 1);
		dup2(null_fd, 2);
		guard_main(dir, pipe_fd[0]);
	}
	close(pipe_fd[0]); /* the write end stays open until we end */
	return 0;
}

const char *td_tmpdir(void)
{
	static char dir[TD_PATH_MAX - 60];
	const char *parent = getenv("TMPDIR");

	if (dir[0])
		return dir;
	if (!parent || strlen(parent) > 20)
		parent = "/tmp";
	snprintf(dir, sizeof(dir), "%s/vhostd-test.XXXXXX", parent);
	if (!mkdtemp(dir) || guard_start(dir) < 0) {
		perror("temporary directory for tests");
		abort();
	}
	return dir;
}

static int make_dir(struct td *td)
{
	static int n_daemons;

	memset(td, 0, sizeof(*td));
	snprintf(td->dir, sizeof(td->dir), "%s/%d", td_tmpdir(), n_daemons++);
	snprintf(td->control, sizeof(td->control), "%s/control.sock", td->dir);
	snprintf(td->log, sizeof(td->log), "%s/log", td->dir);
	return mkdir(td->dir, 0700) < 0 ? -errno : 0;
}

static void exec_daemon(const struct td *td, char **argv, pid_t parent)
{
	int log_fd = open(td->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it was gone before the line above */
		_exit(127);
	dup2(null_fd, 0);
	dup2(log_fd, 1);
	dup2(log_fd, 2);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

static int wait_control(struct td *td)
{
	int64_t deadline_ms = vfe_now_ms() + TD_START_TIMEOUT_MS;
	int sock;

	do {
		if (!td_alive(td)) {
			td_log_dump(td, 4096);
			return -ECHILD;
		}
		sock = vfe_msg_connect(td->control);
		if (sock >= 0) {
			close(sock);
			return 0;
		}
		usleep(2000);
	} while (vfe_now_ms() < deadline_ms);
	td_log_dump(td, 4096);
	td_kill(td);
	return -ETIMEDOUT;
}

/* `own` and then `extra`: argv of the child. */
static int spawn(struct td *td, const char *const *own, const char *const *extra)
{
	char *argv[ARGV_MAX + 1];
	pid_t parent = getpid();
	unsigned int n = 0, i;

	for (; n < ARGV_MAX && *own; own++)
		argv[n++] = strdup(*own);
	for (; n < ARGV_MAX && extra && *extra; extra++)
		argv[n++] = strdup(*extra);
	argv[n] = NULL;

	td->pid = fork();
	if (td->pid == 0)
		exec_daemon(td, argv, parent);
	for (i = 0; i < n; i++)
		free(argv[i]);
	if (td->pid < 0) {
		td->pid = 0;
		return -errno;
	}
	return wait_control(td);
}

int td_start_vhostd(struct td *td, const char *const *extra_argv)
{
	const char *path = getenv("VHOSTD");
	char state[TD_PATH_MAX];
	int rc = make_dir(td);
	const char *own[] = {path,    "--control",   td->control, "--socket-dir",
			     td->dir, "--state-dir", state,       "--lcores",
			     "1",     "--memory",    "64",        NULL};

	if (rc)
		return rc;
	if (!path) {
		fprintf(stderr, "the environment variable VHOSTD must name the daemon's binary\n");
		return -ENOENT;
	}
	snprintf(state, sizeof(state), "%s/state", td->dir);
	if (mkdir(state, 0700) < 0)
		return -errno;
	return spawn(td, own, extra_argv);
}

int td_start_qsd(struct td *td, const char *const *extra_argv)
{
	char chardev[TD_PATH_MAX + 64];
	int rc = make_dir(td);
	const char *own[] = {"qemu-storage-daemon", "--chardev",   chardev,
			     "--monitor",           "chardev=qmp", NULL};

	if (rc)
		return rc;
	snprintf(chardev, sizeof(chardev), "socket,id=qmp,server=on,wait=off,path=%s", td->control);
	return spawn(td, own, extra_argv);
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int td_stop(struct td *td)
{
	int64_t deadline_ms = vfe_now_ms() + TD_STOP_TIMEOUT_MS;
	int status = 0;
	pid_t pid = 0;

	if (td->pid == 0)
		return -ESRCH;
	kill(td->pid, SIGTERM);
	while (pid == 0 && vfe_now_ms() < deadline_ms) {
		pid = waitpid(td->pid, &status, WNOHANG);
		if (pid == 0)
			usleep(2000);
	}
	if (pid != 0) {
		td->pid = 0;
		return exit_code(status);
	}
	td_kill(td);
	return -SIGKILL;
}

void td_kill(struct td *td)
{
	if (td->pid == 0)
		return;
	kill(td->pid, SIGKILL);
	waitpid(td->pid, NULL, 0);
	td->pid = 0;
}

bool td_alive(struct td *td)
{
	int status;

	if (td->pid == 0)
		return false;
	if (waitpid(td->pid, &status, WNOHANG) != td->pid)
		return true;
	fprintf(stderr, "back end ended: %s %d\n", WIFSIGNALED(status) ? "signal" : "exit status",
		abs(exit_code(status)));
	td->pid = 0;
	return false;
}

int td_log_lines(const struct td *td)
{
	FILE *f = fopen(td->log, "re");
	int n = 0, c;

	if (!f)
		return -errno;
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

void td_log_dump(const struct td *td, size_t n_bytes)
{
	FILE *f = fopen(td->log, "re");
	long size;
	int c;

	if (!f)
		return;
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	fseek(f, size > (long)n_bytes ? size - (long)n_bytes : 0, SEEK_SET);
	while ((c = getc(f)) != EOF)
		fputc(c, stderr);
	fclose(f);
}
