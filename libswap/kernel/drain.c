/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bring swapped pages back in bulk.
 *
 * Processes are looked through for swapped pages until a batch is full (or
 * there is nobody left); the batch is put into the order of the device, and
 * its threads (bring.h) work it off, while this thread watches the memory that
 * is left (headroom.h), gives credit, and reports.  Then the next batch
 * begins where this one ended.  So memory is bounded however much is swapped,
 * and order is lost only between batches.
 *
 * Within a stretch of the device pages stand by process, since a call advises
 * one process at a time: strict order would cost a call for each page where
 * two processes alternate, and no device minds a few megabytes.
 *
 * Shared memory is brought through mappings of our own, one range after the
 * other (shm.h), under the same watch.
 *
 * Memory: 32 bytes a run of pages, at most 8 MiB; two descriptors a process,
 * at most 256 processes a batch.
 */
#include "kernel/drain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/bring.h"
#include "kernel/groups.h"
#include "kernel/headroom.h"
#include "kernel/shm.h"
#include "util.h"

#define BATCH_RUNS	((size_t)256 << 10)
#define BATCH_TASKS	256u
#define STRETCH_SLOTS	(UINT64_C(16) << 10)
#define LOOK_MSEC	100u
#define DEFAULT_THREADS	4
/* pages_each() is to stop and go on later. */
#define BATCH_FULL	1

struct drain {
	const struct host *host;
	const struct drain_request *request;
	struct bring	*bring;
	struct headroom	 headroom;
	struct bring_page *pages;	/* BATCH_RUNS of them */
	size_t		 n;
	struct bring_task tasks[BATCH_TASKS];
	unsigned	 ntasks;
	uint64_t	 resume;	/* address, where the batch was full */
	uint64_t	 shm_bytes;
	uint64_t	 shm_credit;	/* what is left of it */
	uint64_t	 start_usec;
	uint64_t	 look_usec;	/* when to look again */
	unsigned	 nprocesses;
	unsigned	 nhidden;
};

/* ---------------------------------------------------------------- one look */

static uint64_t
drained(struct drain *drain)
{
	return bring_done(drain->bring) + drain->shm_bytes;
}

static int
report(struct drain *drain)
{
	const struct drain_request *request = drain->request;
	struct swap_progress progress = {
		.done_bytes = drained(drain),
		.total_bytes = request->total_bytes,
		.elapsed_usec = now_usec() - drain->start_usec,
	};

	if (request->progress == NULL)
		return 0;
	/* Pages of several processes were asked for several times. */
	progress.done_bytes = min_u64(progress.done_bytes,
				      progress.total_bytes);
	return request->progress(request->arg, &progress) != 0 ? -EINTR : 0;
}

/* Look at memory, give credit, report: 0, -EINTR, -ENOMEM. */
static int
look(struct drain *drain, uint64_t *ret_credit)
{
	enum headroom_state state = headroom_look(&drain->headroom,
						  ret_credit);

	drain->look_usec = now_usec() + LOOK_MSEC * 1000;
	bring_credit(drain->bring, *ret_credit);
	if (state == HEADROOM_LOST)
		return -ENOMEM;
	return report(drain);
}

/* ------------------------------------------------------------------ batches */

static int
by_place(const void *a, const void *b)
{
	const struct bring_page *x = a, *y = b;
	uint64_t stretch_x = x->slot / STRETCH_SLOTS;
	uint64_t stretch_y = y->slot / STRETCH_SLOTS;

	if (stretch_x != stretch_y)
		return stretch_x < stretch_y ? -1 : 1;
	if (x->task != y->task)
		return x->task < y->task ? -1 : 1;
	return (x->slot > y->slot) - (x->slot < y->slot);
}

static int
by_address(const void *a, const void *b)
{
	const struct bring_page *x = a, *y = b;

	if (x->task != y->task)
		return x->task < y->task ? -1 : 1;
	return (x->address > y->address) - (x->address < y->address);
}

static int
batch_work(struct drain *drain)
{
	uint64_t credit;
	int r = look(drain, &credit);

	bring_batch(drain->bring, drain->tasks, drain->pages, drain->n);
	while (r == 0 && !bring_wait(drain->bring, LOOK_MSEC))
		r = look(drain, &credit);
	if (r < 0) {
		bring_skip(drain->bring);
		while (!bring_wait(drain->bring, LOOK_MSEC))
			;
	}
	return r;
}

/* Once they are in the swap cache a byte of each gives them to the process. */
static int
batch_map(struct drain *drain)
{
	for (size_t i = 0; i < drain->n; i++)
		drain->pages[i].touch = true;
	qsort(drain->pages, drain->n, sizeof(*drain->pages), by_address);
	return batch_work(drain);
}

/* Work the batch off and empty it. */
static int
batch_flush(struct drain *drain)
{
	int r = 0;

	if (drain->n > 0) {
		qsort(drain->pages, drain->n, sizeof(*drain->pages), by_place);
		r = batch_work(drain);
		if (r == 0 && drain->request->map)
			r = batch_map(drain);
	}
	for (unsigned i = 0; i < drain->ntasks; i++)
		bring_task_close(&drain->tasks[i]);
	drain->n = 0;
	drain->ntasks = 0;
	return r;
}

static int
batch_add(void *arg, const struct page_run *run)
{
	struct drain *drain = arg;
	uint64_t left = run->npages, at = 0, n;

	if (drain->request->number != DRAIN_ANY &&
	    run->number != drain->request->number)
		return 0;
	for (; left > 0; left -= n, at += n) {
		drain->resume = run->address + at * page_bytes();
		if (drain->n == BATCH_RUNS)
			return BATCH_FULL;
		n = min_u64(left, UINT32_MAX);
		drain->pages[drain->n++] = (struct bring_page){
			.slot = run->slot + at, .address = drain->resume,
			.npages = (uint32_t)n, .task = drain->ntasks - 1,
			.touch = run->of_file,
		};
	}
	return 0;
}

/* ---------------------------------------------------------------- processes */

static bool
is_wanted(const struct drain *drain, int32_t pid)
{
	const struct drain_request *request = drain->request;
	char group[1024], *status;
	uint64_t kib = 0;

	if (request->pid != 0 && request->pid != pid)
		return false;
	if (host_read_pid(drain->host, pid, "status", &status) < 0)
		return false;
	text_number(status, "VmSwap:", &kib);
	free(status);
	if (kib == 0 || request->group == NULL)
		return kib > 0;
	kernel_group_of(drain->host, request->group_version, pid, group,
			sizeof(group));
	return kernel_group_has(request->group, group);
}

static int
drain_process(void *arg, int32_t pid)
{
	struct drain *drain = arg;
	uint64_t from = 0;
	int r;

	if (!is_wanted(drain, pid))
		return 0;
	drain->nprocesses++;
	do {
		r = drain->ntasks < BATCH_TASKS ? 0 : batch_flush(drain);
		if (r < 0)
			return r;
		r = bring_task_open(drain->host, pid,
				    &drain->tasks[drain->ntasks]);
		if (r < 0)
			break;
		drain->ntasks++;
		r = pages_each(drain->host, pid, from, batch_add, drain);
		from = drain->resume;
		if (r == BATCH_FULL) {
			r = batch_flush(drain);
			if (r == 0)
				r = BATCH_FULL;
			else
				return r;
		}
	} while (r == BATCH_FULL);
	if (r == -EACCES || r == -EPERM)
		drain->nhidden++;
	return r == -ENOMEM || r == -EMFILE ? r : 0;
}

/* ------------------------------------------------------------ shared memory */

#define SHM_PIECE	(UINT64_C(2) << 20)

/* Look when it is time or credit is used up, and wait while it is held. */
static int
shm_wait(struct drain *drain, uint64_t bytes)
{
	int r = 0;

	if (now_usec() >= drain->look_usec)
		r = look(drain, &drain->shm_credit);
	while (r == 0 && drain->shm_credit < bytes) {
		usleep(LOOK_MSEC * 1000);
		r = look(drain, &drain->shm_credit);
	}
	return r;
}

static int
drain_range(void *arg, void *address, uint64_t length)
{
	struct drain *drain = arg;
	char *at = address;
	uint64_t n;
	int r = 0;

	for (; length > 0 && r == 0; at += n, length -= n) {
		n = min_u64(length, SHM_PIECE);
		r = shm_wait(drain, n);
		if (r == 0 && madvise(at, n, MADV_WILLNEED) == 0) {
			drain->shm_bytes += n;
			drain->shm_credit -= n;
		}
	}
	return r;
}

/* --------------------------------------------------------------------- whole */

static unsigned
thread_count(const struct drain_request *request)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (request->threads > 0)
		return (unsigned)min_u64(request->threads, BRING_THREADS_MAX);
	if (cores < 1)
		return 1;
	return cores < DEFAULT_THREADS ? (unsigned)cores : DEFAULT_THREADS;
}

static int
drain_all(struct drain *drain)
{
	const struct drain_request *request = drain->request;
	int r;

	if (request->pid != 0)
		r = drain_process(drain, request->pid);
	else
		r = host_each_pid(drain->host, drain_process, drain);
	/* Also what a failure has left open. */
	if (r < 0)
		drain->n = 0;
	r = r < 0 ? (batch_flush(drain), r) : batch_flush(drain);
	/* The first look gives its credit at once. */
	drain->look_usec = 0;
	if (r == 0 && request->shm)
		r = shm_each_range(drain->host, drain_range, drain);
	return r;
}

static int
say_stopped(struct drain *drain, int r, struct swap_error *error)
{
	char have[32], reserve[32];

	if (r == -EINTR)
		return error_set(error, r, "stopped; what has come back "
				 "stays");
	if (drain->headroom.held_since == 0)
		return error_set(error, r, "bringing pages back: %s",
				 strerror(-r));
	format_size(drain->headroom.last.available, have, sizeof(have));
	format_size(drain->headroom.reserve, reserve, sizeof(reserve));
	return error_set(error, r, "stopped, since memory stayed scarce for "
			 "10 s: %s are available, %s are kept free; end a "
			 "program, or turn other swap on first", have,
			 reserve);
}

int
drain_run(const struct host *host, const struct drain_request *request,
	  struct drain_result *ret_result, struct swap_error *error)
{
	struct drain *drain = calloc(1, sizeof(*drain));
	int r = -ENOMEM;

	memset(ret_result, 0, sizeof(*ret_result));
	if (drain == NULL)
		return error_set(error, r, "out of memory");
	drain->host = host;
	drain->request = request;
	drain->start_usec = now_usec();
	drain->pages = malloc(BATCH_RUNS * sizeof(*drain->pages));
	if (drain->pages != NULL)
		r = headroom_init(&drain->headroom, host);
	if (r == 0)
		r = bring_open(thread_count(request), &drain->bring);
	if (r == 0)
		r = drain_all(drain);
	if (r < 0)
		say_stopped(drain, r, error);
	if (drain->bring != NULL) {
		ret_result->bytes = drained(drain);
		bring_close(drain->bring);
	}
	ret_result->usec = now_usec() - drain->start_usec;
	ret_result->nprocesses = drain->nprocesses;
	ret_result->nhidden = drain->nhidden;
	free(drain->pages);
	free(drain);
	return r;
}
