/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The settings that can be changed while a pager runs.
 *
 * One row of a const table a tunable.  The table parses, checks the range and
 * writes values; what is behind a row is a number that one room below owns, and
 * that is safe to change under the threads that use it:
 *
 *	ram			budget, which calls page-out and who waits,
 *				and the cache
 *	cluster			core.cluster (atomic), and the budget's marks
 *	swap_async_max		core.async_max (atomic)
 *	low_water, high_water	space, under its lock
 *	overcommit, user_limit	charge, under its lock
 *	metadata_limit		core.maps (atomic)
 *	map_kind, full		core (atomic)
 *
 * Invariants.
 *	T1  Changes are serialised by the admin lock; reading takes no lock
 *	    that is held for long, so that settings can be shown at any time.
 *	T2  A refused change has changed nothing.
 *	T3  The value that is shown can be set again, and means the same.
 *
 * Names and meanings of the marks and of the policy bits: FreeBSD nswap_lowat,
 * nswap_hiwat, vm.overcommit, and RLIMIT_SWAP for the limit of a user.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pager-impl.h"
#include "pager.h"
#include "util.h"

#define VALUE_LEN	24u	/* of struct swap_tunable */

enum type {
	NUMBER,
	SIZE,			/* bytes; K, M, G, T are taken */
	CHOICE,			/* a word: the values are their numbers */
};

struct tunable {
	const char	*name, *unit, *summary;
	enum type	 type;
	uint64_t	 min, max, def;
	const char	*(*word)(uint64_t value);	/* CHOICE */
	uint64_t	(*get)(struct swap_pager *pager);
	/* Admin locked; the value is in range. */
	int		(*set)(struct swap_pager *pager, uint64_t value,
			       struct swap_error *error);
};

/* -------------------------------------------------------------------- RAM */

static uint64_t
ram_get(struct swap_pager *pager)
{
	return atomic_load(&pager->ram_bytes);
}

static int
ram_set(struct swap_pager *pager, uint64_t bytes, struct swap_error *error)
{
	struct core *core = &pager->core;
	int rc = pager_set_ram(core, bytes >> page_shift());
	char wired[32], least[32];

	if (rc < 0)
		return error_set(error, rc,
			"ram: %s of memory are wired, and a quarter of the "
			"budget must stay free to page: give at least %s, or "
			"unwire some",
			format_size(atomic_load(&core->budget.wired) <<
				    page_shift(), wired, sizeof(wired)),
			format_size(pager_least_ram(core) << page_shift(),
				    least, sizeof(least)));
	atomic_store(&pager->ram_bytes, bytes);
	/* What page-out has found out held for the other budget. */
	atomic_store(&core->stuck, false);
	fault_wake_starved(core, &pager->regions, true);
	return 0;
}

static uint64_t
cluster_get(struct swap_pager *pager)
{
	return atomic_load(&pager->core.cluster);
}

static int
cluster_set(struct swap_pager *pager, uint64_t npages,
	    struct swap_error *error)
{
	(void)error;
	atomic_store(&pager->core.cluster, (unsigned)npages);
	budget_set_cluster(&pager->core.budget, (unsigned)npages);
	return 0;
}

static uint64_t
async_get(struct swap_pager *pager)
{
	return atomic_load(&pager->core.async_max);
}

/* Page-out looks at it before each write. */
static int
async_set(struct swap_pager *pager, uint64_t nwrites,
	  struct swap_error *error)
{
	(void)error;
	atomic_store(&pager->core.async_max, (unsigned)nwrites);
	return 0;
}

/* ------------------------------------------------------------- swap space */

static uint64_t
low_get(struct swap_pager *pager)
{
	uint64_t low, high;

	space_water(&pager->core.space, &low, &high);
	return low << page_shift();
}

static uint64_t
high_get(struct swap_pager *pager)
{
	uint64_t low, high;

	space_water(&pager->core.space, &low, &high);
	return high << page_shift();
}

/* Whole blocks, upwards: what is not 0 must not become 0. */
static uint64_t
blocks(uint64_t bytes)
{
	return (bytes >> page_shift()) + ((bytes & (page_bytes() - 1)) != 0);
}

static int
low_set(struct swap_pager *pager, uint64_t bytes, struct swap_error *error)
{
	uint64_t low, high;
	int rc;

	space_water(&pager->core.space, &low, &high);
	rc = space_set_water(&pager->core.space, blocks(bytes), high);
	if (rc == 0)
		return 0;
	return error_set(error, rc,
		"low_water: %" PRIu64 " is above high_water, which is %" PRIu64
		" bytes; change that first", bytes, high << page_shift());
}

static int
high_set(struct swap_pager *pager, uint64_t bytes, struct swap_error *error)
{
	uint64_t low, high;
	int rc;

	space_water(&pager->core.space, &low, &high);
	rc = space_set_water(&pager->core.space, low, blocks(bytes));
	if (rc == 0)
		return 0;
	return error_set(error, rc,
		"high_water: %" PRIu64 " is below low_water, which is %" PRIu64
		" bytes; change that first", bytes, low << page_shift());
}

/* ----------------------------------------------------------------- limits */

static uint64_t
overcommit_get(struct swap_pager *pager)
{
	struct charge_totals totals;

	charge_totals(&pager->core.charge, &totals);
	return totals.overcommit;
}

static int
overcommit_set(struct swap_pager *pager, uint64_t bits,
	       struct swap_error *error)
{
	int rc = charge_set_overcommit(&pager->core.charge, (unsigned)bits);

	if (rc < 0)
		error_set(error, rc, "overcommit: unknown bits %" PRIu64,
			  bits);
	return rc;
}

static uint64_t
user_limit_get(struct swap_pager *pager)
{
	struct charge_totals totals;

	charge_totals(&pager->core.charge, &totals);
	return totals.user_limit;
}

static int
user_limit_set(struct swap_pager *pager, uint64_t bytes,
	       struct swap_error *error)
{
	(void)error;
	charge_set_user_limit(&pager->core.charge, bytes);
	return 0;
}

static uint64_t
metadata_limit_get(struct swap_pager *pager)
{
	return atomic_load(&pager->core.maps.limit);
}

static int
metadata_limit_set(struct swap_pager *pager, uint64_t bytes,
		   struct swap_error *error)
{
	(void)error;
	atomic_store(&pager->core.maps.limit, bytes);
	/* Page-out may be waiting for room. */
	atomic_store(&pager->core.stuck, false);
	budget_kick(&pager->core.budget);
	pager_check_maps(pager);
	return 0;
}

/* ---------------------------------------------------------------- choices */

static const char *
map_kind_word(uint64_t value)
{
	return swapmap_kind_name((enum swapmap_kind)value);
}

static uint64_t
map_kind_get(struct swap_pager *pager)
{
	return atomic_load(&pager->core.map_kind);
}

static int
map_kind_set(struct swap_pager *pager, uint64_t kind,
	     struct swap_error *error)
{
	(void)error;
	atomic_store(&pager->core.map_kind, (unsigned)kind);
	return 0;
}

static const char *
full_word(uint64_t value)
{
	return value == 0 ? "wait" : "fail";
}

static uint64_t
full_get(struct swap_pager *pager)
{
	unsigned flags = atomic_load(&pager->core.flags);

	return (flags & SWAP_PAGER_FULL_FAILS) != 0;
}

static int
full_set(struct swap_pager *pager, uint64_t fail, struct swap_error *error)
{
	struct core *core = &pager->core;

	(void)error;
	if (fail != 0)
		atomic_fetch_or(&core->flags, SWAP_PAGER_FULL_FAILS);
	else
		atomic_fetch_and(&core->flags, ~SWAP_PAGER_FULL_FAILS);
	/* Who waits shall fail now. */
	fault_wake_starved(core, &pager->regions, true);
	return 0;
}

/* ------------------------------------------------------------------ table */

static const struct tunable table[] = {
	{
		.name = "ram", .unit = "bytes", .type = SIZE,
		.min = SWAP_RAM_MIN, .max = SWAP_SIZE_MAX, .def = RAM_DEFAULT,
		.summary = "budget of RAM for resident pages",
		.get = ram_get, .set = ram_set,
	},
	{
		.name = "cluster", .unit = "pages", .type = NUMBER,
		.min = 1, .max = SWAP_CLUSTER_MAX, .def = CLUSTER_DEFAULT,
		.summary = "most pages in one I/O",
		.get = cluster_get, .set = cluster_set,
	},
	{
		.name = "swap_async_max", .unit = "writes", .type = NUMBER,
		.min = 1, .max = PAGEOUT_ASYNC_MAX,
		.def = PAGEOUT_ASYNC_DEFAULT,
		.summary = "most writes of page-out in flight",
		.get = async_get, .set = async_set,
	},
	{
		.name = "low_water", .unit = "bytes", .type = SIZE,
		.max = SWAP_SIZE_MAX,
		.summary = "free swap space below this: almost full (0: by "
			   "the size of the space)",
		.get = low_get, .set = low_set,
	},
	{
		.name = "high_water", .unit = "bytes", .type = SIZE,
		.max = SWAP_SIZE_MAX,
		.summary = "free swap space above this: not so any more (0: "
			   "by the size)",
		.get = high_get, .set = high_set,
	},
	{
		.name = "overcommit", .unit = "bits", .type = NUMBER,
		.max = SWAP_OVERCOMMIT_TOTAL | SWAP_OVERCOMMIT_USER |
		       SWAP_OVERCOMMIT_RAM,
		.summary = "refuse objects: 1 beyond the total, 2 beyond "
			   "user_limit; 4 RAM counts, too",
		.get = overcommit_get, .set = overcommit_set,
	},
	{
		.name = "user_limit", .unit = "bytes", .type = SIZE,
		.max = SWAP_SIZE_MAX,
		.summary = "most that one user's objects may add up to, by "
			   "overcommit bit 2 (0: none)",
		.get = user_limit_get, .set = user_limit_set,
	},
	{
		.name = "metadata_limit", .unit = "bytes", .type = SIZE,
		.max = SWAP_SIZE_MAX,
		.summary = "most memory for swap maps; page-out stops there "
			   "(0: none)",
		.get = metadata_limit_get, .set = metadata_limit_set,
	},
	{
		.name = "map_kind", .unit = "", .type = CHOICE,
		.max = SWAPMAP_NKINDS - 1, .def = SWAPMAP_AUTO,
		.summary = "kind of the swap maps of new objects",
		.word = map_kind_word,
		.get = map_kind_get, .set = map_kind_set,
	},
	{
		.name = "full", .unit = "", .type = CHOICE,
		.max = 1,
		.summary = "programs that need a page while RAM and swap are "
			   "full wait, or get SIGBUS",
		.word = full_word,
		.get = full_get, .set = full_set,
	},
};

static void
format_value(const struct tunable *t, uint64_t value, char *buf, size_t len)
{
	if (t->type == CHOICE)
		format_cut(buf, len, "%s", t->word(value));
	else
		format_cut(buf, len, "%" PRIu64, value);
}

/* "1..64", or "wait|fail". */
static void
format_range(const struct tunable *t, char *buf, size_t len)
{
	size_t used = 0;

	if (t->type != CHOICE) {
		format_cut(buf, len, "%" PRIu64 "..%" PRIu64, t->min, t->max);
		return;
	}
	for (uint64_t i = 0; i <= t->max; i++) {
		format_cut(buf + used, len - used, "%s%s", i > 0 ? "|" : "",
			   t->word(i));
		used += strlen(buf + used);
	}
}

/* ----------------------------------------------------------------- values */

static int
parse_choice(const struct tunable *t, const char *text, uint64_t *ret_value)
{
	for (uint64_t i = 0; i <= t->max; i++)
		if (strcmp(text, t->word(i)) == 0) {
			*ret_value = i;
			return 0;
		}
	return -EINVAL;
}

/* -EINVAL not a value at all, -ERANGE one that is out of range. */
static int
parse(const struct tunable *t, const char *text, uint64_t *ret_value)
{
	int64_t number = 0;
	int rc;

	switch (t->type) {
	case CHOICE:
		return parse_choice(t, text, ret_value);
	case SIZE:
		rc = parse_size(text, ret_value);
		break;
	default:
		rc = parse_i64(text, (int64_t)t->min, (int64_t)t->max,
			       &number);
		*ret_value = (uint64_t)number;
		break;
	}
	if (rc == 0 && (*ret_value < t->min || *ret_value > t->max))
		rc = -ERANGE;
	return rc;
}

static int
refuse(const struct tunable *t, int rc, const char *text,
       struct swap_error *error)
{
	const char *what = rc == -ERANGE ? "out of range" :
			   t->type == CHOICE ? "not a choice" :
			   t->type == SIZE ? "not a size" : "not a number";
	char range[40];

	format_range(t, range, sizeof(range));
	return error_set(error, -EINVAL, "%s: '%.40s' is %s: give %s%s%s%s",
			 t->name, text, what, range,
			 t->unit[0] != '\0' ? " " : "", t->unit,
			 t->type == SIZE ? ", or a number with K, M, G or T" :
			 "");
}

static const struct tunable *
find(const char *name, struct swap_error *error)
{
	char names[256];
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(name, table[i].name) == 0)
			return &table[i];
		format_cut(names + used, sizeof(names) - used, "%s%s",
			   i > 0 ? ", " : "", table[i].name);
		used += strlen(names + used);
	}
	error_set(error, -ENOENT, "no tunable '%.40s'; there are %s", name,
		  names);
	return NULL;
}

/* Admin locked. */
static int
change(struct swap_pager *pager, const struct tunable *t, uint64_t value,
       struct swap_error *error)
{
	uint64_t before = t->get(pager), after;
	char was[VALUE_LEN], is[VALUE_LEN];
	int rc;

	if (atomic_load(&pager->handed_over))
		return error_set(error, -ESHUTDOWN, "pager '%s' is ending",
				 pager->name);
	rc = t->set(pager, value, error);
	after = t->get(pager);
	if (rc < 0 || after == before)
		return rc;
	format_value(t, before, was, sizeof(was));
	format_value(t, after, is, sizeof(is));
	log_write(&pager->core.log, SWAP_LOG_NOTICE,
		  "%s is %s%s%s now; it was %s", t->name, is,
		  t->unit[0] != '\0' ? " " : "", t->unit, was);
	return 0;
}

int
swap_pager_tune(struct swap_pager *pager, const char *name, const char *value,
		struct swap_error *error)
{
	const struct tunable *t = find(name, error);
	uint64_t number = 0;
	int rc;

	if (t == NULL)
		return -ENOENT;
	rc = parse(t, value, &number);
	if (rc < 0)
		return refuse(t, rc, value, error);
	pthread_mutex_lock(&pager->admin);
	rc = change(pager, t, number, error);
	pthread_mutex_unlock(&pager->admin);
	return rc;
}

int
swap_pager_tunables(struct swap_pager *pager,
		    struct swap_tunable **ret_tunables, size_t *ret_n)
{
	struct swap_tunable *out = calloc(ARRAY_SIZE(table), sizeof(*out));

	if (out == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct tunable *t = &table[i];
		struct swap_tunable *o = &out[i];

		format_cut(o->name, sizeof(o->name), "%s", t->name);
		format_cut(o->unit, sizeof(o->unit), "%s", t->unit);
		format_cut(o->summary, sizeof(o->summary), "%s", t->summary);
		format_value(t, t->get(pager), o->value, sizeof(o->value));
		format_value(t, t->def, o->default_value,
			     sizeof(o->default_value));
		format_range(t, o->range, sizeof(o->range));
	}
	*ret_tunables = out;
	*ret_n = ARRAY_SIZE(table);
	return 0;
}
