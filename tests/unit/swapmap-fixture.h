/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapmap-fixture.h - what the tests of swap maps have in common
 *
 * A world is a map beside a naive model, a sorted array, and a second such
 * pair.  Random operations are done to both sides, and every value that the
 * maps return is compared.
 *
 * SWAPMAP_TEST_SCALE=N multiplies the number of random steps.
 */
#ifndef SWAPMAP_FIXTURE_H
#define SWAPMAP_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>

#include "swapmap-impl.h"

#define NAME	"map"
#define NONE	SWAPMAP_NONE
#define POISON	SWAPMAP_POISON

/* Blocks from here on do not fit an array's narrow slots. */
#define WIDE_BLOCK	((UINT64_C(1) << 32) - 2)

uint64_t next_random(uint64_t *state);
uint64_t below(uint64_t *state, uint64_t n);
/* All magnitudes up to @n alike. */
uint64_t below_log(uint64_t *state, uint64_t n);
unsigned scaled(unsigned n);

/* A directory of its own for every test. */
int setup(void **state);
int teardown(void **state);
int dir_of(void **state);

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

/* All that a map can be created as, "auto" too. */
#define NKINDS		4u
extern const enum swapmap_kind all_kinds[NKINDS];

#define FOR_EACH_KIND(kind)						\
	for (unsigned i_ = 0; i_ < NKINDS; i_++)			\
		for (enum swapmap_kind kind = all_kinds[i_], once_ = 1;	\
		     once_ == 1; once_ = 0)

/* In memory where @dirfd is negative. */
struct swapmap *create(enum swapmap_kind kind, uint64_t npages, int dirfd);
struct swapmap *create_charged(enum swapmap_kind kind, uint64_t npages,
			       int dirfd, struct arena_account *account);
void set(struct swapmap *map, uint64_t page, uint64_t block);

/* From now on the map cannot grow: -ENOMEM. */
void starve(struct swapmap *map);

/* The check sees a @variable with a wrong @value, and not when it is undone. */
#define PLANT(map, variable, value) do {				\
	__typeof__(value) saved_ = (__typeof__(value))(variable);	\
									\
	assert_int_equal(swapmap_check(map), 0);			\
	(variable) = (value);						\
	assert_int_equal(swapmap_check(map), -EBADMSG);			\
	(variable) = saved_;						\
	assert_int_equal(swapmap_check(map), 0);			\
} while (0)

/* --------------------------------------------------------------- model */

#define MODEL_MAX	8192u

/* Mapped pages in order. */
struct model {
	size_t	 n;
	struct {
		uint64_t page;
		uint64_t block;
	} at[MODEL_MAX];
};

size_t model_index(const struct model *model, uint64_t page);
uint64_t model_get(const struct model *model, uint64_t page);
void model_set(struct model *model, uint64_t page, uint64_t block);

/* The map says what the model says, from the first page to the last. */
void compare(const struct swapmap *map, const struct model *model);

/* Blocks that were reported as free. */
struct report {
	size_t	 nblocks;
	size_t	 nranges;
	uint64_t block[MODEL_MAX];
};

void report_add(void *arg, uint64_t first_block, uint64_t n);

/* --------------------------------------------------------------- world */

#define RANGES	4
#define SPOTS	6

struct side {
	struct swapmap	*map;
	struct model	 model;
};

struct world {
	struct side	 main, other;	/* other.map NULL: there is none */
	struct arena_account account;
	uint64_t	 random;
	uint64_t	 npages;
	bool		 sparse;	/* pages near a few spots only */
	bool		 scarce;	/* -EDQUOT is to be expected */
	uint64_t	 most;		/* mapped pages; then all are cleared */
	uint64_t	 spot[SPOTS];
	struct {
		uint64_t page, n;	/* n 0: none */
	} prepared[RANGES];
	unsigned	 nrefused;	/* operations without memory */
	unsigned	 nfinished;	/* prepared pages, none to be had */
	unsigned	 nswitched;	/* changes of kind */
	struct report	 got, expected;
};

/* @other: the kind of the second map; SWAPMAP_NKINDS: no second one. */
struct world *world_create(enum swapmap_kind kind, enum swapmap_kind other,
			   uint64_t npages, int dirfd, uint64_t seed);
void world_destroy(struct world *w);

/* One random operation, and some questions. */
void step(struct world *w);
/* That many, with swapmap_check() after each. */
void drive(struct world *w, unsigned nsteps);

#endif
