/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is in the kernel's swap.
 *
 * VmSwap of /proc/PID/status counts a page that ten processes share ten times,
 * and leaves shared memory out; it costs nothing and anybody may see it.
 * SwapPss of smaps_rollup divides such a page among its owners, so that the
 * sum is what is really there; the kernel walks all page tables for it, and
 * shows it to the owner and root.  Shared memory belongs to its files.
 *
 * The books: what the devices say is in use is what processes hold by share,
 * what shared memory holds, pages that came back and still have their slot
 * (the swap cache), and a rest, such as what processes of other namespaces
 * hold.  The parts are read one after the other while paging goes on.
 */
#include "kernel/holders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

struct collect {
	const struct host *host;
	unsigned	 flags;
	struct kernel_holders *holders;
};

static void
take_status(const char *status, struct kernel_holder *holder)
{
	const char *name = strstr(status, "Name:");
	uint64_t uid = 0;
	size_t n;

	if (name != NULL) {
		name += 5;
		name += strspn(name, " \t");
		n = strcspn(name, "\n");
		format_cut(holder->command, sizeof(holder->command), "%.*s",
			   (int)min_u64(n, sizeof(holder->command) - 1),
			   name);
	}
	text_number(status, "Uid:", &uid);
	holder->uid = (uint32_t)uid;
	holder->size = text_kib(status, "VmSize:");
	holder->resident = text_kib(status, "VmRSS:");
	holder->swapped = holder->share = text_kib(status, "VmSwap:");
}

static void
take_share(const struct host *host, struct kernel_holder *holder)
{
	uint64_t kib;
	char *text;

	if (host_read_pid(host, holder->pid, "smaps_rollup", &text) < 0)
		return;
	if (text_number(text, "SwapPss:", &kib)) {
		holder->share = kib << 10;
		holder->share_known = true;
	}
	free(text);
}

static int
add_holder(struct collect *collect, struct kernel_holder *holder)
{
	struct kernel_holders *holders = collect->holders;
	struct kernel_holder *more;
	char group[1024] = "";

	if (collect->flags & HOLDERS_SHARES) {
		take_share(collect->host, holder);
		holders->nhidden += !holder->share_known;
	}
	if (collect->flags & HOLDERS_GROUPS)
		kernel_group_of(collect->host, holders->groups.version,
				holder->pid, group, sizeof(group));
	/* Room for twice as many, when it is used up. */
	if ((holders->n & (holders->n - 1)) == 0) {
		more = realloc(holders->holder,
			       (2 * holders->n + 1) * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		holders->holder = more;
	}
	holder->group = strdup(group);
	if (holder->group == NULL)
		return -ENOMEM;
	holders->holder[holders->n++] = *holder;
	return 0;
}

static int
collect_process(void *arg, int32_t pid)
{
	struct collect *collect = arg;
	struct kernel_holder holder = { .pid = pid };
	char *status;

	if (host_read_pid(collect->host, pid, "status", &status) < 0)
		return 0;
	take_status(status, &holder);
	free(status);
	return holder.swapped > 0 ? add_holder(collect, &holder) : 0;
}

static int
by_share(const void *a, const void *b)
{
	const struct kernel_holder *x = a, *y = b;

	if (x->share != y->share)
		return x->share < y->share ? 1 : -1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

int
kernel_holders(const struct host *host, unsigned flags,
	       struct kernel_holders *ret_holders)
{
	struct kernel_holders holders = { 0 };
	struct collect collect = { host, flags, &holders };
	int r = 0;

	if (flags & HOLDERS_GROUPS)
		r = kernel_groups(host, &holders.groups);
	if (r == 0)
		r = host_each_pid(host, collect_process, &collect);
	if (r == 0 && (flags & HOLDERS_SHM))
		r = shm_survey(host, &holders.shm);
	if (r < 0) {
		kernel_holders_clear(&holders);
		return r;
	}
	if (holders.n > 0)
		qsort(holders.holder, holders.n, sizeof(*holders.holder),
		      by_share);
	*ret_holders = holders;
	return 0;
}

void
kernel_holders_clear(struct kernel_holders *holders)
{
	for (size_t i = 0; i < holders->n; i++)
		free(holders->holder[i].group);
	free(holders->holder);
	kernel_groups_clear(&holders->groups);
	shm_files_clear(&holders->shm);
	holders->holder = NULL;
	holders->n = 0;
}

void
kernel_books(const struct kernel_holders *holders,
	     const struct kernel_devices *devices,
	     const struct kernel_memory *memory,
	     struct kernel_books *ret_books)
{
	struct kernel_books books = { 0 };
	uint64_t held;

	for (size_t i = 0; i < devices->n; i++)
		books.used += devices->device[i].stats.used_bytes;
	for (size_t i = 0; i < holders->n; i++)
		books.processes += holders->holder[i].share;
	for (size_t i = 0; i < holders->shm.n; i++)
		books.shm += holders->shm.file[i].swapped;
	held = books.processes + books.shm;
	if (books.used > held)
		books.cached = min_u64(memory->swap_cached, books.used - held);
	books.other = (int64_t)(books.used - held - books.cached);
	*ret_books = books;
}
