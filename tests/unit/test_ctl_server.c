/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The server of the control socket with methods of its own, in a thread: "now" is answered at once,
 * "keep" when "free" comes, "big" with 1 MiB, "stop" ends the thread. The test is the client.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "control/ctl_server.h"
#include "control/ctl_socket.h"

#define BIG_BYTES (1 << 20)

struct fixture {
	char dir[32];
	char path[64];
	struct ctl_socket sock;
	struct loop *loop;
	struct ctl_server *server;
	struct ctl_request_list kept;
	pthread_t thread;
};

static void answer_kept(struct fixture *f) IN_CTRL
{
	struct ctl_request *request;

	while ((request = LIST_FIRST(&f->kept)) != NULL) {
		LIST_REMOVE(request, link);
		ctl_request_answer(request, json_object_new_object());
	}
}

static struct json_object *big(void)
{
	char *text = malloc(BIG_BYTES);
	struct json_object *object;

	memset(text, 'x', BIG_BYTES);
	object = json_object_new_string_len(text, BIG_BYTES);
	free(text);
	return object;
}

static void serve(void *arg, struct ctl_request *request)
{
	const char *method = request->rpc.method;
	struct fixture *f = arg;

	role_assert(&role_ctrl);
	if (strcmp(method, "keep") == 0) {
		LIST_INSERT_HEAD(&f->kept, request, link);
		return;
	}
	if (strcmp(method, "free") == 0)
		answer_kept(f);
	if (strcmp(method, "stop") == 0)
		loop_stop(f->loop);
	ctl_request_answer(request, strcmp(method, "big") == 0 ? big() : json_object_new_object());
}

static void *run(void *arg)
{
	struct fixture *f = arg;

	role_enter(&role_ctrl);
	loop_run(f->loop);
	answer_kept(f);
	ctl_server_free(f->server);
	role_leave(&role_ctrl);
	return NULL;
}

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err = {0};

	strcpy(f->dir, "/tmp/vhostd-ctl.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	LIST_INIT(&f->kept);
	assert_int_equal(ctl_socket_lock(&f->sock, f->path, &err), 0);
	assert_int_equal(ctl_socket_listen(&f->sock, 0600, (gid_t)-1, &err), 0);
	assert_int_equal(loop_new(&f->loop, &err), 0);
	assert_int_equal(ctl_server_new(f->loop, f->sock.fd, serve, f, &f->server, &err), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
	*state = f;
	return 0;
}

static int dial(const struct fixture *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval timeout = {.tv_sec = 10};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	return fd;
}

static ssize_t ask(int fd, const char *method, int id)
{
	char line[128];
	int len = snprintf(line, sizeof(line),
			   "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"%s\"}\n", id, method);

	return send(fd, line, (size_t)len, MSG_NOSIGNAL);
}

/* One byte at a time: the tests are about the other side. 0 at the end of the connection. */
/* Takes no byte that is behind the line. */
static size_t read_line(int fd, char *line, size_t size)
{
	size_t len = 0;
	char *end = NULL;

	while (!end && len + 1 < size) {
		ssize_t n = recv(fd, line + len, size - 1 - len, MSG_PEEK);

		if (n <= 0)
			break;
		end = memchr(line + len, '\n', (size_t)n);
		n = recv(fd, line + len, end ? (size_t)(end + 1 - line) - len : (size_t)n, 0);
		assert_true(n > 0);
		len += (size_t)n - (end ? 1 : 0);
	}
	line[len] = '\0';
	return len;
}

static void assert_answer(int fd, int id, const char *has)
{
	char line[512], wanted[64];

	assert_true(read_line(fd, line, sizeof(line)) > 0);
	snprintf(wanted, sizeof(wanted), "\"id\":%d,", id);
	if (!strstr(line, wanted) || !strstr(line, has))
		fail_msg("%s: wanted id %d and %s", line, id, has);
}

static int stop(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	ask(fd, "stop", 1);
	pthread_join(f->thread, NULL);
	close(fd);
	loop_free(f->loop);
	ctl_socket_close(&f->sock);
	assert_int_equal(rmdir(f->dir), 0); /* socket and lock are gone */
	free(f);
	return 0;
}

static void test_slow_ones_hold_up_nobody(void **state)
{
	int slow = dial(*state), other = dial(*state);

	ask(slow, "keep", 1);
	ask(slow, "now", 2);
	assert_answer(slow, 2, "result");
	ask(other, "free", 3);
	assert_answer(other, 3, "result");
	assert_answer(slow, 1, "result");
	close(slow);
	close(other);
}

static void test_too_many_under_way(void **state)
{
	int fd = dial(*state), other = dial(*state);

	for (int i = 0; i < VHOSTD_CTL_PENDING_MAX; i++)
		ask(fd, "keep", i);
	ask(fd, "now", 1000);
	assert_answer(fd, 1000, "\"LIMIT\"");
	ask(other, "now", 1);
	assert_answer(other, 1, "result");
	ask(other, "free", 2);
	assert_answer(other, 2, "result");
	for (int i = 0; i < VHOSTD_CTL_PENDING_MAX; i++) {
		char line[512];

		assert_true(read_line(fd, line, sizeof(line)) > 0);
		assert_non_null(strstr(line, "result"));
	}
	ask(fd, "now", 1001);
	assert_answer(fd, 1001, "result");
	close(fd);
	close(other);
}

static void test_clients_that_leave_requests_behind(void **state)
{
	int other = dial(*state);

	for (int i = 0; i < 100; i++) {
		int fd = dial(*state);

		ask(fd, "keep", 1);
		ask(fd, "keep", 2);
		if (i % 2) {
			ask(fd, "now", 3);
			assert_answer(fd, 3, "result");
		}
		close(fd);
	}
	ask(other, "free", 1);
	assert_answer(other, 1, "result");
	ask(other, "now", 2);
	assert_answer(other, 2, "result");
	close(other);
}

/* VHOSTD_CTL_BACKLOG_MAX is 4 MiB, so one that never reads is gone after a few of 1 MiB. */
static void test_a_client_that_does_not_read(void **state)
{
	int fd = dial(*state), other = dial(*state);
	char *line = malloc(2 * BIG_BYTES);
	int n_asked = 0;

	while (n_asked < 1000 && ask(fd, "big", n_asked) > 0) {
		ask(other, "now", n_asked);
		assert_answer(other, n_asked++, "result");
	}
	assert_in_range(n_asked, 5, 50);
	close(fd);
	for (int i = 0; i < 20; i++) { /* one that reads is served as often as it asks */
		ask(other, "big", i);
		assert_true(read_line(other, line, 2 * BIG_BYTES) > BIG_BYTES);
	}
	free(line);
	close(other);
}

static void test_half_closed(void **state)
{
	int fd = dial(*state), other = dial(*state);
	char line[64];

	ask(fd, "keep", 1);
	ask(fd, "now", 2);
	shutdown(fd, SHUT_WR);
	assert_answer(fd, 2, "result");
	ask(other, "free", 1); /* the first one's answer is still to come */
	assert_answer(other, 1, "result");
	assert_answer(fd, 1, "result");
	assert_int_equal(read_line(fd, line, sizeof(line)), 0);
	close(fd);
	close(other);
}

static void test_as_many_clients_as_there_may_be(void **state)
{
	int fds[VHOSTD_CTL_CLIENTS_MAX], extra;
	char line[512];

	for (int i = 0; i < VHOSTD_CTL_CLIENTS_MAX; i++) {
		fds[i] = dial(*state);
		ask(fds[i], "now", i);
		assert_answer(fds[i], i, "result");
	}
	extra = dial(*state);
	read_line(extra, line, sizeof(line));
	assert_non_null(strstr(line, "\"LIMIT\""));
	assert_int_equal(read_line(extra, line, sizeof(line)), 0);
	close(extra);
	for (int i = 0; i < VHOSTD_CTL_CLIENTS_MAX; i++)
		close(fds[i]);
	extra = dial(*state); /* taken after the others are seen to be gone, or refused before */
	do {
		close(extra);
		extra = dial(*state);
		ask(extra, "now", 1);
		read_line(extra, line, sizeof(line));
	} while (strstr(line, "\"LIMIT\""));
	assert_non_null(strstr(line, "result"));
	close(extra);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_slow_ones_hold_up_nobody),
		WITH_SERVER(test_too_many_under_way),
		WITH_SERVER(test_clients_that_leave_requests_behind),
		WITH_SERVER(test_a_client_that_does_not_read),
		WITH_SERVER(test_half_closed),
		WITH_SERVER(test_as_many_clients_as_there_may_be),
	};

	log_init(LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
