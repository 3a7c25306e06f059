/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hold.so: calls of munmap() and close() that take long, in a program that knows nothing of it; for
 * tests and benchmarks. Loaded by LD_PRELOAD. It stands for a kernel that is slow to take down a
 * large mapping, or a file whose last close waits for a server.
 *
 *   HOLD_FILE=PATH LD_PRELOAD=.../hold.so vhostd ...
 *
 * While the file PATH is there, calls are held as its one line says; the calls look at it each
 * time, so it is armed by rename() of a file written elsewhere, and disarmed by unlink():
 *
 *   MS CALL THREAD [ONCE]
 *
 *   MS      how long, in milliseconds
 *   CALL    munmap, close or both
 *   THREAD  made by threads of this name: vhost-events (librte_vhost's), vhostd-job
 *   ONCE    the word `once`: the file is removed by the first call that is held
 *
 * The call is made first and held after: the kernel, too, gives the descriptor's number free before
 * it does what takes long. While a call is held there is a file PATH.held (its content: "CALL
 * THREAD-ID"). close() of a standard stream is never held.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NAME_BYTES 16 /* TASK_COMM_LEN */

int munmap(void *addr, size_t n_bytes);

struct order {
	long ms;
	char call[16], thread[NAME_BYTES], once[8];
};

/* Raw system calls all the way: nothing here may come back to our close(). */
static bool read_order(const char *path, struct order *ret_order)
{
	char text[96];
	long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC), n;

	if (fd < 0)
		return false;
	n = syscall(SYS_read, fd, text, sizeof(text) - 1);
	syscall(SYS_close, fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	ret_order->once[0] = '\0';
	return sscanf(text, "%ld %15s %15s %7s", &ret_order->ms, ret_order->call, ret_order->thread,
		      ret_order->once) >= 3;
}

static bool is_meant(const char *thread)
{
	char own[NAME_BYTES] = "";

	prctl(PR_GET_NAME, own);
	return strcmp(thread, own) == 0;
}

static void say_held(const char *held, const char *call)
{
	char text[64];
	long fd;
	int n = snprintf(text, sizeof(text), "%s %ld\n", call, syscall(SYS_gettid));

	fd = syscall(SYS_openat, AT_FDCWD, held, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	syscall(SYS_write, fd, text, n);
	syscall(SYS_close, fd);
}

static void hold(const char *call)
{
	const char *path = getenv("HOLD_FILE");
	struct timespec time;
	struct order order;
	char held[256];
	int saved = errno;

	if (path && read_order(path, &order) && is_meant(order.thread) &&
	    (strcmp(order.call, "both") == 0 || strcmp(order.call, call) == 0) &&
	    (strcmp(order.once, "once") != 0 || syscall(SYS_unlink, path) == 0)) {
		snprintf(held, sizeof(held), "%s.held", path);
		say_held(held, call);
		time = (struct timespec){order.ms / 1000, order.ms % 1000 * 1000000};
		nanosleep(&time, NULL);
		syscall(SYS_unlink, held);
	}
	errno = saved;
}

int munmap(void *addr, size_t n_bytes)
{
	int rc = (int)syscall(SYS_munmap, addr, n_bytes);

	hold("munmap");
	return rc;
}

int close(int fd)
{
	int rc = (int)syscall(SYS_close, fd);

	if (fd > STDERR_FILENO)
		hold("close");
	return rc;
}
