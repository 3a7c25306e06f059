/* SPDX-License-Identifier: BSD-3-Clause
 *
 * libFuzzer: what a client of the control socket sends, up to the checked parameters of device.add
 * and the text of an answer.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "control/ctl_lines.h"
#include "control/jsonrpc.h"
#include "control/params.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void serve(const char *line, size_t n_bytes)
{
	struct jsonrpc_request request;
	struct json_object *answer;
	struct device_spec spec;
	struct error err = {0};
	size_t n_printed;

	if (jsonrpc_parse(line, n_bytes, &request, &err) == 0 &&
	    params_check_device(request.params, &err) == 0)
		params_to_spec(request.params, &spec, &err);
	answer = jsonrpc_error(request.id, &err);
	CHECK(!strchr(jsonrpc_print(answer, &n_printed), '\n'), "an answer is one line");
	json_object_put(answer);
	jsonrpc_request_fini(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	static struct ctl_lines lines;
	size_t room, line_bytes;
	const char *line;

	ctl_lines_init(&lines);
	while (n_bytes) {
		char *to = ctl_lines_room(&lines, &room);
		size_t n = n_bytes < room ? n_bytes : room;

		if (!n)
			break;
		memcpy(to, data, n);
		ctl_lines_added(&lines, n);
		data += n;
		n_bytes -= n;
		while ((line = ctl_lines_take(&lines, &line_bytes)) != NULL)
			serve(line, line_bytes);
	}
	return 0;
}
