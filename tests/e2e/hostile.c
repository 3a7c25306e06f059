/* SPDX-License-Identifier: BSD-3-Clause */
/* The frame of an attack: before, during, after. */
#include "hostile.h"

#include <string.h>
#include <unistd.h>

#define LOG_LINES_MAX                100
#define LOG_LINES_PER_CONNECTION_MAX 4

/* A request of a bystander may take so long: far more than it needs, far less than a time-out. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BYSTANDER_MS 10000 /* everything is slower by far */
#else
#define BYSTANDER_MS 2000
#endif

static void serve_proper_front_end(struct attack *a)
{
	struct vfe_blk *proper = fx_open_patiently(a->disk);

	fx_serves(fx_io(proper, 0, 2, 4096), 8);
	vfe_blk_hang_up(proper);
}

void attack_init(struct attack *a)
{
	memset(a, 0, sizeof(*a));
	a->other = fx_io(fx_open(fx_disk(NULL), NULL), 0, 2, 4096);
	a->disk = fx_disk(NULL);
	a->blk = fx_session();
	serve_proper_front_end(a);
	attack_bystander(a);
	usleep(100000); /* the connection's descriptors are closed by now */
	a->log_lines = fx_backend_log_lines();
	a->n_fds = fx_backend_fds();
}

static void connect_patiently(struct attack *a)
{
	int64_t deadline_ms = vfe_now_ms() + VFE_TIMEOUT_MS;
	struct vfe_blk_opts opts;
	int rc;

	vfe_blk_opts_init(&opts, a->disk->socket);
	do {
		vfe_blk_close(a->blk);
		rc = vfe_blk_connect(a->blk, &opts);
		if (rc)
			usleep(5000);
	} while (rc && vfe_now_ms() < deadline_ms);
	FX_ASSERT(rc == 0, "the attacked device takes no connection: %d", rc);
	a->n_connections++;
}

void attack_connect(struct attack *a)
{
	connect_patiently(a);
}

void attack_prepare(struct attack *a)
{
	connect_patiently(a);
	FX_OK(vfe_blk_make_rings(a->blk));
}

void attack_start(struct attack *a)
{
	attack_prepare(a);
	FX_OK(vfe_blk_start(a->blk));
}

void attack_bystander(struct attack *a)
{
	int64_t start_ms = vfe_now_ms();

	fx_serves(a->other, 0);
	FX_ASSERT(vfe_now_ms() - start_ms < BYSTANDER_MS, "a bystander waited for %d ms",
		  (int)(vfe_now_ms() - start_ms));
}

bool attack_connected(struct attack *a)
{
	uint64_t features;

	return vfe_conn_get_u64(&a->blk->conn, VFE_GET_FEATURES, &features) == 0;
}

void attack_send(struct attack *a, const struct vfe_msg *msg, const struct vfe_fds *fds)
{
	vfe_msg_send(a->blk->conn.sock, msg, fds);
}

void attack_send_u64(struct attack *a, uint32_t request, uint64_t value, int fd)
{
	struct vfe_msg msg = {.request = request,
			      .flags = VFE_MSG_VERSION,
			      .size_bytes = sizeof(msg.u64),
			      .u64 = value};
	struct vfe_fds fds = {.fd = {fd}, .n = fd < 0 ? 0 : 1};

	attack_send(a, &msg, &fds);
}

void attack_send_vring(struct attack *a, uint32_t request, uint32_t index, uint32_t num)
{
	struct vfe_msg msg = {.request = request,
			      .flags = VFE_MSG_VERSION,
			      .size_bytes = sizeof(msg.state),
			      .state = {.index = index, .num = num}};

	attack_send(a, &msg, NULL);
}

/* Descriptors of a connection that has just gone are closed a little later. */
static void check_fds(struct attack *a)
{
	int64_t deadline_ms = vfe_now_ms() + 3000;
	unsigned int n;

	while ((n = fx_backend_fds()) > a->n_fds && vfe_now_ms() < deadline_ms)
		usleep(20000);
	FX_ASSERT(n <= a->n_fds, "%u descriptors are open, %u were before", n, a->n_fds);
}

void attack_finish(struct attack *a)
{
	int n_lines;

	attack_bystander(a);
	vfe_blk_close(a->blk);
	attack_bystander(a);
	FX_ASSERT(td_alive(&fx_backend()->td), "the daemon is gone");
	serve_proper_front_end(a);
	attack_bystander(a);
	if (fx_kind() == TD_QSD)
		return; /* it leaks descriptors and logs without limit: not our subject */
	check_fds(a);
	n_lines = fx_backend_log_lines() - a->log_lines;
	FX_ASSERT(n_lines < LOG_LINES_MAX + LOG_LINES_PER_CONNECTION_MAX * (int)a->n_connections,
		  "%d lines in the log", n_lines);
}
