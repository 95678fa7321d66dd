/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sources: a swapd, and the kernel
 *
 * A connection that has failed is closed and made anew at the next sample.
 *
 * A look through all page tables, which the kernel's maps need, takes long:
 * one picture of a device in as many cells as can be had serves every range of
 * it until the next sample.
 */
#include "source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ipc/client.h"
#include "kernel/kernel.h"
#include "util.h"

uint64_t
wall_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void
sample_clear(struct sample *sample)
{
	swap_stats_clear(&sample->stats);
	memset(sample, 0, sizeof(*sample));
}

void
source_close(struct source *source)
{
	if (source != NULL)
		source->ops->close(source);
}

/* Blocks of [from, to) that are free in the cells of a map. */
static uint64_t
free_between(const struct swap_device_map *map, uint64_t from, uint64_t to)
{
	uint64_t nfree = 0;
	size_t i = (size_t)((unsigned __int128)from * map->ncells /
			    map->nblocks);

	for (; i < map->ncells; i++) {
		uint64_t start = (uint64_t)((unsigned __int128)map->nblocks *
					    i / map->ncells);
		uint64_t n = map->cells[i].nblocks;
		uint64_t lo = max_u64(start, from);
		uint64_t hi = min_u64(start + n, to);

		if (start >= to)
			break;
		if (lo < hi && n > 0)
			nfree += ((hi - lo) * map->cells[i].nfree + n / 2) /
				 n;
	}
	return nfree;
}

void
cells_resample(const struct swap_device_map *map, const struct range *range,
	       struct swap_range_cell cells[])
{
	memset(cells, 0, range->ncells * sizeof(cells[0]));
	for (size_t i = 0; i < range->ncells && map->ncells > 0; i++) {
		uint64_t from = range->first + range->nblocks * i /
				range->ncells;
		uint64_t to = range->first + range->nblocks * (i + 1) /
			      range->ncells;

		if (from < to && from < map->nblocks)
			cells[i].nfree = free_between(map, from, to);
	}
}

/* ------------------------------------------------------------------ swapd */

struct swapd {
	struct source	 source;
	const char	*pager;
	struct swap_client *client;	/* NULL: not connected */
};

static struct swapd *
swapd_of(struct source *source)
{
	return container_of(source, struct swapd, source);
}

static void
hang_up(struct swapd *swapd)
{
	if (swapd->client != NULL)
		swap_client_close(swapd->client);
	swapd->client = NULL;
}

/* A failure that leaves no sentence gets one. */
static int
told(struct swap_error *error, int r)
{
	if (r < 0 && error->message[0] == '\0')
		error_set(error, r, "the pager does not answer: %s",
			  strerror(-r));
	return r;
}

static int
swapd_sample(struct source *source, bool objects, struct sample *ret,
	     struct swap_error *error)
{
	struct swapd *swapd = swapd_of(source);
	int r = 0;

	error->message[0] = '\0';
	if (swapd->client == NULL)
		r = swap_client_connect(swapd->pager, &swapd->client, error);
	if (r == 0)
		r = client_stats(swapd->client, objects, 0, &ret->stats,
				 error);
	if (r < 0) {
		hang_up(swapd);
		return told(error, r);
	}
	ret->time_usec = wall_usec();
	return 0;
}

static int
not_connected(struct swap_error *error)
{
	return error_set(error, -ENOTCONN, "the pager does not answer");
}

static int
swapd_map(struct source *source, const char *path, struct swap_device_map *ret,
	  struct swap_error *error)
{
	struct swapd *swapd = swapd_of(source);

	if (swapd->client == NULL)
		return not_connected(error);
	return told(error, swap_client_device_map(swapd->client, path, 0, ret,
						  error));
}

static int
swapd_cells(struct source *source, const struct range *range,
	    struct swap_range_cell cells[], struct swap_error *error)
{
	struct swapd *swapd = swapd_of(source);

	if (swapd->client == NULL)
		return not_connected(error);
	return told(error, swap_client_range(swapd->client, range->path,
					     range->first, range->nblocks,
					     range->ncells, cells, error));
}

static int64_t
swapd_owners(struct source *source, const char *path, uint64_t first,
	     uint64_t nblocks, struct swap_owners_place *place,
	     struct swap_owner owners[], struct swap_error *error)
{
	struct swapd *swapd = swapd_of(source);

	if (swapd->client == NULL)
		return not_connected(error);
	return swap_client_owners(swapd->client, path, first, nblocks, place,
				  owners, SWAP_OWNERS_MAX, error);
}

static void
swapd_close(struct source *source)
{
	struct swapd *swapd = swapd_of(source);

	hang_up(swapd);
	free(swapd);
}

int
source_swapd(const char *pager, struct source **ret)
{
	static const struct source_ops ops = {
		.sample = swapd_sample, .map = swapd_map,
		.cells = swapd_cells, .owners = swapd_owners,
		.close = swapd_close,
	};
	struct swapd *swapd = calloc(1, sizeof(*swapd));

	if (swapd == NULL)
		return -ENOMEM;
	swapd->source.ops = &ops;
	swapd->source.is_swapd = true;
	swapd->pager = pager;
	*ret = &swapd->source;
	return 0;
}

/* ----------------------------------------------------------------- kernel */

struct kernel {
	struct source	 source;
	struct swap_device_map map;	/* the last one; path "": none */
};

static struct kernel *
kernel_of(struct source *source)
{
	return container_of(source, struct kernel, source);
}

static void
kernel_forget(struct kernel *kernel)
{
	swap_device_map_clear(&kernel->map);
	kernel->map.path[0] = '\0';
}

static int
kernel_sample(struct source *source, bool objects, struct sample *ret,
	      struct swap_error *error)
{
	struct host host;
	int r;

	(void)objects;
	kernel_forget(kernel_of(source));
	r = host_open(NULL, NULL, &host, error);
	if (r < 0)
		return r;
	r = kernel_stats(&host, &ret->stats);
	host_close(&host);
	if (r < 0)
		return error_set(error, r, "the kernel's swap: %s",
				 strerror(-r));
	ret->time_usec = wall_usec();
	return 0;
}

/* Make the picture of @path the one that is kept. */
static int
kernel_look(struct kernel *kernel, const char *path, struct swap_error *error)
{
	struct host host;
	int r;

	if (strcmp(kernel->map.path, path) == 0)
		return 0;
	kernel_forget(kernel);
	r = host_open(NULL, NULL, &host, error);
	if (r < 0)
		return r;
	r = kernel_map(&host, path, SWAP_MAP_CELLS_MAX, &kernel->map, NULL,
		       error);
	host_close(&host);
	if (r == 0)
		format_cut(kernel->map.path, sizeof(kernel->map.path), "%s",
			   path);
	return r;
}

static int
kernel_source_map(struct source *source, const char *path,
		  struct swap_device_map *ret, struct swap_error *error)
{
	struct kernel *kernel = kernel_of(source);
	int r = kernel_look(kernel, path, error);

	if (r < 0)
		return r;
	*ret = kernel->map;
	ret->cells = NULL;
	ret->ncells = 0;
	return 0;
}

static int
kernel_cells(struct source *source, const struct range *range,
	     struct swap_range_cell cells[], struct swap_error *error)
{
	struct kernel *kernel = kernel_of(source);
	int r = kernel_look(kernel, range->path, error);

	if (r == 0)
		cells_resample(&kernel->map, range, cells);
	return r;
}

static int64_t
kernel_owners(struct source *source, const char *path, uint64_t first,
	      uint64_t nblocks, struct swap_owners_place *place,
	      struct swap_owner owners[], struct swap_error *error)
{
	(void)source;
	(void)first;
	(void)nblocks;
	(void)place;
	(void)owners;
	return error_set(error, -ENOSYS, "see 'swapctl -p kernel map --owners "
			 "%s'", path);
}

static void
kernel_close(struct source *source)
{
	struct kernel *kernel = kernel_of(source);

	kernel_forget(kernel);
	free(kernel);
}

int
source_kernel(struct source **ret)
{
	static const struct source_ops ops = {
		.sample = kernel_sample, .map = kernel_source_map,
		.cells = kernel_cells, .owners = kernel_owners,
		.close = kernel_close,
	};
	struct kernel *kernel = calloc(1, sizeof(*kernel));

	if (kernel == NULL)
		return -ENOMEM;
	kernel->source.ops = &ops;
	*ret = &kernel->source;
	return 0;
}
