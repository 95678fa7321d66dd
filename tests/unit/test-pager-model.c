/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model test of the pager: threads do random things to two objects and to
 * copies of them, while devices come and go and the kernel refuses now and
 * then, and compare all they see with a naive shadow.
 *
 * PAGER_SEED=N repeats a run, as far as threads can be repeated; and
 * PAGER_SECONDS=N makes N runs of a second.
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

/* ------------------------------------------------------------------- model */

#define MODEL_OBJECTS	2u
#define MODEL_PAGES	512u
#define MODEL_SLOTS	4u
#define MODEL_THREADS	4u

struct slot {
	pthread_rwlock_t lock;
	struct swap_region *region;	/* NULL: none */
	uint64_t	 first, n;
};

/* An object and what it must hold. */
struct model_object {
	struct swap_object *object;
	uint64_t	 id;
	pthread_rwlock_t frozen;	/* written while there are copies */
	pthread_mutex_t	 lock[MODEL_PAGES];
	uint32_t	 version[MODEL_PAGES];	/* (lock) */
	struct slot	 slot[MODEL_SLOTS];	/* the first is all, always */
};

struct model {
	struct env	*env;
	struct model_object object[MODEL_OBJECTS];
	_Atomic uint64_t wrong, ops[8];
	atomic_bool	 closing;	/* no new copies, no devices */
};

struct model_thread {
	struct model	*model;
	uint64_t	 random;
	int		 pipe[2];
};

static uint64_t
dice(struct model_thread *t, uint64_t n)
{
	return next_random(&t->random) % n;
}

static void
wobble(struct model_thread *t)
{
	switch (dice(t, 8)) {
	case 0:
		sched_yield();
		break;
	case 1:
		usleep((useconds_t)dice(t, 50));
		break;
	}
}

static void
model_check(struct model *m, const uint64_t *at, const struct model_object *o,
	    uint64_t page, uint32_t version, const char *where)
{
	uint64_t bad = wrong(at, o->id, page, version);

	if (bad == 0)
		return;
	if (atomic_fetch_add(&m->wrong, bad) < 10 * WORDS)
		fprintf(stderr, "# %s: object %" PRIu64 " page %" PRIu64
			" version %u: %" PRIu64 " words wrong, the first is %016"
			PRIx64 "\n", where, o->id, page, version, bad, at[0]);
}

/* A region that has the page, locked for reading. */
static struct slot *
slot_for(struct model_thread *t, struct model_object *o, uint64_t page,
	 uint64_t n)
{
	struct slot *slot = &o->slot[dice(t, MODEL_SLOTS)];

	if (slot != &o->slot[0] && pthread_rwlock_tryrdlock(&slot->lock) == 0) {
		if (slot->region != NULL && page >= slot->first &&
		    page + n <= slot->first + slot->n)
			return slot;
		pthread_rwlock_unlock(&slot->lock);
	}
	pthread_rwlock_rdlock(&o->slot[0].lock);
	return &o->slot[0];
}

static uint64_t *
slot_at(const struct slot *slot, uint64_t page)
{
	uint64_t *mem = swap_region_address(slot->region);

	return mem + (page - slot->first) * WORDS;
}

static void
lock_pages(struct model_object *o, uint64_t page, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		pthread_mutex_lock(&o->lock[page + i]);
}

static void
unlock_pages(struct model_object *o, uint64_t page, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		pthread_mutex_unlock(&o->lock[page + i]);
}

static void
model_access(struct model_thread *t, struct model_object *o, bool write)
{
	uint64_t page = dice(t, MODEL_PAGES);
	struct slot *slot;

	lock_pages(o, page, 1);
	slot = slot_for(t, o, page, 1);
	if (!write || dice(t, 2) == 0)
		model_check(t->model, slot_at(slot, page), o, page,
			    o->version[page], "access");
	wobble(t);
	if (write)
		put(slot_at(slot, page), o->id, page, ++o->version[page]);
	pthread_rwlock_unlock(&slot->lock);
	unlock_pages(o, page, 1);
}

static void
model_kernel(struct model_thread *t, struct model_object *o)
{
	uint64_t page = dice(t, MODEL_PAGES), copy[WORDS], *at;
	struct slot *slot;

	lock_pages(o, page, 1);
	slot = slot_for(t, o, page, 1);
	at = slot_at(slot, page);
	if (write(t->pipe[1], at, PAGE) != PAGE ||
	    read(t->pipe[0], copy, PAGE) != PAGE)
		abort();
	model_check(t->model, copy, o, page, o->version[page], "write(2)");
	put(copy, o->id, page, ++o->version[page]);
	if (write(t->pipe[1], copy, PAGE) != PAGE ||
	    read(t->pipe[0], at, PAGE) != PAGE)
		abort();
	pthread_rwlock_unlock(&slot->lock);
	unlock_pages(o, page, 1);
}

static void
model_release(struct model_thread *t, struct model_object *o)
{
	uint64_t page = dice(t, MODEL_PAGES);
	uint64_t n = 1 + dice(t, min_u64(24, MODEL_PAGES - page));
	struct slot *slot;

	lock_pages(o, page, n);
	slot = slot_for(t, o, page, n);
	if (swap_region_release(slot->region, (page - slot->first) * PAGE,
				n * PAGE) != 0)
		abort();
	memset(&o->version[page], 0, n * sizeof(o->version[0]));
	wobble(t);
	model_check(t->model, slot_at(slot, page), o, page, 0, "release");
	pthread_rwlock_unlock(&slot->lock);
	unlock_pages(o, page, n);
}

static void
model_wire(struct model_thread *t, struct model_object *o)
{
	uint64_t page = dice(t, MODEL_PAGES);
	uint64_t n = 1 + dice(t, min_u64(16, MODEL_PAGES - page));
	struct slot *slot;
	int rc;

	lock_pages(o, page, n);
	slot = slot_for(t, o, page, n);
	rc = swap_region_wire(slot->region, (page - slot->first) * PAGE,
			      n * PAGE, NULL);
	if (rc != 0)
		abort();
	for (unsigned round = 0; round < 3; round++) {
		uint64_t i = page + dice(t, n);

		for (uint64_t k = page; k < page + n; k++)
			if (!in_ram(o->object, k))
				atomic_fetch_add(&t->model->wrong, 1);
		model_check(t->model, slot_at(slot, i), o, i, o->version[i],
			    "wired");
		put(slot_at(slot, i), o->id, i, ++o->version[i]);
		usleep((useconds_t)dice(t, 300));
	}
	swap_region_unwire(slot->region, (page - slot->first) * PAGE,
			   n * PAGE);
	pthread_rwlock_unlock(&slot->lock);
	unlock_pages(o, page, n);
}

/* Map a part, or unmap what is there. */
static void
model_map(struct model_thread *t, struct model_object *o)
{
	struct slot *slot = &o->slot[1 + dice(t, MODEL_SLOTS - 1)];
	int rc;

	if (pthread_rwlock_trywrlock(&slot->lock) != 0)
		return;
	if (slot->region != NULL) {
		swap_region_unmap(slot->region);
		slot->region = NULL;
	} else {
		slot->first = dice(t, MODEL_PAGES);
		slot->n = 1 + dice(t, MODEL_PAGES - slot->first);
		rc = swap_object_map(o->object, NULL, slot->first * PAGE,
				     slot->n * PAGE, &slot->region, NULL);
		/* The kernel may have refused (chaos), or the pager. */
		if (rc != 0 && rc != -ENOMEM && rc != -ESHUTDOWN)
			abort();
	}
	pthread_rwlock_unlock(&slot->lock);
}

/* Look at random pages of a copy, write and release some. */
static void
copy_use(struct model_thread *t, const struct model_object *o,
	 const struct area *a, uint32_t version[], bool taken[])
{
	for (unsigned i = 0; i < 24; i++) {
		uint64_t page = dice(t, MODEL_PAGES);
		uint64_t *at = a->mem + page * WORDS;

		model_check(t->model, at, o, page, version[page], "copy");
		taken[page] = true;
		wobble(t);
		if (i % 4 == 1) {
			version[page] += 1000000;
			put(at, o->id, page, version[page]);
		} else if (i % 8 == 2) {
			if (swap_region_release(a->region, page * PAGE,
						PAGE) != 0)
				abort();
			version[page] = 0;
		}
	}
}

static void
model_copy(struct model_thread *t, struct model_object *o)
{
	uint32_t version[MODEL_PAGES];
	bool taken[MODEL_PAGES] = { false }, unused[MODEL_PAGES];
	struct area a, b;

	if (pthread_rwlock_trywrlock(&o->frozen) != 0)
		return;
	if (atomic_load(&t->model->closing)) {
		pthread_rwlock_unlock(&o->frozen);
		return;
	}
	memcpy(version, o->version, sizeof(version));
	a = area_copy(o->object, o->id);
	copy_use(t, o, &a, version, taken);
	if (dice(t, 2) == 0) {
		uint32_t again[MODEL_PAGES];

		memcpy(again, version, sizeof(again));
		b = area_copy(a.object, o->id);
		copy_use(t, o, &b, again, unused);
		area_end(&b);
	}
	if (dice(t, 2) == 0) {
		pager_object_cut(a.object);
	} else {
		copy_use(t, o, &a, version, taken);
		pager_object_cut(a.object);
	}
	pthread_rwlock_unlock(&o->frozen);
	for (unsigned i = 0; i < 32; i++) {
		uint64_t page = dice(t, MODEL_PAGES);

		if (taken[page])
			model_check(t->model, a.mem + page * WORDS, o, page,
				    version[page], "copy, cut");
		else if (!gives_bus(a.mem + page * WORDS, dice(t, 2)))
			atomic_fetch_add(&t->model->wrong, 1);
	}
	area_end(&a);
}

static void
model_step(struct model_thread *t)
{
	struct model_object *o = &t->model->object[dice(t, MODEL_OBJECTS)];
	uint64_t what = dice(t, 100);
	unsigned op;

	if (what >= 97) {
		model_copy(t, o);
		atomic_fetch_add(&t->model->ops[6], 1);
		return;
	}
	pthread_rwlock_rdlock(&o->frozen);
	if (what < 75) {
		op = what < 45;
		model_access(t, o, op == 1);
	} else if (what < 82) {
		op = 2;
		model_kernel(t, o);
	} else if (what < 87) {
		op = 3;
		model_release(t, o);
	} else if (what < 92) {
		op = 4;
		model_wire(t, o);
	} else {
		op = 5;
		model_map(t, o);
	}
	pthread_rwlock_unlock(&o->frozen);
	atomic_fetch_add(&t->model->ops[op], 1);
	wobble(t);
}

static void *
model_thread_main(void *arg)
{
	struct model_thread *t = arg;

	if (pipe(t->pipe) != 0)
		abort();
	while (!atomic_load(&t->model->env->stop))
		model_step(t);
	close(t->pipe[0]);
	close(t->pipe[1]);
	return NULL;
}

static int
stop_sometimes(void *arg, const struct swap_progress *progress)
{
	(void)progress;
	return dice(arg, 4) == 0;
}

/* Devices 1 and 2 come and go; 0 stays. */
static void *
model_devices_main(void *arg)
{
	struct model_thread *t = arg;
	struct env *env = t->model->env;
	bool on[3] = { true, false, false };

	while (!atomic_load(&env->stop) &&
	       !atomic_load(&t->model->closing)) {
		unsigned i = 1 + (unsigned)dice(t, 2);
		int rc;

		if (!on[i]) {
			rc = attach(env, i, (1 + dice(t, 4)) * MIB, NULL);
			if (rc != 0)
				abort();
			on[i] = true;
		} else {
			rc = swap_device_detach(env->pager, env->device[i],
						stop_sometimes, t, NULL);
			if (rc != 0 && rc != -EINTR && rc != -ENOMEM)
				abort();
			on[i] = rc != 0;
		}
		atomic_fetch_add(&t->model->ops[7], 1);
		usleep((useconds_t)dice(t, 30000));
	}
	return NULL;
}

static void
model_open(struct model *m, struct env *env)
{
	memset(m, 0, sizeof(*m));
	m->env = env;
	for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
		struct model_object *o = &m->object[i];
		struct area a = area_new(env, MODEL_PAGES, 0);

		o->object = a.object;
		o->id = a.id;
		watch(env, &a);
		pthread_rwlock_init(&o->frozen, NULL);
		for (unsigned k = 0; k < MODEL_PAGES; k++)
			pthread_mutex_init(&o->lock[k], NULL);
		for (unsigned k = 0; k < MODEL_SLOTS; k++)
			pthread_rwlock_init(&o->slot[k].lock, NULL);
		o->slot[0].region = a.region;
		o->slot[0].n = MODEL_PAGES;
	}
}

static void
model_verify(struct model *m, const char *where)
{
	for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
		struct model_object *o = &m->object[i];

		for (uint64_t page = 0; page < MODEL_PAGES; page++)
			model_check(m, slot_at(&o->slot[0], page), o, page,
				    o->version[page], where);
	}
}

static void
model_close(struct model *m)
{
	for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
		struct model_object *o = &m->object[i];

		for (unsigned k = 0; k < MODEL_SLOTS; k++)
			if (o->slot[k].region != NULL)
				swap_region_unmap(o->slot[k].region);
		swap_object_unref(o->object);
		pthread_rwlock_destroy(&o->frozen);
		for (unsigned k = 0; k < MODEL_PAGES; k++)
			pthread_mutex_destroy(&o->lock[k]);
		for (unsigned k = 0; k < MODEL_SLOTS; k++)
			pthread_rwlock_destroy(&o->slot[k].lock);
	}
}

/* The pager ends under the threads, which go on with ordinary memory. */
static void
model_handover(struct model *m, pthread_t devices)
{
	struct swap_error error = { 0 };

	atomic_store(&m->closing, true);
	pthread_join(devices, NULL);
	for (unsigned i = 0; i < MODEL_OBJECTS; i++) {
		/* Copies have been made and looked at. */
		pthread_rwlock_wrlock(&m->object[i].frozen);
		pthread_rwlock_unlock(&m->object[i].frozen);
	}
	check_budget(m->env, MIB);
	check_ok(swap_pager_close(m->env->pager, &error), &error);
	usleep(100000);
}

static void
model_threads(struct model *m, uint64_t seed, unsigned usec, bool handover)
{
	struct model_thread t[MODEL_THREADS + 1];
	pthread_t thread[MODEL_THREADS + 1], sampler;

	for (unsigned i = 0; i <= MODEL_THREADS; i++) {
		t[i] = (struct model_thread){ .model = m,
			.random = seed * UINT64_C(1000003) + i + 1 };
		pthread_create(&thread[i], NULL, i < MODEL_THREADS ?
			       model_thread_main : model_devices_main, &t[i]);
	}
	pthread_create(&sampler, NULL, sampler_main, m->env);
	usleep(usec);
	if (handover)
		model_handover(m, thread[MODEL_THREADS]);
	atomic_store(&m->env->stop, true);
	for (unsigned i = 0; i < MODEL_THREADS + !handover; i++)
		pthread_join(thread[i], NULL);
	pthread_join(sampler, NULL);
}

/* With @handover the pager ends while the regions live. */
static void
model_run(uint64_t seed, unsigned usec, bool chaotic, bool handover)
{
	static const unsigned clusters[] = { 64, 32, 1, 7 };
	static struct model m;
	struct env *env;

	cluster = clusters[seed % 4];
	env = env_new(MIB, 0);
	cluster = 0;
	print_message("# seed %" PRIu64 "%s%s\n", seed,
		      chaotic ? ", the kernel refuses" : "",
		      handover ? ", handed over" : "");
	must_attach(env, 0, 16 * MIB);
	model_open(&m, env);
	fault.chaos = chaotic ? (unsigned)seed | 1 : 0;
	model_threads(&m, seed, usec, handover);
	fault.chaos = 0;
	if (!handover)
		check_budget(env, MIB);
	model_verify(&m, "at the end");
	if (!handover)
		check_blocks(env);
	print_message("# reads %" PRIu64 ", writes %" PRIu64 ", kernel %"
		      PRIu64 ", releases %" PRIu64 ", wires %" PRIu64
		      ", maps %" PRIu64 ", copies %" PRIu64 ", devices %"
		      PRIu64 "\n", m.ops[0], m.ops[1], m.ops[2], m.ops[3],
		      m.ops[4], m.ops[5], m.ops[6], m.ops[7]);
	assert_int_equal(m.wrong, 0);
	/* Nobody has done what the pager would then have to mend. */
	assert_int_equal(logged(env, "taken out by the program"), 0);
	assert_int_equal(logged(env, "not watched"), 0);
	model_close(&m);
	if (handover)
		env_free(env);
	else
		env_end(env);
}

static void
test_model(void **state)
{
	const char *seed_text = getenv("PAGER_SEED");
	const char *seconds = getenv("PAGER_SECONDS");
	uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) :
			now_usec() % 1000000;
	unsigned rounds = seconds != NULL ?
			  (unsigned)strtoul(seconds, NULL, 10) : 4;

	(void)state;
	for (unsigned i = 0; i < rounds; i++)
		model_run(seed + i, 1000000, i & 1, i & 2);
}

/* -------------------------------------------------------------------- main */

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
