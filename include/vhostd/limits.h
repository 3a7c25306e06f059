/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Limits and names that vhostd, vhostctl and the tests share.
 */
#ifndef VHOSTD_LIMITS_H
#define VHOSTD_LIMITS_H

#define VHOSTD_NAME_MAX        64   /* bytes of a disk's name */
#define VHOSTD_SERIAL_MAX      20   /* bytes; VIRTIO_BLK_ID_BYTES, virtio 1.2 section 5.2.6 */
#define VHOSTD_QUEUES_MAX      64   /* virtqueues of a disk */
#define VHOSTD_RING_SIZE_MAX   1024 /* descriptors of a virtqueue */
#define VHOSTD_DEVICES_MAX     1016 /* librte_vhost polls 1024 descriptors, one a connection */
#define VHOSTD_LCORES_MAX      128
#define VHOSTD_CTL_LINE_MAX    65536 /* bytes of one request, newline included */
#define VHOSTD_CTL_DEPTH_MAX   8     /* nesting of one request */
#define VHOSTD_CTL_CLIENTS_MAX 64
#define VHOSTD_CTL_BACKLOG_MAX (4 << 20) /* bytes of unread answers before a client is dropped */
#define VHOSTD_CTL_PENDING_MAX 256       /* unanswered requests of one client */

#define VHOSTD_RUNTIME_DIR_ROOT "/run/vhostd"
#define VHOSTD_CONTROL_SOCKET   "control.sock"
#define VHOSTD_CONFIG_FILE      "/etc/vhostd/vhostd.json"

#endif
