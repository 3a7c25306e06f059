/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOPS_MAX  64
#define RUN_MAX_MS 20000

/* It keeps nothing open but its pipe. */
static void guard_main(const struct scratch *s, int fd)
{
	char byte;

	setsid();
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	dup2(fd, STDIN_FILENO);
	close_range(STDOUT_FILENO, ~0u, 0);
	while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
		;
	open("/dev/null", O_RDWR);
	open("/dev/null", O_RDWR);
	scratch_clear(s);
	rmdir(s->dir);
	_exit(0);
}

int scratch_open(struct scratch *s, const char *parent)
{
	char *real = realpath(parent, NULL); /* as the kernel names mounts and files */
	int fds[2];

	if (!real)
		return -errno;
	snprintf(s->dir, sizeof(s->dir), "%s/vhostd-test-XXXXXX", real);
	free(real);
	if (!mkdtemp(s->dir) || pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	s->guard = fork();
	if (s->guard < 0)
		return -errno;
	if (s->guard == 0)
		guard_main(s, fds[0]);
	close(fds[0]);
	s->guard_fd = fds[1];
	return 0;
}

static void release_loops(const struct scratch *s)
{
	for (int i = 0; i < LOOPS_MAX; i++) {
		char path[64], file[SCRATCH_PATH_MAX] = "";
		int fd;

		snprintf(path, sizeof(path), "/sys/block/loop%d/loop/backing_file", i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, file, sizeof(file) - 1) < 0)
			file[0] = 0;
		close(fd);
		if (strncmp(file, s->dir, strlen(s->dir)) != 0)
			continue;
		snprintf(path, sizeof(path), "/dev/loop%d", i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CLR_FD) == 0)
			close(fd);
	}
}

/* A test may have frozen it. */
static void thaw(const char *mount_point)
{
	int fd = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	ioctl(fd, FITHAW, 0);
	close(fd);
}

static void unmount_all(const struct scratch *s)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char source[SCRATCH_PATH_MAX], target[SCRATCH_PATH_MAX];

	while (mounts && fscanf(mounts, "%511s %511s %*[^\n]", source, target) == 2) {
		if (strncmp(target, s->dir, strlen(s->dir)) != 0)
			continue;
		thaw(target);
		umount2(target, MNT_DETACH);
	}
	if (mounts)
		fclose(mounts);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	if (at->level > 0)
		remove(path);
	return 0;
}

void scratch_clear(const struct scratch *s)
{
	unmount_all(s);
	release_loops(s);
	nftw(s->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void scratch_close(struct scratch *s)
{
	scratch_clear(s);
	close(s->guard_fd);
	waitpid(s->guard, NULL, 0);
}

char *scratch_path(const struct scratch *s, const char *name, char ret_path[SCRATCH_PATH_MAX])
{
	snprintf(ret_path, SCRATCH_PATH_MAX, "%s/%.100s", s->dir, name);
	return ret_path;
}

int scratch_file(const struct scratch *s, const char *name, uint64_t n_bytes,
		 char ret_path[SCRATCH_PATH_MAX])
{
	int fd =
		open(scratch_path(s, name, ret_path), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int ret = fd < 0 || ftruncate(fd, (off_t)n_bytes) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return ret;
}

/* Somebody else may take the device that was free a moment ago. */
static int configure_loop(int control, const struct loop_config *config,
			  char ret_path[SCRATCH_PATH_MAX])
{
	for (int i = 0; i < 10; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE), fd, ret;

		if (number < 0)
			return SCRATCH_NO_LOOP;
		snprintf(ret_path, SCRATCH_PATH_MAX, "/dev/loop%d", number);
		fd = open(ret_path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return SCRATCH_NO_LOOP;
		ret = ioctl(fd, LOOP_CONFIGURE, config) ? -errno : 0;
		close(fd);
		if (ret != -EBUSY)
			return ret;
	}
	return -EBUSY;
}

int scratch_loop(const char *file, uint32_t sector_bytes, bool readonly,
		 char ret_path[SCRATCH_PATH_MAX])
{
	struct loop_config config = {.block_size = sector_bytes};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd, ret;

	if (control < 0)
		return SCRATCH_NO_LOOP;
	fd = open(file, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	config.fd = (uint32_t)fd;
	config.info.lo_flags = readonly ? LO_FLAGS_READ_ONLY : 0;
	ret = fd < 0 ? -errno : configure_loop(control, &config, ret_path);
	if (fd >= 0)
		close(fd);
	close(control);
	return ret;
}

int scratch_mount(const struct scratch *s, const char *name, const char *fstype, const char *source,
		  const char *options, char ret_path[SCRATCH_PATH_MAX])
{
	if (mkdir(scratch_path(s, name, ret_path), 0700) ||
	    mount(source, ret_path, fstype, 0, options))
		return -errno;
	return 0;
}

static void run_child(char *const argv[], int out)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

/* All the output until the end of file; false when that took too long. */
static bool drain(int fd, char *output, size_t output_bytes)
{
	size_t n_got = 0;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char buf[256];
		ssize_t n;

		if (poll(&p, 1, RUN_MAX_MS) != 1)
			return false;
		n = read(fd, buf, sizeof(buf));
		if (n <= 0)
			return true;
		for (ssize_t i = 0; output && i < n && n_got + 1 < output_bytes; i++)
			output[n_got++] = buf[i];
		if (output)
			output[n_got] = 0;
	}
}

int scratch_run(char *const argv[], char *output, size_t output_bytes)
{
	int fds[2], status = 0;
	pid_t pid;

	if (output)
		output[0] = 0;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0)
		run_child(argv, fds[1]);
	close(fds[1]);
	if (pid > 0 && !drain(fds[0], output, output_bytes))
		kill(pid, SIGKILL);
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
