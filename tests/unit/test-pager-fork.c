/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model test of copies: threads do random things to a tree of objects, which
 * are copies of one another, and compare all that they see with a naive model
 * in which a copy is a full copy.
 *
 * FORK_SEED=N repeats a run, as far as threads can be repeated; FORK_STEPS=N
 * makes it so long, altogether; FORK_HANDOVER=1 ends with a handover, and 0
 * with the ends of all objects in a random order.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define NODES		10u
#define PAGES		192u
#define GROUP		8u		/* pages that share a lock */
#define GROUPS		(PAGES / GROUP)
#define WORKERS		4u
#define RUN_MAX		40u		/* pages of one call */

/* An object and the bytes that it must have. */
struct node {
	pthread_rwlock_t life;		/* read: use; written: make and end */
	bool		 live;		/* (life) */
	struct area	 area;		/* (life) */
	struct swap_region *second;	/* (life) of the same pages; or NULL */
	pthread_mutex_t	 lock[GROUPS];
	char		*shadow;	/* (lock) */
	uint32_t	 changes[PAGES]; /* (lock) ever */
};

enum op {
	OP_READ, OP_WRITE, OP_RELEASE, OP_FORK, OP_FORK_RACING, OP_EXIT, OP_GET,
	OP_FLUSH, OP_MAP, OP_WIRE, OP_RESERVE, OP_PRESS, OP_DEVICE, OPS
};

static const char *const op_names[OPS] = {
	"read", "write", "release", "fork", "racing fork", "exit", "get",
	"flush", "map", "wire", "reserve", "press", "device",
};

struct tree {
	struct env	*env;
	struct node	 node[NODES];
	struct area	 filler;
	_Atomic uint64_t wrong, ops[OPS];
	_Atomic unsigned nlive;
	atomic_bool	 ended;
};

struct worker {
	struct tree	*tree;
	uint64_t	 random, steps;
	char		 before[PAGES * PAGE], after[PAGES * PAGE];
	uint32_t	 changes[PAGES];
};

static uint64_t
dice(struct worker *w, uint64_t n)
{
	return next_random(&w->random) % n;
}

/* ------------------------------------------------------------------- pages */

/* A page, by one of the regions. */
static char *
at_page(struct worker *w, struct node *n, uint64_t page)
{
	char *mem = (char *)n->area.mem;

	if (n->second != NULL && dice(w, 2) == 0)
		mem = swap_region_address(n->second);
	return mem + page * PAGE;
}

static void
check(struct tree *t, const struct node *n, uint64_t page, const char *at,
      const char *where)
{
	const char *want = n->shadow + page * PAGE;
	size_t i = 0, bad = 0;

	if (memcmp(at, want, PAGE) == 0)
		return;
	for (size_t k = PAGE; k-- > 0;)
		if (at[k] != want[k]) {
			bad++;
			i = k;
		}
	if (atomic_fetch_add(&t->wrong, 1) < 10)
		fprintf(stderr, "# %s: object %" PRIu64 " page %" PRIu64 ": %zu "
			"bytes wrong, the first at %zu is %02x, not %02x\n",
			where, pager_object_id(n->area.object), page, bad, i,
			(unsigned char)at[i], (unsigned char)want[i]);
}

static void
lock_pages(struct node *n, uint64_t page, uint64_t npages)
{
	for (uint64_t g = page / GROUP; g <= (page + npages - 1) / GROUP; g++)
		pthread_mutex_lock(&n->lock[g]);
}

static void
unlock_pages(struct node *n, uint64_t page, uint64_t npages)
{
	for (uint64_t g = page / GROUP; g <= (page + npages - 1) / GROUP; g++)
		pthread_mutex_unlock(&n->lock[g]);
}

/* Every byte of a page. */
static void
do_read(struct worker *w, struct node *n, uint64_t page)
{
	lock_pages(n, page, 1);
	check(w->tree, n, page, at_page(w, n, page), "read");
	unlock_pages(n, page, 1);
}

/* A whole page of one word: of many, or of a few that pages share. */
static void
do_fill(struct worker *w, struct node *n, uint64_t page)
{
	uint64_t word = dice(w, 2) == 0 ? dice(w, 4) : dice(w, UINT64_MAX);
	char *at, *shadow = n->shadow + page * PAGE;

	lock_pages(n, page, 1);
	at = at_page(w, n, page);
	for (size_t i = 0; i < PAGE; i += sizeof(word)) {
		memcpy(at + i, &word, sizeof(word));
		memcpy(shadow + i, &word, sizeof(word));
	}
	n->changes[page]++;
	unlock_pages(n, page, 1);
}

/* Some bytes of it: the others must stay. */
static void
do_write(struct worker *w, struct node *n, uint64_t page)
{
	size_t from = dice(w, 3) == 0 ? 0 : dice(w, PAGE - 8);
	size_t len = dice(w, 3) == 0 ? PAGE - from :
		     1 + dice(w, PAGE - from);
	char *shadow = n->shadow + page * PAGE, *at;
	char byte = (char)dice(w, 256);

	lock_pages(n, page, 1);
	at = at_page(w, n, page);
	for (size_t i = from; i < from + len; i++)
		shadow[i] = at[i] = (char)(byte + (char)(i * 7));
	n->changes[page]++;
	if (dice(w, 4) == 0)
		check(w->tree, n, page, at_page(w, n, page), "write");
	unlock_pages(n, page, 1);
}

static void
do_release(struct worker *w, struct node *n, uint64_t page, uint64_t npages)
{
	int rc;

	lock_pages(n, page, npages);
	rc = dice(w, 2) == 0 ?
	     swap_region_release(n->area.region, page * PAGE, npages * PAGE) :
	     swap_object_flush(n->area.object, page * PAGE, npages * PAGE,
			       SWAP_FLUSH_FREE, NULL);
	if (rc != 0)
		abort();
	memset(n->shadow + page * PAGE, 0, npages * PAGE);
	for (uint64_t i = page; i < page + npages; i++)
		n->changes[i]++;
	if (dice(w, 2) == 0)
		check(w->tree, n, page, at_page(w, n, page), "release");
	unlock_pages(n, page, npages);
}

static void
do_wire(struct worker *w, struct node *n, uint64_t page, uint64_t npages)
{
	int rc;

	npages = min_u64(npages, 6);
	lock_pages(n, page, npages);
	rc = swap_region_wire(n->area.region, page * PAGE, npages * PAGE, NULL);
	if (rc == 0) {
		check(w->tree, n, page, at_page(w, n, page), "wired");
		swap_region_unwire(n->area.region, page * PAGE, npages * PAGE);
	} else if (rc != -ENOMEM) {
		abort();
	}
	unlock_pages(n, page, npages);
}

/* These change no contents. */
static void
do_hint(struct worker *w, struct node *n, enum op op, uint64_t page,
	uint64_t npages)
{
	int64_t rc = 0;

	if (op == OP_FLUSH)
		rc = swap_object_flush(n->area.object, page * PAGE,
				       npages * PAGE, SWAP_FLUSH_DEACTIVATE,
				       NULL);
	else if (op == OP_GET)
		rc = swap_object_get(n->area.object, page * PAGE,
				     npages * PAGE, page * PAGE,
				     (unsigned)dice(w, 4), NULL, NULL);
	else if (dice(w, 2) == 0)
		rc = swap_object_reserve(n->area.object, page * PAGE,
					 npages * PAGE, NULL);
	else
		rc = swap_object_unreserve(n->area.object, page * PAGE,
					   npages * PAGE);
	if (rc < 0 && rc != -EAGAIN && rc != -ENOSPC && rc != -ENOMEM)
		abort();
}

/* ------------------------------------------------------------------- nodes */

static bool
map_node(struct node *n)
{
	int rc = swap_object_map(n->area.object, NULL, 0, PAGES * PAGE,
				 &n->area.region, NULL);

	if (rc < 0)
		return false;
	n->area.mem = swap_region_address(n->area.region);
	n->area.npages = PAGES;
	n->second = NULL;
	n->live = true;
	memset(n->changes, 0, sizeof(n->changes));
	return true;
}

/* Written: the object goes, not always its mapping first. */
static void
end_node(struct worker *w, struct node *n)
{
	if (n->second != NULL)
		swap_region_unmap(n->second);
	if (dice(w, 2) == 0) {
		swap_object_unref(n->area.object);
		swap_region_unmap(n->area.region);
	} else {
		swap_region_unmap(n->area.region);
		swap_object_unref(n->area.object);
	}
	n->live = false;
	atomic_fetch_sub(&w->tree->nlive, 1);
}

/* A slot that nobody uses, locked; NULL: none was found. */
static struct node *
take_slot(struct worker *w)
{
	for (unsigned tries = 0; tries < NODES; tries++) {
		struct node *n = &w->tree->node[dice(w, NODES)];

		if (pthread_rwlock_trywrlock(&n->life) != 0)
			continue;
		if (!n->live)
			return n;
		pthread_rwlock_unlock(&n->life);
	}
	return NULL;
}

/* Nobody changes the parent meanwhile. */
static void
do_fork(struct worker *w, struct node *parent)
{
	struct node *child;

	if (pthread_rwlock_trywrlock(&parent->life) != 0)
		return;
	child = parent->live ? take_slot(w) : NULL;
	if (child != NULL) {
		struct swap_error error = { 0 };

		check_ok(swap_object_fork(parent->area.object,
					  &child->area.object, &error),
			 &error);
		memcpy(child->shadow, parent->shadow, PAGES * PAGE);
		if (!map_node(child))
			abort();
		atomic_fetch_add(&w->tree->nlive, 1);
	}
	pthread_rwlock_unlock(&parent->life);
	if (child != NULL)
		pthread_rwlock_unlock(&child->life);
}

static void
look_at_all(struct node *n, char *bytes, uint32_t changes[])
{
	for (uint64_t page = 0; page < PAGES; page++) {
		lock_pages(n, page, 1);
		memcpy(bytes + page * PAGE, n->shadow + page * PAGE, PAGE);
		changes[page] = n->changes[page];
		unlock_pages(n, page, 1);
	}
}

/*
 * What the child of a racing fork has: where the parent's page did not change
 * that, where it changed once each byte is from before or after.
 */
static void
adopt(struct worker *w, struct node *child, const uint32_t after[])
{
	for (uint64_t page = 0; page < PAGES; page++) {
		const char *before = w->before + page * PAGE;
		const char *later = w->after + page * PAGE;
		char *have = (char *)child->area.mem + page * PAGE;
		uint32_t changed = after[page] - w->changes[page];

		if (changed == 0 && memcmp(have, before, PAGE) != 0)
			atomic_fetch_add(&w->tree->wrong, 1);
		for (size_t i = 0; i < PAGE && changed == 1; i++)
			if (have[i] != before[i] && have[i] != later[i])
				atomic_fetch_add(&w->tree->wrong, 1);
		memcpy(child->shadow + page * PAGE,
		       changed == 0 ? before : have, PAGE);
	}
}

/* The parent's program goes on. */
static void
do_fork_racing(struct worker *w, struct node *parent)
{
	struct node *child = take_slot(w);
	struct swap_error error = { 0 };
	uint32_t after[PAGES];

	if (child == NULL)
		return;
	if (pthread_rwlock_tryrdlock(&parent->life) == 0) {
		if (parent->live) {
			look_at_all(parent, w->before, w->changes);
			check_ok(swap_object_fork(parent->area.object,
						  &child->area.object, &error),
				 &error);
			look_at_all(parent, w->after, after);
			if (!map_node(child))
				abort();
			adopt(w, child, after);
			atomic_fetch_add(&w->tree->nlive, 1);
		}
		pthread_rwlock_unlock(&parent->life);
	}
	pthread_rwlock_unlock(&child->life);
}

static void
do_exit(struct worker *w, struct node *n)
{
	if (pthread_rwlock_trywrlock(&n->life) != 0)
		return;
	if (n->live && atomic_load(&w->tree->nlive) > 2) {
		if (dice(w, 4) == 0)
			for (uint64_t page = 0; page < PAGES; page++)
				check(w->tree, n, page, at_page(w, n, page),
				      "before exit");
		end_node(w, n);
	}
	pthread_rwlock_unlock(&n->life);
}

static void
do_map(struct worker *w, struct node *n)
{
	(void)w;
	if (pthread_rwlock_trywrlock(&n->life) != 0)
		return;
	if (n->live && n->second != NULL) {
		swap_region_unmap(n->second);
		n->second = NULL;
	} else if (n->live &&
		   swap_object_map(n->area.object, NULL, 0, PAGES * PAGE,
				   &n->second, NULL) < 0) {
		n->second = NULL;
	}
	pthread_rwlock_unlock(&n->life);
}

/* ------------------------------------------------------------------- steps */

static enum op
choose(struct worker *w)
{
	uint64_t what = dice(w, 1000);

	return what < 400 ? OP_READ : what < 800 ? OP_WRITE :
	       what < 850 ? OP_RELEASE : what < 865 ? OP_FORK :
	       what < 870 ? OP_FORK_RACING : what < 890 ? OP_EXIT :
	       what < 920 ? OP_GET : what < 950 ? OP_FLUSH :
	       what < 960 ? OP_MAP : what < 975 ? OP_WIRE :
	       what < 985 ? OP_RESERVE : OP_PRESS;
}

/* What is done to pages of a live node, by who has its life for reading. */
static void
use(struct worker *w, struct node *n, enum op op)
{
	uint64_t page = dice(w, PAGES);
	uint64_t npages = 1 + dice(w, min_u64(RUN_MAX, PAGES - page));

	switch (op) {
	case OP_READ:
		/* In order, as a program does. */
		for (uint64_t i = 0; i < npages && i < 12; i++)
			do_read(w, n, page + i);
		break;
	case OP_WRITE:
		for (uint64_t i = 0; i < npages && i < 4; i++)
			if (dice(w, 3) == 0)
				do_fill(w, n, page + i);
			else
				do_write(w, n, page + i);
		break;
	case OP_RELEASE:
		do_release(w, n, page, npages);
		break;
	case OP_WIRE:
		do_wire(w, n, page, npages);
		break;
	default:
		do_hint(w, n, op, page, npages);
		break;
	}
}

static void
step(struct worker *w)
{
	struct tree *t = w->tree;
	struct node *n = &t->node[dice(w, NODES)];
	enum op op = choose(w);

	switch (op) {
	case OP_FORK:
		do_fork(w, n);
		break;
	case OP_FORK_RACING:
		do_fork_racing(w, n);
		break;
	case OP_EXIT:
		do_exit(w, n);
		break;
	case OP_MAP:
		do_map(w, n);
		break;
	case OP_PRESS:
		swap_object_flush(t->filler.object, 0, 64 * PAGE,
				  SWAP_FLUSH_FREE, NULL);
		for (uint64_t i = 0; i < 64; i++)
			__atomic_store_n(t->filler.mem + WORDS *
					 dice(w, t->filler.npages), 1,
					 __ATOMIC_RELAXED);
		break;
	default:
		pthread_rwlock_rdlock(&n->life);
		if (n->live)
			use(w, n, op);
		pthread_rwlock_unlock(&n->life);
		break;
	}
	atomic_fetch_add(&t->ops[op], 1);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;

	for (uint64_t i = 0; i < w->steps && w->tree->wrong == 0; i++) {
		step(w);
		if (dice(w, 16) == 0)
			sched_yield();
	}
	return NULL;
}

/* Device 1 comes and goes. */
static void *
devices_main(void *arg)
{
	struct worker *w = arg;
	struct env *env = w->tree->env;
	bool on = false;

	while (!atomic_load(&w->tree->ended)) {
		int rc = on ? swap_device_detach(env->pager, env->device[1],
						 NULL, NULL, NULL) :
			 attach(env, 1, (1 + dice(w, 4)) * MIB, NULL);

		if (rc == 0)
			on = !on;
		else if (!on || rc != -ENOMEM)
			abort();
		atomic_fetch_add(&w->tree->ops[OP_DEVICE], 1);
		usleep((useconds_t)dice(w, 20000));
	}
	return NULL;
}

/* --------------------------------------------------------------------- runs */

static void
tree_init(struct tree *t, struct env *env)
{
	memset(t, 0, sizeof(*t));
	t->env = env;
	for (unsigned i = 0; i < NODES; i++) {
		struct node *n = &t->node[i];

		pthread_rwlock_init(&n->life, NULL);
		for (unsigned k = 0; k < GROUPS; k++)
			pthread_mutex_init(&n->lock[k], NULL);
		n->shadow = calloc(PAGES, PAGE);
		assert_non_null(n->shadow);
	}
	for (unsigned i = 0; i < 2; i++) {
		t->node[i].area = area_new(env, PAGES, i * SWAP_OBJECT_EXACT);
		t->node[i].live = true;
	}
	t->nlive = 2;
	t->filler = area_new(env, 300, 0);
}

static void
check_tree(struct worker *w, const char *where)
{
	for (unsigned i = 0; i < NODES; i++) {
		struct node *n = &w->tree->node[i];

		for (uint64_t page = 0; n->live && page < PAGES; page++)
			check(w->tree, n, page, at_page(w, n, page), where);
	}
}

static void
tree_end(struct worker *w)
{
	struct tree *t = w->tree;

	area_end(&t->filler);
	while (t->nlive > 0) {
		struct node *n = &t->node[dice(w, NODES)];

		if (n->live)
			end_node(w, n);
		if (dice(w, 2) == 0)
			check_tree(w, "while others end");
	}
	for (unsigned i = 0; i < NODES; i++) {
		pthread_rwlock_destroy(&t->node[i].life);
		for (unsigned k = 0; k < GROUPS; k++)
			pthread_mutex_destroy(&t->node[i].lock[k]);
		free(t->node[i].shadow);
	}
}

static void
work(struct tree *t, struct worker w[], uint64_t seed, uint64_t steps)
{
	pthread_t thread[WORKERS], devices;

	for (unsigned i = 0; i <= WORKERS; i++) {
		w[i].tree = t;
		w[i].random = seed * 1000003 + i + 1;
		w[i].steps = steps / WORKERS;
	}
	pthread_create(&devices, NULL, devices_main, &w[WORKERS]);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_create(&thread[i], NULL, worker_main, &w[i]);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&t->ended, true);
	pthread_join(devices, NULL);
}

static void
print_ops(const struct tree *t)
{
	fprintf(stderr, "#");
	for (unsigned i = 0; i < OPS; i++)
		fprintf(stderr, " %s %" PRIu64, op_names[i],
			atomic_load(&t->ops[i]));
	fprintf(stderr, "\n");
}

static void
run(uint64_t seed, uint64_t steps, bool handover)
{
	struct worker *w = calloc(WORKERS + 1, sizeof(*w));
	struct tree *t = malloc(sizeof(*t));
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct swap_counters counters;

	assert_non_null(w);
	assert_non_null(t);
	fprintf(stderr, "# seed %" PRIu64 "%s\n", seed,
		handover ? ", handed over" : "");
	must_attach(env, 0, 24 * MIB);
	tree_init(t, env);
	work(t, w, seed, steps);
	print_ops(t);
	counters = totals_of(env).counters;
	if (t->wrong == 0)
		check_tree(w, "at last");
	assert_int_equal(t->wrong, 0);
	assert_true(counters.copy_pages > 0);
	assert_true(counters.copy_pushed_pages > 0);
	assert_true(counters.pageout_pages > 0);
	if (handover) {
		check_ok(swap_pager_close(env->pager, &error), &error);
		check_tree(w, "handed over");
	} else {
		check_reserved(env);
	}
	tree_end(w);
	assert_int_equal(t->wrong, 0);
	if (handover)
		env_free(env);
	else
		env_end(env);
	free(t);
	free(w);
}

static uint64_t
number(const char *name, uint64_t other)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : other;
}

static void
test_model(void **state)
{
	uint64_t seed = number("FORK_SEED", (uint64_t)getpid());
	uint64_t steps = number("FORK_STEPS", 12000);
	uint64_t which = number("FORK_HANDOVER", 2);

	(void)state;
	/* Long runs are for people, who have patience. */
	if (getenv("FORK_STEPS") != NULL)
		alarm(0);
	if (which != 1)
		run(seed, steps, false);
	if (which != 0)
		run(seed + 1, steps, true);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(model),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
