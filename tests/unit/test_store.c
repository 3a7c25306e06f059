/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Stores: what is written is read again, through buffers of any shape, with many operations at
 * once; what can't be opened is refused with words that help. No EAL. Block devices:
 * test_store_loop.c.
 */
#include "test_store_rig.h"

#include <sys/socket.h>
#include <sys/un.h>

#define MIB           (1ull << 20)
#define DISK_BYTES    (24 * MIB)
#define N_ROUNDS      250
#define MANY_PIECES   1500 /* more than the kernel takes at once */
#define MANY_IOS      700  /* more than an io_context has room for */
#define MANY_IO_BYTES 4096

static char dir_disk[PATH_MAX], dir_shm[PATH_MAX]; /* an ordinary file system, and tmpfs */
static char path[PATH_MAX + 64];

static const char *in(const char *dir, const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct store_params aio(const char *file)
{
	return (struct store_params){.kind = STORE_KIND_AIO, .path = file};
}

static void open_file(struct rig *rig, const char *dir, uint64_t n_bytes)
{
	struct store_params p = aio(in(dir, "disk"));

	rig_file(path, n_bytes);
	rig_open(rig, &p);
}

static void open_memory(struct rig *rig, enum store_kind kind, uint64_t n_bytes)
{
	struct store_params p = {.kind = kind, .size_bytes = n_bytes};

	rig_open(rig, &p);
}

static void test_kinds(void **state)
{
	enum store_kind kind = STORE_N_KINDS;

	(void)state;
	assert_string_equal(store_kind_name(STORE_KIND_AIO), "aio");
	assert_int_equal(store_kind_parse("malloc", &kind), 0);
	assert_int_equal(kind, STORE_KIND_MALLOC);
	assert_int_equal(store_kind_parse("nul", &kind), -EINVAL);
	assert_int_equal(kind, STORE_KIND_MALLOC);
}

static void test_data_file(void **state)
{
	struct rig rig;

	(void)state;
	open_file(&rig, dir_disk, DISK_BYTES);
	assert_true(rig.store->caps.volatile_cache);
	rig_random(&rig, 0x5eed1, N_ROUNDS);
	rig_close(&rig);
}

static void test_data_tmpfs(void **state)
{
	struct rig rig;

	(void)state;
	open_file(&rig, dir_shm, DISK_BYTES);
	rig_random(&rig, 0x5eed2, N_ROUNDS);
	rig_close(&rig);
}

static void test_data_malloc(void **state)
{
	struct rig rig;

	(void)state;
	open_memory(&rig, STORE_KIND_MALLOC, DISK_BYTES);
	assert_false(rig.store->caps.volatile_cache);
	rig_random(&rig, 0x5eed3, N_ROUNDS);
	rig_close(&rig);
}

static void test_null(void **state)
{
	uint8_t buf[1024];
	struct rig rig;

	(void)state;
	open_memory(&rig, STORE_KIND_NULL, DISK_BYTES);
	memset(buf, 0x77, sizeof(buf));
	assert_int_equal(rig_rw(&rig, STORE_READ, 0, buf, sizeof(buf)), 0);
	for (unsigned int i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0x77);
	for (int op = STORE_FLUSH; op <= STORE_WRITE_ZEROES; op++)
		assert_int_equal(rig_range(&rig, (enum store_op)op, 0, 0, 512), 0);
	rig_close(&rig);
}

/* Many small pieces of one operation, each on its own. */
static void many_pieces(struct rig *rig, size_t piece_bytes, size_t stride)
{
	size_t n_bytes = MANY_PIECES * piece_bytes;
	struct iovec *iov = calloc(MANY_PIECES, sizeof(*iov));
	uint8_t *buf = aligned_alloc(4096, MANY_PIECES * stride), *flat = malloc(n_bytes);

	assert_true(iov && buf && flat);
	memset(buf, 0, MANY_PIECES * stride);
	for (unsigned int i = 0; i < MANY_PIECES; i++) {
		iov[i] = (struct iovec){buf + i * stride, piece_bytes};
		memset(iov[i].iov_base, (int)(i % 251), piece_bytes);
	}
	assert_int_equal(rig_iov(rig, STORE_WRITE, 0, 4096, iov, MANY_PIECES), 0);
	assert_int_equal(rig_rw(rig, STORE_READ, 4096, flat, n_bytes), 0);
	for (unsigned int i = 0; i < n_bytes; i++)
		assert_int_equal(flat[i], i / piece_bytes % 251);
	memset(buf, 0, MANY_PIECES * stride);
	for (unsigned int i = 0; i < MANY_PIECES; i++)
		iov[i] = (struct iovec){buf + i * stride, piece_bytes};
	assert_int_equal(rig_iov(rig, STORE_READ, 0, 4096, iov, MANY_PIECES), 0);
	for (unsigned int i = 0; i < MANY_PIECES; i++)
		assert_memory_equal(buf + i * stride, flat + i * piece_bytes, piece_bytes);
	free(iov);
	free(buf);
	free(flat);
}

static void test_many_pieces(void **state)
{
	struct rig rig;

	(void)state;
	open_file(&rig, dir_disk, DISK_BYTES);
	many_pieces(&rig, 512, 1024);
	many_pieces(&rig, 512, 513);
	rig_close(&rig);
	open_file(&rig, dir_shm, DISK_BYTES);
	many_pieces(&rig, 512, 1024);
	rig_close(&rig);
	open_memory(&rig, STORE_KIND_MALLOC, DISK_BYTES);
	many_pieces(&rig, 512, 700);
	rig_close(&rig);
}

/* A store takes all it is given; what it has no room for waits. `skew`: of the buffers. */
static void many_ios(struct rig *rig, enum store_op op, uint8_t *buf, size_t skew)
{
	struct store_io *ios = calloc(MANY_IOS, sizeof(*ios)), *list[MANY_IOS];
	struct iovec iov[MANY_IOS];

	assert_non_null(ios);
	for (unsigned int i = 0; i < MANY_IOS; i++) {
		iov[i] = (struct iovec){buf + skew + i * MANY_IO_BYTES, MANY_IO_BYTES};
		ios[i] = (struct store_io){.op = op,
					   .n_iov = 1,
					   .offset_bytes = i * MANY_IO_BYTES,
					   .n_bytes = MANY_IO_BYTES,
					   .iov = &iov[i]};
		list[i] = &ios[i];
	}
	for (unsigned int i = 0; i < MANY_IOS; i += 35)
		rig_submit(rig, list + i, 35);
	assert_int_equal(rig->channel->n_inflight, MANY_IOS);
	rig_wait(rig, list, MANY_IOS);
	for (unsigned int i = 0; i < MANY_IOS; i++)
		assert_int_equal(ios[i].result, 0);
	free(ios);
}

static void check_many_ios(struct rig *rig)
{
	size_t n_bytes = MANY_IOS * MANY_IO_BYTES;
	uint8_t *buf = aligned_alloc(4096, n_bytes + 4096),
		*again = aligned_alloc(4096, n_bytes + 4096);

	assert_true(buf && again);
	for (size_t skew = 0; skew <= 3; skew += 3) {
		for (size_t i = 0; i < n_bytes; i++)
			buf[skew + i] = (uint8_t)(i / MANY_IO_BYTES * 7 + i + skew);
		memset(again, 0, n_bytes + 4096);
		many_ios(rig, STORE_WRITE, buf, skew);
		many_ios(rig, STORE_READ, again, skew);
		assert_memory_equal(again + skew, buf + skew, n_bytes);
	}
	free(buf);
	free(again);
}

static void test_many_ios(void **state)
{
	struct rig rig;

	(void)state;
	open_file(&rig, dir_disk, DISK_BYTES);
	check_many_ios(&rig);
	rig_close(&rig);
	open_file(&rig, dir_shm, DISK_BYTES);
	check_many_ios(&rig);
	rig_close(&rig);
	open_memory(&rig, STORE_KIND_MALLOC, DISK_BYTES);
	check_many_ios(&rig);
	rig_close(&rig);
}

/* The file has shrunk under us: an error, not the zeroes or whatever the buffer had. */
static void test_shrunk_file(void **state)
{
	const char *const dirs[] = {dir_disk, dir_shm};
	uint8_t *buf = aligned_alloc(4096, 8192);
	struct rig rig;

	(void)state;
	assert_non_null(buf);
	for (unsigned int i = 0; i < ARRAY_LEN(dirs); i++) {
		open_file(&rig, dirs[i], DISK_BYTES);
		assert_int_equal(truncate(path, (off_t)MIB), 0);
		assert_int_equal(rig_rw(&rig, STORE_READ, 0, buf, 4096), 0);
		assert_int_equal(rig_rw(&rig, STORE_READ, 2 * MIB, buf, 4096), -EIO);
		assert_int_equal(rig_rw(&rig, STORE_READ, 2 * MIB, buf + 1, 4096), -EIO);
		assert_int_equal(rig_rw(&rig, STORE_READ, MIB - 4096, buf, 8192), -EIO);
		assert_int_equal(rig_n_errors(&rig), 3);
		rig_close(&rig);
	}
	free(buf);
}

static void test_readonly(void **state)
{
	struct store_params p = aio(in(dir_disk, "disk"));
	uint8_t *buf = aligned_alloc(4096, 4096);
	struct rig rig;

	(void)state;
	assert_non_null(buf);
	rig_file(path, MIB);
	p.readonly = true;
	rig_open(&rig, &p);
	assert_true(rig.store->caps.readonly);
	assert_false(rig.store->caps.discard);
	assert_false(rig.store->caps.write_zeroes);
	memset(buf, 1, 4096);
	assert_true(rig_rw(&rig, STORE_WRITE, 0, buf, 4096) < 0);
	assert_int_equal(rig_rw(&rig, STORE_READ, 0, buf, 4096), 0);
	assert_int_equal(buf[0], 0);
	rig_close(&rig);
	free(buf);
}

static void test_capacity(void **state)
{
	struct store_params p = aio(in(dir_disk, "disk"));
	struct rig rig;

	(void)state;
	rig_file(path, MIB + 700);
	rig_open(&rig, &p);
	assert_int_equal(rig_capacity(&rig), MIB + 512);
	rig_close(&rig);
	p.block_size_bytes = 4096;
	rig_open(&rig, &p);
	assert_int_equal(rig_capacity(&rig), MIB);
	rig_close(&rig);
	p.size_bytes = 65536;
	rig_open(&rig, &p);
	assert_int_equal(rig_capacity(&rig), 65536);
	rig_close(&rig);
}

static void test_refused(void **state)
{
	struct store_params p = aio(in(dir_disk, "none"));
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "./store-test.sock"};
	int fd;

	(void)state;
	rig_assert_refused(&p, VHOSTD_ERR_STORE, "path:", path, "No such file");
	p.path = dir_disk;
	rig_assert_refused(&p, VHOSTD_ERR_STORE, "path:", dir_disk, "directory", "regular file");
	p.path = in(dir_disk, "fifo");
	assert_int_equal(mkfifo(path, 0600), 0);
	rig_assert_refused(&p, VHOSTD_ERR_STORE, "path:", path, "FIFO");
	p.path = "/dev/null";
	rig_assert_refused(&p, VHOSTD_ERR_STORE, "path:", "/dev/null", "character device");
	p.path = addr.sun_path;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(addr.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	rig_assert_refused(&p, VHOSTD_ERR_STORE, "path:", addr.sun_path, "socket");
	unlink(addr.sun_path);
	close(fd);
	p.path = in(dir_disk, "disk");
	rig_file(path, 0);
	rig_assert_refused(&p, VHOSTD_ERR_STORE, "path:", path, "0 bytes");
	rig_file(path, MIB);
	p.size_bytes = MIB + 512;
	rig_assert_refused(&p, VHOSTD_ERR_STORE, "size:", "1049088", path, "1048576", "larger");
}

static void test_no_permission(void **state)
{
	struct store_params p = aio(in(dir_disk, "disk"));

	(void)state;
	rig_file(path, MIB);
	assert_int_equal(chmod(path, 0), 0);
	if (access(path, R_OK) == 0)
		assert_int_equal(seteuid(65534), 0); /* root may read anything */
	assert_int_equal(chmod(dir_disk, 0711) && errno != EPERM, 0);
	rig_assert_refused(&p, VHOSTD_ERR_STORE, "path:", path, "Permission denied");
	assert_int_equal(seteuid(getuid()), 0);
}

/* One writer or any number of readers, in this process as elsewhere. */
static void test_in_use(void **state)
{
	struct store_params p = aio(in(dir_disk, "disk")), ro = p;
	struct rig a, b;

	(void)state;
	rig_file(path, MIB);
	ro.readonly = true;
	rig_open(&a, &p);
	rig_assert_refused(&p, VHOSTD_ERR_IN_USE, "path:", path);
	rig_assert_refused(&ro, VHOSTD_ERR_IN_USE, "path:", path);
	rig_close(&a);
	rig_open(&a, &ro);
	rig_open(&b, &ro);
	rig_assert_refused(&p, VHOSTD_ERR_IN_USE, "path:", path);
	rig_close(&b);
	rig_close(&a);
	rig_open(&a, &p);
	rig_close(&a);
}

static void test_resize_file(void **state)
{
	uint8_t *buf = aligned_alloc(4096, 4096);
	struct error err;
	struct stat st;
	struct rig rig;

	(void)state;
	assert_non_null(buf);
	open_file(&rig, dir_disk, MIB);
	assert_int_equal(rig_resize(&rig, 2 * MIB, &err), 0); /* grows the file */
	assert_int_equal(rig_capacity(&rig), 2 * MIB);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 2 * MIB);
	memset(buf, 9, 4096);
	assert_int_equal(rig_rw(&rig, STORE_WRITE, 2 * MIB - 4096, buf, 4096), 0);
	assert_int_equal(truncate(path, 3 * MIB + 100), 0); /* somebody else did */
	assert_int_equal(rig_resize(&rig, 0, &err), 0);
	assert_int_equal(rig_capacity(&rig), 3 * MIB);
	assert_int_equal(rig_resize(&rig, MIB, &err), -1);
	assert_fault(err.text, "size:");
	assert_fault(err.text, "1048576");
	assert_fault(err.text, "3145728");
	assert_int_equal(rig_capacity(&rig), 3 * MIB);
	rig_close(&rig);
	free(buf);
}

static void test_resize_readonly(void **state)
{
	struct store_params p = aio(in(dir_disk, "disk"));
	struct error err;
	struct rig rig;

	(void)state;
	rig_file(path, MIB);
	p.readonly = true;
	rig_open(&rig, &p);
	assert_int_equal(rig_resize(&rig, 2 * MIB, &err), -1);
	assert_fault(err.text, "size:");
	assert_fault(err.text, "readonly");
	assert_int_equal(truncate(path, 2 * MIB), 0);
	assert_int_equal(rig_resize(&rig, 0, &err), 0);
	assert_int_equal(rig_capacity(&rig), 2 * MIB);
	rig_close(&rig);
}

/* What was there stays, also in a last page that was only partly the disk's. */
static void test_resize_malloc(void **state)
{
	uint8_t buf[512], zero[512] = {0};
	struct error err;
	struct rig rig;

	(void)state;
	open_memory(&rig, STORE_KIND_MALLOC, MIB + 512);
	memset(buf, 3, sizeof(buf));
	assert_int_equal(rig_rw(&rig, STORE_WRITE, MIB, buf, 512), 0);
	assert_int_equal(rig_resize(&rig, 0, &err), -1);
	assert_fault(err.text, "size:");
	assert_int_equal(rig_resize(&rig, MIB, &err), -1);
	assert_fault(err.text, "1049088");
	assert_int_equal(rig_resize(&rig, 80 * MIB, &err), 0);
	assert_int_equal(rig_capacity(&rig), 80 * MIB);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(rig_rw(&rig, STORE_READ, MIB, buf, 512), 0);
	assert_int_equal(buf[0], 3);
	assert_int_equal(buf[511], 3);
	memset(buf, 1, sizeof(buf));
	assert_int_equal(rig_rw(&rig, STORE_READ, MIB + 512, buf, 512), 0);
	assert_memory_equal(buf, zero, 512);
	memset(buf, 4, sizeof(buf));
	assert_int_equal(rig_rw(&rig, STORE_WRITE, 80 * MIB - 512, buf, 512), 0);
	assert_int_equal(rig_rw(&rig, STORE_READ, 80 * MIB - 512, zero, 512), 0);
	assert_memory_equal(buf, zero, 512);
	rig_close(&rig);
}

static void test_resize_null(void **state)
{
	struct error err;
	struct rig rig;

	(void)state;
	open_memory(&rig, STORE_KIND_NULL, MIB);
	assert_int_equal(rig_resize(&rig, 0, &err), -1);
	assert_int_equal(rig_resize(&rig, MIB / 2, &err), -1);
	assert_fault(err.text, "size:");
	assert_fault(err.text, "1048576");
	assert_int_equal(rig_resize(&rig, 3 * MIB + 100, &err), 0);
	assert_int_equal(rig_capacity(&rig), 3 * MIB);
	rig_close(&rig);
}

/* A large request is copied a piece at a time: a turn of the lcore stays short. */
static void test_malloc_turns(void **state)
{
	uint8_t *buf = calloc(1, MIB);
	struct iovec iov = {buf, MIB};
	struct store_io io = {.op = STORE_READ, .n_iov = 1, .n_bytes = MIB, .iov = &iov},
			*one = &io;
	unsigned int n_turns = 1;
	struct rig rig;

	(void)state;
	assert_non_null(buf);
	open_memory(&rig, STORE_KIND_MALLOC, 4 * MIB);
	rig_submit(&rig, &one, 1);
	while (rig_reap(&rig, &one, 1) == 0)
		n_turns++;
	assert_in_range(n_turns, MIB / (128 << 10), 1000);
	rig_close(&rig);
	free(buf);
}

/* Discarded memory and file space is given back. */
static uint64_t allocated(const char *file)
{
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void test_discard_frees(void **state)
{
	uint8_t *buf = aligned_alloc(4096, 4 * MIB);
	struct rig rig;

	(void)state;
	assert_non_null(buf);
	memset(buf, 5, 4 * MIB);
	open_file(&rig, dir_disk, DISK_BYTES);
	assert_true(rig.store->caps.discard);
	assert_true(rig.store->caps.discard_granularity_bytes >= 512);
	assert_int_equal(rig_rw(&rig, STORE_WRITE, 0, buf, 4 * MIB), 0);
	assert_true(allocated(path) >= 4 * MIB);
	assert_int_equal(rig_range(&rig, STORE_DISCARD, 0, 0, 2 * MIB), 0);
	assert_true(allocated(path) < 3 * MIB);
	assert_int_equal(rig_range(&rig, STORE_WRITE_ZEROES, STORE_IO_UNMAP, 2 * MIB, MIB), 0);
	assert_true(allocated(path) < 2 * MIB);
	assert_int_equal(rig_range(&rig, STORE_WRITE_ZEROES, 0, 0, 2 * MIB), 0);
	assert_true(allocated(path) >= 3 * MIB); /* without UNMAP it stays reserved */
	assert_int_equal(rig_rw(&rig, STORE_READ, 2 * MIB, buf, 2 * MIB), 0);
	assert_int_equal(buf[0], 0);
	assert_int_equal(buf[MIB], 5);
	rig_close(&rig);
	free(buf);
}

static int setup(void **state)
{
	(void)state;
	rig_dir(".", dir_disk, sizeof(dir_disk));
	rig_dir("/dev/shm", dir_shm, sizeof(dir_shm));
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"disk", "fifo"};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_LEN(names); i++) {
		unlink(in(dir_disk, names[i]));
		unlink(in(dir_shm, names[i]));
	}
	return rmdir(dir_disk) || rmdir(dir_shm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_data_file),
		cmocka_unit_test(test_data_tmpfs),
		cmocka_unit_test(test_data_malloc),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_many_pieces),
		cmocka_unit_test(test_many_ios),
		cmocka_unit_test(test_shrunk_file),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_permission),
		cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_resize_file),
		cmocka_unit_test(test_resize_readonly),
		cmocka_unit_test(test_resize_malloc),
		cmocka_unit_test(test_resize_null),
		cmocka_unit_test(test_malloc_turns),
		cmocka_unit_test(test_discard_frees),
	};

	return cmocka_run_group_tests_name("store", tests, setup, teardown);
}
