/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Random operations at depth on a disk, each with another layout of its pieces in memory, held
 * against a model that is one flat array.
 */
#ifndef UNIT_DISK_VERIFY_H
#define UNIT_DISK_VERIFY_H

#include "lib/disk.h"

struct verify_params {
	uint64_t seed;
	uint32_t n_ops;
	uint32_t depth;      /* operations in flight */
	uint32_t unit_bytes; /* of offsets and lengths: 512 or 4096 */
};

/** Runs on the whole disk, which reads as `model` (disk_capacity() bytes); afterwards it does
 *  again. Discard and write zeroes are among the operations. Fails the test at a difference. */
void disk_verify(struct disk *disk, const struct verify_params *params, uint8_t *model);

/** Reads all of the disk and compares it with the model. */
void disk_compare(struct disk *disk, const uint8_t *model);

#endif
