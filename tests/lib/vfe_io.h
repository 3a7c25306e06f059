/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-blk requests (virtio 1.2, 5.2.6) on one queue of a session: any type, any cutting of
 * header, data and status into descriptors, one at a time or many in flight.
 *
 * A vfe_io owns a pool of requests, each with a place of its own in guest memory. Life of a
 * request: vfe_io_get(), fill its fields in, vfe_io_submit(), vfe_io_kick() for all submitted so
 * far; later vfe_io_reap() or vfe_io_wait() hands it back with its result, and vfe_io_put() returns
 * it to the pool. One thread uses a vfe_io.
 */
#ifndef VFE_IO_H
#define VFE_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "vfe_blk.h"

#define VFE_SECTOR_BYTES 512u
#define VFE_HEADER_BYTES 16u
#define VFE_IO_SEGS_MAX  1152

/* What stands in the status byte while the device has written none. */
#define VFE_STATUS_UNSET 0xee

/* How the bytes of a request are cut into descriptors; all zero: header, data, status. */
struct vfe_layout {
	const char *name;
	uint8_t header_cut;   /* cut the header after 1..15 bytes */
	bool header_bytes;    /* a descriptor for each byte of the header */
	bool join_header;     /* data to write starts in the header's last descriptor */
	bool join_status;     /* the status ends the last descriptor of data read */
	uint32_t first_bytes; /* length of the first data descriptor, if not like the others */
	uint32_t seg_bytes;   /* cut the data into descriptors of this length */
	bool indirect;
};

struct vfe_req {
	/* The caller's, before vfe_io_submit(). */
	uint32_t type;
	uint64_t sector;
	uint64_t data_gpa;  /* vfe_io_get() sets it to the request's own place */
	uint32_t n_bytes;   /* of data */
	bool device_writes; /* direction of the data */
	struct vfe_layout layout;
	void *user;
	uint64_t tag;

	/* The result. */
	uint8_t status;
	uint32_t used_bytes;
	int64_t submit_ns;

	/* Private. */
	uint64_t base_gpa, header_gpa, status_gpa;
	uint64_t own_data_gpa;
	struct vfe_req *next_free;
};

struct vfe_io_opts {
	uint16_t n_reqs;
	uint32_t max_bytes;   /* of data for each request */
	uint32_t data_offset; /* added to a page-aligned address: unaligned guest buffers */
	bool polling;         /* vfe_io_wait() spins on the used ring and wants no interrupts */
};

struct vfe_io {
	struct vfe_blk *blk;
	struct vfe_ring *ring;
	struct vfe_io_opts opts;
	struct vfe_layout layout; /* what vfe_io_get() gives a request; the helpers below use it */
	struct vfe_req *req;
	struct vfe_req *free_list;
	unsigned int n_in_flight;
	uint32_t last_used_bytes; /* of the request that a helper below made last */
};

/* 0 or -errno; -ENOMEM when guest memory is short. _fini gives nothing back to guest memory. */
int vfe_io_init(struct vfe_io *io, struct vfe_blk *blk, uint16_t q, const struct vfe_io_opts *opts);
void vfe_io_fini(struct vfe_io *io);

/* NULL when all requests are out. */
struct vfe_req *vfe_io_get(struct vfe_io *io);
void vfe_io_put(struct vfe_io *io, struct vfe_req *req);

/* Put the request on the ring, unpublished. 0, -ENOSPC when the ring is full, -EINVAL. */
int vfe_io_submit(struct vfe_io *io, struct vfe_req *req);

/* Publish all that was submitted, and kick the device if it asks for it. */
void vfe_io_kick(struct vfe_io *io);

/* 1 and a request that has ended, 0 when there is none, -EPROTO for a used ring that makes no
 * sense. */
int vfe_io_reap(struct vfe_io *io, struct vfe_req **ret_req);

/* As vfe_io_reap(), but sleep (or spin) for it: 1, or -errno as of vfe_ring_wait(). */
int vfe_io_wait(struct vfe_io *io, struct vfe_req **ret_req, int timeout_ms);

/* Submit, kick and wait for this one request. Its virtio status, or -errno. */
int vfe_io_run(struct vfe_io *io, struct vfe_req *req);

/* The used length that a request which succeeded must have: what the device wrote. */
uint32_t vfe_req_used_expected(const struct vfe_req *req);

/* The segments of a request, as its layout says. How many, or -EINVAL when `max` is too small. */
int vfe_req_segs(const struct vfe_req *req, struct vfe_seg *seg, unsigned int max);

/*
 * One request at a time: the virtio status, or -errno. Lengths in bytes, as they come: a length
 * that the device must refuse is sent too.
 */
int vfe_read(struct vfe_io *io, uint64_t sector, void *buf, uint32_t n_bytes);
int vfe_write(struct vfe_io *io, uint64_t sector, const void *buf, uint32_t n_bytes);
int vfe_flush(struct vfe_io *io);
int vfe_get_id(struct vfe_io *io, void *id, uint32_t n_bytes);

/* Types whose data is sent (`data` may be NULL): DISCARD, WRITE_ZEROES, unknown ones. */
int vfe_send(struct vfe_io *io, uint32_t type, const void *data, uint32_t n_bytes);
int vfe_range(struct vfe_io *io, uint32_t type, uint64_t sector, uint32_t n_sectors,
	      uint32_t flags);

int64_t vfe_now_ns(void);

#endif
