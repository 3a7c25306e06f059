/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device_resize.h"

#include "base/log.h"
#include "device/registry_impl.h"
#include "engine/lcore.h"

bool device_is_shrinking(const struct device *dev)
{
	return dev->n_awaited > 0;
}

unsigned int device_n_fenced(const struct device *dev)
{
	unsigned int n = 0;

	for (const struct ring_run *run = dev->runs; run; run = run->next) {
		const struct queue *q = run->queue;

		if (run->fence)
			n += atomic_load_explicit(run->fence == FENCE_SENT ? &q->n_fenced
									   : &q->n_inflight,
						  memory_order_relaxed);
	}
	return n;
}

static void finish(struct device *dev, const struct error *err) IN_CTRL
{
	registry_done_fn done = dev->op_done;

	dev->op_done = NULL;
	if (done)
		done(dev->op_arg, dev, err);
}

void device_on_run_fenced(struct device *dev, struct ring_run *run)
{
	if (!run->fence)
		return;
	run->fence = FENCE_NONE;
	if (--dev->n_awaited == 0)
		finish(dev, NULL);
}

static void send_fence(struct ring_run *run) IN_CTRL
{
	run->fence = FENCE_SENT;
	msg_init(&run->queue->fence_msg, LCORE_MSG_FENCE);
	lcore_send(queue_home(run->queue), &run->queue->fence_msg);
}

void device_fence_moved(struct ring_run *run)
{
	if (run->fence == FENCE_HELD)
		send_fence(run);
}

/* Runs that are held begin with the new capacity. */
static void fence_runs(struct device *dev) IN_CTRL
{
	for (struct ring_run *run = dev->runs; run; run = run->next) {
		if (!run_is_served(run) && run->state != RUN_STOPPING)
			continue;
		dev->n_awaited++;
		if (run->state == RUN_STOPPING)
			run->fence =
				FENCE_STOP; /* no message may follow its STOP; all of it ends */
		else if (run->state == RUN_MOVING)
			run->fence = FENCE_HELD; /* the old home might pass it on after a STOP */
		else
			send_fence(run);
	}
}

/* The store has its new size. */
static void set_capacity(struct device *dev) IN_CTRL
{
	uint64_t n_bytes = counter_get(&dev->store->capacity_bytes);
	uint64_t n_sectors = n_bytes / SECTOR_BYTES, n_before;

	/* Pairs with the acquire where lcores check a request: the store is larger by now, or what
	 * it has lost it still serves. */
	n_before = atomic_exchange_explicit(&dev->disk.capacity_sectors, n_sectors,
					    memory_order_release);
	log_info(dev->spec.name, "resized to %llu bytes", (unsigned long long)n_bytes);
	if (dev->conn)
		conn_config_changed(dev->conn);
	if (n_sectors < n_before)
		fence_runs(dev);
}

static void resize_run(struct job *job)
{
	struct device *dev = container_of(job, struct device, job);

	role_assert(&role_job);
	store_resize(dev->store, dev->resize_bytes, dev->resize_may_shrink, &dev->job_error);
}

static void resize_done(struct job *job)
{
	struct device *dev = container_of(job, struct device, job);

	role_assert(&role_ctrl);
	dev->job_running = false;
	if (dev->job_error.code != VHOSTD_ERR_OK) {
		struct error err = dev->job_error;

		finish(dev, &err);
	} else {
		set_capacity(dev);
		if (!device_is_shrinking(dev))
			finish(dev, NULL);
	}
	registry_remove_if_quiet(dev->registry, dev);
	device_step_update(dev);
}

static int check_resize(const struct device *dev, const char *name, uint64_t size_bytes,
			struct error *err) IN_CTRL
{
	if (!dev)
		return error_set(err, VHOSTD_ERR_NOT_FOUND, "name: there is no disk \"%s\"", name);
	if (dev->job_running || device_is_shrinking(dev) || dev->state >= DEVICE_QUIESCING)
		return error_set(err, VHOSTD_ERR_BUSY,
				 "\"%s\" is being added, resized or deleted (%s)", name,
				 device_state_name(dev->state));
	if (size_bytes % dev->spec.block_size_bytes)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "size: %llu is no whole number of blocks of %u bytes",
				 (unsigned long long)size_bytes, dev->spec.block_size_bytes);
	return 0;
}

void registry_resize(struct registry *r, const char *name, uint64_t size_bytes, bool shrink,
		     registry_done_fn done, void *arg)
{
	struct error err = {.code = VHOSTD_ERR_OK};
	struct device *dev = registry_find(r, name);

	if (check_resize(dev, name, size_bytes, &err)) {
		if (done)
			done(arg, NULL, &err);
		return;
	}
	dev->op_done = done;
	dev->op_arg = arg;
	dev->resize_bytes = size_bytes;
	dev->resize_may_shrink = shrink;
	dev->job_error = (struct error){.code = VHOSTD_ERR_OK};
	dev->job_running = true;
	device_step_update(dev);
	job_start(&r->jobs, &dev->job, "resize a disk", resize_run, resize_done);
}
