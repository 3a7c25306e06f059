/* SPDX-License-Identifier: BSD-3-Clause */
#include "victim.h"

#include <string.h>
#include <unistd.h>

#define KIB 1024u
#define MIB (1024u * KIB)

static const struct vfe_region_spec regions[] = {
	{.gpa = 0x100000, .size_bytes = 16 * MIB, .mmap_offset = 0},
	{.gpa = 0x1100000, .size_bytes = 16 * MIB, .mmap_offset = 0},
	{.gpa = VICTIM_LAST_GPA, .size_bytes = 4 * MIB, .mmap_offset = 0},
};

static void victim_open(struct victim *v)
{
	struct vfe_blk_opts opts;

	vfe_blk_opts_init(&opts, NULL);
	opts.n_queues = 2;
	opts.queue_size = VICTIM_RING_SIZE;
	opts.regions = regions;
	opts.n_regions = 3;
	v->blk = fx_open(v->disk, &opts);
	v->ring = &v->blk->ring[0];
	v->bystander = fx_io(v->blk, 1, 2, 4 * KIB);
	v->header_gpa = vfe_mem_alloc(&v->blk->mem, 64, 64);
	v->data_gpa = vfe_mem_alloc(&v->blk->mem, 64 * KIB, 4 * KIB);
	v->status_gpa = vfe_mem_alloc(&v->blk->mem, 64, 64);
	v->table_gpa = vfe_mem_alloc(&v->blk->mem, 256 * 16, 16);
	v->table = vfe_mem_ptr(&v->blk->mem, v->table_gpa, 256 * 16);
}

void victim_init(struct victim *v)
{
	memset(v, 0, sizeof(*v));
	v->log_lines = fx_backend_log_lines();
	v->other = fx_io(fx_open(fx_disk(NULL), NULL), 0, 2, 4 * KIB);
	v->disk = fx_disk(&(struct td_disk_opts){.n_queues = 2});
	victim_open(v);
	fx_serves(v->bystander, 0);
	fx_serves(v->other, 0);
}

uint8_t victim_status(struct victim *v)
{
	uint8_t status = 0;

	FX_OK(vfe_mem_read(&v->blk->mem, v->status_gpa, &status, 1));
	return status;
}

void victim_reset(struct victim *v)
{
	uint16_t q;

	if (fx_kind() == TD_QSD) {
		vfe_blk_hang_up(v->blk);
		v->blk = fx_open_patiently(v->disk);
		return;
	}
	FX_OK(vfe_blk_stop(v->blk, NULL));
	for (q = 0; q < 2; q++) {
		vfe_ring_reset(&v->blk->ring[q], 0);
		v->blk->base[q] = vfe_ring_start_base(&v->blk->ring[q], 0);
	}
	FX_OK(vfe_blk_start(v->blk));
}

static void others_go_on(struct victim *v)
{
	unsigned int i;

	for (i = 0; i < 5; i++) {
		if (fx_kind() != TD_QSD)
			fx_serves(v->bystander, 8 * i);
		fx_serves(v->other, 8 * i);
		vfe_ring_kick_always(v->ring);
		usleep(2000);
	}
}

void victim_check(struct victim *v)
{
	unsigned int i;

	others_go_on(v);
	for (i = 0; i < 500; i++)
		vfe_ring_kick_always(v->ring);
	others_go_on(v);
	FX_ASSERT(v->may_succeed || victim_status(v) != VIRTIO_BLK_S_OK,
		  "a request that makes no sense succeeded");
	victim_reset(v);
	fx_serves(fx_io(v->blk, 0, 2, 4 * KIB), 100);
	fx_serves(v->other, 100);
	FX_ASSERT(fx_backend_log_lines() - v->log_lines < VICTIM_LOG_LINES, "%d lines in the log",
		  fx_backend_log_lines() - v->log_lines);
}
