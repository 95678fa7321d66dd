/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One pager: the core, its regions, its threads; and the public functions.
 *
 * Life.  swap_pager_open() starts the fault threads and the page-out thread.
 * pager_handover() makes all memory ordinary: page-out is frozen first, so
 * that nothing goes out behind its back, then everything comes back, then the
 * regions are unregistered.  pager_stop() ends the threads.  The structure
 * itself lives until the last object has gone, since owners of regions may
 * unmap them after the pager has ended.
 *
 * A handover stops detaches (detach.c) and waits for them.
 */
#include "pager.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "available.h"
#include "copy.h"
#include "fault.h"
#include "pageback.h"
#include "pageio.h"
#include "pageout.h"
#include "pager-impl.h"
#include "region.h"
#include "threads.h"
#include "uffd.h"
#include "util.h"

#define MAP_PAGE_BYTES	9	/* of a swap map, where pages lie together */
#define BACK_PAUSE	1000000L /* nanoseconds between two passes */

/* ---------------------------------------------------------------- opening */

void
swap_pager_config_init(struct swap_pager_config *config)
{
	memset(config, 0, sizeof(*config));
	config->ram_bytes = RAM_DEFAULT;
}

static int
check_config(const struct swap_pager_config *config, struct swap_error *error)
{
	unsigned known = SWAP_PAGER_FULL_FAILS | SWAP_PAGER_NO_URING;
	char text[32];

	if (config->ram_bytes < SWAP_RAM_MIN)
		return error_set(error, -EINVAL,
			"a RAM budget of %s is too small to page with; give "
			"at least 1 MiB",
			format_size(config->ram_bytes, text, sizeof(text)));
	if (config->ram_bytes > SWAP_SIZE_MAX)
		return error_set(error, -EINVAL,
			"a RAM budget of %s is more than can be counted; give "
			"at most 1 EiB",
			format_size(config->ram_bytes, text, sizeof(text)));
	if (config->cluster_pages > SWAP_CLUSTER_MAX)
		return error_set(error, -EINVAL,
			"a cluster of %u pages: must be 1 to %u",
			config->cluster_pages, SWAP_CLUSTER_MAX);
	if (config->fault_threads > SWAP_FAULT_THREADS_MAX)
		return error_set(error, -EINVAL,
			"%u fault threads: must be 1 to %u",
			config->fault_threads, SWAP_FAULT_THREADS_MAX);
	if ((config->flags & ~known) != 0)
		return error_set(error, -EINVAL, "unknown pager flags 0x%x",
				 config->flags);
	return 0;
}

/*
 * Where the system gives memory files huge pages (shmem_enabled), a page that
 * page-back writes would fill its neighbours with zeros, unseen: try it.
 */
static int
check_huge(struct swap_error *error)
{
	off_t bytes = (off_t)64 << 20;	/* room for a huge page anywhere */
	struct stat st = { .st_blocks = 0 };
	int fd = memfd_create("swap-probe", MFD_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return error_set(error, -errno, "memfd_create: %s",
				 strerror(errno));
	if (ftruncate(fd, bytes) < 0 || pwrite(fd, "", 1, bytes / 2) != 1 ||
	    fstat(fd, &st) < 0)
		rc = error_set(error, -errno, "a memory file: %s",
			       strerror(errno));
	else if ((uint64_t)st.st_blocks * 512 > page_bytes())
		rc = error_set(error, -EOPNOTSUPP,
			"this system gives shared memory huge pages, which "
			"cannot be paged; write 'never' or 'advise' to /sys/"
			"kernel/mm/transparent_hugepage/shmem_enabled");
	close(fd);
	return rc;
}

static int
open_state_dir(const char *path, int *ret_fd, struct swap_error *error)
{
	int fd;

	*ret_fd = -1;
	if (path == NULL)
		return 0;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set(error, -errno, "%s: cannot be made: %s", path,
				 strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(error, -errno, "%s: cannot be opened: %s",
				 path, strerror(errno));
	*ret_fd = fd;
	return 0;
}

static void
space_refilled(void *arg)
{
	struct core *core = arg;

	budget_kick(&core->budget);
}

static void
pager_free(void *arg)
{
	struct swap_pager *pager = arg;
	struct core *core = &pager->core;

	region_table_fini(&pager->regions);
	object_table_fini(&core->table);
	space_fini(&core->space);
	pools_fini(&core->pools);
	pool_fini(&core->pool);
	ghost_fini(&core->ghost);
	cache_fini(&core->cache);
	budget_fini(&core->budget);
	charge_fini(&core->charge);
	events_fini(&core->events);
	if (core->state_dirfd >= 0) {
		if (pager->handed_over) {
			unlinkat(core->state_dirfd, "devices", 0);
			unlinkat(core->state_dirfd, "words", 0);
		}
		close(core->state_dirfd);
	}
	pthread_cond_destroy(&core->copies_called);
	pthread_mutex_destroy(&core->copies_lock);
	pthread_cond_destroy(&pager->detached);
	pthread_mutex_destroy(&pager->admin);
	free(pager);
}

/* Pages that the cache leaves to objects. */
static uint64_t
pages_beside(uint64_t ram_pages, uint32_t nframes)
{
	return ram_pages - min_u64(nframes, ram_pages);
}

int
pager_set_ram(struct core *core, uint64_t ram_pages)
{
	uint32_t nframes = cache_size_for(ram_pages);
	int rc = budget_set_limit(&core->budget,
				  pages_beside(ram_pages, nframes));

	if (rc < 0)
		return rc;
	ghost_set_span(&core->ghost, ram_pages);
	/* A cache that cannot grow leaves more to the pages. */
	if (cache_resize(&core->cache, nframes) < 0) {
		nframes = cache_size(&core->cache);
		rc = budget_set_limit(&core->budget,
				      pages_beside(ram_pages, nframes));
	}
	return rc;
}

uint64_t
pager_least_ram(struct core *core)
{
	uint64_t least = budget_least(&core->budget);
	uint64_t ram = least;

	while (pages_beside(ram, cache_size_for(ram)) < least)
		ram = least + cache_size_for(ram);
	return ram;
}

/* The cache and the ghosts. */
static int
core_init_cache(struct core *core, uint64_t ram_pages, struct swap_error *error)
{
	int rc = cache_init(&core->cache, &core->counters.readahead_wasted);

	if (rc == 0) {
		rc = cache_resize(&core->cache, cache_size_for(ram_pages));
		if (rc == 0)
			rc = ghost_init(&core->ghost);
		if (rc < 0)
			cache_fini(&core->cache);
	}
	if (rc < 0)
		return error_set(error, rc, "no memory for the cache of "
				 "blocks, which is a part of the RAM budget");
	ghost_set_span(&core->ghost, ram_pages);
	return 0;
}

static int
core_init_space(struct core *core, const struct swap_pager_config *config,
		struct swap_error *error)
{
	int rc = open_state_dir(config->state_dir, &core->state_dirfd, error);

	if (rc < 0)
		return rc;
	rc = space_init(&core->space, &core->log, core->state_dirfd);
	if (rc < 0) {
		if (core->state_dirfd >= 0)
			close(core->state_dirfd);
		return error_set(error, rc, "cannot make the device table%s%s: "
				 "%s", config->state_dir != NULL ? " in " : "",
				 config->state_dir != NULL ? config->state_dir :
				 "", strerror(-rc));
	}
	core->space.events = &core->events;
	core->space.slow_transfers = &core->counters.slow_transfers;
	core->space.refilled = space_refilled;
	core->space.refilled_arg = core;
	core->space.cache = &core->cache;
	return 0;
}

static int
core_init(struct core *core, const struct swap_pager_config *config,
	  struct swap_error *error)
{
	uint64_t ram_pages = config->ram_bytes >> page_shift();
	int rc;

	core->log.fn = config->log;
	core->log.arg = config->log_arg;
	atomic_init(&core->cluster, config->cluster_pages != 0 ?
		    config->cluster_pages : CLUSTER_DEFAULT);
	atomic_init(&core->flags, config->flags);
	atomic_init(&core->map_kind, SWAPMAP_AUTO);
	atomic_init(&core->async_max, PAGEOUT_ASYNC_DEFAULT);
	rc = core_init_cache(core, ram_pages, error);
	if (rc < 0)
		return rc;
	rc = core_init_space(core, config, error);
	if (rc < 0) {
		ghost_fini(&core->ghost);
		cache_fini(&core->cache);
		return rc;
	}
	events_init(&core->events, config->event, config->event_arg);
	budget_init(&core->budget,
		    pages_beside(ram_pages, cache_size(&core->cache)),
		    atomic_load(&core->cluster));
	charge_init(&core->charge, &core->log);
	pool_init(&core->pool);
	pools_init(&core->pools);
	object_table_init(&core->table);
	return 0;
}

static void
core_init_copies(struct core *core)
{
	pthread_mutex_init(&core->copies_lock, NULL);
	cond_init(&core->copies_called);
}

static unsigned
thread_count(unsigned wish)
{
	long ncpu = sysconf(_SC_NPROCESSORS_ONLN);

	if (wish != 0)
		return wish;
	if (ncpu < 2)
		return 2;
	return ncpu > 16 ? 16 : (unsigned)ncpu;
}

static int
start_threads(struct swap_pager *pager, unsigned nthreads,
	      struct swap_error *error)
{
	struct core *core = &pager->core;
	int rc = events_start(&core->events);

	if (rc == 0)
		rc = fault_pool_start(&pager->faults, core, &pager->regions,
				      nthreads);
	if (rc == 0) {
		rc = pageout_start(&pager->pageout, core, &pager->regions);
		if (rc < 0)
			fault_pool_stop(&pager->faults);
	}
	if (rc == 0) {
		rc = copy_collapse_start(core, &pager->collapse);
		if (rc < 0) {
			pageout_stop(&pager->pageout);
			fault_pool_stop(&pager->faults);
		}
	}
	if (rc < 0)
		events_stop(&core->events);
	if (rc < 0)
		error_set(error, rc, "cannot start the pager's threads: %s",
			  strerror(-rc));
	return rc;
}

int
swap_pager_open(const struct swap_pager_config *config,
		struct swap_pager **ret_pager, struct swap_error *error)
{
	struct swap_pager *pager;
	int rc = check_config(config, error);
	int uffd;

	if (rc == 0)
		rc = check_huge(error);
	if (rc < 0)
		return rc;
	pager = calloc(1, sizeof(*pager));
	if (pager == NULL)
		return error_set(error, -ENOMEM, "no memory for a pager");
	/* What the kernel can do; no permission is for those who map. */
	uffd = uffd_open(-1, &pager->uffd_features, error);
	if (uffd < 0 && uffd != -EPERM) {
		free(pager);
		return uffd;
	}
	if (uffd >= 0)
		close(uffd);
	rc = region_table_init(&pager->regions);
	if (rc == 0) {
		rc = core_init(&pager->core, config, error);
		if (rc < 0)
			region_table_fini(&pager->regions);
	}
	if (rc < 0) {
		free(pager);
		return rc;
	}
	pager->core.table.unused = pager_free;
	pager->core.table.unused_arg = pager;
	pthread_mutex_init(&pager->admin, NULL);
	pthread_cond_init(&pager->detached, NULL);
	core_init_copies(&pager->core);
	pager->start_usec = now_usec();
	atomic_init(&pager->ram_bytes, config->ram_bytes);
	format_cut(pager->name, sizeof(pager->name), "%s",
		   config->name != NULL ? config->name : "embedded");
	pager->served = config->name != NULL;
	rc = start_threads(pager, thread_count(config->fault_threads), error);
	if (rc < 0) {
		object_table_close(&pager->core.table);
		return rc;
	}
	*ret_pager = pager;
	return 0;
}

/* ---------------------------------------------------------------- closing */

struct sum {
	uint64_t	(*figure)(const struct swap_object *object);
	uint64_t	 n;
};

static int
sum_add(struct swap_object *object, void *arg)
{
	struct sum *sum = arg;

	object_lock(object);
	sum->n += sum->figure(object);
	object_unlock(object);
	return 0;
}

/* A figure of all objects, each taken with that object locked. */
static uint64_t
sum_of(struct core *core, uint64_t (*figure)(const struct swap_object *object))
{
	struct sum sum = { .figure = figure };

	objects_each(core, sum_add, &sum);
	return sum.n;
}

static uint64_t
pages_swapped(const struct swap_object *object)
{
	return object->nswapped;
}

uint64_t
pager_count_swapped(struct core *core)
{
	return sum_of(core, pages_swapped);
}

/* Pages of a copy that its source still has for it. */
static uint64_t
pages_untaken(const struct swap_object *object)
{
	return object->orphan ? 0 : object->nsource;
}

static int
check_fits(struct swap_pager *pager, struct swap_error *error)
{
	uint64_t need = (pager_count_swapped(&pager->core) +
			 sum_of(&pager->core, pages_untaken)) << page_shift();
	uint64_t have = memory_available();
	char need_text[32], have_text[32];

	/* A little must remain for everything else. */
	have -= min_u64(have, UINT64_C(16) << 20);
	if (need <= have)
		return 0;
	return error_set(error, -ENOMEM,
		"pager '%s': %s are swapped out, or shared between an object "
		"and copies of it, and only %s of memory are "
		"available, so that the memory cannot be handed over; free "
		"memory or end programs, then try again; or force the end: "
		"programs then wait for a successor", pager->name,
		format_size(need, need_text, sizeof(need_text)),
		format_size(have, have_text, sizeof(have_text)));
}

/* Object locked.  A page that nobody can have, now or from its source? */
static bool
is_lost(const struct swap_object *object, uint64_t page)
{
	enum page_state state = page_state(object, page);

	return state == PAGE_POISON || state == PAGE_SOURCE;
}

/* Let a lost page give SIGBUS, unless it was released meanwhile. */
static void
mark_lost(struct swap_object *object, uint64_t page)
{
	struct region_set *set;

	object_lock(object);
	while (page_is_busy(object, page))
		object_wait_unbusy(object);
	if (!is_lost(object, page)) {
		object_unlock(object);
		return;
	}
	/* Owned, so that a release comes before the mark or after it. */
	object_busy(object, page, 1);
	set = region_set_get(object);
	object_unlock(object);
	regions_poison(set, page);
	region_set_put(set);
	object_lock(object);
	regions_unbusy(object, page, 1);
}

/* Whatever a copy has not taken from its source, and lost pages. */
static void
complete_object(struct pageback *pb, struct swap_object *object)
{
	for (uint64_t page = 0; page < object->npages; page++) {
		bool lost, untaken;

		object_lock(object);
		untaken = !object->dead &&
			  page_state(object, page) == PAGE_SOURCE;
		lost = page_state(object, page) == PAGE_POISON;
		object_unlock(object);
		if (untaken)
			lost = pageback_range(pb, object, page, 1) < 0;
		if (lost)
			mark_lost(object, page);
	}
}

static int
complete_needed(struct swap_object *object, void *arg)
{
	bool needed;

	object_lock(object);
	/* Orphans have no program; their copies ask them meanwhile. */
	needed = !object->orphan &&
		 (object->nsource > 0 || object->npoison > 0);
	object_unlock(object);
	if (needed)
		complete_object(arg, object);
	return 0;
}

static void
unregister(struct swap_region *region, void *arg)
{
	(void)arg;
	region_unregister(region);
}

static uint64_t
blocks_held(const struct swap_object *object)
{
	return object->nblocks;
}

/*
 * Until no page has a block: each pass leaves out those that are busy, and a
 * fault may be reading one.
 */
static int
empty_devices(struct core *core, struct pageback_device device[])
{
	struct timespec pause = { .tv_nsec = BACK_PAUSE };
	struct pageback_sweep sweep = {
		.core = core,
		.device = device,
		.force = true,
		.poison = true,
	};
	int rc = 0;

	while (space_dev_range(&core->space, sweep.ndevices,
			       &device[sweep.ndevices].lo,
			       &device[sweep.ndevices].hi))
		sweep.ndevices++;
	while (rc == 0 && sum_of(core, blocks_held) > 0) {
		uint64_t before = sweep.done;

		rc = pageback_blocks(&sweep);
		if (rc == 0 && sweep.done == before)
			nanosleep(&pause, NULL);
	}
	return rc;
}

/* Orphans have no program, and their copies can read words from them. */
static int
empty_words(struct swap_object *object, void *arg)
{
	bool has;
	int rc;

	object_lock(object);
	has = object->nwords > 0 && !object->orphan;
	object_unlock(object);
	rc = has ? pageback_words(arg, object) : 0;
	return rc == -ESTALE ? 0 : rc;
}

static int
bring_all_back(struct core *core)
{
	struct pageback_device *device = calloc(SPACE_DEVICES_MAX,
						sizeof(*device));
	struct pageback pb = {
		.core = core,
		.force = true,
		.buf = pageio_buffer(SWAP_CLUSTER_MAX),
	};
	int rc = -ENOMEM;

	if (pb.buf != NULL && device != NULL)
		rc = empty_devices(core, device);
	if (rc == 0)
		rc = objects_each(core, empty_words, &pb);
	if (rc == 0)
		objects_each(core, complete_needed, &pb);
	pageio_buffer_free(pb.buf, SWAP_CLUSTER_MAX);
	free(device);
	return rc;
}

int
pager_handover(struct swap_pager *pager, struct swap_error *error)
{
	struct core *core = &pager->core;
	uint64_t limit;
	int rc;

	pthread_mutex_lock(&pager->admin);
	limit = atomic_load(&core->budget.limit);
	if (pager->handed_over) {
		pthread_mutex_unlock(&pager->admin);
		return 0;
	}
	atomic_store(&core->frozen, true);
	while (pager->ndetaching > 0)
		pthread_cond_wait(&pager->detached, &pager->admin);
	pageout_wait_idle(&pager->pageout);
	rc = check_fits(pager, error);
	if (rc == 0) {
		atomic_store(&core->budget.limit,
			     SWAP_SIZE_MAX >> page_shift());
		fault_wake_starved(core, &pager->regions, true);
		rc = bring_all_back(core);
		if (rc < 0)
			error_set(error, rc, "pager '%s': memory cannot be "
				  "handed over: %s", pager->name,
				  strerror(-rc));
	}
	if (rc == 0) {
		/* First: a region that joins now sees it, or is seen here. */
		atomic_store(&pager->handed_over, true);
		regions_each(&pager->regions, unregister, NULL);
	} else {
		atomic_store(&core->budget.limit, limit);
		atomic_store(&core->frozen, false);
		budget_kick(&core->budget);
		object_call_collapse(core);
	}
	pthread_mutex_unlock(&pager->admin);
	return rc;
}

void
pager_stop(struct swap_pager *pager)
{
	atomic_store(&pager->core.frozen, true);
	/* A detach looks at that between two reads. */
	pthread_mutex_lock(&pager->admin);
	while (pager->ndetaching > 0)
		pthread_cond_wait(&pager->detached, &pager->admin);
	pthread_mutex_unlock(&pager->admin);
	copy_collapse_stop(&pager->core, pager->collapse);
	pageout_stop(&pager->pageout);
	fault_pool_stop(&pager->faults);
	events_stop(&pager->core.events);
	object_table_close(&pager->core.table);
}

int
swap_pager_close(struct swap_pager *pager, struct swap_error *error)
{
	int rc = pager_handover(pager, error);

	if (rc == 0)
		pager_stop(pager);
	return rc;
}

/* ---------------------------------------------------------------- devices */

void
pager_check_maps(struct swap_pager *pager)
{
	uint64_t limit = atomic_load(&pager->core.maps.limit), need;
	struct space_totals totals;
	char space[32], needed[32], allowed[32];

	space_totals(&pager->core.space, &totals);
	need = totals.total * MAP_PAGE_BYTES;
	if (limit == 0 || need <= limit)
		return;
	log_write(&pager->core.log, SWAP_LOG_WARNING,
		  "%s of swap space take %s of swap maps to use them all, and "
		  "tunable 'metadata_limit' allows %s: raise it, or some of the "
		  "space may stay unused",
		  format_size(totals.total << page_shift(), space,
			      sizeof(space)),
		  format_size(need, needed, sizeof(needed)),
		  format_size(limit, allowed, sizeof(allowed)));
}

static void
device_event(struct swap_pager *pager, enum swap_event_kind kind,
	     const char *path, const char *message)
{
	events_add(&pager->core.events, kind, path, 0, 0, "%s", message);
}

int
swap_device_attach(struct swap_pager *pager, const char *spec,
		   const struct swap_device_options *options,
		   struct swap_error *error)
{
	static const struct swap_device_options defaults;
	struct device *device;
	int rc;

	if (options == NULL)
		options = &defaults;
	pthread_mutex_lock(&pager->admin);
	rc = pager->handed_over ?
	     error_set(error, -ESHUTDOWN, "pager '%s' is ending",
		       pager->name) :
	     device_open(spec, options, &pager->core.log, &device, error);
	if (rc == 0) {
		rc = space_attach(&pager->core.space, device, error);
		if (rc == 0)
			device_event(pager, SWAP_EVENT_DEVICE_ON,
				     device_path(device), "is in use");
		else
			device_close(device);
	}
	pthread_mutex_unlock(&pager->admin);
	if (rc == 0) {
		log_write(&pager->core.log, SWAP_LOG_DEBUG, "%s: attached",
			  spec);
		pager_check_maps(pager);
	}
	return rc;
}
