/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uffd.h - userfaultfd as newer kernels have it, for older headers (floor 0)
 *
 * The numbers are the kernel's ABI (include/uapi/linux/userfaultfd.h of
 * Linux 6.6); whether the running kernel knows them is for UFFDIO_API to say.
 */
#ifndef SWAP_UFFD_H
#define SWAP_UFFD_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/userfaultfd.h>

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC		0xAA
#define USERFAULTFD_IOC_NEW	_IO(USERFAULTFD_IOC, 0x00)
#endif

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY	1
#endif

#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM	(1 << 12)
#endif

#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED	(1 << 13)
#endif

#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON		(1 << 14)
#endif

#ifndef UFFDIO_POISON
#define _UFFDIO_POISON			(0x08)

struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;		/* written by the kernel; must be last */
};

#define UFFDIO_POISON_MODE_DONTWAKE	((__u64)1 << 0)
#define UFFDIO_POISON	_IOWR(UFFDIO, _UFFDIO_POISON, struct uffdio_poison)
#endif

/* Without these there is no paging of shared memory: Linux 5.19. */
#define UFFD_FEATURES_NEEDED						\
	((__u64)UFFD_FEATURE_PAGEFAULT_FLAG_WP |			\
	 (__u64)UFFD_FEATURE_MISSING_SHMEM |				\
	 (__u64)UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

/* Used where the kernel offers them. */
#define UFFD_FEATURES_WANTED						\
	((__u64)UFFD_FEATURE_POISON | (__u64)UFFD_FEATURE_THREAD_ID)

#endif
