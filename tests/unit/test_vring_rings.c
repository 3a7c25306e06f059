/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The rings themselves: where they may lie, how indices wrap, and who has to wake whom. Expected
 * decisions come from counting through the indices one by one.
 */
#include "base/compiler.h"
#include "lib/bench.h"
#include "lib/unit.h"

#define SIZE 8

static void test_sizes(void **state)
{
	(void)state;
	for (uint32_t size = 0; size <= 70000; size++) {
		bool ok = false;

		for (uint32_t power = 1; power <= 1024; power *= 2)
			ok = ok || size == power;
		assert_int_equal(vring_split_size_ok(size), ok);
	}
	assert_false(vring_split_size_ok(0x80000000));
	assert_false(vring_split_size_ok(0x10001));
}

/* Places each part so that it ends `spare` bytes before the memory does. */
static void assert_map_ends(struct bench *b, bool event_idx, uint32_t avail_bytes,
			    uint32_t used_bytes)
{
	struct vring_addr good = driver_addr(&b->drv), addr = good;
	uint64_t end = NEXT_END + GUEST_UVA_OFFSET;
	struct vring_split vr = {.size = SIZE, .event_idx = event_idx};

	addr.desc_uva = end - DESC_BYTES * SIZE;
	assert_sound(vring_split_map(&vr, &b->guest.mem, &addr));
	addr.desc_uva += 16;
	assert_fault(vring_split_map(&vr, &b->guest.mem, &addr), "descriptor table is outside");
	addr = good;
	addr.avail_uva = end - avail_bytes;
	assert_sound(vring_split_map(&vr, &b->guest.mem, &addr));
	assert_ptr_equal(vr.avail, guest_byte(&b->guest, NEXT_END - avail_bytes));
	addr.avail_uva += 2;
	assert_fault(vring_split_map(&vr, &b->guest.mem, &addr), "available ring is outside");
	addr = good;
	addr.used_uva = end - ((used_bytes + 3) & ~3u);
	assert_sound(vring_split_map(&vr, &b->guest.mem, &addr));
	addr.used_uva += 4;
	assert_fault(vring_split_map(&vr, &b->guest.mem, &addr), "used ring is outside");
}

/* 2.7: 16, 6 and 6 bytes and 16, 2 and 8 for each entry; the last two of each ring's bytes are
 * there only with VIRTIO_F_EVENT_IDX. */
static void test_map_ends_of_memory(void **state)
{
	struct bench *b = *state;

	assert_map_ends(b, false, 4 + 2 * SIZE, 4 + 8 * SIZE);
	assert_map_ends(b, true, 6 + 2 * SIZE, 6 + 8 * SIZE);
}

/* A part that lies in two regions isn't in one piece in our memory. */
static void test_map_across_regions(void **state)
{
	struct bench *b = *state;
	struct vring_addr addr = driver_addr(&b->drv);
	struct vring_split vr = {.size = SIZE};

	addr.desc_uva = LOW_END - 16 + GUEST_UVA_OFFSET;
	assert_fault(vring_split_map(&vr, &b->guest.mem, &addr), "descriptor table is outside");
}

static void test_map_alignment(void **state)
{
	struct bench *b = *state;
	struct vring_addr good = driver_addr(&b->drv), addr;
	struct vring_split vr = {.size = SIZE};

	for (uint64_t i = 0; i < 32; i++) {
		addr = good;
		addr.desc_uva += i;
		assert_int_equal(!vring_split_map(&vr, &b->guest.mem, &addr), i % 16 == 0);
		addr = good;
		addr.avail_uva += i;
		assert_int_equal(!vring_split_map(&vr, &b->guest.mem, &addr), i % 2 == 0);
		addr = good;
		addr.used_uva += i;
		assert_int_equal(!vring_split_map(&vr, &b->guest.mem, &addr), i % 4 == 0);
	}
}

/* A failed vring_split_map() leaves the ring where it was. */
static void test_map_failure_changes_nothing(void **state)
{
	struct bench *b = *state;
	struct vring_split before = b->vr;
	struct vring_addr addr = driver_addr(&b->drv);

	addr.used_uva = 0;
	assert_fault(vring_split_map(&b->vr, &b->guest.mem, &addr), "used ring");
	assert_memory_equal(&b->vr, &before, sizeof(before));
}

static void test_start_indices(void **state)
{
	struct bench *b = *state;

	driver_set_used_idx(&b->drv, 0xfff0);
	vring_split_start(&b->vr, 0x1234);
	assert_int_equal(b->vr.last_avail_idx, 0x1234);
	assert_int_equal(b->vr.used_idx, 0xfff0);
	vring_split_start(&b->vr, 0);
	assert_int_equal(b->vr.last_avail_idx, 0);
	vring_split_start(&b->vr, -1);
	assert_int_equal(b->vr.last_avail_idx, 0xfff0);
	assert_int_equal(b->vr.used_idx, 0xfff0);
	assert_int_equal(driver_used_idx(&b->drv), 0xfff0);
	assert_false(vring_split_n_avail(&b->vr) > 0);
}

static void test_n_avail(void **state)
{
	struct bench *b = *state;
	uint16_t bases[] = {0, 1, 0x7fff, 0xfffa, 0xffff};

	for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
		vring_split_start(&b->vr, bases[i]);
		for (uint32_t n = 0; n <= 0xffff; n++) {
			driver_set_avail_idx(&b->drv, (uint16_t)(bases[i] + n));
			assert_int_equal(vring_split_n_avail(&b->vr), n <= SIZE ? (int)n : -1);
		}
	}
}

/* Chains go on being taken from, and put into, the right slots where 16-bit indices wrap. */
static void test_indices_wrap(void **state)
{
	struct bench *b = *state;

	driver_set_used_idx(&b->drv, 0xfffd);
	driver_set_avail_idx(&b->drv, 0xfffd);
	vring_split_start(&b->vr, 0xfffd);
	for (uint16_t i = 0; i < 3 * SIZE; i++) {
		uint16_t head = (uint16_t)(i * 5 % SIZE), slot = (uint16_t)(0xfffd + i) % SIZE;
		uint32_t id, n_bytes;

		driver_desc(&b->drv, head, BUF_GPA, 16, 0, 0);
		assert_sound(bench_take(b, head));
		assert_int_equal(b->chain.id, head);
		assert_int_equal(vring_split_n_avail(&b->vr), 0);
		vring_split_put_used(&b->vr, head, 0xabc00000u + i);
		assert_int_equal(driver_used_idx(&b->drv), (uint16_t)(0xfffd + i));
		vring_split_publish(&b->vr);
		assert_int_equal(driver_used_idx(&b->drv), (uint16_t)(0xfffe + i));
		driver_used_elem(&b->drv, slot, &id, &n_bytes);
		assert_int_equal(id, head);
		assert_int_equal(n_bytes, 0xabc00000u + i);
	}
}

/* 2.7.7.1: without EVENT_IDX bit 0 of avail->flags says "no notifications". */
static void test_no_interrupt_flag(void **state)
{
	struct bench *b = *state;

	for (uint32_t flags = 0; flags <= 0xffff; flags++) {
		driver_set_avail_flags(&b->drv, (uint16_t)flags);
		assert_int_equal(vring_split_should_notify(&b->vr), flags % 2 == 0);
	}
}

/* 2.7.7.2: notify when used_event is the index of one of the entries written since. */
static bool wants_event(uint16_t event, uint16_t old, uint16_t n)
{
	for (uint16_t i = 0; i != n; i++)
		if ((uint16_t)(old + i) == event)
			return true;
	return false;
}

static void test_event_idx_notify(void **state)
{
	struct bench *b = *state;
	uint16_t olds[] = {0, 1, 1000, 0x7fff, 0x8000, 0xfffc, 0xffff};
	uint16_t counts[] = {0, 1, 2, 7, 8};

	driver_connect(&b->drv, &b->vr, true, 0);
	driver_set_avail_flags(&b->drv, 1); /* to be ignored now */
	for (size_t i = 0; i < ARRAY_LEN(olds); i++)
		for (size_t k = 0; k < ARRAY_LEN(counts); k++)
			for (uint32_t event = 0; event <= 0xffff; event++) {
				uint16_t n = counts[k], old = olds[i];

				b->vr.signalled_idx = old;
				b->vr.used_idx = (uint16_t)(old + n);
				driver_set_used_event(&b->drv, (uint16_t)event);
				assert_int_equal(vring_split_should_notify(&b->vr),
						 wants_event((uint16_t)event, old, n));
				assert_int_equal(b->vr.signalled_idx, (uint16_t)(old + n));
			}
}

/* One decision covers what was written since the one before it, however many publishes. */
static void test_event_idx_covers_all_since(void **state)
{
	struct bench *b = *state;

	driver_connect(&b->drv, &b->vr, true, 0);
	driver_set_used_event(&b->drv, 1);
	for (int i = 0; i < 3; i++) {
		vring_split_put_used(&b->vr, 0, 0);
		vring_split_publish(&b->vr);
	}
	assert_true(vring_split_should_notify(&b->vr));
	assert_false(vring_split_should_notify(&b->vr));
	vring_split_put_used(&b->vr, 0, 0);
	vring_split_publish(&b->vr);
	assert_false(vring_split_should_notify(&b->vr));
}

/* A chain put back is there again, also where the index wraps and the driver's wish is renewed. */
static void test_untake(void **state)
{
	struct bench *b = *state;
	uint16_t bases[] = {0, 0x3fff, 0xffff};

	for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
		driver_set_avail_idx(&b->drv, bases[i]);
		driver_connect(&b->drv, &b->vr, true, bases[i]);
		driver_desc(&b->drv, 6, BUF_GPA, 16, 0, 0);
		assert_sound(bench_take(b, 6));
		vring_split_untake(&b->vr);
		assert_int_equal(vring_split_n_avail(&b->vr), 1);
		assert_int_equal(b->vr.last_avail_idx, bases[i]);
		assert_sound(vring_split_take(&b->vr, &b->guest.mem, &b->chain));
		assert_int_equal(b->chain.id, 6);
		bench_assert_counts(b, 1, 16, 0, 0);
		assert_int_equal(vring_split_n_avail(&b->vr), 0);
	}
}

static void test_no_kicks_by_flag(void **state)
{
	struct bench *b = *state;

	assert_int_equal(driver_used_flags(&b->drv), 1);
}

/* 2.7.10: a driver kicks when avail_event is the index of an entry it has added. However it
 * batches, it never has to, in three times around all indices. */
static void assert_never_kicked(struct bench *b, uint16_t base, uint16_t batch)
{
	driver_set_used_idx(&b->drv, base);
	driver_set_avail_idx(&b->drv, base);
	driver_connect(&b->drv, &b->vr, true, base);
	assert_int_equal(driver_used_flags(&b->drv), 0);
	for (uint32_t n = 0; n < 3 * 0x10000; n += batch) {
		uint16_t old = b->drv.avail_idx;

		driver_set_avail_idx(&b->drv, (uint16_t)(old + batch));
		assert_false(wants_event(driver_avail_event(&b->drv), old, batch));
		for (uint16_t i = 0; i < batch; i++) {
			b->chain.iov = b->iov;
			b->chain.n_iov_max = CHAIN_IOV_MAX;
			assert_sound(vring_split_take(&b->vr, &b->guest.mem, &b->chain));
		}
	}
}

static void test_no_kicks_by_event_idx(void **state)
{
	struct bench *b = *state;
	uint16_t bases[] = {0, 1, 0x3fff, 0x4000, 0x7fff, 0x8001, 0xbfff, 0xffff};

	for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
		assert_never_kicked(b, bases[i], 1);
		assert_never_kicked(b, bases[i], SIZE);
	}
}

static int setup(void **state)
{
	static struct bench bench;

	bench_init(&bench, SIZE, false);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	bench_fini(*state);
	return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		TEST(test_map_ends_of_memory),
		TEST(test_map_across_regions),
		TEST(test_map_alignment),
		TEST(test_map_failure_changes_nothing),
		TEST(test_start_indices),
		TEST(test_n_avail),
		TEST(test_indices_wrap),
		TEST(test_no_interrupt_flag),
		TEST(test_event_idx_notify),
		TEST(test_event_idx_covers_all_since),
		TEST(test_untake),
		TEST(test_no_kicks_by_flag),
		TEST(test_no_kicks_by_event_idx),
	};

	return cmocka_run_group_tests_name("vring_rings", tests, NULL, NULL);
}
