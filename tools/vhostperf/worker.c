/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Requests that are out at the end get so long. */
#define DRAIN_TIMEOUT_US 10e6

int worker_init(struct worker *w, struct orders *orders, const struct clock *clock, double away_us)
{
	*w = (struct worker){.orders = orders, .wake_fd = -1, .cpu = -1};
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->buffer = calloc(2, sizeof(*w->buffer));
	if (w->wake_fd < 0)
		return -errno;
	if (!w->buffer)
		return -ENOMEM;
	stats_clear(&w->buffer[0]);
	stats_clear(&w->buffer[1]);
	w->ob = (struct observer){
		.clock = clock,
		.stats = &w->buffer[0],
		.threshold_ticks = clock_ticks(clock, away_us),
	};
	return 0;
}

void worker_fini(struct worker *w)
{
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	free(w->buffer);
}

static void add_to_eventfd(int fd)
{
	uint64_t one = 1;

	/* A full counter (EAGAIN) wakes whoever waits as well. */
	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

void worker_wake(const struct worker *w)
{
	add_to_eventfd(w->wake_fd);
}

static void begin_phase(struct worker *w, uint32_t phase)
{
	w->ob.stats = &w->buffer[phase & 1];
	w->ob.stats->begin = clock_now(w->ob.clock);
	/* Partner: the main thread's acquire load, after which the other buffer is its own. */
	__atomic_store_n(&w->phase, phase, __ATOMIC_RELEASE);
}

static void end_phase(struct worker *w)
{
	uint64_t now = observer_look(&w->ob);

	w->ob.stats->end = now;
	for (unsigned int i = 0; i < w->n_queues; i++)
		queue_end_phase(w->queue[i], &w->ob, now);
}

/* One turn of each queue; how many requests came back, or -1 when the worker can't go on. */
static int turn(struct worker *w)
{
	int sum = 0;

	for (unsigned int i = 0; i < w->n_queues; i++) {
		int n = queue_turn(w->queue[i], &w->ob);

		if (n < 0) {
			w->failure = "the back end returned a request that was not in flight";
			return -1;
		}
		sum += n;
	}
	if (sum > 0)
		__atomic_store_n(&w->n_done, w->n_done + (unsigned int)sum, __ATOMIC_RELAXED);
	return sum;
}

static unsigned int n_out(const struct worker *w)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < w->n_queues; i++)
		n += w->queue[i]->n_out;
	return n;
}

static void take_interrupts(struct worker *w, const struct pollfd *fds)
{
	uint64_t n;

	for (unsigned int i = 0; i <= w->n_queues; i++) {
		if (!(fds[i].revents & POLLIN) || read(fds[i].fd, &n, sizeof(n)) != sizeof(n))
			continue;
		if (i < w->n_queues)
			w->ob.stats->interrupts += n;
	}
}

/* Sleeps until a queue has something or the worker is woken up. Interrupts are asked for first, and
 * the queues looked at after that: what is used from then on interrupts. */
static void sleep_for_interrupt(struct worker *w, int timeout_ms)
{
	struct pollfd fds[OPTIONS_CPUS_MAX + 1];
	bool has_used = false;

	for (unsigned int i = 0; i < w->n_queues; i++) {
		struct ring *ring = &w->queue[i]->ring;

		ring->ops->interrupts(ring, true);
		has_used |= ring->ops->has_used(ring);
		fds[i] = (struct pollfd){.fd = ring->vfe->call_fd, .events = POLLIN};
	}
	fds[w->n_queues] = (struct pollfd){.fd = w->wake_fd, .events = POLLIN};
	if (!has_used) {
		w->ob.stats->sleeps++;
		if (poll(fds, w->n_queues + 1, timeout_ms) > 0)
			take_interrupts(w, fds);
		observer_slept(&w->ob);
	}
	for (unsigned int i = 0; i < w->n_queues; i++)
		w->queue[i]->ring.ops->interrupts(&w->queue[i]->ring, false);
}

/* Until the orders say stop; false when it can't go on. */
static bool run_load(struct worker *w)
{
	const struct orders *orders = w->orders;
	uint32_t phase;
	int n;

	/* Acquire: the other buffer, which the main thread has emptied, is used after the stop. */
	while (__atomic_load_n(&orders->stop, __ATOMIC_ACQUIRE) == STOP_NOT) {
		phase = __atomic_load_n(&orders->phase, __ATOMIC_ACQUIRE);
		if (unlikely(phase != w->phase)) {
			end_phase(w);
			begin_phase(w, phase);
		}
		n = turn(w);
		if (n < 0)
			return false;
		if (n == 0 && orders->wait_block)
			sleep_for_interrupt(w, -1);
	}
	return true;
}

/* Until no request is out; false when that can't be waited for. */
static bool run_dry(struct worker *w)
{
	uint64_t patience = clock_ticks(w->ob.clock, DRAIN_TIMEOUT_US);
	uint64_t last = clock_now(w->ob.clock);

	while (n_out(w) > 0) {
		int n = turn(w);

		if (n < 0 || __atomic_load_n(&w->orders->stop, __ATOMIC_RELAXED) == STOP_AT_ONCE)
			return false;
		if (n > 0)
			last = w->ob.last_look;
		else if (clock_now(w->ob.clock) - last > patience) {
			w->failure = "requests at the end were not answered within 10 s";
			return false;
		} else if (w->orders->wait_block)
			sleep_for_interrupt(w, 100);
	}
	return true;
}

static void begin(struct worker *w, enum queue_mode mode)
{
	for (unsigned int i = 0; i < w->n_queues; i++)
		queue_begin(w->queue[i], mode, &w->ob);
}

static void run(struct worker *w)
{
	bool ok;

	w->ob.last_look = clock_now(w->ob.clock);
	begin_phase(w, 0);
	begin(w, QUEUE_LOAD);
	ok = run_load(w);
	end_phase(w);
	/* What is still out is checked, but it is no longer of any phase. */
	w->ob.stats = &w->buffer[(w->phase + 1) & 1];
	begin(w, QUEUE_DRAIN);
	if (!ok || !run_dry(w) || !w->orders->read_back)
		return;
	begin(w, QUEUE_READ_BACK);
	run_dry(w);
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	run(w);
	__atomic_store_n(&w->has_ended, true, __ATOMIC_RELEASE);
	add_to_eventfd(w->orders->event_fd);
	return NULL;
}

int worker_start(struct worker *w)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int rc;

	pthread_attr_init(&attr);
	if (w->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(w->cpu, &set);
		pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	}
	rc = -pthread_create(&w->thread, &attr, thread_main, w);
	pthread_attr_destroy(&attr);
	return rc;
}
