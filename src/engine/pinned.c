/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What holds others up is done in small steps, with pauses. A fault for each page of a piece keeps
 * changes of the process's mappings waiting, so the pages are had before the piece is registered,
 * some at a time. To pin pages that are there the kernel walks the page tables of the whole piece
 * with interrupts off: 0.5 ms for 8 MiB of small pages. Few, larger pieces are quicker to clone.
 */
#include "engine/pinned.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"

#define PIECE_SHIFT_MIN 23 /* 8 MiB */
#define PIECE_SHIFT_MAX 30 /* the kernel's limit */
#define PIECES_AIM      256
#define PIECES_MAX      (1u << 14) /* IORING_MAX_REG_BUFFERS */
#define TOUCH_BYTES     ((uint64_t)1 << 20)
#define SMALL_PAGE      4096u
#define PAUSE_US        100

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

/* IORING_REGISTER_CLONE_BUFFERS of Linux 6.12. With `nr` and the flag, of 6.13: since then a ring
 * forgets buffers without waiting for the requests that use them, so no earlier one will do. */
#define CLONE_BUFFERS 30
#define DST_REPLACE   (1u << 1)

struct clone_buffers {
	uint32_t src_fd;
	uint32_t flags;
	uint32_t src_off;
	uint32_t dst_off;
	uint32_t nr;
	uint32_t pad[3];
};

static int ring_register(int fd, unsigned int what, const void *arg, unsigned int n)
{
	return syscall(SYS_io_uring_register, fd, what, arg, n) < 0 ? -errno : 0;
}

static int ring_new(void)
{
	struct io_uring_params params = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	return fd < 0 ? -errno : fd;
}

static int clone_pieces(int to_fd, uint32_t to, int from_fd, uint32_t from, uint32_t n)
{
	const struct clone_buffers clone = {
		.src_fd = (uint32_t)from_fd,
		.flags = DST_REPLACE,
		.src_off = from,
		.dst_off = to,
		.nr = n,
	};

	return ring_register(to_fd, CLONE_BUFFERS, &clone, 1);
}

/* One piece; NULL: it is let go of. */
static int set_piece(int fd, uint32_t index, void *addr, uint64_t n_bytes)
{
	struct iovec iov = {addr, n_bytes};
	struct io_uring_rsrc_update2 update = {
		.offset = index,
		.data = (uintptr_t)&iov,
		.nr = 1,
	};

	return ring_register(fd, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update));
}

/* A table with nothing in it yet. */
static int make_table(int fd, uint32_t n_pieces)
{
	const struct io_uring_rsrc_register table = {
		.nr = n_pieces,
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};

	return ring_register(fd, IORING_REGISTER_BUFFERS2, &table, sizeof(table));
}

static void plan_range(struct pinned *p, const struct pinned_area *area)
{
	struct pinned_range *r = &p->ranges[p->n_ranges++];

	*r = (struct pinned_range){
		.area = *area, .piece_shift = PIECE_SHIFT_MIN, .first = p->n_pieces};
	while (r->piece_shift < PIECE_SHIFT_MAX && (area->page_bytes >> r->piece_shift > 1 ||
						    area->n_bytes >> r->piece_shift > PIECES_AIM))
		r->piece_shift++;
	r->n_pieces = (uint32_t)((area->n_bytes - 1) >> r->piece_shift) + 1;
	p->n_pieces += r->n_pieces;
	p->n_bytes += area->n_bytes;
}

/* The range of `before` that is the same memory. */
static const struct pinned_range *same_range(const struct pinned *before,
					     const struct pinned_range *r)
{
	for (unsigned int i = 0; before && i < before->n_ranges; i++) {
		const struct pinned_range *b = &before->ranges[i];

		if (b->area.addr == r->area.addr && b->area.n_bytes == r->area.n_bytes)
			return b;
	}
	return NULL;
}

static bool may_lock_all(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	return syscall(SYS_capget, &header, data) == 0 &&
	       (data[CAP_IPC_LOCK / 32].effective & 1u << CAP_IPC_LOCK % 32);
}

/* The limit of locked memory; RLIM_INFINITY when it doesn't hold for us. */
static rlim_t lock_limit(void)
{
	struct rlimit limit;

	if (may_lock_all() || getrlimit(RLIMIT_MEMLOCK, &limit))
		return RLIM_INFINITY;
	return limit.rlim_cur;
}

static int explain(const struct pinned *p, int ret, const char *what,
		   char ret_why[PINNED_WHY_BYTES])
{
	rlim_t limit = lock_limit();

	if (ret == -ENODATA)
		snprintf(ret_why, PINNED_WHY_BYTES,
			 "some of the guest's memory is not there yet; it has to be allocated as "
			 "the guest starts (QEMU: prealloc=on)");
	else if (ret == -ENOMEM && limit != RLIM_INFINITY)
		snprintf(ret_why, PINNED_WHY_BYTES,
			 "the guest has %llu bytes, and the limit of locked memory, for all disks, "
			 "is %llu (LimitMEMLOCK=, ulimit -l)",
			 (unsigned long long)p->n_bytes, (unsigned long long)limit);
	else
		snprintf(ret_why, PINNED_WHY_BYTES, "%s: %s", what, strerror(-ret));
	return -1;
}

/* Whether a ring of this kernel can be given the buffers of another. */
static int check_clone(const struct pinned *p, char ret_why[PINNED_WHY_BYTES])
{
	int fd = ring_new(), ret = fd;

	if (fd >= 0) {
		ret = clone_pieces(fd, 0, p->ring_fd, 0, p->n_pieces);
		close(fd);
	}
	if (ret == -EINVAL) {
		snprintf(ret_why, PINNED_WHY_BYTES,
			 "this kernel can't pass registered memory from ring to ring; Linux 6.13 "
			 "and later can");
		return -1;
	}
	return ret < 0 ? explain(p, ret, "a ring can't be had", ret_why) : 0;
}

/* Are all pages of these few there? Looks, and touches none. -ENODATA: they are not. */
static int check_there(uint8_t *addr, uint64_t n_bytes)
{
	unsigned char pages[TOUCH_BYTES / SMALL_PAGE];

	if (mincore(addr, n_bytes, pages))
		return -errno;
	for (uint64_t i = 0; i < n_bytes / SMALL_PAGE; i++)
		if (!(pages[i] & 1))
			return -ENODATA;
	return 0;
}

/* Has the pages of the piece mapped. -ENODATA: some are not there. */
static int touch(uint8_t *addr, uint64_t n_bytes, uint64_t page_bytes)
{
	uint64_t step = page_bytes > TOUCH_BYTES ? page_bytes : TOUCH_BYTES;

	for (uint64_t at = 0; at < n_bytes; at += step) {
		uint64_t n = n_bytes - at < step ? n_bytes - at : step;
		int ret = page_bytes == SMALL_PAGE ? check_there(addr + at, n) : 0;

		if (ret)
			return ret;
		if (madvise(addr + at, n, MADV_POPULATE_WRITE))
			return -errno;
	}
	return 0;
}

static int pin_range(const struct pinned *p, const struct pinned_range *r,
		     const atomic_bool *cancel, char ret_why[PINNED_WHY_BYTES])
{
	uint64_t piece_bytes = (uint64_t)1 << r->piece_shift;
	int ret;

	for (uint32_t i = 0; i < r->n_pieces; i++) {
		uint64_t at = i * piece_bytes, left = r->area.n_bytes - at;
		uint64_t n = left < piece_bytes ? left : piece_bytes;

		if (atomic_load_explicit(cancel, memory_order_relaxed))
			return explain(p, -ECANCELED, "the front end has gone", ret_why);
		ret = touch(r->area.addr + at, n, r->area.page_bytes);
		if (ret)
			return explain(p, ret, "the guest's memory can't be had", ret_why);
		ret = set_piece(p->ring_fd, r->first + i, r->area.addr + at, n);
		if (ret)
			return explain(p, ret, "the guest's memory can't be pinned", ret_why);
		usleep(PAUSE_US);
	}
	return 0;
}

static int pin_all(const struct pinned *p, const struct pinned *before, const atomic_bool *cancel,
		   char ret_why[PINNED_WHY_BYTES])
{
	for (unsigned int i = 0; i < p->n_ranges; i++) {
		const struct pinned_range *r = &p->ranges[i], *same = same_range(before, r);

		if (same && clone_pieces(p->ring_fd, r->first, before->ring_fd, same->first,
					 r->n_pieces) == 0)
			continue;
		if (pin_range(p, r, cancel, ret_why))
			return -1;
	}
	return 0;
}

/* Before a page is touched: would it be too much? */
static int check_limit(const struct pinned *p, const struct pinned *before,
		       char ret_why[PINNED_WHY_BYTES])
{
	rlim_t limit = lock_limit();
	uint64_t n_bytes = 0;

	for (unsigned int i = 0; i < p->n_ranges; i++)
		if (!same_range(before, &p->ranges[i]))
			n_bytes += p->ranges[i].area.n_bytes;
	if (n_bytes > limit)
		return explain(p, -ENOMEM, "", ret_why);
	if (p->n_pieces <= PIECES_MAX)
		return 0;
	snprintf(ret_why, PINNED_WHY_BYTES, "the guest has %llu bytes, more than io_uring takes",
		 (unsigned long long)p->n_bytes);
	return -1;
}

int pinned_new(const struct pinned_area *areas, unsigned int n_areas, const struct pinned *before,
	       const atomic_bool *cancel, struct pinned **ret_pinned,
	       char ret_why[PINNED_WHY_BYTES])
{
	struct pinned *p = calloc(1, sizeof(*p));
	int ret;

	role_assert(&role_job);
	snprintf(ret_why, PINNED_WHY_BYTES, "memory is short");
	if (!p)
		return -1;
	for (unsigned int i = 0; i < n_areas; i++)
		plan_range(p, &areas[i]);
	p->ring_fd = -1;
	if (check_limit(p, before, ret_why))
		goto free_pinned;
	p->ring_fd = ring_new();
	ret = p->ring_fd < 0 ? p->ring_fd : make_table(p->ring_fd, p->n_pieces);
	if (ret < 0) {
		explain(p, ret, "a ring for the guest's memory can't be had", ret_why);
		goto free_pinned;
	}
	if (check_clone(p, ret_why) || pin_all(p, before, cancel, ret_why))
		goto free_pinned;
	*ret_pinned = p;
	return 0;

free_pinned:
	pinned_free(p);
	return -1;
}

/* Piece by piece and here: what a closed ring still has, a thread of the kernel would let go of at
 * once, on any CPU. */
void pinned_free(struct pinned *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; p->ring_fd >= 0 && i < p->n_pieces; i++) {
		if (set_piece(p->ring_fd, i, NULL, 0) == 0)
			usleep(PAUSE_US);
	}
	if (p->ring_fd >= 0)
		close(p->ring_fd);
	free(p);
}

int pinned_give(const struct pinned *p, int ring_fd)
{
	/* Not replaced by the clone: buffers of a longer table would stay. */
	ring_register(ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
	return p ? clone_pieces(ring_fd, 0, p->ring_fd, 0, p->n_pieces) : 0;
}
