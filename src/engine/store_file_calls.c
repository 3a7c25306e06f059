/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The calls on a file or block device that may block: for helper threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/store_file.h"

#define PAGE_BYTES 4096u
#define ZERO_BYTES (1u << 20)

static int flush(struct file_store *s)
{
	int ret = s->direct ? 0 : atomic_load(&s->flush_failed);

	if (ret)
		return ret;
	ret = fdatasync(s->fd) ? -errno : 0;
	if (s->direct)
		return ret;
	if (ret)
		atomic_store(&s->flush_failed, ret);
	return atomic_load(&s->flush_failed); /* another one's, perhaps */
}

int file_rw(struct file_store *s, const struct store_io *io, const struct iovec *iov,
	    unsigned int n_iov, uint64_t offset)
{
	int n_pieces = n_iov < FILE_IOV_MAX ? (int)n_iov : FILE_IOV_MAX;
	bool sync = io->op == STORE_WRITE && (io->flags & STORE_IO_FUA);
	ssize_t n;
	int ret;

	do {
		if (io->op == STORE_READ)
			n = preadv2(s->fd, iov, n_pieces, (off_t)offset, 0);
		else
			n = pwritev2(s->fd, iov, n_pieces, (off_t)offset,
				     sync && s->direct ? RWF_DSYNC : 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	/* It would take the news of an older page that is lost, and the next flush not hear of it.
	 */
	ret = sync && !s->direct ? flush(s) : 0;
	return ret ? ret : (int)n;
}

/* fallocate() on a range. On tmpfs it keeps the inode locked, and an lcore's write sleeps until it
 * has ended (200 ms for a GiB): there in pieces, which meet between pages. */
static int allocate(const struct file_store *s, int mode, uint64_t offset, uint64_t n_bytes)
{
	int ret = 0;

	while (ret == 0 && n_bytes > 0) {
		uint64_t n = n_bytes;

		if (s->in_memory && n > ZERO_BYTES - offset % ZERO_BYTES)
			n = ZERO_BYTES - offset % ZERO_BYTES;
		ret = fallocate(s->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)n);
		offset += n;
		n_bytes -= n;
	}
	return ret;
}

static int discard(const struct file_store *s, uint64_t offset, uint64_t n_bytes)
{
	uint64_t range[2] = {offset, n_bytes};
	int ret;

	if (s->is_block_device)
		ret = ioctl(s->fd, BLKDISCARD, range);
	else
		ret = allocate(s, FALLOC_FL_PUNCH_HOLE, offset, n_bytes);
	/* A hint that can't be followed is no failure: 5.2.6.2. */
	return ret && errno != EOPNOTSUPP ? -errno : 0;
}

/* The last resort. */
static int write_zero_pages(const struct file_store *s, uint64_t offset, uint64_t n_bytes)
{
	void *zeroes = aligned_alloc(PAGE_BYTES, ZERO_BYTES);
	int ret = zeroes ? 0 : -ENOMEM;

	if (zeroes)
		memset(zeroes, 0, ZERO_BYTES);
	while (ret == 0 && n_bytes > 0) {
		ssize_t n = pwrite(s->fd, zeroes, n_bytes < ZERO_BYTES ? n_bytes : ZERO_BYTES,
				   (off_t)offset);

		if (n > 0) {
			offset += (uint64_t)n;
			n_bytes -= (uint64_t)n;
		} else if (n == 0 || errno != EINTR) {
			ret = n == 0 ? -EIO : -errno;
		}
	}
	free(zeroes);
	return ret;
}

/* On block devices too PUNCH_HOLE unmaps and reads as zeroes after; it fails where it can't. */
static int write_zeroes(const struct file_store *s, uint64_t offset, uint64_t n_bytes, bool unmap)
{
	uint64_t range[2] = {offset, n_bytes};
	int ret = -1;

	if (unmap)
		ret = allocate(s, FALLOC_FL_PUNCH_HOLE, offset, n_bytes);
	if (ret && s->is_block_device)
		ret = ioctl(s->fd, BLKZEROOUT, range);
	else if (ret)
		ret = allocate(s, FALLOC_FL_ZERO_RANGE, offset, n_bytes);
	if (ret == 0)
		return 0;
	if (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOTTY)
		return write_zero_pages(s, offset, n_bytes);
	return -errno;
}

int file_range(struct file_store *s, const struct store_io *io)
{
	int ret = 0;

	if (s->base.caps.readonly && io->op != STORE_FLUSH)
		return -EROFS;
	if (io->op == STORE_DISCARD)
		ret = discard(s, io->offset_bytes, io->n_bytes);
	else if (io->op == STORE_WRITE_ZEROES)
		ret = write_zeroes(s, io->offset_bytes, io->n_bytes, io->flags & STORE_IO_UNMAP);
	if (ret == 0 && (io->op == STORE_FLUSH || (io->flags & STORE_IO_FUA)))
		ret = flush(s);
	return ret;
}
