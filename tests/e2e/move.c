/* SPDX-License-Identifier: BSD-3-Clause */
#include "move.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define N_BLOCKS      512u
#define BLOCK_SECTORS 8u

int mv_move(const struct td_disk *disk, int queue, int lcore, char *ret_error)
{
	struct json_object *result = NULL, *text = NULL;
	char params[128], which[32] = "";
	int rc;

	if (queue >= 0)
		snprintf(which, sizeof(which), ",\"queue\":%d", queue);
	snprintf(params, sizeof(params), "{\"name\":\"%s\"%s,\"lcore\":%d}", disk->name, which,
		 lcore);
	rc = td_rpc(&fx_backend()->td, "device.move", params, &result);
	if (rc == -EREMOTEIO && ret_error) {
		json_object_object_get_ex(result, "message", &text);
		snprintf(ret_error, 256, "%s %s", td_error_name(result),
			 json_object_get_string(text));
	}
	if (rc == 0 || rc == -EREMOTEIO)
		json_object_put(result);
	return rc;
}

/* device.show's member of a virtqueue; the object it is in is *ret_device. */
static struct json_object *get(const struct td_disk *disk, int queue, const char *key,
			       struct json_object **ret_device)
{
	struct json_object *queues, *value = NULL;
	char params[64];

	snprintf(params, sizeof(params), "{\"name\":\"%s\"}", disk->name);
	FX_OK(td_rpc(&fx_backend()->td, "device.show", params, ret_device));
	FX_ASSERT(json_object_object_get_ex(*ret_device, "queues", &queues), "no queues");
	json_object_object_get_ex(json_object_array_get_idx(queues, (size_t)queue), key, &value);
	return value;
}

int64_t mv_number(const struct td_disk *disk, int queue, const char *key)
{
	struct json_object *device, *value = get(disk, queue, key, &device);
	int64_t number = value ? json_object_get_int64(value) : -1;

	json_object_put(device);
	return number;
}

bool mv_is(const struct td_disk *disk, int queue, const char *key, const char *text)
{
	struct json_object *device, *value = get(disk, queue, key, &device);
	bool is = value && strcmp(json_object_get_string(value), text) == 0;

	json_object_put(device);
	return is;
}

void mv_wait(const struct td_disk *disk, int queue, const char *key, const char *text)
{
	int64_t deadline_ms = vfe_now_ms() + MV_PATIENCE_MS;

	while (!mv_is(disk, queue, key, text)) {
		FX_ASSERT(vfe_now_ms() < deadline_ms, "virtqueue %d: %s is not %s", queue, key,
			  text);
		usleep(2000);
	}
}

static void *move_about(void *arg)
{
	struct mover *m = arg;
	char error[256];

	for (unsigned int i = 0; !atomic_load(&m->stop); i++) {
		/* In turn: one, the other, both; to each lcore. */
		int which = (int)(i % 3), rc;

		rc = mv_move(m->disk, which == 2 ? -1 : which, (int)(i / 3 % 2), error);
		if (rc == 0) {
			atomic_fetch_add(&m->n_moves, 1);
		} else if (rc == -EREMOTEIO && (strncmp(error, "BUSY", 4) == 0 ||
						strncmp(error, "NOT_FOUND", 9) == 0)) {
			atomic_fetch_add(&m->n_busy, 1);
			usleep(1000);
		} else {
			fprintf(stderr, "move: %d %s\n", rc, rc == -EREMOTEIO ? error : "");
			atomic_store(&m->error, rc);
		}
	}
	return NULL;
}

static void end(void *arg)
{
	struct mover *m = arg;

	atomic_store(&m->stop, true);
	if (m->running)
		pthread_join(m->thread, NULL);
	m->running = false;
}

struct mover *mover_start(const struct td_disk *disk)
{
	struct mover *m = fx_buf(sizeof(*m));

	memset(m, 0, sizeof(*m));
	m->disk = disk;
	fx_at_end(end, m);
	FX_OK(pthread_create(&m->thread, NULL, move_about, m));
	m->running = true;
	return m;
}

void mover_stop(struct mover *m)
{
	end(m);
	FX_ASSERT(atomic_load(&m->error) == 0, "a move ended with %d", atomic_load(&m->error));
}

void mv_load_open(struct mv_load *l, const struct td_disk *disk)
{
	const struct vfe_load_opts opts = {.depth = 32,
					   .max_blocks = 4,
					   .write_percent = 60,
					   .zero_percent = 5,
					   .flush_percent = 1,
					   .seed = 7};
	struct vfe_blk_opts blk_opts;

	memset(l, 0, sizeof(*l));
	vfe_blk_opts_init(&blk_opts, NULL);
	blk_opts.n_queues = 2;
	FX_OK(vfe_model_init(&l->model, 0, BLOCK_SECTORS, N_BLOCKS));
	l->blk = fx_open(disk, &blk_opts);
	for (uint16_t q = 0; q < 2; q++)
		FX_OK(vfe_load_init(&l->load[q], &l->model, l->blk, q, &opts));
}

void mv_load_run(struct mv_load *l, uint64_t n)
{
	int rc = vfe_load_run(l->load, 2, n);

	FX_ASSERT(rc == 0, "%d %s %s", rc, l->load[0].failure, l->load[1].failure);
}

void mv_load_close(struct mv_load *l)
{
	for (uint16_t q = 0; q < 2; q++)
		vfe_load_fini(&l->load[q]);
	vfe_model_fini(&l->model);
	vfe_blk_close(l->blk);
}
