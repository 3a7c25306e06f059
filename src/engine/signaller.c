/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/signaller.h"

#include <errno.h>
#include <libaio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/aio_ring.h"

#define EVENTS    64
#define POOL_SIZE 8

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

static void signal_by(struct signaller *s, int fd)
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

void signaller_signal(struct signaller *s, int fd)
{
	signal_by(s, fd);
}

struct signaller_pool {
	struct {
		pthread_mutex_t lock;
		struct signaller *signaller;
	} of[POOL_SIZE];
};

int signaller_pool_new(struct signaller_pool **ret_pool, struct error *err)
{
	struct signaller_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	for (unsigned int i = 0; i < POOL_SIZE; i++)
		pthread_mutex_init(&pool->of[i].lock, NULL);
	for (unsigned int i = 0; i < POOL_SIZE; i++) {
		if (signaller_new(&pool->of[i].signaller, err)) {
			signaller_pool_free(pool);
			return -1;
		}
	}
	*ret_pool = pool;
	return 0;
}

void signaller_pool_free(struct signaller_pool *pool)
{
	if (!pool)
		return;
	for (unsigned int i = 0; i < POOL_SIZE; i++) {
		signaller_free(pool->of[i].signaller);
		pthread_mutex_destroy(&pool->of[i].lock);
	}
	free(pool);
}

void signaller_pool_signal(struct signaller_pool *pool, int fd)
{
	unsigned int i = 0;

	while (i < POOL_SIZE && pthread_mutex_trylock(&pool->of[i].lock))
		i++;
	if (i == POOL_SIZE) {
		i = (unsigned int)fd % POOL_SIZE;
		pthread_mutex_lock(&pool->of[i].lock);
	}
	signal_by(pool->of[i].signaller, fd);
	pthread_mutex_unlock(&pool->of[i].lock);
}
