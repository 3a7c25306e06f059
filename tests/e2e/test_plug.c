/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory is plugged into a guest and taken out again: the table is sent anew each time, and what
 * was in it before keeps its mapping in the back end, with the pages that were touched.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB         (1024u * 1024)
#define MEMORY_NAME "memfd:guest-memory"
#define MAPPINGS    8
#define PATIENCE_MS 10000

enum { BASE, PLUGGED };

static const struct vfe_region_spec regions[] = {
	[BASE] = {.gpa = MIB, .size_bytes = 64 * MIB, .prealloc = true},
	[PLUGGED] = {.gpa = 512ull * MIB, .size_bytes = 32 * MIB, .prealloc = true},
};

/* Where the back end has guests' memory, in the order of addresses; up to MAPPINGS. */
static unsigned int back_end_mappings(uintptr_t *ret_addr)
{
	unsigned int n = 0;
	char line[512];
	FILE *maps;

	snprintf(line, sizeof(line), "/proc/%d/maps", (int)fx_backend()->td.pid);
	maps = fopen(line, "re");
	FX_ASSERT(maps, "%s", line);
	while (n < MAPPINGS && fgets(line, sizeof(line), maps)) {
		if (strstr(line, MEMORY_NAME))
			ret_addr[n++] = (uintptr_t)strtoull(line, NULL, 16);
	}
	fclose(maps);
	return n;
}

/* They are taken down in the background. */
static void wait_for_mappings(unsigned int n, uintptr_t *ret_addr)
{
	int64_t end_ms = vfe_now_ms() + PATIENCE_MS;

	while (back_end_mappings(ret_addr) != n) {
		FX_ASSERT(vfe_now_ms() < end_ms, "%u mappings instead of %u",
			  back_end_mappings(ret_addr), n);
		usleep(1000);
	}
}

static struct vfe_blk *open_guest(unsigned int n_regions)
{
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_blk_opts opts;

	vfe_blk_opts_init(&opts, disk->socket);
	opts.regions = regions;
	opts.n_regions = n_regions;
	return fx_open(disk, &opts);
}

/* A read to this place in memory gives what the disk has. */
static void reads_at(struct vfe_io *io, uint64_t gpa, uint64_t generation)
{
	struct vfe_req *req = vfe_io_get(io);
	uint8_t *buf = fx_buf(4096);

	req->data_gpa = gpa;
	req->n_bytes = 4096;
	req->device_writes = true;
	FX_STATUS(vfe_io_run(io, req), VIRTIO_BLK_S_OK);
	FX_OK(vfe_mem_read(&io->blk->mem, gpa, buf, 4096));
	vfe_io_put(io, req);
	FX_ASSERT(vfe_pattern_check(buf, 0, 8, generation) < 0, "at 0x%llx: %s",
		  (unsigned long long)gpa, vfe_pattern_describe(buf));
}

static void reads_into(struct vfe_io *io, unsigned int region, uint64_t generation)
{
	reads_at(io, io->blk->mem.region[region].gpa + 16 * MIB, generation);
}

static void what_was_there_keeps_its_mapping(void **state)
{
	uintptr_t first, addr[MAPPINGS];
	struct vfe_blk *blk = open_guest(2);
	struct vfe_io *io = fx_io(blk, 0, 2, 4096);
	struct vfe_mem base = blk->mem;

	(void)state;
	base.n_regions = 1;
	FX_OK(vfe_blk_set_mem_table(blk, &base));
	wait_for_mappings(1, addr);
	first = addr[0];
	for (unsigned int i = 0; i < 20; i++) {
		fx_fill(io, 0, 8, i + 1);
		FX_OK(vfe_blk_set_mem_table(blk, &blk->mem));
		FX_ASSERT(back_end_mappings(addr) == 2, "a region of two is not mapped");
		FX_ASSERT(addr[0] == first || addr[1] == first, "it was mapped again");
		reads_into(io, BASE, i + 1);
		reads_into(io, PLUGGED, i + 1);
		FX_OK(vfe_blk_set_mem_table(blk, &base));
		wait_for_mappings(1, addr);
		FX_ASSERT(addr[0] == first, "the wrong one went");
		reads_into(io, BASE, i + 1);
	}
}

/* A region that is larger than the mapping of a part of it. */
static void another_part_of_a_file_is_mapped(void **state)
{
	uintptr_t addr[MAPPINGS];
	struct vfe_blk *blk = open_guest(2);
	struct vfe_io *io = fx_io(blk, 0, 2, 4096);
	struct vfe_mem part = blk->mem, base = blk->mem;
	struct vfe_region *r = &part.region[PLUGGED];

	(void)state;
	base.n_regions = 1;
	fx_fill(io, 0, 8, 1);
	r->size_bytes /= 4;
	r->gpa += 2 * r->size_bytes;
	r->user_addr += 2 * r->size_bytes;
	r->mmap_offset += 2 * r->size_bytes;
	for (unsigned int i = 0; i < 4; i++) {
		FX_OK(vfe_blk_set_mem_table(blk, &base));
		FX_OK(vfe_blk_set_mem_table(blk, &part));
		wait_for_mappings(2, addr);
		reads_into(io, PLUGGED, 1);
		FX_OK(vfe_blk_set_mem_table(blk, &blk->mem));
		wait_for_mappings(2, addr);
		reads_at(io, r->gpa - 4096, 1);
		reads_at(io, r->gpa + r->size_bytes, 1);
	}
}

/* Zeroes are in the place of pages that were taken away: not what a later table means. */
static void lost_memory_is_mapped_anew(void **state)
{
	struct vfe_blk *blk = open_guest(2);
	struct vfe_io *io = fx_io(blk, 0, 2, 4096);
	int fd = blk->mem.region[PLUGGED].fd;
	struct vfe_req *req;

	(void)state;
	fx_fill(io, 0, 8, 1);
	FX_ASSERT(ftruncate(fd, 0) == 0, "ftruncate");
	req = vfe_io_get(io);
	req->data_gpa = blk->mem.region[PLUGGED].gpa + 16 * MIB;
	req->n_bytes = 4096;
	req->device_writes = true;
	FX_OK(vfe_io_submit(io, req));
	vfe_io_kick(io);
	FX_ASSERT(vfe_io_wait(io, &req, PATIENCE_MS) == 1, "the request is lost");
	vfe_io_put(io, req);
	FX_ASSERT(ftruncate(fd, 32 * MIB) == 0, "ftruncate");
	FX_OK(vfe_blk_stop(blk, NULL));
	FX_OK(vfe_blk_start(blk));
	reads_into(io, PLUGGED, 1);
	reads_into(io, BASE, 1);
}

#define OURS "it looks at the back end's own mappings"

static const struct fx_case cases[] = {
	FX_CASE_ON(what_was_there_keeps_its_mapping, FX_VHOSTD, OURS),
	FX_CASE_ON(another_part_of_a_file_is_mapped, FX_VHOSTD, OURS),
	FX_CASE_ON(lost_memory_is_mapped_anew, FX_VHOSTD, OURS),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "plug", cases, sizeof(cases) / sizeof(cases[0]));
}
