/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/stray_fds.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/events.h"

static void close_run(struct cleanup *cleanup)
{
	struct stray_fds *stray = container_of(cleanup, struct stray_fds, cleanup);

	for (unsigned int i = 0; i < cleanup->n; i++)
		close(stray->fds[i]);
}

static void close_done(struct cleanup *cleanup)
{
	free(container_of(cleanup, struct stray_fds, cleanup));
}

static struct stray_fds *new_stray(void)
{
	struct stray_fds *stray = calloc(1, sizeof(*stray));

	CHECK(stray, "there is memory for a few descriptors");
	stray->cleanup.run = close_run;
	stray->cleanup.done = close_done;
	return stray;
}

static void add(struct stray_fds *stray, int fd)
{
	stray->fds[stray->cleanup.n++] = fd;
}

/* All of them but -1, counted; a list of cleanups. */
static struct stray_fds *gather(const int *fds, int n, struct cleaner *closer)
{
	struct stray_fds *all = NULL;
	unsigned int n_all = 0;

	for (int i = 0; i < n; i++) {
		if (fds[i] < 0)
			continue;
		if (!all || all->cleanup.n == ARRAY_LEN(all->fds)) {
			struct stray_fds *more = new_stray();

			more->cleaner = closer;
			more->next = all;
			all = more;
		}
		add(all, fds[i]);
		n_all++;
	}
	if (n_all)
		cleaner_count(closer, n_all, 0);
	return all;
}

void stray_fds_drop(const int *fds, int n, struct cleaner *closer, struct mbox *events)
{
	struct stray_fds *stray = gather(fds, n, closer);

	while (stray) {
		struct stray_fds *next = stray->next;

		msg_init(&stray->msg, EVENT_STRAY_FDS);
		mbox_send(events, &stray->msg);
		stray = next;
	}
}

void stray_fds_leave(const int *fds, int n, struct cleaner *closer, struct jobs *jobs)
{
	struct stray_fds *stray = gather(fds, n, closer);

	while (stray) {
		struct stray_fds *next = stray->next;

		cleaner_add(closer, &stray->cleanup, jobs);
		stray = next;
	}
}

void stray_fds_drop_left(struct vu_msg *msg, struct cleaner *closer, struct mbox *events)
{
	int fds[VHOST_MSG_FDS_MAX];

	memcpy(fds, msg->fds, sizeof(fds)); /* they are not aligned there */
	stray_fds_drop(fds, msg->n_fds, closer, events);
	msg->n_fds = 0;
}

bool stray_fds_are_too_many(const struct cleaner *closer)
{
	return atomic_load_explicit(&closer->n, memory_order_relaxed) >= STRAY_FDS_MAX;
}

static void close_apart(struct stray_fds *stray, struct jobs *jobs) IN_CTRL
{
	struct cleaner *own = cleaner_new("close descriptors");

	CHECK(own, "there is memory for a few descriptors");
	cleaner_count(own, stray->cleanup.n, 0);
	cleaner_add(own, &stray->cleanup, jobs);
	cleaner_free(own);
}

void stray_fds_close(struct stray_fds *stray, struct jobs *jobs)
{
	cleaner_add(stray->cleaner, &stray->cleanup, jobs);
}

void stray_fd_close(int fd, struct jobs *jobs)
{
	struct stray_fds *stray;

	if (fd < 0)
		return;
	stray = new_stray();
	add(stray, fd);
	close_apart(stray, jobs);
}
