/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one table of the daemon's settings: each is a key of the JSON configuration file, and,
 * unless it says FILE_ONLY, a flag of the vhostd command line (--name, '_' written as '-').
 *
 * S(name, type, metavar, default text, where, summary). `type` as in methods.h.
 * A further key, "devices", is a list of objects with the keys of VHOSTD_PARAMS_device_add.
 */
#ifndef VHOSTD_SETTINGS_H
#define VHOSTD_SETTINGS_H

enum vhostd_setting_where { VHOSTD_FLAG_AND_FILE, VHOSTD_FILE_ONLY };

#define VHOSTD_SETTINGS(S)                                                                         \
	S(control, STRING, "PATH", "RUNTIME-DIR/control.sock", VHOSTD_FLAG_AND_FILE,               \
	  "Unix socket of the control interface")                                                  \
	S(socket_dir, STRING, "DIR", "RUNTIME-DIR", VHOSTD_FLAG_AND_FILE,                          \
	  "where the vhost-user sockets are made, NAME.sock for each disk")                        \
	S(state_dir, STRING, "DIR", "$STATE_DIRECTORY, else RUNTIME-DIR", VHOSTD_FLAG_AND_FILE,    \
	  "where the daemon keeps what has to outlive it")                                         \
	S(lcores, LCORES, "LIST", "the last CPU it may use", VHOSTD_FLAG_AND_FILE,                 \
	  "CPUs that poll, such as 1,3-5")                                                         \
	S(memory, UINT, "MB", "128", VHOSTD_FLAG_AND_FILE, "memory of the DPDK heap")              \
	S(hugepages, BOOL, "", "off", VHOSTD_FLAG_AND_FILE, "DPDK heap in hugepages")              \
	S(poll, STRING, "MODE", "adaptive", VHOSTD_FLAG_AND_FILE,                                  \
	  "how disks are waited for: busy (lcores never sleep) or adaptive")                       \
	S(poll_idle_us, UINT, "US", "100", VHOSTD_FLAG_AND_FILE,                                   \
	  "adaptive: a virtqueue that was idle for so long is woken by kicks")                     \
	S(poll_io_us, UINT, "US", "20", VHOSTD_FLAG_AND_FILE,                                      \
	  "adaptive: an lcore polls so long at most until a disk has done something")              \
	S(open_deadline, UINT, "SECONDS", "10", VHOSTD_FLAG_AND_FILE,                              \
	  "report an add or resize that takes longer; 0: never")                                   \
	S(drain_deadline, UINT, "SECONDS", "30", VHOSTD_FLAG_AND_FILE,                             \
	  "report requests that take longer to end when a disk stops; 0: never")                   \
	S(close_deadline, UINT, "SECONDS", "10", VHOSTD_FLAG_AND_FILE,                             \
	  "report a connection, socket or store that takes longer to close; 0: never")             \
	S(log_level, STRING, "LEVEL", "info", VHOSTD_FLAG_AND_FILE,                                \
	  "err, warning, notice, info or debug")                                                   \
	S(control_mode, STRING, "OCTAL", "0600", VHOSTD_FILE_ONLY, "mode of the control socket")   \
	S(control_group, STRING, "GROUP", "the daemon's", VHOSTD_FILE_ONLY,                        \
	  "group of the control socket")                                                           \
	S(socket_mode, STRING, "OCTAL", "0660", VHOSTD_FILE_ONLY,                                  \
	  "mode of the vhost-user sockets")                                                        \
	S(socket_group, STRING, "GROUP", "the daemon's", VHOSTD_FILE_ONLY,                         \
	  "group of the vhost-user sockets")

#endif
