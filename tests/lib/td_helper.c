/* SPDX-License-Identifier: BSD-3-Clause */
/* Two pipes and a child. */
#include "td_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vfe_msg.h"

static void exec_helper(const char *const *argv, int in, int out)
{
	char *copy[32];
	unsigned int n = 0;

	while (argv[n] && n < 31) {
		copy[n] = strdup(argv[n]);
		n++;
	}
	copy[n] = NULL;
	signal(SIGPIPE, SIG_DFL);
	dup2(in, 0);
	dup2(out, 1);
	execv(copy[0], copy);
	perror(copy[0]);
	_exit(127);
}

int td_helper_start(struct td_helper *helper, const char *const *argv)
{
	int in[2], out[2];

	*helper = (struct td_helper){.to = -1, .from = -1};
	signal(SIGPIPE, SIG_IGN); /* it may have ended when we tell it something */
	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return -errno;
	}
	helper->pid = fork();
	if (helper->pid == 0)
		exec_helper(argv, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	helper->to = in[1];
	helper->from = out[0];
	if (helper->pid > 0)
		return 0;
	helper->pid = 0;
	return -EAGAIN;
}

int td_helper_tell(struct td_helper *helper, const char *line)
{
	char text[TD_HELPER_LINE_MAX];
	int n = snprintf(text, sizeof(text), "%s\n", line);

	return write(helper->to, text, (size_t)n) == n ? 0 : -EPIPE;
}

static int read_line(struct td_helper *helper)
{
	struct pollfd pfd = {.fd = helper->from, .events = POLLIN};
	int64_t deadline_ms = vfe_now_ms() + TD_HELPER_TIMEOUT_MS, left_ms;
	char *end;
	ssize_t n;

	while (!(end = memchr(helper->ahead, '\n', helper->n_ahead))) {
		left_ms = deadline_ms - vfe_now_ms();
		if (left_ms <= 0 || poll(&pfd, 1, (int)left_ms) == 0)
			return -ETIMEDOUT;
		if (helper->n_ahead == sizeof(helper->ahead))
			return -EMSGSIZE;
		n = read(helper->from, helper->ahead + helper->n_ahead,
			 sizeof(helper->ahead) - helper->n_ahead);
		if (n <= 0)
			return -ECONNRESET;
		helper->n_ahead += (size_t)n;
	}
	*end = '\0';
	snprintf(helper->line, sizeof(helper->line), "%s", helper->ahead);
	helper->n_ahead -= (size_t)(end + 1 - helper->ahead);
	memmove(helper->ahead, end + 1, helper->n_ahead);
	return 0;
}

int td_helper_expect(struct td_helper *helper, const char *word)
{
	int rc = read_line(helper);

	if (!rc && strncmp(helper->line, word, strlen(word)) != 0)
		rc = -EBADMSG;
	if (rc)
		fprintf(stderr, "a helper said \"%s\" (%d) where \"%s\" was expected\n",
			helper->line, rc, word);
	return rc;
}

long td_helper_number(const struct td_helper *helper, const char *key)
{
	char text[64];
	const char *at;

	snprintf(text, sizeof(text), " %s=", key);
	at = strstr(helper->line, text);
	return at ? strtol(at + strlen(text), NULL, 10) : -1;
}

static int reap(struct td_helper *helper, int status)
{
	if (helper->to >= 0)
		close(helper->to);
	close(helper->from);
	helper->to = -1;
	helper->pid = 0;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void td_helper_kill(struct td_helper *helper)
{
	int status = 0;

	if (helper->pid == 0)
		return;
	kill(helper->pid, SIGKILL);
	waitpid(helper->pid, &status, 0);
	reap(helper, status);
}

int td_helper_end(struct td_helper *helper)
{
	int64_t deadline_ms = vfe_now_ms() + TD_HELPER_TIMEOUT_MS;
	int status = 0;

	if (helper->pid == 0)
		return -ESRCH;
	close(helper->to);
	helper->to = -1;
	while (vfe_now_ms() < deadline_ms) {
		if (waitpid(helper->pid, &status, WNOHANG) == helper->pid)
			return reap(helper, status);
		usleep(2000);
	}
	td_helper_kill(helper);
	return -ETIMEDOUT;
}
