/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Random valid requests, from the driver's descriptors to the device's pieces and back, against a
 * model: one flat array of bytes for each region, addresses looked up byte by byte. The model walks
 * no ring; it knows the buffers because it chose them.
 *
 * Every other round has a packed ring, of any size.
 *
 * Guest physical memory: 1 to 5 regions of buffers, many of them neighbours; then the ring's
 * region; at the very top two neighbours for indirect tables, so that these cross a border.
 */
#include <stdlib.h>

#include "lib/driver.h"
#include "lib/packed.h"
#include "lib/random.h"
#include "lib/unit.h"
#include "pure/blkreq.h"
#include "pure/virtq.h"

#define N_ROUNDS     5000
#define BUFFERS_MAX  80
#define RING_GPA     0x10000000ull
#define RING_BYTES   0x8000u
#define TABLE_BYTES  0x1000u /* of each of the two regions */
#define TABLES_GPA   0xffffffff00000000ull
#define HEADER_BYTES 16
#define REGION_MAX   200u

struct buffer {
	uint64_t gpa;
	uint32_t n_bytes;
	bool writable;
};

struct world {
	struct random random;
	struct guest guest;
	struct driver drv;
	struct packed pdrv; /* in place of it, in a packed ring */
	struct virtq vq;
	uint32_t n_data;                      /* regions that hold buffers: the first ones */
	uint8_t *flat[GUEST_MEM_REGIONS_MAX]; /* the model's memory */
	struct buffer buffers[BUFFERS_MAX];
	uint32_t n_buffers;
	uint32_t n_pieces;
};

static uint8_t *model_byte(const struct world *w, uint64_t gpa, uint32_t *ret_region)
{
	for (uint32_t i = 0; i < w->n_data; i++) {
		const struct guest_region *r = &w->guest.mem.regions[i];

		*ret_region = i;
		if (r->gpa <= gpa && gpa < r->gpa + r->size_bytes)
			return w->flat[i] + (gpa - r->gpa);
	}
	return NULL;
}

static void make_split(struct world *w)
{
	driver_init(&w->drv, &w->guest, RING_GPA,
		    (uint16_t)(1u << (1 + random_below(&w->random, 7))));
	driver_connect(&w->drv, &w->vq.split, random_one_in(&w->random, 2),
		       (int32_t)random_below(&w->random, 0x10000));
	driver_set_avail_idx(&w->drv, w->vq.split.last_avail_idx);
}

static void make_packed(struct world *w)
{
	uint16_t size = (uint16_t)(1 + random_below(&w->random, 200));
	uint32_t idx = random_below(&w->random, size);
	bool wrap = random_one_in(&w->random, 2);

	packed_init(&w->pdrv, &w->guest, RING_GPA, size);
	for (uint32_t i = 0; i < size; i++) /* all used, the last time around or this one */
		packed_desc_at(&w->pdrv, RING_GPA, i, 0, 0,
			       (i < idx) == wrap ? DESC_AVAIL | DESC_USED : 0, 0);
	w->pdrv.next = (uint16_t)idx;
	w->pdrv.wrap = wrap;
	idx |= wrap ? 0x8000u : 0;
	packed_connect(&w->pdrv, &w->vq.packed, random_one_in(&w->random, 2), idx | idx << 16);
}

static void make_memory(struct world *w)
{
	uint64_t gpa = random_below(&w->random, 5000);

	guest_init(&w->guest);
	w->n_data = 1 + random_below(&w->random, 5);
	for (uint32_t i = 0; i < w->n_data; i++) {
		uint64_t n_bytes = 1 + random_below(&w->random, REGION_MAX);
		uint8_t *host = guest_add(&w->guest, gpa, n_bytes);

		w->flat[i] = malloc(n_bytes);
		assert_non_null(w->flat[i]);
		for (uint64_t k = 0; k < n_bytes; k++)
			host[k] = w->flat[i][k] = (uint8_t)random_next(&w->random);
		gpa += n_bytes;
		if (random_one_in(&w->random, 3))
			gpa += 1 + random_below(&w->random, 1000);
	}
	guest_add(&w->guest, RING_GPA, RING_BYTES);
	guest_add(&w->guest, TABLES_GPA, TABLE_BYTES);
	guest_add(&w->guest, TABLES_GPA + TABLE_BYTES, TABLE_BYTES);
	if (w->vq.is_packed)
		make_packed(w);
	else
		make_split(w);
}

static void drop_memory(struct world *w)
{
	for (uint32_t i = 0; i < w->n_data; i++)
		free(w->flat[i]);
	guest_fini(&w->guest);
}

/* A buffer of bytes that all exist; counts the pieces it is made of. */
static struct buffer choose_buffer(struct world *w, bool writable)
{
	uint32_t region = random_below(&w->random, w->n_data), at, before;
	const struct guest_region *r = &w->guest.mem.regions[region];
	uint32_t want = random_one_in(&w->random, 8) ? 0 : random_below(&w->random, 60);
	struct buffer b = {.gpa = r->gpa + random_below(&w->random, (uint32_t)r->size_bytes),
			   .writable = writable};

	before = GUEST_MEM_REGIONS_MAX;
	while (b.n_bytes < want && model_byte(w, b.gpa + b.n_bytes, &at)) {
		w->n_pieces += at != before;
		before = at;
		b.n_bytes++;
	}
	return b;
}

static void choose_buffers(struct world *w, uint32_t n_max)
{
	uint32_t n_readable;

	w->n_pieces = 0;
	w->n_buffers = 1 + random_below(&w->random, n_max);
	n_readable = random_below(&w->random, w->n_buffers + 1);
	for (uint32_t i = 0; i < w->n_buffers; i++)
		w->buffers[i] = choose_buffer(w, i >= n_readable);
}

/* The bytes of all readable, or all writable, buffers: their addresses in the model, in order. */
static uint32_t list_bytes(const struct world *w, bool writable, uint8_t **ret_bytes)
{
	uint32_t n = 0, region;

	for (uint32_t i = 0; i < w->n_buffers; i++)
		for (uint32_t k = 0;
		     w->buffers[i].writable == writable && k < w->buffers[i].n_bytes; k++)
			ret_bytes[n++] = model_byte(w, w->buffers[i].gpa + k, &region);
	return n;
}

/* The driver's header, a read or a write, in both memories. Buffers may overlap: what the header
 * is in the end, the model says. */
static void write_header(struct world *w)
{
	uint8_t header[HEADER_BYTES] = {(uint8_t)random_below(&w->random, 2)};
	uint32_t n = 0, region;

	for (uint32_t i = 0; i < w->n_buffers && !w->buffers[i].writable; i++)
		for (uint32_t k = 0; k < w->buffers[i].n_bytes && n < HEADER_BYTES; k++) {
			uint64_t gpa = w->buffers[i].gpa + k;

			*model_byte(w, gpa, &region) = header[n];
			guest_write(&w->guest, gpa, &header[n++], 1);
		}
}

/* Writes buffers [first, end) as a chain through a table, its entries in random order. The
 * descriptor of an indirect table goes behind them if `indirect` isn't NULL. Returns the first
 * entry. */
static uint16_t write_table(struct world *w, uint64_t table_gpa, uint32_t n_entries, bool in_order,
			    uint32_t first, uint32_t end, const struct buffer *indirect)
{
	uint16_t order[BUFFERS_MAX * 2];
	uint32_t n = end - first;

	for (uint32_t i = 0; i < n_entries; i++)
		order[i] = (uint16_t)i;
	for (uint32_t i = n_entries - 1; !in_order && i > 0; i--) {
		uint32_t k = random_below(&w->random, i + 1);
		uint16_t other = order[k];

		order[k] = order[i];
		order[i] = other;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct buffer *b = &w->buffers[first + i];
		bool more = i + 1 < n || indirect;

		driver_desc_at(&w->drv, table_gpa, order[i], b->gpa, b->n_bytes,
			       (uint16_t)((b->writable ? DESC_WRITE : 0) | (more ? DESC_NEXT : 0)),
			       more ? order[i + 1] : (uint16_t)random_next(&w->random));
	}
	if (indirect)
		driver_desc_at(&w->drv, table_gpa, order[n], indirect->gpa, indirect->n_bytes,
			       DESC_INDIRECT, (uint16_t)random_next(&w->random));
	return order[0];
}

/* A list of descriptors, or a table of all of them. */
static void offer_packed(struct world *w)
{
	uint32_t n = w->n_buffers;
	uint16_t id = (uint16_t)random_below(&w->random, w->pdrv.size);
	bool direct = n <= w->pdrv.size && random_one_in(&w->random, 3);
	uint64_t table_gpa =
		TABLES_GPA + TABLE_BYTES - DESC_BYTES * random_below(&w->random, n + 1);

	for (uint32_t i = 0; i < n; i++) {
		const struct buffer *b = &w->buffers[i];
		uint16_t flags = b->writable ? DESC_WRITE : 0,
			 any = (uint16_t)random_next(&w->random);

		if (!direct) /* flags but WRITE, and ids, are ignored in a table */
			packed_desc_at(&w->pdrv, table_gpa, i, b->gpa, b->n_bytes,
				       (uint16_t)(flags | (any & ~DESC_WRITE)), any);
		else if (i + 1 < n)
			packed_desc(&w->pdrv, b->gpa, b->n_bytes, flags | DESC_NEXT, any);
		else
			packed_desc(&w->pdrv, b->gpa, b->n_bytes, flags, id);
	}
	if (!direct)
		packed_desc(&w->pdrv, table_gpa, n * DESC_BYTES, DESC_INDIRECT, id);
}

/* Offers the buffers: all direct, all in a table, or some before it. */
static void offer_split(struct world *w)
{
	uint32_t size = w->drv.size, n = w->n_buffers, n_direct;
	struct buffer table;

	if (n <= size && random_one_in(&w->random, 3)) {
		driver_offer(&w->drv, write_table(w, w->drv.desc_gpa, size, false, 0, n, NULL));
		return;
	}
	n_direct = random_below(&w->random, n < size ? n : size);
	n -= n_direct;
	table.n_bytes = n * DESC_BYTES;
	table.gpa = TABLES_GPA + TABLE_BYTES - DESC_BYTES * random_below(&w->random, n + 1);
	/* A table's first entry is its chain's first: nothing but the rest may be shuffled. */
	write_table(w, table.gpa, n, true, n_direct, w->n_buffers, NULL);
	driver_offer(&w->drv, write_table(w, w->drv.desc_gpa, size, false, 0, n_direct, &table));
}

/* The payload's bytes, our addresses, in order. */
static uint64_t list_payload(const struct blk_request *req, uint8_t **ret_bytes)
{
	uint64_t n = 0;

	for (uint16_t i = 0; i < req->n_payload; i++)
		for (size_t k = 0; k < req->payload[i].iov_len; k++)
			ret_bytes[n++] = (uint8_t *)req->payload[i].iov_base + k;
	return n;
}

/* Does the request: compares what is to be written, or fills in what is to be read. */
static void serve(struct world *w, const struct blk_request *req)
{
	static uint8_t *payload[BUFFERS_MAX * 64], *readable[BUFFERS_MAX * 64],
		*writable[BUFFERS_MAX * 64];
	uint64_t n = list_payload(req, payload);
	uint32_t n_readable = list_bytes(w, false, readable);
	uint32_t n_writable = list_bytes(w, true, writable);

	assert_int_equal(n, req->payload_bytes);
	assert_int_equal(req->type, *readable[0] | *readable[1] << 8 | *readable[2] << 16 |
					    (uint32_t)*readable[3] << 24);
	if (req->type != VIRTIO_BLK_T_IN) {
		assert_int_equal(n, n_readable - HEADER_BYTES);
		for (uint64_t i = 0; i < n; i++)
			assert_int_equal(*payload[i], *readable[HEADER_BYTES + i]);
	} else {
		assert_int_equal(n, n_writable - 1);
		for (uint64_t i = 0; i < n; i++)
			*payload[i] = *writable[i] = (uint8_t)random_next(&w->random);
	}
	*req->status = *writable[n_writable - 1] = 0x5a;
}

static void assert_same_memory(const struct world *w)
{
	for (uint32_t i = 0; i < w->n_data; i++) {
		const struct guest_region *r = &w->guest.mem.regions[i];

		assert_memory_equal(r->host, w->flat[i], r->size_bytes);
	}
}

static void take_and_serve(struct world *w)
{
	static uint8_t *bytes[BUFFERS_MAX * 64];
	static struct iovec iov[CHAIN_IOV_BIG];
	struct chain chain = {.iov = iov, .n_iov_max = 1 + random_below(&w->random, 60)};
	uint32_t n_readable = list_bytes(w, false, bytes), n_writable = list_bytes(w, true, bytes);
	struct blk_request req;
	const char *fault;

	assert_int_equal(virtq_n_avail(&w->vq), 1);
	assert_sound(virtq_take(&w->vq, &w->guest.mem, &chain));
	assert_int_equal(chain.too_long, w->n_pieces > chain.n_iov_max);
	if (chain.too_long) {
		virtq_untake(&w->vq, &chain);
		chain = (struct chain){.iov = iov, .n_iov_max = CHAIN_IOV_BIG};
		assert_sound(virtq_take(&w->vq, &w->guest.mem, &chain));
	}
	assert_int_equal(chain.n_readable + chain.n_writable, w->n_pieces);
	assert_int_equal(chain.readable_bytes, n_readable);
	assert_int_equal(chain.writable_bytes, n_writable);
	fault = blk_request_parse(&chain, &req);
	assert_int_equal(fault == NULL, n_readable >= HEADER_BYTES && n_writable > 0);
	if (!fault)
		serve(w, &req);
	assert_same_memory(w);
	virtq_put_used(&w->vq, chain.id, chain.n_slots, 1);
	virtq_publish(&w->vq);
	assert_int_equal(virtq_n_avail(&w->vq), 0);
}

static uint32_t round_now;

static void test_random_requests(void **state)
{
	static struct world w;

	(void)state;
	for (round_now = 1; round_now <= N_ROUNDS; round_now++) {
		w.random.state = round_now * 0x9e3779b97f4a7c15ull;
		w.vq = (struct virtq){.is_packed = round_now % 2};
		make_memory(&w);
		for (int i = 0; i < 3; i++) {
			choose_buffers(&w, !w.vq.is_packed && w.drv.size < 4 ? 8 : BUFFERS_MAX);
			write_header(&w);
			if (w.vq.is_packed)
				offer_packed(&w);
			else
				offer_split(&w);
			take_and_serve(&w);
		}
		drop_memory(&w);
	}
}

static int tell_round(void **state)
{
	(void)state;
	if (round_now <= N_ROUNDS)
		print_message("in round %u\n", round_now);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_random_requests, tell_round),
	};

	return cmocka_run_group_tests_name("vring_random", tests, NULL, NULL);
}
