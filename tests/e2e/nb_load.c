/* SPDX-License-Identifier: BSD-3-Clause */
/* B's verified load, and what must be on its file when it is gone. */
#include "neighbour.h"

#define BLOCK_SECTORS 8u
#define BLOCK_BYTES   (BLOCK_SECTORS * VFE_SECTOR_BYTES)
#define N_BLOCKS      1024u

struct nb_load *nb_load_open(const struct td_disk *disk, uint16_t depth)
{
	return nb_load_open_in(disk, depth, NULL, 0);
}

struct nb_load *nb_load_open_in(const struct td_disk *disk, uint16_t depth,
				const struct vfe_region_spec *regions, unsigned int n_regions)
{
	const struct vfe_load_opts opts = {.depth = depth,
					   .max_blocks = 4,
					   .write_percent = 70,
					   .flush_percent = 1,
					   .seed = 11};
	struct nb_load *b = fx_buf(sizeof(*b));
	struct vfe_blk_opts blk_opts;

	vfe_blk_opts_init(&blk_opts, NULL);
	blk_opts.queue_size = 1024;
	if (regions) {
		blk_opts.regions = regions;
		blk_opts.n_regions = n_regions;
	}
	FX_OK(vfe_model_init(&b->model, 0, BLOCK_SECTORS, N_BLOCKS));
	b->blk = fx_open(disk, &blk_opts);
	FX_OK(vfe_load_init(&b->load, &b->model, b->blk, 0, &opts));
	return b;
}

void nb_load_run(struct nb_load *b, uint64_t n_requests)
{
	int rc = vfe_load_run(&b->load, 1, n_requests);

	FX_ASSERT(rc == 0, "B's load: %d %s", rc, b->load.failure);
}

void nb_load_ended(struct nb_load *b, const struct td_disk *disk)
{
	uint8_t buf[BLOCK_BYTES];
	char failure[256] = "";
	uint32_t i;
	int rc = vfe_load_reap(&b->load);

	FX_ASSERT(rc >= 0, "B's last answers: %d %s", rc, b->load.failure);
	vfe_load_abandon(&b->load);
	for (i = 0; i < N_BLOCKS && disk->file[0]; i++) {
		FX_OK(td_disk_peek(disk, (uint64_t)i * BLOCK_BYTES, buf, sizeof(buf)));
		FX_ASSERT(vfe_model_agrees(&b->model, i, buf, failure, sizeof(failure)),
			  "in B's file: %s", failure);
	}
}

void nb_load_close(struct nb_load *b)
{
	vfe_load_fini(&b->load);
	vfe_model_fini(&b->model);
	vfe_blk_close(b->blk);
}
