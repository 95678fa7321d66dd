/* SPDX-License-Identifier: BSD-2-Clause */
/* slots.h - which slot holds whose page (floor 7) */
#ifndef SWAP_KERNEL_SLOTS_H
#define SWAP_KERNEL_SLOTS_H

#include "kernel/devices.h"
#include "kernel/pages.h"

/*
 * Numbers from here on may be the kernel's markers; where so many devices are
 * on, those above are not looked at.
 */
#define SLOTS_NUMBERS	23u

/* A look through all page tables: which slots they name. */
struct slot_survey {
	uint64_t	 nslots;		/* bits in each set */
	uint64_t	*used[SLOTS_NUMBERS];	/* NULL: none seen */
	uint64_t	 distinct[SLOTS_NUMBERS];
	uint64_t	 entries[SLOTS_NUMBERS];  /* shared ones repeatedly */
	uint64_t	 top[SLOTS_NUMBERS];	/* highest slot */
	unsigned	 nseen;			/* processes */
	unsigned	 nhidden;		/* that may not be looked into */
};

/*
 * Look through all processes and give @devices their numbers.  -EPERM without
 * the privilege to see slots, with a sentence; -ENOMEM.
 * Cost: see pages_each(), for every process; 1 bit a slot of memory.
 */
int slot_survey(const struct host *host, struct kernel_devices *devices,
		struct slot_survey *ret_survey, struct swap_error *error);
void slot_survey_clear(struct slot_survey *survey);

/* Is this slot named by a page table? */
bool slot_survey_has(const struct slot_survey *survey, unsigned number,
		     uint64_t slot);

/*
 * The fragmentation of a device, from a survey.  What is in use without a
 * name in any page table (shared memory, the swap cache, processes that may not
 * be looked into) is counted in @ret_unplaced, in blocks: where it lies cannot
 * be told, so cells and runs take it for free.
 */
int slot_survey_map(const struct slot_survey *survey,
		    const struct kernel_device *device, size_t ncells,
		    struct swap_device_map *ret_map, uint64_t *ret_unplaced);

/* Consecutive slots with consecutive pages of one process. */
struct slot_run {
	uint64_t	slot;
	uint64_t	address;
	uint64_t	npages;
	int32_t		pid;
};

/*
 * All runs of device @number, by slot; a slot with several owners is in
 * several.  The array is malloc()ed.  -ENOMEM.
 */
int slot_runs(const struct host *host, unsigned number,
	      struct slot_run **ret_runs, size_t *ret_n);

#endif
