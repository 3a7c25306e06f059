/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/image_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "base/compiler.h"

/* Where QEMU's bytes begin, and the bits of its permissions. */
#define HELD_BASE     100
#define UNSHARED_BASE 200

#define PERM_CONSISTENT_READ 0x01u
#define PERM_WRITE           0x02u
#define PERM_WRITE_UNCHANGED 0x04u
#define PERM_RESIZE          0x08u
#define N_PERMS              4

/* A guest disk of a writer: nobody else may write or resize; others may read only if they don't
 * mind that it changes under them (CONSISTENT_READ is not shared by QEMU's writers' readers). */
#define WRITER_HELD     (PERM_CONSISTENT_READ | PERM_WRITE | PERM_RESIZE)
#define WRITER_UNSHARED (PERM_WRITE | PERM_RESIZE)
#define READER_HELD     PERM_CONSISTENT_READ
#define READER_UNSHARED (PERM_WRITE | PERM_RESIZE)

static struct flock byte_lock(short type, unsigned int byte)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

static int lock_bytes(int fd, unsigned int base, unsigned int perms)
{
	for (unsigned int i = 0; i < N_PERMS; i++) {
		struct flock lock = byte_lock(F_RDLCK, base + i);

		if ((perms & 1u << i) && fcntl(fd, F_OFD_SETLK, &lock))
			return errno == EACCES ? -EAGAIN : -errno;
	}
	return 0;
}

/* Has anybody else locked one of these bytes? */
static int check_bytes(int fd, unsigned int base, unsigned int perms)
{
	for (unsigned int i = 0; i < N_PERMS; i++) {
		struct flock lock = byte_lock(F_WRLCK, base + i);

		if (!(perms & 1u << i))
			continue;
		if (fcntl(fd, F_OFD_GETLK, &lock))
			return -errno;
		if (lock.l_type != F_UNLCK)
			return -EAGAIN;
	}
	return 0;
}

int image_lock(int fd, bool writable)
{
	unsigned int held = writable ? WRITER_HELD : READER_HELD;
	unsigned int unshared = writable ? WRITER_UNSHARED : READER_UNSHARED;
	int ret = lock_bytes(fd, HELD_BASE, held);

	if (!ret)
		ret = lock_bytes(fd, UNSHARED_BASE, unshared);
	if (!ret)
		ret = check_bytes(fd, UNSHARED_BASE, held);
	if (!ret)
		ret = check_bytes(fd, HELD_BASE, unshared);
	return ret;
}
