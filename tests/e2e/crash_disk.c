/* SPDX-License-Identifier: BSD-3-Clause */
#include "crash_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "td_loop.h"
#include "td_rpc.h"

#define BLOCK_SECTORS   (CRASH_BLOCK / VFE_SECTOR_BYTES)
#define TOGGLE_REQUESTS 100
#define IN_USE_MAX_MS   15000

static const char *const mode_names[] = {"write-back", "write-through", "toggled", "no flush"};

void crash_disk_init(struct crash_disk *d, const char *name, const char *path, uint64_t *random)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	FX_ASSERT(fd >= 0 && ftruncate(fd, CRASH_BYTES) == 0, "%s: %d", path, errno);
	close(fd);
	*d = (struct crash_disk){.name = name, .loop_fd = -1, .random = random};
	snprintf(d->path, sizeof(d->path), "%s", path);
	d->blk.conn.sock = d->blk.backend_channel = d->blk.err_fd = -1;
	d->buf = fx_buf(CRASH_AT_ONCE * CRASH_BLOCK);
	FX_OK(vfe_model_init(&d->model, 0, BLOCK_SECTORS, CRASH_BLOCKS));
	FX_OK(vfe_durable_init(&d->durable, CRASH_BLOCKS));
	d->model.durable = &d->durable;
}

bool crash_disk_make_loop(struct crash_disk *d)
{
	char file[TD_PATH_MAX];

	snprintf(file, sizeof(file), "%s", d->path);
	d->loop_fd = td_loop_open(file, d->path, sizeof(d->path));
	FX_ASSERT(d->loop_fd >= 0 || d->loop_fd == -ENODEV, "a loop device on %s: %d", file,
		  d->loop_fd);
	return d->loop_fd >= 0;
}

static void end_session(struct crash_disk *d)
{
	while (d->n_loads > 0)
		vfe_load_fini(&d->load[--d->n_loads]);
	vfe_io_fini(&d->check);
	vfe_blk_close(&d->blk);
}

void crash_disk_fini(struct crash_disk *d)
{
	if (!d->name)
		return;
	end_session(d);
	if (d->loop_fd >= 0)
		close(d->loop_fd);
	vfe_durable_fini(&d->durable);
	vfe_model_fini(&d->model);
}

/* The kernel may still be at work for the vhostd that was killed; the disk is not free before. */
void crash_disk_add(struct crash_disk *d, struct td_backend *vhostd)
{
	int64_t deadline_ms = vfe_now_ms() + IN_USE_MAX_MS;
	struct json_object *answer = NULL;
	char params[256];
	int rc;

	snprintf(params, sizeof(params),
		 "{\"name\":\"%s\",\"backend\":\"%s\",\"path\":\"%s\",\"queues\":%u}", d->name,
		 td_kind_names[fx_kind()], d->path, CRASH_QUEUES);
	for (;;) {
		rc = td_rpc(&vhostd->td, "device.add", params, &answer);
		if (rc != -EREMOTEIO || strcmp(td_error_name(answer), "IN_USE") != 0 ||
		    vfe_now_ms() > deadline_ms)
			break;
		json_object_put(answer);
		usleep(5000);
	}
	if (rc)
		fprintf(stderr, "%s\n", answer ? json_object_to_json_string(answer) : "no answer");
	json_object_put(answer);
	FX_ASSERT(rc == 0, "device.add: %d", rc);
	snprintf(d->socket, sizeof(d->socket), "%s/%s.sock", vhostd->td.dir, d->name);
}

/* The device has taken it in when it answers the next message. */
static void set_wce(struct crash_disk *d, bool wce)
{
	struct virtio_blk_config config = {0};

	if (wce)
		vfe_durable_set_through(&d->durable, false);
	FX_OK(vfe_blk_set_wce(&d->blk, wce));
	FX_OK(vfe_blk_get_config(&d->blk, &config, 57));
	FX_ASSERT(config.wce == wce, "wce %u", config.wce);
	if (!wce)
		vfe_durable_set_through(&d->durable, true);
}

/* Every flush makes all that was written before it durable, and zeroing flushes where the cache is
 * off. What a write alone is good for shows where there is little of either. */
static void choose_load(struct crash_disk *d, struct vfe_load_opts *ret_opts)
{
	bool flushes = d->mode == CRASH_WRITE_BACK || d->mode == CRASH_TOGGLED;

	*ret_opts = (struct vfe_load_opts){.depth = 64,
					   .max_blocks = 4,
					   .write_percent = 80,
					   .zero_percent = vfe_random(d->random) % 2 ? 6 : 0,
					   .discard_percent = 40,
					   .flush_percent = flushes ? 2 : 0,
					   .seed = vfe_random(d->random)};
}

static void open_session(struct crash_disk *d)
{
	const struct vfe_io_opts check_opts = {.n_reqs = 1,
					       .max_bytes = CRASH_AT_ONCE * CRASH_BLOCK};
	struct vfe_load_opts load_opts;
	struct vfe_blk_opts opts;

	choose_load(d, &load_opts);
	vfe_blk_opts_init(&opts, d->socket);
	opts.n_queues = CRASH_QUEUES;
	if (d->mode == CRASH_NO_FLUSH)
		opts.features &= ~(1ull << VIRTIO_BLK_F_FLUSH) & ~(1ull << VIRTIO_BLK_F_CONFIG_WCE);
	FX_OK(vfe_blk_open(&d->blk, &opts));
	FX_OK(vfe_io_init(&d->check, &d->blk, 0, &check_opts));
	for (uint16_t q = 0; q < CRASH_QUEUES; q++) {
		FX_OK(vfe_load_init(&d->load[q], &d->model, &d->blk, q, &load_opts));
		d->n_loads++;
	}
}

/* One generation in all sectors: that is what the block has now. Else, some of a write being there
 * and some not, the block is written anew. */
static void settle(struct crash_disk *d, struct vfe_io *io, uint32_t block, const uint8_t *data)
{
	uint64_t sector = (uint64_t)block * BLOCK_SECTORS, generation;

	FX_ASSERT(vfe_pattern_generation(data, sector, &generation), "it has agreed before");
	if (vfe_pattern_check(data, sector, BLOCK_SECTORS, generation) >= 0) {
		generation = ++d->model.last_generation;
		fx_fill(io, sector, BLOCK_SECTORS, generation);
	}
	d->model.generation[block] = generation;
	d->model.doubt[block] = 0;
	d->model.busy[block] = false;
	vfe_durable_settle(&d->durable, block, generation);
}

static void verify_blocks(struct crash_disk *d, uint32_t first)
{
	char failure[256] = "";

	FX_STATUS(vfe_read(&d->check, (uint64_t)first * BLOCK_SECTORS, d->buf,
			   CRASH_AT_ONCE * CRASH_BLOCK),
		  VIRTIO_BLK_S_OK);
	for (uint32_t i = first; i < first + CRASH_AT_ONCE; i++) {
		const uint8_t *data = d->buf + (i - first) * CRASH_BLOCK;

		FX_ASSERT(vfe_durable_agrees(&d->durable, i, (uint64_t)i * BLOCK_SECTORS,
					     BLOCK_SECTORS, data, failure, sizeof(failure)),
			  "%s, after %s: %s", d->name, mode_names[d->last_mode], failure);
		settle(d, &d->check, i, data);
	}
}

void crash_disk_verify(struct crash_disk *d, enum crash_mode mode)
{
	d->mode = mode;
	d->n_toggles = d->n_done = 0;
	open_session(d);
	for (uint32_t i = 0; i < CRASH_BLOCKS; i += CRASH_AT_ONCE)
		verify_blocks(d, i);
	if (mode != CRASH_NO_FLUSH) /* else the cache was off while it wrote */
		FX_STATUS(vfe_flush(&d->check), VIRTIO_BLK_S_OK);
	vfe_durable_set_through(&d->durable, mode == CRASH_NO_FLUSH);
	if (mode == CRASH_WRITE_THROUGH)
		set_wce(d, false);
}

static unsigned int reap(struct crash_disk *d)
{
	unsigned int n = 0;

	for (unsigned int q = 0; q < CRASH_QUEUES; q++) {
		int rc = vfe_load_reap(&d->load[q]);

		FX_ASSERT(rc >= 0, "%s, %s, queue %u: %s", d->name, mode_names[d->mode], q,
			  d->load[q].failure);
		n += (unsigned int)rc;
	}
	d->n_done += n;
	return n;
}

unsigned int crash_disk_step(struct crash_disk *d)
{
	unsigned int n;

	for (unsigned int q = 0; q < CRASH_QUEUES; q++)
		vfe_load_send(&d->load[q], 64);
	n = reap(d);
	if (d->mode == CRASH_TOGGLED && d->n_done / TOGGLE_REQUESTS > d->n_toggles)
		set_wce(d, d->n_toggles++ % 2);
	return n;
}

void crash_disk_abandon(struct crash_disk *d)
{
	reap(d);
	for (unsigned int q = 0; q < CRASH_QUEUES; q++)
		vfe_load_abandon(&d->load[q]);
	end_session(d);
	d->last_mode = d->mode;
}
