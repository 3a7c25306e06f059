/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/store_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "device/registry_impl.h"

static const struct {
	const char *name;
	const char *line;
} states[STORE_N_STATES] = {
#define STORE_STATE_ROW(name, text, line) {text, line},
	STORE_STATES(STORE_STATE_ROW)
#undef STORE_STATE_ROW
};

const char *store_state_name(enum store_state state)
{
	return state < STORE_N_STATES ? states[state].name : "?";
}

/* "3 EIO (Input/output error), 1 ENOSPC (...)": the new ones. */
static void describe_errors(struct device *dev, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (int i = 0; i <= STORE_ERRNO_MAX; i++) {
		uint64_t n = counter_get(&dev->store->n_errors_by_errno[i]);
		uint64_t n_new = n - dev->store_watch.n_told_by_errno[i];

		dev->store_watch.n_told_by_errno[i] = n;
		if (n_new && len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%" PRIu64 " %s (%s)",
						len ? ", " : "", n_new, store_errno_name(i),
						strerror(i));
	}
}

static void tell_errors(struct device *dev, uint64_t n_errors) IN_CTRL
{
	struct store_watch *w = &dev->store_watch;
	char text[256];

	w->n_told = n_errors;
	describe_errors(dev, text, sizeof(text));
	log_limited(&w->error_lines, LOG_LEVEL_WARNING, dev->spec.name,
		    "operations have failed in the store, and the guest was told: %s", text);
}

static void look_run(struct job *job)
{
	struct device *dev = container_of(job, struct device, store_watch.job);

	role_assert(&role_job);
	job_say(job, "reading the store's size");
	dev->store_watch.found_error = store_real_size(dev->store, &dev->store_watch.found_bytes);
}

static enum store_state seen_state(const struct device *dev)
{
	const struct store_watch *w = &dev->store_watch;

	if (w->found_error || w->found_bytes == 0)
		return STORE_STATE_LOST; /* the kernel gives a device that has gone no bytes */
	return w->found_bytes < counter_get(&dev->store->capacity_bytes) ? STORE_STATE_SHORT
									 : STORE_STATE_OK;
}

static void tell_state(struct device *dev, enum store_state state) IN_CTRL
{
	struct store_watch *w = &dev->store_watch;

	log_limited(&w->state_lines, state == STORE_STATE_OK ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARNING,
		    dev->spec.name, "%s %s (%" PRIu64 " bytes of %" PRIu64 "%s%s)", dev->spec.path,
		    states[state].line, w->found_bytes, counter_get(&dev->store->capacity_bytes),
		    w->found_error ? "; " : "", w->found_error ? strerror(-w->found_error) : "");
}

static void look_done(struct job *job)
{
	struct device *dev = container_of(job, struct device, store_watch.job);
	struct store_watch *w = &dev->store_watch;
	enum store_state state = seen_state(dev);

	role_assert(&role_ctrl);
	w->looking = false;
	if (state != w->state)
		tell_state(dev, state);
	w->state = state;
	w->size_bytes = w->found_bytes;
	registry_remove_if_quiet(dev->registry, dev);
	device_step_update(dev);
}

static void tell_no_nowait(struct device *dev) IN_CTRL
{
	if (dev->store_watch.told_no_nowait ||
	    !atomic_load_explicit(&dev->store->no_nowait, memory_order_relaxed))
		return;
	dev->store_watch.told_no_nowait = true;
	log_notice(
		dev->spec.name,
		"%s can't be read and written without waiting (RWF_NOWAIT): helper threads do it",
		dev->spec.path);
}

void store_watch_check(struct device *dev)
{
	struct store_watch *w = &dev->store_watch;
	uint64_t n_errors = counter_get(&dev->store->n_errors);

	tell_no_nowait(dev);
	if (n_errors == w->n_told && w->state == STORE_STATE_OK)
		return;
	if (n_errors != w->n_told)
		tell_errors(dev, n_errors);
	if (w->looking)
		return;
	w->looking = true;
	job_start(registry_jobs(dev->registry), &w->job, "look at a store", look_run, look_done);
}
