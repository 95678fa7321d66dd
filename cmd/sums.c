/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sums
 *
 * Each object becomes a sum of one, as does what each user is charged; sums are
 * sorted by whose they are, and neighbours of one owner are added together.
 * So no table of owners is needed, however many there are.
 *
 * A process is told from another by its number, user and name: a number can
 * have been used twice while objects of the first are still held by others.
 */
#include "sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int
compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int
compare_owner(const void *left, const void *right)
{
	const struct sum *a = left, *b = right;
	int order = compare((uint32_t)a->pid, (uint32_t)b->pid);

	if (order == 0)
		order = compare(a->uid, b->uid);
	return order != 0 ? order : strncmp(a->command, b->command,
					    sizeof(a->command));
}

static int
compare_sums(const void *left, const void *right)
{
	const struct sum *a = left, *b = right;
	int order = compare(b->swapped_bytes, a->swapped_bytes);

	if (order == 0)
		order = compare(b->resident_bytes, a->resident_bytes);
	return order != 0 ? order : compare_owner(left, right);
}

static void
add(struct sum *to, const struct sum *from)
{
	to->nobjects += from->nobjects;
	to->size_bytes += from->size_bytes;
	to->resident_bytes += from->resident_bytes;
	to->swapped_bytes += from->swapped_bytes;
	to->block_bytes += from->block_bytes;
	to->wired_bytes += from->wired_bytes;
	to->reserved_bytes += from->reserved_bytes;
	to->charged_bytes += from->charged_bytes;
	to->limit_bytes += from->limit_bytes;
}

static struct sum
sum_of_object(const struct swap_object_stats *object, enum sum_by by)
{
	struct sum sum = {
		.uid = object->uid, .nobjects = 1,
		.size_bytes = object->size_bytes,
		.resident_bytes = object->resident_bytes,
		.swapped_bytes = object->swapped_bytes,
		.block_bytes = object->block_bytes,
		.wired_bytes = object->wired_bytes,
		.reserved_bytes = object->reserved_bytes,
	};

	if (by == SUM_BY_PROCESS) {
		sum.pid = object->pid;
		memcpy(sum.command, object->command, sizeof(sum.command));
	}
	return sum;
}

static size_t
collect(const struct swap_stats *stats, enum sum_by by, struct sum *sums)
{
	size_t n = 0;

	for (size_t i = 0; i < stats->nobjects; i++)
		sums[n++] = sum_of_object(&stats->objects[i], by);
	for (size_t i = 0; by == SUM_BY_USER && i < stats->nusers; i++)
		sums[n++] = (struct sum){
			.uid = stats->users[i].uid,
			.charged_bytes = stats->users[i].charged_bytes,
			.limit_bytes = stats->users[i].limit_bytes,
		};
	return n;
}

static size_t
merge(struct sum *sums, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && compare_owner(&sums[kept - 1], &sums[i]) == 0)
			add(&sums[kept - 1], &sums[i]);
		else
			sums[kept++] = sums[i];
	}
	return kept;
}

int
sums_make(const struct swap_stats *stats, enum sum_by by,
	  struct sum **ret_sums, size_t *ret_n)
{
	struct sum *sums;
	size_t n;

	sums = calloc(stats->nobjects + stats->nusers + 1, sizeof(*sums));
	if (sums == NULL)
		return -ENOMEM;
	n = collect(stats, by, sums);
	qsort(sums, n, sizeof(*sums), compare_owner);
	n = merge(sums, n);
	qsort(sums, n, sizeof(*sums), compare_sums);
	*ret_sums = sums;
	*ret_n = n;
	return 0;
}
