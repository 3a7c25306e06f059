/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What each message order sends at each step of a session; used by vfe_blk.c only. Steps return 0
 * or -errno. vfe_blk.h describes the orders.
 */
#ifndef VFE_ORDER_H
#define VFE_ORDER_H

#include "vfe_blk.h"

struct vfe_order_steps {
	const char *name;
	int (*connect)(struct vfe_blk *blk);  /* before rings exist */
	int (*announce)(struct vfe_blk *blk); /* rings exist, the device is not started */
	int (*start)(struct vfe_blk *blk);
	int (*stop)(struct vfe_blk *blk);
};

/* By enum vfe_order. */
extern const struct vfe_order_steps vfe_order_steps[];

#endif
