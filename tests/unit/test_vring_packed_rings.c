/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Packed rings themselves: where they may lie, how indices and wrap counters move, in which order
 * used descriptors are written, and who has to wake whom. Expected decisions come from counting
 * through the descriptors one by one.
 */
#include "base/compiler.h"
#include "lib/bench.h"
#include "lib/unit.h"
#include "pure/virtq.h"

#define SIZE 7

static int setup(void **state)
{
	static struct bench bench;

	bench_init_packed(&bench, SIZE, false);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	bench_fini(*state);
	return 0;
}

static void test_sizes(void **state)
{
	(void)state;
	for (uint32_t size = 0; size <= 70000; size++)
		assert_int_equal(virtq_size_ok(true, size), size >= 1 && size <= 1024);
	assert_false(virtq_size_ok(true, 0x80000001));
}

/* 2.8.10.1: 16 bytes for each descriptor, and 4 for each of the other parts. */
static void test_map_ends_of_memory(void **state)
{
	struct bench *b = *state;
	struct vring_addr good = packed_addr(&b->pdrv), addr = good;
	uint64_t end = NEXT_END + GUEST_UVA_OFFSET;
	struct vring_packed vr = {.size = SIZE};

	addr.desc_uva = end - DESC_BYTES * SIZE;
	assert_sound(vring_packed_map(&vr, &b->guest.mem, &addr));
	addr.desc_uva += 16;
	assert_fault(vring_packed_map(&vr, &b->guest.mem, &addr), "descriptor ring is outside");
	addr = good;
	addr.avail_uva = end - 4;
	assert_sound(vring_packed_map(&vr, &b->guest.mem, &addr));
	assert_ptr_equal(vr.driver_event, guest_byte(&b->guest, NEXT_END - 4));
	addr.avail_uva = end;
	assert_fault(vring_packed_map(&vr, &b->guest.mem, &addr), "driver's event suppression");
	addr = good;
	addr.used_uva = end - 4;
	assert_sound(vring_packed_map(&vr, &b->guest.mem, &addr));
	addr.used_uva = end - 3;
	assert_fault(vring_packed_map(&vr, &b->guest.mem, &addr), "device's event suppression");
}

static void test_map_alignment(void **state)
{
	struct bench *b = *state;
	struct vring_addr good = packed_addr(&b->pdrv), addr;
	struct vring_packed vr = {.size = SIZE};

	for (uint64_t i = 0; i < 32; i++) {
		addr = good;
		addr.desc_uva += i;
		assert_int_equal(!vring_packed_map(&vr, &b->guest.mem, &addr), i % 16 == 0);
		addr = good;
		addr.avail_uva += i;
		assert_int_equal(!vring_packed_map(&vr, &b->guest.mem, &addr), i % 4 == 0);
		addr = good;
		addr.used_uva += i;
		assert_int_equal(!vring_packed_map(&vr, &b->guest.mem, &addr), i % 4 == 0);
	}
}

static void assert_base(int64_t base, uint32_t expected)
{
	struct vring_packed vr = {.size = SIZE};

	assert_sound(vring_packed_set_base(&vr, base));
	assert_int_equal(vring_packed_base(&vr), expected);
}

static void test_bases(void **state)
{
	struct vring_packed vr = {.size = SIZE};

	(void)state;
	assert_base(VIRTQ_BASE_UNKNOWN, 0x80008000);
	assert_base(0x80008000, 0x80008000);
	assert_base(0x00060006, 0x00060006);
	assert_base(0x80058006, 0x80058006);
	assert_base(0x00050005, 0x00050005);
	assert_base(0, 0);
	/* DPDK's: only the lower half. */
	assert_base(0x8000, 0x80008000);
	assert_base(0x8003, 0x80038003);
	assert_base(0x0003, 0x00030003);
	/* Taken and not used: up to all of the ring, across its end. */
	assert_base(0x80060005, 0x80060005);
	assert_fault(vring_packed_set_base(&vr, 0x80050006), "more than the ring apart");
	assert_fault(vring_packed_set_base(&vr, 0x80068005), "more than the ring apart");
	assert_fault(vring_packed_set_base(&vr, 0x80078000), "outside of the ring");
	assert_fault(vring_packed_set_base(&vr, 0x80008007), "outside of the ring");
	assert_fault(vring_packed_set_base(&vr, 0xffffffff), "outside of the ring");
}

/* A ring of either format is told of a base by its own rules, and says it before it is mapped. */
static void test_bases_by_format(void **state)
{
	struct virtq vq;

	(void)state;
	virtq_init(&vq, true, false, SIZE, VIRTQ_BASE_UNKNOWN);
	assert_int_equal(virtq_base(&vq), 0x80008000);
	virtq_init(&vq, true, false, SIZE, 0x00020002);
	assert_int_equal(virtq_base(&vq), 0x00020002);
	virtq_init(&vq, false, false, 8, VIRTQ_BASE_UNKNOWN);
	assert_int_equal(virtq_base(&vq), 0);
	virtq_init(&vq, false, false, 8, 0xfffe);
	assert_int_equal(virtq_base(&vq), 0xfffe);
	assert_fault(virtq_start(&vq, 0x80008000), "16 bits");
}

/* A size that was given for the other format is found out before anything is used. */
static void test_size_of_the_other_format(void **state)
{
	struct bench *b = *state;
	struct vring_addr addr = packed_addr(&b->pdrv);
	struct virtq vq;

	virtq_init(&vq, false, false, SIZE, 0);
	assert_fault(virtq_map(&vq, &b->guest.mem, &addr), "power of two");
	assert_false(virtq_is_mapped(&vq));
	virtq_init(&vq, true, false, SIZE, 0);
	assert_sound(virtq_map(&vq, &b->guest.mem, &addr));
	assert_true(virtq_is_mapped(&vq));
	virtq_unmap(&vq);
	assert_false(virtq_is_mapped(&vq));
}

/* A chain of n descriptors with an id. */
static void offer(struct bench *b, uint16_t n, uint16_t id)
{
	while (n-- > 0)
		packed_desc(&b->pdrv, BUF_GPA, 16, n ? DESC_NEXT : 0, id);
}

struct place {
	uint16_t idx;
	bool wrap;
};

static void place_move(struct place *p, uint16_t n)
{
	while (n-- > 0)
		if (++p->idx == SIZE) {
			p->idx = 0;
			p->wrap = !p->wrap;
		}
}

static void assert_used(const struct bench *b, const struct place *p, uint16_t id, uint32_t len)
{
	uint16_t got_id, flags = packed_flags(&b->pdrv, p->idx);
	uint32_t got_len;

	packed_used(&b->pdrv, p->idx, &got_id, &got_len);
	assert_int_equal(got_id, id);
	assert_int_equal(got_len, len);
	assert_int_equal(flags & (DESC_AVAIL | DESC_USED), p->wrap ? DESC_AVAIL | DESC_USED : 0);
	assert_true(flags & DESC_WRITE);
}

/* Chains of different lengths, two in flight, which end in the other order: each used descriptor
 * skips as many as its own chain has. */
static void test_wraps_and_skips(void **state)
{
	struct bench *b = *state;
	struct place used = {0, true};
	uint16_t n_slots[2];

	for (uint16_t i = 0; i < 500; i++) {
		for (uint16_t k = 0; k < 2; k++) {
			n_slots[k] = (uint16_t)(1 + (i * (k + 1) / 3) % 3);
			offer(b, n_slots[k], (uint16_t)((i + 3 * k) % SIZE));
			assert_int_equal(vring_packed_n_avail(&b->pvr), 1);
			assert_sound(bench_take_packed(b));
			assert_int_equal(b->chain.n_slots, n_slots[k]);
			assert_int_equal(b->chain.id, (i + 3 * k) % SIZE);
		}
		assert_int_equal(vring_packed_n_avail(&b->pvr), 0);
		for (uint16_t k = 2; k-- > 0;) {
			uint16_t id = (uint16_t)((i + 3 * k) % SIZE);

			vring_packed_put_used(&b->pvr, id, n_slots[k], 0xabc00000u + i);
			vring_packed_publish(&b->pvr);
			assert_used(b, &used, id, 0xabc00000u + i);
			place_move(&used, n_slots[k]);
		}
		assert_int_equal(b->pvr.n_taken, 0);
	}
	assert_int_equal(vring_packed_base(&b->pvr) & 0xffff, vring_packed_base(&b->pvr) >> 16);
}

/* Of a batch the first descriptor's flags are written last: until then nothing is to be seen. */
static void test_first_of_a_batch_is_published_last(void **state)
{
	struct bench *b = *state;
	uint16_t before;

	for (uint16_t round = 0; round < 20; round++) {
		struct place p = {b->pvr.used_idx, b->pvr.used_wrap}, first = p;

		for (uint16_t i = 0; i < 3; i++) {
			offer(b, 2, i);
			assert_sound(bench_take_packed(b));
		}
		before = packed_flags(&b->pdrv, first.idx);
		for (uint16_t i = 0; i < 3; i++) {
			vring_packed_put_used(&b->pvr, i, 2, i);
			assert_int_equal(packed_flags(&b->pdrv, first.idx), before);
		}
		vring_packed_publish(&b->pvr);
		for (uint16_t i = 0; i < 3; i++) {
			assert_used(b, &p, i, i);
			place_move(&p, 2);
		}
		before = packed_flags(&b->pdrv, p.idx);
		vring_packed_publish(&b->pvr); /* nothing new: nothing is written */
		assert_int_equal(packed_flags(&b->pdrv, p.idx), before);
	}
}

/* Two chains in flight under one id: told twice, nothing else. */
static void test_an_id_in_use_again(void **state)
{
	struct bench *b = *state;
	struct place p = {0, true};

	offer(b, 2, 4);
	offer(b, 1, 4);
	assert_sound(bench_take_packed(b));
	assert_sound(bench_take_packed(b));
	vring_packed_put_used(&b->pvr, 4, 1, 11);
	vring_packed_put_used(&b->pvr, 4, 2, 12);
	vring_packed_publish(&b->pvr);
	assert_used(b, &p, 4, 11);
	place_move(&p, 1);
	assert_used(b, &p, 4, 12);
	assert_int_equal(b->pvr.used_idx, 3);
	assert_int_equal(b->pvr.n_taken, 0);
}

static void test_untake(void **state)
{
	struct bench *b = *state;

	for (uint16_t round = 0; round < 30; round++) {
		uint32_t base = vring_packed_base(&b->pvr);

		offer(b, 3, 1);
		offer(b, 2, 2);
		for (uint16_t i = 0; i < 2; i++) {
			struct chain first;

			assert_sound(bench_take_packed(b));
			assert_int_equal(b->chain.n_slots, 3);
			first = b->chain;
			assert_sound(bench_take_packed(b));
			assert_int_equal(b->chain.id, 2);
			if (i == 1)
				break;
			vring_packed_untake(&b->pvr, &b->chain);
			vring_packed_untake(&b->pvr, &first);
			assert_int_equal(vring_packed_base(&b->pvr), base);
			assert_int_equal(b->pvr.n_taken, 0);
			assert_int_equal(vring_packed_n_avail(&b->pvr), 1);
		}
		vring_packed_put_used(&b->pvr, 1, 3, 0);
		vring_packed_put_used(&b->pvr, 2, 2, 0);
		vring_packed_publish(&b->pvr);
	}
}

/* A polling device asks for no kicks, whatever was negotiated. */
static void test_no_kicks(void **state)
{
	struct bench *b = *state;

	for (int event_idx = 0; event_idx < 2; event_idx++) {
		packed_connect(&b->pdrv, &b->pvr, event_idx, -1);
		assert_int_equal(packed_device_flags(&b->pdrv), EVENT_DISABLE);
	}
}

/* 2.8.10: ENABLE and DISABLE; DESC only with EVENT_IDX; the other bits of the field are reserved.
 */
static void test_interrupt_flags(void **state)
{
	struct bench *b = *state;

	for (uint32_t flags = 0; flags <= 0xffff; flags++) {
		packed_set_event(&b->pdrv, 0, (uint16_t)flags);
		assert_int_equal(vring_packed_should_notify(&b->pvr), flags % 4 != EVENT_DISABLE);
	}
}

/* Is the event's descriptor among the n from `old` on? */
static bool wants_event(struct place event, struct place old, uint16_t n)
{
	while (n-- > 0) {
		if (old.idx == event.idx && old.wrap == event.wrap)
			return true;
		place_move(&old, 1);
	}
	return false;
}

/* From each place, each number of used descriptors up to all, each event. */
static void test_event_idx(void **state)
{
	struct bench *b = *state;
	struct place old = {0, true}, event;

	packed_connect(&b->pdrv, &b->pvr, true, -1);
	for (uint16_t i = 0; i < 2 * SIZE; i++, place_move(&old, 1))
		for (uint16_t n = 0; n <= SIZE; n++) {
			event = (struct place){0, true};
			for (uint16_t k = 0; k < 2 * SIZE; k++, place_move(&event, 1)) {
				uint32_t base = old.idx | (old.wrap ? 0x8000u : 0);
				uint16_t off_wrap =
					(uint16_t)(event.idx | (event.wrap ? 0x8000 : 0));

				assert_sound(vring_packed_set_base(&b->pvr, base | base << 16));
				vring_packed_start(&b->pvr);
				b->pvr.n_taken = n;
				for (uint16_t left = n; left > 0; left--)
					vring_packed_put_used(&b->pvr, 0, 1, 0);
				vring_packed_publish(&b->pvr);
				packed_set_event(&b->pdrv, off_wrap, EVENT_DESC);
				assert_int_equal(vring_packed_should_notify(&b->pvr),
						 wants_event(event, old, n));
				assert_false(vring_packed_should_notify(&b->pvr));
			}
		}
}

/* An event in the middle of a chain is passed with the chain; one that no ring has is no reason to
 * let a driver sleep. */
static void test_event_idx_oddities(void **state)
{
	struct bench *b = *state;

	packed_connect(&b->pdrv, &b->pvr, true, -1);
	packed_set_event(&b->pdrv, 0x8000 | 2, EVENT_DESC);
	offer(b, 3, 0);
	assert_sound(bench_take_packed(b));
	vring_packed_put_used(&b->pvr, 0, 3, 0);
	vring_packed_publish(&b->pvr);
	assert_true(vring_packed_should_notify(&b->pvr));
	packed_set_event(&b->pdrv, 2 * SIZE, EVENT_DESC);
	assert_true(vring_packed_should_notify(&b->pvr));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		TEST(test_map_ends_of_memory),
		TEST(test_map_alignment),
		cmocka_unit_test(test_bases),
		cmocka_unit_test(test_bases_by_format),
		TEST(test_size_of_the_other_format),
		TEST(test_wraps_and_skips),
		TEST(test_first_of_a_batch_is_published_last),
		TEST(test_an_id_in_use_again),
		TEST(test_untake),
		TEST(test_no_kicks),
		TEST(test_interrupt_flags),
		TEST(test_event_idx),
		TEST(test_event_idx_oddities),
	};

	return cmocka_run_group_tests_name("vring_packed_rings", tests, NULL, NULL);
}
