/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which slot holds whose page.
 *
 * The kernel keeps a count for each slot and shows none of them; but every
 * private page that is swapped is named in a page table by its device's number
 * and its slot.  Looking through all processes draws the map of every device
 * at once.  It is a picture of moving things: what is paged while it is taken
 * may be seen before or after.
 *
 * S1. A set of slots has a bit for each slot of the largest device, and an
 *     entry beyond that is none of a device's.
 * S2. Devices stand in the order of their numbers.
 *
 * Nobody tells the numbers.  They are the kernel's places, the lowest free one
 * taken at swapon, so rows of /proc/swaps are in their order, but there may be
 * gaps where a device was turned off.  So numbers that page tables name are
 * laid over the devices in order (S2), in the way that leaves the smallest
 * difference between what each device says is in use and what page tables name:
 * the alignment of two sequences, by dynamic programming.  No device can have
 * a number lower than its row, hold more than it says, or beyond its end.
 *
 * Costs: 1 bit a slot and number seen; runs take 32 bytes, a page each in the
 * worst case.  Limits: of two devices that hold nothing private, or the same
 * amount, with only one seen, the first is taken for it.
 */
#include "kernel/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/caps.h"
#include "util.h"

#define WORD_BITS	64u
/* Paging goes on between the two looks. */
#define SLACK_PAGES	4096u

/* ------------------------------------------------------------- one process */

struct survey_walk {
	const struct host	*host;
	struct slot_survey	*survey;
};

static int
survey_mark(struct slot_survey *survey, unsigned number, uint64_t slot)
{
	uint64_t **used = &survey->used[number];
	uint64_t bit = UINT64_C(1) << slot % WORD_BITS;

	if (*used == NULL)
		*used = calloc(survey->nslots / WORD_BITS + 1, sizeof(**used));
	if (*used == NULL)
		return -ENOMEM;
	if (((*used)[slot / WORD_BITS] & bit) == 0)
		survey->distinct[number]++;
	(*used)[slot / WORD_BITS] |= bit;
	survey->entries[number]++;
	if (slot > survey->top[number])
		survey->top[number] = slot;
	return 0;
}

static int
survey_run(void *arg, const struct page_run *run)
{
	struct slot_survey *survey = arg;
	int r = 0;

	if (run->number >= SLOTS_NUMBERS)
		return 0;
	for (uint64_t i = 0; i < run->npages && r == 0; i++)
		if (run->slot + i < survey->nslots)
			r = survey_mark(survey, run->number, run->slot + i);
	return r;
}

/* Does it have anything private in swap?  Unknown counts as yes. */
static bool
has_swap(const struct host *host, int32_t pid)
{
	uint64_t kib = 1;
	char *text;

	if (host_read_pid(host, pid, "status", &text) < 0)
		return true;
	if (!text_number(text, "VmSwap:", &kib))
		kib = 0;
	free(text);
	return kib > 0;
}

static int
survey_process(void *arg, int32_t pid)
{
	struct survey_walk *walk = arg;
	int r;

	if (!has_swap(walk->host, pid))
		return 0;
	r = pages_each(walk->host, pid, 0, survey_run, walk->survey);
	if (r == -ENOMEM)
		return r;
	if (r == -EACCES || r == -EPERM)
		walk->survey->nhidden++;
	else if (r == 0)
		walk->survey->nseen++;
	return 0;
}

/* -------------------------------------------------- numbers of the devices */

/* The first slot is the header's. */
static uint64_t
device_slots(const struct kernel_device *device)
{
	return device->stats.size_bytes / page_bytes() + 1;
}

static uint64_t
device_used(const struct kernel_device *device)
{
	return device->stats.used_bytes / page_bytes();
}

#define IMPOSSIBLE	(UINT64_MAX / 4)

/* What it costs to say that @device has @number. */
static uint64_t
match_cost(const struct slot_survey *survey, unsigned number,
	   const struct kernel_device *device, size_t row)
{
	uint64_t seen = survey->distinct[number], used = device_used(device);

	if (number < row || survey->top[number] >= device_slots(device) ||
	    seen > used + used / 64 + SLACK_PAGES)
		return IMPOSSIBLE;
	return seen > used ? seen - used : used - seen;
}

/* The table of the alignment: cost[i][j] of the rest from number i, row j. */
struct alignment {
	unsigned	 numbers[SLOTS_NUMBERS];
	unsigned	 nnumbers;
	size_t		 nrows;
	uint64_t	*cost;		/* (nnumbers + 1) * (nrows + 1) */
};

static uint64_t *
cost_at(const struct alignment *a, unsigned i, size_t j)
{
	return &a->cost[i * (a->nrows + 1) + j];
}

/* The cheapest of: these two belong together, or one of them has no partner. */
static uint64_t
step_cost(const struct alignment *a, const struct slot_survey *survey,
	  const struct kernel_devices *devices, unsigned i, size_t j,
	  bool *ret_match)
{
	uint64_t match = IMPOSSIBLE, alone = IMPOSSIBLE;

	if (i < a->nnumbers && j < a->nrows)
		match = match_cost(survey, a->numbers[i],
				   &devices->device[j], j);
	if (match < IMPOSSIBLE)
		match += *cost_at(a, i + 1, j + 1);
	if (i < a->nnumbers)
		alone = *cost_at(a, i + 1, j) +
			2 * survey->distinct[a->numbers[i]];
	if (j < a->nrows)
		alone = min_u64(alone, *cost_at(a, i, j + 1) +
				device_used(&devices->device[j]));
	*ret_match = match <= alone && match < IMPOSSIBLE;
	return min_u64(match, alone);
}

static void
align(struct alignment *a, const struct slot_survey *survey,
      struct kernel_devices *devices)
{
	unsigned i = a->nnumbers;
	bool match;

	for (unsigned k = 0; k <= a->nnumbers; k++)
		for (size_t j = a->nrows + 1; j-- > 0; ) {
			i = a->nnumbers - k;
			*cost_at(a, i, j) = i == a->nnumbers &&
				j == a->nrows ? 0 :
				step_cost(a, survey, devices, i, j, &match);
		}
	i = 0;
	for (size_t j = 0; j < a->nrows && i < a->nnumbers; ) {
		uint64_t cost = step_cost(a, survey, devices, i, j, &match);

		if (match)
			devices->device[j++].number = (int)a->numbers[i++];
		else if (cost == *cost_at(a, i + 1, j) +
			 2 * survey->distinct[a->numbers[i]])
			i++;
		else
			j++;
	}
}

/* No gap is possible before a device that alone could be there. */
static int
number_devices(const struct slot_survey *survey,
	       struct kernel_devices *devices)
{
	struct alignment a = { .nrows = devices->n };

	for (unsigned i = 0; i < SLOTS_NUMBERS; i++)
		if (survey->distinct[i] > 0)
			a.numbers[a.nnumbers++] = i;
	a.cost = calloc((a.nnumbers + 1) * (a.nrows + 1), sizeof(*a.cost));
	if (a.cost == NULL)
		return -ENOMEM;
	align(&a, survey, devices);
	free(a.cost);
	return 0;
}

int
slot_survey(const struct host *host, struct kernel_devices *devices,
	    struct slot_survey *ret_survey, struct swap_error *error)
{
	struct slot_survey survey = { 0 };
	struct survey_walk walk = { .host = host, .survey = &survey };
	int r = 0;

	if (!caps_have(host, CAPS_SYS_ADMIN))
		return error_set(error, -EPERM, "which page is in which slot "
				 "is shown to root only (CAP_SYS_ADMIN); run "
				 "this as root");
	for (size_t i = 0; i < devices->n; i++)
		survey.nslots = max_u64(survey.nslots,
					device_slots(&devices->device[i]));
	if (devices->n > 0)
		r = host_each_pid(host, survey_process, &walk);
	if (r == 0)
		r = number_devices(&survey, devices);
	if (r < 0) {
		slot_survey_clear(&survey);
		return error_set(error, r, "looking through the page tables: "
				 "%s", strerror(-r));
	}
	*ret_survey = survey;
	return 0;
}

void
slot_survey_clear(struct slot_survey *survey)
{
	for (unsigned i = 0; i < SLOTS_NUMBERS; i++)
		free(survey->used[i]);
	memset(survey, 0, sizeof(*survey));
}

bool
slot_survey_has(const struct slot_survey *survey, unsigned number,
		uint64_t slot)
{
	return number < SLOTS_NUMBERS && survey->used[number] != NULL &&
	       slot < survey->nslots &&
	       (survey->used[number][slot / WORD_BITS] >>
		slot % WORD_BITS & 1);
}

/* --------------------------------------------------------------------- map */

static bool
map_is_used(const struct slot_survey *survey,
	    const struct kernel_device *device, uint64_t slot)
{
	return slot == 0 || (device->number >= 0 &&
			     slot_survey_has(survey, (unsigned)device->number,
					     slot));
}

static void
map_end_run(struct swap_device_map *map, uint64_t n)
{
	unsigned class;

	if (n == 0)
		return;
	class = 63 - (unsigned)__builtin_clzll(n);
	if (class >= SWAP_RUN_CLASSES)
		class = SWAP_RUN_CLASSES - 1;
	map->nruns++;
	map->largest = max_u64(map->largest, n);
	map->runs[class]++;
	map->blocks[class] += n;
}

static void
map_fill(const struct slot_survey *survey, const struct kernel_device *device,
	 struct swap_device_map *map)
{
	uint64_t run = 0, at = 0, end;
	size_t cell = 0;

	for (; cell < map->ncells; cell++) {
		end = (uint64_t)((unsigned __int128)map->nblocks * (cell + 1) /
				 map->ncells);
		map->cells[cell].nblocks = end - at;
		for (; at < end; at++) {
			if (!map_is_used(survey, device, at)) {
				map->cells[cell].nfree++;
				map->nfree++;
				run++;
				continue;
			}
			map_end_run(map, run);
			run = 0;
		}
	}
	map_end_run(map, run);
}

/* Free blocks in runs too short for a cluster, in a thousand. */
static void
map_judge(struct swap_device_map *map)
{
	unsigned class = 31 - (unsigned)__builtin_clz(map->cluster_pages);
	uint64_t shorter = 0;

	for (unsigned i = 0; i < class; i++)
		shorter += map->blocks[i];
	if (map->nfree > 0)
		map->fragmentation = (unsigned)(1000 * shorter / map->nfree);
}

/* swapfile.c hands slots out in clusters of a huge page's size. */
#define KERNEL_CLUSTER	512u

int
slot_survey_map(const struct slot_survey *survey,
		const struct kernel_device *device, size_t ncells,
		struct swap_device_map *ret_map, uint64_t *ret_unplaced)
{
	struct swap_device_map map = {
		.nblocks = device_slots(device),
		.cluster_pages = KERNEL_CLUSTER,
	};
	uint64_t placed = 0;

	if (ncells > SWAP_MAP_CELLS_MAX)
		return -EINVAL;
	map.ncells = ncells > 0 ? ncells : 1;
	map.cells = calloc(map.ncells, sizeof(*map.cells));
	if (map.cells == NULL)
		return -ENOMEM;
	format_cut(map.path, sizeof(map.path), "%s", device->path);
	map_fill(survey, device, &map);
	map_judge(&map);
	map.ncells = ncells;
	if (device->number >= 0)
		placed = survey->distinct[device->number];
	*ret_unplaced = device_used(device) > placed ?
			device_used(device) - placed : 0;
	*ret_map = map;
	return 0;
}

/* -------------------------------------------------------------------- runs */

struct runs_walk {
	const struct host *host;
	unsigned	 number;
	int32_t		 pid;
	struct slot_run	*runs;
	size_t		 n;
	size_t		 room;
};

static int
runs_add(void *arg, const struct page_run *run)
{
	struct runs_walk *walk = arg;
	struct slot_run *more;

	if (run->number != walk->number)
		return 0;
	if (walk->n == walk->room) {
		walk->room = 2 * walk->room + 1024;
		more = realloc(walk->runs, walk->room * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		walk->runs = more;
	}
	walk->runs[walk->n++] = (struct slot_run){
		.slot = run->slot, .address = run->address,
		.npages = run->npages, .pid = walk->pid,
	};
	return 0;
}

static int
runs_process(void *arg, int32_t pid)
{
	struct runs_walk *walk = arg;
	int r;

	if (!has_swap(walk->host, pid))
		return 0;
	walk->pid = pid;
	r = pages_each(walk->host, pid, 0, runs_add, walk);
	return r == -ENOMEM ? r : 0;
}

static int
by_slot(const void *a, const void *b)
{
	const struct slot_run *x = a, *y = b;

	if (x->slot != y->slot)
		return x->slot < y->slot ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

int
slot_runs(const struct host *host, unsigned number,
	  struct slot_run **ret_runs, size_t *ret_n)
{
	struct runs_walk walk = { .host = host, .number = number };
	int r = host_each_pid(host, runs_process, &walk);

	if (r < 0) {
		free(walk.runs);
		return r;
	}
	if (walk.n > 0)
		qsort(walk.runs, walk.n, sizeof(*walk.runs), by_slot);
	*ret_runs = walk.runs;
	*ret_n = walk.n;
	return 0;
}
