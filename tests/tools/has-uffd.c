/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * has-uffd: can this process page shared memory with a userfaultfd?  Exit
 * status 0, or 1 with the reason on standard output.  It asks the kernel for
 * what a pager needs and nothing of libswap, so that a mistake there cannot
 * turn failures into skipped tests.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW	_IO(0xAA, 0x00)
#endif

static int
open_uffd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	int device, saved;

	if (fd >= 0)
		return fd;
	saved = errno;
	device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (device < 0) {
		errno = saved;
		return -1;
	}
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
	close(device);
	return fd;
}

int
main(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_MISSING_SHMEM |
			UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};
	int fd = open_uffd();

	if (fd < 0) {
		printf("needs a full userfaultfd: %s\n", strerror(errno));
		return 1;
	}
	if (ioctl(fd, UFFDIO_API, &api) < 0) {
		printf("needs write protection of shared memory by "
		       "userfaultfd (Linux 5.19)\n");
		return 1;
	}
	return 0;
}
