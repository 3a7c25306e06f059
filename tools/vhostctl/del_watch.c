/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The questions go out on the connection that waits for the answer to device.del, with ids of
 * their own; answers may come in any order.
 */
#include "del_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "text.h"

#define DEL_ID    1
#define SHOW_ID   2
#define PERIOD_MS 250

struct del_watch {
	struct client *client;
	struct json_object *show_params;
	int64_t next_show_ms; /* INT64_MAX: one is under way, or none is wanted any more */
	char *last;           /* what was printed last */
	bool answered;        /* the deletion has ended */
};

static void print_if_changed(struct del_watch *w, struct json_object *device)
{
	char *name = field_text(field_get(device, "name"), FIELD_TEXT);
	char *state = field_text(field_get(device, "state"), FIELD_TEXT);
	char *waits_for = field_text(field_get(device, "waits_for"), FIELD_TEXT);
	char *line = strcmp(waits_for, "-")
			     ? text_printf("%s: %s, waits for %s", name, state, waits_for)
			     : text_printf("%s: %s", name, state);
	if (!w->last || strcmp(line, w->last) != 0) {
		puts(line);
		fflush(stdout);
	}
	free(w->last);
	w->last = line;
	free(waits_for);
	free(state);
	free(name);
}

/* After an error answer (the disk is gone by now) nobody asks again. */
static void on_show_answer(struct del_watch *w, struct json_object *answer)
{
	struct json_object *device = json_object_object_get(answer, "result");
	if (!json_object_is_type(device, json_type_object))
		return;
	print_if_changed(w, device);
	w->next_show_ms = client_now_ms() + PERIOD_MS;
}

static enum exit_code ask(struct del_watch *w)
{
	w->next_show_ms = INT64_MAX;
	return client_send(w->client, SHOW_ID, "device.show", w->show_params);
}

/* Serves one message or one moment. *ret_result is set when the deletion is answered. */
static enum exit_code step(struct del_watch *w, struct json_object **ret_result)
{
	struct json_object *message;
	enum exit_code code = client_receive(w->client, w->next_show_ms, &message);
	if (code != EXIT_OK)
		return code;
	if (!message)
		return ask(w);
	w->answered = client_answers(message, DEL_ID);
	if (w->answered)
		code = client_result(w->client, message, ret_result);
	else if (client_answers(message, SHOW_ID))
		on_show_answer(w, message);
	json_object_put(message);
	return code;
}

enum exit_code del_watch(struct client *client, struct json_object *params,
			 struct json_object **ret_result)
{
	struct del_watch w = {.client = client,
			      .show_params = text_must(json_object_new_object()),
			      .next_show_ms = client_now_ms() + PERIOD_MS};
	json_object_object_add(w.show_params, "name",
			       json_object_get(json_object_object_get(params, "name")));
	enum exit_code code = client_send(client, DEL_ID, "device.del", params);
	while (code == EXIT_OK && !w.answered)
		code = step(&w, ret_result);
	json_object_put(w.show_params);
	free(w.last);
	return code;
}
