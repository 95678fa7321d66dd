/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pager in one process, as long as devices and kernel do what they should:
 * what swap.h promises of paging, regions, release, wiring and full space.
 *
 * Every test ends with nothing in use and nothing resident (env_end()).  An
 * argument selects tests by a pattern ("test_full_*").
 */
#include "pager-fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------ plain paging */

static void
test_fill_verify(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_stats stats;
	struct area a, b;
	pthread_t sampler;

	(void)state;
	must_attach(env, 0, 6 * MIB);
	must_attach(env, 1, 6 * MIB);
	a = area_new(env, 1024, 0);
	b = area_new(env, 1024, 0);
	watch(env, &a);
	watch(env, &b);
	pthread_create(&sampler, NULL, sampler_main, env);
	for (uint32_t version = 1; version < 4; version++) {
		write_pages(&a, 0, 1024, version);
		write_pages(&b, 0, 1024, version + 7);
		check_pages(&a, 0, 1024, version);
		check_pages(&b, 0, 1024, version + 7);
	}
	atomic_store(&env->stop, true);
	pthread_join(sampler, NULL);
	check_budget(env, MIB);
	check_blocks(env);
	stats = stats_of(env);
	assert_int_equal(stats.ndevices, 2);
	assert_true(stats.devices[0].used_bytes > MIB);
	assert_true(stats.devices[1].used_bytes > MIB);
	assert_true(stats.counters.pageout_clean > 0);
	swap_stats_clear(&stats);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/*
 * Addresses and priorities of devices; clusters; what a clean page has is given
 * back when it is written.
 */
static void
test_devices(void **state)
{
	struct swap_device_options low = { .create_bytes = 3 * MIB,
					   .priority = 1 };
	struct swap_device_options high = { .create_bytes = 2 * MIB,
					    .priority = 5 };
	struct env *env = env_new(MIB, 0);
	struct swap_device_stats *dev;
	struct swap_stats stats;
	struct swap_error error = { 0 };
	uint64_t used, clean = 599;
	struct area a;

	(void)state;
	check_ok(swap_device_attach(env->pager, env->device[0], &low, &error),
		 &error);
	check_ok(swap_device_attach(env->pager, env->device[1], &high, &error),
		 &error);
	a = area_new(env, 600, 0);
	write_pages(&a, 0, 600, 1);
	stats = stats_of(env);
	dev = stats.devices;
	/* A block between the two is nobody's, besides those of the label. */
	assert_int_equal(dev[0].priority, 5);
	assert_int_equal(dev[1].first_block, SPACE_FIRST);
	assert_int_equal(dev[0].first_block, SPACE_FIRST + 3 * MIB / PAGE + 1);
	assert_int_equal(dev[0].size_bytes, 2 * MIB - 8192);
	/* All went to the high one; in clusters. */
	assert_int_equal(dev[1].used_bytes, 0);
	assert_true(dev[0].used_bytes > MIB);
	assert_true(stats.counters.pageout_pages >
		    8 * stats.counters.pageouts);
	swap_stats_clear(&stats);
	write_pages(&a, 0, 600, 2);
	check_pages(&a, 0, 600, 2);
	/* Page-out may be at work still. */
	used = 0;
	for (unsigned same = 0; same < 6; same++) {
		usleep(50000);
		stats = totals_of(env);
		if (stats.swap_used_bytes != used)
			same = 0;
		used = stats.swap_used_bytes;
	}
	assert_true(stats.counters.pagein_pages > 2 * stats.counters.pageins);
	/* Some that were read are clean. */
	object_lock(a.object);
	while (clean > 0 && page_state(a.object, clean) != PAGE_CLEAN)
		clean--;
	object_unlock(a.object);
	assert_true(in_ram(a.object, clean));
	a.mem[clean * WORDS]++;
	assert_int_equal(totals_of(env).swap_used_bytes, used - PAGE);
	area_end(&a);
	env_end(env);
}

/* Whole pages go through the kernel: its own accesses are served too. */
static void
test_kernel_access(void **state)
{
	struct env *env = env_new(MIB, 0);
	uint64_t copy[WORDS];
	struct area a;
	int fds[2];

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	assert_int_equal(pipe(fds), 0);
	for (uint64_t i = 0; i < 1024; i++) {
		uint64_t *at = a.mem + i * WORDS;

		assert_int_equal(write(fds[1], at, PAGE), PAGE);
		assert_int_equal(read(fds[0], copy, PAGE), PAGE);
		assert_int_equal(wrong(copy, a.id, i, 1), 0);
		put(copy, a.id, i, 2);
		assert_int_equal(write(fds[1], copy, PAGE), PAGE);
		assert_int_equal(read(fds[0], at, PAGE), PAGE);
	}
	check_pages(&a, 0, 1024, 2);
	close(fds[0]);
	close(fds[1]);
	area_end(&a);
	env_end(env);
}

static void
test_one_page(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area one[8], other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	other = area_new(env, 600, 0);
	for (unsigned i = 0; i < 8; i++) {
		one[i] = area_new(env, 1, 0);
		write_pages(&one[i], 0, 1, i);
	}
	for (unsigned i = 0; i < 8; i++)
		push_out(&one[i], 0, 1, &other);
	for (unsigned i = 0; i < 8; i++) {
		check_pages(&one[i], 0, 1, i);
		area_end(&one[i]);
	}
	area_end(&other);
	env_end(env);
}

/* ----------------------------------------------------------------- regions */

struct joiner {
	struct area	*a;
	atomic_bool	*stop;
	uint64_t	 seed;
	unsigned	 joins;
};

/* Map parts of an object, look into them, and unmap them. */
static void *
joiner_main(void *arg)
{
	struct joiner *j = arg;

	while (!atomic_load(j->stop)) {
		uint64_t first = next_random(&j->seed) % j->a->npages;
		uint64_t n = 1 + next_random(&j->seed) %
			     (j->a->npages - first);
		struct swap_region *region;
		const uint64_t *mem;

		assert_int_equal(swap_object_map(j->a->object, NULL,
						 first * PAGE, n * PAGE,
						 &region, NULL), 0);
		mem = swap_region_address(region);
		for (unsigned i = 0; i < 16; i++) {
			uint64_t page = next_random(&j->seed) % n;

			/* The last word is the page's own, in all versions. */
			assert_int_equal(mem[(page + 1) * WORDS - 1],
					 first + page);
		}
		assert_int_equal(swap_region_unmap(region), 0);
		j->joins++;
	}
	return NULL;
}

static void
test_regions(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct joiner joiner[2];
	struct swap_region *part;
	struct area a;
	pthread_t thread[2];
	uint64_t *mem;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	assert_int_equal(swap_object_map(a.object, NULL, 100 * PAGE,
					 800 * PAGE, &part, NULL), 0);
	mem = swap_region_address(part);
	for (uint64_t i = 0; i < 1024; i++)
		a.mem[(i + 1) * WORDS - 1] = i;
	for (unsigned i = 0; i < 2; i++) {
		joiner[i] = (struct joiner){ &a, &env->stop, i + 1, 0 };
		pthread_create(&thread[i], NULL, joiner_main, &joiner[i]);
	}
	/* What goes in through one region is seen through the other. */
	for (uint64_t round = 1; round < 6; round++) {
		for (uint64_t i = 0; i < 1024; i++)
			a.mem[i * WORDS] = round * 10000 + i;
		for (uint64_t i = 0; i < 800; i++) {
			assert_int_equal(mem[i * WORDS],
					 round * 10000 + i + 100);
			mem[i * WORDS] = round;
		}
		for (uint64_t i = 0; i < 1024; i++)
			assert_int_equal(a.mem[i * WORDS],
					 i >= 100 && i < 900 ? round :
					 round * 10000 + i);
	}
	atomic_store(&env->stop, true);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		assert_true(joiner[i].joins > 10);
	}
	assert_int_equal(swap_region_unmap(part), 0);
	check_blocks(env);
	area_end(&a);
	env_end(env);
}

/* A clean page must not be dirtied unseen through a region that joins. */
static void
test_join_clean(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_region *region;
	struct area a, other;
	uint64_t *mem;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 64, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 64, 1);
	push_out(&a, 0, 64, &other);
	check_pages(&a, 0, 64, 1);	/* now clean */
	assert_int_equal(swap_object_map(a.object, NULL, 0, 64 * PAGE,
					 &region, NULL), 0);
	mem = swap_region_address(region);
	for (uint64_t i = 0; i < 64; i++)
		put(mem + i * WORDS, a.id, i, 2);
	push_out(&a, 0, 64, &other);
	check_pages(&a, 0, 64, 2);
	assert_int_equal(swap_region_unmap(region), 0);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

static void
test_named(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_object *a, *b, *c;
	struct swap_region *ra, *rb;
	char name[SWAP_NAME_MAX + 2];
	uint64_t *mem;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(swap_object_create(env->pager, name, PAGE, 0, &a,
					    NULL), -EINVAL);
	name[SWAP_NAME_MAX] = '\0';
	assert_int_equal(swap_object_create(env->pager, name, 3 * PAGE - 1, 0,
					    &a, NULL), 0);
	assert_int_equal(swap_object_size(a), 3 * PAGE);
	assert_int_equal(swap_object_create(env->pager, name, PAGE, 0, &b,
					    NULL), -EEXIST);
	assert_int_equal(swap_object_open(env->pager, name, &b, NULL), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(swap_object_open(env->pager, "n", &c, NULL), -ENOENT);
	assert_int_equal(swap_object_map(a, NULL, 0, 3 * PAGE, &ra, NULL), 0);
	assert_int_equal(swap_object_map(b, NULL, 2 * PAGE, PAGE, &rb, NULL),
			 0);
	put((uint64_t *)swap_region_address(ra) + 2 * WORDS, 1, 2, 3);
	mem = swap_region_address(rb);
	assert_int_equal(wrong(mem, 1, 2, 3), 0);
	swap_object_unref(a);
	swap_object_unref(b);
	swap_region_unmap(ra);
	/* A region keeps the object, and so the name. */
	assert_int_equal(swap_object_open(env->pager, name, &b, NULL), 0);
	swap_object_unref(b);
	swap_region_unmap(rb);
	assert_int_equal(swap_object_open(env->pager, name, &b, NULL),
			 -ENOENT);
	env_end(env);
}

/* ----------------------------------------------------------------- release */

static void
test_release(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_stats stats;
	struct area a;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	assert_int_equal(swap_region_release(a.region, 1, PAGE), -EINVAL);
	assert_int_equal(swap_region_release(a.region, 0, 0), -EINVAL);
	assert_int_equal(swap_region_release(a.region, 1023 * PAGE, 2 * PAGE),
			 -EINVAL);
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(swap_region_release(a.region, 200 * PAGE,
						     600 * PAGE), 0);
		check_pages(&a, 200, 600, 0);
		check_pages(&a, 0, 200, 1);
		check_pages(&a, 800, 224, 1);
		write_pages(&a, 200, 600, 1);
		check_blocks(env);
	}
	assert_int_equal(swap_region_release(a.region, 0, 1024 * PAGE), 0);
	stats = totals_of(env);
	assert_int_equal(stats.swap_used_bytes, 0);
	assert_int_equal(stats.resident_bytes, 0);
	check_pages(&a, 0, 1024, 0);
	area_end(&a);
	env_end(env);
}

/* -------------------------------------------------------------------- wire */

static void
test_wire(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error;
	struct area a, other;
	struct swap_region *region;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 256, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 128, 1);
	push_out(&a, 0, 128, &other);
	/* Half swapped, half new. */
	check_ok(swap_region_wire(a.region, 64 * PAGE, 128 * PAGE, &error),
		 &error);
	assert_int_equal(totals_of(env).wired_bytes, 128 * PAGE);
	for (unsigned round = 0; round < 20; round++) {
		write_pages(&other, 0, 600, 2);
		for (uint64_t i = 64; i < 192; i++)
			assert_true(in_ram(a.object, i));
	}
	check_pages(&a, 64, 64, 1);
	check_pages(&a, 128, 64, 0);
	/* All or none: a quarter of the budget must stay. */
	assert_int_equal(swap_region_wire(a.region, 0, 256 * PAGE, &error),
			 -ENOMEM);
	assert_int_equal(totals_of(env).wired_bytes, 128 * PAGE);
	assert_int_equal(swap_region_release(a.region, 0, 256 * PAGE), -EBUSY);
	check_pages(&a, 64, 64, 1);
	for (unsigned i = 1; i < 255; i++)
		assert_int_equal(swap_region_wire(a.region, 100 * PAGE, PAGE,
						  NULL), 0);
	assert_int_equal(swap_region_wire(a.region, 99 * PAGE, 2 * PAGE, NULL),
			 -EAGAIN);
	assert_int_equal(totals_of(env).wired_bytes, 128 * PAGE);
	for (unsigned i = 1; i < 255; i++)
		assert_int_equal(swap_region_unwire(a.region, 100 * PAGE,
						    PAGE), 0);
	/* Through another region, and more often than it was wired. */
	assert_int_equal(swap_object_map(a.object, NULL, 64 * PAGE, 128 * PAGE,
					 &region, NULL), 0);
	assert_int_equal(swap_region_unwire(region, 0, 128 * PAGE), 0);
	assert_int_equal(swap_region_unwire(region, 0, 128 * PAGE), 0);
	assert_int_equal(totals_of(env).wired_bytes, 0);
	push_out(&a, 0, 256, &other);
	swap_region_unmap(region);
	/* An object that dies takes its wires along. */
	assert_int_equal(swap_region_wire(a.region, 0, 100 * PAGE, NULL), 0);
	area_end(&a);
	assert_int_equal(totals_of(env).wired_bytes, 0);
	area_end(&other);
	env_end(env);
}

static void *
wire_all(void *arg)
{
	struct area *a = arg;

	for (uint64_t i = 0; i < a->npages; i++) {
		assert_int_equal(swap_region_wire(a->region, i * PAGE, PAGE,
						  NULL), 0);
		assert_int_equal(swap_region_unwire(a->region, i * PAGE,
						    PAGE), 0);
	}
	return NULL;
}

/* A new page is touched and wired at once: it must be counted once. */
static void
test_wire_touch(void **state)
{
	struct env *env = env_new(8 * MIB, 0);

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		struct area a = area_new(env, 512, 0);
		volatile uint64_t *mem = a.mem;
		pthread_t thread;
		struct stat st;

		pthread_create(&thread, NULL, wire_all, &a);
		for (uint64_t i = 0; i < 512; i++)
			mem[i * WORDS] = i;
		pthread_join(thread, NULL);
		fstat(pager_object_memfd(a.object), &st);
		assert_int_equal((uint64_t)st.st_blocks * 512,
				 totals_of(env).resident_bytes);
		area_end(&a);
	}
	assert_int_equal(logged(env, "taken out by the program"), 0);
	env_end(env);
}

/* ------------------------------------------------------------------ NOSWAP */

static void
test_noswap(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_object *object;
	struct swap_error error;
	struct area a, other;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	/* Entries of a dead object may stand in the queue under the slot. */
	a = area_new(env, 200, 0);
	write_pages(&a, 0, 200, 1);
	area_end(&a);
	a = area_new(env, 150, SWAP_OBJECT_NOSWAP);
	write_pages(&a, 0, 150, 2);
	other = area_new(env, 600, 0);
	for (unsigned round = 0; round < 5; round++)
		write_pages(&other, 0, 600, round);
	for (uint64_t i = 0; i < 150; i++)
		assert_true(in_ram(a.object, i));
	check_pages(&a, 0, 150, 2);
	assert_int_equal(swap_object_create(env->pager, NULL, 100 * PAGE,
					    SWAP_OBJECT_NOSWAP, &object,
					    &error), -ENOMEM);
	/* Wiring what stays anyway costs nothing more. */
	assert_int_equal(totals_of(env).wired_bytes, 150 * PAGE);
	assert_int_equal(swap_region_wire(a.region, 0, 150 * PAGE, NULL), 0);
	assert_int_equal(totals_of(env).wired_bytes, 150 * PAGE);
	assert_int_equal(swap_region_unwire(a.region, 0, 150 * PAGE), 0);
	area_end(&a);
	assert_int_equal(totals_of(env).wired_bytes, 0);
	area_end(&other);
	env_end(env);
}

/* -------------------------------------------------------------- full space */

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

#define FILLERS		8u

static void
test_full_waits(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct filler filler[FILLERS];
	pthread_t thread[FILLERS];
	unsigned ndone = 0;
	struct area a;
	double cpu;

	(void)state;
	must_attach(env, 0, MIB);
	a = area_new(env, FILLERS * 128, 0);
	for (unsigned i = 0; i < FILLERS; i++) {
		filler[i] = (struct filler){ &a, i * 128, 128, 1, 0, false };
		pthread_create(&thread[i], NULL, filler_main, &filler[i]);
	}
	wait_full(env);
	/* Nobody spins meanwhile. */
	cpu = cpu_seconds();
	usleep(500000);
	assert_true(cpu_seconds() - cpu < 0.2);
	/* There is room for less than half of it. */
	for (unsigned i = 0; i < FILLERS; i++)
		ndone += atomic_load(&filler[i].done);
	assert_in_range(ndone, 0, FILLERS / 2 - 1);
	assert_int_equal(logged(env, "out of swap space"), 1);
	must_attach(env, 1, 4 * MIB);
	for (unsigned i = 0; i < FILLERS; i++)
		pthread_join(thread[i], NULL);
	check_pages(&a, 0, a.npages, 1);
	assert_int_equal(logged(env, "out of swap space"), 1);
	area_end(&a);
	env_end(env);
}

/* Who waits goes on when somebody else gives memory up. */
static void
test_full_release(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct filler filler;
	struct area a, b;
	pthread_t thread;

	(void)state;
	must_attach(env, 0, MIB);
	a = area_new(env, 300, 0);
	b = area_new(env, 400, 0);
	write_pages(&a, 0, 300, 1);
	filler = (struct filler){ &b, 0, 400, 2, 0, false };
	pthread_create(&thread, NULL, filler_main, &filler);
	wait_full(env);
	assert_false(atomic_load(&filler.done));
	assert_int_equal(swap_region_release(a.region, 0, 250 * PAGE), 0);
	pthread_join(thread, NULL);
	check_pages(&b, 0, 400, 2);
	/* To look at a page that was given up takes a new one. */
	check_pages(&a, 0, 20, 0);
	check_pages(&a, 250, 50, 1);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* Write [first, end) from many threads; how many pages gave SIGBUS? */
static unsigned
fill_at_once(const struct area *a, uint64_t first, uint64_t end,
	     uint32_t version)
{
	struct filler filler[FILLERS];
	pthread_t thread[FILLERS];
	unsigned nbus = 0;

	for (unsigned i = 0; i < FILLERS; i++) {
		uint64_t from = first + i * (end - first) / FILLERS;
		uint64_t to = first + (i + 1) * (end - first) / FILLERS;

		filler[i] = (struct filler){ a, from, to - from, version, 0,
					     false };
		pthread_create(&thread[i], NULL, filler_main, &filler[i]);
	}
	for (unsigned i = 0; i < FILLERS; i++) {
		pthread_join(thread[i], NULL);
		nbus += filler[i].nbus;
	}
	return nbus;
}

/* All that fits in RAM and space together can be used, over and over. */
static void
test_full_fits(void **state)
{
	struct env *env = env_new(MIB, SWAP_PAGER_FULL_FAILS);
	struct area a;

	(void)state;
	must_attach(env, 0, MIB);
	/* 256 pages of RAM and 254 blocks, to the last. */
	a = area_new(env, 510, 0);
	for (uint32_t version = 1; version < 5; version++) {
		assert_int_equal(fill_at_once(&a, 0, 510, version), 0);
		check_pages(&a, 0, 510, version);
	}
	/* The blocks are all in use, but some by pages that are in RAM. */
	for (uint32_t version = 5; version < 15; version++) {
		assert_int_equal(swap_region_release(a.region, 400 * PAGE,
						     110 * PAGE), 0);
		for (unsigned round = 0; round < 3; round++)
			check_pages(&a, 0, 400, 4);
		assert_int_equal(fill_at_once(&a, 400, 510, version), 0);
		check_pages(&a, 400, 110, version);
	}
	area_end(&a);
	env_end(env);
}

/* A region leaves while somebody waits in it. */
static void
test_full_leave(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a;
	pthread_t thread;
	void *jumped;

	(void)state;
	must_attach(env, 0, MIB);
	a = area_new(env, 520, 0);
	write_pages(&a, 0, 510, 1);
	pthread_create(&thread, NULL, bus_main, a.mem + 515 * WORDS);
	wait_full(env);
	area_end(&a);
	pthread_join(thread, &jumped);
	assert_non_null(jumped);
	env_end(env);
}

static void
test_full_fails(void **state)
{
	struct env *env = env_new(MIB, SWAP_PAGER_FULL_FAILS);
	struct filler filler;
	struct area a, b;

	(void)state;
	must_attach(env, 0, MIB);
	a = area_new(env, 490, 0);
	write_pages(&a, 0, 490, 1);
	b = area_new(env, 100, 0);
	filler = (struct filler){ &b, 0, 100, 1, 0, false };
	filler_main(&filler);
	assert_in_range(filler.nbus, 50, 99);
	/* Old pages are as good as before. */
	check_pages(&a, 0, 490, 1);
	must_attach(env, 1, MIB);
	assert_true(gives_bus(b.mem + 99 * WORDS, false));
	assert_int_equal(swap_region_release(b.region, 0, 100 * PAGE), 0);
	filler = (struct filler){ &b, 0, 100, 2, 0, false };
	filler_main(&filler);
	assert_int_equal(filler.nbus, 0);
	check_pages(&b, 0, 100, 2);
	check_pages(&a, 0, 490, 1);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* ------------------------------------------------------------ life and death */

/* Objects that come and go where RAM is plenty leave nothing behind. */
static void
test_queue_bounded(void **state)
{
	struct env *env = env_new(16 * MIB, 0);
	size_t most = 0;

	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		struct area a = area_new(env, 128, 0);

		for (uint64_t i = 0; i < 128; i++)
			a.mem[i * WORDS] = i;
		area_end(&a);
		if (round % 100 == 99) {
			size_t n;

			usleep(700000);
			n = pool_queued(&env->pager->core.pool);
			most = n > most ? n : most;
		}
	}
	assert_in_range(most, 0, 8192);
	env_end(env);
}

struct mortal {
	struct env	*env;
	uint64_t	 seed;
};

/* Objects that die while their pages are on the way out or in. */
static void *
mortal_main(void *arg)
{
	struct mortal *m = arg;

	while (!atomic_load(&m->env->stop)) {
		uint64_t n = 1 + next_random(&m->seed) % 200;
		struct area a = area_new(m->env, n, 0), b;
		bool copy = next_random(&m->seed) % 4 == 0;

		write_pages(&a, 0, n, 1);
		if (copy) {
			b = area_copy(a.object, a.id);
			check_pages(&b, 0, n / 2, 1);
		}
		check_pages(&a, 0, n / 2, 1);
		if (next_random(&m->seed) % 2 == 0)
			swap_region_wire(a.region, 0, PAGE, NULL);
		area_end(&a);
		if (copy)
			area_end(&b);
	}
	return NULL;
}

static void
test_unref_busy(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct mortal mortal[4];
	pthread_t thread[4];

	(void)state;
	must_attach(env, 0, 16 * MIB);
	fault.write_slow = 500;
	fault.write_lo = 300;
	fault.write_hi = 303;
	for (unsigned i = 0; i < 4; i++) {
		mortal[i] = (struct mortal){ env, i + 1 };
		pthread_create(&thread[i], NULL, mortal_main, &mortal[i]);
	}
	usleep(700000);
	atomic_store(&env->stop, true);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	env_end(env);
}

/* -------------------------------------------------------------------- main */

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(fill_verify),
		TEST(devices),
		TEST(kernel_access),
		TEST(one_page),
		TEST(regions),
		TEST(join_clean),
		TEST(named),
		TEST(release),
		TEST(wire),
		TEST(wire_touch),
		TEST(noswap),
		TEST(full_waits),
		TEST(full_release),
		TEST(full_fits),
		TEST(full_leave),
		TEST(full_fails),
		TEST(queue_bounded),
		TEST(unref_busy),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
