/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swap.h - a swap pager in user space
 *
 * libswap keeps memory objects within a budget of RAM by paging them to swap
 * devices: regular files, loop devices and block devices.  There are two ways
 * to use it:
 *
 *   in this process	swap_pager_open(), swap_device_attach(),
 *			swap_object_create(), swap_object_map()
 *   through a swapd	swap_client_connect(), swap_client_object_create(),
 *			swap_client_map()
 *
 * Both hand out ordinary addresses.  A page that is not in RAM is brought
 * back when it is touched, by this process or by the kernel on its behalf.
 *
 * Conventions.  Functions return 0 or a count on success and a negative errno
 * on failure.  Constructors hand their object out through the last ret_
 * parameter, which is left alone on failure.  Where a sentence helps a
 * person, a caller-owned struct swap_error (NULL: not wanted) is filled; it
 * names the thing that failed and what can be done.  Offsets and lengths are
 * in bytes and multiples of the page size unless a name says otherwise.
 * Every function may be called from any thread.  The library prints nothing.
 *
 * Limits.  A region must not be moved with mremap(2), and a child made by
 * fork(2) does not have it (MADV_DONTFORK).  Memory that a device writes to
 * behind the kernel's page tables (direct I/O reads, io_uring fixed buffers,
 * RDMA) must be wired while it does: see swap_region_wire().  MADV_REMOVE on a
 * region may leave what was there before: see swap_region_release().  Nothing
 * that the library itself uses (arguments, the log's data) may lie in a region
 * of this process, nor may a signal handler touch one that interrupts a call
 * of the library.
 */
#ifndef SWAP_H
#define SWAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SWAP_VERSION		"0.1.0"

/* A sentence for a person about what failed, on what, and the remedy. */
struct swap_error {
	int	code;		/* the negative errno that was returned */
	char	message[768];
};

/*
 * Log levels, most urgent first, and the callback that gets the messages.  It
 * may be called from any of the library's threads and must not call back.
 */
enum swap_log_level {
	SWAP_LOG_ERR,
	SWAP_LOG_WARNING,
	SWAP_LOG_NOTICE,
	SWAP_LOG_INFO,
	SWAP_LOG_DEBUG,
};

typedef void swap_log_fn(void *arg, enum swap_log_level level,
			 const char *message);

/* ------------------------------------------------------------------ pager */

struct swap_pager;

/* Smallest RAM budget, in bytes, that a pager accepts. */
#define SWAP_RAM_MIN		(UINT64_C(1) << 20)
/* Largest RAM budget, and largest value of a tunable that is a size. */
#define SWAP_SIZE_MAX		(UINT64_C(1) << 60)
/* Most fault threads, and largest cluster in pages. */
#define SWAP_FAULT_THREADS_MAX	64u
#define SWAP_CLUSTER_MAX	64u

/*
 * With this flag a program that needs a new page while RAM and swap space are
 * both full gets SIGBUS; without it, it waits until there is space again.  The
 * page gives SIGBUS from then on, until it is released.  A page of one repeated
 * word that has been paged out has no block, and counts as new here.
 */
#define SWAP_PAGER_FULL_FAILS	(1u << 0)
/* Plain threads for I/O, even where the kernel has io_uring. */
#define SWAP_PAGER_NO_URING	(1u << 1)

/*
 * What happened to a pager that somebody may want to know at once.  Events are
 * numbered from 1 without gaps; a pager keeps the last SWAP_EVENTS_MAX.  Of one
 * kind at most SWAP_EVENTS_SECOND are kept a second, so that they do not drive
 * all others out; the next one kept says how many were left out.
 */
enum swap_event_kind {
	SWAP_EVENT_DEVICE_ON,		/* attached */
	SWAP_EVENT_DEVICE_OFF_STARTED,	/* being turned off */
	SWAP_EVENT_DEVICE_OFF_STOPPED,	/* in service again: it failed */
	SWAP_EVENT_DEVICE_OFF,		/* turned off */
	SWAP_EVENT_DEVICE_DEGRADED,	/* a transfer has failed */
	SWAP_EVENT_DEVICE_ORPHANED,	/* has disappeared */
	SWAP_EVENT_ALMOST_FULL,		/* below the low-water mark */
	SWAP_EVENT_FULL,		/* page-out found no block */
	SWAP_EVENT_ROOM,		/* above the high-water mark again */
	SWAP_EVENT_METADATA_FULL,	/* no room for swap maps */
	SWAP_EVENT_METADATA_ROOM,	/* there is again */
	SWAP_EVENT_PAGE_POISONED,	/* a page is lost */
	SWAP_EVENT_IO_SLOW,		/* a transfer takes over 20 s */
	SWAP_EVENT_CLIENT_GONE,		/* a program's connection has ended */
	SWAP_EVENT_KINDS,
	/* Of the kernel's swap alone; no pager has or counts these. */
	SWAP_EVENT_DEVICE_PRIORITY = SWAP_EVENT_KINDS, /* it has another one */
	SWAP_EVENT_PRESSURE_HIGH,	/* programs wait for memory */
	SWAP_EVENT_PRESSURE_OVER,	/* they do no longer */
	SWAP_EVENT_KINDS_EVER,
};

#define SWAP_EVENTS_MAX		256u
#define SWAP_EVENTS_SECOND	16u

struct swap_event {
	uint64_t	number;
	uint64_t	time_usec;	/* since 1970, UTC */
	enum swap_event_kind kind;
	uint64_t	object;		/* its id; 0: none */
	int32_t		pid;		/* a client; 0: none */
	char		device[256];	/* its path; "": none */
	char		message[200];	/* a sentence */
};

/* "device-on", "page-poisoned", ...; NULL: no such kind. */
const char *swap_event_name(enum swap_event_kind kind);

/*
 * Called for each event that is kept, in the order of their numbers, from a
 * thread of its own, without any lock.  A listener that is slow misses those
 * that were forgotten meanwhile: their numbers are left out.  It must not end
 * the pager.
 */
typedef void swap_event_fn(void *arg, const struct swap_event *event);

struct swap_pager_config {
	uint64_t	 ram_bytes;	/* budget for resident pages */
	unsigned	 fault_threads;	/* 0: one a core, at least two */
	unsigned	 cluster_pages;	/* most pages in one I/O; 0: 32 */
	unsigned	 flags;		/* SWAP_PAGER_* */
	const char	*name;		/* for messages; NULL: "embedded" */
	const char	*state_dir;	/* where maps and the device table live,
					   for a successor; NULL: memory only */
	swap_log_fn	*log;		/* NULL: messages are dropped */
	void		*log_arg;
	swap_event_fn	*event;		/* NULL: nobody listens */
	void		*event_arg;
};

/* Fill @config with the defaults: 64 MiB of RAM, everything else zero. */
void swap_pager_config_init(struct swap_pager_config *config);

/*
 * Start a pager: its fault threads and its page-out thread.
 *
 * Errors: -EINVAL a setting out of range; -ENOSYS a kernel without what is
 * needed (Linux 5.19 or later); -EOPNOTSUPP a system that gives shared memory
 * huge pages; -ENOMEM; whatever creating files in state_dir gives.
 */
int swap_pager_open(const struct swap_pager_config *config,
		    struct swap_pager **ret_pager, struct swap_error *error);

/*
 * Page everything back, turn every mapping into ordinary shared memory, and
 * end the pager.  Regions stay usable; objects and regions must still be
 * unmapped and unreferenced by their owners, before or after.
 *
 * Errors: -ENOMEM what is swapped does not fit in the memory that is
 * available; the pager goes on.  Cost: reads all that is swapped.
 */
int swap_pager_close(struct swap_pager *pager, struct swap_error *error);

/* ---------------------------------------------------------------- devices */

/* Attach even if it carries a filesystem, RAID member or partition table. */
#define SWAP_DEVICE_FORCE	(1u << 0)
/*
 * Discard, as swapon(8): the whole device when it is attached, and blocks when
 * they become free.  A device that cannot is used without, with a message.
 */
#define SWAP_DEVICE_DISCARD_ONCE  (1u << 1)
#define SWAP_DEVICE_DISCARD_PAGES (1u << 2)

#define SWAP_PRIORITY_MIN	0
#define SWAP_PRIORITY_MAX	32767

struct swap_device_options {
	int		priority;	/* higher is used first; 0..32767 */
	uint64_t	create_bytes;	/* make a regular file of this size */
	unsigned	flags;		/* SWAP_DEVICE_* */
};

/*
 * Attach a regular file, loop device or block device as swap space.
 *
 * @spec     a path, or LABEL=, UUID=, PARTLABEL= or PARTUUID= and a value
 * @options  NULL: priority 0, no flags
 *
 * The first 8 KiB are never written (FreeBSD swap_pager.c: a label survives).
 * Errors, each with a sentence: -ENOENT no such device; -ENOTBLK neither file
 * nor block device; -EBUSY already attached, mounted or in use; -ENXIO empty
 * or too small; -EFBIG larger than the address space allows; -EINVAL a file
 * with holes, or a bad option; -EPERM wrong owner or mode; -EEXIST carries
 * data (see SWAP_DEVICE_FORCE); -EACCES; -EIO.
 */
int swap_device_attach(struct swap_pager *pager, const char *spec,
		       const struct swap_device_options *options,
		       struct swap_error *error);

/* Progress of a detach; return non-zero to stop it (-EINTR is returned). */
struct swap_progress {
	uint64_t	done_bytes;	/* paged back so far */
	uint64_t	total_bytes;	/* done plus what is still there */
	uint64_t	elapsed_usec;
};
typedef int swap_progress_fn(void *arg, const struct swap_progress *progress);

/*
 * Page back everything that a device holds and give the device up
 * (FreeBSD swapoff_one).  On failure or interruption it is in service again.
 *
 * @spec      as for swap_device_attach(), or the attached path
 * @progress  called about ten times a second; may be NULL
 *
 * Errors: -ENXIO not attached; -ENOMEM what it holds does not fit in RAM and
 * the other devices; -EINTR stopped by @progress; -EBUSY is being detached
 * already; -EIO pages that could not be read stay on it (the log names them).
 */
int swap_device_detach(struct swap_pager *pager, const char *spec,
		       swap_progress_fn *progress, void *arg,
		       struct swap_error *error);

/* One of several devices to be detached together. */
struct swap_detach {
	const char	*spec;
	/* What has become of it, filled by swap_devices_detach(): */
	struct swap_progress progress;
	int		 finished;	/* detached, or in service again */
	struct swap_error error;	/* code 0: detached */
};
typedef int swap_detach_fn(void *arg, const struct swap_detach detach[],
			   size_t n);

/*
 * The same for several devices at once.  What they hold must fit in RAM and the
 * devices that stay, all of it together; a device with which it does not is
 * left out.  Nothing goes from one of them to another, they are read at the
 * same time, and one that cannot be detached does not keep the others.
 *
 * @n         1 to 256
 * @progress  as above, for all; those that are finished are not stopped
 *
 * 0: all are detached; else the error of the first that is not.  -EINVAL @n;
 * -ENOMEM no memory for the operation itself: all have that error then.
 */
int swap_devices_detach(struct swap_pager *pager, struct swap_detach detach[],
			size_t n, swap_detach_fn *progress, void *arg);

/* ---------------------------------------------------------------- objects */

struct swap_object;

/* Longest name of an object, in bytes without the final NUL. */
#define SWAP_NAME_MAX		63

/*
 * Pages of this object are never paged out.  All of them count as wired, used
 * or not: -ENOMEM where the budget has no room for more wired pages.
 */
#define SWAP_OBJECT_NOSWAP	(1u << 0)
/*
 * It is known of every page whether a program has touched it: needed for the
 * destination of swap_object_copy().  Others get new pages ahead of a program
 * that writes in order, and forget that pages of zeros were ever written; in
 * neither do pages of one repeated word need a block.
 */
#define SWAP_OBJECT_EXACT	(1u << 1)

/*
 * Create a memory object of @size bytes (rounded up to whole pages), filled
 * with zeros, with one reference.
 *
 * @name  NULL: anonymous.  One live object has a name at a time: -EEXIST.
 * Errors: -EINVAL size 0, or a bad name; -EFBIG; -ENOMEM; -EMFILE.
 */
int swap_object_create(struct swap_pager *pager, const char *name,
		       uint64_t size, unsigned flags,
		       struct swap_object **ret_object,
		       struct swap_error *error);

/* Find a named object and take a reference.  -ENOENT: there is none. */
int swap_object_open(struct swap_pager *pager, const char *name,
		     struct swap_object **ret_object,
		     struct swap_error *error);

struct swap_object *swap_object_ref(struct swap_object *object);

/* Drop a reference; the last one frees pages and blocks.  Regions hold one. */
void swap_object_unref(struct swap_object *object);

uint64_t swap_object_size(const struct swap_object *object);

/*
 * Lift SWAP_OBJECT_NOSWAP: from now on the object is paged like any other
 * (NetBSD uao_create, UAO_FLAG_KERNSWAP).  0 also where it was not set.
 */
int swap_object_allow_swap(struct swap_object *object);

/* What swap_object_get() says of each page. */
enum swap_page_state {
	SWAP_PAGE_ABSENT,	/* not in RAM */
	SWAP_PAGE_RESIDENT,
	SWAP_PAGE_BUSY,		/* being paged just now */
	SWAP_PAGE_LOST,		/* its block cannot be read */
};

#define SWAP_GET_NOWAIT		(1u << 0)  /* what costs no I/O, no waiting */
#define SWAP_GET_ALL		(1u << 1)  /* all pages, not just one */

/*
 * Bring pages into RAM without touching them (NetBSD uao_get): resident ones
 * stay, new ones are zero-filled, swapped ones are read with their neighbours,
 * busy ones are waited for.  Nothing keeps them there: see swap_region_wire().
 *
 * @wanted  offset of the page that must come; within the range.  Of the others
 *	    those come that cost nothing more, or with SWAP_GET_ALL every one
 * @states  an enum swap_page_state for each page of the range; may be NULL
 *
 * Returns how many pages of the range are in RAM.  Errors, with @states filled:
 * -EAGAIN with SWAP_GET_NOWAIT: not without I/O or waiting, come back without
 * that flag; -EIO a page that must come cannot be read, and stays swapped;
 * -ENOMEM no RAM became free; -EINVAL the range, or an unknown flag.
 */
int64_t swap_object_get(struct swap_object *object, uint64_t offset,
			uint64_t length, uint64_t wanted, unsigned flags,
			uint8_t states[], struct swap_error *error);

#define SWAP_FLUSH_DEACTIVATE	(1u << 0)  /* page these out first */
#define SWAP_FLUSH_FREE		(1u << 1)  /* as swap_region_release() */

/*
 * Flush pages of an object.  Anonymous memory has nowhere to be written back
 * to, so without flags this succeeds and does nothing (NetBSD uao_flush).
 * -EINVAL both flags, unknown ones, or the range; -EBUSY a page to be freed is
 * wired.
 */
int swap_object_flush(struct swap_object *object, uint64_t offset,
		      uint64_t length, unsigned flags,
		      struct swap_error *error);

/*
 * Set swap space aside for a range, so that paging these pages out never fails
 * for want of a block (FreeBSD swap_pager_reserve).  All or nothing: -ENOSPC.
 * Pages that have that already are not counted twice.  The space is not
 * tied to particular blocks: page-out still writes where it is best.
 * swap_object_unreserve() gives it back, as does the end of the object.
 * -EPERM an object that may not be swapped.
 */
int swap_object_reserve(struct swap_object *object, uint64_t offset,
			uint64_t length, struct swap_error *error);
int swap_object_unreserve(struct swap_object *object, uint64_t offset,
			  uint64_t length);

/*
 * Is there a block that holds a page, and for how many bytes before and behind
 * it do consecutive pages have consecutive blocks (FreeBSD
 * swap_pager_haspage)?  A page that is known to be one repeated word counts as
 * one that has, without neighbours.  1 or 0; -EINVAL beyond the object.
 * @ret_before and @ret_after, the page itself not included, may be NULL.
 */
int swap_object_haspage(struct swap_object *object, uint64_t offset,
			uint64_t *ret_before, uint64_t *ret_after);

/*
 * Limit what an object may have: @ram_bytes of resident pages, @swap_bytes of
 * blocks; 0: no limit but the pager's.  Beyond its RAM limit an object pages
 * against itself: its own pages go out to let others of it in.  At its swap
 * limit its dirty pages stay in RAM; with both reached a fault waits, or gets
 * SIGBUS, as where the pager is full.  A lower limit is worked down to.
 * A swap limit alone lets it fill RAM with what may not go out: give both.
 * The limits are passed by a detach that finds no other place, and do not hold
 * during a handover; and what fits in both goes on, if need be with a cluster
 * of pages more in RAM.  They hold for reserved pages as well.
 * -EINVAL a RAM limit below SWAP_RAM_MIN; -EBUSY its wired pages need more than
 * three quarters; -ENOMEM no memory.  Looks at each page once.
 */
int swap_object_limit(struct swap_object *object, uint64_t ram_bytes,
		      uint64_t swap_bytes, struct swap_error *error);

/* What is left of the source in the range is freed. */
#define SWAP_COPY_DESTROY	(1u << 0)

/*
 * Give one object the pages of another that it does not have itself: what the
 * destination has wins (FreeBSD swap_pager_copy).  Pages that were never
 * written count as not there on both sides; so the destination must be
 * SWAP_OBJECT_EXACT.
 *
 * With SWAP_COPY_DESTROY swapped pages change hands with their blocks, without
 * I/O, and the source reads as zeros in the range afterwards; without it, they
 * are read, and the source stays as it is.  A page that a program writes
 * meanwhile arrives as it was before or after that.
 *
 * Errors: -EINVAL a range, the same object on both sides, another pager, a
 * destination that is not SWAP_OBJECT_EXACT;
 * -EBUSY a page of the source to be freed is wired; -EIO a page that should
 * arrive is lost or cannot be read, or one that should be freed is lost in the
 * destination; -ENOMEM no RAM became free; -ENOSPC nothing left to set aside
 * for a reserved page whose block goes; -EDQUOT no room for the destination's
 * map; -ESHUTDOWN the pager is ending.  On failure each page is where it was or
 * has arrived: none is lost, and the call can be repeated.
 */
int swap_object_copy(struct swap_object *from, uint64_t from_offset,
		     struct swap_object *to, uint64_t to_offset,
		     uint64_t length, unsigned flags,
		     struct swap_error *error);

/*
 * Make a copy of an object as it is at the moment of the call: copy-on-write,
 * so it costs no memory but for page states, and time in proportion to the
 * runs of pages that are in RAM.  Copy and source are separate from then on,
 * whoever writes, pages out, forks again or goes first.  For instance, a program
 * maps the copy to write its state to a file and goes on with the source.
 *
 * Each page is copied as it is at one moment during the call; that is the same
 * moment for all of them where nobody writes meanwhile.  A page costs RAM and
 * time when it is first used in the copy, or first written in the source: whoever
 * writes there waits until the copies have it.  Those that the source has lost
 * are lost in the copy.
 *
 * The copy has one reference, no name, the flags of its source but no limits,
 * and belongs to the caller, who is charged for its size.  What the source keeps
 * in RAM and swap space for copies when all its own references are gone costs its
 * user nothing more.  Where a pager that is full lets programs fail
 * (SWAP_PAGER_FULL_FAILS) a write in the source goes on, and the copy loses the
 * page.
 *
 * Errors: as swap_object_create(); -ESHUTDOWN the pager has ended; what protecting
 * memory gives, and the source goes on as before.
 */
int swap_object_fork(struct swap_object *source, struct swap_object **ret_copy,
		     struct swap_error *error);

/* ---------------------------------------------------------------- regions */

struct swap_region;

/*
 * Map @length bytes of an object at @offset into this process, read-write.
 *
 * @address  where, exactly and over nothing else; NULL: the kernel chooses
 * Errors: -EINVAL not page-aligned or beyond the object; -EEXIST @address is
 * taken; -EPERM no full userfaultfd (the sentence names the remedies);
 * -ESHUTDOWN the pager has ended.
 */
int swap_object_map(struct swap_object *object, void *address,
		    uint64_t offset, uint64_t length,
		    struct swap_region **ret_region,
		    struct swap_error *error);

void *swap_region_address(const struct swap_region *region);

/*
 * Unmap a region and free it.  Nobody may be using the memory any more: a
 * thread that still touches it gets SIGSEGV.
 */
int swap_region_unmap(struct swap_region *region);

/*
 * Give pages up: they read as zeros from now on, in every mapping, and their
 * blocks are free.  Waits for paging of these pages in progress, and until copies
 * (swap_object_fork()) have those that they need.  -EBUSY one is wired; -ENOMEM
 * no RAM became free for a copy: those before it are released.
 */
int swap_region_release(struct swap_region *region, uint64_t offset,
			uint64_t length);

/*
 * Bring pages in and keep them in RAM until unwired; calls nest up to 255
 * deep.  Needed while a device may write into them behind the page tables.
 *
 * Errors: -ENOMEM the budget has no room for more wired pages (all or none).
 */
int swap_region_wire(struct swap_region *region, uint64_t offset,
		     uint64_t length, struct swap_error *error);
int swap_region_unwire(struct swap_region *region, uint64_t offset,
		       uint64_t length);

/*
 * Make a region read-only, or writable again, as mprotect(2) of the whole of
 * it, and let the object's count of writable regions follow (FreeBSD
 * swap_pager_update_writecount).  A region starts writable.
 */
int swap_region_set_writable(struct swap_region *region, bool writable);

/* --------------------------------------------------------------- tunables */

/* One setting of a pager, in words; swapctl(8) describes each. */
struct swap_tunable {
	char	name[24];
	char	value[24];		/* as swap_pager_tune() takes it */
	char	default_value[24];
	char	unit[12];		/* "bytes", "pages", ... or "" */
	char	range[40];		/* "1..64", "auto|array|hash|trie" */
	char	summary[80];
};

/*
 * All of them, in a malloc()ed array.  A value can be given back to
 * swap_pager_tune() as it is: sizes are plain numbers of bytes.  -ENOMEM.
 */
int swap_pager_tunables(struct swap_pager *pager,
			struct swap_tunable **ret_tunables, size_t *ret_n);

/*
 * Change one while the pager runs; the log tells of it.  Sizes take K, M, G, T.
 *
 * A smaller "ram" returns at once, and page-out works down to it; "overcommit"
 * and "user_limit" decide about the next object and leave what there is alone.
 *
 * Errors, with a sentence: -ENOENT no such tunable; -EINVAL not a value, or out
 * of its range; -EBUSY wired pages need more RAM than that; -ESHUTDOWN the
 * pager has ended.  Nothing has changed then.
 */
int swap_pager_tune(struct swap_pager *pager, const char *name,
		    const char *value, struct swap_error *error);

/* ---------------------------------------------------------- fragmentation */

/* Runs of free blocks are counted by power of two: 2^i to 2^(i+1) - 1. */
#define SWAP_RUN_CLASSES	41u
#define SWAP_MAP_CELLS_MAX	4096u

/* Cell i of n covers blocks nblocks*i/n up to nblocks*(i+1)/n of the device. */
struct swap_map_cell {
	uint64_t	nblocks;
	uint64_t	nfree;
};

struct swap_device_map {
	char		path[256];
	uint64_t	nblocks;	/* the label at its start included */
	uint64_t	nfree;
	uint64_t	nruns;		/* runs of free blocks */
	uint64_t	largest;	/* the longest of them, in blocks */
	uint64_t	runs[SWAP_RUN_CLASSES];
	uint64_t	blocks[SWAP_RUN_CLASSES];  /* free ones in such runs */
	unsigned	cluster_pages;
	/*
	 * How many in a thousand of the free blocks lie in runs shorter than a
	 * cluster (rounded down to a power of two): 0 where none is free.
	 */
	unsigned	fragmentation;
	size_t		ncells;
	struct swap_map_cell *cells;	/* malloc()ed */
};

/*
 * The fragmentation of an attached device.  Paging goes on meanwhile: what is
 * allocated while the device is looked through may be seen before or after.
 *
 * @ncells  0..SWAP_MAP_CELLS_MAX cells wanted
 * Errors: -ENXIO not attached; -EINVAL; -ENOMEM.
 */
int swap_pager_map(struct swap_pager *pager, const char *spec, size_t ncells,
		   struct swap_device_map *ret_map, struct swap_error *error);
void swap_device_map_clear(struct swap_device_map *map);

/* -------------------------------------------------------- what lies where */

#define SWAP_RANGE_CELLS_MAX	16384u
/* Most runs that one look for owners gives. */
#define SWAP_OWNERS_MAX		1024u

/* Cell i of n covers nblocks*i/n up to nblocks*(i+1)/n of the range. */
struct swap_range_cell {
	uint64_t	nfree;
	uint64_t	nbad;	/* never to be used again; where bad blocks lie
				   is remembered of the first 32 ranges */
};

/*
 * Look closely at a range of a device's blocks, of which the label's are the
 * first.
 *
 * @first, @nblocks  the range; within the nblocks of swap_device_map
 * @cells  @ncells of them, 1..SWAP_RANGE_CELLS_MAX and at most @nblocks
 *
 * Paging goes on meanwhile, as for swap_pager_map().  Errors: -ENXIO not
 * attached; -EINVAL the range or the number of cells.
 */
int swap_pager_range(struct swap_pager *pager, const char *spec,
		     uint64_t first, uint64_t nblocks, size_t ncells,
		     struct swap_range_cell cells[],
		     struct swap_error *error);

/* Consecutive pages of one object that have consecutive blocks. */
struct swap_owner {
	uint64_t	block;		/* of the device, the label included */
	uint64_t	nblocks;
	uint64_t	object;		/* its id */
	uint64_t	page;		/* that the first block holds */
	uint32_t	uid;
	int32_t		pid;
	char		name[SWAP_NAME_MAX + 1];
	char		command[16];
};

/* Where a look goes on; all zero to begin with. */
struct swap_owners_place {
	uint64_t	slot;
	uint64_t	page;
	bool		done;		/* there is nothing more */
};

/*
 * Whose pages lie in a range of a device's blocks.  A call looks through part
 * of the swap maps, at most some 100,000 entries, so that it takes no longer
 * than a millisecond or so; it is repeated until @place says that all is done.
 * No block leads to its page: all maps have to be looked through.
 *
 * @owners  room for @n of them, up to SWAP_OWNERS_MAX
 *
 * Returns how many were found, in no order of blocks.  What is paged meanwhile
 * may be found twice, or not at all.  -ENXIO not attached; -EINVAL.
 */
int64_t swap_pager_owners(struct swap_pager *pager, const char *spec,
			  uint64_t first, uint64_t nblocks,
			  struct swap_owners_place *place,
			  struct swap_owner owners[], size_t n,
			  struct swap_error *error);

/* -------------------------------------------------------------- statistics */

/* Device flags in the snapshot. */
#define SWAP_DEVICE_CLOSING	(1u << 0)	/* being detached */
#define SWAP_DEVICE_DEGRADED	(1u << 1)	/* a write has failed */
#define SWAP_DEVICE_GONE	(1u << 2)	/* has disappeared */
#define SWAP_DEVICE_DISCARDS	(1u << 3)	/* blocks that become free */

/*
 * How long something took, by powers of two: n[0] below 1,024 ns, n[i] from
 * 2^(i+9) ns to below 2^(i+10), the last without an upper end.
 */
#define SWAP_LATENCY_CLASSES	24u

struct swap_latency {
	uint64_t	count;
	uint64_t	sum_nsec;
	uint64_t	n[SWAP_LATENCY_CLASSES];
};

struct swap_device_stats {
	char		path[256];
	char		type[16];	/* "file", "loop", "block" */
	int		priority;
	unsigned	flags;		/* SWAP_DEVICE_* above */
	uint64_t	first_block;	/* in the pager's block address space */
	uint64_t	size_bytes;	/* usable, without the first 8 KiB */
	uint64_t	used_bytes;	/* blocks that hold a page */
	uint64_t	bad_bytes;	/* blocks never to be used again */
	uint64_t	read_bytes;
	uint64_t	written_bytes;
	uint64_t	reads;		/* operations */
	uint64_t	writes;
	uint64_t	read_errors;
	uint64_t	write_errors;
	uint64_t	discards;	/* operations */
	uint64_t	discarded_bytes;
	unsigned	inflight;	/* transfers at this moment */
	struct swap_latency read_time;
	struct swap_latency write_time;
};

struct swap_object_stats {
	uint64_t	id;
	char		name[SWAP_NAME_MAX + 1];	/* "": anonymous */
	uint32_t	uid;
	int32_t		pid;		/* of the process that created it */
	char		command[16];	/* that process's name */
	unsigned	flags;		/* SWAP_OBJECT_* */
	char		map_kind[8];	/* "array", "hash", "trie" */
	uint32_t	regions;	/* mappings */
	uint32_t	writers;	/* of these, writable */
	uint64_t	size_bytes;
	uint64_t	resident_bytes;
	uint64_t	swapped_bytes;	/* pages whose only copy is a block, or
					   that are known to be one word */
	uint64_t	block_bytes;	/* blocks held, clean copies included;
					   pages of one word have none */
	uint64_t	wired_bytes;
	uint64_t	poisoned_bytes;
	uint64_t	reserved_bytes;	/* see swap_object_reserve() */
	uint64_t	map_bytes;	/* memory of the swap map */
	uint64_t	ram_limit_bytes; /* see swap_object_limit(); 0: none */
	uint64_t	swap_limit_bytes; /* the same */
	uint64_t	pagein_pages;	/* since it was made; what is moved
					   to empty a device is not in them */
	uint64_t	pageout_pages;
	uint64_t	source_id;	/* a copy's source, see
					   swap_object_fork(); 0: none */
	uint64_t	copies;		/* of it that still have it as source */
	uint64_t	shared_bytes;	/* pages that a copy has in its source
					   and not itself */
	bool		orphan;		/* all its own users have gone; it is
					   kept for its copies */
};

/* What a user's objects are charged: their sizes, used or not. */
struct swap_user_stats {
	uint32_t	uid;
	uint64_t	charged_bytes;
	uint64_t	limit_bytes;	/* 0: none */
};

/* The bits of tunable "overcommit" (FreeBSD vm.overcommit). */
#define SWAP_OVERCOMMIT_TOTAL	(1u << 0)  /* refuse beyond the total */
#define SWAP_OVERCOMMIT_USER	(1u << 1)  /* refuse beyond a user's limit */
#define SWAP_OVERCOMMIT_RAM	(1u << 2)  /* RAM that is not wired counts in
					      the total */

/* Counters since the pager started; they only grow. */
struct swap_counters {
	uint64_t	faults;			/* messages handled */
	uint64_t	faults_zero;		/* a new page */
	uint64_t	faults_in;		/* a page from its block */
	uint64_t	faults_write;		/* first write to a page */
	uint64_t	faults_busy;		/* page was being paged */
	uint64_t	faults_starved;		/* no page was free */
	uint64_t	pageins;		/* operations: I/O alone */
	uint64_t	pagein_pages;
	uint64_t	pageouts;		/* operations */
	uint64_t	pageout_pages;
	uint64_t	pageout_clean;		/* dropped without a write */
	uint64_t	pageout_rescued;	/* wanted back during page-out */
	uint64_t	pageback_pages;
	uint64_t	released_pages;
	uint64_t	poisoned_pages;
	uint64_t	free_deferred;	/* clean page written: block freed late */
	uint64_t	free_completed;
	uint64_t	almost_full_events;	/* fell below the low-water mark */
	uint64_t	full_events;		/* page-out found no block */
	uint64_t	metadata_full_events;	/* ... or no room for a map */
	uint64_t	charges_refused;	/* objects not made: overcommit */
	uint64_t	readahead_pages;	/* read beyond what was asked for */
	uint64_t	readahead_used;		/* of these, touched */
	uint64_t	readahead_wasted;	/* given up untouched */
	uint64_t	cache_hits;		/* faults that needed no I/O: the
						   pager still had a copy */
	uint64_t	refaults;		/* came back soon after page-out */
	uint64_t	pageout_fill;		/* one repeated word: no block */
	uint64_t	pagein_fill;		/* the same, brought back without
						   I/O; not zeros, which come
						   back as new pages */
	uint64_t	limit_waits;		/* faults held by a RAM limit */
	uint64_t	async_waits;		/* page-out held by swap_async_max */
	uint64_t	slow_transfers;		/* took over 20 s */
	uint64_t	copy_pages;		/* taken by copies from their
						   sources */
	uint64_t	copy_pushed_pages;	/* given to copies before their
						   source was changed */
};

/*
 * One picture of a pager, or of anything else that pages.  Everything that
 * swapctl, swaptop and the exporters show comes from this.
 */
struct swap_stats {
	char		provider[8];	/* "swapd", "embed", "kernel" */
	char		pager[64];
	char		version[16];
	int32_t		pid;
	uint32_t	page_bytes;
	uint64_t	uptime_usec;
	uint64_t	ram_bytes;	/* the budget */
	uint64_t	resident_bytes;
	uint64_t	wired_bytes;
	uint64_t	swapped_bytes;
	uint64_t	swap_bytes;	/* sum over the devices in service */
	uint64_t	swap_used_bytes;
	uint64_t	metadata_bytes;	/* maps, block lists, page states */
	uint64_t	map_bytes;	/* of these, swap maps */
	uint64_t	map_limit_bytes; /* the metadata budget; 0: none */
	uint64_t	charged_bytes;	/* sizes of all objects */
	uint64_t	chargeable_bytes; /* what overcommit compares them with */
	uint64_t	set_aside_bytes; /* free blocks that are reserved */
	uint64_t	cache_bytes;	/* copies of blocks; part of the budget */
	unsigned	clients;
	unsigned	cluster_pages;
	unsigned	async_writes;	/* in flight at this moment */
	char		io[8];		/* "uring", "threads" */
	bool		almost_full;	/* below the low-water mark */
	bool		full;		/* page-out found no block */
	bool		metadata_full;	/* page-out waits for map memory */
	unsigned	overcommit;	/* SWAP_OVERCOMMIT_* */
	struct swap_counters counters;
	/* From a fault's message until its program goes on. */
	struct swap_latency fault_zero_time;	/* a new page */
	struct swap_latency fault_in_time;	/* a page from its block */
	struct swap_latency fault_write_time;	/* first write to a page */
	size_t		ndevices;
	struct swap_device_stats *devices;
	size_t		nobjects;
	struct swap_object_stats *objects;
	size_t		nusers;
	struct swap_user_stats *users;
	uint64_t	nobjects_live;	/* how many there are, shown or not */
	/* Also those that were left out of the ring: see SWAP_EVENTS_SECOND. */
	uint64_t	event_counts[SWAP_EVENT_KINDS];
	uint64_t	nevents_ever;	/* the last one's number */
	size_t		nevents;	/* that are still kept, oldest first */
	struct swap_event *events;
};

/* Take a snapshot; free its arrays with swap_stats_clear(). */
int swap_pager_stats(struct swap_pager *pager, struct swap_stats *ret_stats);
void swap_stats_clear(struct swap_stats *stats);

/*
 * Events with numbers above @after that are still kept, oldest first, in a
 * malloc()ed array; those between @after and the first of them are lost.
 * -ENOMEM.
 */
int swap_pager_events(struct swap_pager *pager, uint64_t after,
		      struct swap_event **ret_events, size_t *ret_n);

/* ------------------------------------------------------- through a swapd */

struct swap_client;
struct swap_client_object;
struct swap_client_region;

/*
 * Connect to a swapd.
 *
 * @pager  a name, or the path of a socket; NULL: $SWAPCTL_PAGER, else
 *	   "default"
 *
 * A helper thread keeps the connection; it never touches the memory of
 * regions.  Errors: -ENOENT or -ECONNREFUSED no swapd there; -EPROTO another
 * version; -ENAMETOOLONG; -EACCES.
 */
int swap_client_connect(const char *pager, struct swap_client **ret_client,
			struct swap_error *error);

/*
 * Close the connection.  The swapd frees all that is still held: unmap first.
 */
void swap_client_close(struct swap_client *client);

/* As swap_object_create(), swap_object_open() and so on, in the swapd. */
int swap_client_object_create(struct swap_client *client, const char *name,
			      uint64_t size, unsigned flags,
			      struct swap_client_object **ret_object,
			      struct swap_error *error);
int swap_client_object_open(struct swap_client *client, const char *name,
			    struct swap_client_object **ret_object,
			    struct swap_error *error);
void swap_client_object_close(struct swap_client_object *object);
uint64_t swap_client_object_size(const struct swap_client_object *object);

int swap_client_map(struct swap_client_object *object, void *address,
		    uint64_t offset, uint64_t length,
		    struct swap_client_region **ret_region,
		    struct swap_error *error);
void *swap_client_region_address(const struct swap_client_region *region);
int swap_client_unmap(struct swap_client_region *region);
int swap_client_release(struct swap_client_region *region, uint64_t offset,
			uint64_t length);
int swap_client_wire(struct swap_client_region *region, uint64_t offset,
		     uint64_t length, struct swap_error *error);
int swap_client_unwire(struct swap_client_region *region, uint64_t offset,
		       uint64_t length);
int swap_client_set_writable(struct swap_client_region *region,
			     bool writable);

/*
 * As swap_object_limit(), for all that this connection has made and makes,
 * taken together; its objects' own limits hold too.  Copies that forked children
 * claim are among these, what a child makes itself is not.
 */
int swap_client_limit(struct swap_client *client, uint64_t ram_bytes,
		      uint64_t swap_bytes, struct swap_error *error);

/* As their namesakes of objects above. */
int swap_client_allow_swap(struct swap_client_object *object);
int64_t swap_client_get(struct swap_client_object *object, uint64_t offset,
			uint64_t length, uint64_t wanted, unsigned flags,
			uint8_t states[], struct swap_error *error);
int swap_client_flush(struct swap_client_object *object, uint64_t offset,
		      uint64_t length, unsigned flags,
		      struct swap_error *error);
int swap_client_reserve(struct swap_client_object *object, uint64_t offset,
			uint64_t length, struct swap_error *error);
int swap_client_unreserve(struct swap_client_object *object, uint64_t offset,
			  uint64_t length);
int swap_client_haspage(struct swap_client_object *object, uint64_t offset,
			uint64_t *ret_before, uint64_t *ret_after);
int swap_client_copy(struct swap_client_object *from, uint64_t from_offset,
		     struct swap_client_object *to, uint64_t to_offset,
		     uint64_t length, unsigned flags,
		     struct swap_error *error);

int swap_client_tunables(struct swap_client *client,
			 struct swap_tunable **ret_tunables, size_t *ret_n,
			 struct swap_error *error);
int swap_client_tune(struct swap_client *client, const char *name,
		     const char *value, struct swap_error *error);
int swap_client_device_map(struct swap_client *client, const char *spec,
			   size_t ncells, struct swap_device_map *ret_map,
			   struct swap_error *error);

/*
 * As swap_pager_range() and swap_pager_owners(), the latter with room for
 * SWAP_OWNERS_MAX.  Owners are left out whose objects are another user's,
 * unless the caller is root or the pager's user.
 */
int swap_client_range(struct swap_client *client, const char *spec,
		      uint64_t first, uint64_t nblocks, size_t ncells,
		      struct swap_range_cell cells[],
		      struct swap_error *error);
int64_t swap_client_owners(struct swap_client *client, const char *spec,
			   uint64_t first, uint64_t nblocks,
			   struct swap_owners_place *place,
			   struct swap_owner owners[], size_t n,
			   struct swap_error *error);

/* The swapd's snapshot; free its arrays with swap_stats_clear(). */
int swap_client_stats(struct swap_client *client,
		      struct swap_stats *ret_stats, struct swap_error *error);

#ifdef __cplusplus
}
#endif

#endif /* SWAP_H */
