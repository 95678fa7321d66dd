/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A watched mapping.
 *
 * A hole in a memfd reads as zeros wherever no userfaultfd watches, so there
 * must be no moment at which somebody could look without being watched:
 *
 *   1. The mapping is made without any access (PROT_NONE).
 *   2. MADV_DONTFORK: a child forked from now on does not have it, and one
 *	forked a moment ago has it without access.
 *   3. It is registered for missing and write-protect faults.
 *   4. Only then does mprotect(2) open it.
 *
 * The way back is as careful.  Threads may still wait for a page that nobody
 * will bring: the range is replaced by memory without access, then the waiters
 * are woken (UFFDIO_WAKE asks only for a range, not for a registered one), try
 * again and get SIGSEGV; unmapping first would let them touch whatever is
 * mapped there next.
 *
 * A poisoned page is the end of an empty memfd: it can be mapped, and whoever
 * touches it is beyond the end of the file and gets SIGBUS.
 *
 * Features are probed on a descriptor of its own, since UFFDIO_API with a bit
 * that the kernel does not know fails and spoils the descriptor.
 */
#include "mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uffd.h"
#include "util.h"

#define UFFD_DEVICE_PATH	"/dev/userfaultfd"

static int
uffd_from_device(int device)
{
	int fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static int
uffd_from_path(void)
{
	int device = open(UFFD_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	int fd;

	if (device < 0)
		return -errno;
	fd = uffd_from_device(device);
	close(device);
	return fd;
}

/*
 * A descriptor before UFFDIO_API.  A refusal is always -EPERM here, whatever
 * way it came: the remedies are the same.
 */
static int
uffd_new(int device)
{
	int fd, by_path;

	if (device >= 0)
		return uffd_from_device(device);
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return fd;
	if (errno != EPERM)
		return -errno;
	by_path = uffd_from_path();
	if (by_path >= 0 || by_path == -EMFILE || by_path == -ENFILE)
		return by_path;
	return -EPERM;
}

static int
uffd_api(int fd, uint64_t want, uint64_t *ret_features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = want };

	if (ioctl(fd, UFFDIO_API, &api) < 0)
		return -errno;
	*ret_features = api.features;
	return 0;
}

static int
uffd_probe(int device, uint64_t *ret_features)
{
	int fd = uffd_new(device);
	int r;

	if (fd < 0)
		return fd;
	r = uffd_api(fd, 0, ret_features);
	close(fd);
	return r;
}

static int
uffd_failed(int code, struct swap_error *error)
{
	if (code == -EPERM)
		return error_set(error, code,
				 "this process may not watch page faults that "
				 "happen in the kernel (userfaultfd); one of "
				 "these helps: run swapd as root; set sysctl "
				 "vm.unprivileged_userfaultfd=1; give access "
				 "to " UFFD_DEVICE_PATH);
	if (code == -ENOSYS)
		return error_set(error, code,
				 "this kernel cannot page shared memory with "
				 "userfaultfd; Linux 5.19 or later is needed, "
				 "with CONFIG_USERFAULTFD");
	return error_set(error, code, "cannot open a userfaultfd: %s",
			 strerror(-code));
}

int
uffd_open(int uffd_device, uint64_t *ret_features, struct swap_error *error)
{
	uint64_t features = 0;
	int fd, r;

	r = uffd_probe(uffd_device, &features);
	if (r < 0)
		return uffd_failed(r, error);
	if ((features & UFFD_FEATURES_NEEDED) != UFFD_FEATURES_NEEDED)
		return uffd_failed(-ENOSYS, error);
	fd = uffd_new(uffd_device);
	if (fd < 0)
		return uffd_failed(fd, error);
	features &= UFFD_FEATURES_NEEDED | UFFD_FEATURES_WANTED;
	*ret_features = features;
	r = uffd_api(fd, features, &features);
	if (r < 0) {
		close(fd);
		return uffd_failed(r, error);
	}
	return fd;
}

static int
mapping_place(int memfd, void *address, uint64_t offset, uint64_t length,
	      void **ret_address, struct swap_error *error)
{
	int flags = MAP_SHARED | MAP_NORESERVE;
	void *p;

	if (address != NULL)
		flags |= MAP_FIXED_NOREPLACE;
	p = mmap(address, (size_t)length, PROT_NONE, flags, memfd,
		 (off_t)offset);
	if (p == MAP_FAILED && errno == EEXIST)
		return error_set(error, -EEXIST,
				 "there is something at address %p already",
				 address);
	if (p == MAP_FAILED)
		return error_set(error, -errno, "cannot map %llu bytes: %s",
				 (unsigned long long)length, strerror(errno));
	*ret_address = p;
	return 0;
}

static int
mapping_watch(const struct mapping *m, struct swap_error *error)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)m->address, .len = m->length },
		.mode = UFFDIO_REGISTER_MODE_MISSING |
			UFFDIO_REGISTER_MODE_WP,
	};

	if (madvise(m->address, (size_t)m->length, MADV_DONTFORK) < 0)
		return error_set(error, -errno, "cannot keep the mapping from "
				 "forked children: %s", strerror(errno));
	if (ioctl(m->uffd, UFFDIO_REGISTER, &reg) < 0)
		return error_set(error, -errno, "cannot watch the mapping "
				 "with userfaultfd: %s", strerror(errno));
	if (mprotect(m->address, (size_t)m->length,
		     PROT_READ | PROT_WRITE) < 0)
		return error_set(error, -errno, "cannot open the mapping: %s",
				 strerror(errno));
	return 0;
}

int
mapping_create(int memfd, void *address, uint64_t offset, uint64_t length,
	       int uffd_device, struct mapping *ret_mapping,
	       struct swap_error *error)
{
	struct mapping m = { .length = length };
	uint64_t mask = page_bytes() - 1;
	int r;

	if (length == 0 || length > SIZE_MAX || offset > INT64_MAX ||
	    ((offset | length | (uintptr_t)address) & mask) != 0)
		return error_set(error, -EINVAL, "address, offset and length "
				 "of a mapping must be whole pages");
	m.uffd = uffd_open(uffd_device, &m.features, error);
	if (m.uffd < 0)
		return m.uffd;
	r = mapping_place(memfd, address, offset, length, &m.address, error);
	if (r < 0) {
		close(m.uffd);
		return r;
	}
	r = mapping_watch(&m, error);
	if (r < 0) {
		munmap(m.address, (size_t)m.length);
		close(m.uffd);
		return r;
	}
	*ret_mapping = m;
	return 0;
}

static void
mapping_wake(const struct mapping *m, uint64_t address, uint64_t length)
{
	struct uffdio_range range = { .start = address, .len = length };

	/* It can fail only for a range that is none, which this is not. */
	(void)ioctl(m->uffd, UFFDIO_WAKE, &range);
}

void
mapping_destroy(struct mapping *m)
{
	void *p;

	p = mmap(m->address, (size_t)m->length, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0);
	mapping_wake(m, (uintptr_t)m->address, m->length);
	/* Where the process is out of mappings, munmap alone must do. */
	munmap(p == MAP_FAILED ? m->address : p, (size_t)m->length);
	close(m->uffd);
	m->uffd = -1;
	m->address = NULL;
}

int
mapping_set_writable(const struct mapping *m, bool writable)
{
	int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;

	return mprotect(m->address, (size_t)m->length, prot) < 0 ? -errno : 0;
}

int
mapping_poison(const struct mapping *m, uint64_t address, uint64_t length)
{
	uint64_t start = (uintptr_t)m->address;
	void *p;
	int fd;

	if (length == 0 || length > m->length || address < start ||
	    address - start > m->length - length)
		return -EINVAL;
	fd = memfd_create("swap-poison", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	p = mmap((void *)(uintptr_t)address, (size_t)length,
		 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return -errno;
	mapping_wake(m, address, length);
	return 0;
}
