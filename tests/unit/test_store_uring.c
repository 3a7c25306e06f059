/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What is special about the io_uring store: it lets nobody wait for a hung disk, calls the kernel
 * only when there is something to call it for, and says clearly when there is no io_uring. And what
 * `auto` chooses. Freezes a file system of its own, so for root only. No EAL.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/disk.h"
#include "lib/scratch.h"
#include "lib/unit.h"

#define MIB         (1ull << 20)
#define DISK_BYTES  (4 * MIB)
#define PAGE        4096u
#define N_HUNG      3 /* disks: more than the kernel's workers for two CPUs, if each took its share */
#define N_EACH      16
#define N_TURNS     1000
#define PATIENCE_MS 20000

static struct scratch here, shm;
static struct disk disk, hung[N_HUNG];
static char frozen[SCRATCH_PATH_MAX]; /* where a file system is mounted that may be frozen */

static struct store_params params_of(enum store_kind kind, const char *path)
{
	return (struct store_params){
		.kind = kind, .name = "test", .path = path, .block_size_bytes = 512};
}

static void open_kind(struct disk *d, enum store_kind kind, const char *path)
{
	const struct store_params params = params_of(kind, path);

	disk_open(d, &params);
}

/* ---- A disk that hangs ---- */

static void freeze(unsigned long request)
{
	int fd = open(frozen, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, request, 0), 0);
	close(fd);
}

static void thaw_quietly(void)
{
	int fd = open(frozen, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && *frozen)
		ioctl(fd, FITHAW, 0);
	if (fd >= 0)
		close(fd);
}

static void mount_one(void)
{
	char program[] = "mkfs.ext4", quiet[] = "-qF", file[SCRATCH_PATH_MAX];
	char device[SCRATCH_PATH_MAX], output[1024];
	char *argv[] = {program, quiet, device, NULL};

	if (geteuid() != 0)
		skip();
	assert_int_equal(scratch_file(&here, "file", 64 * MIB, file), 0);
	if (scratch_loop(file, 512, false, device) == SCRATCH_NO_LOOP)
		skip();
	assert_int_equal(scratch_run(argv, output, sizeof(output)), 0);
	assert_int_equal(scratch_mount(&here, "mnt", "ext4", device, "", frozen), 0);
}

static void open_frozen(struct disk *d, unsigned int i)
{
	char name[32], path[SCRATCH_PATH_MAX];

	snprintf(name, sizeof(name), "mnt/disk%u", i);
	assert_int_equal(scratch_file(&here, name, DISK_BYTES, path), 0);
	open_kind(d, STORE_KIND_URING, path);
}

static struct store_io ios[N_HUNG][N_EACH];

static void submit_zeroes(struct disk *d, struct store_io *to, unsigned int n)
{
	struct store_io *list[N_EACH];

	for (unsigned int i = 0; i < n; i++) {
		to[i] = (struct store_io){.op = STORE_WRITE_ZEROES,
					  .flags = STORE_IO_UNMAP,
					  .result = 1,
					  .offset_bytes = i * (uint64_t)PAGE,
					  .n_bytes = PAGE};
		list[i] = &to[i];
	}
	disk_submit(d, list, n);
}

/* The kernel's workers are the lcore's, and so for all of its disks: those that hang leave enough
 * of them to the others. */
static void test_hung_disks(void **state)
{
	char path[SCRATCH_PATH_MAX];

	(void)state;
	mount_one();
	for (unsigned int i = 0; i < N_HUNG; i++)
		open_frozen(&hung[i], i);
	freeze(FIFREEZE);
	for (unsigned int i = 0; i < N_HUNG; i++)
		submit_zeroes(&hung[i], ios[i], N_EACH);
	assert_int_equal(scratch_file(&here, "free", DISK_BYTES, path), 0);
	open_kind(&disk, STORE_KIND_URING, path);
	for (unsigned int i = 0; i < N_EACH; i++) {
		assert_int_equal(disk_flush(&disk), 0);
		assert_int_equal(disk_do(&disk, STORE_DISCARD, 0, 0, NULL, MIB), 0);
		assert_int_equal(disk_do(&disk, STORE_WRITE_ZEROES, STORE_IO_FUA, 0, NULL, MIB), 0);
	}
	for (unsigned int i = 0; i < N_HUNG; i++)
		assert_int_equal(hung[i].channel->n_inflight, N_EACH);
	freeze(FITHAW);
	for (unsigned int i = 0; i < N_HUNG; i++) {
		disk_wait(&hung[i]);
		for (unsigned int k = 0; k < N_EACH; k++)
			assert_int_equal(ios[i][k].result, 0);
	}
}

/* ---- The CPUs of the kernel's workers ---- */

/* Whether it is one of the process's io-wq threads. */
static bool is_worker(const char *tid)
{
	char path[64], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", tid);
	file = fopen(path, "re");
	if (file && !fgets(name, sizeof(name), file))
		name[0] = '\0';
	if (file)
		fclose(file);
	return strncmp(name, "iou-wrk", strlen("iou-wrk")) == 0;
}

/* Asserts that all workers may run on these CPUs only; how many there are. */
static unsigned int check_workers(const cpu_set_t *cpus)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int n = 0;
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		cpu_set_t got;

		if (!is_worker(entry->d_name))
			continue;
		assert_int_equal(sched_getaffinity(atoi(entry->d_name), sizeof(got), &got), 0);
		assert_memory_equal(&got, cpus, sizeof(got));
		n++;
	}
	closedir(dir);
	return n;
}

/* They run where the helpers run, not where the lcore does. */
static void test_worker_cpus(void **state)
{
	cpu_set_t all, first, last;
	char path[SCRATCH_PATH_MAX];
	int a = -1, b = -1;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		a = a < 0 ? cpu : a;
		b = cpu;
	}
	CPU_ZERO(&first);
	CPU_SET(a, &first);
	CPU_ZERO(&last);
	CPU_SET(b, &last);
	assert_int_equal(scratch_file(&here, "disk", DISK_BYTES, path), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(first), &first), 0);
	open_kind(&disk, STORE_KIND_URING, path); /* helpers run where their maker may */
	assert_int_equal(sched_setaffinity(0, sizeof(last), &last), 0);
	submit_zeroes(&disk, ios[0], N_EACH);
	disk_wait(&disk);
	assert_int_equal(disk_flush(&disk), 0);
	assert_true(check_workers(&first) > 0);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

/* ---- System calls ---- */

/* From now on the calling thread gets `action` for system calls nr and above, up to last. */
static int filter_calls(uint32_t nr, uint32_t last, uint32_t action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, nr, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* In a child: an operation hangs; io_uring_enter() is deadly; the lcore polls. */
static void poll_hung_disk(int done_fd)
{
	struct store_io *got[1];

	open_frozen(&hung[0], 0);
	freeze(FIFREEZE);
	submit_zeroes(&hung[0], ios[0], 2);
	disk_reap(&hung[0], got, 1); /* takes what the start of the ring has left */
	if (filter_calls(SYS_io_uring_enter, SYS_io_uring_enter, SECCOMP_RET_KILL_PROCESS))
		_exit(2);
	for (unsigned int i = 0; i < N_TURNS; i++)
		if (disk_reap(&hung[0], got, 1))
			_exit(3);
	if (write(done_fd, "", 1) != 1)
		_exit(4);
	_exit(0);
}

static void test_idle_turns(void **state)
{
	struct pollfd child_end;
	int fds[2], status;
	char done;
	pid_t pid;

	(void)state;
	mount_one();
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		poll_hung_disk(fds[1]);
	}
	close(fds[1]);
	child_end = (struct pollfd){.fd = fds[0], .events = POLLIN};
	assert_int_equal(poll(&child_end, 1, PATIENCE_MS), 1); /* if killed, it dies when thawed */
	assert_int_equal(read(fds[0], &done, 1), 1);
	close(fds[0]);
	freeze(FITHAW);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- tmpfs ---- */

/* A page that whoever touches it waits for, until page_give(). */
static int page_make(uint8_t **ret_page)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, UFFDIO_API, &api), 0);
	*ret_page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)*ret_page;
	reg.range.len = PAGE;
	assert_int_equal(ioctl(fd, UFFDIO_REGISTER, &reg), 0);
	return fd;
}

static void page_give(int fd, uint8_t *page)
{
	struct uffdio_zeropage zero = {.range = {(uintptr_t)page, PAGE}};

	assert_int_equal(ioctl(fd, UFFDIO_ZEROPAGE, &zero), 0);
	close(fd);
}

/* A read whose copying takes for ever doesn't keep the lcore: it isn't the lcore that copies. */
static void test_tmpfs(void **state)
{
	struct store_io io = {.op = STORE_READ, .n_iov = 1, .n_bytes = PAGE}, *one = &io;
	uint8_t *page, *buf = disk_buffer(PAGE);
	char path[SCRATCH_PATH_MAX];
	struct iovec iov = {NULL, PAGE};
	int fd;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(scratch_file(&shm, "disk", DISK_BYTES, path), 0);
	open_kind(&disk, STORE_KIND_URING, path);
	disk_pattern(buf, PAGE, 7);
	assert_int_equal(disk_write(&disk, 0, buf, PAGE), 0);
	fd = page_make(&page);
	iov.iov_base = page;
	io.iov = &iov;
	alarm(30); /* kills a test that is kept */
	disk_submit(&disk, &one, 1);
	for (unsigned int i = 0; i < N_TURNS; i++)
		assert_int_equal(disk_reap(&disk, &one, 1), 0);
	alarm(0);
	page_give(fd, page);
	disk_wait(&disk);
	assert_int_equal(io.result, 0);
	assert_memory_equal(page, buf, PAGE);
	munmap(page, PAGE);
	free(buf);
}

/* ---- auto, and no io_uring ---- */

static void expect_choice(const char *path, enum store_kind kind, const char *why)
{
	open_kind(&disk, STORE_KIND_AUTO, path);
	assert_string_equal(store_kind_name(disk.store->ops->kind), store_kind_name(kind));
	if (!strstr(disk.store->why, why))
		fail_msg("\"%s\" doesn't speak of \"%s\"", disk.store->why, why);
	assert_int_equal(disk_flush(&disk), 0);
	disk_close(&disk);
}

static void test_auto(void **state)
{
	const struct store_params none = params_of(STORE_KIND_AUTO, "/nonexistent/disk");
	struct error err = {0};
	char path[SCRATCH_PATH_MAX];

	(void)state;
	assert_int_equal(scratch_file(&shm, "disk", DISK_BYTES, path), 0);
	expect_choice(path, STORE_KIND_AIO, "on tmpfs it copies at once");
	assert_int_equal(scratch_file(&here, "disk", DISK_BYTES, path), 0);
	expect_choice(path, STORE_KIND_URING, "with O_DIRECT it is as fast as aio");
	open_kind(&disk, STORE_KIND_URING, path);
	assert_string_equal(disk.store->why, "it was asked for");
	disk_close(&disk);
	assert_int_equal(disk_try_open(&disk, &none, &err), -1);
	assert_string_equal(err.text, "path: /nonexistent/disk: No such file or directory");
}

static void expect_text(const char *got, const char *wanted)
{
	if (strcmp(got, wanted) == 0)
		return;
	fprintf(stderr, "\"%s\" where \"%s\" was expected\n", got, wanted);
	_exit(1);
}

/* In a child without io_uring. */
static void run_without(const char *path, int because, const char *reason, const char *remedy)
{
	const struct store_params params = params_of(STORE_KIND_URING, path);
	char text[512];
	struct error err = {0};

	if (filter_calls(SYS_io_uring_setup, SYS_io_uring_register,
			 SECCOMP_RET_ERRNO | (uint32_t)because))
		_exit(2);
	snprintf(text, sizeof(text), "backend: %s; %s, or use aio", reason, remedy);
	if (disk_try_open(&disk, &params, &err) == 0)
		_exit(3);
	expect_text(err.text, text);
	open_kind(&disk, STORE_KIND_AUTO, path);
	expect_text(store_kind_name(disk.store->ops->kind), "aio");
	expect_text(disk.store->why, reason);
	_exit(disk_flush(&disk) ? 4 : 0);
}

static void test_no_uring(void **state)
{
	static const struct {
		int because;
		const char *reason, *remedy;
	} cases[] = {
		{EPERM, "io_uring is forbidden to vhostd", "allow it in the system call filter"},
		{ENOSYS, "this kernel's io_uring is missing or too old", "take Linux 5.6 or later"},
		{ENOMEM, "io_uring can't be had: Cannot allocate memory",
		 "raise the limit of locked memory (LimitMEMLOCK=)"},
		{EMFILE, "io_uring can't be had: Too many open files",
		 "raise the limit of open files (LimitNOFILE=)"},
	};
	char path[SCRATCH_PATH_MAX];

	(void)state;
	assert_int_equal(scratch_file(&here, "disk", DISK_BYTES, path), 0);
	for (unsigned int i = 0; i < ARRAY_LEN(cases); i++) {
		int status;
		pid_t pid;

		fflush(NULL);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			run_without(path, cases[i].because, cases[i].reason, cases[i].remedy);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status)
			fail_msg("%s: the child ended with status %#x", strerror(cases[i].because),
				 status);
	}
}

static int teardown(void **state)
{
	(void)state;
	thaw_quietly();
	disk_close(&disk);
	for (unsigned int i = 0; i < N_HUNG; i++)
		disk_close(&hung[i]);
	frozen[0] = '\0';
	scratch_clear(&here);
	scratch_clear(&shm);
	return 0;
}

static int group_setup(void **state)
{
	(void)state;
	return scratch_open(&here, ".") || scratch_open(&shm, "/dev/shm") ? -1 : 0;
}

static int group_teardown(void **state)
{
	(void)state;
	scratch_close(&here);
	scratch_close(&shm);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_worker_cpus), TEST(test_hung_disks), TEST(test_idle_turns),
		TEST(test_tmpfs),       TEST(test_auto),       TEST(test_no_uring),
	};

	return cmocka_run_group_tests_name("store_uring", tests, group_setup, group_teardown);
}
