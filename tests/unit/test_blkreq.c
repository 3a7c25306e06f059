/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Taking block requests apart, however header, payload and status are spread over the pieces of a
 * chain; answering GET_ID. Header fields are written byte by byte, as in virtio 1.2 section 5.2.6.
 */
#include "lib/pieces.h"
#include "lib/unit.h"
#include "pure/blkreq.h"

#define HEADER_BYTES 16

static void write_header(uint8_t *to, uint8_t type)
{
	const uint8_t header[HEADER_BYTES] = {type, 0, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd,
					      8,    7, 6, 5, 4,    3,    2,    1};

	memcpy(to, header, HEADER_BYTES);
}

/* The payload's pieces hold exactly [bytes, bytes + n_bytes), in order, none of them empty. */
static void assert_payload(const struct blk_request *req, const uint8_t *bytes, size_t n_bytes)
{
	size_t n = 0;

	assert_int_equal(req->payload_bytes, n_bytes);
	for (uint16_t i = 0; i < req->n_payload; i++) {
		assert_ptr_equal(req->payload[i].iov_base, bytes + n);
		assert_true(req->payload[i].iov_len > 0);
		n += req->payload[i].iov_len;
	}
	assert_int_equal(n, n_bytes);
}

static void test_header_fields(void **state)
{
	uint8_t readable[HEADER_BYTES], status;
	struct blk_request req;
	struct pieces p;

	(void)state;
	write_header(readable, 13);
	readable[1] = 0x20;
	readable[3] = 0x80;
	pieces_cut(&p, readable, HEADER_BYTES, 0, &status, 1, 0);
	assert_sound(blk_request_parse(&p.chain, &req));
	assert_int_equal(req.type, 0x8000200du);
	assert_int_equal(req.sector, 0x0102030405060708ull);
	assert_ptr_equal(req.status, &status);
	assert_payload(&req, readable + HEADER_BYTES, 0);
}

/* A write, cut in two at each byte of header and payload; the status at each byte of what is
 * writable. */
static void test_write_cut_anywhere(void **state)
{
	uint8_t readable[HEADER_BYTES + 32], writable[5];
	struct blk_request req;
	struct pieces p;

	(void)state;
	write_header(readable, VIRTIO_BLK_T_OUT);
	for (size_t n_status = 1; n_status <= sizeof(writable); n_status++)
		for (size_t cut_w = 0; cut_w <= n_status; cut_w++)
			for (size_t cut_r = 0; cut_r <= sizeof(readable); cut_r++) {
				pieces_cut(&p, readable, sizeof(readable), cut_r, writable,
					   n_status, cut_w);
				assert_sound(blk_request_parse(&p.chain, &req));
				assert_int_equal(req.type, 1);
				assert_ptr_equal(req.status, writable + n_status - 1);
				assert_payload(&req, readable + HEADER_BYTES, 32);
			}
}

/* A read: the status is the last writable byte, in a piece of its own or behind the payload. */
static void test_read_cut_anywhere(void **state)
{
	uint8_t readable[HEADER_BYTES + 3], writable[40];
	struct blk_request req;
	struct pieces p;

	(void)state;
	write_header(readable, VIRTIO_BLK_T_IN);
	for (size_t n = 1; n <= sizeof(writable); n++)
		for (size_t cut_w = 0; cut_w <= n; cut_w++)
			for (size_t cut_r = 0; cut_r <= sizeof(readable); cut_r++) {
				pieces_cut(&p, readable, sizeof(readable), cut_r, writable, n,
					   cut_w);
				assert_sound(blk_request_parse(&p.chain, &req));
				assert_int_equal(req.type, 0);
				assert_int_equal(req.sector, 0x0102030405060708ull);
				assert_ptr_equal(req.status, writable + n - 1);
				assert_payload(&req, writable, n - 1);
			}
}

static void test_pieces_of_one_byte(void **state)
{
	uint8_t readable[HEADER_BYTES + 20], writable[21];
	struct blk_request req;
	struct pieces p;

	(void)state;
	for (uint8_t type = 0; type < 2; type++) {
		write_header(readable, type);
		pieces_init(&p);
		for (size_t i = 0; i < sizeof(readable); i++)
			pieces_readable(&p, readable + i, 1);
		for (size_t i = 0; i < sizeof(writable); i++)
			pieces_writable(&p, writable + i, 1);
		assert_sound(blk_request_parse(&p.chain, &req));
		assert_int_equal(req.type, type);
		assert_ptr_equal(req.status, writable + 20);
		assert_payload(&req, type ? readable + HEADER_BYTES : writable, 20);
		assert_int_equal(req.n_payload, 20);
	}
}

/* Reads and GET_ID fill what is writable, all others, known or not, take what is readable. */
static void test_payload_side(void **state)
{
	uint8_t readable[HEADER_BYTES + 7], writable[9];
	struct blk_request req;
	struct pieces p;

	(void)state;
	for (unsigned int type = 0; type < 32; type++) {
		write_header(readable, (uint8_t)type);
		pieces_cut(&p, readable, sizeof(readable), 0, writable, sizeof(writable), 0);
		assert_sound(blk_request_parse(&p.chain, &req));
		assert_int_equal(req.type, type);
		if (type == 0 || type == 8)
			assert_payload(&req, writable, 8);
		else
			assert_payload(&req, readable + HEADER_BYTES, 7);
	}
}

static void test_short_header(void **state)
{
	uint8_t readable[HEADER_BYTES], status = 0x77;
	struct blk_request req;
	struct pieces p;

	(void)state;
	write_header(readable, 0);
	for (size_t n = 0; n < HEADER_BYTES; n++)
		for (size_t cut = 0; cut <= n; cut++) {
			pieces_cut(&p, readable, n, cut, &status, 1, 0);
			assert_fault(blk_request_parse(&p.chain, &req), "shorter than 16");
		}
	assert_int_equal(status, 0x77);
}

static void test_no_status(void **state)
{
	uint8_t readable[HEADER_BYTES + 1];
	struct blk_request req;
	struct pieces p;

	(void)state;
	for (unsigned int type = 0; type < 16; type++) {
		write_header(readable, (uint8_t)type);
		pieces_cut(&p, readable, sizeof(readable), 0, NULL, 0, 0);
		assert_fault(blk_request_parse(&p.chain, &req), "status");
	}
}

/* Writes nothing itself: neither status nor payload. */
static void test_parse_writes_nothing(void **state)
{
	uint8_t readable[HEADER_BYTES + 4], before[HEADER_BYTES + 4], writable[4] = {9, 9, 9, 9};
	struct blk_request req;
	struct pieces p;

	(void)state;
	memset(readable, 5, sizeof(readable));
	write_header(readable, 0);
	memcpy(before, readable, sizeof(before));
	pieces_cut(&p, readable, sizeof(readable), 3, writable, 4, 2);
	assert_sound(blk_request_parse(&p.chain, &req));
	assert_memory_equal(readable, before, sizeof(before));
	assert_memory_equal(writable, ((uint8_t[]){9, 9, 9, 9}), 4);
}

static const char serial[] = "ABCDEFGHIJ0123456789"; /* 20 characters */

/* Answers GET_ID into n bytes cut in two at `cut`; status behind them. */
static uint32_t get_id(uint8_t *writable, size_t n, size_t cut, const char *id)
{
	uint8_t readable[HEADER_BYTES];
	struct blk_request req;
	struct blk_disk disk = {.block_size_bytes = 512};
	struct pieces p;

	memcpy(disk.serial, id, strnlen(id, VIRTIO_BLK_ID_BYTES));
	write_header(readable, VIRTIO_BLK_T_GET_ID);
	memset(writable, 0xee, n + 1);
	pieces_cut(&p, readable, HEADER_BYTES, 0, writable, n + 1, cut);
	assert_sound(blk_request_parse(&p.chain, &req));
	return blk_request_get_id(&req, &disk);
}

/* 5.2.6: up to 20 bytes, no NUL behind 20; the rest of a longer buffer stays. */
static void test_get_id(void **state)
{
	uint8_t writable[41];

	(void)state;
	for (size_t n = 0; n <= 40; n++)
		for (size_t cut = 0; cut <= n; cut++) {
			size_t n_id = n < 20 ? n : 20;

			assert_int_equal(get_id(writable, n, cut, serial), n_id);
			assert_memory_equal(writable, serial, n_id);
			for (size_t i = n_id; i <= n; i++)
				assert_int_equal(writable[i], 0xee);
		}
}

static void test_get_id_is_padded(void **state)
{
	uint8_t writable[21];
	const char id[20] = "disk1";

	(void)state;
	assert_int_equal(get_id(writable, 20, 7, id), 20);
	assert_memory_equal(writable, id, 20);
	assert_int_equal(get_id(writable, 20, 3, ""), 20);
	assert_memory_equal(writable, ((uint8_t[20]){0}), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_fields),
		cmocka_unit_test(test_write_cut_anywhere),
		cmocka_unit_test(test_read_cut_anywhere),
		cmocka_unit_test(test_pieces_of_one_byte),
		cmocka_unit_test(test_payload_side),
		cmocka_unit_test(test_short_header),
		cmocka_unit_test(test_no_status),
		cmocka_unit_test(test_parse_writes_nothing),
		cmocka_unit_test(test_get_id),
		cmocka_unit_test(test_get_id_is_padded),
	};

	return cmocka_run_group_tests_name("blkreq", tests, NULL, NULL);
}
