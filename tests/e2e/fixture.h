/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the end-to-end tests share: the command line, one back end for all tests of a program, disks
 * and sessions that are cleaned up after each test, also after one that failed half way.
 *
 *   test_NAME --backend aio|uring|malloc|qsd [--ring split|packed] [--pin-memory]
 *             [--filter PATTERN] [--excluded] [-- BACK-END-ARGUMENT...]
 *
 * Each case names the back ends that it runs on. A case that is not for all of them says why, and
 * is not registered there (--excluded prints the list): nothing is skipped at run time.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "td_disk.h"
#include "vfe_io.h"
#include "vfe_pattern.h"

enum fx_on {
	FX_AIO = 1 << TD_VHOSTD_AIO,
	FX_URING = 1 << TD_VHOSTD_URING,
	FX_MALLOC = 1 << TD_VHOSTD_MALLOC,
	FX_QSD = 1 << TD_QSD,
	FX_VHOSTD = FX_AIO | FX_URING | FX_MALLOC,
	FX_FILE = FX_AIO | FX_URING | FX_QSD, /* the disk is a file that the test may look at */
	FX_ALL = FX_VHOSTD | FX_QSD,
};

struct fx_case {
	const char *name;
	void (*run)(void **state);
	unsigned int on; /* enum fx_on */
	const char *why; /* it is not for all of them */
};

#define FX_CASE(func)                                                                              \
	{                                                                                          \
#func, func, FX_ALL, NULL                                                          \
	}
#define FX_CASE_ON(func, on, why)                                                                  \
	{                                                                                          \
#func, func, on, why                                                               \
	}

/* Fail the test with a message. */
#define FX_ASSERT(cond, ...)                                                                       \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fx_fail(__FILE__, __LINE__, #cond, __VA_ARGS__);                           \
	} while (0)

/* A call of the library that must succeed. */
#define FX_OK(call)                                                                                \
	do {                                                                                       \
		int fx_rc = (call);                                                                \
		FX_ASSERT(fx_rc == 0, "returned %d", fx_rc);                                       \
	} while (0)

/* A request's virtio status. */
#define FX_STATUS(call, expected)                                                                  \
	do {                                                                                       \
		int fx_rc = (call);                                                                \
		FX_ASSERT(fx_rc == (expected), "status %d, expected %d", fx_rc, expected);         \
	} while (0)

_Noreturn void fx_fail(const char *file, int line, const char *what, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* main() of a test program; its exit status. */
int fx_main(int argc, char **argv, const char *group, const struct fx_case *cases, size_t n_cases);

/* The back end of this run. */
struct td_backend *fx_backend(void);
enum td_kind fx_kind(void);

/* RING_PACKED or nothing, by --ring; fx_open() adds it to the features wanted. */
uint64_t fx_ring_features(void);

/*
 * A disk for this test; `opts` NULL: 64 MiB of zeroes, one queue. Deleted after the test. Fails the
 * test on error, as all of the following do.
 */
struct td_disk *fx_disk(const struct td_disk_opts *opts);

/* The test has deleted this disk itself. */
void fx_disk_gone(struct td_disk *disk);

/* Zeroed; closed after the test. For tests that take the steps of vfe_blk.h one by one. */
struct vfe_blk *fx_session(void);

/* A started session; `opts` NULL: vfe_blk_opts_init()'s. The socket path is filled in. */
struct vfe_blk *fx_open(const struct td_disk *disk, const struct vfe_blk_opts *opts);

/* As fx_open(), but try again for some time: the back end may still be busy with an old connection.
 */
struct vfe_blk *fx_open_patiently(const struct td_disk *disk);

/* Descriptors that the back end has open, and how many lines it has logged. */
unsigned int fx_backend_fds(void);
int fx_backend_log_lines(void);

/* Requests for queue `q`: `n_reqs` of up to `max_bytes`. Freed after the test. */
struct vfe_io *fx_io(struct vfe_blk *blk, uint16_t q, uint16_t n_reqs, uint32_t max_bytes);
struct vfe_io *fx_io_opts(struct vfe_blk *blk, uint16_t q, const struct vfe_io_opts *opts);

/* Disk, session with one queue, requests: for tests that need no more. */
struct vfe_io *fx_simple(uint32_t max_bytes);

/* Called after the test, before everything else is cleaned up; one for each test. */
void fx_at_end(void (*end)(void *arg), void *arg);

/* A buffer for this test. */
void *fx_buf(size_t n_bytes);

/* Write and read back a pattern: does this queue serve requests? Uses 8 sectors at `sector`. */
void fx_serves(struct vfe_io *io, uint64_t sector);

/* Pattern written and flushed, pattern as expected. */
void fx_fill(struct vfe_io *io, uint64_t sector, uint32_t n_sectors, uint64_t generation);
void fx_expect(struct vfe_io *io, uint64_t sector, uint32_t n_sectors, uint64_t generation);

#endif
