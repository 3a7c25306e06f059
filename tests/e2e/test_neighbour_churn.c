/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same thing of B, many times: memory tables, connections, lives. A next to it is served all
 * the time, and nothing is left over.
 */
#include "neighbour.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define N_TABLES      200
#define N_CONNECTIONS 1000
#define N_LIVES       1000
#define N_AT_ONCE     64
#define N_CLIENTS     8
#define N_RACES       60

/* Two regions of a GiB, touched in part: whole, and cut in two, in turn. */
static void memory_tables_under_load(void **state)
{
	static const struct vfe_region_spec regions[] = {
		{.gpa = 0x100000, .size_bytes = 1ull << 30},
		{.gpa = 1ull << 32, .size_bytes = 1ull << 30},
	};
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL);
	struct nb_load *b = nb_load_open_in(disk, 32, regions, 2);
	struct vfe_mem split;
	unsigned int i;
	int rc = 0;

	(void)state;
	FX_OK(vfe_mem_split(&split, &b->blk->mem));
	for (i = 0; i < N_TABLES && !rc; i++) {
		vfe_load_send(&b->load, 32);
		rc = vfe_blk_set_mem_table(b->blk, i % 2 ? &b->blk->mem : &split);
		if (!rc && vfe_load_run(&b->load, 1, 40))
			rc = -EIO;
	}
	vfe_mem_fini(&split);
	FX_ASSERT(rc == 0, "memory table %u: %d %s", i, rc, b->load.failure);
	nb_goes_on(nb);
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
	nb_load_ended(b, disk);
	nb_load_close(b);
	nb_finish(nb);
}

static void connections(void **state)
{
	struct neighbour *nb = nb_start();
	struct td_disk *disk = fx_disk(NULL);
	struct vfe_blk *blk = fx_session();
	struct vfe_blk_opts opts;
	unsigned int i;

	(void)state;
	vfe_blk_opts_init(&opts, disk->socket);
	for (i = 0; i < N_CONNECTIONS; i++) {
		FX_OK(vfe_blk_open(blk, &opts));
		vfe_blk_close(blk);
		if (i % 200 == 0)
			nb_goes_on(nb);
	}
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
	nb_finish(nb);
}

static void call_b(const char *method, unsigned int i, const char *more)
{
	json_object_put(nb_call(method, "{\"name\":\"life%u\"%s}", i, more));
}

static const char *kind_of(unsigned int i)
{
	return i % 2 ? ",\"backend\":\"malloc\",\"size\":\"1M\""
		     : ",\"backend\":\"null\",\"size\":\"1G\"";
}

static void lives(void **state)
{
	struct neighbour *nb = nb_start();
	unsigned int i;

	(void)state;
	for (i = 0; i < N_LIVES; i++) {
		call_b("device.add", 0, kind_of(i));
		call_b("device.del", 0, "");
		if (i % 200 == 0)
			nb_goes_on(nb);
	}
	nb_finish(nb);
}

static void many_deletions_at_once(void **state)
{
	struct neighbour *nb = nb_start();
	unsigned int i;
	char name[32];

	(void)state;
	for (i = 0; i < N_AT_ONCE; i++)
		call_b("device.add", i, kind_of(i));
	nb_a_is_served(nb);
	for (i = 0; i < N_AT_ONCE; i++)
		call_b("device.del", i, ",\"no_wait\":true");
	nb_goes_on(nb);
	for (i = 0; i < N_AT_ONCE; i++) {
		snprintf(name, sizeof(name), "life%u", i);
		nb_wait_state(name, "", NULL);
	}
	nb_finish(nb);
}

/* One client of a race: what it was answered. */
struct racer {
	pthread_t thread;
	unsigned int n_done, n_refused;
	char strange[128]; /* an answer that is not in the manual */
};

static bool is_documented(const char *method, const char *error)
{
	if (strcmp(error, "BUSY") == 0)
		return true;
	return strcmp(error, strcmp(method, "device.add") ? "NOT_FOUND" : "EXISTS") == 0;
}

static void race_once(struct racer *r, const char *method, const char *params)
{
	struct json_object *object = NULL;
	int rc = td_rpc(&fx_backend()->td, method, params, &object);

	if (rc == 0)
		r->n_done++;
	else if (rc == -EREMOTEIO && is_documented(method, td_error_name(object)))
		r->n_refused++;
	else
		snprintf(r->strange, sizeof(r->strange), "%s: %d %.90s", method, rc,
			 object ? json_object_to_json_string(object) : "");
	json_object_put(object);
}

static void *race(void *arg)
{
	struct racer *r = arg;
	unsigned int i;

	for (i = 0; i < N_RACES; i++) {
		race_once(r, "device.add",
			  "{\"name\":\"raced\",\"backend\":\"null\",\"size\":\"1G\"}");
		race_once(r, "device.del",
			  i % 2 ? "{\"name\":\"raced\"}" : "{\"name\":\"raced\",\"force\":true}");
	}
	return NULL;
}

static void racing_clients(void **state)
{
	struct racer *racers = fx_buf(N_CLIENTS * sizeof(*racers));
	struct neighbour *nb = nb_start();
	unsigned int i, n_done = 0;
	struct racer last = {0};

	(void)state;
	for (i = 0; i < N_CLIENTS; i++)
		FX_OK(pthread_create(&racers[i].thread, NULL, race, &racers[i]));
	nb_a_is_served(nb);
	for (i = 0; i < N_CLIENTS; i++)
		pthread_join(racers[i].thread, NULL);
	for (i = 0; i < N_CLIENTS; i++) {
		FX_ASSERT(!racers[i].strange[0], "%s", racers[i].strange);
		FX_ASSERT(racers[i].n_done + racers[i].n_refused == 2 * N_RACES, "%u answers",
			  racers[i].n_done + racers[i].n_refused);
		n_done += racers[i].n_done;
	}
	FX_ASSERT(n_done >= N_RACES / 2, "%u of all were done", n_done);
	race_once(&last, "device.del", "{\"name\":\"raced\"}");
	nb_wait_state("raced", "", NULL);
	nb_finish(nb);
}

static const struct fx_case cases[] = {
	FX_CASE(memory_tables_under_load), FX_CASE(connections),    FX_CASE(lives),
	FX_CASE(many_deletions_at_once),   FX_CASE(racing_clients),
};

int main(int argc, char **argv)
{
	return fx_main(argc, argv, "neighbour_churn", cases, sizeof(cases) / sizeof(cases[0]));
}
