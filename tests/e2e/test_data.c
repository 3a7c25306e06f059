/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data integrity: verified random load on several queues at depth, and what is on the disk after
 * the front end, the device or the daemon went away in the middle of it.
 *
 * The rule for every kind of end: what was acknowledged is on the disk; a write that was not
 * acknowledged is there or not, sector by sector; and nothing of an old connection lands later.
 */
#include "fixture.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "vfe_verify.h"

#define N_QUEUES      4
#define BLOCK_SECTORS 8u
#define BLOCK_BYTES   (BLOCK_SECTORS * 512u)
#define N_BLOCKS      2048u
#define FIRST_SECTOR  64u

static const struct vfe_load_opts mixed = {.depth = 64,
					   .max_blocks = 8,
					   .write_percent = 50,
					   .zero_percent = 5,
					   .flush_percent = 2,
					   .seed = 1};

/* A model and the loads of one session. */
struct bench {
	struct vfe_model model;
	struct vfe_load load[N_QUEUES];
	struct vfe_blk *blk;
	unsigned int n_loads;
};

static void bench_open(struct bench *b, const struct td_disk *disk, unsigned int n_loads,
		       const struct vfe_load_opts *load_opts)
{
	struct vfe_blk_opts opts;
	uint16_t q;

	vfe_blk_opts_init(&opts, NULL);
	opts.n_queues = N_QUEUES;
	opts.queue_size = 256;
	b->n_loads = n_loads;
	b->blk = fx_open(disk, &opts);
	for (q = 0; q < n_loads; q++)
		FX_OK(vfe_load_init(&b->load[q], &b->model, b->blk, q, load_opts));
}

static void bench_close_loads(struct bench *b)
{
	unsigned int q;

	for (q = 0; q < b->n_loads; q++)
		vfe_load_fini(&b->load[q]);
}

static void bench_run(struct bench *b, uint64_t n_requests)
{
	unsigned int q;
	int rc = vfe_load_run(b->load, b->n_loads, n_requests);

	for (q = 0; q < b->n_loads; q++)
		FX_ASSERT(!b->load[q].failure[0], "queue %u: %s", q, b->load[q].failure);
	FX_ASSERT(rc == 0, "load: %d", rc);
}

static struct td_disk *disk_with_queues(void)
{
	return fx_disk(&(struct td_disk_opts){.n_queues = N_QUEUES});
}

/* What the device holds is the truth from now on; a block that is half old, half new is written
 * anew. */
static void settle_block(struct bench *b, struct vfe_io *io, uint32_t block, const void *data)
{
	vfe_model_settle(&b->model, block, data);
	if (!b->model.doubt[block])
		return;
	b->model.generation[block] = ++b->model.last_generation;
	b->model.doubt[block] = 0;
	fx_fill(io, FIRST_SECTOR + (uint64_t)block * BLOCK_SECTORS, BLOCK_SECTORS,
		b->model.generation[block]);
}

#define BLOCKS_AT_ONCE 64u

/* Read the whole area through the device; with `settle`, the doubts end here. */
static void check_device(struct bench *b, struct vfe_io *io, bool settle)
{
	uint8_t *buf = malloc(BLOCKS_AT_ONCE * BLOCK_BYTES);
	char failure[256] = "";
	uint32_t i, k;
	int status = -1;

	for (i = 0; i < N_BLOCKS && !failure[0]; i += BLOCKS_AT_ONCE) {
		status = vfe_read(io, FIRST_SECTOR + (uint64_t)i * BLOCK_SECTORS, buf,
				  BLOCKS_AT_ONCE * BLOCK_BYTES);
		if (status != VIRTIO_BLK_S_OK)
			break;
		for (k = 0; k < BLOCKS_AT_ONCE && !failure[0]; k++) {
			const uint8_t *block = buf + k * BLOCK_BYTES;

			if (vfe_model_agrees(&b->model, i + k, block, failure, sizeof(failure)) &&
			    settle)
				settle_block(b, io, i + k, block);
		}
	}
	free(buf);
	FX_STATUS(status, VIRTIO_BLK_S_OK);
	FX_ASSERT(!failure[0], "%s", failure);
}

static void check_file(const struct bench *b, const struct td_disk *disk)
{
	uint8_t buf[BLOCK_BYTES];
	char failure[256] = "";
	uint64_t sector;
	uint32_t i;

	for (i = 0; i < N_BLOCKS; i++) {
		sector = FIRST_SECTOR + (uint64_t)i * BLOCK_SECTORS;
		FX_OK(td_disk_peek(disk, sector * 512, buf, sizeof(buf)));
		FX_ASSERT(vfe_model_agrees(&b->model, i, buf, failure, sizeof(failure)),
			  "in the file: %s", failure);
	}
}

/*
 * The device is gone in the middle of the load: take the answers that it still gave (the rings are
 * ours), then call the rest in doubt.
 */
static void take_last_answers(struct bench *b)
{
	unsigned int q;
	int rc;

	for (q = 0; q < b->n_loads; q++) {
		rc = vfe_load_reap(&b->load[q]);
		FX_ASSERT(rc >= 0, "queue %u: %s", q, b->load[q].failure);
		vfe_load_abandon(&b->load[q]);
	}
}

static void fill_queues(struct bench *b)
{
	unsigned int q;

	for (q = 0; q < b->n_loads; q++)
		vfe_load_send(&b->load[q], 64);
}

static void mixed_load(const struct vfe_load_opts *load_opts, unsigned int n_loads, uint64_t n)
{
	struct bench *b = fx_buf(sizeof(*b));
	struct td_disk *disk = disk_with_queues();

	FX_OK(vfe_model_init(&b->model, FIRST_SECTOR, BLOCK_SECTORS, N_BLOCKS));
	bench_open(b, disk, n_loads, load_opts);
	bench_run(b, n);
	check_device(b, fx_io(b->blk, N_QUEUES - 1, 2, BLOCKS_AT_ONCE * BLOCK_BYTES), false);
	if (disk->file[0])
		check_file(b, disk);
	bench_close_loads(b);
	vfe_model_fini(&b->model);
}

static void mixed_load_on_one_queue(void **state)
{
	(void)state;
	mixed_load(&mixed, 1, 20000);
}

static void mixed_load_on_four_queues(void **state)
{
	(void)state;
	mixed_load(&mixed, N_QUEUES - 1, 40000);
}

static void mixed_load_by_a_polling_driver(void **state)
{
	struct vfe_load_opts opts = mixed;

	(void)state;
	opts.polling = true;
	opts.seed = 2;
	mixed_load(&opts, N_QUEUES - 1, 20000);
}

static void large_requests(void **state)
{
	struct vfe_load_opts opts = mixed;

	(void)state;
	opts.depth = 24;
	opts.max_blocks = 64; /* up to 256 KiB */
	opts.seed = 3;
	mixed_load(&opts, 2, 4000);
}

/* Hang up with requests in flight, come back, and write over what was in doubt at once. */
static void late_writes_never_overtake(void **state)
{
	struct bench *b = fx_buf(sizeof(*b));
	struct td_disk *disk = disk_with_queues();
	unsigned int round;

	(void)state;
	FX_OK(vfe_model_init(&b->model, FIRST_SECTOR, BLOCK_SECTORS, N_BLOCKS));
	for (round = 0; round < 8; round++) {
		struct vfe_load_opts opts = mixed;

		opts.seed = 100 + round;
		opts.write_percent = 90;
		bench_open(b, disk, N_QUEUES - 1, &opts);
		bench_run(b, 500);
		fill_queues(b);
		vfe_blk_hang_up(b->blk);
		take_last_answers(b);
		bench_close_loads(b);

		bench_open(b, disk, N_QUEUES - 1, &opts);
		bench_run(b, 500); /* reads of doubtful blocks may see either generation */
		check_device(b, fx_io(b->blk, N_QUEUES - 1, 2, BLOCKS_AT_ONCE * BLOCK_BYTES), true);
		usleep(10000);
		check_device(b, fx_io(b->blk, N_QUEUES - 1, 2, BLOCKS_AT_ONCE * BLOCK_BYTES),
			     false);
		bench_close_loads(b);
		vfe_blk_hang_up(b->blk);
	}
	vfe_model_fini(&b->model);
}

static void deleting_by_force_keeps_acknowledged_writes(void **state)
{
	struct bench *b = fx_buf(sizeof(*b));
	unsigned int round;

	(void)state;
	for (round = 0; round < 3; round++) {
		struct td_disk *disk = disk_with_queues();

		FX_OK(vfe_model_init(&b->model, FIRST_SECTOR, BLOCK_SECTORS, N_BLOCKS));
		bench_open(b, disk, N_QUEUES - 1, &mixed);
		bench_run(b, 3000);
		fill_queues(b);
		FX_OK(td_disk_del(fx_backend(), disk, true));
		fx_disk_gone(disk);
		FX_ASSERT(vfe_msg_peer_closes(b->blk->conn.sock, VFE_TIMEOUT_MS),
			  "the connection outlives the device");
		take_last_answers(b);
		check_file(b, disk);
		usleep(20000);
		check_file(b, disk); /* and nothing came later that should not have */
		bench_close_loads(b);
		vfe_model_fini(&b->model);
	}
}

/* A daemon of the test's own, for tests that end it. */
static void load_then(void (*end)(struct td_backend *own), const char *name)
{
	struct bench *b = fx_buf(sizeof(*b));
	struct td_backend own;
	struct td_disk disk;

	FX_OK(td_backend_start(&own, fx_kind(), NULL));
	FX_OK(td_disk_add(&own, &disk, name, &(struct td_disk_opts){.n_queues = N_QUEUES}));
	FX_OK(vfe_model_init(&b->model, FIRST_SECTOR, BLOCK_SECTORS, N_BLOCKS));
	bench_open(b, &disk, N_QUEUES - 1, &mixed);
	bench_run(b, 5000);
	fill_queues(b);
	end(&own);
	take_last_answers(b);
	check_file(b, &disk);
	bench_close_loads(b);
	vfe_model_fini(&b->model);
}

static void crash(struct td_backend *own)
{
	td_kill(&own->td);
}

static void terminate(struct td_backend *own)
{
	int status = td_backend_stop(own);

	FX_ASSERT(status == 0, "exit status %d", status);
}

static void a_crash_keeps_acknowledged_writes(void **state)
{
	(void)state;
	load_then(crash, "crash");
}

static void termination_under_load_is_clean(void **state)
{
	(void)state;
	load_then(terminate, "term");
}

/* One queue's data is read back through another, and by another connection. */
static void queues_see_each_others_writes(void **state)
{
	struct td_disk *disk = disk_with_queues();
	struct vfe_io *io[N_QUEUES];
	struct vfe_blk_opts opts;
	struct vfe_blk *blk;
	unsigned int i;
	uint16_t q;

	(void)state;
	vfe_blk_opts_init(&opts, NULL);
	opts.n_queues = N_QUEUES;
	blk = fx_open(disk, &opts);
	for (q = 0; q < N_QUEUES; q++)
		io[q] = fx_io(blk, q, 2, 65536);
	for (i = 0; i < 200; i++) {
		fx_fill(io[i % N_QUEUES], 128 * (i % 10), 128, i + 1);
		fx_expect(io[(i + 1 + i / N_QUEUES) % N_QUEUES], 128 * (i % 10), 128, i + 1);
	}
}

#define NO_FILE "a malloc disk has no file, and ends with its daemon"
#define ABORTS                                                                                     \
	"qemu-storage-daemon 7.2 aborts when a client hangs up under load "                        \
	"(vhost_user_server_ref: "                                                                 \
	"Assertion `!server->wait_idle')"
#define NO_DRAIN                                                                                   \
	"qemu-storage-daemon 7.2 is not asked to end an export under load: it aborts now and then"

static const struct fx_case cases[] = {
	FX_CASE(mixed_load_on_one_queue),
	FX_CASE(mixed_load_on_four_queues),
	FX_CASE(mixed_load_by_a_polling_driver),
	FX_CASE(large_requests),
	FX_CASE(queues_see_each_others_writes),
	FX_CASE_ON(late_writes_never_overtake, FX_VHOSTD, ABORTS),
	FX_CASE_ON(deleting_by_force_keeps_acknowledged_writes, FX_AIO | FX_URING,
		   NO_FILE "; " NO_DRAIN),
	FX_CASE_ON(a_crash_keeps_acknowledged_writes, FX_FILE, NO_FILE),
	FX_CASE_ON(termination_under_load_is_clean, FX_AIO | FX_URING, NO_FILE "; " NO_DRAIN),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "data", cases, sizeof(cases) / sizeof(cases[0]));
}
