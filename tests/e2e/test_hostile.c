/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Front ends that break the vhost-user protocol. The attacked device may hang up on its front end;
 * everything else goes on: see attack_finish(). Memory and descriptors as weapons are in
 * test_hostile_mem.c.
 */
#include "hostile.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "td_rpc.h"

/* What control operations on other devices may take while one front end misbehaves. */
#define CONTROL_MS 2000

static void control_goes_on(void)
{
	int64_t start_ms = vfe_now_ms();

	if (fx_kind() == TD_QSD)
		return;
	FX_OK(td_rpc(&fx_backend()->td, "device.list", "{}", NULL));
	FX_ASSERT(vfe_now_ms() - start_ms < CONTROL_MS, "device.list took %d ms",
		  (int)(vfe_now_ms() - start_ms));
}

/* The first `n_bytes` of a message, and then silence for a while. */
static void half_message(unsigned int n_bytes)
{
	struct vfe_msg msg = {.request = VFE_SET_VRING_ADDR,
			      .flags = VFE_MSG_VERSION,
			      .size_bytes = sizeof(msg.addr)};
	struct attack a;
	unsigned int i;

	attack_init(&a);
	attack_prepare(&a);
	vfe_msg_send_raw(a.blk->conn.sock, &msg, n_bytes, NULL);
	for (i = 0; i < 10; i++) {
		attack_bystander(&a);
		control_goes_on();
		usleep(50000);
	}
	attack_finish(&a);
}

static void half_a_header(void **state)
{
	(void)state;
	half_message(5);
}

static void a_header_without_its_payload(void **state)
{
	(void)state;
	half_message(VFE_MSG_HEADER_BYTES);
}

static void half_a_payload(void **state)
{
	(void)state;
	half_message(VFE_MSG_HEADER_BYTES + 9);
}

/* While one front end holds a half message back, another device can be added, used and deleted. */
static void half_a_message_does_not_stop_other_devices_control(void **state)
{
	struct attack a;
	struct td_disk *disk;
	struct vfe_blk *blk;
	int64_t start_ms;

	(void)state;
	attack_init(&a);
	attack_prepare(&a);
	vfe_msg_send_raw(a.blk->conn.sock, "\x09\0\0\0", 4, NULL);
	usleep(10000);
	start_ms = vfe_now_ms();
	disk = fx_disk(NULL);
	blk = fx_open(disk, NULL);
	fx_serves(fx_io(blk, 0, 2, 4096), 0);
	vfe_blk_hang_up(blk);
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
	FX_ASSERT(vfe_now_ms() - start_ms < 2 * CONTROL_MS, "a device's life took %d ms",
		  (int)(vfe_now_ms() - start_ms));
	attack_finish(&a);
}

/* One byte at a time is slow, but no attack: it is served or hung up on. */
static void a_message_byte_by_byte(void **state)
{
	struct vfe_msg msg = {.request = VFE_GET_FEATURES, .flags = VFE_MSG_VERSION};
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	attack_connect(&a);
	for (i = 0; i < VFE_MSG_HEADER_BYTES; i++) {
		vfe_msg_send_raw(a.blk->conn.sock, (uint8_t *)&msg + i, 1, NULL);
		attack_bystander(&a);
	}
	attack_finish(&a);
}

static void every_request_with_a_wrong_size(void **state)
{
	static const uint32_t sizes[] = {0, 1, 4, 7, 9, 12, 39, 41, 100, 263, 269, 296};
	struct vfe_msg msg = {.flags = VFE_MSG_VERSION};
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	attack_prepare(&a);
	for (msg.request = 0; msg.request < 45; msg.request++) {
		if (msg.request == VFE_GET_VRING_BASE)
			continue; /* it stops a queue; it has a test of its own */
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			msg.size_bytes = sizes[i];
			attack_send(&a, &msg, NULL);
			if (i % 4 == 3 && !attack_connected(&a))
				attack_prepare(&a);
		}
		attack_bystander(&a);
	}
	attack_finish(&a);
}

static void sizes_that_no_message_has(void **state)
{
	static const uint32_t sizes[] = {1024, 4096, 1u << 20, 0x7fffffff, 0x80000000, 0xffffffff};
	uint32_t header[3] = {VFE_SET_MEM_TABLE, VFE_MSG_VERSION, 0};
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		attack_connect(&a);
		header[2] = sizes[i];
		vfe_msg_send_raw(a.blk->conn.sock, header, sizeof(header), NULL);
		vfe_msg_send_raw(a.blk->conn.sock, header, sizeof(header), NULL);
		attack_bystander(&a);
	}
	attack_finish(&a);
}

static void requests_that_do_not_exist(void **state)
{
	static const uint32_t requests[] = {
		0,  22, 23, 26, 27,  28,  29,      30,         33,         34,
		35, 38, 39, 40, 100, 255, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff};
	struct vfe_msg msg = {.size_bytes = 8};
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	attack_prepare(&a);
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]) * 2; i++) {
		msg.request = requests[i / 2];
		msg.flags = VFE_MSG_VERSION | (i % 2 ? VFE_MSG_NEED_REPLY : 0);
		attack_send(&a, &msg, NULL);
		attack_bystander(&a);
		vfe_msg_peer_closes(a.blk->conn.sock, 5); /* throws a reply away */
		if (!attack_connected(&a))
			attack_prepare(&a);
	}
	attack_finish(&a);
}

static void random_bytes(void **state)
{
	uint64_t random = 7;
	uint32_t word[64];
	struct attack a;
	unsigned int i, k;

	(void)state;
	attack_init(&a);
	for (i = 0; i < 200; i++) {
		attack_connect(&a);
		for (k = 0; k < 64; k++)
			word[k] = (uint32_t)vfe_random(&random);
		if (i % 2) { /* a header that looks right */
			word[0] %= 40;
			word[1] = VFE_MSG_VERSION;
			word[2] %= 240;
		}
		vfe_msg_send_raw(a.blk->conn.sock, word, 1 + vfe_random(&random) % 256, NULL);
		if (i % 10 == 0)
			attack_bystander(&a);
	}
	attack_finish(&a);
}

/* Flags: other versions, replies that were not asked for. */
static void wrong_header_flags(void **state)
{
	static const uint32_t flags[] = {0, 2, 3, 4, 5, 0xfffffff1u, 0xffffffffu};
	struct vfe_msg msg = {.request = VFE_GET_FEATURES};
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		attack_connect(&a);
		msg.flags = flags[i];
		attack_send(&a, &msg, NULL);
		attack_bystander(&a);
	}
	attack_finish(&a);
}

static void vring_indices_out_of_range(void **state)
{
	static const uint32_t indices[] = {1,   2,       127,        128,       255,
					   256, 0x10000, 0x80000000, 0xffffffff};
	static const uint32_t requests[] = {VFE_SET_VRING_NUM, VFE_SET_VRING_BASE,
					    VFE_SET_VRING_ENABLE, VFE_GET_VRING_BASE};
	static const uint32_t fd_requests[] = {VFE_SET_VRING_KICK, VFE_SET_VRING_CALL,
					       VFE_SET_VRING_ERR};
	struct vhost_vring_addr addr;
	struct attack a;
	unsigned int i, k;

	(void)state;
	attack_init(&a);
	for (i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
		for (k = 0; k < 4; k++) {
			attack_prepare(&a);
			attack_send_vring(&a, requests[k], indices[i], 64);
			attack_bystander(&a);
		}
		for (k = 0; k < 3; k++) {
			attack_prepare(&a);
			attack_send_u64(&a, fd_requests[k], indices[i], a.blk->ring[0].kick_fd);
		}
		attack_prepare(&a);
		vfe_blk_ring_addr(a.blk, 0, &addr);
		addr.index = indices[i];
		vfe_conn_set_vring_addr(&a.blk->conn, &addr);
		attack_bystander(&a);
	}
	attack_finish(&a);
}

static void vring_sizes_that_are_none(void **state)
{
	static const uint32_t sizes[] = {0, 3, 129, 32768, 65535, 65536, 0x80000000, 0xffffffff};
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct vhost_vring_addr addr;

		attack_prepare(&a);
		vfe_blk_ring_addr(a.blk, 0, &addr);
		vfe_conn_set_u64(&a.blk->conn, VFE_SET_FEATURES, a.blk->device_features);
		vfe_conn_set_mem_table(&a.blk->conn, &a.blk->mem);
		attack_send_vring(&a, VFE_SET_VRING_NUM, 0, sizes[i]);
		attack_send_vring(&a, VFE_SET_VRING_BASE, 0, 0);
		vfe_conn_set_vring_addr(&a.blk->conn, &addr);
		attack_send_u64(&a, VFE_SET_VRING_KICK, 0, a.blk->ring[0].kick_fd);
		attack_send_vring(&a, VFE_SET_VRING_ENABLE, 0, 1);
		vfe_ring_kick_always(&a.blk->ring[0]);
		usleep(5000);
		attack_bystander(&a);
	}
	attack_finish(&a);
}

static void bases_that_are_none(void **state)
{
	static const uint32_t bases[] = {1, 0x8000, 0xffff, 0x10000, 0xffffffff};
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	for (i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		attack_start(&a);
		vfe_blk_stop(a.blk, NULL);
		attack_send_vring(&a, VFE_SET_VRING_BASE, 0, bases[i]);
		attack_send_u64(&a, VFE_SET_VRING_KICK, 0, a.blk->ring[0].kick_fd);
		attack_send_vring(&a, VFE_SET_VRING_ENABLE, 0, 1);
		vfe_ring_kick_always(&a.blk->ring[0]);
		usleep(5000);
		attack_bystander(&a);
	}
	attack_finish(&a);
}

/* Queues that were never started have a base all the same; asking for it is no crime. */
static void bases_of_queues_that_never_started(void **state)
{
	struct attack a;
	uint32_t base;

	(void)state;
	attack_init(&a);
	attack_connect(&a);
	vfe_conn_get_vring_base(&a.blk->conn, 0, &base);
	attack_prepare(&a);
	vfe_conn_get_vring_base(&a.blk->conn, 0, &base);
	attack_start(&a);
	FX_OK(vfe_blk_stop(a.blk, NULL));
	vfe_conn_get_vring_base(&a.blk->conn, 0, &base);
	vfe_conn_get_vring_base(&a.blk->conn, 0, &base);
	attack_finish(&a);
}

/* Kick, enable and addresses before memory and features. */
static void messages_in_no_order(void **state)
{
	static const uint32_t requests[] = {
		VFE_SET_VRING_ENABLE, VFE_SET_VRING_KICK, VFE_SET_VRING_ADDR, VFE_SET_VRING_CALL,
		VFE_SET_VRING_BASE,   VFE_SET_VRING_NUM,  VFE_SET_MEM_TABLE,  VFE_SET_FEATURES};
	struct vhost_vring_addr addr;
	uint64_t random = 3;
	struct attack a;
	unsigned int i, k;

	(void)state;
	attack_init(&a);
	for (i = 0; i < 40; i++) {
		attack_prepare(&a);
		vfe_blk_ring_addr(a.blk, 0, &addr);
		for (k = 0; k < 12; k++) {
			uint32_t request = requests[vfe_random(&random) % 8];

			if (request == VFE_SET_VRING_ADDR)
				vfe_conn_set_vring_addr(&a.blk->conn, &addr);
			else if (request == VFE_SET_VRING_KICK || request == VFE_SET_VRING_CALL)
				attack_send_u64(&a, request, 0, a.blk->ring[0].kick_fd);
			else if (request == VFE_SET_MEM_TABLE)
				vfe_conn_set_mem_table(&a.blk->conn, &a.blk->mem);
			else if (request == VFE_SET_FEATURES)
				attack_send_u64(&a, request, a.blk->device_features, -1);
			else
				attack_send_vring(&a, request, 0, k % 2 ? 128 : 0);
			vfe_ring_kick_always(&a.blk->ring[0]);
		}
		attack_bystander(&a);
	}
	attack_finish(&a);
}

static void features_that_were_not_offered(void **state)
{
	struct attack a;

	(void)state;
	attack_init(&a);
	attack_prepare(&a);
	attack_send_u64(&a, VFE_SET_FEATURES, ~0ull, -1);
	attack_bystander(&a);
	attack_prepare(&a);
	attack_send_u64(&a, VFE_SET_PROTOCOL_FEATURES, ~0ull, -1);
	attack_bystander(&a);
	attack_finish(&a);
}

static void config_messages_that_lie(void **state)
{
	static const uint32_t values[] = {0, 1, 255, 256, 257, 4096, 0x7fffffff, 0xffffffff};
	struct vfe_msg msg = {.flags = VFE_MSG_VERSION, .size_bytes = 12 + 60};
	struct attack a;
	unsigned int i, set;

	(void)state;
	attack_init(&a);
	for (set = 0; set < 2; set++) {
		msg.request = set ? VFE_SET_CONFIG : VFE_GET_CONFIG;
		for (i = 0; i < sizeof(values) / sizeof(values[0]) * 2; i++) {
			attack_prepare(&a);
			msg.config.offset = i % 2 ? values[i / 2] : 0;
			msg.config.size_bytes = i % 2 ? 60 : values[i / 2];
			attack_send(&a, &msg, NULL);
			attack_bystander(&a);
		}
	}
	attack_finish(&a);
}

/* Questions whose answers are never read: the back end's sends must not block it for good. */
static void answers_that_nobody_reads(void **state)
{
	struct vfe_msg msg[16];
	struct attack a;
	unsigned int i;
	int rc = 0;

	(void)state;
	attack_init(&a);
	attack_connect(&a);
	for (i = 0; i < 16; i++)
		msg[i] = (struct vfe_msg){.request = VFE_GET_FEATURES, .flags = VFE_MSG_VERSION};
	for (i = 0; i < 20000 && !rc; i++) {
		rc = send(a.blk->conn.sock, msg, VFE_MSG_HEADER_BYTES,
			  MSG_NOSIGNAL | MSG_DONTWAIT) < 0;
		if (i % 1000 == 0)
			attack_bystander(&a);
	}
	for (i = 0; i < 10; i++) {
		attack_bystander(&a);
		control_goes_on();
		usleep(50000);
	}
	attack_finish(&a);
}

static void a_crowd_of_connections(void **state)
{
	struct attack a;
	int sock[100];
	unsigned int i;

	(void)state;
	attack_init(&a);
	attack_prepare(&a);
	for (i = 0; i < 100; i++) {
		sock[i] = vfe_msg_connect(a.disk->socket);
		if (i % 10 == 0)
			attack_bystander(&a);
	}
	control_goes_on();
	for (i = 0; i < 100; i++) {
		if (sock[i] >= 0)
			close(sock[i]);
	}
	attack_finish(&a);
}

#define BACKLOG "qemu-storage-daemon listens with a backlog of one: the crowd's connect() waits"
#define CRASHES "qemu-storage-daemon 7.2 does not check vring indices and dies of it (SIGSEGV)"
#define SPINS   "qemu-storage-daemon 7.2 sends on a blocked socket, and all its devices wait"
#define QMP_ONE "qemu-storage-daemon deletes exports, which it does not survive reliably"

static const struct fx_case cases[] = {
	FX_CASE(half_a_header),
	FX_CASE(a_header_without_its_payload),
	FX_CASE(half_a_payload),
	FX_CASE_ON(half_a_message_does_not_stop_other_devices_control, FX_VHOSTD, QMP_ONE),
	FX_CASE(a_message_byte_by_byte),
	FX_CASE(every_request_with_a_wrong_size),
	FX_CASE(sizes_that_no_message_has),
	FX_CASE(requests_that_do_not_exist),
	FX_CASE_ON(random_bytes, FX_VHOSTD, CRASHES),
	FX_CASE(wrong_header_flags),
	FX_CASE_ON(vring_indices_out_of_range, FX_VHOSTD, CRASHES),
	FX_CASE(vring_sizes_that_are_none),
	FX_CASE(bases_that_are_none),
	FX_CASE(bases_of_queues_that_never_started),
	FX_CASE(messages_in_no_order),
	FX_CASE(features_that_were_not_offered),
	FX_CASE(config_messages_that_lie),
	FX_CASE_ON(answers_that_nobody_reads, FX_VHOSTD, SPINS),
	FX_CASE_ON(a_crowd_of_connections, FX_VHOSTD, BACKLOG),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "hostile", cases, sizeof(cases) / sizeof(cases[0]));
}
