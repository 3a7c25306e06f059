/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lines.h"
#include "report.h"

#define PROGRESS_NS 1000000000ull

enum { FD_SIGNAL, FD_WORKERS, FD_BACKEND, FD_CHANNEL, FD_RING_ERROR, FD_STDIN, FD_N };

struct watch {
	struct run *run;
	int signal_fd;
	uint64_t end_ns;      /* of the load; UINT64_MAX: not by time */
	uint64_t progress_ns; /* next progress line; UINT64_MAX: none */
	uint64_t progress_done, progress_begin_ns;
	bool stopping;
	bool failed;
	struct lines lines;
	char phase[LINES_BYTES]; /* name of the one that ends */
};

/* For this thread and those that it starts. */
static enum exit_code take_signals(struct watch *watch)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN); /* a pipe that nobody reads shows when results are written */
	watch->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (watch->signal_fd < 0)
		return fail(EXIT_FAILED, "signalfd: %s", strerror(errno));
	return EXIT_OK;
}

static void stop(struct watch *watch, enum stop how)
{
	watch->stopping = true;
	watch->end_ns = UINT64_MAX;
	run_stop(watch->run, how);
}

static void on_signal(struct watch *watch)
{
	struct signalfd_siginfo info;

	if (read(watch->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	/* The second one, or the first while data is read back, ends at once. */
	stop(watch, watch->stopping ? STOP_AT_ONCE : STOP_DRAIN);
}

static void on_broken(struct watch *watch, const char *what)
{
	watch->failed = true;
	stop(watch, STOP_AT_ONCE);
	fail(EXIT_FAILED, "the back end %s after %" PRIu64 " requests", what,
	     run_n_done(watch->run));
}

/* Nothing is asked of the back end while the load runs: whatever comes is the end. */
static void on_backend(struct watch *watch)
{
	char byte;
	ssize_t n = recv(watch->run->disk.blk.conn.sock, &byte, 1, MSG_DONTWAIT);

	if (n > 0)
		on_broken(watch, "sent a message that nobody has asked for,");
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		on_broken(watch, "closed the connection");
}

/* A change of the configuration (a resize): no matter to a load that has begun. */
static void on_channel(struct watch *watch)
{
	struct vfe_blk *blk = &watch->run->disk.blk;
	uint32_t request;

	if (vfe_conn_wait_backend_request(blk->backend_channel, &request, 1000) == 0)
		return;
	close(blk->backend_channel);
	blk->backend_channel = -1;
}

static void on_ring_error(struct watch *watch)
{
	on_broken(watch, "reported a broken virtqueue");
}

/* One has ended by itself, or was told to: all end. */
static void on_worker(struct watch *watch)
{
	uint64_t n;

	if (read(watch->run->orders.event_fd, &n, sizeof(n)) == sizeof(n))
		stop(watch, STOP_DRAIN);
}

static void end_phase(struct watch *watch)
{
	report_print(watch->run, run_next_phase(watch->run), watch->phase);
}

static void on_stdin(struct watch *watch)
{
	lines_read(&watch->lines);
	while (lines_next(&watch->lines, watch->phase)) {
		if (watch->lines.ended && watch->lines.n == 0) {
			stop(watch, STOP_DRAIN);
			return;
		}
		end_phase(watch);
	}
	watch->phase[0] = 0; /* the next one has no name yet */
}

static void show_progress(struct watch *watch)
{
	uint64_t now_ns = clock_monotonic_ns(), done = run_n_done(watch->run);
	double seconds = (double)(now_ns - watch->progress_begin_ns) / 1e9;

	if (now_ns < watch->progress_ns)
		return;
	fprintf(stderr, "\r\033[K%.0f IOPS, %" PRIu64 " requests",
		(double)(done - watch->progress_done) / seconds, done);
	watch->progress_done = done;
	watch->progress_begin_ns = now_ns;
	watch->progress_ns = now_ns + PROGRESS_NS;
}

static void clear_progress(const struct watch *watch)
{
	if (watch->progress_ns != UINT64_MAX)
		fputs("\r\033[K", stderr);
}

/* Until the next thing that is due; -1 when there is none. */
static int timeout_ms(const struct watch *watch)
{
	uint64_t due = watch->end_ns < watch->progress_ns ? watch->end_ns : watch->progress_ns;
	uint64_t now = clock_monotonic_ns();

	if (due == UINT64_MAX)
		return -1;
	if (due <= now)
		return 0;
	return due - now > 1000000000ull ? 1000 : (int)((due - now + 999999) / 1000000);
}

static void wait_events(struct watch *watch)
{
	const struct run *run = watch->run;
	bool wants_lines = run->options->phases && !watch->stopping;
	struct pollfd fds[FD_N] = {
		[FD_SIGNAL] = {watch->signal_fd, POLLIN, 0},
		[FD_WORKERS] = {run->orders.event_fd, POLLIN, 0},
		[FD_BACKEND] = {watch->failed ? -1 : run->disk.blk.conn.sock, POLLIN, 0},
		[FD_CHANNEL] = {run->disk.blk.backend_channel, POLLIN, 0},
		[FD_RING_ERROR] = {watch->failed ? -1 : run->disk.blk.err_fd, POLLIN, 0},
		[FD_STDIN] = {wants_lines ? STDIN_FILENO : -1, POLLIN, 0},
	};

	if (poll(fds, FD_N, timeout_ms(watch)) <= 0)
		return;
	if (fds[FD_SIGNAL].revents)
		on_signal(watch);
	if (fds[FD_STDIN].revents)
		on_stdin(watch);
	if (fds[FD_BACKEND].revents)
		on_backend(watch);
	if (fds[FD_RING_ERROR].revents && !watch->failed)
		on_ring_error(watch);
	if (fds[FD_CHANNEL].revents)
		on_channel(watch);
	if (fds[FD_WORKERS].revents)
		on_worker(watch);
}

static void begin(struct watch *watch, struct run *run)
{
	uint64_t now = clock_monotonic_ns();

	watch->run = run;
	watch->end_ns = UINT64_MAX;
	watch->progress_ns = UINT64_MAX;
	watch->progress_begin_ns = now;
	if (!run->options->phases)
		watch->end_ns = now + (uint64_t)(run->options->time_s * 1e9);
	if (isatty(STDERR_FILENO))
		watch->progress_ns = now + PROGRESS_NS;
	lines_init(&watch->lines, STDIN_FILENO);
}

/* The last phase's results, and how it all went. */
static enum exit_code finish(struct watch *watch)
{
	struct run *run = watch->run;
	const struct stats *stats = run_end(run);
	const char *failure = run_failure(run);
	enum exit_code code = watch->failed ? EXIT_FAILED : EXIT_OK;

	clear_progress(watch);
	report_print(run, stats, run->options->phases ? watch->phase : NULL);
	if (failure)
		code = fail(EXIT_FAILED, "%s", failure);
	else if (code == EXIT_OK && run_n_out(run))
		code = fail(EXIT_FAILED, "ended with %u requests in flight", run_n_out(run));
	if (run->n_errors)
		code = fail(EXIT_FAILED, "%" PRIu64 " requests failed", run->n_errors);
	if (run->n_mismatches)
		code = fail(EXIT_FAILED, "%" PRIu64 " blocks had wrong data", run->n_mismatches);
	return code;
}

static enum exit_code run_to_the_end(struct watch *watch, struct run *run)
{
	enum exit_code code = take_signals(watch);

	if (code == EXIT_OK)
		code = run_start(run);
	if (code != EXIT_OK)
		return code;
	begin(watch, run);
	while (!run_has_ended(run)) {
		wait_events(watch);
		if (watch->progress_ns != UINT64_MAX)
			show_progress(watch);
		if (clock_monotonic_ns() >= watch->end_ns)
			stop(watch, STOP_DRAIN);
	}
	return finish(watch);
}

enum exit_code watch_run(struct run *run)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	enum exit_code code;

	if (!watch)
		return fail(EXIT_FAILED, "out of memory");
	watch->signal_fd = -1;
	code = run_to_the_end(watch, run);
	if (watch->signal_fd >= 0)
		close(watch->signal_fd);
	free(watch);
	return code;
}
