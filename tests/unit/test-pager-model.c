/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model test of the pager: threads do random things to three objects and to
 * fork copies of them, and copy pages between them, while devices come and go
 * and the kernel refuses now and then, and compare all they see with a naive
 * shadow.
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

#define MODEL_OBJECTS	3u
#define MODEL_PAGES	512u
#define LOCK_PAGES	8u	/* that share a lock */
#define MODEL_LOCKS	(MODEL_PAGES / LOCK_PAGES)
#define MODEL_SLOTS	4u
#define MODEL_THREADS	4u

struct slot {
	pthread_rwlock_t lock;
	struct swap_region *region;	/* NULL: none */
	uint64_t	 first, n;
};

/* What a page holds: what somebody has put there, or zeros (version 0). */
struct stamp {
	uint64_t	 id, page;
	uint32_t	 version;
};

/* An object and what it must hold. */
struct model_object {
	struct swap_object *object;
	uint64_t	 id;
	pthread_rwlock_t frozen;	/* written while a copy is made */
	pthread_mutex_t	 lock[MODEL_LOCKS];
	struct stamp	 stamp[MODEL_PAGES];	/* (lock) */
	uint32_t	 writes[MODEL_PAGES];	/* (lock) */
	struct slot	 slot[MODEL_SLOTS];	/* the first is all, always */
};

enum op {
	OP_READ, OP_WRITE, OP_KERNEL, OP_RELEASE, OP_WIRE, OP_MAP, OP_FORK,
	OP_DEVICE, OP_GET, OP_FLUSH, OP_RESERVE, OP_COPY, OP_WRITABLE, OPS
};

struct model {
	struct env	*env;
	struct model_object object[MODEL_OBJECTS];
	_Atomic uint64_t wrong, late, ops[OPS];
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
model_check(struct model *m, const uint64_t *at, const struct stamp *stamp,
	    const struct model_object *o, uint64_t page, const char *where)
{
	uint64_t bad = wrong(at, stamp->id, stamp->page, stamp->version);

	if (bad == 0)
		return;
	if (atomic_fetch_add(&m->wrong, bad) < 10 * WORDS)
		fprintf(stderr, "# %s: object %" PRIu64 " page %" PRIu64
			" version %u: %" PRIu64 " words wrong, the first is %016"
			PRIx64 "\n", where, o->id, page, stamp->version, bad,
			at[0]);
}

/* Page locked: write something new to it. */
static void
model_put(struct model_object *o, uint64_t page, uint64_t *at)
{
	uint64_t random = o->id + page * 7 + ++o->writes[page];

	o->stamp[page] = (struct stamp){
		o->id, page,
		random_version(next_random(&random), o->writes[page]),
	};
	put(at, o->id, page, o->stamp[page].version);
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
	uint64_t end = (page + n - 1) / LOCK_PAGES;

	for (uint64_t i = page / LOCK_PAGES; i <= end; i++)
		pthread_mutex_lock(&o->lock[i]);
}

static void
unlock_pages(struct model_object *o, uint64_t page, uint64_t n)
{
	uint64_t end = (page + n - 1) / LOCK_PAGES;

	for (uint64_t i = page / LOCK_PAGES; i <= end; i++)
		pthread_mutex_unlock(&o->lock[i]);
}

static void
model_access(struct model_thread *t, struct model_object *o, bool write)
{
	uint64_t page = dice(t, MODEL_PAGES);
	struct slot *slot;

	lock_pages(o, page, 1);
	slot = slot_for(t, o, page, 1);
	if (!write || dice(t, 2) == 0)
		model_check(t->model, slot_at(slot, page), &o->stamp[page], o,
			    page, "access");
	wobble(t);
	if (write)
		model_put(o, page, slot_at(slot, page));
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
	model_check(t->model, copy, &o->stamp[page], o, page, "write(2)");
	model_put(o, page, copy);
	if (write(t->pipe[1], copy, PAGE) != PAGE ||
	    read(t->pipe[0], at, PAGE) != PAGE)
		abort();
	pthread_rwlock_unlock(&slot->lock);
	unlock_pages(o, page, 1);
}

/*
 * Where copies depend on pages the kernel's refusals (chaos) are told, and the
 * call is repeated.
 */
static bool
is_refused(int64_t rc)
{
	return rc == -ENOMEM && fault.chaos != 0;
}

/* By a region, or by the object. */
static void
model_release(struct model_thread *t, struct model_object *o)
{
	uint64_t page = dice(t, MODEL_PAGES);
	uint64_t n = 1 + dice(t, min_u64(24, MODEL_PAGES - page));
	struct slot *slot;
	int rc;

	lock_pages(o, page, n);
	slot = slot_for(t, o, page, n);
	do
		rc = dice(t, 2) == 0 ?
		     swap_region_release(slot->region,
					 (page - slot->first) * PAGE,
					 n * PAGE) :
		     swap_object_flush(o->object, page * PAGE, n * PAGE,
				       SWAP_FLUSH_FREE, NULL);
	while (is_refused(rc));
	if (rc != 0)
		abort();
	memset(&o->stamp[page], 0, n * sizeof(o->stamp[0]));
	wobble(t);
	model_check(t->model, slot_at(slot, page), &o->stamp[page], o, page,
		    "release");
	pthread_rwlock_unlock(&slot->lock);
	unlock_pages(o, page, n);
}

static void
model_get(struct model_thread *t, struct model_object *o)
{
	uint64_t page = dice(t, MODEL_PAGES);
	uint64_t n = 1 + dice(t, min_u64(80, MODEL_PAGES - page));
	uint64_t wanted = page + dice(t, n);
	uint8_t states[MODEL_PAGES];
	unsigned flags = (unsigned)dice(t, 4);
	struct slot *slot;
	int64_t rc;

	lock_pages(o, page, n);
	slot = slot_for(t, o, wanted, 1);
	do
		rc = swap_object_get(o->object, page * PAGE, n * PAGE,
				     wanted * PAGE, flags, states, NULL);
	while (is_refused(rc));
	if (rc < 0 && (rc != -EAGAIN || !(flags & SWAP_GET_NOWAIT)))
		abort();
	model_check(t->model, slot_at(slot, wanted), &o->stamp[wanted], o,
		    wanted, "get");
	if (dice(t, 2) == 0)
		model_put(o, wanted, slot_at(slot, wanted));
	pthread_rwlock_unlock(&slot->lock);
	unlock_pages(o, page, n);
}

/* These need no lock: they change no contents. */
static void
model_hint(struct model_thread *t, struct model_object *o, enum op op)
{
	uint64_t page = dice(t, MODEL_PAGES), before, after;
	uint64_t n = 1 + dice(t, min_u64(100, MODEL_PAGES - page));
	int rc = 0;

	if (op == OP_FLUSH)
		rc = swap_object_flush(o->object, page * PAGE, n * PAGE,
				       SWAP_FLUSH_DEACTIVATE, NULL);
	else if (dice(t, 3) == 0)
		rc = swap_object_reserve(o->object, page * PAGE, n * PAGE,
					 NULL);
	else if (dice(t, 2) == 0)
		rc = swap_object_unreserve(o->object, page * PAGE, n * PAGE);
	else if (swap_object_haspage(o->object, page * PAGE, &before,
				     &after) < 0 ||
		 before > page * PAGE || after >= (MODEL_PAGES - page) * PAGE)
		abort();
	if (rc != 0 && rc != -ENOSPC)
		abort();
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
	do
		rc = swap_region_wire(slot->region, (page - slot->first) * PAGE,
				      n * PAGE, NULL);
	while (is_refused(rc));
	if (rc != 0)
		abort();
	for (unsigned round = 0; round < 3; round++) {
		uint64_t i = page + dice(t, n);

		for (uint64_t k = page; k < page + n; k++)
			if (!in_ram(o->object, k))
				atomic_fetch_add(&t->model->wrong, 1);
		model_check(t->model, slot_at(slot, i), &o->stamp[i], o, i,
			    "wired");
		model_put(o, i, slot_at(slot, i));
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

/* A part is read-only for a while; its pages come in all the same. */
static void
model_writable(struct model_thread *t, struct model_object *o)
{
	struct slot *slot = &o->slot[1 + dice(t, MODEL_SLOTS - 1)];
	uint64_t page;

	if (pthread_rwlock_trywrlock(&slot->lock) != 0)
		return;
	if (slot->region != NULL) {
		if (swap_region_set_writable(slot->region, false) != 0)
			abort();
		page = slot->first + dice(t, slot->n);
		lock_pages(o, page, 1);
		model_check(t->model, slot_at(slot, page), &o->stamp[page], o,
			    page, "read-only");
		unlock_pages(o, page, 1);
		if (swap_region_set_writable(slot->region, true) != 0)
			abort();
	}
	pthread_rwlock_unlock(&slot->lock);
}

/*
 * Page locked: has the object this one itself?  Who was given it may go on
 * before the fault thread has written down that it is there.
 */
static bool
has_page(const struct model_object *o, uint64_t page)
{
	enum page_state state;

	object_lock(o->object);
	while (page_is_busy(o->object, page))
		object_wait_unbusy(o->object);
	state = page_state(o->object, page);
	object_unlock(o->object);
	return state != PAGE_EMPTY;
}

/* One page after a copy, all locked. */
static void
copied_page(struct model *m, struct model_object *from, uint64_t page,
	    struct model_object *to, uint64_t to_page, bool had, bool destroy,
	    int rc)
{
	static const struct stamp zeros;
	struct stamp old = from->stamp[page];
	uint64_t *at = slot_at(&to->slot[0], to_page);
	uint64_t *from_at = slot_at(&from->slot[0], page);
	bool arrived, late;

	/*
	 * A fault message that was read long ago may have been taken for a
	 * new one, and made a page of zeros.  That is rare.
	 */
	late = !had && rc == 0 && old.version != 0 &&
	       wrong(at, 0, 0, 0) == 0 && atomic_fetch_add(&m->late, 1) < 2;
	arrived = !had && !late &&
		  (rc == 0 || wrong(at, old.id, old.page, old.version) == 0);
	if (arrived)
		to->stamp[to_page] = old;
	model_check(m, at, &to->stamp[to_page], to, to_page, "copied to");
	/* Where it failed half-way each page is here, or there, or both. */
	if (destroy && (rc == 0 || ((arrived || had) &&
				    wrong(from_at, 0, 0, 0) == 0)))
		from->stamp[page] = zeros;
	model_check(m, from_at, &from->stamp[page], from, page, "copied from");
}

static void
model_copy(struct model_thread *t, struct model_object *o)
{
	struct model_object *to = &t->model->object[dice(t, MODEL_OBJECTS)];
	uint64_t page = dice(t, MODEL_PAGES), to_page = dice(t, MODEL_PAGES);
	uint64_t n = 1 + dice(t, min_u64(100, MODEL_PAGES -
					 max_u64(page, to_page)));
	bool destroy = dice(t, 2) == 0, had[MODEL_PAGES];
	int rc;

	if (to == o || (to - t->model->object) % 2 != 0 ||
	    pthread_rwlock_tryrdlock(&to->frozen) != 0)
		return;
	lock_pages(o < to ? o : to, o < to ? page : to_page, n);
	lock_pages(o < to ? to : o, o < to ? to_page : page, n);
	for (uint64_t i = 0; i < n; i++)
		had[i] = has_page(to, to_page + i);
	rc = swap_object_copy(o->object, page * PAGE, to->object,
			      to_page * PAGE, n * PAGE,
			      destroy ? SWAP_COPY_DESTROY : 0, NULL);
	/* The kernel may have refused (chaos), or the pager, to its end. */
	if (rc != 0 && rc != -ENOMEM && rc != -ESHUTDOWN && rc != -ENOSPC)
		abort();
	for (uint64_t i = 0; i < n; i++)
		copied_page(t->model, o, page + i, to, to_page + i, had[i],
			    destroy, rc);
	unlock_pages(to, to_page, n);
	unlock_pages(o, page, n);
	pthread_rwlock_unlock(&to->frozen);
}

/* Look at random pages of a fork copy, write and release some. */
static void
copy_use(struct model_thread *t, const struct model_object *o,
	 const struct area *a, struct stamp stamp[])
{
	for (unsigned i = 0; i < 24; i++) {
		uint64_t page = dice(t, MODEL_PAGES);
		uint64_t *at = a->mem + page * WORDS;

		model_check(t->model, at, &stamp[page], o, page, "copy");
		wobble(t);
		if (i % 4 == 1) {
			stamp[page].id = o->id;
			stamp[page].page = page;
			stamp[page].version += 1000000;
			put(at, o->id, page, stamp[page].version);
		} else if (i % 8 == 2) {
			int rc;

			do
				rc = swap_region_release(a->region, page * PAGE,
							 PAGE);
			while (is_refused(rc));
			if (rc != 0)
				abort();
			memset(&stamp[page], 0, sizeof(stamp[page]));
		}
	}
}

/* False: the kernel has refused (chaos). */
static bool
make_copy(struct swap_object *source, uint64_t id, struct area *ret_area)
{
	struct area a = { .npages = MODEL_PAGES, .id = id };
	int rc = swap_object_fork(source, &a.object, NULL);

	if (rc == 0) {
		rc = swap_object_map(a.object, NULL, 0, MODEL_PAGES * PAGE,
				     &a.region, NULL);
		if (rc < 0)
			swap_object_unref(a.object);
	}
	if (rc != 0 && rc != -ENOMEM)
		abort();
	if (rc < 0)
		return false;
	a.mem = swap_region_address(a.region);
	*ret_area = a;
	return true;
}

/* The original changes while the copies are looked at. */
static void
model_fork(struct model_thread *t, struct model_object *o)
{
	struct stamp stamp[MODEL_PAGES], again[MODEL_PAGES];
	struct area a, b;
	bool second;

	if (pthread_rwlock_trywrlock(&o->frozen) != 0)
		return;
	if (atomic_load(&t->model->closing)) {
		pthread_rwlock_unlock(&o->frozen);
		return;
	}
	memcpy(stamp, o->stamp, sizeof(stamp));
	if (!make_copy(o->object, o->id, &a)) {
		pthread_rwlock_unlock(&o->frozen);
		return;
	}
	copy_use(t, o, &a, stamp);
	memcpy(again, stamp, sizeof(again));
	second = make_copy(a.object, o->id, &b);
	pthread_rwlock_unlock(&o->frozen);
	if (!second) {
		area_end(&a);
		return;
	}
	copy_use(t, o, &b, again);
	if (dice(t, 2) == 0) {
		/* The middle of a chain goes. */
		area_end(&a);
		copy_use(t, o, &b, again);
		area_end(&b);
		return;
	}
	copy_use(t, o, &a, stamp);
	area_end(&b);
	for (unsigned i = 0; i < 32; i++) {
		uint64_t page = dice(t, MODEL_PAGES);

		model_check(t->model, a.mem + page * WORDS, &stamp[page], o,
			    page, "copy, later");
	}
	area_end(&a);
}

static void
model_step(struct model_thread *t)
{
	struct model_object *o = &t->model->object[dice(t, MODEL_OBJECTS)];
	uint64_t what = dice(t, 100);
	enum op op;

	if (what >= 97) {
		model_fork(t, o);
		atomic_fetch_add(&t->model->ops[OP_FORK], 1);
		return;
	}
	pthread_rwlock_rdlock(&o->frozen);
	if (what < 55) {
		op = what < 30 ? OP_READ : OP_WRITE;
		model_access(t, o, op == OP_WRITE);
	} else if (what < 62) {
		op = OP_KERNEL;
		model_kernel(t, o);
	} else if (what < 67) {
		op = OP_RELEASE;
		model_release(t, o);
	} else if (what < 72) {
		op = OP_WIRE;
		model_wire(t, o);
	} else if (what < 76) {
		op = OP_MAP;
		model_map(t, o);
	} else if (what < 82) {
		op = OP_GET;
		model_get(t, o);
	} else if (what < 89) {
		op = what < 84 ? OP_FLUSH : OP_RESERVE;
		model_hint(t, o, op);
	} else if (what < 95) {
		op = OP_COPY;
		model_copy(t, o);
	} else {
		op = OP_WRITABLE;
		model_writable(t, o);
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

static int
stop_several(void *arg, const struct swap_detach detach[], size_t n)
{
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++)
		assert_true(detach[i].progress.done_bytes <=
			    detach[i].progress.total_bytes);
	return dice(arg, 4) == 0;
}

/* Turn devices 1 and 2 off together. */
static void
detach_both(struct model_thread *t, bool on[])
{
	struct env *env = t->model->env;
	struct swap_detach detach[2] = {
		{ .spec = env->device[1] }, { .spec = env->device[2] },
	};

	(void)swap_devices_detach(env->pager, detach, 2, stop_several, t);
	for (unsigned i = 0; i < 2; i++) {
		int rc = detach[i].error.code;

		assert_true(detach[i].finished);
		if (rc != 0 && rc != -EINTR && rc != -ENOMEM)
			abort();
		on[1 + i] = rc != 0;
	}
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
		} else if (on[3 - i] && dice(t, 2) == 0) {
			detach_both(t, on);
		} else {
			rc = swap_device_detach(env->pager, env->device[i],
						stop_sometimes, t, NULL);
			if (rc != 0 && rc != -EINTR && rc != -ENOMEM)
				abort();
			on[i] = rc != 0;
		}
		atomic_fetch_add(&t->model->ops[OP_DEVICE], 1);
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
		/* Only exact ones can be copied into. */
		struct area a = area_new(env, MODEL_PAGES, i % 2 == 0 ?
					 SWAP_OBJECT_EXACT : 0);

		o->object = a.object;
		o->id = a.id;
		watch(env, &a);
		pthread_rwlock_init(&o->frozen, NULL);
		for (unsigned k = 0; k < MODEL_LOCKS; k++)
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
			model_check(m, slot_at(&o->slot[0], page),
				    &o->stamp[page], o, page, where);
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
		for (unsigned k = 0; k < MODEL_LOCKS; k++)
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

static const char *const op_name[OPS] = {
	"read", "write", "kernel", "release", "wire", "map", "fork", "device",
	"get", "flush", "reserve", "copy", "writable",
};

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
	if (!handover) {
		check_blocks(env);
		check_reserved(env);
	}
	for (unsigned i = 0; i < OPS; i++)
		print_message("%s%s %" PRIu64, i == 0 ? "# " : ", ",
			      op_name[i], m.ops[i]);
	print_message("\n");
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
