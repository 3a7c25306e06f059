/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one table of the control socket's methods and their parameters. The daemon dispatches and
 * checks parameters by it, `rpc.discover` prints it, vhostctl makes its usage text, its
 * completion and its command line from it, and the tests hold the man pages against it.
 *
 * M(id, method, command, summary): id names the handler (`cmd_<id>`) and the parameter table;
 * command is the vhostctl word, "" where vhostctl has none.
 *
 * P(name, type, flags, metavar, summary): a parameter. In vhostctl a POSITIONAL parameter is a
 * bare word, any other is the option --name with '_' written as '-'; a BOOL is an option without
 * a value. REQUIRED: refused when missing.
 *
 * Types: STRING; SIZE (a number of bytes, or a string such as "512M": K M G T are powers of
 * 1024); RATE (the same for a second, and 0 is no limit); TIME (a string such as "500ms" or "2s");
 * UINT; BOOL; LCORES (a string such as "1,3-5").
 */
#ifndef VHOSTD_METHODS_H
#define VHOSTD_METHODS_H

enum vhostd_param_type {
	VHOSTD_PARAM_STRING,
	VHOSTD_PARAM_SIZE,
	VHOSTD_PARAM_RATE,
	VHOSTD_PARAM_TIME,
	VHOSTD_PARAM_UINT,
	VHOSTD_PARAM_BOOL,
	VHOSTD_PARAM_LCORES,
};

enum vhostd_param_flags {
	VHOSTD_PARAM_OPTIONAL = 0,
	VHOSTD_PARAM_REQUIRED = 1,
	VHOSTD_PARAM_POSITIONAL = 2,
};

/** One parameter of a method, or one key of a configuration object. */
struct vhostd_param {
	const char *name;
	enum vhostd_param_type type;
	unsigned int flags; /* enum vhostd_param_flags */
	const char *metavar;
	const char *summary;
};

#define VHOSTD_P(name, type, flags, metavar, summary)                                              \
	{name, VHOSTD_PARAM_##type, flags, metavar, summary},

#define VHOSTD_REQ_POS (VHOSTD_PARAM_REQUIRED | VHOSTD_PARAM_POSITIONAL)

#define VHOSTD_METHODS(M)                                                                          \
	M(device_add, "device.add", "add", "Add a disk and its vhost-user socket")                 \
	M(device_del, "device.del", "del", "Delete a disk; in-flight requests complete first")     \
	M(device_list, "device.list", "list", "List the disks")                                    \
	M(device_show, "device.show", "show", "Show all there is to know about a disk")            \
	M(device_resize, "device.resize", "resize",                                                \
	  "Give a disk another size; without SIZE take over the file's")                           \
	M(device_qos, "device.qos", "qos",                                                         \
	  "Show or change a disk's limits of requests and bytes a second")                         \
	M(device_move, "device.move", "move", "Have virtqueues of a disk served by another lcore") \
	M(device_coalesce, "device.coalesce", "coalesce",                                          \
	  "Show or change how a disk's interrupts are coalesced")                                  \
	M(stats_get, "stats.get", "stats", "Show the request counters of all disks or of one")     \
	M(lcore_list, "lcore.list", "lcores", "Show the lcores, what they serve and how busy")     \
	M(lcore_rebalance, "lcore.rebalance", "rebalance",                                         \
	  "Propose a better spread of the virtqueues over the lcores, or carry it out")            \
	M(lcore_trace, "lcore.trace", "trace",                                                     \
	  "Show what slow turns of the lcores were spent on, or switch their tracing on or off")   \
	M(log_level, "log.level", "log-level", "Show or set the log level")                        \
	M(daemon_info, "daemon.info", "info", "Show the daemon's version, settings and limits")    \
	M(daemon_shutdown, "daemon.shutdown", "shutdown", "Drain and end the daemon")              \
	M(rpc_discover, "rpc.discover", "", "List the methods, their parameters and the errors")

/* Limits of a disk. */
#define VHOSTD_PARAMS_QOS(P)                                                                       \
	P("iops", UINT, 0, "N", "limit: requests a second; 0: none")                               \
	P("read_iops", UINT, 0, "N", "limit: reads a second; 0: none")                             \
	P("write_iops", UINT, 0, "N", "limit: writes a second; 0: none")                           \
	P("bandwidth", RATE, 0, "SIZE", "limit: bytes a second, such as 200M; 0: none")            \
	P("read_bandwidth", RATE, 0, "SIZE", "limit: bytes read a second; 0: none")                \
	P("write_bandwidth", RATE, 0, "SIZE", "limit: bytes written a second; 0: none")            \
	P("burst", TIME, 0, "TIME",                                                                \
	  "what an idle disk saves up, in time at its limits: 10ms to 3600s; default 100ms")

/* Interrupt coalescing of a disk. */
#define VHOSTD_PARAMS_COALESCE(P)                                                                  \
	P("coalesce_us", UINT, 0, "US",                                                            \
	  "interrupts of busy virtqueues may come so much later, 1 to 10000; 0 (default): at "     \
	  "once")                                                                                  \
	P("coalesce_iops", UINT, 0, "N",                                                           \
	  "busy is from so many completed requests a second on; default: any")

/* The keys of a disk: parameters of device.add and keys of a "devices" entry of the
 * configuration file. */
#define VHOSTD_PARAMS_device_add(P)                                                                \
	P("name", STRING, VHOSTD_REQ_POS, "NAME", "1 to 64 of A-Z a-z 0-9 _ . -, no leading dot")  \
	P("backend", STRING, 0, "KIND",                                                            \
	  "aio or uring (file or block device), auto (the better of the two; the default with "    \
	  "path), malloc (memory) or null (for measuring)")                                        \
	P("path", STRING, 0, "PATH", "the file or block device; absolute")                         \
	P("size", SIZE, 0, "SIZE",                                                                 \
	  "capacity, such as 10G; default: all of the file; malloc, null: required")               \
	P("block_size", UINT, 0, "BYTES", "logical block size, 512 (default) or 4096")             \
	P("queues", UINT, 0, "N", "virtqueues offered, 1 (default) to 64")                         \
	P("readonly", BOOL, 0, "", "the guest can't write")                                        \
	P("serial", STRING, 0, "TEXT", "what the guest reads as the disk's serial; 20 bytes")      \
	P("lcores", LCORES, 0, "LIST", "lcores that may serve it, such as 1,3-5; default: all")    \
	P("poll", STRING, 0, "MODE", "busy or adaptive; default: the daemon's")                    \
	P("pin_memory", BOOL, 0, "",                                                               \
	  "uring: pin the guest's memory, all of it; not for guests with a memory balloon")        \
	P("sqpoll_cpu", UINT, 0, "CPU",                                                            \
	  "uring: a thread of the kernel, polling on this CPU, submits; default: the lcore does")  \
	P("iopoll", BOOL, 0, "", "uring: poll the device for completions; NVMe with poll queues")  \
	VHOSTD_PARAMS_QOS(P)                                                                       \
	VHOSTD_PARAMS_COALESCE(P)

#define VHOSTD_PARAMS_device_del(P)                                                                \
	P("name", STRING, VHOSTD_REQ_POS, "NAME", "the disk")                                      \
	P("force", BOOL, 0, "", "also with a connected front end, which is disconnected")          \
	P("no_wait", BOOL, 0, "", "answer when the deletion has begun, not when it has ended")

#define VHOSTD_PARAMS_device_list(P)

#define VHOSTD_PARAMS_device_show(P) P("name", STRING, VHOSTD_REQ_POS, "NAME", "the disk")

#define VHOSTD_PARAMS_device_resize(P)                                                             \
	P("name", STRING, VHOSTD_REQ_POS, "NAME", "the disk")                                      \
	P("size", SIZE, VHOSTD_PARAM_POSITIONAL, "SIZE", "the new capacity; default: the file's")  \
	P("shrink", BOOL, 0, "", "also to less: what lies behind the new end is lost to the guest")

#define VHOSTD_PARAMS_device_qos(P)                                                                \
	P("name", STRING, VHOSTD_REQ_POS, "NAME", "the disk")                                      \
	VHOSTD_PARAMS_QOS(P)                                                                       \
	P("off", BOOL, 0, "", "lift all limits")

#define VHOSTD_PARAMS_device_move(P)                                                               \
	P("name", STRING, VHOSTD_REQ_POS, "NAME", "the disk")                                      \
	P("queue", UINT, 0, "N", "this virtqueue only; default: all of the disk's")                \
	P("lcore", UINT, VHOSTD_PARAM_REQUIRED, "CPU", "the lcore that is to serve it")

#define VHOSTD_PARAMS_device_coalesce(P)                                                           \
	P("name", STRING, VHOSTD_REQ_POS, "NAME", "the disk")                                      \
	VHOSTD_PARAMS_COALESCE(P)                                                                  \
	P("off", BOOL, 0, "", "interrupts at once from now on")

#define VHOSTD_PARAMS_stats_get(P)                                                                 \
	P("name", STRING, VHOSTD_PARAM_POSITIONAL, "NAME", "one disk only")

#define VHOSTD_PARAMS_lcore_list(P)                                                                \
	P("reset", BOOL, 0, "", "have the longest turn measured anew from now on")

#define VHOSTD_PARAMS_lcore_rebalance(P) P("apply", BOOL, 0, "", "carry the proposal out")

#define VHOSTD_PARAMS_lcore_trace(P)                                                               \
	P("over_us", UINT, 0, "US",                                                                \
	  "from now on keep the turns that take US microseconds or more, 1 to 1000000")            \
	P("off", BOOL, 0, "", "keep no more")

#define VHOSTD_PARAMS_log_level(P)                                                                 \
	P("level", STRING, VHOSTD_PARAM_POSITIONAL, "LEVEL", "err, warning, notice, info, debug")

#define VHOSTD_PARAMS_daemon_info(P)
#define VHOSTD_PARAMS_daemon_shutdown(P)
#define VHOSTD_PARAMS_rpc_discover(P)

#endif
