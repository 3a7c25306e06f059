/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One object holds what a running test has open. cmocka leaves a failed test with longjmp(), so
 * every resource is entered here when it is made, and the teardown empties the lists.
 */
#include "fixture.h"

#include <dirent.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISKS_MAX    80
#define SESSIONS_MAX 80
#define IOS_MAX      256
#define BUFS_MAX     512

static struct {
	struct td_backend backend;
	const char *const *backend_argv; /* what stands behind the options */
	enum td_kind kind;
	uint64_t ring_features;
	bool pin_memory;
	struct td_disk disk[DISKS_MAX];
	struct vfe_blk *session[SESSIONS_MAX];
	struct vfe_io *io[IOS_MAX];
	void *buf[BUFS_MAX];
	unsigned int n_disks, n_sessions, n_ios, n_bufs;
	unsigned int n_named; /* disks so far: names are not used twice */
	void (*end)(void *arg);
	void *end_arg;
	bool failed;
} fx;

void fx_fail(const char *file, int line, const char *what, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	fx.failed = true;
	print_error("%s: %s\n", what, text);
	_fail(file, line);
	abort(); /* _fail() does not return, which its prototype does not say */
}

struct td_backend *fx_backend(void)
{
	return &fx.backend;
}

enum td_kind fx_kind(void)
{
	return fx.kind;
}

uint64_t fx_ring_features(void)
{
	return fx.ring_features;
}

static void *new_object(size_t n_bytes)
{
	void *p = calloc(1, n_bytes);

	FX_ASSERT(p, "out of memory");
	return p;
}

struct td_disk *fx_disk(const struct td_disk_opts *opts)
{
	struct td_disk_opts own = opts ? *opts : (struct td_disk_opts){.size_bytes = 0};
	struct td_disk *disk = &fx.disk[fx.n_disks];
	char name[32];

	own.pin_memory |= fx.pin_memory;

	FX_ASSERT(fx.n_disks < DISKS_MAX, "too many disks");
	snprintf(name, sizeof(name), "disk%u", fx.n_named++);
	FX_OK(td_disk_add(&fx.backend, disk, name, &own));
	fx.n_disks++;
	return disk;
}

void fx_disk_gone(struct td_disk *disk)
{
	disk->name[0] = '\0';
}

struct vfe_blk *fx_session(void)
{
	struct vfe_blk *blk;

	FX_ASSERT(fx.n_sessions < SESSIONS_MAX, "too many sessions");
	blk = new_object(sizeof(*blk));
	blk->conn.sock = blk->backend_channel = blk->err_fd = -1;
	fx.session[fx.n_sessions++] = blk;
	return blk;
}

struct vfe_blk *fx_open(const struct td_disk *disk, const struct vfe_blk_opts *opts)
{
	struct vfe_blk *blk = fx_session();
	struct vfe_blk_opts own;

	vfe_blk_opts_init(&own, disk->socket);
	if (opts)
		own = *opts;
	own.socket_path = disk->socket;
	own.features |= fx.ring_features;
	FX_OK(vfe_blk_open(blk, &own));
	FX_ASSERT(!fx.ring_features || vfe_blk_has(blk, VIRTIO_F_RING_PACKED), "no RING_PACKED");
	return blk;
}

struct vfe_blk *fx_open_patiently(const struct td_disk *disk)
{
	int64_t deadline_ms = vfe_now_ms() + VFE_TIMEOUT_MS;
	struct vfe_blk *blk = fx_session();
	struct vfe_blk_opts opts;
	int rc;

	vfe_blk_opts_init(&opts, disk->socket);
	opts.features |= fx.ring_features;
	while ((rc = vfe_blk_open(blk, &opts)) != 0 && vfe_now_ms() < deadline_ms) {
		vfe_blk_close(blk);
		usleep(10000);
	}
	FX_ASSERT(rc == 0, "no connection to %s: %d", disk->name, rc);
	return blk;
}

unsigned int fx_backend_fds(void)
{
	char path[64];
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)fx.backend.td.pid);
	dir = opendir(path);
	FX_ASSERT(dir, "%s", path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

int fx_backend_log_lines(void)
{
	return td_log_lines(&fx.backend.td);
}

struct vfe_io *fx_io_opts(struct vfe_blk *blk, uint16_t q, const struct vfe_io_opts *opts)
{
	struct vfe_io *io;

	FX_ASSERT(fx.n_ios < IOS_MAX, "too many request pools");
	io = new_object(sizeof(*io));
	fx.io[fx.n_ios++] = io;
	FX_OK(vfe_io_init(io, blk, q, opts));
	return io;
}

struct vfe_io *fx_io(struct vfe_blk *blk, uint16_t q, uint16_t n_reqs, uint32_t max_bytes)
{
	return fx_io_opts(blk, q, &(struct vfe_io_opts){.n_reqs = n_reqs, .max_bytes = max_bytes});
}

struct vfe_io *fx_simple(uint32_t max_bytes)
{
	return fx_io(fx_open(fx_disk(NULL), NULL), 0, 2, max_bytes);
}

void fx_at_end(void (*end)(void *arg), void *arg)
{
	fx.end = end;
	fx.end_arg = arg;
}

void *fx_buf(size_t n_bytes)
{
	FX_ASSERT(fx.n_bufs < BUFS_MAX, "too many buffers");
	fx.buf[fx.n_bufs] = new_object(n_bytes);
	return fx.buf[fx.n_bufs++];
}

void fx_fill(struct vfe_io *io, uint64_t sector, uint32_t n_sectors, uint64_t generation)
{
	uint8_t *buf = new_object(n_sectors * VFE_SECTOR_BYTES);
	int status;

	vfe_pattern_fill(buf, sector, n_sectors, generation);
	status = vfe_write(io, sector, buf, n_sectors * VFE_SECTOR_BYTES);
	free(buf);
	FX_STATUS(status, VIRTIO_BLK_S_OK);
	FX_ASSERT(io->last_used_bytes == 1, "write: used length %u", io->last_used_bytes);
}

void fx_expect(struct vfe_io *io, uint64_t sector, uint32_t n_sectors, uint64_t generation)
{
	uint32_t n_bytes = n_sectors * VFE_SECTOR_BYTES;
	uint8_t *buf = new_object(n_bytes);
	char text[160] = "";
	int64_t bad;
	int status;

	status = vfe_read(io, sector, buf, n_bytes);
	bad = vfe_pattern_check(buf, sector, n_sectors, generation);
	if (bad >= 0)
		snprintf(text, sizeof(text), "%s", vfe_pattern_describe(buf + bad * 512));
	free(buf);
	FX_STATUS(status, VIRTIO_BLK_S_OK);
	FX_ASSERT(bad < 0, "sector %llu should have generation %llu, holds: %s",
		  (unsigned long long)sector + (unsigned long long)bad,
		  (unsigned long long)generation, text);
	FX_ASSERT(io->last_used_bytes == n_bytes + 1, "read of %u bytes: used length %u", n_bytes,
		  io->last_used_bytes);
}

void fx_serves(struct vfe_io *io, uint64_t sector)
{
	static uint64_t generation = 1u << 20;

	generation++;
	fx_fill(io, sector, 8, generation);
	fx_expect(io, sector, 8, generation);
}

static int start_backend(void **state)
{
	(void)state;
	return td_backend_start(&fx.backend, fx.kind, fx.backend_argv);
}

static int stop_backend(void **state)
{
	int status = fx.backend.td.pid ? td_backend_stop(&fx.backend) : 0;

	(void)state;
	if (status == 0 || fx.kind == TD_QSD) /* another project's exit is not our subject */
		return 0;
	print_error("the back end ended with status %d\n", status);
	td_log_dump(&fx.backend.td, 4096);
	return -1;
}

static int before_test(void **state)
{
	fx.failed = false;
	if (td_alive(&fx.backend.td))
		return 0;
	return start_backend(state);
}

/* A failed test may have left it in any state: the next one gets a new one. */
static int discard_backend(void)
{
	bool alive = td_alive(&fx.backend.td);

	td_log_dump(&fx.backend.td, 4096);
	td_kill(&fx.backend.td);
	fx.n_disks = 0;
	if (!alive)
		print_error("the back end did not survive this test\n");
	return alive && fx.failed ? 0 : -1;
}

static int after_test(void **state)
{
	unsigned int i;
	int rc = 0;

	(void)state;
	if (fx.end)
		fx.end(fx.end_arg);
	fx.end = NULL;
	while (fx.n_ios > 0) {
		vfe_io_fini(fx.io[--fx.n_ios]);
		free(fx.io[fx.n_ios]);
	}
	while (fx.n_sessions > 0) {
		vfe_blk_close(fx.session[--fx.n_sessions]);
		free(fx.session[fx.n_sessions]);
	}
	while (fx.n_bufs > 0)
		free(fx.buf[--fx.n_bufs]);
	if (fx.failed || !td_alive(&fx.backend.td))
		return discard_backend();
	/*
	 * qemu-storage-daemon 7.2 aborts now and then when an export goes away right after its
	 * client (qemu_socket_set_nonblock: Assertion `f == 0'): its exports stay until it ends.
	 */
	for (i = 0; i < fx.n_disks && fx.kind != TD_QSD; i++) {
		if (fx.disk[i].name[0])
			rc |= td_disk_del(&fx.backend, &fx.disk[i], true);
	}
	fx.n_disks = 0;
	return rc ? discard_backend() : 0;
}

static void print_excluded(const struct fx_case *cases, size_t n_cases)
{
	size_t i;

	for (i = 0; i < n_cases; i++) {
		if (!(cases[i].on & (1u << fx.kind)))
			printf("%s: %s\n", cases[i].name, cases[i].why);
	}
}

static int parse_args(int argc, char **argv, bool *ret_excluded)
{
	static const struct option options[] = {
		{"backend", required_argument, NULL, 'b'}, {"ring", required_argument, NULL, 'r'},
		{"pin-memory", no_argument, NULL, 'p'},    {"filter", required_argument, NULL, 'f'},
		{"excluded", no_argument, NULL, 'x'},      {NULL, 0, NULL, 0}};
	const char *name = "aio", *ring = "split";
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'b')
			name = optarg;
		else if (c == 'r')
			ring = optarg;
		else if (c == 'p')
			fx.pin_memory = true;
		else if (c == 'f')
			cmocka_set_test_filter(optarg);
		else if (c == 'x')
			*ret_excluded = true;
		else
			return -1;
	}
	fx.backend_argv = (const char *const *)(argv + optind);
	if (strcmp(ring, "packed") == 0) {
		fx.ring_features = 1ull << VIRTIO_F_RING_PACKED;
	} else if (strcmp(ring, "split") != 0) {
		fprintf(stderr, "--ring %s: split or packed is right\n", ring);
		return -1;
	}
	for (fx.kind = 0; fx.kind < TD_N_KINDS; fx.kind++) {
		if (strcmp(name, td_kind_names[fx.kind]) == 0)
			return 0;
	}
	fprintf(stderr, "--backend %s: aio, uring, malloc or qsd is right\n", name);
	return -1;
}

int fx_main(int argc, char **argv, const char *group, const struct fx_case *cases, size_t n_cases)
{
	struct CMUnitTest *tests = calloc(n_cases, sizeof(*tests));
	bool excluded = false;
	size_t i, n = 0;
	int rc = 0;

	if (!tests || parse_args(argc, argv, &excluded) < 0)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < n_cases; i++) {
		if (!(cases[i].on & (1u << fx.kind)))
			continue;
		tests[n++] = (struct CMUnitTest){.name = cases[i].name,
						 .test_func = cases[i].run,
						 .setup_func = before_test,
						 .teardown_func = after_test};
	}
	if (excluded)
		print_excluded(cases, n_cases);
	else
		rc = _cmocka_run_group_tests(group, tests, n, start_backend, stop_backend);
	free(tests);
	return rc;
}
