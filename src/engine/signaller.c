/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/signaller.h"

#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/aio_ring.h"

#define EVENTS 64

struct signaller {
	io_context_t context;
	struct aio_ring *ring; /* NULL: io_getevents() */
	int file;              /* an empty memfd to read nothing from */
	char nothing[1];
};

int signaller_new(struct signaller **ret_signaller, struct error *err)
{
	struct signaller *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	s->file = memfd_create("vhostd-signaller", MFD_CLOEXEC);
	if (s->file < 0) {
		error_set(err, VHOSTD_ERR_INTERNAL, "memfd: %s", strerror(errno));
		goto free_signaller;
	}
	ret = io_setup(EVENTS, &s->context);
	if (ret) {
		error_set(err, VHOSTD_ERR_LIMIT, "io_setup: %s%s", strerror(-ret),
			  ret == -EAGAIN ? " (raise the sysctl fs.aio-max-nr)" : "");
		goto close_file;
	}
	s->ring = aio_ring_of(s->context);
	*ret_signaller = s;
	return 0;

close_file:
	close(s->file);
free_signaller:
	free(s);
	return -1;
}

void signaller_free(struct signaller *s)
{
	if (!s)
		return;
	io_destroy(s->context);
	close(s->file);
	free(s);
}

void signaller_signal(struct signaller *s, int fd)
{
	struct timespec at_once = {0};
	struct io_event event;
	struct iocb iocb, *iocbs[] = {&iocb};

	io_prep_pread(&iocb, s->file, s->nothing, 0, 0);
	io_set_eventfd(&iocb, fd);
	/* It ends within the call; its event makes room for the next. */
	if (io_submit(s->context, 1, iocbs) != 1)
		return; /* no eventfd */
	if (!s->ring || !aio_ring_take(s->ring, &event))
		io_getevents(s->context, 0, 1, &event, &at_once);
}
