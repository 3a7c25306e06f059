/* SPDX-License-Identifier: BSD-3-Clause
 *
 * librte_vhost's event thread begins by sleeping in poll() for a second, and the socket that it is
 * to listen on does not wake it: the first front end would wait. From then on all that concerns it
 * happens on descriptors that it polls.
 */
#ifndef DEVICE_EVENT_THREAD_H
#define DEVICE_EVENT_THREAD_H

/** Right after librte_vhost was started: returns when its thread has answered a carrier; after a
 *  second at the latest. */
void event_thread_settle(void);

#endif
