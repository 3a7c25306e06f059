/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which thread may call what. Every thread has one role; a prototype that names a role may only be
 * called from it. clang checks that at compile time (-Wthread-safety: a role is a capability that
 * the thread's entry function acquires); calls through pointers are checked at run time by
 * role_assert().
 *
 * Wait order: an LCORE waits for nobody. CTRL waits for nobody. VHOST may wait for one turn of an
 * LCORE. Nobody waits for a JOB.
 */
#ifndef BASE_THREAD_ROLE_H
#define BASE_THREAD_ROLE_H

enum role_id { ROLE_NONE, ROLE_LCORE, ROLE_CTRL, ROLE_JOB, ROLE_VHOST };

#if defined(__clang__)
#define ROLE_ATTR(x) __attribute__((x))
#else
#define ROLE_ATTR(x)
#endif

struct ROLE_ATTR(capability("role")) thread_role {
	enum role_id id;
};

extern struct thread_role role_lcore; /* pinned, polls; never sleeps, locks or allocates */
extern struct thread_role role_ctrl;  /* the control thread; never blocks */
extern struct thread_role role_job;   /* short-lived worker; may block */
extern struct thread_role role_vhost; /* inside librte_vhost's event thread */

#define IN_LCORE ROLE_ATTR(requires_capability(role_lcore))
#define IN_CTRL  ROLE_ATTR(requires_capability(role_ctrl))
#define IN_JOB   ROLE_ATTR(requires_capability(role_job))
#define IN_VHOST ROLE_ATTR(requires_capability(role_vhost))

/** The calling thread takes up the role: at the top of a thread's function or of a callback. */
void role_enter(struct thread_role *role) ROLE_ATTR(acquire_capability(*role));

/** The calling thread gives the role up. */
void role_leave(struct thread_role *role) ROLE_ATTR(release_capability(*role));

/** The role of the calling thread. */
enum role_id role_current(void);

/** Aborts unless the calling thread has the role; tells clang that it has. */
void role_assert(struct thread_role *role) ROLE_ATTR(assert_capability(*role));

#endif
