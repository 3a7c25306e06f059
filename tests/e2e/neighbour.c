/* SPDX-License-Identifier: BSD-3-Clause */
/* The frame of a test on neighbours. A's thread fails no test by itself: it says so. */
#include "neighbour.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define A_DEPTH       16
#define A_ROUND       32 /* requests */
#define A_PAUSE_US    1000
#define BLOCK_SECTORS 8u
#define N_BLOCKS      512u
#define SETTLE_MS     15000

/* Mappings that the C library keeps for later: stacks and arenas. Sanitizers keep shadows. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MAPS_SLACK 50000
#else
#define MAPS_SLACK 96
#endif

static void *serve_a(void *arg)
{
	struct neighbour *nb = arg;
	int64_t start_ms, took_ms;
	int rc = 0;

	while (!rc && !atomic_load(&nb->stop)) {
		start_ms = vfe_now_ms();
		rc = vfe_load_run(&nb->load, 1, A_ROUND);
		took_ms = vfe_now_ms() - start_ms;
		if (took_ms > atomic_load(&nb->longest_ms))
			atomic_store(&nb->longest_ms, took_ms);
		atomic_fetch_add(&nb->n_rounds, 1);
		usleep(A_PAUSE_US);
	}
	nb->error = rc;
	if (rc)
		atomic_store(&nb->failed, true);
	return NULL;
}

static void stop_a(struct neighbour *nb)
{
	if (!nb->running)
		return;
	atomic_store(&nb->stop, true);
	pthread_join(nb->thread, NULL);
	nb->running = false;
}

static void clean_up(void *arg)
{
	struct neighbour *nb = arg;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (nb->helper[i].pid)
			td_helper_end(&nb->helper[i]);
	}
	stop_a(nb);
	vfe_load_fini(&nb->load);
	vfe_model_fini(&nb->model);
}

static unsigned int count_lines(const char *file, const char *with)
{
	char path[64], line[512];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)fx_backend()->td.pid, file);
	f = fopen(path, "re");
	FX_ASSERT(f, "%s", path);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, with) != NULL;
	fclose(f);
	return n;
}

static unsigned int count_entries(const char *dir_name, const char *target)
{
	char path[64], link[64], link_path[128];
	const struct dirent *entry;
	unsigned int n = 0;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)fx_backend()->td.pid, dir_name);
	dir = opendir(path);
	FX_ASSERT(dir, "%s", path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(link_path, sizeof(link_path), "%s/%.30s", path, entry->d_name);
		len = target ? readlink(link_path, link, sizeof(link) - 1) : 0;
		link[len > 0 ? len : 0] = '\0';
		n += !target || strncmp(link, target, strlen(target)) == 0;
	}
	closedir(dir);
	return n;
}

/* Ours, or the kernel's for io_uring. A thread that ends while we look is none. */
static bool is_helper(const char *id)
{
	char path[96], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", (int)fx_backend()->td.pid, id);
	f = fopen(path, "re");
	if (f && !fgets(name, sizeof(name), f))
		name[0] = '\0';
	if (f)
		fclose(f);
	return !name[0] || strcmp(name, "vhostd-offload\n") == 0 ||
	       strncmp(name, "iou-wrk", 7) == 0;
}

/* Helpers of the stores stay for some seconds after their work, for the next. */
static unsigned int count_threads(void)
{
	unsigned int n = 0;
	const struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)fx_backend()->td.pid);
	dir = opendir(path);
	FX_ASSERT(dir, "%s", path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		n += !is_helper(entry->d_name);
	}
	closedir(dir);
	return n;
}

static void count(struct nb_counts *ret_counts)
{
	*ret_counts = (struct nb_counts){
		.n_fds = count_entries("fd", NULL),
		.n_sockets = count_entries("fd", "socket:"),
		.n_threads = count_threads(),
		.n_maps = count_lines("maps", ""),
		.n_guest_maps = count_lines("maps", "memfd:guest-memory"),
	};
}

static bool nothing_more(const struct nb_counts *now, const struct nb_counts *before)
{
	return now->n_fds <= before->n_fds && now->n_sockets <= before->n_sockets &&
	       now->n_threads <= before->n_threads && now->n_guest_maps <= before->n_guest_maps &&
	       now->n_maps <= before->n_maps + MAPS_SLACK;
}

/* What has just ended is closed a little later; idle helper threads end after some seconds. */
static void check_counts(const struct nb_counts *before)
{
	int64_t deadline_ms = vfe_now_ms() + SETTLE_MS;
	struct nb_counts now;

	count(&now);
	while (!nothing_more(&now, before) && vfe_now_ms() < deadline_ms) {
		usleep(20000);
		count(&now);
	}
	FX_ASSERT(nothing_more(&now, before),
		  "now and before: descriptors %u %u, sockets %u %u, threads %u %u, maps %u %u, of "
		  "guests %u %u",
		  now.n_fds, before->n_fds, now.n_sockets, before->n_sockets, now.n_threads,
		  before->n_threads, now.n_maps, before->n_maps, now.n_guest_maps,
		  before->n_guest_maps);
}

struct neighbour *nb_start(void)
{
	static const struct vfe_load_opts opts = {
		.depth = A_DEPTH, .max_blocks = 4, .write_percent = 50};
	struct neighbour *nb = fx_buf(sizeof(*nb));
	struct vfe_blk *blk = fx_open(fx_disk(NULL), NULL);

	fx_at_end(clean_up, nb);
	FX_OK(vfe_model_init(&nb->model, 0, BLOCK_SECTORS, N_BLOCKS));
	FX_OK(vfe_load_init(&nb->load, &nb->model, blk, 0, &opts));
	FX_OK(pthread_create(&nb->thread, NULL, serve_a, nb));
	nb->running = true;
	nb_c_lives(nb, true);
	nb_a_is_served(nb);
	usleep(200000); /* C's descriptors are closed by now */
	count(&nb->before);
	return nb;
}

static void check_a(struct neighbour *nb)
{
	FX_ASSERT(td_alive(&fx_backend()->td), "the daemon is gone");
	FX_ASSERT(!atomic_load(&nb->failed), "A's load: %d %s", nb->error, nb->load.failure);
	FX_ASSERT(atomic_load(&nb->longest_ms) < NB_A_MS, "%d requests of A took %lld ms", A_ROUND,
		  atomic_load(&nb->longest_ms));
}

void nb_a_is_served(struct neighbour *nb)
{
	int64_t deadline_ms = vfe_now_ms() + NB_A_MS;
	unsigned int start = atomic_load(&nb->n_rounds), n;

	/* Two: the first may have ended before we came. */
	while ((n = atomic_load(&nb->n_rounds) - start) < 2 && vfe_now_ms() < deadline_ms)
		usleep(1000);
	check_a(nb);
	FX_ASSERT(n >= 2, "A was served %u times in %d ms", n, NB_A_MS);
}

void nb_c_lives(struct neighbour *nb, bool connect)
{
	int64_t start_ms = vfe_now_ms(), took_ms;
	struct td_disk *disk;
	struct vfe_blk *blk;

	(void)nb;
	json_object_put(nb_call("device.list", "{}"));
	disk = fx_disk(NULL);
	if (connect) {
		blk = fx_open(disk, NULL);
		fx_serves(fx_io(blk, 0, 1, 4096), 0);
		vfe_blk_close(blk);
	}
	FX_OK(td_disk_del(fx_backend(), disk, true));
	fx_disk_gone(disk);
	took_ms = vfe_now_ms() - start_ms;
	FX_ASSERT(took_ms < NB_BOUND_MS, "C's life took %d ms", (int)took_ms);
}

void nb_goes_on(struct neighbour *nb)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		nb_a_is_served(nb);
		nb_c_lives(nb, true);
	}
}

void nb_finish(struct neighbour *nb)
{
	unsigned int i;

	nb_goes_on(nb);
	for (i = 0; i < 2; i++) {
		if (nb->helper[i].pid)
			FX_OK(td_helper_end(&nb->helper[i]));
	}
	check_counts(&nb->before);
	stop_a(nb);
	check_a(nb);
}

struct td_helper *nb_helper(struct neighbour *nb, unsigned int which, const char *const *argv)
{
	FX_OK(td_helper_start(&nb->helper[which], argv));
	FX_OK(td_helper_expect(&nb->helper[which], "ready"));
	return &nb->helper[which];
}

struct td_helper *nb_trouble(struct neighbour *nb, const struct td_disk *disk, const char *kind,
			     const char *const *options)
{
	const char *argv[16] = {getenv("BENCH_TROUBLE"), kind, "--socket", disk->socket};
	unsigned int n = 4;

	FX_ASSERT(argv[0], "the environment variable BENCH_TROUBLE must name bench-trouble");
	while (options && *options && n < 15)
		argv[n++] = *options++;
	return nb_helper(nb, 0, argv);
}

struct json_object *nb_call(const char *method, const char *format, ...)
{
	int64_t start_ms = vfe_now_ms(), took_ms;
	struct json_object *object = NULL;
	char params[512], text[256] = "";
	va_list ap;
	int rc;

	va_start(ap, format);
	vsnprintf(params, sizeof(params), format, ap);
	va_end(ap);
	rc = td_rpc(&fx_backend()->td, method, params, &object);
	took_ms = vfe_now_ms() - start_ms;
	if (rc && object) {
		snprintf(text, sizeof(text), "%s", json_object_to_json_string(object));
		json_object_put(object);
	}
	FX_ASSERT(rc == 0, "%s %s: %d %s", method, params, rc, text);
	FX_ASSERT(took_ms < NB_BOUND_MS, "%s %s took %d ms", method, params, (int)took_ms);
	return object;
}

/* What device.show says, 64 and 128 bytes; "" for a disk that is gone. */
static void show(const char *name, char *ret_state, char *ret_waits_for)
{
	struct json_object *object = NULL, *value;
	char params[128];
	int rc;

	snprintf(params, sizeof(params), "{\"name\":\"%s\"}", name);
	rc = td_rpc(&fx_backend()->td, "device.show", params, &object);
	ret_state[0] = ret_waits_for[0] = '\0';
	if (!rc && json_object_object_get_ex(object, "state", &value))
		snprintf(ret_state, 64, "%s", json_object_get_string(value));
	if (!rc && json_object_object_get_ex(object, "waits_for", &value))
		snprintf(ret_waits_for, 128, "%s", json_object_get_string(value));
	json_object_put(object);
	FX_ASSERT(rc == 0 || rc == -EREMOTEIO, "device.show: %d", rc);
}

void nb_wait_state(const char *name, const char *state, char *ret_waits_for)
{
	int64_t deadline_ms = vfe_now_ms() + NB_BOUND_MS;
	char now[64], waits_for[128];

	show(name, now, waits_for);
	while (strcmp(now, state) != 0 && vfe_now_ms() < deadline_ms) {
		usleep(10000);
		show(name, now, waits_for);
	}
	FX_ASSERT(strcmp(now, state) == 0, "%s is \"%s\" (waits for %s), not \"%s\"", name, now,
		  waits_for, state);
	if (ret_waits_for)
		snprintf(ret_waits_for, 128, "%s", waits_for);
}
