/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A disk's life from CTRL's side: its states, and what its connections and runs do to it. Opening
 * and closing it is in device_open.c.
 */
#include "device/device.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "engine/lcore.h"
#include "engine/waker.h"

uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct device *device_new(struct registry *registry, const struct device_spec *spec,
			  struct lcores *lcores)
{
	struct device *dev = NULL;

	if (posix_memalign((void **)&dev, CACHE_LINE, sizeof(*dev)))
		return NULL;
	memset(dev, 0, sizeof(*dev));
	dev->lanes = calloc(lcores_count(lcores), sizeof(*dev->lanes));
	dev->endpoint.unmapper = cleaner_new("unmap");
	dev->endpoint.closer = cleaner_new("close descriptors");
	if (!dev->lanes || !dev->endpoint.unmapper || !dev->endpoint.closer) {
		cleaner_free(dev->endpoint.unmapper);
		cleaner_free(dev->endpoint.closer);
		free(dev->lanes);
		free(dev);
		return NULL;
	}
	dev->lcores = lcores;
	dev->spec = *spec;
	dev->registry = registry;
	dev->state = DEVICE_NEW;
	device_set_coalesce(dev, spec->coalesce_us, spec->coalesce_iops);
	dev->state_since_us = now_us();
	qos_set(&dev->qos, &spec->qos);
	device_step_update(dev);
	return dev;
}

void device_free(struct device *dev)
{
	CHECK(dev->state == DEVICE_GONE && !dev->runs && !dev->conn && !dev->closed_conns &&
		      device_pin_is_idle(dev),
	      "nothing is left of a device that is freed");
	cleaner_free(dev->endpoint.unmapper);
	cleaner_free(dev->endpoint.closer);
	free(dev->lanes);
	free(dev);
}

void device_event(struct device *dev, enum device_event event)
{
	enum device_state new = device_state_next(dev->state, event);

	CHECK(new != DEVICE_N_STATES, "the device's state allows the event");
	if (new == dev->state)
		return;
	log_debug(dev->spec.name, "%s -> %s (%s)", device_state_name(dev->state),
		  device_state_name(new), device_event_name(event));
	dev->state = new;
	dev->state_since_us = now_us();
}

void device_set_qos(struct device *dev, const struct qos_spec *spec)
{
	dev->spec.qos = *spec;
	qos_set(&dev->qos, spec);
	if (!device_is_open(dev))
		return; /* its lanes, a JOB's, begin with these */
	/* They look at what is held back before it is due by the old limits. */
	for (unsigned int i = 0; i < lcores_count(dev->lcores); i++)
		if (dev->lanes[i].lane)
			doorbell_ring(lcore_doorbell(lcores_nth(dev->lcores, i)));
}

void device_set_coalesce(struct device *dev, uint32_t delay_us, uint32_t from_iops)
{
	dev->spec.coalesce_us = delay_us;
	dev->spec.coalesce_iops = from_iops;
	atomic_store_explicit(&dev->coalesce.delay_us, delay_us, memory_order_relaxed);
	atomic_store_explicit(&dev->coalesce.from_iops, from_iops, memory_order_relaxed);
}

/* May this run be given to its lcore? Not while requests of an older connection, or of an earlier
 * start of the same ring, have not ended: a late write must not land after a newer one. */
static bool may_attach(const struct device *dev, const struct ring_run *run)
{
	for (const struct ring_run *r = dev->runs; r != run; r = r->next)
		if (r->conn != run->conn || r->queue->index == run->queue->index)
			return false;
	return true;
}

static void attach_runs(struct device *dev) IN_CTRL
{
	for (struct ring_run *run = dev->runs; run; run = run->next) {
		if (run->state != RUN_HELD || !may_attach(dev, run))
			continue;
		run->state = RUN_ATTACHED;
		if (dev->n_attached++ == 0)
			device_event(dev, DEVICE_EV_STARTED);
		lcore_send(queue_home(run->queue), &run->queue->attach_msg);
		device_settle_run(dev, run); /* its virtqueue may have been moved meanwhile */
	}
}

static void free_conn_if_done(struct device *dev, struct conn *conn) IN_CTRL
{
	struct conn **link = &dev->closed_conns;

	if (conn->state != CONN_GONE || conn->n_runs)
		return;
	while (*link != conn)
		link = &(*link)->next;
	*link = conn->next;
	conn_free(conn, registry_jobs(dev->registry));
}

/* The run is no longer on an lcore. */
static void end_run(struct device *dev, struct ring_run *run) IN_CTRL
{
	struct conn *conn = run->conn;
	struct ring_run **link = &dev->runs;

	while (*link != run)
		link = &(*link)->next;
	*link = run->next;
	if (run->wants_base && conn->state == CONN_OPEN)
		conn_reply_base(conn, run->queue->index, virtq_base(&run->queue->vq));
	ring_run_free(run, registry_jobs(dev->registry));
	conn->n_runs--;
	free_conn_if_done(dev, conn);
	if (dev->state != DEVICE_QUIESCING)
		attach_runs(dev);
}

void device_on_conn_opened(struct device *dev, struct conn *conn)
{
	dev->n_opened++;
	dev->conn = conn;
	device_event(dev, DEVICE_EV_CONNECTED);
	log_limited(&dev->endpoint.visits, LOG_LEVEL_INFO, dev->spec.name,
		    "front end connected: pid %d uid %u", conn->pid, conn->uid);
	if (dev->state == DEVICE_QUIESCING)
		shutdown(conn->sock, SHUT_RDWR); /* VHOST had taken it before that */
}

void device_on_conn_closed(struct device *dev, struct conn *conn)
{
	log_limited(&dev->endpoint.visits, LOG_LEVEL_INFO, dev->spec.name,
		    "front end disconnected: pid %d", conn->pid);
	dev->conn = NULL;
	dev->n_attached = 0;
	conn->state = CONN_CLOSED;
	conn->next = dev->closed_conns;
	dev->closed_conns = conn;
	device_event(dev, DEVICE_EV_DISCONNECTED);
	device_pin_end(dev);
}

void device_on_conn_gone(struct device *dev, struct conn *conn)
{
	conn->state = CONN_GONE;
	free_conn_if_done(dev, conn);
}

void device_on_run_start(struct device *dev, struct ring_run *run)
{
	struct ring_run **link = &dev->runs;

	while (*link)
		link = &(*link)->next;
	*link = run;
	run->next = NULL;
	run->state = RUN_HELD;
	run->lane = run->queue->lane;
	run->conn->n_runs++;
	if (dev->state != DEVICE_QUIESCING)
		attach_runs(dev);
}

static void stop_run(struct ring_run *run) IN_CTRL
{
	run->state = RUN_STOPPING;
	lcore_send(queue_home(run->queue), &run->queue->stop_msg);
}

void device_on_run_stop(struct device *dev, struct ring_run *run)
{
	run->forgotten = true;
	if (run_is_served(run))
		stop_run(run);
	else if (run->state == RUN_HELD || run->state == RUN_DRAINED)
		end_run(dev, run);
}

/* The last step of a deletion that the front end sees. Not before its requests have ended: a front
 * end that is cut off takes the used index for the place to go on from. */
static void disconnect_if_drained(struct device *dev)
{
	if (!dev->conn)
		return;
	for (const struct ring_run *run = dev->runs; run; run = run->next)
		if (run->conn == dev->conn && (run_is_served(run) || run->state == RUN_STOPPING))
			return;
	shutdown(dev->conn->sock, SHUT_RDWR);
}

void device_on_run_drained(struct device *dev, struct ring_run *run)
{
	run->state = RUN_DRAINED;
	device_on_run_fenced(dev, run);
	device_end_move(dev, run->queue->index);
	if (run->conn == dev->conn && --dev->n_attached == 0)
		device_event(dev, DEVICE_EV_STOPPED);
	if (run->forgotten)
		end_run(dev, run);
	if (dev->state == DEVICE_QUIESCING)
		disconnect_if_drained(dev);
}

void device_on_run_broken(struct device *dev, struct ring_run *run)
{
	const char *why = atomic_load_explicit(&run->queue->broken, memory_order_relaxed);

	log_limited(&dev->breaks, LOG_LEVEL_WARNING, dev->spec.name,
		    "virtqueue %u is broken by its driver and rests until it is reset: %s",
		    run->queue->index, why);
}

void device_quiesce(struct device *dev)
{
	device_event(dev, DEVICE_EV_DELETE);
	admission_shut(dev->endpoint.admission, &dev->endpoint);
	for (struct ring_run *run = dev->runs; run; run = run->next)
		if (run_is_served(run))
			stop_run(run);
	device_pin_end(dev);
	disconnect_if_drained(dev);
}

bool device_is_quiet(const struct device *dev)
{
	return dev->state == DEVICE_QUIESCING && !dev->conn && !dev->closed_conns && !dev->runs &&
	       admission_is_over(&dev->endpoint) && !dev->job_running &&
	       !dev->store_watch.looking && device_pin_is_idle(dev);
}
