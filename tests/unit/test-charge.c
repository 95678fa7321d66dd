/* SPDX-License-Identifier: BSD-2-Clause */
/* Charges against a naive model, by hand, and from many threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "charge.h"

#define NONE	UINT64_MAX	/* a chargeable that refuses nothing */

/* -------------------------------------------------------------------- log */

struct messages {
	_Atomic unsigned n;
	char		last[512];
};

static void
keep(void *arg, enum swap_log_level level, const char *message)
{
	struct messages *m = arg;

	assert_int_equal(level, SWAP_LOG_WARNING);
	snprintf(m->last, sizeof(m->last), "%s", message);
	m->n++;
}

static int
take(struct charge *c, uid_t uid, uint64_t bytes, uint64_t chargeable)
{
	return charge_take(c, uid, bytes, chargeable, false, NULL);
}

static struct charge_totals
totals(struct charge *c)
{
	struct charge_totals t;

	charge_totals(c, &t);
	return t;
}

static void
set_policy(struct charge *c, unsigned bits, uint64_t user_limit)
{
	assert_int_equal(charge_set_overcommit(c, bits), 0);
	charge_set_user_limit(c, user_limit);
}

static uint64_t
charged(struct charge *c, uid_t uid)
{
	struct swap_user_stats *users;
	uint64_t bytes = 0;
	size_t n;

	assert_int_equal(charge_stats(c, &users, &n), 0);
	for (size_t i = 0; i < n; i++)
		if (users[i].uid == uid)
			bytes = users[i].charged_bytes;
	free(users);
	return bytes;
}

/* ---------------------------------------------------------------- by hand */

static void
test_total(void **state)
{
	struct log log = { .fn = NULL };
	struct swap_error error = { 0 };
	struct charge c;

	(void)state;
	charge_init(&c, &log);
	/* Counted, but not refused, without the bit. */
	assert_int_equal(take(&c, 1, 100, 0), 0);
	set_policy(&c, SWAP_OVERCOMMIT_TOTAL, 0);
	assert_int_equal(take(&c, 2, 900, 1000), 0);
	assert_int_equal(take(&c, 2, 1, 1001), 0);
	assert_int_equal(charge_take(&c, 2, 1, 1001, false, &error), -ENOMEM);
	assert_int_equal(error.code, -ENOMEM);
	assert_non_null(strstr(error.message, "all objects together"));
	assert_int_equal(totals(&c).total, 1001);
	assert_int_equal(totals(&c).refused, 1);
	/* Who has nothing and is refused does not appear. */
	assert_int_equal(take(&c, 3, 1, 1001), -ENOMEM);
	assert_int_equal(c.nusers, 2);
	/* Root passes, and is counted. */
	assert_int_equal(take(&c, 0, 50, 1001), 0);
	assert_int_equal(charge_take(&c, 3, 50, 0, true, NULL), 0);
	assert_int_equal(totals(&c).total, 1101);
	/* Less space than is charged refuses the next one, no more. */
	assert_int_equal(take(&c, 1, 1, 10), -ENOMEM);
	charge_give(&c, 2, 901);
	assert_int_equal(take(&c, 1, 1, 201), 0);
	charge_fini(&c);
}

static void
test_user(void **state)
{
	struct log log = { .fn = NULL };
	struct swap_error error = { 0 };
	struct charge c;

	(void)state;
	charge_init(&c, &log);
	/* A limit without its bit is none. */
	set_policy(&c, SWAP_OVERCOMMIT_TOTAL, 100);
	assert_int_equal(take(&c, 1, 60, NONE), 0);
	assert_int_equal(take(&c, 1, 60, NONE), 0);
	/* The bit without a limit, too. */
	set_policy(&c, SWAP_OVERCOMMIT_USER, 0);
	assert_int_equal(take(&c, 1, 60, 0), 0);
	set_policy(&c, SWAP_OVERCOMMIT_USER, 100);
	assert_int_equal(charge_take(&c, 1, 1, NONE, false, &error), -ENOMEM);
	assert_non_null(strstr(error.message, "objects of this user"));
	assert_non_null(strstr(error.message, "uid 1"));
	/* Each user has a limit of his own. */
	assert_int_equal(take(&c, 2, 101, NONE), -ENOMEM);
	assert_int_equal(take(&c, 2, 100, NONE), 0);
	assert_int_equal(take(&c, 2, 1, NONE), -ENOMEM);
	charge_give(&c, 2, 1);
	assert_int_equal(take(&c, 2, 1, NONE), 0);
	assert_int_equal(take(&c, 0, 1000, NONE), 0);
	assert_int_equal(charge_take(&c, 2, 7, NONE, true, NULL), 0);
	assert_int_equal(charged(&c, 2), 107);
	assert_int_equal(charged(&c, 0), 1000);
	assert_int_equal(totals(&c).refused, 3);
	assert_int_equal(totals(&c).user_limit, 100);
	assert_int_equal(totals(&c).overcommit, SWAP_OVERCOMMIT_USER);
	charge_fini(&c);
}

static void
test_bad_bits(void **state)
{
	struct log log = { .fn = NULL };
	struct charge c;

	(void)state;
	charge_init(&c, &log);
	assert_int_equal(charge_set_overcommit(&c, 7), 0);
	assert_int_equal(charge_set_overcommit(&c, 8), -EINVAL);
	assert_int_equal(totals(&c).overcommit, 7);
	charge_fini(&c);
}

static void
test_overflow(void **state)
{
	struct log log = { .fn = NULL };
	struct swap_error error = { 0 };
	struct charge c;

	(void)state;
	charge_init(&c, &log);
	set_policy(&c, SWAP_OVERCOMMIT_TOTAL | SWAP_OVERCOMMIT_USER, 100);
	assert_int_equal(take(&c, 0, UINT64_MAX - 10, 0), 0);
	/* A sum that wraps would look small. */
	assert_int_equal(charge_take(&c, 1, 11, NONE, false, &error),
			 -EOVERFLOW);
	assert_int_equal(error.code, -EOVERFLOW);
	assert_int_equal(charge_take(&c, 0, 11, NONE, true, NULL), -EOVERFLOW);
	assert_int_equal(take(&c, 1, UINT64_MAX, NONE), -EOVERFLOW);
	assert_int_equal(c.nusers, 1);
	assert_int_equal(take(&c, 1, 10, NONE), 0);
	assert_int_equal(totals(&c).total, UINT64_MAX);
	assert_int_equal(totals(&c).refused, 0);
	charge_give(&c, 0, UINT64_MAX - 10);
	charge_give(&c, 1, 10);
	assert_int_equal(c.nusers, 0);
	assert_int_equal(totals(&c).total, 0);
	charge_fini(&c);
}

/* A refusal is said, a flood of them is not. */
static void
test_log(void **state)
{
	struct messages m = { .n = 0 };
	struct log log = { .fn = keep, .arg = &m };
	struct charge c;

	(void)state;
	charge_init(&c, &log);
	set_policy(&c, SWAP_OVERCOMMIT_TOTAL, 0);
	assert_int_equal(take(&c, 4711, 4096, 4096), 0);
	assert_int_equal(m.n, 0);
	assert_int_equal(take(&c, 4711, 8192, 4096), -ENOMEM);
	assert_int_equal(m.n, 1);
	assert_non_null(strstr(m.last, "uid 4711"));
	assert_non_null(strstr(m.last, "8.0 KiB"));
	/* The second is over only when the test says so. */
	atomic_store(&c.limit.next_usec, UINT64_MAX);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(take(&c, 4711, 8192, 4096), -ENOMEM);
	assert_int_equal(m.n, 1);
	assert_int_equal(totals(&c).refused, 1001);
	atomic_store(&c.limit.next_usec, 0);
	assert_int_equal(take(&c, 4711, 8192, 4096), -ENOMEM);
	assert_int_equal(m.n, 3);
	assert_non_null(strstr(m.last, "1000 more"));
	charge_fini(&c);
}

static void
test_limits_shown(void **state)
{
	struct log log = { .fn = NULL };
	struct swap_user_stats *users;
	struct charge c;
	size_t n;

	(void)state;
	charge_init(&c, &log);
	set_policy(&c, SWAP_OVERCOMMIT_USER, 100);
	assert_int_equal(charge_stats(&c, &users, &n), 0);
	assert_int_equal(n, 0);
	free(users);
	assert_int_equal(take(&c, 9, 5, NONE), 0);
	assert_int_equal(take(&c, 0, 6, NONE), 0);
	assert_int_equal(charge_stats(&c, &users, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(users[0].uid, 0);
	assert_int_equal(users[0].limit_bytes, 0);
	assert_int_equal(users[1].uid, 9);
	assert_int_equal(users[1].limit_bytes, 100);
	free(users);
	set_policy(&c, 0, 100);
	assert_int_equal(charge_stats(&c, &users, &n), 0);
	assert_int_equal(users[1].limit_bytes, 0);
	free(users);
	charge_fini(&c);
}

/* ------------------------------------------------------------------ model */

#define UIDS		3000u
#define STEPS		300000u
#define CHECK_EVERY	2000u

struct model {
	uint64_t	have[UIDS];
	uint64_t	total, refused, user_limit;
	unsigned	bits;
};

static uint64_t
next_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

/* Uids far apart, the largest among them; model users are their indexes. */
static uid_t
uid_of(uint64_t user)
{
	return (uid_t)(user * (UINT32_MAX / (UIDS - 1)));
}

/* The rules once more, in 128 bits and without cleverness. */
static int
model_take(struct model *m, uint64_t user, uint64_t bytes, uint64_t chargeable,
	   bool force)
{
	__extension__ typedef unsigned __int128 u128;
	u128 total = (u128)m->total + bytes;
	bool over = false;

	if (bytes == 0)
		return 0;
	if (total > UINT64_MAX)
		return -EOVERFLOW;
	if (m->bits & 1)
		over |= total > chargeable;
	if ((m->bits & 2) && m->user_limit > 0)
		over |= (u128)m->have[user] + bytes > m->user_limit;
	if (over && !force && user != 0) {
		m->refused++;
		return -ENOMEM;
	}
	m->have[user] += bytes;
	m->total += bytes;
	return 0;
}

static void
check_model(struct charge *c, const struct model *m)
{
	struct charge_totals t = totals(c);
	struct swap_user_stats *users;
	size_t n, k = 0;

	assert_int_equal(t.total, m->total);
	assert_int_equal(t.refused, m->refused);
	assert_int_equal(charge_stats(c, &users, &n), 0);
	for (uint64_t i = 0; i < UIDS; i++) {
		if (m->have[i] == 0)
			continue;
		assert_true(k < n);
		assert_int_equal(users[k].uid, uid_of(i));
		assert_int_equal(users[k].charged_bytes, m->have[i]);
		k++;
	}
	assert_int_equal(k, n);
	free(users);
}

static void
model_step(struct charge *c, struct model *m, uint64_t *rng)
{
	uint64_t user = next_random(rng) % UIDS, r = next_random(rng);
	/* Some that overflow, most that add up to about the limits. */
	uint64_t bytes = r % 4096 == 0 ? UINT64_MAX - r : (r >> 8) % 1000;
	uint64_t chargeable = 300 * (uint64_t)UIDS + (r >> 24) % 200000;
	bool force = (r >> 43) % 16 == 0;

	if (r % 4096 == 1) {
		m->bits = (unsigned)(r >> 16) % 8;
		m->user_limit = (r >> 20) % 2 == 0 ? 0 : (r >> 24) % 2000;
		set_policy(c, m->bits, m->user_limit);
	} else if (r % 3 == 0) {
		bytes = m->have[user];
		if ((r >> 40) % 2 == 0 && bytes > 0)
			bytes = (r >> 8) % bytes;
		charge_give(c, uid_of(user), bytes);
		m->have[user] -= bytes;
		m->total -= bytes;
	} else {
		int rc = model_take(m, user, bytes, chargeable, force);

		assert_int_equal(charge_take(c, uid_of(user), bytes,
					     chargeable, force, NULL), rc);
	}
}

static void
test_model(void **state)
{
	struct log log = { .fn = NULL };
	struct model *m = calloc(1, sizeof(*m));
	uint64_t rng = UINT64_C(0x5eed0c4a46e);
	struct charge c;

	(void)state;
	assert_non_null(m);
	charge_init(&c, &log);
	for (unsigned i = 0; i < STEPS; i++) {
		model_step(&c, m, &rng);
		if (i % CHECK_EVERY == 0)
			check_model(&c, m);
	}
	check_model(&c, m);
	/* It has been refused and has passed, or this shows little. */
	assert_true(m->refused > 1000);
	assert_true(c.nusers > 1000);
	for (uint64_t i = 0; i < UIDS; i++)
		charge_give(&c, uid_of(i), m->have[i]);
	assert_int_equal(c.nusers, 0);
	assert_int_equal(totals(&c).total, 0);
	charge_fini(&c);
	free(m);
}

/* ---------------------------------------------------------------- threads */

#define NTHREADS	4u
#define ROUNDS		20000u
#define LIMIT		10000u

struct worker {
	struct charge	*c;
	_Atomic uint64_t *together;	/* what the workers have */
	uint64_t	 rng, refused;
	pthread_t	 thread;
};

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t have[8] = { 0 };

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t r = next_random(&w->rng), bytes = 1 + (r >> 8) % 900;
		uid_t uid = (uid_t)(1 + r % 8);

		if ((r >> 32) % 2 == 0 && have[uid - 1] > 0) {
			atomic_fetch_sub(w->together, have[uid - 1]);
			charge_give(w->c, uid, have[uid - 1]);
			have[uid - 1] = 0;
		} else if (take(w->c, uid, bytes, LIMIT) == 0) {
			/* What was granted fits, whoever asks beside us. */
			assert_true(atomic_fetch_add(w->together, bytes) +
				    bytes <= LIMIT);
			have[uid - 1] += bytes;
		} else {
			w->refused++;
		}
	}
	for (uid_t uid = 1; uid <= 8; uid++) {
		atomic_fetch_sub(w->together, have[uid - 1]);
		charge_give(w->c, uid, have[uid - 1]);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct log log = { .fn = NULL };
	struct worker w[NTHREADS] = { 0 };
	_Atomic uint64_t together = 0;
	struct charge c;
	uint64_t refused = 0;

	(void)state;
	charge_init(&c, &log);
	set_policy(&c, SWAP_OVERCOMMIT_TOTAL | SWAP_OVERCOMMIT_USER, LIMIT / 4);
	for (unsigned i = 0; i < NTHREADS; i++) {
		w[i].c = &c;
		w[i].together = &together;
		w[i].rng = 77 + i;
		assert_int_equal(pthread_create(&w[i].thread, NULL,
						worker_main, &w[i]), 0);
	}
	/* Readers see whole pictures meanwhile. */
	for (unsigned i = 0; i < 200; i++) {
		assert_true(totals(&c).total <= LIMIT);
		for (uid_t uid = 1; uid <= 8; uid++)
			assert_true(charged(&c, uid) <= LIMIT / 4);
	}
	for (unsigned i = 0; i < NTHREADS; i++) {
		pthread_join(w[i].thread, NULL);
		refused += w[i].refused;
	}
	assert_int_equal(c.nusers, 0);
	assert_int_equal(totals(&c).total, 0);
	assert_int_equal(totals(&c).refused, refused);
	assert_true(refused > 0);
	charge_fini(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_total),
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_bad_bits),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_limits_shown),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("charge", tests, NULL, NULL);
}
