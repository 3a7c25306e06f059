/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which lcore serves which virtqueue.
 */
#include <errno.h>
#include <stdlib.h>

#include "device/registry_impl.h"
#include "engine/lcore.h"
#include "pure/spread.h"

/* The lcore with this CPU number, as lcores_nth() counts; lcores_count() when there is none. */
static uint16_t find_lcore(const struct registry *r, uint32_t id)
{
	uint16_t i = 0;

	while (i < lcores_count(r->params.lcores) &&
	       lcore_id(lcores_nth(r->params.lcores, i)) != id)
		i++;
	return i;
}

static bool may_use(const struct device *dev, const struct lcore *lcore)
{
	return lcore_set_count(&dev->spec.lcores) == 0 ||
	       lcore_set_has(&dev->spec.lcores, lcore_id(lcore));
}

/* How much each lcore has to do already. */
static void look_at_lcores(struct registry *r, struct spread_lcore *ret_lcores) IN_CTRL
{
	for (unsigned int i = 0; i < lcores_count(r->params.lcores); i++)
		ret_lcores[i] = (struct spread_lcore){.load_ppm = r->loads.lcores[i].ppm};
	for (const struct device *dev = r->devices; dev; dev = dev->next)
		for (unsigned int q = 0; q < dev->spec.n_queues; q++)
			ret_lcores[dev->placed[q]].n_queues++;
}

void registry_place(struct registry *r, struct device *dev)
{
	unsigned int n, n_lcores = lcores_count(r->params.lcores);
	struct spread_lcore lcores[VHOSTD_LCORES_MAX];
	uint16_t chosen[VHOSTD_LCORES_MAX];

	look_at_lcores(r, lcores);
	for (unsigned int i = 0; i < n_lcores; i++)
		lcores[i].allowed = may_use(dev, lcores_nth(r->params.lcores, i));
	n = spread_choose(lcores, n_lcores, dev->spec.n_queues, chosen);
	CHECK(n > 0, "a device has an lcore");
	for (unsigned int q = 0; q < dev->spec.n_queues; q++)
		dev->placed[q] = chosen[q % n];
}

uint32_t registry_lcore_load_ppm(const struct registry *r, unsigned int lcore)
{
	uint16_t i = find_lcore(r, lcore);

	return i < lcores_count(r->params.lcores) ? r->loads.lcores[i].ppm : 0;
}

static int check_lcore(const struct registry *r, const struct device *dev, uint32_t lcore,
		       struct error *err)
{
	const struct lcore_set *all = lcores_set(r->params.lcores);
	char text[256];

	if (!lcore_set_has(all, lcore)) {
		lcore_set_format(all, text, sizeof(text));
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "lcore: %u is not among the daemon's lcores, %s", lcore, text);
	}
	if (may_use(dev, lcores_nth(r->params.lcores, find_lcore(r, lcore))))
		return 0;
	lcore_set_format(&dev->spec.lcores, text, sizeof(text));
	return error_set(err, VHOSTD_ERR_PARAMS,
			 "lcore: %u is not among the lcores that \"%s\" was added with, %s", lcore,
			 dev->spec.name, text);
}

static int check_move(const struct registry *r, const struct device *dev, const char *name,
		      uint32_t queue, uint32_t lcore, struct error *err) IN_CTRL
{
	if (!dev)
		return error_set(err, VHOSTD_ERR_NOT_FOUND, "name: there is no disk \"%s\"", name);
	if (queue != MOVE_ALL && queue >= dev->spec.n_queues)
		return error_set(err, VHOSTD_ERR_PARAMS,
				 "queue: \"%s\" has no virtqueue %u; it has 0 to %u", name, queue,
				 dev->spec.n_queues - 1u);
	if (check_lcore(r, dev, lcore, err))
		return -1;
	for (uint16_t i = 0; i < dev->spec.n_queues; i++)
		if ((queue == MOVE_ALL || queue == i) &&
		    device_check_move(dev, i, find_lcore(r, lcore), err))
			return -1;
	return 0;
}

void registry_move(struct registry *r, const char *name, uint32_t queue, uint32_t lcore,
		   registry_done_fn done, void *arg)
{
	struct device *dev = registry_find(r, name);
	struct error err = {.code = VHOSTD_ERR_OK};
	struct move_op *op;

	if (check_move(r, dev, name, queue, lcore, &err)) {
		done(arg, NULL, &err);
		return;
	}
	op = move_op_new(done, arg, dev);
	if (!op) {
		error_set(&err, VHOSTD_ERR_INTERNAL, "out of memory");
		done(arg, NULL, &err);
		return;
	}
	for (uint16_t i = 0; i < dev->spec.n_queues; i++)
		if (queue == MOVE_ALL || queue == i)
			device_begin_move(dev, i, find_lcore(r, lcore), op);
	move_op_put(op);
}

/* Whose virtqueue a struct spread_queue is. */
struct owner {
	struct device *dev;
	uint16_t queue;
};

/* All virtqueues that are served, with the loads that they are to their lcores. */
struct census {
	unsigned int n;
	struct spread_queue *queues;
	struct owner *owners;
	struct spread_set *allowed; /* for each disk */
	uint64_t loads_ppm[VHOSTD_LCORES_MAX];
};

static int census_init(struct census *c, unsigned int n_devices, unsigned int n_queues)
{
	*c = (struct census){
		.queues = calloc(n_queues + 1, sizeof(*c->queues)),
		.owners = calloc(n_queues + 1, sizeof(*c->owners)),
		.allowed = calloc(n_devices + 1, sizeof(*c->allowed)),
	};
	return c->queues && c->owners && c->allowed ? 0 : -ENOMEM;
}

static void census_fini(struct census *c)
{
	free(c->queues);
	free(c->owners);
	free(c->allowed);
}

static void census_add(struct census *c, struct device *dev, uint16_t index,
		       struct spread_set *allowed) IN_CTRL
{
	const struct queue_load *load = &dev->loads[index];
	uint16_t lcore = dev->placed[index];

	c->loads_ppm[lcore] += load->ppm;
	c->queues[c->n] = (struct spread_queue){
		.allowed = allowed,
		.load_ppm = load->ppm,
		.lcore = lcore,
	};
	c->owners[c->n++] = (struct owner){dev, index};
}

/* Where a disk's virtqueues may go: nowhere, while one of them could not be moved. */
static void fill_allowed(const struct registry *r, struct device *dev,
			 struct spread_set *ret_allowed) IN_CTRL
{
	if (!device_is_open(dev) || dev->state == DEVICE_QUIESCING || dev->job_running ||
	    device_is_moving(dev))
		return;
	for (unsigned int i = 0; i < lcores_count(r->params.lcores); i++)
		if (may_use(dev, lcores_nth(r->params.lcores, i)))
			spread_set_add(ret_allowed, i);
}

static int take_census(struct registry *r, struct census *c) IN_CTRL
{
	unsigned int n_queues = 0, n_devices = 0;

	for (const struct device *dev = r->devices; dev; dev = dev->next)
		n_queues += dev->spec.n_queues;
	if (census_init(c, r->n_devices, n_queues)) {
		census_fini(c);
		return -ENOMEM;
	}
	for (struct device *dev = r->devices; dev; dev = dev->next) {
		struct spread_set *allowed = &c->allowed[n_devices++];

		fill_allowed(r, dev, allowed);
		for (uint16_t i = 0; i < dev->spec.n_queues; i++)
			if (dev->loads[i].ppm)
				census_add(c, dev, i, allowed);
	}
	return 0;
}

static void fill_moves(const struct registry *r, const struct census *c,
		       struct rebalance_plan *plan)
{
	for (unsigned int i = 0; i < c->n; i++) {
		const struct spread_queue *q = &c->queues[i];
		unsigned int n = plan->n_moves;

		if (q->to == q->lcore)
			continue;
		plan->moves[n].dev = c->owners[i].dev;
		plan->moves[n].queue = c->owners[i].queue;
		plan->moves[n].from = (uint16_t)lcore_id(lcores_nth(r->params.lcores, q->lcore));
		plan->moves[n].to = (uint16_t)lcore_id(lcores_nth(r->params.lcores, q->to));
		plan->moves[n].load_ppm = q->load_ppm;
		plan->n_moves++;
	}
}

int registry_plan(struct registry *r, struct rebalance_plan *plan, struct error *err)
{
	unsigned int n_lcores = lcores_count(r->params.lcores);
	struct census c;

	if (take_census(r, &c))
		return error_set(err, VHOSTD_ERR_INTERNAL, "out of memory");
	*plan = (struct rebalance_plan){.n_lcores = n_lcores};
	for (unsigned int i = 0; i < n_lcores; i++) {
		plan->lcores[i].id = (uint16_t)lcore_id(lcores_nth(r->params.lcores, i));
		plan->lcores[i].before_ppm = c.loads_ppm[i];
	}
	spread_plan(c.queues, c.n, c.loads_ppm, n_lcores, REBALANCE_MOVES_MAX);
	for (unsigned int i = 0; i < n_lcores; i++)
		plan->lcores[i].after_ppm = c.loads_ppm[i];
	fill_moves(r, &c, plan);
	census_fini(&c);
	return 0;
}

void registry_rebalance(struct registry *r, const struct rebalance_plan *plan,
			registry_done_fn done, void *arg)
{
	struct move_op *op = move_op_new(done, arg, NULL);
	struct error err = {.code = VHOSTD_ERR_OK};

	if (!op) {
		error_set(&err, VHOSTD_ERR_INTERNAL, "out of memory");
		done(arg, NULL, &err);
		return;
	}
	for (unsigned int i = 0; i < plan->n_moves; i++)
		device_begin_move(plan->moves[i].dev, plan->moves[i].queue,
				  find_lcore(r, plan->moves[i].to), op);
	move_op_put(op);
}
