/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/stray_fds.h"

#include <stdlib.h>
#include <unistd.h>

#include "device/events.h"

static void close_run(struct job *job)
{
	struct stray_fds *stray = container_of(job, struct stray_fds, job);

	for (int i = 0; i < VHOST_MSG_FDS_MAX; i++)
		if (stray->fds[i] >= 0)
			close(stray->fds[i]);
}

static void close_done(struct job *job)
{
	free(container_of(job, struct stray_fds, job));
}

static struct stray_fds *new_stray(void)
{
	struct stray_fds *stray = malloc(sizeof(*stray));

	CHECK(stray, "there is memory for a few descriptors");
	for (int i = 0; i < VHOST_MSG_FDS_MAX; i++)
		stray->fds[i] = -1;
	return stray;
}

void stray_fds_drop(struct vu_msg *msg, struct mbox *events)
{
	struct stray_fds *stray = NULL;

	for (int i = 0; i < msg->n_fds && i < VHOST_MSG_FDS_MAX; i++) {
		if (msg->fds[i] < 0)
			continue;
		if (!stray)
			stray = new_stray();
		stray->fds[i] = msg->fds[i];
		msg->fds[i] = -1;
	}
	msg->n_fds = 0;
	if (!stray)
		return;
	msg_init(&stray->msg, EVENT_STRAY_FDS);
	mbox_send(events, &stray->msg);
}

void stray_fds_close(struct stray_fds *stray, struct jobs *jobs)
{
	job_start(jobs, &stray->job, "close descriptors", close_run, close_done);
}

void stray_fd_close(int fd, struct jobs *jobs)
{
	struct stray_fds *stray;

	if (fd < 0)
		return;
	stray = new_stray();
	stray->fds[0] = fd;
	stray_fds_close(stray, jobs);
}
