/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Guest memory that is pinned for the io_uring store: what is read and written through it, who
 * shares it, and what becomes of it where it can't be had. And the store's other settings: a thread
 * of the kernel that submits, and polling. No EAL.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/pinned.h"
#include "lib/disk.h"
#include "lib/scratch.h"
#include "lib/unit.h"

#define MIB         (1ull << 20)
#define DISK_BYTES  (32 * MIB)
#define GUEST_BYTES (20 * MIB) /* pieces of 8, 8 and 4 MiB */
#define PIECE       (8 * MIB)
#define PAGE        4096u
#define N_IOS       64

static struct scratch here;
static struct disk disk;
static struct pinned_area memory[2];
static struct pinned *pinned[2];

/* With all of its pages, or, with ret_fd, with none. */
static struct pinned_area memory_make(uint64_t n_bytes, int *ret_fd)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	void *addr;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)n_bytes), 0);
	addr = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(addr != MAP_FAILED);
	if (ret_fd) {
		*ret_fd = fd;
	} else {
		memset(addr, 0, n_bytes);
		close(fd);
	}
	return (struct pinned_area){addr, n_bytes, PAGE};
}

/* The first n of `memory`. */
static struct pinned *pin(unsigned int n, const struct pinned *before)
{
	const atomic_bool cancel = false;
	char why[PINNED_WHY_BYTES];
	struct pinned *p = NULL;

	role_enter(&role_job);
	if (pinned_new(memory, n, before, &cancel, &p, why))
		fail_msg("%s", why);
	role_leave(&role_job);
	return p;
}

static void unpin(struct pinned **p)
{
	role_enter(&role_job);
	pinned_free(*p);
	role_leave(&role_job);
	*p = NULL;
}

static void use(const struct pinned *p)
{
	role_enter(&role_lcore);
	assert_int_equal(store_use_pinned(disk.channel, p), 0);
	role_leave(&role_lcore);
}

static void open_disk(struct uring_settings settings)
{
	char path[SCRATCH_PATH_MAX];

	assert_int_equal(scratch_file(&here, "disk", DISK_BYTES, path), 0);
	disk_open(&disk, &(struct store_params){.kind = STORE_KIND_URING,
						.name = "test",
						.path = path,
						.block_size_bytes = 512,
						.uring = settings});
}

/* It is written and read in steps of 512 KiB; what is left at last, of up to a MiB, in one. */
#define PIECE_STEPS (2 * (PIECE / (512u << 10) - 1))

/* Written from this memory and read back into it; how many of the two were on pinned memory. */
static uint64_t check_data(uint8_t *at, uint64_t n_bytes, uint64_t seed)
{
	uint64_t n_before = atomic_load(&disk.channel->n_pinned);
	uint8_t *wanted = disk_buffer(n_bytes), *other = disk_buffer(n_bytes);

	disk_pattern(wanted, n_bytes, seed);
	memcpy(at, wanted, n_bytes);
	assert_int_equal(disk_write(&disk, MIB, at, n_bytes), 0);
	memset(at, 0, n_bytes);
	assert_int_equal(disk_read(&disk, MIB, other, n_bytes), 0);
	assert_memory_equal(other, wanted, n_bytes);
	assert_int_equal(disk_read(&disk, MIB, at, n_bytes), 0);
	assert_memory_equal(at, wanted, n_bytes);
	free(wanted);
	free(other);
	return atomic_load(&disk.channel->n_pinned) - n_before;
}

static void test_data(void **state)
{
	uint8_t *guest;

	(void)state;
	open_disk((struct uring_settings){0});
	memory[0] = memory_make(GUEST_BYTES, NULL);
	guest = memory[0].addr;
	assert_int_equal(check_data(guest, PAGE, 1), 0);
	pinned[0] = pin(1, NULL);
	assert_int_equal(pinned[0]->n_pieces, 3);
	assert_int_equal(check_data(guest, PAGE, 2), 0);
	use(pinned[0]);
	assert_int_equal(check_data(guest, PAGE, 3), 2);
	assert_int_equal(check_data(guest, PIECE, 4), PIECE_STEPS);
	assert_int_equal(check_data(guest + PIECE - PAGE, PAGE, 5), 2);
	assert_int_equal(check_data(guest + PIECE, PAGE, 6), 2);
	assert_int_equal(check_data(guest + GUEST_BYTES - PAGE, PAGE, 7), 2);
	assert_int_equal(check_data(guest + PIECE - PAGE, 2ull * PAGE, 8), 0); /* of two pieces */
	assert_int_equal(check_data(guest + 512, 512, 9), 2);
	use(NULL);
	assert_int_equal(check_data(guest, PAGE, 10), 0);
}

/* A table that has the same memory and more shares it; the older one may go first. */
static void test_plugging(void **state)
{
	(void)state;
	open_disk((struct uring_settings){0});
	memory[0] = memory_make(GUEST_BYTES, NULL);
	memory[1] = memory_make(GUEST_BYTES, NULL);
	pinned[0] = pin(1, NULL);
	use(pinned[0]);
	assert_int_equal(check_data(memory[0].addr, PAGE, 1), 2);
	assert_int_equal(check_data(memory[1].addr, PAGE, 2), 0);
	pinned[1] = pin(2, pinned[0]);
	use(pinned[1]);
	unpin(&pinned[0]);
	assert_int_equal(check_data(memory[0].addr + PIECE, PAGE, 3), 2);
	assert_int_equal(check_data(memory[1].addr, PIECE, 4), PIECE_STEPS);
	pinned[0] = pin(1, pinned[1]); /* out again */
	use(pinned[0]);
	unpin(&pinned[1]);
	assert_int_equal(check_data(memory[0].addr + PIECE, PAGE, 5), 2);
	assert_int_equal(check_data(memory[1].addr, PAGE, 6), 0);
}

/* What is in flight when the lcore forgets ends where it began. */
static void test_forgetting(void **state)
{
	static struct store_io ios[N_IOS];
	struct store_io *list[N_IOS];
	struct iovec iov[N_IOS];
	uint8_t *wanted = disk_buffer(PIECE);

	(void)state;
	open_disk((struct uring_settings){0});
	memory[0] = memory_make(GUEST_BYTES, NULL);
	disk_pattern(wanted, PIECE, 1);
	assert_int_equal(disk_write(&disk, 0, wanted, PIECE), 0);
	pinned[0] = pin(1, NULL);
	for (unsigned int round = 0; round < 20; round++) {
		use(pinned[0]);
		memset(memory[0].addr, 0, PIECE);
		for (unsigned int i = 0; i < N_IOS; i++) {
			uint64_t at = i * (PIECE / N_IOS);

			iov[i] = (struct iovec){memory[0].addr + at, PIECE / N_IOS};
			ios[i] = (struct store_io){.op = STORE_READ,
						   .n_iov = 1,
						   .iov = &iov[i],
						   .result = 1,
						   .offset_bytes = at,
						   .n_bytes = PIECE / N_IOS};
			list[i] = &ios[i];
		}
		disk_submit(&disk, list, N_IOS);
		use(NULL);
		disk_wait(&disk);
		for (unsigned int i = 0; i < N_IOS; i++)
			assert_int_equal(ios[i].result, 0);
		assert_memory_equal(memory[0].addr, wanted, PIECE);
	}
	assert_int_equal(atomic_load(&disk.channel->n_pinned), 20 * N_IOS);
	free(wanted);
}

static uint64_t n_bytes_there(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* A guest's memory that is not there isn't allocated by us. */
static void test_not_there(void **state)
{
	const atomic_bool cancel = false;
	char why[PINNED_WHY_BYTES];
	int fd;

	(void)state;
	memory[0] = memory_make(GUEST_BYTES, &fd);
	memset(memory[0].addr, 0, PIECE - PAGE);
	role_enter(&role_job);
	assert_int_equal(pinned_new(memory, 1, NULL, &cancel, &pinned[0], why), -1);
	role_leave(&role_job);
	assert_fault(why, "QEMU: prealloc=on");
	assert_int_equal(n_bytes_there(fd), PIECE - PAGE);
	close(fd);
}

static void test_cancelling(void **state)
{
	const atomic_bool cancel = true;
	char why[PINNED_WHY_BYTES];
	int fd;

	(void)state;
	memory[0] = memory_make(GUEST_BYTES, &fd);
	role_enter(&role_job);
	assert_int_equal(pinned_new(memory, 1, NULL, &cancel, &pinned[0], why), -1);
	role_leave(&role_job);
	assert_null(pinned[0]);
	assert_int_equal(n_bytes_there(fd), 0);
	close(fd);
}

/* In a child with a limit that holds: the memory isn't even touched. */
static void run_limited(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
	const struct rlimit limit = {MIB, MIB};
	const atomic_bool cancel = false;
	char why[PINNED_WHY_BYTES];
	struct pinned *p = NULL;
	int fd;

	memory[0] = memory_make(GUEST_BYTES, &fd);
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || syscall(SYS_capset, &header, none))
		_exit(2);
	role_enter(&role_job);
	if (pinned_new(memory, 1, NULL, &cancel, &p, why) == 0)
		_exit(3);
	role_leave(&role_job);
	if (!strstr(why, "the guest has 20971520 bytes, and the limit of locked memory"))
		_exit(4);
	_exit(n_bytes_there(fd) ? 5 : 0);
}

static void test_limit(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run_limited();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- sqpoll, iopoll ---- */

static unsigned int some_cpu(void)
{
	cpu_set_t cpus;
	unsigned int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	return cpu;
}

/* Also when the kernel's thread has gone to sleep in between. */
static void test_sqpoll(void **state)
{
	uint8_t *buf = disk_buffer(MIB);

	(void)state;
	open_disk((struct uring_settings){.sqpoll = true, .sqpoll_cpu = some_cpu()});
	for (unsigned int i = 0; i < 5; i++) {
		check_data(buf, MIB, i);
		assert_int_equal(disk_flush(&disk), 0);
		assert_int_equal(disk_do(&disk, STORE_DISCARD, 0, 0, NULL, PAGE), 0);
		usleep(20000);
	}
	free(buf);
}

static void test_sqpoll_cpu_is_none(void **state)
{
	struct error err = {0};
	char path[SCRATCH_PATH_MAX];

	(void)state;
	assert_int_equal(scratch_file(&here, "disk", DISK_BYTES, path), 0);
	assert_int_equal(disk_try_open(&disk,
				       &(struct store_params){
					       .kind = STORE_KIND_URING,
					       .name = "test",
					       .path = path,
					       .block_size_bytes = 512,
					       .uring = {.sqpoll = true, .sqpoll_cpu = 100000}},
				       &err),
			 -1);
	assert_string_equal(err.text, "sqpoll_cpu: 100000 is no CPU that vhostd may use");
}

static bool fake_poll_queues;

/* A loop device has no queues to poll. What says so is open to being told otherwise; the kernel
 * then takes polled requests, and ends them as any. */
int open(const char *path, int flags, ...)
{
	static int (*real_open)(const char *, int, ...);
	va_list args;
	mode_t mode;
	int fd;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (!real_open)
		*(void **)&real_open = dlsym(RTLD_NEXT, "open");
	if (!fake_poll_queues || !strstr(path, "/queue/io_poll"))
		return real_open(path, flags, mode);
	fd = memfd_create("io_poll", MFD_CLOEXEC);
	if (pwrite(fd, "1\n", 2, 0) != 2)
		return -1;
	return fd;
}

static int open_loop(enum store_kind kind, struct error *err)
{
	char file[SCRATCH_PATH_MAX], device[SCRATCH_PATH_MAX];

	assert_int_equal(scratch_file(&here, "file", DISK_BYTES, file), 0);
	if (scratch_loop(file, 512, false, device) == SCRATCH_NO_LOOP)
		skip();
	return disk_try_open(&disk,
			     &(struct store_params){.kind = kind,
						    .name = "test",
						    .path = device,
						    .block_size_bytes = 512,
						    .uring = {.iopoll = true}},
			     err);
}

static void test_iopoll(void **state)
{
	uint8_t *buf = disk_buffer(MIB);
	struct error err = {0};

	(void)state;
	if (geteuid() != 0)
		skip();
	fake_poll_queues = true;
	if (open_loop(STORE_KIND_AUTO, &err))
		fail_msg("%s", err.text);
	fake_poll_queues = false;
	assert_string_equal(store_kind_name(disk.store->ops->kind), "uring");
	for (unsigned int i = 0; i < 5; i++) {
		check_data(buf, MIB, i);
		assert_int_equal(disk_flush(&disk), 0);
		assert_int_equal(disk_do(&disk, STORE_DISCARD, 0, 8 * MIB, NULL, MIB), 0);
		assert_int_equal(disk_do(&disk, STORE_WRITE_ZEROES, 0, 8 * MIB, NULL, MIB), 0);
	}
	assert_int_equal(disk.channel->n_away, 0);
	free(buf);
}

static void test_iopoll_is_refused(void **state)
{
	struct error err = {0};
	char path[SCRATCH_PATH_MAX];

	(void)state;
	assert_int_equal(scratch_file(&here, "disk", DISK_BYTES, path), 0);
	assert_int_equal(disk_try_open(&disk,
				       &(struct store_params){.kind = STORE_KIND_URING,
							      .name = "test",
							      .path = path,
							      .block_size_bytes = 512,
							      .uring = {.iopoll = true}},
				       &err),
			 -1);
	assert_fault(err.text, "iopoll: only a block device can be polled");
	if (geteuid() != 0)
		skip();
	err = (struct error){0};
	assert_int_equal(open_loop(STORE_KIND_URING, &err), -1);
	assert_fault(err.text, "iopoll: the device has no queues to poll");
}

static int teardown(void **state)
{
	(void)state;
	fake_poll_queues = false;
	if (disk.channel)
		use(NULL);
	disk_close(&disk);
	for (unsigned int i = 0; i < 2; i++) {
		unpin(&pinned[i]);
		if (memory[i].addr)
			munmap(memory[i].addr, memory[i].n_bytes);
		memory[i] = (struct pinned_area){0};
	}
	scratch_clear(&here);
	return 0;
}

static int group_setup(void **state)
{
	(void)state;
	return scratch_open(&here, ".");
}

static int group_teardown(void **state)
{
	(void)state;
	scratch_close(&here);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_data),       TEST(test_plugging),
		TEST(test_forgetting), TEST(test_not_there),
		TEST(test_cancelling), TEST(test_limit),
		TEST(test_sqpoll),     TEST(test_sqpoll_cpu_is_none),
		TEST(test_iopoll),     TEST(test_iopoll_is_refused),
	};

	return cmocka_run_group_tests_name("store_pinned", tests, group_setup, group_teardown);
}
