/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Tells systemd how we are: the protocol of sd_notify(3), which is one datagram, without
 * libsystemd. All of it is nothing when $NOTIFY_SOCKET isn't set.
 */
#ifndef CONTROL_NOTIFY_H
#define CONTROL_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/compiler.h"

struct notify {
	int fd; /* -1: nobody to tell */
	struct sockaddr_un address;
	socklen_t address_bytes;
	uint64_t watchdog_us; /* 0: no watchdog */
};

/** Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID. */
void notify_init(struct notify *notify);
void notify_fini(struct notify *notify);

/** Sends assignments such as "READY=1\nSTATUS=...". Never waits. Any thread. */
void notify_send(const struct notify *notify, const char *fmt, ...) PRINTF(2, 3);

/** Sends RELOADING=1 with the time that sd_notify(3) wants there. */
void notify_reloading(const struct notify *notify);

#endif
