/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The one table of errors that vhostd's control socket can answer with.
 *
 * X(NAME, code, summary): NAME is what `error.data.error` carries and what vhostctl prints in
 * scripts; code is the JSON-RPC 2.0 error code (-32768..-32000 are the specification's own,
 * section 5.1; ours are positive); summary explains it in documentation and `rpc.discover`.
 */
#ifndef VHOSTD_ERRORS_H
#define VHOSTD_ERRORS_H

#define VHOSTD_ERRORS(X)                                                                           \
	X(PARSE, -32700, "the line is not JSON, is too long, or is nested too deeply")             \
	X(REQUEST, -32600, "the JSON is not a JSON-RPC 2.0 request")                               \
	X(METHOD, -32601, "there is no such method")                                               \
	X(PARAMS, -32602, "a parameter is missing, unknown, of the wrong type or out of range")    \
	X(INTERNAL, -32603, "the daemon failed to serve the request")                              \
	X(EXISTS, 1, "a device of that name exists")                                               \
	X(NOT_FOUND, 2, "there is no device of that name")                                         \
	X(BUSY, 3, "the device has a connected front end, or an operation on it is under way")     \
	X(IN_USE, 4, "the backing file or block device is in use by somebody else")                \
	X(STORE, 5, "the backing store can't be opened, resized or used")                          \
	X(SOCKET, 6, "the vhost-user socket can't be made")                                        \
	X(LIMIT, 7, "a limit of the daemon is reached")                                            \
	X(UNSUPPORTED, 8, "this device or build can't do that")                                    \
	X(SHUTDOWN, 9, "the daemon is shutting down")

#define VHOSTD_ERROR_ENUM(name, code, summary) VHOSTD_ERR_##name = (code),
enum vhostd_error { VHOSTD_ERR_OK = 0, VHOSTD_ERRORS(VHOSTD_ERROR_ENUM) };
#undef VHOSTD_ERROR_ENUM

#endif
