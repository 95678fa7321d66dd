/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pager in one process when things go wrong or end: devices that fail or
 * are taken away, a pager that ends, sources of copies that go, a kernel that
 * refuses, and a program that does to its memory what it likes.
 *
 * Every test ends with nothing in use and nothing resident (env_end()).  An
 * argument selects tests by a pattern ("test_copy_*").
 */
#include "pager-fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uffd.h"

/* ------------------------------------------------------------ device faults */

static void
test_write_error(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_stats stats;
	struct area a;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	/* Two blocks within the first clusters cannot be written. */
	fault.write_lo = 20;
	fault.write_hi = 22;
	a = area_new(env, 1024, 0);
	for (uint32_t version = 1; version < 4; version++) {
		write_pages(&a, 0, 1024, version);
		check_pages(&a, 0, 1024, version);
	}
	/* In at most two clusters, and each once alone: then never again. */
	assert_in_range(fault.write_hits, 2, 4);
	check_blocks(env);
	stats = stats_of(env);
	assert_int_equal(stats.devices[0].flags, SWAP_DEVICE_DEGRADED);
	assert_int_equal(stats.devices[0].bad_bytes, 2 * PAGE);
	assert_int_equal(stats.counters.poisoned_pages, 0);
	swap_stats_clear(&stats);
	area_end(&a);
	env_end(env);
}

/* Nothing can be written at all: everybody waits, nothing is lost. */
static void
test_write_error_all(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct filler filler;
	struct area a;
	pthread_t thread;

	(void)state;
	must_attach(env, 0, MIB);
	fault.write_lo = 0;
	fault.write_hi = UINT64_MAX;
	a = area_new(env, 400, 0);
	filler = (struct filler){ &a, 0, 400, 1, 0, false };
	pthread_create(&thread, NULL, filler_main, &filler);
	wait_full(env);
	assert_false(atomic_load(&filler.done));
	memset(&fault, 0, sizeof(fault));
	must_attach(env, 1, 4 * MIB);
	pthread_join(thread, NULL);
	check_pages(&a, 0, 400, 1);
	area_end(&a);
	env_end(env);
}

static size_t
map_memory(struct swap_object *object)
{
	size_t bytes;

	object_lock(object);
	bytes = swapmap_memory(object->map);
	object_unlock(object);
	return bytes;
}

/* What page-out prepares in a map and cannot use does not add up. */
static void
test_map_memory(void **state)
{
	struct env *env = env_new(MIB, 0);
	size_t before, after;
	struct area a;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	fault.write_lo = 0;
	fault.write_hi = UINT64_MAX;
	a = area_new(env, 65536, 0);
	before = map_memory(a.object);
	for (uint64_t round = 0; round < 16; round++) {
		unsigned hits = fault.write_hits;

		for (uint64_t i = 0; i < 240; i++)
			a.mem[(round * 240 + i) * 16 * WORDS] = i;
		while (fault.write_hits < hits + 120)
			usleep(1000);
		assert_int_equal(swap_region_release(a.region, 0,
						     a.npages * PAGE), 0);
	}
	after = map_memory(a.object);
	/* 16 rounds have prepared 2000 leaves of 128 bytes or more. */
	assert_in_range(after - before, 0, 100000);
	area_end(&a);
	env_end(env);
}

static void
read_errors(bool old_kernel)
{
	struct env *env = env_new(MIB, 0);
	char text[64];
	struct area a, other;

	if (old_kernel)
		env->pager->uffd_features &= ~(uint64_t)UFFD_FEATURE_POISON;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 64, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 64, 1);
	push_out(&a, 0, 64, &other);
	/* The block of one page of the middle. */
	fault.read_lo = block_of(&a, 30);
	fault.read_hi = fault.read_lo + 1;
	check_pages(&a, 0, 30, 1);
	assert_true(gives_bus(a.mem + 30 * WORDS, false));
	assert_true(gives_bus(a.mem + 30 * WORDS + 5, true));
	memset(&fault, 0, sizeof(fault));
	assert_true(gives_bus(a.mem + 30 * WORDS, false));
	check_pages(&a, 31, 33, 1);
	snprintf(text, sizeof(text), "object %" PRIu64,
		 pager_object_id(a.object));
	assert_int_equal(logged(env, text), 1);
	assert_int_equal(logged(env, "page 30 cannot be read"), 1);
	assert_int_equal(totals_of(env).counters.poisoned_pages, 1);
	assert_int_equal(swap_region_wire(a.region, 29 * PAGE, 2 * PAGE, NULL),
			 -EIO);
	push_out(&a, 0, 64, &other);
	check_pages(&a, 0, 30, 1);
	check_pages(&a, 31, 33, 1);
	check_blocks(env);
	/* Given up it is an empty page again. */
	if (!old_kernel) {
		assert_int_equal(swap_region_release(a.region, 30 * PAGE,
						     PAGE), 0);
		check_pages(&a, 30, 1, 0);
		write_pages(&a, 30, 1, 1);
		push_out(&a, 0, 64, &other);
		check_pages(&a, 0, 64, 1);
	}
	area_end(&a);
	area_end(&other);
	env_end(env);
}

static void
test_read_error(void **state)
{
	(void)state;
	read_errors(false);
}

static void
test_read_error_old_kernel(void **state)
{
	(void)state;
	read_errors(true);
}

/* Who has released a lost page can use it: no late fault takes it away. */
static void
test_lost_and_released(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a = area_new(env, 10, 0);
	unsigned late = 0;

	(void)state;
	for (uint32_t round = 0; round < 20000 && late == 0; round++) {
		object_lock(a.object);
		object_poison(a.object, 5);
		object_unlock(a.object);
		assert_true(gives_bus(a.mem + 5 * WORDS, round % 2));
		assert_int_equal(swap_region_release(a.region, 5 * PAGE, PAGE),
				 0);
		late += gives_bus(a.mem + 5 * WORDS, true);
		/* Until it is poisoned again it can be used. */
		late += gives_bus(a.mem + 5 * WORDS, false);
		assert_int_equal(swap_region_release(a.region, 5 * PAGE, PAGE),
				 0);
	}
	assert_int_equal(late, 0);
	area_end(&a);
	env_end(env);
}

static void
test_device_gone(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	uint64_t nlost = 0, nbus = 0;
	struct swap_stats stats;
	struct area a;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	fault.vanish = true;
	for (uint64_t i = 0; i < 1024; i++)
		nlost += gives_bus(a.mem + i * WORDS, false);
	assert_in_range(nlost, 700, 1023);
	stats = stats_of(env);
	assert_true(stats.devices[0].flags & SWAP_DEVICE_GONE);
	assert_int_equal(stats.swap_bytes, 0);
	swap_stats_clear(&stats);
	assert_int_equal(logged(env, "pages that were on it only"), 1);
	/* The pager lives; nothing is zeros that was not. */
	must_attach(env, 1, 8 * MIB);
	for (uint64_t i = 0; i < 1024; i++) {
		if (gives_bus(a.mem + i * WORDS, false))
			nbus++;
		else
			check_pages(&a, i, 1, 1);
	}
	assert_int_equal(nbus, nlost);
	check_ok(swap_device_detach(env->pager, env->device[0], NULL, NULL,
				    &error), &error);
	assert_int_equal(swap_region_release(a.region, 0, 1024 * PAGE), 0);
	write_pages(&a, 0, 1024, 2);
	check_pages(&a, 0, 1024, 2);
	area_end(&a);
	env_end(env);
}

/*
 * A clean page whose device has gone is the only copy there is: page-out writes
 * it to another device instead of dropping it.
 */
static void
test_device_gone_clean(void **state)
{
	struct env *env = env_new(MIB, 0);
	static bool stays[1024];
	uint64_t nclean = 0;
	struct area a, b;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	check_pages(&a, 0, 128, 1);
	object_lock(a.object);
	for (uint64_t i = 0; i < 128; i++)
		nclean += page_state(a.object, i) == PAGE_CLEAN;
	object_unlock(a.object);
	assert_in_range(nclean, 32, 128);
	fault.vanish = true;
	for (uint64_t i = 512; i < 1024 && fault.vanish; i++)
		(void)gives_bus(a.mem + i * WORDS, false);
	assert_false(fault.vanish);
	object_lock(a.object);
	for (uint64_t i = 0; i < 1024; i++)
		stays[i] = page_is_resident(a.object, i) &&
			   !page_is_busy(a.object, i);
	object_unlock(a.object);
	must_attach(env, 1, 8 * MIB);
	b = area_new(env, 1024, 0);
	write_pages(&b, 0, 1024, 1);
	for (uint64_t i = 0; i < 1024; i++)
		if (stays[i])
			check_pages(&a, i, 1, 1);
	check_pages(&b, 0, 1024, 1);
	area_end(&a);
	area_end(&b);
	env_end(env);
}

/* ------------------------------------------------------------------ detach */

static int
stop_at_once(void *arg, const struct swap_progress *progress)
{
	assert_true(progress->done_bytes <= progress->total_bytes);
	++*(unsigned *)arg;
	return 1;
}

static int
count_calls(void *arg, const struct swap_progress *progress)
{
	assert_true(progress->done_bytes <= progress->total_bytes);
	++*(unsigned *)arg;
	return 0;
}

static void
test_detach(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct swap_stats stats;
	unsigned calls = 0;
	struct area a;

	(void)state;
	must_attach(env, 0, 6 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	/* It holds more than RAM has room for. */
	assert_int_equal(swap_device_detach(env->pager, env->device[0], NULL,
					    NULL, &error), -ENOMEM);
	assert_int_equal(swap_device_detach(env->pager, env->device[1], NULL,
					    NULL, &error), -ENXIO);
	must_attach(env, 1, 6 * MIB);
	assert_int_equal(swap_device_detach(env->pager, env->device[0],
					    stop_at_once, &calls, &error),
			 -EINTR);
	assert_int_equal(calls, 1);
	stats = stats_of(env);
	assert_int_equal(stats.devices[0].flags, 0);
	swap_stats_clear(&stats);
	check_pages(&a, 0, 1024, 1);
	write_pages(&a, 0, 1024, 2);
	check_ok(swap_device_detach(env->pager, env->device[0], count_calls,
				    &calls, &error), &error);
	assert_true(calls > 1);
	check_pages(&a, 0, 1024, 2);
	check_blocks(env);
	assert_int_equal(totals_of(env).ndevices, 0);
	area_end(&a);
	env_end(env);
}

/* What cannot be read stays on the device, which is in service again. */
static void
test_detach_read_error(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	uint64_t nbus = 0;
	struct area a;

	(void)state;
	must_attach(env, 0, 6 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	must_attach(env, 1, 6 * MIB);
	fault.read_lo = 100;
	fault.read_hi = 104;
	assert_int_equal(swap_device_detach(env->pager, env->device[0], NULL,
					    NULL, &error), -EIO);
	check_blocks(env);
	for (uint64_t i = 0; i < 1024; i++)
		nbus += gives_bus(a.mem + i * WORDS, false);
	/* The same blocks of the other device fail, too. */
	assert_in_range(nbus, 1, 8);
	assert_int_equal(totals_of(env).counters.poisoned_pages, nbus);
	memset(&fault, 0, sizeof(fault));
	check_ok(swap_device_detach(env->pager, env->device[0], NULL, NULL,
				    &error), &error);
	area_end(&a);
	env_end(env);
}

static int
see_progress(void *arg, const struct swap_detach detach[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_true(detach[i].progress.done_bytes <=
			    detach[i].progress.total_bytes);
	++*(unsigned *)arg;
	return 0;
}

static uint64_t
used_of(struct env *env, const char *path)
{
	struct swap_stats stats = stats_of(env);
	uint64_t used = UINT64_MAX;

	for (size_t i = 0; i < stats.ndevices; i++)
		if (strcmp(stats.devices[i].path, path) == 0)
			used = stats.devices[i].used_bytes;
	swap_stats_clear(&stats);
	return used;
}

/*
 * Two devices together, of which one cannot be read everywhere: that one is in
 * service again, the other is gone, and the pages of both are on the third,
 * which has blocks that cannot be written.
 */
static void
test_detach_several(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_detach detach[3] = {
		{ .spec = env->device[0] }, { .spec = env->device[1] },
		{ .spec = env->device[3] },
	};
	uint64_t nbus = 0, written;
	unsigned calls = 0;
	struct area a;

	(void)state;
	must_attach(env, 0, 6 * MIB);
	must_attach(env, 1, 2 * MIB);
	a = area_new(env, 1536, 0);
	write_pages(&a, 0, 1536, 1);
	must_attach(env, 2, 12 * MIB);
	written = totals_of(env).counters.pageout_pages;
	fault.read_lo = 600;		/* the small one has not so many */
	fault.read_hi = 603;
	fault.write_lo = 100;
	fault.write_hi = 103;
	assert_int_equal(swap_devices_detach(env->pager, detach, 3,
					     see_progress, &calls), -EIO);
	assert_true(calls > 0);
	assert_int_equal(detach[0].error.code, -EIO);
	assert_int_equal(detach[1].error.code, 0);
	assert_int_equal(detach[2].error.code, -ENXIO);
	for (unsigned i = 0; i < 3; i++)
		assert_true(detach[i].finished);
	assert_int_equal(detach[1].progress.done_bytes,
			 detach[1].progress.total_bytes);
	assert_true(detach[1].progress.total_bytes > 0);
	/* RAM has no room: they went from block to block. */
	assert_true(totals_of(env).counters.pageout_pages > written + 500);
	assert_true(fault.write_hits > 0);
	assert_int_equal(used_of(env, env->device[1]), UINT64_MAX);
	/* And what page-out was writing there just then. */
	assert_in_range(used_of(env, env->device[0]), 1, 300 * PAGE);
	check_blocks(env);
	fault.write_hi = 0;
	/* Blocks that nobody wants can be read over; these three are lost. */
	for (uint64_t i = 0; i < 1536; i++) {
		if (gives_bus(a.mem + i * WORDS, false))
			nbus++;
		else
			check_pages(&a, i, 1, 1);
	}
	assert_in_range(nbus, 1, 6);
	memset(&fault, 0, sizeof(fault));
	area_end(&a);
	env_end(env);
}

/* What goes from block to block keeps what is set aside for it (P6). */
static void
test_detach_reserved(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct area a;

	(void)state;
	must_attach(env, 0, 6 * MIB);
	a = area_new(env, 1024, 0);
	check_ok(swap_object_reserve(a.object, 0, 512 * PAGE, &error), &error);
	write_pages(&a, 0, 1024, 1);
	must_attach(env, 1, 6 * MIB);
	check_ok(swap_device_detach(env->pager, env->device[0], NULL, NULL,
				    &error), &error);
	check_reserved(env);
	check_blocks(env);
	check_pages(&a, 0, 1024, 1);
	write_pages(&a, 0, 1024, 2);
	check_pages(&a, 0, 1024, 2);
	check_reserved(env);
	area_end(&a);
	env_end(env);
}

/* ---------------------------------------------------------------- handover */

struct writer {
	const struct area *a;
	uint64_t	 first, n, seed;
	uint32_t	*version;
	atomic_bool	*stop;
};

static void *
writer_main(void *arg)
{
	struct writer *w = arg;

	while (!atomic_load(w->stop)) {
		uint64_t page = w->first + next_random(&w->seed) % w->n;

		check_pages(w->a, page, 1, w->version[page]);
		write_pages(w->a, page, 1, ++w->version[page]);
	}
	return NULL;
}

static void
test_handover(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct swap_region *region;
	uint32_t version[1024] = { 0 };
	struct writer writer[2];
	pthread_t thread[2];
	struct area a;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	for (unsigned i = 0; i < 2; i++) {
		writer[i] = (struct writer){ &a, i * 512, 512, i + 1, version,
					     &env->stop };
		pthread_create(&thread[i], NULL, writer_main, &writer[i]);
	}
	while (totals_of(env).counters.pageouts < 20)
		usleep(1000);
	/* With memory that is short it fails, and all is as before. */
	fault.put_errno = ENOSPC;
	assert_int_equal(swap_pager_close(env->pager, &error), -ENOSPC);
	fault.put_errno = 0;
	assert_int_equal(totals_of(env).counters.poisoned_pages, 0);
	usleep(50000);
	check_ok(swap_pager_close(env->pager, &error), &error);
	usleep(10000);
	atomic_store(&env->stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (uint64_t i = 0; i < 1024; i++)
		check_pages(&a, i, 1, version[i]);
	/* Ordinary memory; but nobody is there for a new region. */
	assert_int_equal(swap_object_map(a.object, NULL, 0, PAGE, &region,
					 &error), -ESHUTDOWN);
	assert_int_equal(swap_region_release(a.region, 0, 10 * PAGE), 0);
	check_pages(&a, 0, 10, 0);
	write_pages(&a, 0, 10, 5);
	check_pages(&a, 0, 10, 5);
	area_end(&a);
	env_free(env);
}

static void
handover_lost(bool old_kernel)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct area a;

	if (old_kernel)
		env->pager->uffd_features &= ~(uint64_t)UFFD_FEATURE_POISON;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	fault.read_lo = 50;
	fault.read_hi = 53;
	check_ok(swap_pager_close(env->pager, &error), &error);
	/* Three pages are lost, and say so. */
	for (uint64_t i = 0, nbus = 0; i < 1024; i++) {
		if (gives_bus(a.mem + i * WORDS, false))
			assert_in_range(++nbus, 1, 3);
		else
			check_pages(&a, i, 1, 1);
		if (i == 1023)
			assert_int_equal(nbus, 3);
	}
	area_end(&a);
	env_free(env);
}

static void
test_handover_lost(void **state)
{
	(void)state;
	handover_lost(false);
	handover_lost(true);
}

/* A detach that has begun goes no further until the pager ends. */
struct held {
	struct env	*env;
	atomic_bool	 begun;
};

static int
hold_on(void *arg, const struct swap_progress *progress)
{
	struct held *held = arg;

	(void)progress;
	atomic_store(&held->begun, true);
	while (!atomic_load(&held->env->pager->core.frozen))
		usleep(1000);
	return 0;
}

static void *
held_main(void *arg)
{
	struct held *held = arg;
	int rc = swap_device_detach(held->env->pager, held->env->device[0],
				    hold_on, held, NULL);

	return (void *)(intptr_t)rc;
}

static void *
detach_main(void *arg)
{
	struct env *env = arg;
	unsigned calls = 0;
	int rc = swap_device_detach(env->pager, env->device[0], count_calls,
				    &calls, NULL);

	return (void *)(intptr_t)rc;
}

/* A detach under way is stopped, not waited for. */
static void
test_handover_detach(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct held held = { .env = env };
	struct swap_error error = { 0 };
	struct area a;
	pthread_t thread;
	void *rc;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	must_attach(env, 1, 8 * MIB);
	pthread_create(&thread, NULL, held_main, &held);
	while (!atomic_load(&held.begun))
		usleep(1000);
	check_ok(swap_pager_close(env->pager, &error), &error);
	pthread_join(thread, &rc);
	assert_int_equal((intptr_t)rc, -ECANCELED);
	check_pages(&a, 0, 1024, 1);
	area_end(&a);
	env_free(env);
}

/* The same without a handover: the detach ends before the pager does. */
static void
test_stop_detach(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a;
	pthread_t thread;
	void *rc;

	(void)state;
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	must_attach(env, 1, 8 * MIB);
	fault.read_slow = 100000;
	pthread_create(&thread, NULL, detach_main, env);
	while (totals_of(env).counters.pageback_pages == 0)
		usleep(1000);
	/* Only what is being read back still holds the object. */
	area_end(&a);
	pager_stop(env->pager);
	pthread_join(thread, &rc);
	assert_true((intptr_t)rc == -ECANCELED || rc == NULL);
	env_free(env);
}

/* ------------------------------------------------------------------ copies */

static void
test_copy(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, c;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 512, 0);
	write_pages(&a, 0, 500, 1);
	b = area_copy(a.object, a.id);
	check_pages(&b, 0, 250, 1);
	check_pages(&b, 500, 12, 0);
	write_pages(&b, 100, 50, 2);
	assert_int_equal(swap_region_release(b.region, 240 * PAGE, 20 * PAGE),
			 0);
	/* A copy of the copy asks both. */
	c = area_copy(b.object, a.id);
	check_pages(&c, 0, 100, 1);
	check_pages(&c, 100, 50, 2);
	check_pages(&c, 240, 20, 0);
	check_pages(&c, 260, 240, 1);
	assert_int_equal(swap_region_wire(c.region, 510 * PAGE, PAGE, NULL),
			 0);
	check_pages(&c, 500, 12, 0);
	check_pages(&b, 240, 20, 0);
	check_pages(&b, 260, 240, 1);
	check_pages(&a, 0, 500, 1);
	area_end(&c);
	/* Wiring takes pages from the source as well. */
	area_end(&b);
	b = area_copy(a.object, a.id);
	assert_int_equal(swap_region_wire(b.region, 20 * PAGE, 100 * PAGE,
					  NULL), 0);
	write_pages(&a, 0, 500, 3);
	check_pages(&b, 20, 100, 1);
	area_end(&b);
	area_end(&a);
	env_end(env);
}

/* What a copy needs of its source stays when that goes. */
static void
test_copy_source_dies(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, c;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 128, 0);
	write_pages(&a, 0, 128, 1);
	b = area_copy(a.object, a.id);
	c = area_copy(b.object, a.id);
	check_pages(&b, 0, 40, 1);
	check_pages(&c, 30, 30, 1);
	/* The middle of a chain. */
	area_end(&b);
	check_pages(&c, 0, 128, 1);
	area_end(&c);
	b = area_copy(a.object, a.id);
	check_pages(&b, 0, 40, 1);
	area_end(&a);
	check_pages(&b, 0, 128, 1);
	area_end(&b);
	env_end(env);
}

/* The middle of a chain goes while a page is read from behind it. */
static void
test_copy_chain_breaks(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, b, c, other;
	pthread_t thread;
	void *bus;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 16, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 16, 1);
	push_out(&a, 0, 16, &other);
	b = area_copy(a.object, a.id);
	c = area_copy(b.object, a.id);
	fault.read_slow = 300000;
	pthread_create(&thread, NULL, bus_main, c.mem + 5 * WORDS);
	usleep(100000);
	area_end(&b);
	pthread_join(thread, &bus);
	assert_null(bus);
	fault.read_slow = 0;
	write_pages(&a, 0, 16, 2);
	area_end(&a);
	check_pages(&c, 0, 16, 1);
	area_end(&c);
	area_end(&other);
	env_end(env);
}

static void
test_copy_handover(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct area a, b, c;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 512, 0);
	write_pages(&a, 0, 500, 1);
	b = area_copy(a.object, a.id);
	check_pages(&b, 0, 50, 1);
	assert_int_equal(swap_region_release(b.region, 0, 10 * PAGE), 0);
	c = area_copy(a.object, a.id);
	check_pages(&c, 0, 50, 1);
	check_ok(swap_pager_close(env->pager, &error), &error);
	write_pages(&a, 0, 512, 2);
	check_pages(&b, 0, 10, 0);
	check_pages(&b, 10, 490, 1);
	check_pages(&b, 500, 12, 0);
	check_pages(&c, 0, 500, 1);
	check_pages(&c, 500, 12, 0);
	area_end(&a);
	area_end(&b);
	area_end(&c);
	env_free(env);
}

/* ------------------------------------------------- what the program may do */

static void
test_madv_remove(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a, other;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 128, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 0, 64, 1);
	push_out(&a, 0, 64, &other);
	check_pages(&a, 0, 64, 1);	/* clean */
	write_pages(&a, 64, 64, 1);	/* dirty */
	assert_int_equal(madvise(a.mem, 128 * PAGE, MADV_REMOVE), 0);
	/* As it was or zeros, whole, and usable. */
	for (uint64_t i = 0; i < 128; i++)
		assert_true(wrong(a.mem + i * WORDS, a.id, i, 0) == 0 ||
			    wrong(a.mem + i * WORDS, a.id, i, 1) == 0);
	write_pages(&a, 0, 128, 3);
	assert_int_equal(madvise(a.mem, 64 * PAGE, MADV_DONTNEED), 0);
	push_out(&a, 0, 128, &other);
	check_pages(&a, 0, 128, 3);
	check_pages(&a, 0, 128, 3);
	assert_int_equal(madvise(a.mem, 128 * PAGE, MADV_REMOVE), 0);
	push_out(&a, 0, 128, &other);
	check_blocks(env);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* The region is in many pieces, and some of them are unmapped. */
static void
split_region(bool old_kernel)
{
	struct env *env = env_new(MIB, 0);
	struct swap_error error = { 0 };
	struct area a, other;
	int fd;

	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 200, 0);
	other = area_new(env, 600, 0);
	fault.one_vma = old_kernel;
	write_pages(&a, 0, 200, 1);
	for (uint64_t i = 0; i < 100; i += 7)
		assert_int_equal(mprotect(a.mem + i * WORDS, PAGE, PROT_READ),
				 0);
	munmap(a.mem + 100 * WORDS, 80 * PAGE);
	/* What is unmapped goes out too, or it would hold RAM for ever. */
	push_out(&a, 0, 200, &other);
	check_pages(&a, 0, 100, 1);
	check_pages(&a, 180, 20, 1);
	assert_int_equal(mprotect(a.mem, 100 * PAGE, PROT_READ | PROT_WRITE),
			 0);
	write_pages(&a, 0, 100, 2);
	push_out(&a, 0, 200, &other);
	check_pages(&a, 0, 100, 2);
	write_pages(&a, 0, 100, 3);
	check_pages(&a, 180, 20, 1);
	/* Something else in the middle does not keep the rest watched. */
	fd = open(env->device[0], O_RDONLY);
	assert_ptr_equal(mmap(a.mem + 110 * WORDS, PAGE, PROT_READ,
			      MAP_SHARED | MAP_FIXED, fd, 0),
			 a.mem + 110 * WORDS);
	close(fd);
	swap_object_unref(other.object);
	swap_region_unmap(other.region);
	check_ok(swap_pager_close(env->pager, &error), &error);
	/* A page that was never used, or was given up, is zeros. */
	assert_int_equal(swap_region_release(a.region, 50 * PAGE, 10 * PAGE),
			 0);
	check_pages(&a, 0, 50, 3);
	check_pages(&a, 50, 10, 0);
	check_pages(&a, 60, 40, 3);
	check_pages(&a, 180, 20, 1);
	area_end(&a);
	env_free(env);
}

static void
test_split_region(void **state)
{
	(void)state;
	split_region(false);
	split_region(true);
}

static void *
touch_main(void *arg)
{
	volatile char *p = arg;

	*p = 1;
	return NULL;
}

/* The kernel refuses once: the thread must not sleep for ever. */
static void
test_kernel_refuses(void **state)
{
	static const unsigned long request[] = {
		UFFDIO_ZEROPAGE, UFFDIO_COPY, UFFDIO_WRITEPROTECT,
	};
	struct env *env = env_new(MIB, 0);
	struct area a, other;
	pthread_t thread;

	(void)state;
	must_attach(env, 0, 16 * MIB);
	a = area_new(env, 64, 0);
	other = area_new(env, 600, 0);
	write_pages(&a, 1, 63, 1);
	for (unsigned i = 0; i < 3; i++) {
		push_out(&a, 0, 64, &other);
		if (request[i] == UFFDIO_WRITEPROTECT)
			check_pages(&a, 40, 1, 1);
		fault.request_errno = ENOMEM;
		fault.request_times = 2;
		fault.request = request[i];
		pthread_create(&thread, NULL, touch_main,
			       a.mem + i * 20 * WORDS);
		pthread_join(thread, NULL);
		assert_int_equal(fault.request_times, 0);
		fault.request = 0;
	}
	check_pages(&a, 1, 19, 1);
	check_pages(&a, 41, 23, 1);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* The flags of a userfaultfd are shared with the program that made it. */
static void
test_blocking_uffd(void **state)
{
	struct env *env = env_new(MIB, 0);
	struct area a[THREADS + 1];

	(void)state;
	for (unsigned i = 0; i <= THREADS; i++) {
		a[i] = area_new(env, 8, 0);
		write_pages(&a[i], 0, 2, 1);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(fcntl(a[i].region->uffd, F_SETFL, 0), 0);
	for (unsigned i = 0; i <= THREADS; i++)
		write_pages(&a[THREADS - i], 2, 6, 1);
	for (unsigned i = 0; i <= THREADS; i++)
		area_end(&a[i]);
	env_end(env);
}

static atomic_bool signalled;

static void
on_user_signal(int sig)
{
	(void)sig;
	atomic_store(&signalled, true);
}

/* A handler may touch paged memory: it must not run where paging is done. */
static void
test_signals(void **state)
{
	struct env *env = env_new(MIB, 0);
	sigset_t set, pending;

	(void)state;
	signal(SIGUSR1, on_user_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	usleep(50000);
	sigpending(&pending);
	assert_true(sigismember(&pending, SIGUSR1));
	assert_false(atomic_load(&signalled));
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	signal(SIGUSR1, SIG_DFL);
	env_end(env);
}

/* ------------------------------------------------------- streams of faults */

/* Pages of @n steps: read, and compare. */
static void
check_steps(const struct area *a, uint64_t first, int64_t step, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		check_pages(a, first + i * (uint64_t)step, 1, 1);
}

/* Fewer faults than pages, and what was read in vain is told. */
static void
test_streams(void **state)
{
	static const struct {
		uint64_t first, n;
		int64_t	 step;
	} way[] = {
		{ 0, 4000, 1 }, { 4000, 4000, -1 }, { 3, 1300, 3 },
		{ 0, 250, 16 }, { 4095, 120, -33 },
	};
	struct env *env = env_new(4 * MIB, 0);
	struct area a;

	(void)state;
	must_attach(env, 0, 40 * MIB);
	a = area_new(env, 4096, 0);
	write_pages(&a, 0, 4096, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(way); i++) {
		struct swap_counters before = totals_of(env).counters, after;

		check_steps(&a, way[i].first, way[i].step, way[i].n);
		after = totals_of(env).counters;
		assert_in_range(after.faults_in - before.faults_in, 1,
				way[i].n / 2);
		assert_true(after.readahead_pages > before.readahead_pages);
		assert_true(after.readahead_used > before.readahead_used);
		/* Windows that came before their fault, or nearly so. */
		assert_true(after.cache_hits + after.faults_busy >
			    before.cache_hits + before.faults_busy + 3);
	}
	check_pages(&a, 0, 4096, 1);
	check_blocks(env);
	area_end(&a);
	env_end(env);
}

/* First writes in sequence: several pages at once, within the budget. */
static void
test_fill(void **state)
{
	struct env *env = env_new(4 * MIB, 0);
	struct swap_counters counters;
	pthread_t sampler;
	struct area a;

	(void)state;
	must_attach(env, 0, 40 * MIB);
	a = area_new(env, 4096, 0);
	watch(env, &a);
	pthread_create(&sampler, NULL, sampler_main, env);
	/* While there is RAM. */
	write_pages(&a, 0, 400, 1);
	for (uint64_t i = 0; i < 200; i++)
		write_pages(&a, 4095 - i, 1, 1);
	counters = totals_of(env).counters;
	assert_in_range(counters.faults_zero, 1, 600 / 4);
	/* And beyond. */
	write_pages(&a, 400, 1648, 1);
	for (uint64_t i = 200; i < 1024; i++)
		write_pages(&a, 4095 - i, 1, 1);
	check_pages(&a, 0, 2048, 1);
	check_pages(&a, 3072, 1024, 1);
	atomic_store(&env->stop, true);
	pthread_join(sampler, NULL);
	check_budget(env, 4 * MIB);
	/* What nobody wrote is empty, whether it was put in or not. */
	check_pages(&a, 2048, 1024, 0);
	area_end(&a);
	env_end(env);
}

/* A block that cannot be read costs its own page only, read ahead or not. */
static void
test_read_error_ahead(void **state)
{
	struct env *env = env_new(2 * MIB, 0);
	struct area a, other;

	(void)state;
	must_attach(env, 0, 20 * MIB);
	a = area_new(env, 256, 0);
	other = area_new(env, 1200, 0);
	write_pages(&a, 0, 256, 1);
	push_out(&a, 0, 256, &other);
	fault.read_lo = block_of(&a, 130);
	fault.read_hi = fault.read_lo + 1;
	/* It is read ahead, which nobody need know. */
	check_pages(&a, 0, 130, 1);
	assert_int_equal(totals_of(env).counters.poisoned_pages, 0);
	memset(&fault, 0, sizeof(fault));
	check_pages(&a, 130, 126, 1);
	assert_int_equal(totals_of(env).counters.poisoned_pages, 0);
	area_end(&a);
	area_end(&other);
	env_end(env);
}

/* Many threads that follow one another: each finds what another has begun. */
struct follower {
	const struct area *a;
	pthread_t	 thread;
	unsigned	 nth;
};

static void *
follower_main(void *arg)
{
	const struct follower *me = arg;

	for (uint64_t page = me->nth; page < 2048; page += 1 + me->nth % 2)
		if (wrong(me->a->mem + page * WORDS, me->a->id, page, 1) > 0)
			return arg;
	return NULL;
}

static void
test_followers(void **state)
{
	struct env *env = env_new(2 * MIB, 0);
	struct follower f[8];
	struct area a;

	(void)state;
	must_attach(env, 0, 20 * MIB);
	a = area_new(env, 2048, 0);
	write_pages(&a, 0, 2048, 1);
	for (unsigned slow = 0; slow < 2; slow++) {
		fault.read_slow = 300 * slow;
		for (unsigned i = 0; i < 8; i++) {
			f[i] = (struct follower){ .a = &a, .nth = i };
			pthread_create(&f[i].thread, NULL, follower_main,
				       &f[i]);
		}
		for (unsigned i = 0; i < 8; i++) {
			void *bad;

			pthread_join(f[i].thread, &bad);
			assert_null(bad);
		}
	}
	memset(&fault, 0, sizeof(fault));
	area_end(&a);
	env_end(env);
}

/*
 * One program, and on every core somebody who computes: a fault thread that
 * takes only what is left over would get nothing.
 */
static void *
burn_main(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load(stop))
		;
	return NULL;
}

static void
test_busy_cores(void **state)
{
	struct env *env = env_new(2 * MIB, 0);
	long ncpu = sysconf(_SC_NPROCESSORS_ONLN);
	atomic_bool stop = false;
	pthread_t burner[4];
	unsigned n = ncpu < 4 ? (unsigned)ncpu : 4;
	struct area a;

	(void)state;
	must_attach(env, 0, 20 * MIB);
	a = area_new(env, 2048, 0);
	write_pages(&a, 0, 2048, 1);
	for (unsigned i = 0; i < n; i++)
		pthread_create(&burner[i], NULL, burn_main, &stop);
	for (uint64_t i = 0; i < 2048; i++) {
		uint64_t page = i * 997 % 2048;

		check_pages(&a, page, 1, 1);
		if (i % 5 == 0)
			write_pages(&a, page, 1, 1);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < n; i++)
		pthread_join(burner[i], NULL);
	check_pages(&a, 0, 2048, 1);
	area_end(&a);
	env_end(env);
}

/* Faults in quick succession, then computes, all on one core. */
struct hog {
	const struct area *a;
	pthread_t	 thread;
	_Atomic unsigned ready;		/* rounds: computes from here on, ... */
	_Atomic unsigned go;		/* ... until this one */
};

static void *
hog_main(void *arg)
{
	struct hog *hog = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (unsigned round = 1; atomic_load(&hog->go) == round - 1; round++) {
		swap_region_release(hog->a->region, 0, 200 * PAGE);
		for (uint64_t i = 0; i < 200; i++)
			hog->a->mem[i * 77 % 200 * WORDS] = round;
		atomic_store(&hog->ready, round);
		while (atomic_load(&hog->go) == round - 1)
			;
	}
	return NULL;
}

/*
 * The fault thread that has just woken a program gets nothing while that
 * computes: another thread's fault finds the crowd let in, by the watcher.
 */
static void
test_takeover(void **state)
{
	struct env *env = env_new(2 * MIB, 0);
	struct fault_pool *pool = &env->pager->faults;
	struct hog hog = { 0 };
	struct area a;

	(void)state;
	if (!pool->follow.able || !CPU_ISSET(0, &pool->follow.cpus)) {
		env_end(env);
		skip();
	}
	a = area_new(env, 400, SWAP_OBJECT_EXACT);
	hog.a = &a;
	pthread_create(&hog.thread, NULL, hog_main, &hog);
	for (unsigned round = 1; atomic_load(&pool->crowd_until) == 0; round++) {
		while (atomic_load(&hog.ready) < round)
			;
		a.mem[(200 + round % 200) * WORDS] = round;
		swap_region_release(a.region, 200 * PAGE, 200 * PAGE);
		atomic_store(&hog.go, round);
	}
	atomic_store(&hog.go, UINT32_MAX);
	pthread_join(hog.thread, NULL);
	area_end(&a);
	env_end(env);
}

/*
 * Is there a thread of this process that is SCHED_IDLE?  None of these may have
 * transfers that wait for everybody else's.
 */
static bool
idle_seen(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *d;
	bool seen = false;

	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		pid_t tid = (pid_t)atoi(d->d_name);
		long ioprio;

		if (tid == 0 || sched_getscheduler(tid) != SCHED_IDLE)
			continue;
		ioprio = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);
		assert_int_equal(IOPRIO_PRIO_CLASS(ioprio), IOPRIO_CLASS_BE);
		seen = true;
	}
	closedir(dir);
	return seen;
}

/* Who follows a program reads for it with the priority of normal life. */
static void
test_idle_priority(void **state)
{
	struct env *env = env_new(2 * MIB, 0);
	struct fault_pool *pool = &env->pager->faults;
	struct area a;

	(void)state;
	if (!pool->follow.able) {
		env_end(env);
		skip();
	}
	must_attach(env, 0, 8 * MIB);
	a = area_new(env, 1024, 0);
	write_pages(&a, 0, 1024, 1);
	do {
		for (uint64_t i = 0; i < 256; i++)
			check_pages(&a, i * 997 % 1024, 1, 1);
	} while (!idle_seen());
	area_end(&a);
	env_end(env);
}

/* Nothing to do: nobody looks around.  Faults, then rest. */
static void
test_rest(void **state)
{
	struct env *env = env_new(2 * MIB, 0);
	struct fault_pool *pool = &env->pager->faults;
	struct area a;

	(void)state;
	a = area_new(env, 400, 0);
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 400; i++) {
			uint64_t page = i * 97 % 400;

			write_pages(&a, page, 1, round + 1);
		}
		check_pages(&a, 0, 400, round + 1);
		swap_region_release(a.region, 0, 400 * PAGE);
		while (atomic_load(&pool->watching))
			usleep(1000);
	}
	area_end(&a);
	env_end(env);
}

/* -------------------------------------------------------------------- main */

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(write_error),
		TEST(write_error_all),
		TEST(map_memory),
		TEST(read_error),
		TEST(read_error_old_kernel),
		TEST(lost_and_released),
		TEST(device_gone),
		TEST(device_gone_clean),
		TEST(detach),
		TEST(detach_read_error),
		TEST(detach_several),
		TEST(detach_reserved),
		TEST(handover),
		TEST(handover_lost),
		TEST(handover_detach),
		TEST(stop_detach),
		TEST(copy),
		TEST(copy_source_dies),
		TEST(copy_chain_breaks),
		TEST(copy_handover),
		TEST(madv_remove),
		TEST(split_region),
		TEST(kernel_refuses),
		TEST(blocking_uffd),
		TEST(signals),
		TEST(streams),
		TEST(fill),
		TEST(read_error_ahead),
		TEST(followers),
		TEST(busy_cores),
		TEST(takeover),
		TEST(idle_priority),
		TEST(rest),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
