/* SPDX-License-Identifier: BSD-3-Clause
 *
 * One line `object: text` to stderr for each thing worth telling, with the journal's priority
 * prefix when stderr is the journal (JOURNAL_STREAM, sd-daemon(3)). Any thread but an LCORE on its
 * data path.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* Values are the priorities of syslog(3). */
enum log_level {
	LOG_LEVEL_ERR = 3,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/** Decides about the prefix; call once before any thread is made. */
void log_init(enum log_level level);

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/** "info" and the like; NULL for a value that is no level. */
const char *log_level_name(enum log_level level);

/** 0 and *ret_level, or -EINVAL when `name` is no level's name. */
int log_level_parse(const char *name, enum log_level *ret_level);

/** Writes one line if `level` is shown now. `object` is the device's name or the room's. */
void log_line(enum log_level level, const char *object, const char *fmt, ...) PRINTF(3, 4);

#define log_err(object, ...)     log_line(LOG_LEVEL_ERR, object, __VA_ARGS__)
#define log_warning(object, ...) log_line(LOG_LEVEL_WARNING, object, __VA_ARGS__)
#define log_notice(object, ...)  log_line(LOG_LEVEL_NOTICE, object, __VA_ARGS__)
#define log_info(object, ...)    log_line(LOG_LEVEL_INFO, object, __VA_ARGS__)
#define log_debug(object, ...)   log_line(LOG_LEVEL_DEBUG, object, __VA_ARGS__)

/* At most LOG_LIMIT_BURST lines in LOG_LIMIT_MS; what was left out is counted and said with the
 * next line let through. For whatever a guest or a peer can cause. */
#define LOG_LIMIT_BURST 5
#define LOG_LIMIT_MS    10000

struct log_limit {
	_Atomic uint64_t window_start_ms;
	atomic_uint n_in_window;
	atomic_uint n_suppressed;
};

/** True if a line may be written now. *ret_suppressed: how many were left out before it. */
bool log_limit_pass(struct log_limit *limit, unsigned int *ret_suppressed);

#define log_limited(limit, level, object, fmt, ...)                                                \
	do {                                                                                       \
		unsigned int suppressed_;                                                          \
		if (log_limit_pass(limit, &suppressed_)) {                                         \
			log_line(level, object, fmt, ##__VA_ARGS__);                               \
			if (suppressed_)                                                           \
				log_line(level, object, "%u similar lines left out", suppressed_); \
		}                                                                                  \
	} while (0)

#endif
