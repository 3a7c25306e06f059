/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The list of devices and the operations on them.
 */
#include "device/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/device.h"
#include "device/registry_impl.h"
#include "engine/lcore.h"

static void finish(registry_done_fn done, void *arg, struct device *dev, const struct error *err)
{
	if (done)
		done(arg, dev, err);
}

static void refuse(registry_done_fn done, void *arg, enum vhostd_error code, const char *text)
{
	struct error err = {.code = VHOSTD_ERR_OK};

	error_set(&err, code, "%s", text);
	finish(done, arg, NULL, &err);
}

int registry_new(const struct registry_params *params, struct registry **ret_registry,
		 struct error *err)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (!r)
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	r->params = *params;
	snprintf(r->socket_dir, sizeof(r->socket_dir), "%s", params->socket_dir);
	r->params.socket_dir = r->socket_dir;
	r->jobs.events = params->events;
	if (admission_init(&r->admission, &r->jobs, err))
		goto free_registry;
	if (endpoints_init(r->socket_dir, &r->admission, err))
		goto fini_admission;
	*ret_registry = r;
	return 0;

fini_admission:
	admission_fini(&r->admission);
free_registry:
	free(r);
	return -1;
}

void registry_free(struct registry *r)
{
	CHECK(!r->devices, "all devices are gone");
	role_enter(&role_job); /* the daemon's last thread may wait */
	endpoints_fini();
	role_leave(&role_job);
	admission_fini(&r->admission);
	free(r);
}

struct jobs *registry_jobs(struct registry *r)
{
	return &r->jobs;
}

int registry_event_fd(const struct registry *r)
{
	return mbox_fd(r->params.events);
}

int registry_visitor_fd(const struct registry *r)
{
	return r->admission.epoll_fd;
}

void registry_on_visitors(struct registry *r)
{
	admission_on_ready(&r->admission);
}

unsigned int registry_count(const struct registry *r)
{
	return r->n_devices;
}

struct device *registry_find(struct registry *r, const char *name)
{
	struct device *dev;

	for (dev = r->devices; dev; dev = dev->next)
		if (strcmp(dev->spec.name, name) == 0)
			break;
	return dev;
}

struct device *registry_find_number(struct registry *r, uint32_t number)
{
	struct device *dev;

	for (dev = r->devices; dev; dev = dev->next)
		if (dev->number == number)
			break;
	return dev;
}

const char *device_name(const struct device *dev)
{
	return dev->spec.name;
}

uint64_t registry_overstays(const struct registry *r)
{
	return r->n_overstays;
}

struct device *registry_next(struct registry *r, struct device *after)
{
	return after ? after->next : r->devices;
}

static void list_device(struct registry *r, struct device *dev)
{
	struct device **link = &r->devices;

	while (*link)
		link = &(*link)->next;
	*link = dev;
	r->n_devices++;
}

static void drop_device(struct registry *r, struct device *dev) IN_CTRL
{
	struct device **link = &r->devices;

	while (*link != dev)
		link = &(*link)->next;
	*link = dev->next;
	r->n_devices--;
	device_free(dev);
}

/* After whatever may have removed the last device. */
static void finish_shutdown(struct registry *r)
{
	if (r->shutdown_done && !r->devices)
		finish(r->shutdown_done, r->shutdown_arg, NULL, NULL);
}

static void fill_endpoint(struct registry *r, struct device *dev)
{
	struct endpoint *ep = &dev->endpoint;
	int n = snprintf(ep->path, sizeof(ep->path), "%s/%s.sock", r->socket_dir, dev->spec.name);

	CHECK(n > 0 && (size_t)n < sizeof(ep->path), "device_spec_check() saw to the length");
	snprintf(ep->name, sizeof(ep->name), "%s", dev->spec.name);
	ep->n_queues = dev->spec.n_queues;
	ep->socket_mode = r->params.socket_mode;
	ep->socket_gid = r->params.socket_gid;
	ep->admission = &r->admission;
	ep->disk = &dev->disk;
	ep->counters = dev->counters;
	ep->events = r->params.events;
	ep->device = dev;
	ep->wants_maps = dev->spec.pin_memory;
}

static void add_run(struct job *job)
{
	struct device *dev = container_of(job, struct device, job);

	role_assert(&role_job);
	device_open(dev, &dev->job_error);
}

static void add_done(struct job *job)
{
	struct device *dev = container_of(job, struct device, job);
	struct error err = dev->job_error;
	struct registry *r = dev->registry;
	registry_done_fn done = dev->op_done;
	void *arg = dev->op_arg;

	role_assert(&role_ctrl);
	dev->job_running = false;
	if (err.code == VHOSTD_ERR_OK) {
		device_event(dev, DEVICE_EV_OPENED);
		admission_open(&r->admission, &dev->endpoint);
		device_pin_settle(dev);
		device_step_update(dev);
		log_info(dev->spec.name, "added: %s%s%s, %llu bytes, on %s",
			 store_kind_name(dev->store->ops->kind), *dev->spec.path ? " " : "",
			 dev->spec.path,
			 (unsigned long long)counter_get(&dev->store->capacity_bytes),
			 dev->endpoint.path);
		finish(done, arg, dev, NULL);
		return;
	}
	log_warning(dev->spec.name, "not added: %s", err.text);
	device_event(dev, DEVICE_EV_OPEN_FAILED);
	drop_device(r, dev);
	finish(done, arg, NULL, &err);
	finish_shutdown(r);
}

static int check_add(struct registry *r, const struct device_spec *spec, struct error *err) IN_CTRL
{
	const struct device *other = registry_find(r, spec->name);

	if (r->shutdown_done)
		return error_set(err, VHOSTD_ERR_SHUTDOWN, "the daemon is shutting down");
	if (device_spec_check(spec, r->socket_dir, lcores_set(r->params.lcores), err))
		return -1;
	if (other && other->state >= DEVICE_QUIESCING)
		return error_set(
			err, VHOSTD_ERR_BUSY,
			"name: \"%s\" is still being deleted (%s); try again when it is gone",
			spec->name, device_state_name(other->state));
	if (other)
		return error_set(err, VHOSTD_ERR_EXISTS,
				 "name: a disk \"%s\" exists; choose another name", spec->name);
	if (r->n_devices >= VHOSTD_DEVICES_MAX)
		return error_set(err, VHOSTD_ERR_LIMIT,
				 "there are %u disks, the most there may be: librte_vhost polls "
				 "1024 descriptors, each disk's connection among them",
				 r->n_devices);
	return 0;
}

void registry_add(struct registry *r, const struct device_spec *spec, registry_done_fn done,
		  void *arg)
{
	struct error err = {.code = VHOSTD_ERR_OK};
	struct device *dev;

	if (check_add(r, spec, &err)) {
		finish(done, arg, NULL, &err);
		return;
	}
	dev = device_new(r, spec, r->params.lcores);
	if (!dev) {
		refuse(done, arg, VHOSTD_ERR_INTERNAL, "out of memory");
		return;
	}
	dev->number = ++r->n_added;
	dev->offload = r->params.offload;
	dev->poll = spec->poll == POLL_DEFAULT ? r->params.poll : spec->poll;
	dev->poll_idle_us = r->params.poll_idle_us;
	registry_place(r, dev);
	fill_endpoint(r, dev);
	list_device(r, dev);
	dev->op_done = done;
	dev->op_arg = arg;
	dev->job_running = true;
	job_start(&r->jobs, &dev->job, "open a disk", add_run, add_done);
}

static void remove_run(struct job *job)
{
	role_assert(&role_job);
	device_close(container_of(job, struct device, job));
}

static void remove_done(struct job *job)
{
	struct device *dev = container_of(job, struct device, job);
	struct registry *r = dev->registry;
	struct waiter *w = dev->waiters;

	role_assert(&role_ctrl);
	device_event(dev, DEVICE_EV_REMOVED);
	log_info(dev->spec.name, "deleted");
	drop_device(r, dev);
	while (w) {
		struct waiter *next = w->next;

		finish(w->done, w->arg, NULL, NULL);
		free(w);
		w = next;
	}
	finish_shutdown(r);
}

void registry_remove_if_quiet(struct registry *r, struct device *dev)
{
	if (!device_is_quiet(dev))
		return;
	device_event(dev, DEVICE_EV_QUIET);
	dev->job_running = true;
	device_step_update(dev);
	job_start(&r->jobs, &dev->job, "close a disk", remove_run, remove_done);
}

static void begin_removal(struct device *dev) IN_CTRL
{
	device_quiesce(dev); /* its socket's file has to go, at least: that ends with an event */
	device_step_update(dev);
}

static int check_del(const struct device *dev, const char *name, bool force, struct error *err)
{
	if (!dev)
		return error_set(err, VHOSTD_ERR_NOT_FOUND, "name: there is no disk \"%s\"", name);
	if (dev->state == DEVICE_NEW)
		return error_set(err, VHOSTD_ERR_BUSY, "\"%s\" is still being added", name);
	if (dev->state >= DEVICE_QUIESCING)
		return error_set(err, VHOSTD_ERR_BUSY, "\"%s\" is being deleted already (%s)", name,
				 device_state_name(dev->state));
	if (dev->conn && !force)
		return error_set(err, VHOSTD_ERR_BUSY,
				 "\"%s\" is in use by a front end, pid %d; detach it there first, "
				 "or use force",
				 name, dev->conn->pid);
	return 0;
}

void registry_del(struct registry *r, const char *name, bool force, bool no_wait,
		  registry_done_fn done, void *arg)
{
	struct error err = {.code = VHOSTD_ERR_OK};
	struct device *dev = registry_find(r, name);
	struct waiter *w;

	if (check_del(dev, name, force, &err)) {
		finish(done, arg, NULL, &err);
		return;
	}
	if (no_wait) {
		begin_removal(dev);
		finish(done, arg, dev, NULL);
		return;
	}
	w = malloc(sizeof(*w));
	if (!w) {
		refuse(done, arg, VHOSTD_ERR_INTERNAL, "out of memory");
		return;
	}
	*w = (struct waiter){done, arg, dev->waiters};
	dev->waiters = w;
	begin_removal(dev);
}

int registry_set_qos(struct registry *r, const char *name, const struct qos_spec *qos,
		     struct error *err)
{
	struct device *dev = registry_find(r, name);

	if (!dev)
		return error_set(err, VHOSTD_ERR_NOT_FOUND, "name: there is no disk \"%s\"", name);
	if (dev->state >= DEVICE_QUIESCING)
		return error_set(err, VHOSTD_ERR_BUSY, "\"%s\" is being deleted (%s)", name,
				 device_state_name(dev->state));
	if (device_spec_check_qos(qos, err))
		return -1;
	device_set_qos(dev, qos);
	return 0;
}

int registry_set_coalesce(struct registry *r, const char *name, uint32_t coalesce_us,
			  uint32_t coalesce_iops, struct error *err)
{
	struct device *dev = registry_find(r, name);

	if (!dev)
		return error_set(err, VHOSTD_ERR_NOT_FOUND, "name: there is no disk \"%s\"", name);
	if (device_spec_check_coalesce(coalesce_us, coalesce_iops, err))
		return -1;
	device_set_coalesce(dev, coalesce_us, coalesce_iops);
	return 0;
}

void registry_shutdown(struct registry *r, registry_done_fn done, void *arg)
{
	struct device *dev = r->devices, *next;

	r->shutdown_done = done;
	r->shutdown_arg = arg;
	if (!dev) {
		finish(done, arg, NULL, NULL);
		return;
	}
	for (; dev; dev = next) {
		next = dev->next;
		if (dev->state != DEVICE_NEW && dev->state < DEVICE_QUIESCING)
			begin_removal(dev);
	}
}

void registry_on_tick(struct registry *r)
{
	bool retry;

	registry_on_events(r); /* what an lcore has left there without a call */
	retry = admission_on_tick(&r->admission);
	jobs_retry(&r->jobs);
	load_measure(&r->loads, r->params.lcores, r);
	for (struct device *dev = r->devices; dev; dev = dev->next) {
		r->n_overstays += device_step_check(dev, &r->params.deadlines);
		if (retry)
			admission_retry(&r->admission, &dev->endpoint);
		if (dev->state != DEVICE_NEW && dev->state < DEVICE_QUIESCING)
			store_watch_check(dev);
		device_pin_on_tick(dev);
	}
	if (!r->shutdown_done)
		return;
	for (struct device *dev = r->devices, *next; dev; dev = next) {
		next = dev->next;
		if (dev->state != DEVICE_NEW && dev->state < DEVICE_QUIESCING)
			begin_removal(dev); /* it was being added when the shutdown began */
	}
}
