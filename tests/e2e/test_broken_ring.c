/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drivers that break the rules of the ring (virtio 1.2, 2.7). Whatever stands in a ring: that queue
 * may stop, and nobody else notices. Another queue of the same device and another device go on, the
 * daemon lives, it does not fill its log, and the queue works again once the driver has reset the
 * device.
 *
 * qemu-storage-daemon hangs up on the whole device when a ring is broken; what is checked there is
 * that another device goes on and that this one can be connected to again.
 */
#include "victim.h"

#define KIB 1024u

#define F_NEXT     VRING_DESC_F_NEXT
#define F_WRITE    VRING_DESC_F_WRITE
#define F_INDIRECT VRING_DESC_F_INDIRECT

static void set_desc(struct vring_desc *d, uint64_t gpa, uint32_t len, unsigned int flags,
		     unsigned int next)
{
	*d = (struct vring_desc){
		.addr = gpa, .len = len, .flags = (uint16_t)flags, .next = (uint16_t)next};
}

/* A sound request of one sector at `d`: three descriptors, numbered from `first`. */
static void sound_request(struct victim *v, struct vring_desc *d, unsigned int first)
{
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN, .sector = 0};
	uint8_t unset = VFE_STATUS_UNSET;

	FX_OK(vfe_mem_write(&v->blk->mem, v->header_gpa, &header, sizeof(header)));
	FX_OK(vfe_mem_write(&v->blk->mem, v->status_gpa, &unset, 1));
	set_desc(&d[0], v->header_gpa, 16, F_NEXT, first + 1);
	set_desc(&d[1], v->data_gpa, 512, F_NEXT | F_WRITE, first + 2);
	set_desc(&d[2], v->status_gpa, 1, F_WRITE, 0);
}

static void offer(struct victim *v, uint16_t head)
{
	vfe_ring_offer(v->ring, head);
	vfe_ring_publish(v->ring);
	vfe_ring_kick_always(v->ring);
}

/* Descriptor 0 says that the table of `n_bytes` at table_gpa is the request. */
static void offer_table(struct victim *v, uint32_t n_bytes)
{
	set_desc(&v->ring->desc[0], v->table_gpa, n_bytes, F_INDIRECT, 0);
	offer(v, 0);
}

#define BROKEN(name)                                                                               \
	static void name##_on(struct victim *v);                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		struct victim v;                                                                   \
                                                                                                   \
		(void)state;                                                                       \
		victim_init(&v);                                                                   \
		sound_request(&v, v.ring->desc, 0);                                                \
		sound_request(&v, v.table, 0);                                                     \
		name##_on(&v);                                                                     \
		victim_check(&v);                                                                  \
	}                                                                                          \
	static void name##_on(struct victim *v)

/* The avail ring */

static void avail_ahead(struct victim *v, uint16_t by)
{
	v->may_succeed = true; /* the entries up to there are what they are */
	v->ring->next_avail_idx = (uint16_t)(v->ring->published_idx + by);
	vfe_ring_publish(v->ring);
	vfe_ring_kick_always(v->ring);
}

BROKEN(avail_index_one_too_far)
{
	avail_ahead(v, VICTIM_RING_SIZE + 1);
}

BROKEN(avail_index_far_too_far)
{
	avail_ahead(v, 0x8000);
}

BROKEN(avail_index_goes_backwards)
{
	avail_ahead(v, (uint16_t)-1);
}

/* What lies behind the table makes a sound request: a device that goes there is found out. */
BROKEN(head_is_the_ring_size)
{
	v->ring->desc[VICTIM_RING_SIZE] = v->ring->desc[0];
	offer(v, VICTIM_RING_SIZE);
}

BROKEN(head_is_65535)
{
	offer(v, 0xffff);
}

/* Chains */

BROKEN(next_is_the_ring_size)
{
	v->ring->desc[VICTIM_RING_SIZE] = v->ring->desc[2];
	v->ring->desc[1].next = VICTIM_RING_SIZE;
	offer(v, 0);
}

BROKEN(next_is_65535)
{
	v->ring->desc[0].next = 0xffff;
	offer(v, 0);
}

BROKEN(chain_that_loops)
{
	v->ring->desc[2].flags |= F_NEXT;
	v->ring->desc[2].next = 1;
	offer(v, 0);
}

BROKEN(descriptor_that_is_its_own_next)
{
	v->ring->desc[0].next = 0;
	offer(v, 0);
}

/* Indirect tables */

BROKEN(indirect_table_in_a_table)
{
	set_desc(&v->table[1], v->table_gpa, 16, F_INDIRECT, 0);
	offer_table(v, 48);
}

BROKEN(indirect_table_and_next)
{
	set_desc(&v->ring->desc[0], v->table_gpa, 48, F_INDIRECT | F_NEXT, 1);
	v->may_succeed = true;
	offer(v, 0);
}

BROKEN(indirect_length_17)
{
	offer_table(v, 17);
}

BROKEN(indirect_length_8)
{
	offer_table(v, 8);
}

BROKEN(indirect_length_0)
{
	offer_table(v, 0);
}

BROKEN(indirect_length_4_gib)
{
	v->may_succeed = true; /* its first three entries are there */
	offer_table(v, 0xfffffff0u);
}

BROKEN(indirect_next_outside_of_the_table)
{
	v->table[3] = v->table[1];
	v->table[0].next = 3;
	offer_table(v, 48);
}

BROKEN(indirect_chain_that_loops)
{
	v->table[2].flags |= F_NEXT;
	v->table[2].next = 0;
	offer_table(v, 48);
}

BROKEN(indirect_table_in_a_hole)
{
	set_desc(&v->ring->desc[0], VICTIM_HOLE_GPA, 48, F_INDIRECT, 0);
	offer(v, 0);
}

BROKEN(indirect_table_at_the_end_of_memory)
{
	set_desc(&v->ring->desc[0], VICTIM_END_GPA - 16, 48, F_INDIRECT, 0);
	offer(v, 0);
}

BROKEN(indirect_table_that_wraps)
{
	set_desc(&v->ring->desc[0], UINT64_MAX - 15, 48, F_INDIRECT, 0);
	offer(v, 0);
}

/* Addresses */

BROKEN(data_in_a_hole)
{
	v->ring->desc[1].addr = VICTIM_HOLE_GPA;
	offer(v, 0);
}

BROKEN(data_that_runs_out_of_memory)
{
	v->ring->desc[1].addr = VICTIM_END_GPA - 256;
	offer(v, 0);
}

BROKEN(data_that_wraps)
{
	v->ring->desc[1].addr = UINT64_MAX - 255;
	offer(v, 0);
}

BROKEN(header_in_a_hole)
{
	v->ring->desc[0].addr = VICTIM_HOLE_GPA;
	offer(v, 0);
}

BROKEN(status_in_a_hole)
{
	v->ring->desc[2].addr = VICTIM_HOLE_GPA;
	offer(v, 0);
}

BROKEN(data_of_4_gib)
{
	v->ring->desc[1].len = 0xffffffffu;
	offer(v, 0);
}

/* Requests that the ring carries well, but that are none */

BROKEN(no_status)
{
	v->ring->desc[0].flags = 0;
	offer(v, 0);
}

BROKEN(only_a_status)
{
	offer(v, 2);
}

BROKEN(header_too_short)
{
	v->ring->desc[0].len = 15;
	offer(v, 0);
}

BROKEN(header_of_no_bytes)
{
	v->ring->desc[0].len = 0;
	offer(v, 0);
}

BROKEN(writable_before_readable)
{
	set_desc(&v->ring->desc[0], v->status_gpa, 1, F_NEXT | F_WRITE, 1);
	set_desc(&v->ring->desc[1], v->header_gpa, 16, 0, 0);
	offer(v, 0);
}

/* No address in memory by chance: a device that follows one there would be right. */
#define FAR_AWAY (1ull << 36)

static void fill_with_garbage(struct victim *v, uint64_t *random, bool heads_in_range)
{
	struct vring_desc *desc = v->ring->desc;
	uint64_t *word = (uint64_t *)desc;
	unsigned int k;

	for (k = 0; k < VICTIM_RING_SIZE; k++) {
		word[2 * k] = vfe_random(random) >> (vfe_random(random) % 64) | FAR_AWAY;
		word[2 * k + 1] = vfe_random(random);
		if (k % 2) /* some that get further: small, in memory, next in range */
			set_desc(&desc[k], v->data_gpa, (uint32_t)(vfe_random(random) % 5000),
				 vfe_random(random) % 8, vfe_random(random) % VICTIM_RING_SIZE);
		v->ring->avail->ring[k] = (uint16_t)(vfe_random(random) %
						     (heads_in_range ? VICTIM_RING_SIZE : 0x10000));
	}
}

/* Garbage from end to end, many times over. */
static void random_rings(void **state)
{
	struct victim v;
	uint64_t random = 42;
	unsigned int i;

	(void)state;
	victim_init(&v);
	for (i = 0; i < 100; i++) {
		fill_with_garbage(&v, &random, i % 4);
		avail_ahead(&v, (uint16_t)(vfe_random(&random) % (VICTIM_RING_SIZE + 2)));
		fx_serves(v.other, 8 * i);
		fx_serves(v.bystander, 8 * i);
		victim_reset(&v);
		if (i % 20 == 0)
			fx_serves(fx_io(v.blk, 0, 2, 4 * KIB), 8 * i);
	}
	FX_ASSERT(fx_backend_log_lines() - v.log_lines < 5 * VICTIM_LOG_LINES,
		  "%d lines in the log", fx_backend_log_lines() - v.log_lines);
}

/* Not broken at all: a table that lies across two regions is contiguous for the guest. */
static void indirect_table_across_regions(void **state)
{
	struct victim v;
	struct vring_desc table[3];
	uint64_t gpa;
	unsigned int i;

	(void)state;
	victim_init(&v);
	for (i = 1; i < 3; i++) {
		gpa = vfe_mem_straddle(&v.blk->mem, 0, 16 * i);
		sound_request(&v, table, 0);
		FX_OK(vfe_mem_write(&v.blk->mem, gpa, table, sizeof(table)));
		set_desc(&v.ring->desc[0], gpa, 48, F_INDIRECT, 0);
		v.ring->slot[0].token = &v;
		offer(&v, 0);
		FX_OK(vfe_ring_wait(v.ring, VFE_TIMEOUT_MS));
		FX_ASSERT(vfe_ring_poll(v.ring, &(struct vfe_used){0}) == 1, "no used entry");
		FX_ASSERT(victim_status(&v) == VIRTIO_BLK_S_OK, "status %u", victim_status(&v));
	}
}

#define LEAKS                                                                                      \
	"qemu-storage-daemon 7.2 drops such a request but counts it as in flight for ever, so "    \
	"that "                                                                                    \
	"the device never lets the connection go"
#define ASSEMBLES                                                                                  \
	"libvhost-user 7.2 puts the second half of such a table in the wrong place (vring_desc "   \
	"pointer advanced by bytes)"
#define HANGUP "qemu-storage-daemon hangs up each time; it has no other queue to look at"

static const struct fx_case cases[] = {
	FX_CASE(avail_index_one_too_far),
	FX_CASE(avail_index_far_too_far),
	FX_CASE(avail_index_goes_backwards),
	FX_CASE(head_is_the_ring_size),
	FX_CASE(head_is_65535),
	FX_CASE(next_is_the_ring_size),
	FX_CASE(next_is_65535),
	FX_CASE(chain_that_loops),
	FX_CASE(descriptor_that_is_its_own_next),
	FX_CASE(indirect_table_in_a_table),
	FX_CASE(indirect_table_and_next),
	FX_CASE(indirect_length_17),
	FX_CASE(indirect_length_8),
	FX_CASE(indirect_length_0),
	FX_CASE(indirect_length_4_gib),
	FX_CASE(indirect_next_outside_of_the_table),
	FX_CASE(indirect_chain_that_loops),
	FX_CASE(indirect_table_in_a_hole),
	FX_CASE(indirect_table_at_the_end_of_memory),
	FX_CASE(indirect_table_that_wraps),
	FX_CASE_ON(indirect_table_across_regions, FX_VHOSTD, ASSEMBLES),
	FX_CASE(data_in_a_hole),
	FX_CASE(data_that_runs_out_of_memory),
	FX_CASE(data_that_wraps),
	FX_CASE(header_in_a_hole),
	FX_CASE(status_in_a_hole),
	FX_CASE(data_of_4_gib),
	FX_CASE_ON(no_status, FX_VHOSTD, LEAKS),
	FX_CASE_ON(only_a_status, FX_VHOSTD, LEAKS),
	FX_CASE_ON(header_too_short, FX_VHOSTD, LEAKS),
	FX_CASE_ON(header_of_no_bytes, FX_VHOSTD, LEAKS),
	FX_CASE_ON(writable_before_readable, FX_VHOSTD, LEAKS),
	FX_CASE_ON(random_rings, FX_VHOSTD, HANGUP),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "broken_ring", cases, sizeof(cases) / sizeof(cases[0]));
}
