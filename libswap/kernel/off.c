/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Take one of the kernel's swap devices out of service.
 *
 * Three steps.  The plan: what must come back, and does it fit in the memory
 * that is available, and in the limits of the memory groups that it belongs to
 * (a page that comes back is charged to its group, and swapoff(2) fails, or
 * kills, where that is full)?  The drain: bring the pages into the swap cache
 * in bulk (drain.h).  Then swapoff(2), which finds them there: it walks the
 * page tables and hardly reads.
 *
 * O1. Until swapoff(2) has succeeded, the device is in service.
 * O2. Nothing else than that changes: not its priority, no other device.
 *
 * A device that is RAM itself (zram), and one that holds next to nothing, is
 * left to swapoff(2) alone, which is as fast there.  Of the latter no more is
 * looked at than is needed: the looks would take longer than the rest.
 *
 * swapoff(2) can be ended by a signal, and puts the device back then.  It runs
 * in a child that dies with us and may be killed: by us, when the progress
 * says so, or by the OOM killer, for which the kernel has marked it.
 */
#include "kernel/off.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/caps.h"
#include "kernel/groups.h"
#include "kernel/headroom.h"
#include "kernel/slots.h"
#include "probe.h"
#include "util.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open	434
#endif

#define LOOK_MSEC	100
/* Less than this is not worth a look through all page tables. */
#define IDLE_BYTES	(UINT64_C(4) << 20)
/* What page tables do not name, before shared memory is searched for it. */
#define UNNAMED_LEAST	(UINT64_C(1) << 20)
#define UNNAMED_SHARE	64u

struct off {
	const struct host *host;
	const struct kernel_off_options *options;
	struct kernel_off_result *result;
	struct kernel_devices devices;
	const struct kernel_device *device;
	uint64_t	 start_usec;
	uint64_t	 drained;	/* bytes, as last reported */
};

/* --------------------------------------------------------------------- plan */

/* The group that lacks most; where no group does, none is named. */
static int
plan_groups(struct off *off)
{
	struct kernel_off_plan *plan = &off->result->plan;
	struct kernel_groups groups;
	uint64_t needs, room, worst = 0;
	int r = kernel_groups(off->host, &groups);

	if (r < 0)
		return r;
	for (size_t i = 0; i < groups.n; i++) {
		needs = min_u64(groups.group[i].swapped, plan->used);
		room = kernel_group_room(&groups.group[i]);
		if (needs <= room || needs - room <= worst)
			continue;
		worst = needs - room;
		format_cut(plan->group, sizeof(plan->group), "%s",
			   groups.group[i].path);
		plan->group_needs = needs;
		plan->group_room = room;
	}
	kernel_groups_clear(&groups);
	return 0;
}

static int
plan_memory(struct off *off)
{
	struct kernel_off_plan *plan = &off->result->plan;
	struct kernel_memory memory;
	int r = kernel_memory_sizes(off->host, &memory);

	if (r < 0)
		return r;
	plan->used = off->device->stats.used_bytes;
	plan->available = memory.available;
	plan->reserve = headroom_reserve(memory.total);
	for (size_t i = 0; i < off->devices.n; i++)
		if (&off->devices.device[i] != off->device)
			plan->elsewhere +=
				off->devices.device[i].stats.size_bytes -
				off->devices.device[i].stats.used_bytes;
	/* A machine that swaps elsewhere meanwhile is slow, not dead. */
	plan->fits = plan->used + plan->reserve <=
		     plan->available + plan->elsewhere;
	return plan->used < IDLE_BYTES ? 0 : plan_groups(off);
}

/* Look where the pages are: whether it drains, and what. */
static int
plan_drain(struct off *off, struct swap_error *error)
{
	struct kernel_off_plan *plan = &off->result->plan;
	struct slot_survey survey;
	uint64_t unnamed;
	int r;

	if (off->options->plain || off->device->is_zram ||
	    plan->used < IDLE_BYTES)
		return 0;
	r = slot_survey(off->host, &off->devices, &survey, error);
	if (r < 0)
		return r;
	plan->number = DRAIN_ANY;
	if (off->device->number >= 0) {
		plan->number = (unsigned)off->device->number;
		plan->placed = survey.distinct[plan->number] * page_bytes();
	}
	slot_survey_clear(&survey);
	plan->placed = min_u64(plan->placed, plan->used);
	unnamed = plan->used - plan->placed;
	plan->shm = unnamed > max_u64(UNNAMED_LEAST,
				      plan->used / UNNAMED_SHARE);
	plan->drains = plan->placed > 0 || plan->shm;
	return 0;
}

static int
refuse_memory(const struct kernel_off_plan *plan, struct swap_error *error)
{
	char used[32], available[32], reserve[32], elsewhere[32];

	format_size(plan->used, used, sizeof(used));
	format_size(plan->available, available, sizeof(available));
	format_size(plan->reserve, reserve, sizeof(reserve));
	format_size(plan->elsewhere, elsewhere, sizeof(elsewhere));
	return error_set(error, -ENOMEM, "%s: %s must come back, but %s of "
			 "memory are available, of which %s are kept free, "
			 "and %s are free on other swap; end a program or "
			 "turn other swap on first (--force tries "
			 "regardless)", plan->path, used, available, reserve,
			 elsewhere);
}

static int
refuse_group(const struct kernel_off_plan *plan, struct swap_error *error)
{
	char needs[32], room[32];

	format_size(plan->group_needs, needs, sizeof(needs));
	format_size(plan->group_room, room, sizeof(room));
	return error_set(error, -ENOMEM, "%s: the memory group %s has %s in "
			 "swap, and its limit leaves it room for %s; raise "
			 "the limit (memory.max, memory.limit_in_bytes) first "
			 "(--force tries regardless)", plan->path, plan->group,
			 needs, room);
}

static int
plan_make(struct off *off, struct swap_error *error)
{
	struct kernel_off_plan *plan = &off->result->plan;
	int r;

	format_cut(plan->path, sizeof(plan->path), "%s", off->device->path);
	r = plan_memory(off);
	if (r < 0)
		return error_set(error, r, "looking at memory: %s",
				 strerror(-r));
	/* Of an idle device swapoff(2) says it. */
	if ((plan->used >= IDLE_BYTES || off->options->dry_run) &&
	    !caps_have(off->host, CAPS_SYS_ADMIN))
		return error_set(error, -EPERM, "%s: only root may turn swap "
				 "off (CAP_SYS_ADMIN)", plan->path);
	r = plan_drain(off, error);
	if (r < 0)
		return r;
	/* On another device a group's pages find room as well. */
	if (plan->group[0] != '\0' &&
	    plan->elsewhere < plan->group_needs - plan->group_room)
		plan->fits = false;
	else
		plan->group[0] = '\0';
	if (plan->fits || off->options->force)
		return 0;
	return plan->group[0] != '\0' ? refuse_group(plan, error) :
					refuse_memory(plan, error);
}

/* -------------------------------------------------------------------- drain */

static int
on_drain(void *arg, const struct swap_progress *progress)
{
	struct off *off = arg;

	off->drained = progress->done_bytes;
	return off->options->progress(off->options->arg, progress);
}

static int
off_drain(struct off *off, struct swap_error *error)
{
	const struct kernel_off_plan *plan = &off->result->plan;
	const struct drain_request request = {
		.number = plan->number,
		.shm = plan->shm,
		.threads = off->options->threads,
		.total_bytes = plan->used,
		.progress = off->options->progress != NULL ? on_drain : NULL,
		.arg = off,
	};
	struct swap_error why = { 0 };
	int r = drain_run(off->host, &request, &off->result->drain, &why);

	off->drained = min_u64(off->result->drain.bytes, plan->used);
	if (r == -ENOMEM && off->options->force)
		return 0;
	if (r < 0)
		return error_set(error, r, "%s: %s; it is still in use as "
				 "before", plan->path, why.message);
	return 0;
}

/* ------------------------------------------------------------------ swapoff */

/* In the child: nothing but system calls. */
static void
child_swapoff(const char *path)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	_exit(swapoff(path) == 0 ? 0 : errno & 127);
}

static int
off_report(struct off *off)
{
	uint64_t total = off->result->plan.used, used = total;
	struct swap_progress progress = {
		.total_bytes = total,
		.elapsed_usec = now_usec() - off->start_usec,
	};

	if (off->options->progress == NULL)
		return 0;
	if (kernel_device_used(off->host, off->device->path, &used) < 0)
		used = total;
	/* What has come back is freed when swapoff(2) gets to it. */
	progress.done_bytes = used < total ? total - used : 0;
	progress.done_bytes = max_u64(progress.done_bytes, off->drained);
	return off->options->progress(off->options->arg, &progress);
}

/*
 * Wait for the child; -EINTR once the progress has had it killed.  A signal
 * ends swapoff(2) between two processes only, so that it may have succeeded
 * nevertheless.
 */
static int
child_wait(struct off *off, pid_t child, int *ret_status)
{
	int fd = (int)syscall(SYS_pidfd_open, child, 0);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	bool stopped = false;
	pid_t r;

	for (;;) {
		r = waitpid(child, ret_status, WNOHANG);
		if (r < 0 && errno != EINTR)
			break;
		if (r == child)
			break;
		poll(&poll_fd, 1, LOOK_MSEC);
		if (!stopped && off_report(off) != 0) {
			kill(child, SIGKILL);
			stopped = true;
		}
	}
	if (fd >= 0)
		close(fd);
	if (r < 0)
		return -errno;
	return stopped && WIFSIGNALED(*ret_status) ? -EINTR : 0;
}

/* If that cannot be told: so. */
static bool
is_still_on(const struct off *off)
{
	struct kernel_devices devices;
	bool on = false;

	if (kernel_devices_table(off->host, &devices) < 0)
		return true;
	for (size_t i = 0; i < devices.n; i++)
		on = on || strcmp(devices.device[i].path,
				  off->device->path) == 0;
	kernel_devices_clear(&devices);
	return on;
}

static int
say_swapoff(const char *path, int code, struct swap_error *error)
{
	switch (code) {
	case EPERM:
		return error_set(error, -EPERM, "%s: only root may turn swap "
				 "off (CAP_SYS_ADMIN)", path);
	case EINVAL:
		return error_set(error, -ENXIO, "%s: the kernel does not use "
				 "it as swap any more", path);
	case ENOMEM:
		return error_set(error, -ENOMEM, "%s: the kernel found too "
				 "little memory for what is on it; it is "
				 "still in use", path);
	default:
		return error_set(error, -code, "%s: swapoff: %s; it is still "
				 "in use", path, strerror(code));
	}
}

static int
off_swapoff(struct off *off, struct swap_error *error)
{
	const char *path = off->device->path;
	int status, r;
	pid_t child;

	/* Over before anybody could want to stop it. */
	if (off->result->plan.used < IDLE_BYTES)
		return swapoff(path) == 0 ? 0 :
		       say_swapoff(path, errno, error);
	child = fork();
	if (child < 0)
		return error_set(error, -errno, "%s: fork: %s", path,
				 strerror(errno));
	if (child == 0)
		child_swapoff(path);
	r = child_wait(off, child, &status);
	if ((r == 0 || r == -EINTR) && WIFSIGNALED(status) && !is_still_on(off))
		return 0;
	if (r == -EINTR)
		return error_set(error, r, "%s: stopped; it is in use as "
				 "before, and what has come back stays", path);
	if (r < 0)
		return error_set(error, r, "%s: waiting for swapoff: %s",
				 path, strerror(-r));
	if (WIFSIGNALED(status))
		return error_set(error, -ENOMEM, "%s: swapoff was killed "
				 "(signal %d), most likely since memory ran "
				 "out; the kernel's log tells; it is still in "
				 "use", path, WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return say_swapoff(path, WEXITSTATUS(status), error);
	return 0;
}

/* -------------------------------------------------------------------- whole */

static int
off_run(struct off *off, struct swap_error *error)
{
	uint64_t start;
	int r = plan_make(off, error);

	if (r < 0 || off->options->dry_run)
		return r;
	if (off->result->plan.drains)
		r = off_drain(off, error);
	if (r < 0)
		return r;
	start = now_usec();
	r = off_swapoff(off, error);
	off->result->swapoff_usec = now_usec() - start;
	return r;
}

/* Find the device; what sysfs and the header say only where that counts. */
static int
off_find(struct off *off, const char *spec, struct swap_error *error)
{
	struct swap_error why = { 0 };
	bool whole = probe_is_tag(spec);
	int r;

	r = whole ? kernel_devices(off->host, &off->devices) :
		    kernel_devices_table(off->host, &off->devices);
	if (r < 0)
		return error_set(error, r, "/proc/swaps: %s", strerror(-r));
	off->device = kernel_device_find(&off->devices, spec, &why);
	if (off->device != NULL && !whole &&
	    off->device->stats.used_bytes >= IDLE_BYTES) {
		kernel_devices_clear(&off->devices);
		r = kernel_devices(off->host, &off->devices);
		if (r < 0)
			return error_set(error, r, "/proc/swaps: %s",
					 strerror(-r));
		off->device = kernel_device_find(&off->devices, spec, &why);
	}
	if (off->device == NULL)
		return error_set(error, why.code, "%s", why.message);
	return 0;
}

int
kernel_off(const struct host *host, const char *spec,
	   const struct kernel_off_options *options,
	   struct kernel_off_result *ret_result, struct swap_error *error)
{
	struct off off = {
		.host = host, .options = options, .result = ret_result,
		.start_usec = now_usec(),
	};
	int r;

	memset(ret_result, 0, sizeof(*ret_result));
	r = off_find(&off, spec, error);
	if (r == 0)
		r = off_run(&off, error);
	ret_result->usec = now_usec() - off.start_usec;
	kernel_devices_clear(&off.devices);
	return r;
}
