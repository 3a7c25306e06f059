/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile front ends again (see test_hostile.c): descriptors that are not what they should be,
 * full, empty or too many. A pipe that blocks must not stop the thread that serves everybody.
 */
#include "hostile.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define KIB 1024u
#define MIB (1024u * KIB)

/* Descriptors of all sorts; those of pipes and sockets block: empty for reading, full for writing.
 */
enum sort {
	SORT_NULL,
	SORT_FILE,
	SORT_MEMFD,
	SORT_EMPTY_PIPE,
	SORT_FULL_PIPE,
	SORT_SOCKET,
	SORT_EPOLL,
	SORT_DIRECTORY,
	N_SORTS
};

static int fd_of_sort(enum sort sort, int *ret_other)
{
	char junk[4096] = {0};
	int pair[2] = {-1, -1};

	*ret_other = -1;
	switch (sort) {
	case SORT_NULL:
		return open("/dev/null", O_RDWR);
	case SORT_FILE:
		return open("/proc/self/exe", O_RDONLY);
	case SORT_MEMFD:
		return memfd_create("no eventfd", MFD_CLOEXEC);
	case SORT_EPOLL:
		return epoll_create1(EPOLL_CLOEXEC);
	case SORT_DIRECTORY:
		return open("/", O_RDONLY);
	case SORT_SOCKET:
		FX_ASSERT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
		while (send(pair[0], junk, sizeof(junk), MSG_DONTWAIT) > 0)
			;
		break;
	default:
		FX_ASSERT(pipe(pair) == 0, "pipe");
		if (sort == SORT_EMPTY_PIPE)
			break;
		fcntl(pair[1], F_SETFL, O_NONBLOCK);
		while (write(pair[1], junk, sizeof(junk)) > 0)
			;
		fcntl(pair[1], F_SETFL, 0);
		*ret_other = pair[0];
		return pair[1];
	}
	*ret_other = pair[1];
	return pair[0];
}

/* Use a started queue's notifications through `request`'s descriptor of each sort. */
static void notify_through(uint32_t request)
{
	enum sort sort;
	struct attack a;
	int fd, other;

	attack_init(&a);
	for (sort = 0; sort < N_SORTS; sort++) {
		struct vfe_io *io;
		struct vfe_req *req;
		unsigned int i;

		attack_start(&a);
		io = fx_io(a.blk, 0, 16, 4 * KIB);
		fx_serves(io, 0);
		fd = fd_of_sort(sort, &other);
		FX_ASSERT(fd >= 0, "descriptor of sort %d", (int)sort);
		attack_send_u64(&a, request, 0, fd);
		for (i = 0; i < 8; i++) {
			req = vfe_io_get(io);
			req->n_bytes = 4 * KIB;
			req->device_writes = true;
			FX_OK(vfe_io_submit(io, req));
			vfe_ring_publish(io->ring);
			vfe_ring_kick_always(io->ring);
			if (other >= 0 && request == VFE_SET_VRING_KICK &&
			    write(other, "xxxxxxxx", i == 7 ? 3 : 8) < 0)
				FX_ASSERT(other >= 0, "write");
			vfe_ring_interrupts(io->ring, true);
			usleep(2000);
			attack_bystander(&a);
		}
		usleep(20000);
		attack_bystander(&a);
		vfe_blk_hang_up(a.blk);
		close(fd);
		if (other >= 0)
			close(other);
	}
	attack_finish(&a);
}

static void kick_descriptors_that_are_no_eventfds(void **state)
{
	(void)state;
	notify_through(VFE_SET_VRING_KICK);
}

static void call_descriptors_that_are_no_eventfds(void **state)
{
	(void)state;
	notify_through(VFE_SET_VRING_CALL);
}

static void err_descriptors_that_are_no_eventfds(void **state)
{
	(void)state;
	notify_through(VFE_SET_VRING_ERR);
}

/* An eventfd at its maximum makes a write block, if it is a blocking one. */
static void a_call_eventfd_that_is_full(void **state)
{
	const uint64_t max = UINT64_MAX - 1;
	struct vfe_req *req;
	struct vfe_io *io;
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	attack_start(&a);
	io = fx_io(a.blk, 0, 16, 4 * KIB);
	fx_serves(io, 0);
	FX_ASSERT(fcntl(io->ring->call_fd, F_SETFL, 0) == 0, "fcntl");
	FX_ASSERT(write(io->ring->call_fd, &max, sizeof(max)) == sizeof(max), "write");
	for (i = 0; i < 16; i++) {
		req = vfe_io_get(io);
		req->n_bytes = 512;
		req->device_writes = true;
		FX_OK(vfe_io_submit(io, req));
		vfe_ring_publish(io->ring);
		vfe_ring_interrupts(io->ring, true);
		vfe_ring_kick_always(io->ring);
		usleep(1000);
		attack_bystander(&a);
	}
	vfe_blk_hang_up(a.blk);
	fcntl(io->ring->call_fd, F_SETFL, O_NONBLOCK);
	attack_finish(&a);
}

/* Descriptors with messages that take none, and more than one with those that take one. */
static void stray_descriptors_are_not_kept(void **state)
{
	struct vfe_msg msg = {.flags = VFE_MSG_VERSION, .size_bytes = 8};
	struct vfe_fds fds = {.n = 8};
	struct attack a;
	unsigned int i, round;

	(void)state;
	attack_init(&a);
	attack_prepare(&a);
	for (i = 0; i < 8; i++)
		fds.fd[i] = a.blk->ring[0].call_fd;
	for (round = 0; round < 20; round++) {
		for (msg.request = 1; msg.request < 20; msg.request++) {
			if (msg.request == VFE_GET_VRING_BASE)
				continue;
			attack_send(&a, &msg, &fds);
			if (msg.request % 6 == 0 && !attack_connected(&a))
				attack_prepare(&a);
		}
	}
	attack_finish(&a);
}

/* A channel that nobody reads, and news for it. */
static void a_back_end_channel_that_is_full(void **state)
{
	int64_t start_ms;
	struct attack a;
	unsigned int i;

	(void)state;
	attack_init(&a);
	attack_start(&a);
	start_ms = vfe_now_ms();
	for (i = 0; i < 2000; i++) {
		uint64_t size_bytes = 64 * MIB + (i + 1) * (uint64_t)(4 * KIB);

		FX_OK(td_disk_resize(fx_backend(), a.disk, size_bytes));
		if (i % 100 == 0)
			attack_bystander(&a);
	}
	FX_ASSERT(vfe_now_ms() - start_ms < 30000, "2000 resizes took %d ms",
		  (int)(vfe_now_ms() - start_ms));
	a.log_lines = fx_backend_log_lines(); /* the operator's own doing is in there */
	attack_finish(&a);
}

#define BLOCKS  "qemu-storage-daemon 7.2 blocks in the write, with all its devices"
#define NO_NEWS "qemu-storage-daemon 7.2 sends no CONFIG_CHANGE"

static const struct fx_case cases[] = {
	FX_CASE(kick_descriptors_that_are_no_eventfds),
	FX_CASE(call_descriptors_that_are_no_eventfds),
	FX_CASE(err_descriptors_that_are_no_eventfds),
	FX_CASE_ON(a_call_eventfd_that_is_full, FX_VHOSTD, BLOCKS),
	FX_CASE(stray_descriptors_are_not_kept),
	FX_CASE_ON(a_back_end_channel_that_is_full, FX_VHOSTD, NO_NEWS),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "hostile_fd", cases, sizeof(cases) / sizeof(cases[0]));
}
