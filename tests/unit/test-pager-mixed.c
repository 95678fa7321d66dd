/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything at once: pages wander between objects while they are made cold,
 * reserved and pushed out; others are got, wired, copied, forked, written,
 * freed and killed; settings change, devices come and go, and the kernel refuses now
 * and then.  What must hold: a page is whole and what somebody wrote to that
 * place; one that only wanders is in exactly one object; and when all is quiet
 * the numbers of blocks and of what is set aside agree.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

/* Destinations of copies must know what was touched. */
#define area_exact(env, npages, flags)	\
	area_new(env, npages, SWAP_OBJECT_EXACT | (flags))

#define RING	3u		/* objects between which pages wander */
#define SINKS	3u		/* objects that are killed and made anew */
#define PAGES	300u
#define ID	7u		/* of all patterns here */
#define WORKERS	6u

struct mixed {
	struct env	*env;
	struct area	 ring[RING];
	pthread_rwlock_t moves;		/* written: to touch those there are */
	pthread_rwlock_t lock[SINKS];	/* written: to look, to write and to
					   make anew */
	struct area	 sink[SINKS];
	_Atomic unsigned failed;
	_Atomic uint64_t done;
};

struct worker {
	struct mixed	*mixed;
	uint64_t	 seed;
};

/* Errors that are news to nobody here. */
static void
expect(struct mixed *m, int64_t rc, const char *what)
{
	if (rc >= 0 || rc == -EBUSY || rc == -ENOSPC || rc == -ENOMEM ||
	    rc == -EAGAIN || rc == -EDQUOT)
		return;
	print_message("%s: %" PRId64 "\n", what, rc);
	atomic_fetch_add(&m->failed, 1);
}

/* Zeros, or what belongs there, of some version; no program writes it now. */
static void
look(struct mixed *m, const struct area *a, uint64_t page, const char *what)
{
	uint64_t *copy = malloc(PAGE);
	uint32_t version;

	assert_non_null(copy);
	memcpy(copy, a->mem + page * WORDS, PAGE);
	for (version = 0; version < 4; version++)
		if (wrong(copy, ID, page, version) == 0)
			break;
	if (version == 4) {
		print_message("%s: page %" PRIu64 " is not whole\n", what,
			      page);
		atomic_fetch_add(&m->failed, 1);
	}
	free(copy);
}

/* ------------------------------------------------------------ the ring */

/* What is in a block comes into RAM, and half of it is written. */
static void
ring_touch(struct mixed *m, const struct area *a, uint64_t page, uint64_t n)
{
	pthread_rwlock_wrlock(&m->moves);
	for (uint64_t i = page; i < page + n; i++) {
		if (swap_object_haspage(a->object, i * PAGE, NULL, NULL) != 1)
			continue;
		look(m, a, i, "touched");
		if (i % 2 == 0)
			put(a->mem + i * WORDS, ID, i, 1);
	}
	pthread_rwlock_unlock(&m->moves);
}

static void
ring_step(struct worker *w, uint64_t r)
{
	struct mixed *m = w->mixed;
	const struct area *a = &m->ring[r % RING];
	const struct area *b = &m->ring[(r + 1 + (r >> 8) % (RING - 1)) % RING];
	uint64_t page = (r >> 16) % PAGES, n = 1 + (r >> 26) % (PAGES - page);

	/* Nothing that would give them new pages: these would win. */
	switch ((r >> 40) % 7) {
	case 0:
		expect(m, swap_object_flush(a->object, page * PAGE, n * PAGE,
					    SWAP_FLUSH_DEACTIVATE, NULL),
		       "flush");
		break;
	case 1:
		expect(m, swap_object_reserve(a->object, page * PAGE, n * PAGE,
					      NULL), "reserve");
		break;
	case 2:
		expect(m, swap_object_unreserve(a->object, page * PAGE,
						n * PAGE), "unreserve");
		break;
	case 3:
		ring_touch(m, a, page, n);
		break;
	default:
		pthread_rwlock_rdlock(&m->moves);
		expect(m, swap_object_copy(a->object, page * PAGE, b->object,
					   page * PAGE, n * PAGE,
					   SWAP_COPY_DESTROY, NULL), "move");
		pthread_rwlock_unlock(&m->moves);
		break;
	}
}

/* ------------------------------------------------------------- the sinks */

/* A new object, or a fork of @source; false: maps may not grow just now. */
static bool
make(struct mixed *m, struct swap_object *source, struct area *ret_area)
{
	struct pager_owner owner = { .uid = geteuid(), .pid = getpid() };
	struct area a = { .npages = PAGES, .id = ID };
	int rc = source != NULL ?
		 pager_object_copy(source, &owner, &a.object, NULL) :
		 swap_object_create(m->env->pager, NULL, PAGES * PAGE,
				    SWAP_OBJECT_EXACT, &a.object, NULL);

	expect(m, rc, "create");
	if (rc < 0)
		return false;
	rc = swap_object_map(a.object, NULL, 0, PAGES * PAGE, &a.region, NULL);
	expect(m, rc, "map");
	if (rc < 0) {
		swap_object_unref(a.object);
		return false;
	}
	a.mem = swap_region_address(a.region);
	*ret_area = a;
	return true;
}

/* Sinks are written by who has their lock alone, as are forks. */
static void
sink_renew(struct worker *w, unsigned i, uint64_t r)
{
	struct mixed *m = w->mixed;
	struct area *a = &m->sink[i], old = *a;

	if (r % 4 == 0 && make(m, NULL, a))
		area_end(&old);
	for (unsigned k = 0; k < 20; k++) {
		uint64_t page = next_random(&w->seed) % PAGES;

		put(a->mem + page * WORDS, ID, page,
		    1 + (uint32_t)(next_random(&w->seed) % 3));
	}
}

static void
sink_fork(struct worker *w, const struct area *a, uint64_t r)
{
	struct mixed *m = w->mixed;
	uint64_t page = r % PAGES;
	struct area fork, other;

	if (!make(m, NULL, &other))
		return;
	if (!make(m, a->object, &fork)) {
		area_end(&other);
		return;
	}
	look(m, &fork, page, "fork");
	expect(m, swap_object_copy(fork.object, page * PAGE, other.object,
				   page * PAGE, (PAGES - page) * PAGE,
				   (r >> 20) % 2, NULL), "copy of a fork");
	for (uint64_t i = 0; i < PAGES; i++)
		look(m, &other, i, "copy of a fork");
	area_end(&other);
	area_end(&fork);
}

static void
sink_step(struct worker *w, uint64_t r)
{
	struct mixed *m = w->mixed;
	unsigned i = (unsigned)(r % SINKS);
	const struct area *a = &m->sink[i], *b = &m->ring[(r >> 8) % RING];
	uint64_t page = (r >> 16) % PAGES, n = 1 + (r >> 26) % (PAGES - page);
	unsigned what = (unsigned)((r >> 40) % 10);

	if (what < 2) {
		pthread_rwlock_wrlock(&m->lock[i]);
		if (what == 0)
			sink_renew(w, i, r >> 44);
		for (uint64_t k = 0; k < n; k++)
			look(m, a, page + k, "sink");
		pthread_rwlock_unlock(&m->lock[i]);
		return;
	}
	pthread_rwlock_rdlock(&m->lock[i]);
	switch (what) {
	default:
		expect(m, swap_object_copy(b->object, page * PAGE, a->object,
					   page * PAGE, n * PAGE, 0, NULL),
		       "copy");
		break;
	case 3:
		expect(m, swap_object_flush(a->object, page * PAGE, n * PAGE,
					    SWAP_FLUSH_FREE, NULL), "free");
		break;
	case 4:
		expect(m, swap_object_reserve(a->object, page * PAGE, n * PAGE,
					      NULL), "reserve");
		break;
	case 5:
		sink_fork(w, a, r >> 20);
		break;
	case 6:
		expect(m, swap_object_get(a->object, page * PAGE, n * PAGE,
					  page * PAGE, (r >> 44) % 4, NULL,
					  NULL), "get");
		break;
	case 7:
		n = min_u64(n, 8);
		if (swap_region_wire(a->region, page * PAGE, n * PAGE, NULL) ==
		    0)
			swap_region_unwire(a->region, page * PAGE, n * PAGE);
		break;
	}
	pthread_rwlock_unlock(&m->lock[i]);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&w->mixed->env->stop)) {
		uint64_t r = next_random(&w->seed);

		if (next_random(&w->seed) % 2)
			ring_step(w, r);
		else
			sink_step(w, r);
		atomic_fetch_add(&w->mixed->done, 1);
	}
	return NULL;
}

/* ------------------------------------------------------------- settings */

static void
tune_some(struct env *env, uint64_t r)
{
	static const char *const set[][2] = {
		{ "ram", "1M" }, { "ram", "2M" }, { "ram", "1200K" },
		{ "cluster", "1" }, { "cluster", "64" }, { "cluster", "16" },
		{ "metadata_limit", "0" },
		{ "map_kind", "trie" }, { "map_kind", "hash" },
		{ "map_kind", "auto" }, { "low_water", "1M" },
		{ "low_water", "0" }, { "metadata_limit", "1M" },
		{ "full", "fail" }, { "full", "wait" },
	};
	const char *const *s = set[r % ARRAY_SIZE(set)];

	(void)swap_pager_tune(env->pager, s[0], s[1], NULL);
}

static void
test_mixed(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct mixed m = { .env = env };
	struct worker worker[WORKERS];
	pthread_t thread[WORKERS];
	const char *text = getenv("SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 1;
	unsigned rounds = getenv("ROUNDS") != NULL ?
			  (unsigned)atoi(getenv("ROUNDS")) : 15;

	(void)state;
	must_attach(env, 0, 24 * MIB);
	pthread_rwlock_init(&m.moves, NULL);
	for (unsigned i = 0; i < RING; i++)
		m.ring[i] = area_exact(env, PAGES, 0);
	for (unsigned i = 0; i < SINKS; i++) {
		m.sink[i] = area_exact(env, PAGES, 0);
		pthread_rwlock_init(&m.lock[i], NULL);
	}
	for (uint64_t i = 0; i < PAGES; i++)
		put(m.ring[0].mem + i * WORDS, ID, i, 1);
	fault.chaos = (unsigned)seed;
	for (unsigned i = 0; i < WORKERS; i++) {
		worker[i] = (struct worker){ &m, seed * 100 + i };
		pthread_create(&thread[i], NULL, worker_main, &worker[i]);
	}
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t before = m.done;

		tune_some(env, next_random(&seed));
		/* Some blocks go bad. */
		fault.write_lo = next_random(&seed) % 100;
		fault.write_hi = fault.write_lo + next_random(&seed) % 8;
		must_attach(env, 1, 8 * MIB);
		while (m.done < before + 30)
			usleep(1000);
		tune_some(env, next_random(&seed));
		while (swap_device_detach(env->pager, env->device[1], NULL,
					  NULL, NULL) != 0)
			usleep(1000);
	}
	assert_int_equal(swap_pager_tune(env->pager, "metadata_limit", "0",
					 NULL), 0);
	atomic_store(&env->stop, true);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(thread[i], NULL);
	fault.chaos = 0;
	assert_int_equal(m.failed, 0);
	assert_int_equal(logged(env, "not set aside"), 0);
	assert_int_equal(logged(env, "refused ("), 0);
	check_blocks(env);
	check_reserved(env);
	for (uint64_t page = 0; page < PAGES; page++) {
		unsigned nhave = 0;

		for (unsigned i = 0; i < RING; i++) {
			const uint64_t *at = m.ring[i].mem + page * WORDS;

			if (wrong(at, ID, page, 1) == 0)
				nhave++;
			else
				assert_int_equal(wrong(at, 0, 0, 0), 0);
		}
		assert_int_equal(nhave, 1);
	}
	for (unsigned i = 0; i < RING; i++)
		area_end(&m.ring[i]);
	pthread_rwlock_destroy(&m.moves);
	for (unsigned i = 0; i < SINKS; i++) {
		area_end(&m.sink[i]);
		pthread_rwlock_destroy(&m.lock[i]);
	}
	env_end(env);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(mixed),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
