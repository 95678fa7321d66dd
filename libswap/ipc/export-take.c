/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking a whole snapshot, from a swapd or of the kernel's own swap.
 *
 * It comes in several calls, one for each device that is looked through among
 * them, so its parts are of moments that lie milliseconds apart.  A device that
 * goes in between has no map; it is no failure.
 */
#include "export.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../kernel/kernel.h"
#include "../util.h"
#include "client.h"

static uint64_t
wall_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static int
no_memory(struct swap_error *error)
{
	return error_set(error, -ENOMEM, "out of memory");
}

static void
maps_free(struct swap_device_map *maps, size_t n)
{
	for (size_t i = 0; maps != NULL && i < n; i++)
		swap_device_map_clear(&maps[i]);
	free(maps);
}

void
export_clear(struct export_snapshot *s)
{
	maps_free(s->maps, s->stats.ndevices);
	free(s->tunables);
	swap_stats_clear(&s->stats);
	s->maps = NULL;
	s->tunables = NULL;
	s->ntunables = 0;
}

/* One map, by whoever has it. */
typedef int map_fn(void *arg, const char *path, struct swap_device_map *ret,
		   struct swap_error *error);

static int
take_maps(struct export_snapshot *s, map_fn *take, void *arg,
	  struct swap_error *error)
{
	struct swap_error why;
	int r;

	s->maps = calloc(s->stats.ndevices + 1, sizeof(*s->maps));
	if (s->maps == NULL)
		return no_memory(error);
	for (size_t i = 0; i < s->stats.ndevices; i++) {
		r = take(arg, s->stats.devices[i].path, &s->maps[i], &why);
		if (r == -ECONNRESET || r == -EPROTO || r == -EINTR)
			return error_set(error, r, "%s", why.message);
		if (r < 0)
			memset(&s->maps[i], 0, sizeof(s->maps[i]));
	}
	return 0;
}

static int
map_of_client(void *arg, const char *path, struct swap_device_map *ret,
	      struct swap_error *error)
{
	return swap_client_device_map(arg, path, 0, ret, error);
}

int
export_take(struct swap_client *client, unsigned what,
	    struct export_snapshot *ret_snapshot, struct swap_error *error)
{
	struct export_snapshot *s = ret_snapshot;
	int r;

	memset(s, 0, sizeof(*s));
	s->what = what;
	s->time_usec = wall_usec();
	r = client_stats(client, (what & EXPORT_OBJECTS) != 0, 0, &s->stats,
			 error);
	if (r == 0 && (what & EXPORT_MAPS))
		r = take_maps(s, map_of_client, client, error);
	if (r == 0 && (what & EXPORT_TUNABLES))
		r = swap_client_tunables(client, &s->tunables, &s->ntunables,
					 error);
	if (r < 0)
		export_clear(s);
	return r;
}

static int
map_of_kernel(void *arg, const char *path, struct swap_device_map *ret,
	      struct swap_error *error)
{
	return kernel_map(arg, path, 0, ret, NULL, error);
}

int
export_take_kernel(const struct host *host, unsigned what,
		   struct export_snapshot *ret_snapshot,
		   struct swap_error *error)
{
	struct export_snapshot *s = ret_snapshot;
	struct host copy = *host;
	int r;

	memset(s, 0, sizeof(*s));
	s->what = what;
	s->time_usec = wall_usec();
	r = kernel_stats(host, &s->stats);
	if (r < 0)
		return error_set(error, r, "the kernel's swap: %s",
				 strerror(-r));
	s->stats.nobjects_live = s->stats.nobjects;
	if (!(what & EXPORT_OBJECTS))
		s->stats.nobjects = 0;
	if (what & EXPORT_MAPS)
		r = take_maps(s, map_of_kernel, &copy, error);
	if (r < 0)
		export_clear(s);
	return r;
}
