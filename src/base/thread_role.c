/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The role of each thread, kept in a thread-local for the run-time check.
 */
#include "base/thread_role.h"

#include "base/compiler.h"

struct thread_role role_lcore = {ROLE_LCORE};
struct thread_role role_ctrl = {ROLE_CTRL};
struct thread_role role_job = {ROLE_JOB};
struct thread_role role_vhost = {ROLE_VHOST};

static _Thread_local enum role_id current;

void role_enter(struct thread_role *role) ROLE_ATTR(no_thread_safety_analysis)
{
	CHECK(current == ROLE_NONE, "a thread has one role");
	current = role->id;
}

void role_leave(struct thread_role *role) ROLE_ATTR(no_thread_safety_analysis)
{
	CHECK(current == role->id, "a thread leaves the role it has");
	current = ROLE_NONE;
}

enum role_id role_current(void)
{
	return current;
}

void role_assert(struct thread_role *role)
{
	CHECK(current == role->id, "this function belongs to another thread role");
}
