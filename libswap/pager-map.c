/* SPDX-License-Identifier: BSD-2-Clause */
/* The fragmentation of a pager's device, for an embedder. */
#include "pager-impl.h"

#include <stdlib.h>

int
swap_pager_map(struct swap_pager *pager, const char *spec, size_t ncells,
	       struct swap_device_map *ret_map, struct swap_error *error)
{
	return space_map(&pager->core.space, spec, ncells,
			 atomic_load(&pager->core.cluster), ret_map, error);
}

void
swap_device_map_clear(struct swap_device_map *map)
{
	free(map->cells);
	map->cells = NULL;
	map->ncells = 0;
}
