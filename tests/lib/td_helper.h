/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Helper programs of tests (faultfs, bench-trouble), which talk by lines over their standard input
 * and output, and end at the end of their input: also when the test that has them is killed.
 */
#ifndef TD_HELPER_H
#define TD_HELPER_H

#include <stddef.h>
#include <sys/types.h>

#define TD_HELPER_TIMEOUT_MS 20000
#define TD_HELPER_LINE_MAX   256

struct td_helper {
	pid_t pid; /* 0 when it does not run */
	int to, from;
	char line[TD_HELPER_LINE_MAX]; /* read last */
	size_t n_ahead;                /* bytes read behind that line */
	char ahead[TD_HELPER_LINE_MAX];
};

/* Start it. 0 or -errno. */
int td_helper_start(struct td_helper *helper, const char *const *argv);

/* Send a line. 0 or -errno. */
int td_helper_tell(struct td_helper *helper, const char *line);

/* Wait for the next line, into helper->line: 0, -EBADMSG unless it starts with `word`, -ETIMEDOUT,
 * -ECONNRESET when it has ended. */
int td_helper_expect(struct td_helper *helper, const char *word);

/* The number after " KEY=" in helper->line; -1 without it. */
long td_helper_number(const struct td_helper *helper, const char *key);

/* SIGKILL; its processes' remains are the kernel's. */
void td_helper_kill(struct td_helper *helper);

/* End its input and wait for it. Its exit status, or -signal; -ETIMEDOUT: it had to be killed. */
int td_helper_end(struct td_helper *helper);

#endif
