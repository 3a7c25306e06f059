/* SPDX-License-Identifier: BSD-3-Clause
 *
 * QEMU's image locks (its block/file-posix.c), so that vhostd, qemu-img, qemu-storage-daemon and
 * QEMU keep each other from writing to one image. Open-file-description locks on single bytes of
 * the image: byte 100 + i is locked, shared, by whoever has permission i; byte 200 + i by whoever
 * does not let others have it. The locks go with the descriptor.
 */
#ifndef ENGINE_IMAGE_LOCK_H
#define ENGINE_IMAGE_LOCK_H

#include <stdbool.h>

#include "base/thread_role.h"

/** Takes the locks of a reader, who lets others read, or of the only writer. 0; -EAGAIN when
 *  somebody else's use of the image forbids it; or another -errno. */
int image_lock(int fd, bool writable);

#endif
