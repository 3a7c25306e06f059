/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Mailboxes: nothing is lost or doubled, each sender's messages stay in order, the eventfd tells
 * a sleeping reader. No EAL.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/mbox.h"
#include "lib/unit.h"

#define N_SENDERS  4
#define N_MESSAGES 5000
#define N_MANY     200000
#define STOPPED_S  12 /* more than msg_wait() has patience for */

static struct mbox *new_mbox(bool wakeup)
{
	struct error err = {0};
	struct mbox *mbox = NULL;

	if (mbox_new(wakeup, &mbox, &err))
		fail_msg("%s", err.text);
	return mbox;
}

static bool is_readable(const struct mbox *mbox)
{
	struct pollfd p = {.fd = mbox_fd(mbox), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void test_one_sender(void **state)
{
	struct mbox *mbox = new_mbox(false);
	struct msg msgs[7], *got[8];

	(void)state;
	assert_int_equal(mbox_fd(mbox), -1);
	assert_int_equal(mbox_receive(mbox, got, 8), 0);
	assert_true(mbox_is_empty(mbox));
	for (uint32_t i = 0; i < 7; i++) {
		msg_init(&msgs[i], 10 + i);
		mbox_send(mbox, &msgs[i]);
		assert_false(mbox_is_empty(mbox));
	}
	assert_int_equal(mbox_receive(mbox, got, 3), 3);
	assert_false(mbox_is_empty(mbox));
	assert_int_equal(mbox_receive(mbox, got + 3, 5), 4);
	for (uint32_t i = 0; i < 7; i++) {
		assert_ptr_equal(got[i], &msgs[i]);
		assert_int_equal(got[i]->kind, 10 + i);
	}
	assert_int_equal(mbox_receive(mbox, got, 8), 0);
	assert_true(mbox_is_empty(mbox));
	mbox_free(mbox);
	mbox_free(NULL);
}

/* Readable from a message's arrival until the mailbox has been emptied. */
static void test_wakeup(void **state)
{
	struct mbox *mbox = new_mbox(true);
	struct msg msgs[3], *got[4];

	(void)state;
	assert_false(is_readable(mbox));
	assert_int_equal(mbox_receive(mbox, got, 4), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3; i++) {
			mbox_send(mbox, &msgs[i]);
			assert_true(is_readable(mbox));
		}
		assert_int_equal(mbox_receive(mbox, got, 4), 3);
		assert_false(is_readable(mbox));
	}
	mbox_free(mbox);
}

/* What is left there wakes nobody, and comes in order with what is sent, or by itself. */
static void test_leave(void **state)
{
	struct mbox *mbox = new_mbox(true);
	struct msg msgs[3], *got[4];

	(void)state;
	mbox_leave(mbox, &msgs[0]);
	assert_false(is_readable(mbox));
	mbox_send(mbox, &msgs[1]);
	assert_true(is_readable(mbox));
	assert_int_equal(mbox_receive(mbox, got, 4), 2);
	assert_ptr_equal(got[0], &msgs[0]);
	assert_ptr_equal(got[1], &msgs[1]);
	assert_false(mbox_is_behind(mbox));
	mbox_leave(mbox, &msgs[2]);
	assert_false(is_readable(mbox));
	assert_true(mbox_is_behind(mbox));
	assert_int_equal(mbox_receive(mbox, got, 4), 1);
	assert_ptr_equal(got[0], &msgs[2]);
	assert_false(mbox_is_behind(mbox));
	mbox_free(mbox);
}

struct sender {
	struct mbox *mbox;
	struct msg msgs[N_MESSAGES];
	pthread_t thread;
};

static void *send_all(void *arg)
{
	struct sender *sender = arg;

	for (uint32_t i = 0; i < N_MESSAGES; i++)
		mbox_send(sender->mbox, &sender->msgs[i]);
	return NULL;
}

static struct sender senders[N_SENDERS];

static void start_senders(struct mbox *mbox)
{
	for (uint32_t s = 0; s < N_SENDERS; s++) {
		senders[s].mbox = mbox;
		for (uint32_t i = 0; i < N_MESSAGES; i++)
			msg_init(&senders[s].msgs[i], s);
		assert_int_equal(pthread_create(&senders[s].thread, NULL, send_all, &senders[s]),
				 0);
	}
}

/* The reader sleeps on the eventfd only, so that a lost wake-up is a time-out. */
static void test_many_senders(void **state)
{
	struct mbox *mbox = new_mbox(true);
	uint32_t n_from[N_SENDERS] = {0}, n_got = 0;
	struct msg *got[16];

	(void)state;
	start_senders(mbox);
	while (n_got < N_SENDERS * N_MESSAGES) {
		struct pollfd p = {.fd = mbox_fd(mbox), .events = POLLIN};
		unsigned int n;

		assert_int_equal(poll(&p, 1, 10000), 1);
		do {
			n = mbox_receive(mbox, got, 16);
			for (unsigned int i = 0; i < n; i++) {
				uint32_t from = got[i]->kind;

				assert_ptr_equal(got[i], &senders[from].msgs[n_from[from]++]);
				msg_set_done(got[i]);
			}
			n_got += n;
		} while (n == 16);
	}
	for (uint32_t s = 0; s < N_SENDERS; s++) {
		assert_int_equal(pthread_join(senders[s].thread, NULL), 0);
		assert_int_equal(n_from[s], N_MESSAGES);
	}
	assert_int_equal(mbox_receive(mbox, got, 16), 0);
	assert_false(is_readable(mbox));
	mbox_free(mbox);
}

static void *answer(void *arg)
{
	struct mbox *mbox = arg;
	struct msg *got;

	while (mbox_receive(mbox, &got, 1) == 0)
		;
	usleep(2000);
	got->kind = 99;
	msg_set_done(got);
	return NULL;
}

/* Who waits sees what the reader wrote before it gave the message back. */
static void test_wait(void **state)
{
	struct mbox *mbox = new_mbox(false);
	struct msg msg;
	pthread_t thread;

	(void)state;
	msg_init(&msg, 1);
	assert_false(msg_is_done(&msg));
	assert_int_equal(pthread_create(&thread, NULL, answer, mbox), 0);
	mbox_send(mbox, &msg);
	msg_wait(&msg);
	assert_true(msg_is_done(&msg));
	assert_int_equal(msg.kind, 99);
	assert_int_equal(pthread_join(thread, NULL), 0);
	mbox_free(mbox);
}

struct late {
	int pipe_fd; /* readable when the answer is due */
	struct msg msg;
};

static void *answer_late(void *arg)
{
	struct late *late = arg;
	char byte;

	if (read(late->pipe_fd, &byte, 1) == 1)
		msg_set_done(&late->msg);
	return NULL;
}

static void wait_and_exit(int pipe_fd)
{
	static struct late late;
	pthread_t thread;

	late.pipe_fd = pipe_fd;
	msg_init(&late.msg, 1);
	if (pthread_create(&thread, NULL, answer_late, &late))
		_exit(1);
	msg_wait(&late.msg);
	_exit(0);
}

/* A process that is stopped in the middle of it goes on waiting: nobody could answer meanwhile. */
static void test_wait_while_stopped(void **state)
{
	int pipe_fds[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		wait_and_exit(pipe_fds[0]);
	usleep(200000);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	sleep(STOPPED_S);
	assert_int_equal(kill(pid, SIGCONT), 0);
	usleep(200000);
	assert_int_equal(write(pipe_fds[1], "", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* There is no number of messages that it can't take. */
static void test_never_full(void **state)
{
	struct mbox *mbox = new_mbox(false);
	struct msg *msgs = calloc(N_MANY, sizeof(*msgs)), *got;

	(void)state;
	assert_non_null(msgs);
	for (unsigned int i = 0; i < N_MANY; i++) {
		msg_init(&msgs[i], i);
		mbox_send(mbox, &msgs[i]);
	}
	for (unsigned int i = 0; i < N_MANY; i++) {
		assert_int_equal(mbox_receive(mbox, &got, 1), 1);
		assert_ptr_equal(got, &msgs[i]);
	}
	assert_int_equal(mbox_receive(mbox, &got, 1), 0);
	free(msgs);
	mbox_free(mbox);
}

/* Without a descriptor to spare there is an error and no mailbox. */
static void test_no_descriptors(void **state)
{
	struct mbox *mbox = NULL;
	struct error err = {0};
	struct rlimit old, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(mbox_new(true, &mbox, &err), -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_null(mbox);
	assert_int_equal(err.code, VHOSTD_ERR_INTERNAL);
	assert_non_null(strstr(err.text, "Too many open files"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_sender), cmocka_unit_test(test_wakeup),
		cmocka_unit_test(test_leave),      cmocka_unit_test(test_many_senders),
		cmocka_unit_test(test_wait),       cmocka_unit_test(test_wait_while_stopped),
		cmocka_unit_test(test_never_full), cmocka_unit_test(test_no_descriptors),
	};

	return cmocka_run_group_tests_name("mbox", tests, NULL, NULL);
}
