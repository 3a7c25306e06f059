/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/stray_fds.h"

#include <stdlib.h>
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

void stray_fds_drop(struct vu_msg *msg, struct cleaner *closer, struct mbox *events)
{
	struct stray_fds *stray = NULL;

	for (int i = 0; i < msg->n_fds && i < VHOST_MSG_FDS_MAX; i++) {
		if (msg->fds[i] < 0)
			continue;
		if (!stray)
			stray = new_stray();
		add(stray, msg->fds[i]);
		msg->fds[i] = -1;
	}
	msg->n_fds = 0;
	if (!stray)
		return;
	stray->cleaner = closer;
	if (closer)
		cleaner_count(closer, stray->cleanup.n, 0);
	msg_init(&stray->msg, EVENT_STRAY_FDS);
	mbox_send(events, &stray->msg);
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
	if (stray->cleaner)
		cleaner_add(stray->cleaner, &stray->cleanup, jobs);
	else
		close_apart(stray, jobs);
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
