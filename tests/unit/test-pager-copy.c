/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies between objects (swap_object_copy()): whatever a page has, in RAM, in
 * a block, in the source of a fork copy, lost; with programs that write and
 * with copies the other way at the same time.
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "uffd.h"
#include "util.h"

/* Destinations of copies must know what was touched. */
#define area_exact(env, npages, flags)	\
	area_new(env, npages, SWAP_OBJECT_EXACT | (flags))

#define DESTROY	SWAP_COPY_DESTROY

static int
copy(const struct area *from, uint64_t from_page, const struct area *to,
     uint64_t to_page, uint64_t n, unsigned flags)
{
	return swap_object_copy(from->object, from_page * PAGE, to->object,
				to_page * PAGE, n * PAGE, flags, NULL);
}

/* Pages [at, at + n) of @a hold what pages from @page on of @id were. */
static void
check_from(const struct area *a, uint64_t at, uint64_t n, uint64_t id,
	   uint64_t page, uint32_t version)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t bad = wrong(a->mem + (at + i) * WORDS, id, page + i,
				     version);

		if (bad != 0)
			fail_msg("page %" PRIu64 ": %" PRIu64 " words are not "
				 "those of page %" PRIu64, at + i, bad,
				 page + i);
	}
}

static uint64_t
resident(const struct area *a)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < a->npages; i++)
		n += in_ram(a->object, i);
	return n;
}

static uint64_t
swapped(const struct area *a)
{
	uint64_t n;

	object_lock(a->object);
	n = a->object->nswapped;
	object_unlock(a->object);
	return n;
}

static void
test_arguments(void **state)
{
	struct env *env = env_new(MIB, 0), *env2 = env_new(MIB, 0);
	struct area a = area_exact(env, 10, 0), b = area_exact(env, 10, 0);
	struct area c = area_exact(env2, 10, 0);

	(void)state;
	assert_int_equal(copy(&a, 0, &a, 5, 5, 0), -EINVAL);
	assert_int_equal(copy(&a, 0, &c, 0, 5, 0), -EINVAL);
	assert_int_equal(copy(&a, 6, &b, 0, 5, 0), -EINVAL);
	assert_int_equal(copy(&a, 0, &b, 6, 5, 0), -EINVAL);
	assert_int_equal(copy(&a, 0, &b, 0, 0, 0), -EINVAL);
	assert_int_equal(copy(&a, 0, &b, 0, 5, 2), -EINVAL);
	assert_int_equal(swap_object_copy(a.object, 1, b.object, 0, PAGE, 0,
					  NULL), -EINVAL);
	assert_int_equal(copy(&a, 0, &b, 0, 10, 0), 0);
	assert_int_equal(totals_of(env).resident_bytes, 0);
	area_end(&a);
	area_end(&b);
	area_end(&c);
	env_end(env2);
	env_end(env);
}

/* A source with everything, a destination with some, one way and the other. */
static void
copy_all(unsigned flags, bool reverse, unsigned to_flags)
{
	struct env *env = env_new(MIB, 0);
	struct area from, to, other, first;
	struct swap_region *second;

	must_attach(env, 0, 16 * MIB);
	/* Which of the two is older decides who is owned first. */
	first = area_exact(env, 120, reverse ? 0 : to_flags);
	from = area_exact(env, 120, reverse ? to_flags : 0);
	to = reverse ? from : first;
	from = reverse ? first : from;
	other = area_exact(env, 600, 0);
	assert_int_equal(swap_object_map(from.object, NULL, 0, 120 * PAGE,
					 &second, NULL), 0);
	write_pages(&from, 0, 40, 1);		/* swapped */
	write_pages(&to, 30, 10, 7);		/* there, somewhere */
	push_out(&from, 0, 40, &other);
	write_pages(&from, 40, 20, 1);		/* in RAM */
	write_pages(&to, 55, 5, 7);
	check_pages(&from, 10, 5, 1);		/* clean */
	assert_int_equal(copy(&from, 0, &to, 20, 100, flags), 0);
	/* 0-9, 20-34, 40-59 arrive; 10-19 and 35-39 are there. */
	check_from(&to, 20, 10, from.id, 0, 1);
	check_pages(&to, 30, 10, 7);
	check_from(&to, 40, 15, from.id, 20, 1);
	check_pages(&to, 55, 5, 7);
	check_from(&to, 60, 20, from.id, 40, 1);
	check_pages(&to, 0, 20, 0);
	check_pages(&to, 80, 40, 0);
	check_pages(&from, 0, 60, flags & DESTROY ? 0 : 1);
	check_pages(&from, 60, 60, 0);
	/* Neither is tied to the other. */
	write_pages(&from, 0, 60, 3);
	write_pages(&other, 0, 600, 2);
	check_from(&to, 20, 10, from.id, 0, 1);
	check_from(&to, 60, 20, from.id, 40, 1);
	for (uint64_t i = 0; i < 60; i++)
		put((uint64_t *)swap_region_address(second) + i * WORDS,
		    from.id, i, 4);
	write_pages(&to, 20, 60, 5);
	write_pages(&other, 0, 600, 3);
	check_pages(&to, 20, 60, 5);
	check_pages(&from, 0, 60, 4);
	check_blocks(env);
	assert_int_equal(swap_region_unmap(second), 0);
	area_end(&from);
	area_end(&to);
	area_end(&other);
	env_end(env);
}

static void
test_copy_all(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++)
		copy_all(i & 1 ? DESTROY : 0, i & 2,
			 i & 4 ? SWAP_OBJECT_NOSWAP : 0);
}

/* Blocks change hands: no I/O, and nobody needs RAM. */
static void
test_move(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_stats before, after;
	struct area a, b, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_exact(env, 1000, 0);
	b = area_exact(env, 1000, 0);
	other = area_exact(env, 250, 0);
	write_pages(&a, 0, 1000, 1);
	push_out(&a, 0, 1000, &other);
	/* Not even one page of RAM is free. */
	assert_int_equal(swap_region_wire(other.region, 0, 190 * PAGE, NULL),
			 0);
	before = totals_of(env);
	assert_int_equal(copy(&a, 0, &b, 0, 1000, DESTROY), 0);
	after = totals_of(env);
	assert_int_equal(after.counters.pageins, before.counters.pageins);
	assert_int_equal(after.counters.pagein_pages,
			 before.counters.pagein_pages);
	assert_int_equal(swapped(&a), 0);
	assert_int_equal(swapped(&b), 1000);
	assert_int_equal(resident(&a), 0);
	assert_int_equal(resident(&b), 0);
	assert_int_equal(swap_object_haspage(a.object, 0, NULL, NULL), 0);
	assert_int_equal(swap_object_haspage(b.object, 0, NULL, NULL), 1);
	check_blocks(env);
	assert_int_equal(swap_region_unwire(other.region, 0, 190 * PAGE), 0);
	check_from(&b, 0, 1000, a.id, 0, 1);
	check_pages(&a, 0, 1000, 0);
	area_end(&a);
	check_from(&b, 0, 1000, a.id, 0, 1);
	area_end(&b);
	area_end(&other);
	env_end(env);
}

/* What is reserved stays guaranteed on both sides. */
static void
test_move_reserved(void **state)
{
	for (unsigned which = 0; which < 4; which++) {
		struct env *env = env_new(MIB, 0);
		struct area a, b, other;
		uint64_t n = 0;

		(void)state;
		must_attach(env, 0, 4 * MIB);
		a = area_exact(env, 100, 0);
		b = area_exact(env, 100, 0);
		other = area_exact(env, 600, 0);
		write_pages(&a, 0, 90, 1);
		write_pages(&b, 50, 20, 2);
		if (which & 1)
			assert_int_equal(swap_object_reserve(a.object, 0,
					 60 * PAGE, NULL), 0);
		if (which & 2)
			assert_int_equal(swap_object_reserve(b.object, 20 *
					 PAGE, 80 * PAGE, NULL), 0);
		push_out(&a, 0, 90, &other);
		check_pages(&a, 80, 10, 1);	/* in RAM */
		check_reserved(env);
		assert_int_equal(copy(&a, 0, &b, 0, 100, DESTROY), 0);
		check_reserved(env);
		n = totals_of(env).set_aside_bytes / PAGE;
		if (which & 1)
			assert_true(n >= 60);
		check_from(&b, 0, 50, a.id, 0, 1);
		check_pages(&b, 50, 20, 2);
		check_from(&b, 70, 20, a.id, 70, 1);
		write_pages(&a, 0, 100, 3);
		push_out(&a, 0, 100, &other);
		check_pages(&a, 0, 100, 3);
		check_reserved(env);
		area_end(&a);
		area_end(&b);
		area_end(&other);
		env_end(env);
	}
}

struct reserver {
	const struct area *a;
	atomic_bool	*stop;
	_Atomic unsigned done;
};

/* Reserves pages and gives them back, again and again. */
static void *
reserver_main(void *arg)
{
	struct reserver *r = arg;
	uint64_t bytes = r->a->npages * PAGE;

	while (!atomic_load(r->stop)) {
		if (swap_object_reserve(r->a->object, 0, bytes, NULL) == 0)
			r->done++;
		(void)swap_object_unreserve(r->a->object, 0, bytes);
	}
	return NULL;
}

/* Pages change hands while both sides are reserved and given back. */
static void
test_move_while_reserved(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct reserver reserver[2];
	struct area a[2], other;
	pthread_t thread[2];

	(void)state;
	must_attach(env, 0, 8 * MIB);
	for (unsigned i = 0; i < 2; i++)
		a[i] = area_exact(env, 64, 0);
	other = area_exact(env, 600, 0);
	write_pages(&a[0], 0, 64, 1);
	push_out(&a[0], 0, 64, &other);
	for (unsigned i = 0; i < 2; i++) {
		reserver[i] = (struct reserver){ &a[i], &env->stop, 0 };
		pthread_create(&thread[i], NULL, reserver_main, &reserver[i]);
	}
	for (unsigned round = 0; round < 2000; round++)
		assert_int_equal(copy(&a[round % 2], 0, &a[1 - round % 2], 0,
				      64, DESTROY), 0);
	while (reserver[0].done == 0 || reserver[1].done == 0)
		usleep(1000);
	atomic_store(&env->stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(logged(env, "not set aside"), 0);
	assert_int_equal(swap_object_reserve(a[0].object, 0, 64 * PAGE, NULL),
			 0);
	check_reserved(env);
	check_pages(&a[0], 0, 64, 1);
	check_pages(&a[1], 0, 64, 0);
	for (unsigned i = 0; i < 2; i++)
		area_end(&a[i]);
	area_end(&other);
	env_end(env);
}

/* Without a block to set aside for it, the page does not go. */
static void
test_move_no_space(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, other;

	(void)state;
	must_attach(env, 0, MIB);	/* 254 blocks */
	a = area_exact(env, 100, 0);
	b = area_exact(env, 100, 0);
	other = area_exact(env, 250, 0);
	assert_int_equal(swap_object_reserve(a.object, 0, 100 * PAGE, NULL), 0);
	write_pages(&a, 0, 100, 1);
	push_out(&a, 0, 100, &other);
	assert_int_equal(swap_region_release(other.region, 0, 250 * PAGE), 0);
	assert_int_equal(swap_object_reserve(other.object, 0, 100 * PAGE, NULL),
			 0);
	/* 54 are left. */
	assert_int_equal(copy(&a, 0, &b, 0, 100, DESTROY), -ENOSPC);
	check_reserved(env);
	assert_int_equal(swap_object_unreserve(other.object, 0, 100 * PAGE), 0);
	assert_int_equal(copy(&a, 0, &b, 0, 100, DESTROY), 0);
	check_reserved(env);
	check_from(&b, 0, 100, a.id, 0, 1);
	check_pages(&a, 0, 100, 0);
	area_end(&a);
	area_end(&b);
	area_end(&other);
	env_end(env);
}

static void
test_wired(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b;

	(void)state;
	must_attach(env, 0, 4 * MIB);
	a = area_exact(env, 100, 0);
	b = area_exact(env, 100, 0);
	write_pages(&a, 0, 100, 1);
	assert_int_equal(swap_region_wire(a.region, 70 * PAGE, PAGE, NULL), 0);
	assert_int_equal(copy(&a, 0, &b, 0, 100, DESTROY), -EBUSY);
	/* Those before it have arrived, the others are where they were. */
	check_from(&b, 0, 70, a.id, 0, 1);
	check_pages(&a, 0, 70, 0);
	check_pages(&a, 70, 30, 1);
	assert_int_equal(copy(&a, 70, &b, 70, 30, 0), 0);
	check_from(&b, 0, 100, a.id, 0, 1);
	check_pages(&a, 70, 30, 1);
	assert_int_equal(swap_region_unwire(a.region, 70 * PAGE, PAGE), 0);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* Blocks that cannot be read; a page that is lost already. */
static void
test_lost(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, c, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_exact(env, 100, 0);
	b = area_exact(env, 100, 0);
	c = area_exact(env, 100, 0);
	other = area_exact(env, 600, 0);
	write_pages(&a, 0, 100, 1);
	push_out(&a, 0, 100, &other);
	fault.read_lo = block_of(&a, 50);
	fault.read_hi = fault.read_lo + 1;
	assert_int_equal(copy(&a, 0, &b, 0, 100, 0), -EIO);
	check_from(&b, 0, 50, a.id, 0, 1);
	check_pages(&b, 50, 1, 0);
	assert_int_equal(totals_of(env).counters.poisoned_pages, 0);
	/* A block goes along without being read; who touches it loses it. */
	push_out(&a, 0, 100, &other);
	assert_int_equal(copy(&a, 0, &c, 0, 100, DESTROY), 0);
	assert_true(gives_bus(c.mem + 50 * WORDS, false));
	check_from(&c, 0, 50, a.id, 0, 1);
	check_from(&c, 51, 49, a.id, 51, 1);
	check_pages(&a, 0, 100, 0);
	/* A lost page does not arrive as zeros. */
	assert_int_equal(swap_region_release(b.region, 0, 100 * PAGE), 0);
	assert_int_equal(copy(&c, 0, &b, 0, 100, 0), -EIO);
	assert_int_equal(copy(&c, 50, &b, 50, 1, 0), -EIO);
	assert_int_equal(copy(&c, 50, &b, 50, 1, DESTROY), -EIO);
	assert_int_equal(copy(&c, 51, &b, 51, 49, DESTROY), 0);
	/* Nor is a good one freed for a lost one. */
	put(b.mem + 50 * WORDS, b.id, 50, 9);
	assert_int_equal(copy(&b, 50, &c, 50, 1, 0), 0);
	assert_true(gives_bus(c.mem + 50 * WORDS, false));
	assert_int_equal(copy(&b, 50, &c, 50, 1, DESTROY), -EIO);
	check_pages(&b, 50, 1, 9);
	/* Where the destination has it, the lost one goes. */
	assert_int_equal(copy(&c, 50, &b, 50, 1, DESTROY), 0);
	check_pages(&b, 50, 1, 9);
	assert_false(gives_bus(c.mem + 50 * WORDS, false));
	check_pages(&c, 50, 1, 0);
	check_from(&b, 0, 50, a.id, 0, 1);
	check_from(&b, 51, 49, a.id, 51, 1);
	area_end(&a);
	area_end(&b);
	area_end(&c);
	area_end(&other);
	env_end(env);
}

/* The memfd takes nothing: all stays as it was, and the next call does it. */
static void
test_no_memory(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_exact(env, 100, 0);
	b = area_exact(env, 100, 0);
	write_pages(&a, 0, 100, 1);
	fault.put_errno = ENOMEM;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(copy(&a, 0, &b, 0, 100, i ? DESTROY : 0),
				 -ENOMEM);
	fault.put_errno = 0;
	assert_int_equal(resident(&b), 0);
	check_pages(&a, 0, 100, 1);
	fault.request = UFFDIO_WRITEPROTECT;
	fault.request_errno = ENOMEM;
	fault.request_times = 3;
	assert_int_equal(copy(&a, 0, &b, 0, 100, DESTROY), -ENOMEM);
	fault.request_times = 0;
	check_pages(&a, 0, 100, 1);
	assert_int_equal(copy(&a, 0, &b, 0, 100, DESTROY), 0);
	check_from(&b, 0, 100, a.id, 0, 1);
	check_pages(&a, 0, 100, 0);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

static const struct area *meanwhile_area;

static void
write_first(void)
{
	put(meanwhile_area->mem, meanwhile_area->id, 0, 5);
}

/*
 * The memfd takes a part of them, and the program writes into that at once:
 * what it wrote stays.
 */
static void
test_little_memory(void **state)
{
	(void)state;
	for (unsigned destroy = 0; destroy < 2; destroy++) {
		struct env *env = env_new(MIB, 0);
		struct area a, b;

		must_attach(env, 0, 8 * MIB);
		a = area_exact(env, 100, 0);
		b = area_exact(env, 100, 0);
		write_pages(&a, 0, 100, 1);
		meanwhile_area = &b;
		fault.first_pages = 3;
		fault.meanwhile = write_first;
		fault.put_errno = ENOMEM;
		/* Three pages at a time; then none. */
		assert_int_equal(copy(&a, 0, &b, 0, 50, destroy), 0);
		fault.meanwhile = NULL;
		fault.first_pages = 0;
		assert_int_equal(copy(&a, 50, &b, 50, 50, destroy), -ENOMEM);
		fault.put_errno = 0;
		check_pages(&b, 0, 1, 5);
		check_from(&b, 1, 49, a.id, 1, 1);
		check_pages(&a, 0, 50, destroy ? 0 : 1);
		check_pages(&a, 50, 50, 1);
		assert_int_equal(copy(&a, 50, &b, 50, 50, destroy), 0);
		check_from(&b, 50, 50, a.id, 50, 1);
		area_end(&a);
		area_end(&b);
		env_end(env);
	}
}

/* ----------------------------------------------------------- fork copies */

/* From a fork copy that has taken little, to an object that has little. */
static void
test_from_fork(void **state)
{
	for (unsigned destroy = 0; destroy < 2; destroy++) {
		struct env *env = env_new(MIB, 0);
		struct area a, b, c, other;
		uint64_t had;

		(void)state;
		must_attach(env, 0, 8 * MIB);
		c = area_exact(env, 100, 0);
		a = area_exact(env, 100, 0);
		other = area_exact(env, 600, 0);
		write_pages(&a, 0, 60, 1);
		push_out(&a, 0, 60, &other);
		write_pages(&a, 60, 20, 1);
		b = area_copy(a.object, a.id);
		write_pages(&b, 10, 5, 2);
		write_pages(&c, 20, 5, 3);
		had = pages_shared(&b);
		assert_int_equal(copy(&b, 0, &c, 0, 100, destroy), 0);
		check_from(&c, 0, 10, a.id, 0, 1);
		check_from(&c, 10, 5, a.id, 10, 2);
		check_from(&c, 15, 5, a.id, 15, 1);
		check_pages(&c, 20, 5, 3);
		check_from(&c, 25, 55, a.id, 25, 1);
		check_pages(&c, 80, 20, 0);
		check_pages(&a, 0, 80, 1);
		if (destroy)
			check_pages(&b, 0, 80, 0);
		else
			/* It has not taken more than it did. */
			assert_int_equal(pages_shared(&b), had);
		write_pages(&a, 0, 80, 4);
		check_from(&c, 25, 55, a.id, 25, 1);
		area_end(&a);
		area_end(&b);
		area_end(&c);
		area_end(&other);
		env_end(env);
	}
}

/* Into a fork copy: what it would take from its source it has. */
static void
test_to_fork(void **state)
{
	for (unsigned destroy = 0; destroy < 2; destroy++) {
		struct env *env = env_new(MIB, 0);
		struct area a, b, c, other;

		(void)state;
		must_attach(env, 0, 8 * MIB);
		a = area_exact(env, 100, 0);
		c = area_exact(env, 100, 0);
		other = area_exact(env, 600, 0);
		write_pages(&a, 0, 40, 1);
		write_pages(&c, 20, 60, 2);
		push_out(&a, 0, 40, &other);
		push_out(&c, 20, 40, &other);
		b = area_copy(a.object, a.id);
		assert_int_equal(copy(&c, 0, &b, 0, 100, destroy), 0);
		check_from(&b, 0, 40, a.id, 0, 1);
		check_from(&b, 40, 40, c.id, 40, 2);
		check_pages(&b, 80, 20, 0);
		write_pages(&a, 0, 100, 3);
		check_from(&b, 0, 40, a.id, 0, 1);
		check_from(&b, 40, 40, c.id, 40, 2);
		check_pages(&c, 20, 60, destroy ? 0 : 2);
		area_end(&a);
		area_end(&b);
		area_end(&c);
		area_end(&other);
		env_end(env);
	}
}

/* Between a fork copy and its own source, both ways. */
static void
test_fork_and_source(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct env *env = env_new(MIB, 0);
		struct area a, b, other;
		bool destroy = i & 1;

		(void)state;
		must_attach(env, 0, 8 * MIB);
		a = area_exact(env, 60, 0);
		other = area_exact(env, 600, 0);
		write_pages(&a, 0, 30, 1);
		push_out(&a, 0, 30, &other);
		write_pages(&a, 30, 10, 1);
		b = area_copy(a.object, a.id);
		write_pages(&b, 5, 3, 2);
		write_pages(&b, 50, 5, 2);
		if (i & 2) {
			/* From the source: the copy has it all already. */
			assert_int_equal(copy(&a, 0, &b, 0, 60, destroy), 0);
			check_pages(&a, 0, 40, destroy ? 0 : 1);
		} else {
			assert_int_equal(copy(&b, 0, &a, 0, 60, destroy), 0);
			check_pages(&a, 0, 40, 1);
			check_from(&a, 50, 5, b.id, 50, 2);
		}
		if ((i & 2) || !destroy) {
			check_pages(&b, 0, 5, 1);
			check_pages(&b, 5, 3, 2);
			check_pages(&b, 8, 32, 1);
			check_pages(&b, 40, 10, 0);
			check_pages(&b, 50, 5, 2);
		} else {
			check_pages(&b, 0, 60, 0);
		}
		area_end(&b);
		area_end(&a);
		area_end(&other);
		env_end(env);
	}
}

/* ------------------------------------------------------------ at one moment */

#define TORN_PAGES	64u

struct writer {
	struct env	*env;
	const struct area *a;
	uint64_t	 seed;
};

/*
 * The first word of a page gets the next number, then the last one: who copies
 * the page while that goes on finds the last one ahead.
 */
static void *
writer_main(void *arg)
{
	struct writer *w = arg;
	uint64_t number = 0;

	while (!atomic_load(&w->env->stop)) {
		uint64_t page = next_random(&w->seed) % TORN_PAGES;
		volatile uint64_t *at = w->a->mem + page * WORDS;

		number = at[0] + 1;
		at[0] = number;
		at[WORDS - 1] = number;
	}
	return NULL;
}

static uint64_t
check_torn(const uint64_t *at)
{
	uint64_t last = at[WORDS - 1];

	assert_true(last == at[0] || last + 1 == at[0]);
	for (unsigned i = 1; i < WORDS - 1; i++)
		assert_int_equal(at[i], 0);
	return at[0];
}

/* A page arrives as it was at one moment, while a program goes on writing. */
static void
test_not_torn(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b;
	struct writer writer;
	uint64_t most = 0;
	pthread_t thread;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_exact(env, TORN_PAGES, 0);
	b = area_exact(env, TORN_PAGES, 0);
	writer = (struct writer){ env, &a, 1 };
	pthread_create(&thread, NULL, writer_main, &writer);
	for (unsigned round = 0; round < 1000; round++) {
		assert_int_equal(copy(&a, 0, &b, 0, TORN_PAGES, 0), 0);
		for (uint64_t i = 0; i < TORN_PAGES; i++)
			most = max_u64(most, check_torn(b.mem + i * WORDS));
		assert_int_equal(swap_region_release(b.region, 0,
						     TORN_PAGES * PAGE), 0);
	}
	atomic_store(&env->stop, true);
	pthread_join(thread, NULL);
	assert_true(most > 10);
	/* The writer's last numbers are all there. */
	for (uint64_t i = 0; i < TORN_PAGES; i++)
		assert_int_equal(a.mem[(i + 1) * WORDS - 1], a.mem[i * WORDS]);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* ------------------------------------------------------- many at one time */

#define RING		3u
#define RING_PAGES	300u

struct ring {
	struct env	*env;
	struct area	 a[RING];
	_Atomic unsigned copies, refused;
};

struct ringer {
	struct ring	*ring;
	uint64_t	 seed;
};

/* Pages wander between objects, all ways at once, and are touched meanwhile. */
static void *
ringer_main(void *arg)
{
	struct ringer *r = arg;
	struct ring *ring = r->ring;

	while (!atomic_load(&ring->env->stop)) {
		unsigned from = (unsigned)(next_random(&r->seed) % RING);
		unsigned to = (from + 1 + (unsigned)(next_random(&r->seed) %
						     (RING - 1))) % RING;
		uint64_t page = next_random(&r->seed) % RING_PAGES;
		uint64_t n = 1 + next_random(&r->seed) % (RING_PAGES - page);
		int rc = copy(&ring->a[from], page, &ring->a[to], page, n,
			      DESTROY);

		if (rc != 0)
			atomic_fetch_add(&ring->refused, 1);
		atomic_fetch_add(&ring->copies, 1);
	}
	return NULL;
}

/* Every page is in exactly one of the objects, at each moment. */
static void
test_ring(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct ring ring = { .env = env };
	struct ringer ringer[4];
	pthread_t thread[4];
	struct area other;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	for (unsigned i = 0; i < RING; i++)
		ring.a[i] = area_exact(env, RING_PAGES, 0);
	other = area_exact(env, 400, 0);
	write_pages(&ring.a[0], 0, RING_PAGES, 1);
	assert_int_equal(swap_object_reserve(ring.a[1].object, 0, 100 * PAGE,
					     NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		ringer[i] = (struct ringer){ &ring, i + 1 };
		pthread_create(&thread[i], NULL, ringer_main, &ringer[i]);
	}
	for (uint32_t i = 0; i < 5; i++) {
		write_pages(&other, 0, 400, i);
		must_attach(env, 1, 4 * MIB);
		check_pages(&other, 0, 400, i);
		while (swap_device_detach(env->pager, env->device[1], NULL,
					  NULL, NULL) != 0)
			;
	}
	atomic_store(&env->stop, true);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(ring.refused, 0);
	assert_true(ring.copies > 20);
	check_blocks(env);
	check_reserved(env);
	for (uint64_t page = 0; page < RING_PAGES; page++) {
		unsigned nhave = 0;

		for (unsigned i = 0; i < RING; i++) {
			const uint64_t *at = ring.a[i].mem + page * WORDS;

			if (wrong(at, ring.a[0].id, page, 1) == 0)
				nhave++;
			else
				assert_int_equal(wrong(at, 0, 0, 0), 0);
		}
		assert_int_equal(nhave, 1);
	}
	for (unsigned i = 0; i < RING; i++)
		area_end(&ring.a[i]);
	area_end(&other);
	env_end(env);
}

/* Nothing moves behind the back of a handover. */
static void
test_handover(void **state)
{
	for (unsigned round = 0; round < 5; round++) {
		struct env *env = env_new(MIB, 0);
		struct ring ring = { .env = env };
		struct ringer ringer[2];
		struct swap_error error = { 0 };
		pthread_t thread[2];

		(void)state;
		must_attach(env, 0, 16 * MIB);
		for (unsigned i = 0; i < RING; i++)
			ring.a[i] = area_exact(env, RING_PAGES, 0);
		write_pages(&ring.a[round % RING], 0, RING_PAGES, 1);
		for (unsigned i = 0; i < 2; i++) {
			ringer[i] = (struct ringer){ &ring, round * 7 + i };
			ringer[i].seed++;
			pthread_create(&thread[i], NULL, ringer_main,
				       &ringer[i]);
		}
		while (ring.copies < 10 + round)
			usleep(1000);
		fault.read_slow = 1000;	/* it takes its time */
		check_ok(swap_pager_close(env->pager, &error), &error);
		assert_int_equal(copy(&ring.a[0], 0, &ring.a[1], 0, 1, 0),
				 -ESHUTDOWN);
		atomic_store(&env->stop, true);
		for (unsigned i = 0; i < 2; i++)
			pthread_join(thread[i], NULL);
		for (uint64_t page = 0; page < RING_PAGES; page++) {
			unsigned nhave = 0;

			for (unsigned i = 0; i < RING; i++)
				nhave += wrong(ring.a[i].mem + page * WORDS,
					       ring.a[round % RING].id, page,
					       1) == 0;
			assert_int_equal(nhave, 1);
		}
		for (unsigned i = 0; i < RING; i++)
			area_end(&ring.a[i]);
		env_free(env);
	}
}

/* -------------------------------------------------------------------- main */

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(arguments),
		TEST(copy_all),
		TEST(move),
		TEST(move_reserved),
		TEST(move_while_reserved),
		TEST(move_no_space),
		TEST(wired),
		TEST(lost),
		TEST(no_memory),
		TEST(little_memory),
		TEST(from_fork),
		TEST(to_fork),
		TEST(fork_and_source),
		TEST(not_torn),
		TEST(ring),
		TEST(handover),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
