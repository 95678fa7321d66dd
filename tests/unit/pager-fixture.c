/* SPDX-License-Identifier: BSD-2-Clause */
/* See pager-fixture.h. */
#include "pager-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"
#include "mapping.h"
#include "uffd.h"
#include "util.h"

#define WATCHDOG	240u		/* seconds for one test */

/* ------------------------------------------------------------------ faults */

struct fault fault;

int __real_device_read(struct device *, uint64_t, void *, uint64_t);
int __wrap_device_read(struct device *, uint64_t, void *, uint64_t);
int __real_device_write(struct device *, uint64_t, const void *, uint64_t);
int __wrap_device_write(struct device *, uint64_t, const void *, uint64_t);
void __real_device_start(struct device *, struct aio *, struct device_io *);
void __wrap_device_start(struct device *, struct aio *, struct device_io *);
int __real_pwrite_full(int, const void *, size_t, off_t);
int __wrap_pwrite_full(int, const void *, size_t, off_t);
int __real_madvise(void *, size_t, int);
int __wrap_madvise(void *, size_t, int);
int __real_ioctl(int, unsigned long, ...);
int __wrap_ioctl(int, unsigned long, ...);

uint64_t
next_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

uint64_t
chaos(void)
{
	static _Atomic uint64_t nthreads;
	static _Thread_local uint64_t state;
	unsigned seed = atomic_load(&fault.chaos);

	if (seed == 0)
		return 0;
	if (state == 0)
		state = seed * UINT64_C(0x9e3779b97f4a7c15) + ++nthreads;
	return next_random(&state);
}

static bool
touches(uint64_t block, uint64_t n, uint64_t lo, uint64_t hi)
{
	return block < hi && block + n > lo;
}

static void
jitter(void)
{
	uint64_t r = chaos();

	if (r % 4 == 1)
		sched_yield();
	else if (r % 4 == 2)
		usleep((useconds_t)(r >> 8) % 50);
}

/* What is done to a transfer before it begins: 0, or it fails. */
static int
before_io(struct device *device, bool write, uint64_t block, uint64_t n)
{
	unsigned slow = write ? fault.write_slow : fault.read_slow;

	jitter();
	if (slow > 0)
		usleep(slow);
	if (!write && atomic_exchange(&fault.vanish, false))
		device_orphan(device);
	if (!write)
		return touches(block, n, fault.read_lo, fault.read_hi) ?
		       -EIO : 0;
	if (!touches(block, n, fault.write_lo, fault.write_hi))
		return 0;
	fault.write_hits++;
	return -EIO;
}

int
__wrap_device_read(struct device *device, uint64_t block, void *buf,
		   uint64_t n)
{
	int rc = before_io(device, false, block, n);

	return rc < 0 ? rc : __real_device_read(device, block, buf, n);
}

int
__wrap_device_write(struct device *device, uint64_t block, const void *buf,
		    uint64_t n)
{
	int rc = before_io(device, true, block, n);

	return rc < 0 ? rc : __real_device_write(device, block, buf, n);
}

void
__wrap_device_start(struct device *device, struct aio *aio,
		    struct device_io *io)
{
	int rc = before_io(device, io->write, io->block - io->base, io->n);

	if (rc < 0)
		io->done(io, rc);
	else
		__real_device_start(device, aio, io);
}

int
__wrap_pwrite_full(int fd, const void *buf, size_t len, off_t offset)
{
	int rc = atomic_load(&fault.put_errno);
	size_t part = (size_t)fault.first_pages * PAGE;

	if (rc == 0)
		return __real_pwrite_full(fd, buf, len, offset);
	if (part > 0)
		(void)__real_pwrite_full(fd, buf, min_u64(part, len), offset);
	if (fault.meanwhile != NULL)
		fault.meanwhile();
	return -rc;
}

int
__wrap_madvise(void *at, size_t len, int advice)
{
	int rc = atomic_load(&fault.populate_errno);
	size_t part = (size_t)fault.first_pages * PAGE;

	if (rc == 0 || advice != MADV_POPULATE_WRITE)
		return __real_madvise(at, len, advice);
	if (part > 0)
		(void)__real_madvise(at, min_u64(part, len), advice);
	if (fault.meanwhile != NULL)
		fault.meanwhile();
	errno = rc;
	return -1;
}

/* Fill a part of the range and say EAGAIN, as the kernel may. */
static int
copy_part(int fd, struct uffdio_copy *copy, uint64_t r)
{
	struct uffdio_copy part = *copy;
	uint64_t npages = copy->len / PAGE;

	part.len = (1 + r % (npages - 1)) * PAGE;
	if (__real_ioctl(fd, UFFDIO_COPY, &part) < 0) {
		copy->copy = part.copy;
		return -1;
	}
	copy->copy = (__s64)part.len;
	errno = EAGAIN;
	return -1;
}

/* 0: let it through. */
static int
refusal(unsigned long request, const void *arg)
{
	const struct uffdio_writeprotect *wp = arg;
	uint64_t r = chaos();

	if (request == fault.request && fault.request_times > 0) {
		fault.request_times--;
		return fault.request_errno;
	}
	if (request == UFFDIO_WRITEPROTECT && fault.one_vma &&
	    wp->range.len > PAGE)
		return ENOENT;
	if (request != UFFDIO_WRITEPROTECT && request != UFFDIO_COPY &&
	    request != UFFDIO_ZEROPAGE)
		return 0;
	if (r % 16 == 1)
		return EAGAIN;
	return r % 256 == 2 ? ENOMEM : 0;
}

int
__wrap_ioctl(int fd, unsigned long request, ...)
{
	struct uffdio_copy *copy;
	va_list args;
	void *arg;
	int rc;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	rc = refusal(request, arg);
	if (rc != 0) {
		errno = rc;
		return -1;
	}
	if (request == UFFDIO_WRITEPROTECT && fault.unprotect_slow > 0 &&
	    (((struct uffdio_writeprotect *)arg)->mode &
	     UFFDIO_WRITEPROTECT_MODE_WP) == 0)
		usleep(fault.unprotect_slow);
	copy = arg;
	if (request == UFFDIO_COPY && fault.chaos != 0 && copy->len > PAGE) {
		uint64_t r = chaos();

		if (r % 4 == 0)
			return copy_part(fd, copy, r >> 8);
	}
	return __real_ioctl(fd, request, arg);
}

/* ------------------------------------------------------------------ SIGBUS */

static _Thread_local sigjmp_buf bus_jump;
static _Thread_local volatile sig_atomic_t bus_expected;

static void
on_bus(int sig)
{
	if (!bus_expected) {
		signal(sig, SIG_DFL);
		return;
	}
	bus_expected = 0;
	siglongjmp(bus_jump, 1);
}

/*
 * ThreadSanitizer would take a mapping that a fault thread replaces, as it
 * must, for a race with us.
 */
__attribute__((no_sanitize("thread")))
bool
gives_bus(const void *at, bool write)
{
	volatile char *p = (volatile char *)(uintptr_t)at;

	if (sigsetjmp(bus_jump, 1) != 0)
		return true;
	bus_expected = 1;
	if (write)
		*p = *p;
	else
		(void)*p;
	bus_expected = 0;
	return false;
}

void *
bus_main(void *arg)
{
	return gives_bus(arg, false) ? arg : NULL;
}

/* -------------------------------------------------------------- environment */

static void
keep_message(void *arg, enum swap_log_level level, const char *message)
{
	struct env *env = arg;
	size_t used;

	(void)level;
	pthread_mutex_lock(&env->lock);
	used = strlen(env->log);
	snprintf(env->log + used, sizeof(env->log) - used, "%s\n", message);
	pthread_mutex_unlock(&env->lock);
}

unsigned
logged(struct env *env, const char *text)
{
	unsigned n = 0;

	pthread_mutex_lock(&env->lock);
	for (const char *p = env->log; (p = strstr(p, text)) != NULL; p++)
		n++;
	pthread_mutex_unlock(&env->lock);
	return n;
}

void
check_ok(int rc, const struct swap_error *error)
{
	if (rc < 0)
		fail_msg("%d: %s", rc, error->message);
}

unsigned cluster;
bool exact_ram;

uint64_t
ram_for(uint64_t bytes)
{
	uint64_t ram = bytes;

	while (ram - cache_size_for(ram / PAGE) * (uint64_t)PAGE < bytes)
		ram = bytes + cache_size_for(ram / PAGE) * (uint64_t)PAGE;
	return ram;
}

struct env *
env_new(uint64_t ram, unsigned flags)
{
	struct env *env = calloc(1, sizeof(*env));
	struct swap_pager_config config;
	const char *tmp = getenv("TMPDIR");
	struct sigaction action = { .sa_handler = on_bus };
	struct swap_error error = { 0 };

	assert_non_null(env);
	/* cmocka has its own before a test. */
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	memset(&fault, 0, sizeof(fault));
	pthread_mutex_init(&env->lock, NULL);
	snprintf(env->dir, sizeof(env->dir), "%.40s/test-pager.XXXXXX",
		 tmp != NULL ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(env->dir));
	for (unsigned i = 0; i < DEVICES; i++)
		snprintf(env->device[i], sizeof(env->device[i]), "%s/%u",
			 env->dir, i);
	swap_pager_config_init(&config);
	config.ram_bytes = exact_ram ? ram : ram_for(ram);
	config.flags = flags;
	config.fault_threads = THREADS;
	config.cluster_pages = cluster;
	config.log = keep_message;
	config.log_arg = env;
	check_ok(swap_pager_open(&config, &env->pager, &error), &error);
	return env;
}

int
attach(struct env *env, unsigned i, uint64_t bytes, struct swap_error *error)
{
	struct swap_device_options options = { .create_bytes = bytes };

	unlink(env->device[i]);
	return swap_device_attach(env->pager, env->device[i], &options, error);
}

void
must_attach(struct env *env, unsigned i, uint64_t bytes)
{
	struct swap_error error = { 0 };

	check_ok(attach(env, i, bytes, &error), &error);
}

struct swap_stats
stats_of(struct env *env)
{
	struct swap_stats stats;

	assert_int_equal(swap_pager_stats(env->pager, &stats), 0);
	return stats;
}

struct swap_stats
totals_of(struct env *env)
{
	struct swap_stats stats = stats_of(env);

	swap_stats_clear(&stats);
	return stats;
}

struct swap_object_stats
stats_of_area(struct env *env, const struct area *a)
{
	uint64_t id = pager_object_id(a->object);
	struct swap_stats stats = stats_of(env);
	struct swap_object_stats st = { 0 };

	for (size_t i = 0; i < stats.nobjects; i++)
		if (stats.objects[i].id == id)
			st = stats.objects[i];
	swap_stats_clear(&stats);
	assert_int_equal(st.id, id);
	return st;
}

uint64_t
pages_shared(const struct area *a)
{
	uint64_t n;

	object_lock(a->object);
	n = a->object->nsource;
	object_unlock(a->object);
	return n;
}

static int
add_words(struct swap_object *object, void *arg)
{
	uint64_t *n = arg;

	object_lock(object);
	*n += object->nwords;
	object_unlock(object);
	return 0;
}

void
check_blocks(struct env *env)
{
	uint64_t used = 0, held = 0, refs = 0, words = 0;

	for (unsigned tries = 0; tries < 500; tries++) {
		struct swap_stats stats = stats_of(env);

		used = held = words = 0;
		for (size_t i = 0; i < stats.ndevices; i++)
			used += stats.devices[i].used_bytes;
		for (size_t i = 0; i < stats.nobjects; i++)
			held += stats.objects[i].block_bytes;
		swap_stats_clear(&stats);
		refs = words_refs(&env->pager->core.space.words);
		objects_each(&env->pager->core, add_words, &words);
		if (used == held && refs == words)
			return;
		usleep(10000);
	}
	fail_msg("devices hold %" PRIu64 " bytes, maps %" PRIu64 "; words have %"
		 PRIu64 " references, maps %" PRIu64, used, held, refs, words);
}

static int
add_needy(struct swap_object *object, void *arg)
{
	uint64_t *n = arg;

	object_lock(object);
	for (uint64_t i = 0; i < object->npages && object->nreserved > 0; i++)
		*n += (object->page[i] & PAGE_RESERVED) &&
		      !page_has_block(object, i);
	object_unlock(object);
	return 0;
}

void
check_reserved(struct env *env)
{
	uint64_t aside = 0, needy = 0;

	for (unsigned tries = 0; tries < 500; tries++) {
		aside = totals_of(env).set_aside_bytes / PAGE;
		needy = 0;
		objects_each(&env->pager->core, add_needy, &needy);
		if (aside == needy)
			return;
		usleep(10000);
	}
	fail_msg("%" PRIu64 " blocks are set aside for %" PRIu64 " pages",
		 aside, needy);
}

void
env_free(struct env *env)
{
	for (unsigned i = 0; i < DEVICES; i++)
		unlink(env->device[i]);
	rmdir(env->dir);
	pthread_mutex_destroy(&env->lock);
	free(env);
	memset(&fault, 0, sizeof(fault));
}

void
env_end(struct env *env)
{
	struct words *words = &env->pager->core.space.words;
	struct swap_error error = { 0 };
	struct swap_stats stats = { 0 };

	/* A page that was on its way out goes when that has ended, and with
	 * the last one of an object what that was charged. */
	for (unsigned tries = 0; tries < 500; tries++) {
		stats = totals_of(env);
		if (stats.swap_used_bytes == 0 && stats.resident_bytes == 0 &&
		    stats.charged_bytes == 0 && stats.set_aside_bytes == 0 &&
		    words_refs(words) == 0)
			break;
		usleep(10000);
	}
	assert_int_equal(stats.swap_used_bytes, 0);
	assert_int_equal(words_refs(words), 0);
	assert_int_equal(stats.resident_bytes, 0);
	assert_int_equal(stats.wired_bytes, 0);
	assert_int_equal(stats.set_aside_bytes, 0);
	assert_int_equal(stats.charged_bytes, 0);
	assert_int_equal(stats.nobjects, 0);
	assert_int_equal(env->pager->core.budget.starving, 0);
	assert_int_equal(env->pager->core.budget.takers, 0);
	check_ok(swap_pager_close(env->pager, &error), &error);
	env_free(env);
}

/* ------------------------------------------------------ objects and memory */

struct area
area_new(struct env *env, uint64_t npages, unsigned flags)
{
	static _Atomic uint64_t next_id = 1;
	struct swap_error error = { 0 };
	struct area a = { .npages = npages, .id = next_id++ };

	check_ok(swap_object_create(env->pager, NULL, npages * PAGE, flags,
				    &a.object, &error), &error);
	check_ok(swap_object_map(a.object, NULL, 0, npages * PAGE, &a.region,
				 &error), &error);
	a.mem = swap_region_address(a.region);
	return a;
}

struct area
area_copy(struct swap_object *source, uint64_t id)
{
	struct swap_error error = { 0 };
	struct area a = { .npages = swap_object_size(source) / PAGE,
			  .id = id };

	check_ok(swap_object_fork(source, &a.object, &error), &error);
	check_ok(swap_object_map(a.object, NULL, 0, a.npages * PAGE,
				 &a.region, &error), &error);
	a.mem = swap_region_address(a.region);
	return a;
}

void
area_end(struct area *a)
{
	assert_int_equal(swap_region_unmap(a->region), 0);
	swap_object_unref(a->object);
}

static uint64_t
word(uint64_t id, uint64_t page, uint32_t version, uint64_t i)
{
	uint64_t x;

	if (version == 0)
		return 0;
	if (version & VERSION_SHARED)
		return (version % SHARED_WORDS) * UINT64_C(0x0101010101010101);
	if (version & VERSION_OWN)
		i = 0;
	x = id * UINT64_C(0x9e3779b97f4a7c15) ^
	    page * UINT64_C(0xbf58476d1ce4e5b9) ^
	    version * UINT64_C(0x94d049bb133111eb) ^ i;
	return (x ^ (x >> 29)) * UINT64_C(0xff51afd7ed558ccd);
}

uint32_t
random_version(uint64_t random, uint32_t version)
{
	switch (random % 6) {
	case 0:
		return version | VERSION_OWN;
	case 1:
		return version | VERSION_SHARED;
	}
	return version;
}

void
put(uint64_t *at, uint64_t id, uint64_t page, uint32_t version)
{
	for (uint64_t i = 0; i < WORDS; i++)
		at[i] = word(id, page, version, i);
}

uint64_t
wrong(const uint64_t *at, uint64_t id, uint64_t page, uint32_t version)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < WORDS; i++)
		n += at[i] != word(id, page, version, i);
	return n;
}

void
write_pages(const struct area *a, uint64_t page, uint64_t n, uint32_t version)
{
	for (uint64_t i = page; i < page + n; i++)
		put(a->mem + i * WORDS, a->id, i, version);
}

void
check_pages(const struct area *a, uint64_t page, uint64_t n, uint32_t version)
{
	for (uint64_t i = page; i < page + n; i++) {
		uint64_t bad = wrong(a->mem + i * WORDS, a->id, i, version);

		if (bad != 0)
			fail_msg("page %" PRIu64 ", version %u: %" PRIu64
				 " words wrong", i, version, bad);
	}
}

uint64_t
block_of(const struct area *a, uint64_t page)
{
	uint64_t block;

	object_lock(a->object);
	block = swapmap_get(a->object->map, page);
	object_unlock(a->object);
	assert_true(block >= SPACE_FIRST);
	return block <= SWAPMAP_BLOCK_MAX ? block - SPACE_FIRST : block;
}

bool
in_ram(const struct swap_object *object, uint64_t page)
{
	off_t at = (off_t)(page * PAGE);

	return lseek(pager_object_memfd(object), at, SEEK_DATA) == at;
}

void
push_out(const struct area *a, uint64_t page, uint64_t n,
	 const struct area *other)
{
	for (unsigned tries = 0; tries < 100; tries++) {
		uint64_t nin = 0;

		for (uint64_t i = page; i < page + n; i++)
			nin += in_ram(a->object, i);
		if (nin == 0)
			return;
		/* Even those that have proved to be in use. */
		swap_object_flush(a->object, page * PAGE, n * PAGE,
				  SWAP_FLUSH_DEACTIVATE, NULL);
		write_pages(other, 0, other->npages, 1);
	}
	fail_msg("pages stay in RAM");
}

/* ----------------------------------------------------------------- sampler */

static uint64_t
memfd_pages(struct env *env)
{
	unsigned n = atomic_load(&env->nmemfds);
	uint64_t blocks = 0;

	for (unsigned i = 0; i < n; i++) {
		struct stat st;

		if (fstat(env->memfd[i], &st) == 0)
			blocks += (uint64_t)st.st_blocks;
	}
	return blocks * 512 / PAGE;
}

void *
sampler_main(void *arg)
{
	struct env *env = arg;

	while (!atomic_load(&env->stop)) {
		uint64_t n = memfd_pages(env);

		if (n > env->most_pages)
			env->most_pages = n;
		usleep(200);
	}
	return NULL;
}

void
watch(struct env *env, const struct area *a)
{
	env->memfd[env->nmemfds] = pager_object_memfd(a->object);
	env->nmemfds++;
}

void
check_budget(struct env *env, uint64_t ram)
{
	assert_in_range(env->most_pages, 1,
			ram / PAGE + env->pager->core.cluster * THREADS);
}

/* -------------------------------------------------------------- full space */

void *
filler_main(void *arg)
{
	struct filler *f = arg;

	for (uint64_t i = f->first; i < f->first + f->n; i++) {
		if (gives_bus(f->a->mem + i * WORDS, true))
			f->nbus++;
		else
			write_pages(f->a, i, 1, f->version);
	}
	atomic_store(&f->done, true);
	return NULL;
}

void
wait_full(struct env *env)
{
	for (unsigned tries = 0; tries < 2000; tries++) {
		struct swap_stats stats = totals_of(env);

		if (stats.full && stats.counters.faults_starved > 0 &&
		    atomic_load(&env->pager->core.stuck))
			return;
		usleep(5000);
	}
	fail_msg("space does not get full");
}

/* ------------------------------------------------------------------- group */

static const char *
why_not(void)
{
	static struct swap_error error;
	uint64_t features;
	int fd = uffd_open(-1, &features, &error);

	if (fd < 0)
		return error.message;
	close(fd);
	if (page_bytes() != PAGE)
		return "pages are not of 4096 bytes here";
	return NULL;
}

int
start_watchdog(void **state)
{
	const char *reason = why_not();

	(void)state;
	if (reason != NULL) {
		print_message("[  REASON  ] %s\n", reason);
		skip();
	}
	alarm(WATCHDOG);
	return 0;
}
