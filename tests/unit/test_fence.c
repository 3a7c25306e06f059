/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A disk is made smaller while its virtqueue moves: what CTRL sends to which lcore, and when. The
 * lcores are mailboxes that the test reads. No EAL.
 */
#include <poll.h>
#include <stdlib.h>

#include "device/registry_impl.h"
#include "engine/lane.h"
#include "engine/lcore_impl.h"
#include "lib/unit.h"

#define SIZE_BYTES (1u << 20)

enum { OLD_HOME, NEW_HOME, N_LCORES };

static struct registry r;
static struct lcores *lcores;
static struct lane lanes[N_LCORES];
static struct device *dev;
static struct store *store;
static struct conn conn;
static struct queue queue;
static struct ring_run run;
static bool is_resized;

static void on_resized(void *arg, struct device *resized, const struct error *err)
{
	(void)arg;
	assert_ptr_equal(resized, dev);
	assert_null(err);
	is_resized = true;
}

/* The next message to this lcore; LCORE_N_MSGS: there is none. */
static uint32_t next_of(unsigned int lcore)
{
	struct msg *msg;

	return mbox_receive(lcores->lcores[lcore].inbox, &msg, 1) ? msg->kind : LCORE_N_MSGS;
}

static void nothing_comes(void)
{
	assert_int_equal(next_of(OLD_HOME), LCORE_N_MSGS);
	assert_int_equal(next_of(NEW_HOME), LCORE_N_MSGS);
}

/* From the lcores, or VHOST. */
static void tell_ctrl(struct msg *msg, uint32_t event)
{
	role_assert(&role_ctrl);
	msg_init(msg, event);
	mbox_send(r.params.events, msg);
	registry_on_events(&r);
}

/* Until the JOB has made the store smaller, and CTRL knows. */
static void shrink(void)
{
	role_assert(&role_ctrl);
	registry_resize(&r, dev->spec.name, SIZE_BYTES / 2, true, on_resized, NULL);
	while (dev->job_running) {
		struct pollfd p = {.fd = mbox_fd(r.params.events), .events = POLLIN};

		assert_int_equal(poll(&p, 1, 10000), 1);
		registry_on_events(&r);
	}
	assert_false(is_resized);
	assert_true(device_is_shrinking(dev));
}

static void move(void)
{
	role_assert(&role_ctrl);
	dev->placed[0] = NEW_HOME;
	device_settle_run(dev, &run);
	assert_int_equal(run.state, RUN_MOVING);
	assert_int_equal(next_of(OLD_HOME), LCORE_MSG_MOVE);
}

/* The new home has it. The old one may be anywhere behind ADOPT, and have messages to pass on. */
static void adopt(void)
{
	queue.lane = queue.move_to;
	atomic_store(&queue.next_home, &lcores->lcores[NEW_HOME]);
	atomic_store(&queue.home, &lcores->lcores[NEW_HOME]);
}

/* The old home, which might pass it on after the virtqueue was freed, is not sent any. */
static void test_moving(void **state)
{
	(void)state;
	move();
	shrink();
	nothing_comes();
	adopt();
	tell_ctrl(&queue.moved_msg, EVENT_QUEUE_MOVED);
	assert_int_equal(next_of(NEW_HOME), LCORE_MSG_FENCE);
	nothing_comes();
	assert_false(is_resized);
	tell_ctrl(&queue.fence_msg, EVENT_QUEUE_FENCED);
	assert_true(is_resized);
}

/* It goes on to another lcore at once: in that order. */
static void test_moves_on(void **state)
{
	(void)state;
	move();
	shrink();
	adopt();
	dev->placed[0] = OLD_HOME;
	tell_ctrl(&queue.moved_msg, EVENT_QUEUE_MOVED);
	assert_int_equal(run.state, RUN_MOVING);
	assert_int_equal(next_of(NEW_HOME), LCORE_MSG_FENCE);
	assert_int_equal(next_of(NEW_HOME), LCORE_MSG_MOVE);
	nothing_comes();
	tell_ctrl(&queue.fence_msg, EVENT_QUEUE_FENCED);
	assert_true(is_resized);
}

/* A STOP overtakes the end of the move: the drain is waited for, and no fence follows it. */
static void test_stopped(void **state)
{
	(void)state;
	move();
	shrink();
	adopt();
	run.state = RUN_STOPPING;
	tell_ctrl(&queue.moved_msg, EVENT_QUEUE_MOVED);
	nothing_comes();
	assert_false(is_resized);
	tell_ctrl(&queue.drained_msg, EVENT_QUEUE_DRAINED);
	assert_true(is_resized);
	nothing_comes();
}

/* It does not move: at once. */
static void test_at_rest(void **state)
{
	(void)state;
	shrink();
	assert_int_equal(next_of(OLD_HOME), LCORE_MSG_FENCE);
	nothing_comes();
	tell_ctrl(&queue.fence_msg, EVENT_QUEUE_FENCED);
	assert_true(is_resized);
}

static void make_lcores(void)
{
	size_t n_bytes = sizeof(*lcores) + N_LCORES * sizeof(lcores->lcores[0]);
	struct error err = {0};

	lcores = aligned_alloc(CACHE_LINE * 2, n_bytes);
	assert_non_null(lcores);
	memset(lcores, 0, n_bytes);
	lcores->n = N_LCORES;
	for (unsigned int i = 0; i < N_LCORES; i++) {
		lcores->lcores[i].id = i;
		assert_int_equal(mbox_new(false, &lcores->lcores[i].inbox, &err), 0);
		lanes[i].lcore = &lcores->lcores[i];
	}
}

static void make_store(void)
{
	const struct store_params params = {.kind = STORE_KIND_NULL,
					    .name = "test",
					    .size_bytes = SIZE_BYTES,
					    .block_size_bytes = 512};
	struct error err = {0};

	role_enter(&role_job);
	assert_int_equal(store_open(&params, &store, &err), 0);
	role_leave(&role_job);
}

static void make_device(void)
{
	const struct device_spec spec = {.name = "test", .n_queues = 1, .block_size_bytes = 512};

	role_assert(&role_ctrl);
	dev = device_new(&r, &spec, lcores);
	assert_non_null(dev);
	dev->state = DEVICE_RUNNING;
	dev->store = store;
	dev->disk.capacity_sectors = SIZE_BYTES / SECTOR_BYTES;
	dev->endpoint.device = dev;
	for (unsigned int i = 0; i < N_LCORES; i++)
		dev->lanes[i].lane = &lanes[i];
	r.devices = dev;
}

/* One that is served by the old home. */
static void make_run(void)
{
	conn = (struct conn){.endpoint = &dev->endpoint};
	queue = (struct queue){
		.owner = &run,
		.lane = &lanes[OLD_HOME],
		.home = &lcores->lcores[OLD_HOME],
		.next_home = &lcores->lcores[OLD_HOME],
	};
	run = (struct ring_run){
		.queue = &queue, .conn = &conn, .state = RUN_ATTACHED, .lane = &lanes[OLD_HOME]};
	dev->runs = &run;
}

/* The test is CTRL from setup() to teardown(). */
static void begin_ctrl(void) ROLE_ATTR(no_thread_safety_analysis)
{
	role_enter(&role_ctrl);
}

static void end_ctrl(void) ROLE_ATTR(no_thread_safety_analysis)
{
	role_leave(&role_ctrl);
}

static int setup(void **state)
{
	struct error err = {0};

	(void)state;
	is_resized = false;
	make_lcores();
	make_store();
	assert_int_equal(mbox_new(true, &r.params.events, &err), 0);
	r.jobs.events = r.params.events;
	begin_ctrl();
	make_device();
	make_run();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	role_assert(&role_ctrl);
	dev->runs = NULL;
	dev->state = DEVICE_GONE;
	device_free(dev);
	end_ctrl();
	role_enter(&role_job);
	store_close(store);
	role_leave(&role_job);
	for (unsigned int i = 0; i < N_LCORES; i++)
		mbox_free(lcores->lcores[i].inbox);
	free(lcores);
	mbox_free(r.params.events);
	return 0;
}

#define FENCE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FENCE_TEST(test_at_rest),
		FENCE_TEST(test_moving),
		FENCE_TEST(test_moves_on),
		FENCE_TEST(test_stopped),
	};

	return cmocka_run_group_tests_name("fence", tests, NULL, NULL);
}
