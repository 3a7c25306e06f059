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

void stray_fds_drop(struct vu_msg *msg, struct mbox *events)
{
	struct stray_fds *stray = NULL;

	for (int i = 0; i < msg->n_fds && i < VHOST_MSG_FDS_MAX; i++) {
		if (msg->fds[i] < 0)
			continue;
		if (!stray) {
			stray = malloc(sizeof(*stray));
			CHECK(stray, "there is memory for a few descriptors");
			for (int k = 0; k < VHOST_MSG_FDS_MAX; k++)
				stray->fds[k] = -1;
		}
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
