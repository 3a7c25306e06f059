/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests and their cutting into segments. A request's place in guest memory is a page for header
 * and status followed by the data area; where a layout joins header or status with the data they
 * move next to it, which the data area leaves room for.
 */
#include "vfe_io.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* In a request's first page; joined headers stand at its end. */
#define HEADER_OFFSET 0u
#define STATUS_OFFSET 64u
#define PAGE_BYTES    4096u

int64_t vfe_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int vfe_io_init(struct vfe_io *io, struct vfe_blk *blk, uint16_t q, const struct vfe_io_opts *opts)
{
	uint64_t n_bytes = 2ull * PAGE_BYTES + opts->max_bytes + opts->data_offset;
	struct vfe_req *req;
	uint16_t i;

	memset(io, 0, sizeof(*io));
	io->blk = blk;
	io->ring = &blk->ring[q];
	io->opts = *opts;
	io->req = calloc(opts->n_reqs, sizeof(*io->req));
	if (!io->req)
		return -ENOMEM;
	for (i = 0; i < opts->n_reqs; i++) {
		req = &io->req[i];
		req->base_gpa = vfe_mem_alloc(&blk->mem, n_bytes, PAGE_BYTES);
		if (req->base_gpa == VFE_NO_GPA) {
			vfe_io_fini(io);
			return -ENOMEM;
		}
		req->own_data_gpa = req->base_gpa + PAGE_BYTES + opts->data_offset;
		vfe_io_put(io, req);
	}
	if (opts->polling)
		vfe_ring_interrupts(io->ring, false);
	return 0;
}

void vfe_io_fini(struct vfe_io *io)
{
	free(io->req);
	memset(io, 0, sizeof(*io));
}

struct vfe_req *vfe_io_get(struct vfe_io *io)
{
	struct vfe_req *req = io->free_list;

	if (!req)
		return NULL;
	io->free_list = req->next_free;
	req->data_gpa = req->own_data_gpa;
	req->type = VIRTIO_BLK_T_IN;
	req->sector = 0;
	req->n_bytes = 0;
	req->device_writes = false;
	req->layout = io->layout;
	return req;
}

void vfe_io_put(struct vfe_io *io, struct vfe_req *req)
{
	req->next_free = io->free_list;
	io->free_list = req;
}

struct seg_list {
	struct vfe_seg *seg;
	unsigned int n, max;
	bool full;
};

static void add_seg(struct seg_list *list, uint64_t gpa, uint32_t n_bytes, bool writable, bool join)
{
	struct vfe_seg *last = list->n ? &list->seg[list->n - 1] : NULL;

	if (n_bytes == 0)
		return;
	if (join && last && last->writable == writable && last->gpa + last->n_bytes == gpa) {
		last->n_bytes += n_bytes;
		return;
	}
	if (list->n == list->max) {
		list->full = true;
		return;
	}
	list->seg[list->n++] =
		(struct vfe_seg){.gpa = gpa, .n_bytes = n_bytes, .writable = writable};
}

static void add_header(struct seg_list *list, const struct vfe_req *req)
{
	uint32_t step = VFE_HEADER_BYTES, done = 0, n;

	if (req->layout.header_bytes)
		step = 1;
	else if (req->layout.header_cut)
		step = req->layout.header_cut;
	while (done < VFE_HEADER_BYTES) {
		n = step < VFE_HEADER_BYTES - done ? step : VFE_HEADER_BYTES - done;
		add_seg(list, req->header_gpa + done, n, false, false);
		done += n;
		if (req->layout.header_cut)
			step = VFE_HEADER_BYTES; /* one cut only */
	}
}

static void add_data(struct seg_list *list, const struct vfe_req *req)
{
	const struct vfe_layout *layout = &req->layout;
	uint32_t step = layout->seg_bytes ? layout->seg_bytes : req->n_bytes;
	uint32_t done = 0, n = layout->first_bytes ? layout->first_bytes : step;

	while (done < req->n_bytes && !list->full) {
		if (n > req->n_bytes - done)
			n = req->n_bytes - done;
		add_seg(list, req->data_gpa + done, n, req->device_writes,
			done == 0 && layout->join_header && !req->device_writes);
		done += n;
		n = step;
	}
}

int vfe_req_segs(const struct vfe_req *req, struct vfe_seg *seg, unsigned int max)
{
	struct seg_list list = {.seg = seg, .max = max};

	add_header(&list, req);
	add_data(&list, req);
	add_seg(&list, req->status_gpa, 1, true, req->layout.join_status);
	return list.full ? -EINVAL : (int)list.n;
}

static void place(struct vfe_req *req)
{
	bool join_header = req->layout.join_header && !req->device_writes && req->n_bytes > 0;
	bool join_status = req->layout.join_status && req->device_writes && req->n_bytes > 0;

	req->header_gpa =
		join_header ? req->data_gpa - VFE_HEADER_BYTES : req->base_gpa + HEADER_OFFSET;
	req->status_gpa =
		join_status ? req->data_gpa + req->n_bytes : req->base_gpa + STATUS_OFFSET;
}

int vfe_io_submit(struct vfe_io *io, struct vfe_req *req)
{
	struct virtio_blk_outhdr header = {.type = req->type, .sector = req->sector};
	const uint8_t unset = VFE_STATUS_UNSET;
	struct vfe_seg seg[VFE_IO_SEGS_MAX];
	int n, rc;

	place(req);
	rc = vfe_mem_write(&io->blk->mem, req->header_gpa, &header, sizeof(header));
	if (!rc)
		rc = vfe_mem_write(&io->blk->mem, req->status_gpa, &unset, 1);
	if (rc)
		return rc;
	n = vfe_req_segs(req, seg, VFE_IO_SEGS_MAX);
	if (n < 0)
		return n;
	if (req->layout.indirect)
		rc = vfe_ring_add_indirect(io->ring, seg, (unsigned int)n, req);
	else
		rc = vfe_ring_add(io->ring, seg, (unsigned int)n, req);
	if (rc < 0)
		return rc;
	io->n_in_flight++;
	req->submit_ns = vfe_now_ns();
	return 0;
}

void vfe_io_kick(struct vfe_io *io)
{
	vfe_ring_publish(io->ring);
	vfe_ring_kick(io->ring);
}

int vfe_io_reap(struct vfe_io *io, struct vfe_req **ret_req)
{
	struct vfe_used used;
	struct vfe_req *req;
	int rc = vfe_ring_poll(io->ring, &used);

	if (rc <= 0)
		return rc;
	req = used.token;
	req->used_bytes = used.n_bytes;
	rc = vfe_mem_read(&io->blk->mem, req->status_gpa, &req->status, 1);
	if (rc)
		return rc;
	io->n_in_flight--;
	*ret_req = req;
	return 1;
}

static int spin(struct vfe_io *io, struct vfe_req **ret_req, int timeout_ms)
{
	int64_t deadline_ms = vfe_now_ms() + timeout_ms;
	int rc;

	for (;;) {
		rc = vfe_io_reap(io, ret_req);
		if (rc != 0)
			return rc;
		if (vfe_now_ms() >= deadline_ms)
			return -ETIMEDOUT;
		sched_yield();
	}
}

int vfe_io_wait(struct vfe_io *io, struct vfe_req **ret_req, int timeout_ms)
{
	int rc = vfe_io_reap(io, ret_req);

	if (rc != 0)
		return rc;
	if (io->opts.polling)
		return spin(io, ret_req, timeout_ms);
	rc = vfe_ring_wait(io->ring, timeout_ms);
	return rc ? rc : vfe_io_reap(io, ret_req);
}

int vfe_io_run(struct vfe_io *io, struct vfe_req *req)
{
	struct vfe_req *done = NULL;
	int rc = vfe_io_submit(io, req);

	if (rc)
		return rc;
	vfe_io_kick(io);
	rc = vfe_io_wait(io, &done, VFE_TIMEOUT_MS);
	if (rc < 0)
		return rc;
	if (done != req)
		return -EPROTO;
	io->last_used_bytes = req->used_bytes;
	return req->status;
}

uint32_t vfe_req_used_expected(const struct vfe_req *req)
{
	return 1 + (req->device_writes ? req->n_bytes : 0);
}

/* One request, start to end: `in` is where data read goes, `out` what is sent. */
static int run_one(struct vfe_io *io, struct vfe_req *req, void *in, const void *out)
{
	struct vfe_mem *mem = &io->blk->mem;
	int rc = 0, status;

	req->device_writes = in != NULL;
	if (req->n_bytes > io->opts.max_bytes && req->data_gpa == req->own_data_gpa)
		rc = -EINVAL;
	if (!rc && out)
		rc = vfe_mem_write(mem, req->data_gpa, out, req->n_bytes);
	if (!rc && in) /* a device that says OK without writing is found out */
		rc = vfe_mem_fill(mem, req->data_gpa, 0xa5, req->n_bytes);
	if (rc) {
		vfe_io_put(io, req);
		return rc;
	}
	status = vfe_io_run(io, req);
	if (status < 0)
		return status; /* the device may still hold it: it does not return to the pool */
	if (in)
		rc = vfe_mem_read(mem, req->data_gpa, in, req->n_bytes);
	vfe_io_put(io, req);
	return rc ? rc : status;
}

static int run_type(struct vfe_io *io, uint32_t type, uint64_t sector, void *in, const void *out,
		    uint32_t n_bytes)
{
	struct vfe_req *req = vfe_io_get(io);

	if (!req)
		return -EBUSY;
	req->type = type;
	req->sector = sector;
	req->n_bytes = n_bytes;
	return run_one(io, req, in, out);
}

int vfe_read(struct vfe_io *io, uint64_t sector, void *buf, uint32_t n_bytes)
{
	return run_type(io, VIRTIO_BLK_T_IN, sector, buf, NULL, n_bytes);
}

int vfe_write(struct vfe_io *io, uint64_t sector, const void *buf, uint32_t n_bytes)
{
	return run_type(io, VIRTIO_BLK_T_OUT, sector, NULL, buf, n_bytes);
}

int vfe_flush(struct vfe_io *io)
{
	return run_type(io, VIRTIO_BLK_T_FLUSH, 0, NULL, NULL, 0);
}

int vfe_get_id(struct vfe_io *io, void *id, uint32_t n_bytes)
{
	return run_type(io, VIRTIO_BLK_T_GET_ID, 0, id, NULL, n_bytes);
}

int vfe_send(struct vfe_io *io, uint32_t type, const void *data, uint32_t n_bytes)
{
	return run_type(io, type, 0, NULL, data, n_bytes);
}

int vfe_range(struct vfe_io *io, uint32_t type, uint64_t sector, uint32_t n_sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = {
		.sector = sector, .num_sectors = n_sectors, .flags = flags};

	return vfe_send(io, type, &range, sizeof(range));
}
