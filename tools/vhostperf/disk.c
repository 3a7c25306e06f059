/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The guest memory is one region: the rings, then for each slot a control block and its data.
 * Header and status lie in one cache line, which the two sides pass to and fro anyway; nothing else
 * does.
 */
#include "disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vfe_pattern.h"

#define SECTOR_BYTES     512u
#define PAGE_BYTES       4096u
#define REGION_GPA       0x100000u
#define MEMORY_BYTES_MAX (4ull << 30)
#define RING_ENTRIES_MIN 128u /* as guests have them; more does not change a load */

/* A slot's control block. */
#define CONTROL_BYTES 128u
#define TABLE_OFFSET  0u
#define HEADER_OFFSET 64u
#define STATUS_OFFSET 80u

/* What a message of the back end that did not come, or said no, means. */
static enum exit_code protocol_error(const struct options *o, int rc)
{
	switch (-rc) {
	case ECONNRESET:
	case EPIPE:
		return fail(EXIT_FAILED,
			    "%s: the back end hung up while it was being set up; its "
			    "log may say why",
			    o->socket);
	case ETIMEDOUT:
		return fail(EXIT_FAILED,
			    "%s: the back end doesn't answer; does it serve another "
			    "front end?",
			    o->socket);
	case EPROTO:
	case EMSGSIZE:
		return fail(EXIT_FAILED, "%s: what answers there is no vhost-user-blk back end",
			    o->socket);
	case EREMOTEIO:
		return fail(EXIT_FAILED, "%s: the back end refused the memory", o->socket);
	default:
		return fail(EXIT_FAILED, "%s: %s", o->socket, strerror(-rc));
	}
}

static enum exit_code connect_error(const struct options *o, int rc)
{
	if (rc == -ECONNREFUSED)
		return fail(EXIT_FAILED, "%s: nobody listens on this socket", o->socket);
	return fail(EXIT_FAILED, "%s: %s", o->socket, strerror(-rc));
}

static uint64_t wanted_features(const struct options *o)
{
	uint64_t features = VFE_FEATURES_ALL;

	if (o->ring == RING_PACKED)
		features |= 1ull << VIRTIO_F_RING_PACKED;
	if (o->indirect == USE_OFF)
		features &= ~(1ull << VIRTIO_RING_F_INDIRECT_DESC);
	if (o->event_idx == USE_OFF)
		features &= ~(1ull << VIRTIO_RING_F_EVENT_IDX);
	return features;
}

static bool offers(const struct disk *disk, unsigned int feature)
{
	return disk->blk.device_features & disk->blk.opts.features & (1ull << feature);
}

static enum exit_code take_features(struct disk *disk, const struct options *o)
{
	disk->indirect = offers(disk, VIRTIO_RING_F_INDIRECT_DESC);
	disk->event_idx = offers(disk, VIRTIO_RING_F_EVENT_IDX);
	if (o->ring == RING_PACKED && !offers(disk, VIRTIO_F_RING_PACKED))
		return fail(EXIT_USAGE, "--ring packed: the back end doesn't offer packed "
					"virtqueues (VIRTIO_F_RING_PACKED)");
	if (o->indirect == USE_ON && !disk->indirect)
		return fail(EXIT_USAGE, "--indirect on: the back end doesn't offer it");
	if (o->event_idx == USE_ON && !disk->event_idx)
		return fail(EXIT_USAGE, "--event-idx on: the back end doesn't offer it");
	if (options_writes(o) && offers(disk, VIRTIO_BLK_F_RO))
		return fail(EXIT_USAGE, "--rw %s: the disk is read-only", rw_words[o->rw]);
	return EXIT_OK;
}

static enum exit_code check_queues(const struct disk *disk, const struct options *o)
{
	uint64_t has = disk->blk.n_device_queues ? disk->blk.n_device_queues : 1;

	if (offers(disk, VIRTIO_BLK_F_MQ) && disk->config.num_queues < has)
		has = disk->config.num_queues;
	if (o->queues > has)
		return fail(EXIT_USAGE, "--queues %" PRIu64 ": the disk has %" PRIu64, o->queues,
			    has);
	return EXIT_OK;
}

static enum exit_code check_block(const struct disk *disk, const struct options *o)
{
	uint32_t block = offers(disk, VIRTIO_BLK_F_BLK_SIZE) ? disk->config.blk_size : SECTOR_BYTES;

	if (block && o->bs_bytes % block)
		return fail(EXIT_USAGE,
			    "--bs %" PRIu64 " is not a multiple of the disk's block size %" PRIu32,
			    o->bs_bytes, block);
	/* qemu-storage-daemon offers SIZE_MAX with a size_max of 0: there is none. */
	if (offers(disk, VIRTIO_BLK_F_SIZE_MAX) && disk->config.size_max &&
	    o->bs_bytes > disk->config.size_max)
		return fail(EXIT_USAGE,
			    "--bs %" PRIu64 " is more than the disk takes in one segment: %" PRIu32,
			    o->bs_bytes, disk->config.size_max);
	return EXIT_OK;
}

static enum exit_code check_size(struct disk *disk, const struct options *o)
{
	/* A block may have one request in flight when its data is verified. */
	uint64_t n_blocks_min = o->queues * (o->verify ? o->depth : 1);

	disk->capacity_bytes = disk->config.capacity * SECTOR_BYTES;
	disk->used_bytes = o->size_bytes ? o->size_bytes : disk->capacity_bytes;
	if (disk->used_bytes > disk->capacity_bytes)
		return fail(EXIT_USAGE, "--size %" PRIu64 ": the disk has %" PRIu64 " bytes",
			    o->size_bytes, disk->capacity_bytes);
	if (disk->used_bytes / o->bs_bytes < n_blocks_min)
		return fail(EXIT_USAGE,
			    "%s of %" PRIu64 " bytes is too small: --bs %" PRIu64
			    " with these --queues%s needs %" PRIu64,
			    o->size_bytes ? "--size" : "the disk", disk->used_bytes, o->bs_bytes,
			    o->verify ? " and this --depth for --verify" : "",
			    n_blocks_min * o->bs_bytes);
	return EXIT_OK;
}

static enum exit_code read_facts(struct disk *disk, const struct options *o)
{
	/* Up to num_queues: what every back end has. */
	int rc = vfe_blk_get_config(&disk->blk, &disk->config,
				    offsetof(struct virtio_blk_config, num_queues) + 2);
	enum exit_code code;

	if (rc)
		return protocol_error(o, rc);
	code = take_features(disk, o);
	if (code == EXIT_OK)
		code = check_queues(disk, o);
	if (code == EXIT_OK)
		code = check_block(disk, o);
	return code == EXIT_OK ? check_size(disk, o) : code;
}

static const struct ring_ops *ring_ops_of(const struct options *o)
{
	static const struct ring_ops *const ops[] = {
		[RING_SPLIT] = &ring_split_ops, [RING_PACKED] = &ring_packed_ops};

	return ops[o->ring];
}

static uint64_t data_stride(const struct options *o)
{
	return (o->bs_bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

/* Decides on the rings' size and makes rings and memory. */
static enum exit_code make_memory(struct disk *disk, const struct options *o)
{
	const struct ring_ops *ops = ring_ops_of(o);
	unsigned int entries = ops->entries((unsigned int)o->depth, disk->indirect);
	uint64_t slot_bytes = CONTROL_BYTES + data_stride(o);
	/* Plenty for the rings, whatever their format. */
	uint64_t queue_bytes = o->depth * slot_bytes + 64ull * RING_SIZE_MAX + 8ull * PAGE_BYTES;
	struct vfe_region_spec spec = {
		.gpa = REGION_GPA, .size_bytes = o->queues * queue_bytes, .prealloc = true};
	int rc;

	if (entries > RING_SIZE_MAX)
		return fail(EXIT_USAGE,
			    "--depth %" PRIu64 " without indirect descriptors needs rings of %u, "
			    "and they have at most %d",
			    o->depth, entries, RING_SIZE_MAX);
	if (spec.size_bytes > MEMORY_BYTES_MAX)
		return fail(EXIT_USAGE,
			    "--bs, --depth and --queues need %" PRIu64
			    " bytes of memory together; the limit is %llu",
			    spec.size_bytes, MEMORY_BYTES_MAX);
	spec.size_bytes = (spec.size_bytes + PAGE_BYTES) & ~(uint64_t)(PAGE_BYTES - 1);
	disk->blk.opts.queue_size =
		(uint16_t)(entries > RING_ENTRIES_MIN ? entries : RING_ENTRIES_MIN);
	disk->blk.opts.regions = &spec;
	rc = vfe_blk_make_rings(&disk->blk);
	disk->blk.opts.regions = NULL;
	return rc ? protocol_error(o, rc) : EXIT_OK;
}

/* What a store can't compress; and no page is touched for the first time under load. */
static void fill_random(void *data, uint64_t n_bytes, uint64_t seed)
{
	for (uint64_t at = 0; at < n_bytes; at += sizeof(seed)) {
		uint64_t word = vfe_random(&seed);

		memcpy((uint8_t *)data + at, &word, sizeof(word));
	}
}

static void place_slot(const struct vfe_mem *mem, struct ring_slot *place, struct request *r,
		       uint64_t control_gpa, uint64_t data_gpa, const struct options *o)
{
	*place = (struct ring_slot){
		.header_gpa = control_gpa + HEADER_OFFSET,
		.status_gpa = control_gpa + STATUS_OFFSET,
		.table_gpa = control_gpa + TABLE_OFFSET,
		.data_gpa = data_gpa,
		.table = vfe_mem_ptr(mem, control_gpa + TABLE_OFFSET, HEADER_OFFSET),
	};
	r->header = vfe_mem_ptr(mem, place->header_gpa, sizeof(*r->header));
	r->status = vfe_mem_ptr(mem, place->status_gpa, 1);
	r->data = vfe_mem_ptr(mem, data_gpa, o->bs_bytes);
	fill_random(r->data, o->bs_bytes, o->seed + control_gpa);
}

static int place_slots(struct disk *disk, struct queue *q, const struct options *o)
{
	struct vfe_mem *mem = &disk->blk.mem;
	uint64_t control = vfe_mem_alloc(mem, o->depth * CONTROL_BYTES, PAGE_BYTES);
	uint64_t data = vfe_mem_alloc(mem, o->depth * data_stride(o), PAGE_BYTES);

	q->place = calloc(o->depth, sizeof(*q->place));
	q->request = calloc(o->depth, sizeof(*q->request));
	if (!q->place || !q->request || control == VFE_NO_GPA || data == VFE_NO_GPA)
		return -ENOMEM;
	for (uint64_t slot = 0; slot < o->depth; slot++)
		place_slot(mem, &q->place[slot], &q->request[slot], control + slot * CONTROL_BYTES,
			   data + slot * data_stride(o), o);
	return 0;
}

static int make_queue(struct disk *disk, unsigned int index, const struct options *o)
{
	struct queue *q = &disk->queue[index];
	uint64_t n_blocks = disk->used_bytes / o->bs_bytes / o->queues;
	int rc;

	*q = (struct queue){
		.complaints = &disk->complaints,
		.block_sectors = (uint32_t)(o->bs_bytes / SECTOR_BYTES),
		.batch = o->verify ? QUEUE_BATCH_VERIFIED : QUEUE_BATCH,
		.plan = {.first_block = index * n_blocks,
			 .n_blocks = n_blocks,
			 .random = o->seed * 0x9e3779b97f4a7c15ull + index,
			 .read_below = (options_read_percent(o) << 32) / 100,
			 .sequential = options_sequential(o)},
	};
	disk->n_queues = index + 1;
	rc = place_slots(disk, q, o);
	if (!rc && o->verify)
		rc = verify_init(&disk->verify[index], index * n_blocks, n_blocks, q->block_sectors,
				 options_writes(o));
	if (rc)
		return rc;
	q->verify = o->verify ? &disk->verify[index] : NULL;
	q->ring = (struct ring){
		.ops = ring_ops_of(o),
		.vfe = &disk->blk.ring[index],
		.slot = q->place,
		.n_slots = (uint16_t)o->depth,
		.data_bytes = (uint32_t)o->bs_bytes,
		.indirect = disk->indirect,
		.event_idx = disk->event_idx,
	};
	q->ring.ops->init(&q->ring);
	q->ring.ops->interrupts(&q->ring, false);
	return 0;
}

static enum exit_code make_queues(struct disk *disk, const struct options *o)
{
	int rc = 0;

	disk->queue = aligned_alloc(CACHE_LINE, o->queues * sizeof(*disk->queue));
	disk->verify = calloc(o->queues, sizeof(*disk->verify));
	if (!disk->queue || !disk->verify)
		rc = -ENOMEM;
	for (unsigned int i = 0; i < o->queues && !rc; i++)
		rc = make_queue(disk, i, o);
	if (rc)
		return fail(EXIT_FAILED, "not enough memory for this load%s",
			    o->verify ? "; a smaller --size makes --verify need less" : "");
	rc = vfe_blk_start(&disk->blk);
	return rc ? protocol_error(o, rc) : EXIT_OK;
}

enum exit_code disk_open(struct disk *disk, const struct options *o)
{
	struct vfe_blk_opts opts;
	enum exit_code code;
	int rc;

	*disk = (struct disk){.blk = {.backend_channel = -1, .err_fd = -1, .conn = {.sock = -1}}};
	vfe_blk_opts_init(&opts, o->socket);
	opts.features = wanted_features(o);
	opts.n_queues = (uint16_t)o->queues;
	opts.n_indirect = 0; /* the tables lie in the slots' control blocks */
	opts.ring_align = PAGE_BYTES;
	rc = vfe_blk_connect(&disk->blk, &opts);
	if (rc)
		return disk->blk.conn.sock < 0 ? connect_error(o, rc) : protocol_error(o, rc);
	code = read_facts(disk, o);
	if (code == EXIT_OK)
		code = make_memory(disk, o);
	return code == EXIT_OK ? make_queues(disk, o) : code;
}

void disk_close(struct disk *disk, bool stop)
{
	if (stop)
		vfe_blk_stop(&disk->blk, NULL);
	vfe_blk_close(&disk->blk);
	for (unsigned int i = 0; i < disk->n_queues; i++) {
		free(disk->queue[i].place);
		free(disk->queue[i].request);
		verify_fini(&disk->verify[i]);
	}
	free(disk->queue);
	free(disk->verify);
}
