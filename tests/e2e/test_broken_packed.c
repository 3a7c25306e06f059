/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Drivers that break the rules of a packed ring (virtio 1.2, 2.8): what test_broken_ring.c does to
 * split ones. To be run with --ring packed.
 */
#include "victim.h"

#include <string.h>

#define F_NEXT     VRING_DESC_F_NEXT
#define F_WRITE    VRING_DESC_F_WRITE
#define F_INDIRECT VRING_DESC_F_INDIRECT
#define F_AVAIL    (1u << VRING_PACKED_DESC_F_AVAIL)
#define F_USED     (1u << VRING_PACKED_DESC_F_USED)

/* At the ring's start, for its first turn: AVAIL set, USED clear. */
static void set_desc(struct vring_packed_desc *d, uint64_t gpa, uint32_t len, unsigned int flags,
		     unsigned int id)
{
	*d = (struct vring_packed_desc){
		.addr = gpa, .len = len, .id = (uint16_t)id, .flags = (uint16_t)flags};
}

/* A sound request of one sector in three descriptors, in the ring, or in a table. */
static void sound_request(struct victim *v, struct vring_packed_desc *d, unsigned int flags)
{
	struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_IN, .sector = 0};
	unsigned int next = flags ? F_NEXT : 0;
	uint8_t unset = VFE_STATUS_UNSET;

	FX_OK(vfe_mem_write(&v->blk->mem, v->header_gpa, &header, sizeof(header)));
	FX_OK(vfe_mem_write(&v->blk->mem, v->status_gpa, &unset, 1));
	set_desc(&d[0], v->header_gpa, 16, flags | next, 0);
	set_desc(&d[1], v->data_gpa, 512, flags | next | F_WRITE, 0);
	set_desc(&d[2], v->status_gpa, 1, flags | F_WRITE, 0);
}

/* Both are prepared, and nothing of the ring is available yet; `name`_on() changes what it likes in
 * d, which is then written to the ring, the first flags last. */
static void expose(struct victim *v, const struct vring_packed_desc *d, unsigned int n)
{
	struct vring_packed_desc *ring = v->ring->packed.desc;

	memcpy(ring + 1, d + 1, (n - 1) * sizeof(*d));
	ring[0].addr = d[0].addr;
	ring[0].len = d[0].len;
	ring[0].id = d[0].id;
	__atomic_store_n(&ring[0].flags, d[0].flags, __ATOMIC_RELEASE);
	vfe_ring_kick_always(v->ring);
}

#define BROKEN(name, n)                                                                            \
	static void name##_on(struct victim *v, struct vring_packed_desc *d,                       \
			      struct vring_packed_desc *table);                                    \
	static void name(void **state)                                                             \
	{                                                                                          \
		struct vring_packed_desc d[VICTIM_RING_SIZE + 1];                                  \
		struct victim v;                                                                   \
                                                                                                   \
		(void)state;                                                                       \
		victim_init(&v);                                                                   \
		memset(d, 0, sizeof(d));                                                           \
		sound_request(&v, d, F_AVAIL);                                                     \
		sound_request(&v, (struct vring_packed_desc *)(void *)v.table, 0);                 \
		name##_on(&v, d, (struct vring_packed_desc *)(void *)v.table);                     \
		expose(&v, d, n);                                                                  \
		victim_check(&v);                                                                  \
	}                                                                                          \
	static void name##_on(struct victim *v __attribute__((unused)),                            \
			      struct vring_packed_desc *d __attribute__((unused)),                 \
			      struct vring_packed_desc *table __attribute__((unused)))

#define ALL VICTIM_RING_SIZE

/* Descriptors */

BROKEN(id_is_the_ring_size, 3)
{
	d[2].id = VICTIM_RING_SIZE;
	v->may_succeed = true; /* what it asks for is sound, but can't be answered */
}

BROKEN(id_is_65535, 3)
{
	d[2].id = 0xffff;
	v->may_succeed = true;
}

BROKEN(chain_goes_on_where_nothing_is, 3)
{
	d[2].flags |= F_NEXT;
}

BROKEN(chain_goes_on_with_a_used_one, 3)
{
	d[1].flags |= F_USED;
}

/* What lies behind the ring looks like the end of a sound request. */
BROKEN(chain_longer_than_the_ring, ALL + 1)
{
	for (unsigned int i = 0; i < ALL; i++)
		set_desc(&d[i], v->header_gpa, 16, F_AVAIL | F_NEXT, 0);
	set_desc(&d[ALL], v->status_gpa, 1, F_AVAIL | F_WRITE, 0);
}

/* The next turn around is there already, before any of this one was used. */
BROKEN(all_available_for_both_turns, ALL)
{
	for (unsigned int i = 0; i < ALL; i++)
		set_desc(&d[i], v->data_gpa, 512, F_AVAIL | F_WRITE, i);
}

/* Indirect tables */

static void one_table(struct victim *v, struct vring_packed_desc *d, uint64_t gpa, uint32_t len)
{
	(void)v;
	set_desc(&d[0], gpa, len, F_AVAIL | F_INDIRECT, 0);
}

BROKEN(indirect_and_next, 2)
{
	one_table(v, d, v->table_gpa, 48);
	d[0].flags |= F_NEXT;
	v->may_succeed = true;
}

BROKEN(indirect_behind_another, 2)
{
	set_desc(&d[1], v->table_gpa, 48, F_AVAIL | F_INDIRECT, 0);
	v->may_succeed = true;
}

BROKEN(indirect_length_0, 1)
{
	one_table(v, d, v->table_gpa, 0);
}

BROKEN(indirect_length_17, 1)
{
	one_table(v, d, v->table_gpa, 17);
}

BROKEN(indirect_length_4_gib, 1)
{
	one_table(v, d, v->table_gpa, 0xfffffff0u);
}

BROKEN(indirect_table_in_a_hole, 1)
{
	one_table(v, d, VICTIM_HOLE_GPA, 48);
}

BROKEN(indirect_table_at_the_end_of_memory, 1)
{
	one_table(v, d, VICTIM_END_GPA - 16, 48);
}

BROKEN(indirect_table_that_wraps, 1)
{
	one_table(v, d, UINT64_MAX - 15, 48);
}

BROKEN(indirect_with_data_in_a_hole, 1)
{
	one_table(v, d, v->table_gpa, 48);
	table[1].addr = VICTIM_HOLE_GPA;
}

/* Addresses and requests */

BROKEN(data_in_a_hole, 3)
{
	d[1].addr = VICTIM_HOLE_GPA;
}

BROKEN(data_that_wraps, 3)
{
	d[1].addr = UINT64_MAX - 255;
}

BROKEN(data_of_4_gib, 3)
{
	d[1].len = 0xffffffffu;
}

BROKEN(header_too_short, 3)
{
	d[0].len = 15;
}

BROKEN(no_status, 1)
{
	d[0].flags = F_AVAIL;
}

BROKEN(writable_before_readable, 2)
{
	set_desc(&d[0], v->status_gpa, 1, F_AVAIL | F_NEXT | F_WRITE, 0);
	set_desc(&d[1], v->header_gpa, 16, F_AVAIL, 0);
}

/* No address in memory by chance: a device that follows one there would be right. */
#define FAR_AWAY (1ull << 36)

static void fill_with_garbage(struct victim *v, struct vring_packed_desc *d, uint64_t *random)
{
	unsigned int i;

	for (i = 0; i < ALL; i++) {
		set_desc(&d[i], vfe_random(random) | FAR_AWAY, (uint32_t)vfe_random(random),
			 vfe_random(random) % 0x10000, vfe_random(random) % 0x10000);
		if (i % 4) /* some that get further: small, in memory, available */
			set_desc(&d[i], v->data_gpa, (uint32_t)(vfe_random(random) % 5000),
				 F_AVAIL | vfe_random(random) % 8, vfe_random(random) % ALL);
	}
	for (i = 0; i < 2; i++)
		((uint16_t *)(void *)v->ring->packed.driver_event)[i] =
			(uint16_t)vfe_random(random);
}

/* Garbage from end to end, many times over. */
static void random_rings(void **state)
{
	struct victim v;
	uint64_t random = 42;
	struct vring_packed_desc d[ALL];
	unsigned int i;

	(void)state;
	victim_init(&v);
	for (i = 0; i < 100; i++) {
		fill_with_garbage(&v, d, &random);
		d[0].flags = (uint16_t)(F_AVAIL | (d[0].flags & 7));
		expose(&v, d, ALL);
		fx_serves(v.other, 8 * i);
		fx_serves(v.bystander, 8 * i);
		victim_reset(&v);
		if (i % 20 == 0)
			fx_serves(fx_io(v.blk, 0, 2, 4096), 8 * i);
	}
	FX_ASSERT(fx_backend_log_lines() - v.log_lines < 5 * VICTIM_LOG_LINES,
		  "%d lines in the log", fx_backend_log_lines() - v.log_lines);
}

#define ONLY_OURS  "qemu-storage-daemon has no packed rings"
#define CASE(name) FX_CASE_ON(name, FX_VHOSTD, ONLY_OURS)

static const struct fx_case cases[] = {
	CASE(id_is_the_ring_size),
	CASE(id_is_65535),
	CASE(chain_goes_on_where_nothing_is),
	CASE(chain_goes_on_with_a_used_one),
	CASE(chain_longer_than_the_ring),
	CASE(all_available_for_both_turns),
	CASE(indirect_and_next),
	CASE(indirect_behind_another),
	CASE(indirect_length_0),
	CASE(indirect_length_17),
	CASE(indirect_length_4_gib),
	CASE(indirect_table_in_a_hole),
	CASE(indirect_table_at_the_end_of_memory),
	CASE(indirect_table_that_wraps),
	CASE(indirect_with_data_in_a_hole),
	CASE(data_in_a_hole),
	CASE(data_that_wraps),
	CASE(data_of_4_gib),
	CASE(header_too_short),
	CASE(no_status),
	CASE(writable_before_readable),
	CASE(random_rings),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "broken_packed", cases, sizeof(cases) / sizeof(cases[0]));
}
