/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies where something else happens at the same moment: ends, handovers, full
 * space, and pages that wander between objects which are copies of one another.
 *
 * ATTACK_SEED=N repeats a random run, as far as threads can be repeated;
 * ATTACK_STEPS=N makes it so long.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

/* -------------------------------------------------------------------- ends */

static void *
close_main(void *arg)
{
	struct env *env = arg;
	struct swap_error error = { 0 };

	check_ok(swap_pager_close(env->pager, &error), &error);
	return NULL;
}

/* A copy ends while a handover takes its pages for it. */
static void
test_end_in_handover(void **state)
{
	const uint64_t n = 8000;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		struct env *env = env_new(64 * MIB, 0);
		struct area a = area_new(env, n, 0), b;
		pthread_t thread;

		write_pages(&a, 0, n, 1);
		b = area_copy(a.object, a.id);
		assert_int_equal(pages_shared(&b), n);
		pthread_create(&thread, NULL, close_main, env);
		while (pages_shared(&b) > n - 100)
			;
		area_end(&b);
		pthread_join(thread, NULL);
		check_pages(&a, 0, n, 1);
		area_end(&a);
		env_free(env);
	}
}

static bool
is_busy(const struct area *a, uint64_t page)
{
	bool busy;

	object_lock(a->object);
	busy = page_is_busy(a->object, page);
	object_unlock(a->object);
	return busy;
}

static void
wait_busy(const struct area *a, uint64_t page)
{
	for (unsigned tries = 0; tries < 20000; tries++) {
		if (is_busy(a, page))
			return;
		usleep(100);
	}
	fail_msg("page %" PRIu64 " does not get busy", page);
}

static void *
look_main(void *arg)
{
	check_pages(arg, 1, 1, 1);
	return NULL;
}

static void *
release_main(void *arg)
{
	const struct area *a = arg;

	assert_int_equal(swap_region_release(a->region, 0, 2 * PAGE), 0);
	return NULL;
}

/*
 * The source gives a page up, whose block would go to the newest copy.  That
 * ends before it has it, and another copy is the only one that needs it then.
 */
static void
test_end_before_move(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a = area_new(env, 2, 0), b, c, d;
	struct area other = area_new(env, 1500, 0);
	pthread_t look, release;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	write_pages(&a, 0, 2, 1);
	push_out(&a, 0, 2, &other);
	b = area_copy(a.object, a.id);
	c = area_copy(b.object, b.id);
	d = area_copy(a.object, a.id);
	/* The first page takes a while, since both copies need it ... */
	fault.read_slow = 200000;
	pthread_create(&release, NULL, release_main, &a);
	wait_busy(&d, 0);
	/* ... and longer the second, which somebody reads by way of a copy. */
	fault.read_slow = 600000;
	pthread_create(&look, NULL, look_main, &c);
	wait_busy(&a, 1);
	fault.read_slow = 0;
	wait_busy(&d, 1);
	area_end(&d);
	pthread_join(look, NULL);
	pthread_join(release, NULL);
	check_pages(&b, 0, 2, 1);
	check_pages(&c, 0, 2, 1);
	check_pages(&a, 0, 2, 0);
	area_end(&a);
	area_end(&b);
	area_end(&c);
	area_end(&other);
	env_end(env);
}

/* ------------------------------------------------------------------- room */

/*
 * Pages of zeros that went out need no room in the copy, where everything is
 * full and the source is written.
 */
static void
test_zeros_full(void **state)
{
	struct env *env = env_new(MIB, SWAP_PAGER_FULL_FAILS);
	struct area a = area_new(env, 8, 0), b, other, more;
	struct filler filler;
	unsigned nbus = 0;

	(void)state;
	must_attach(env, 0, MIB);
	other = area_new(env, 300, 0);
	more = area_new(env, 600, SWAP_OBJECT_EXACT);
	check_pages(&a, 0, 8, 0);
	b = area_copy(a.object, a.id);
	push_out(&a, 0, 8, &other);
	assert_int_equal(pages_shared(&b), 8);
	filler = (struct filler){ .a = &more, .n = 600, .version = 1 };
	filler_main(&filler);
	assert_true(filler.nbus > 0);
	for (uint64_t i = 0; i < 8; i++)
		nbus += gives_bus(a.mem + i * WORDS, true);
	assert_true(nbus > 0);
	area_end(&more);
	area_end(&other);
	for (uint64_t i = 0; i < 8; i++)
		assert_false(gives_bus(b.mem + i * WORDS, false));
	check_pages(&b, 0, 8, 0);
	area_end(&b);
	area_end(&a);
	env_end(env);
}

/* --------------------------------------------------------------- families */

/*
 * Each family has a thread that does random things to it, one at a time, and
 * knows what each page has; and one that makes copies of its members meanwhile,
 * and sees to it that they end, and changes nothing.
 */
#define FAMILIES	3u
#define MEMBERS		5u
#define PAGES		320u		/* more than the least limit */
#define RACING		3u		/* copies that race */

/* What a page has. */
struct cell {
	bool		 has;		/* it was touched */
	uint64_t	 id, page;	/* of the pattern */
	uint32_t	 version;	/* 0: zeros */
};

struct member {
	pthread_rwlock_t life;		/* written: begins or ends */
	bool		 live;		/* (life) */
	struct area	 area;		/* (life) */
	struct cell	 cell[PAGES];
};

struct family {
	struct env	*env;
	struct member	 member[MEMBERS];
	unsigned	 nlive;
	uint64_t	 random, racing_random, steps;
	uint32_t	 version;
	_Atomic unsigned wrong;
	atomic_bool	 ended;
	_Atomic unsigned nforks, nracing, nmerges;
};

static uint64_t
dice(struct family *f, uint64_t n)
{
	return next_random(&f->random) % n;
}

static struct member *
any_live(struct family *f)
{
	unsigned i = (unsigned)dice(f, MEMBERS);

	while (!f->member[i].live)
		i = (i + 1) % MEMBERS;
	return &f->member[i];
}

static void
look_at(struct family *f, struct member *m, uint64_t page, const char *when)
{
	struct cell *c = &m->cell[page];
	uint64_t bad = wrong(m->area.mem + page * WORDS, c->id, c->page,
			     c->version);

	c->has = true;
	if (bad == 0)
		return;
	if (atomic_fetch_add(&f->wrong, 1) < 5)
		fprintf(stderr, "# %s: object %" PRIu64 " page %" PRIu64
			" version %u: %" PRIu64 " words wrong\n", when,
			pager_object_id(m->area.object), page, c->version,
			bad);
}

static void
write_some(struct family *f, struct member *m, uint64_t page, uint64_t n)
{
	for (; n > 0; n--, page++) {
		m->cell[page] = (struct cell){
			true, m->area.id, page, ++f->version,
		};
		put(m->area.mem + page * WORDS, m->area.id, page, f->version);
	}
}

/* Some calls may be refused where there is chaos, and are repeated then. */
static void
release_some(struct member *m, uint64_t page, uint64_t n)
{
	while (swap_region_release(m->area.region, page * PAGE, n * PAGE) != 0)
		assert_int_not_equal(fault.chaos, 0);
	memset(&m->cell[page], 0, n * sizeof(m->cell[0]));
}

static void
merge_some(struct family *f, struct member *from, struct member *to,
	   uint64_t n)
{
	uint64_t at = dice(f, PAGES - n + 1), to_at = at;
	unsigned flags = dice(f, 2) == 0 ? SWAP_COPY_DESTROY : 0;

	if (from == to)
		return;
	if (dice(f, 3) == 0)
		to_at = dice(f, PAGES - n + 1);
	while (swap_object_copy(from->area.object, at * PAGE, to->area.object,
				to_at * PAGE, n * PAGE, flags, NULL) != 0)
		assert_int_not_equal(fault.chaos, 0);
	for (uint64_t i = 0; i < n; i++) {
		struct cell *a = &from->cell[at + i], *b = &to->cell[to_at + i];

		if (a->has && !b->has)
			*b = *a;
		if (flags != 0)
			memset(a, 0, sizeof(*a));
	}
	f->nmerges++;
}

static bool
try_fork(const struct area *a, struct area *copy)
{
	struct swap_error error = { 0 };

	*copy = *a;
	if (swap_object_fork(a->object, &copy->object, &error) < 0) {
		assert_int_not_equal(fault.chaos, 0);
		return false;
	}
	if (swap_object_map(copy->object, NULL, 0, copy->npages * PAGE,
			    &copy->region, &error) < 0) {
		assert_int_not_equal(fault.chaos, 0);
		swap_object_unref(copy->object);
		return false;
	}
	copy->mem = swap_region_address(copy->region);
	return true;
}

static void
fork_one(struct family *f, struct member *parent)
{
	struct member *m = f->member;

	while (m < f->member + MEMBERS && m->live)
		m++;
	if (m == f->member + MEMBERS)
		return;
	pthread_rwlock_wrlock(&m->life);
	m->live = try_fork(&parent->area, &m->area);
	memcpy(m->cell, parent->cell, sizeof(m->cell));
	f->nlive += m->live;
	f->nforks += m->live;
	pthread_rwlock_unlock(&m->life);
}

static void
end_one(struct family *f, struct member *m)
{
	pthread_rwlock_wrlock(&m->life);
	area_end(&m->area);
	m->live = false;
	f->nlive--;
	pthread_rwlock_unlock(&m->life);
}

static void
limit_one(struct family *f, struct member *m)
{
	uint64_t swap = dice(f, 2) * 3 * MIB;

	(void)swap_object_limit(m->area.object, dice(f, 3) == 0 ? 0 : MIB,
				swap, NULL);
}

static void
family_step(struct family *f)
{
	struct member *m = any_live(f);
	uint64_t page = dice(f, PAGES);
	uint64_t n = 1 + dice(f, min_u64(PAGES - page, 40));

	switch (dice(f, 16)) {
	case 0: case 1: case 2:
		write_some(f, m, page, n);
		break;
	case 3:
		release_some(m, page, n);
		break;
	case 4: case 5: case 6:
		merge_some(f, m, any_live(f), n);
		break;
	case 7: case 8:
		fork_one(f, m);
		break;
	case 9:
		if (f->nlive > 2)
			end_one(f, m);
		break;
	case 10:
		swap_object_flush(m->area.object, page * PAGE, n * PAGE,
				  SWAP_FLUSH_DEACTIVATE, NULL);
		break;
	case 11:
		if (dice(f, 8) == 0)
			limit_one(f, m);
		break;
	default:
		for (; n > 0; n--)
			look_at(f, m, page++, "in between");
	}
}

static void *
family_main(void *arg)
{
	struct family *f = arg;

	for (uint64_t i = 0; i < f->steps && f->wrong == 0; i++)
		family_step(f);
	atomic_store(&f->ended, true);
	return NULL;
}

/* Does something to a copy that nobody knows. */
static void
disturb(struct family *f, const struct area *a)
{
	uint64_t page = next_random(&f->racing_random) % PAGES;
	uint64_t n = 1 + next_random(&f->racing_random) % (PAGES - page);

	switch (next_random(&f->racing_random) % 4) {
	case 0:
		(void)swap_region_release(a->region, page * PAGE, n * PAGE);
		break;
	case 1:
		write_pages(a, page, min_u64(n, 8), 1);
		break;
	case 2:
		(void)swap_object_get(a->object, page * PAGE, n * PAGE,
				      page * PAGE, 0, NULL, NULL);
		break;
	default:
		(void)swap_object_reserve(a->object, page * PAGE, n * PAGE,
					  NULL);
	}
}

static void *
racing_main(void *arg)
{
	struct family *f = arg;
	struct area copy[RACING];
	bool live[RACING] = { false };

	while (!atomic_load(&f->ended)) {
		uint64_t r = next_random(&f->racing_random);
		unsigned i = (unsigned)(r % RACING);
		struct member *m = &f->member[(r >> 8) % MEMBERS];

		if (live[i] && (r >> 16) % 4 == 0) {
			area_end(&copy[i]);
			live[i] = false;
		} else if (live[i]) {
			disturb(f, &copy[i]);
		} else {
			pthread_rwlock_rdlock(&m->life);
			live[i] = m->live && try_fork(&m->area, &copy[i]);
			pthread_rwlock_unlock(&m->life);
			f->nracing += live[i];
		}
	}
	for (unsigned i = 0; i < RACING; i++)
		if (live[i])
			area_end(&copy[i]);
	return NULL;
}

static void
family_init(struct family *f, struct env *env, uint64_t seed, uint64_t steps)
{
	memset(f, 0, sizeof(*f));
	f->env = env;
	f->random = seed * 7919 + 1;
	f->racing_random = seed * 104729 + 1;
	f->steps = steps;
	for (unsigned i = 0; i < MEMBERS; i++)
		pthread_rwlock_init(&f->member[i].life, NULL);
	for (; f->nlive < 2; f->nlive++) {
		struct member *m = &f->member[f->nlive];

		m->area = area_new(env, PAGES, SWAP_OBJECT_EXACT);
		m->live = true;
	}
}

static void
check_family(struct family *f, const char *when)
{
	for (unsigned i = 0; i < MEMBERS; i++)
		for (uint64_t page = 0; f->member[i].live && page < PAGES;
		     page++)
			look_at(f, &f->member[i], page, when);
}

static void
family_end(struct family *f)
{
	for (unsigned i = 0; i < MEMBERS; i++) {
		if (f->member[i].live)
			end_one(f, &f->member[i]);
		pthread_rwlock_destroy(&f->member[i].life);
	}
}

/* A device comes and goes until all families have ended. */
static void
move_devices(struct env *env, struct family *f)
{
	bool all;

	do {
		if (attach(env, 1, 16 * MIB, NULL) == 0) {
			usleep(20000);
			while (swap_device_detach(env->pager, env->device[1],
						  NULL, NULL, NULL) != 0)
				;
		}
		all = true;
		for (unsigned i = 0; i < FAMILIES; i++)
			all &= atomic_load(&f[i].ended);
	} while (!all);
}

static uint64_t
number(const char *name, uint64_t other)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : other;
}

static void
families(uint64_t seed, bool with_chaos, bool handover)
{
	struct family *f = calloc(FAMILIES, sizeof(*f));
	struct env *env = env_new(2 * MIB, 0);
	struct swap_error error = { 0 };
	pthread_t thread[FAMILIES], racing[FAMILIES];

	assert_non_null(f);
	fprintf(stderr, "# seed %" PRIu64 "\n", seed);
	must_attach(env, 0, 64 * MIB);
	for (unsigned i = 0; i < FAMILIES; i++)
		family_init(&f[i], env, seed * FAMILIES + i,
			    number("ATTACK_STEPS", 600));
	fault.chaos = with_chaos ? (unsigned)seed + 1 : 0;
	for (unsigned i = 0; i < FAMILIES; i++) {
		pthread_create(&thread[i], NULL, family_main, &f[i]);
		pthread_create(&racing[i], NULL, racing_main, &f[i]);
	}
	move_devices(env, f);
	for (unsigned i = 0; i < FAMILIES; i++) {
		pthread_join(thread[i], NULL);
		pthread_join(racing[i], NULL);
	}
	fault.chaos = 0;
	check_reserved(env);
	check_blocks(env);
	if (handover)
		check_ok(swap_pager_close(env->pager, &error), &error);
	for (unsigned i = 0; i < FAMILIES; i++) {
		check_family(&f[i], "at last");
		assert_int_equal(f[i].wrong, 0);
		assert_true(f[i].nforks > 0 && f[i].nracing > 0 &&
			    f[i].nmerges > 0);
		family_end(&f[i]);
	}
	if (handover)
		env_free(env);
	else
		env_end(env);
	free(f);
}

static void
test_families(void **state)
{
	uint64_t seed = number("ATTACK_SEED", (uint64_t)getpid());

	(void)state;
	/* Long runs are for people, who have patience. */
	if (getenv("ATTACK_STEPS") != NULL)
		alarm(0);
	for (unsigned i = 0; i < 4; i++)
		families(seed + i, i & 1, i & 2);
}

/* -------------------------------------------------------------------- main */

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(end_in_handover),
		TEST(end_before_move),
		TEST(zeros_full),
		TEST(families),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
