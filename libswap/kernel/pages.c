/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The swapped pages of one process, from its pagemap.
 *
 * An entry of /proc/PID/pagemap is 64 bits for a page: bit 62 says swapped,
 * bits 0 to 4 are the number of the device, bits 5 to 54 the slot.  The kernel
 * puts other things where a swapped page's entry would be (a page that is
 * moving, one that is poisoned, userfaultfd's markers) and gives them the
 * highest numbers: whoever asks must know which numbers are devices.
 *
 * Two ways to find swapped pages.  PAGEMAP_SCAN answers with ranges and skips
 * empty page tables; then only their entries are read.  Older kernels have the
 * entries alone, for every page of every mapping.  Both go mapping by mapping,
 * since what a page belongs to decides how it can be brought back: of a
 * private mapping of a file, MADV_WILLNEED would read the file.
 *
 * Memory: two buffers of 64 KiB and the text of maps.  Without CAP_SYS_ADMIN
 * the kernel shows that a page is swapped, but as slot 0 of device 0.
 */
#include "kernel/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util.h"

/* From <linux/fs.h> of Linux 6.7; older headers do not have them. */
struct scan_region {
	uint64_t	start;
	uint64_t	end;
	uint64_t	categories;
};
struct scan_arg {
	uint64_t	size;
	uint64_t	flags;
	uint64_t	start;
	uint64_t	end;
	uint64_t	walk_end;
	uint64_t	vec;
	uint64_t	vec_len;
	uint64_t	max_pages;
	uint64_t	category_inverted;
	uint64_t	category_mask;
	uint64_t	category_anyof_mask;
	uint64_t	return_mask;
};
#define SCAN_IOCTL	_IOWR('f', 16, struct scan_arg)
#define SCAN_SWAPPED	(UINT64_C(1) << 4)

#define ENTRY_SWAPPED	(UINT64_C(1) << 62)
#define NENTRIES	8192u
#define NREGIONS	1024u

struct walk {
	int		 fd;		/* pagemap */
	bool		 plain;		/* no PAGEMAP_SCAN here */
	uint64_t	 page;
	uint64_t	*entries;	/* NENTRIES of them */
	struct scan_region *regions;	/* NREGIONS of them */
	struct page_run	 run;		/* npages 0: none begun */
	page_run_fn	*each;
	void		*arg;
};

static int
walk_flush(struct walk *walk)
{
	int r = 0;

	if (walk->run.npages > 0)
		r = walk->each(walk->arg, &walk->run);
	walk->run.npages = 0;
	return r;
}

static int
walk_page(struct walk *walk, uint64_t address, uint64_t entry, bool of_file)
{
	unsigned number = (unsigned)(entry & (PAGES_NUMBERS - 1));
	uint64_t slot = entry << 9 >> 14;
	struct page_run *run = &walk->run;
	int r;

	if (run->npages > 0 && run->number == number &&
	    run->of_file == of_file && run->slot + run->npages == slot &&
	    run->address + run->npages * walk->page == address) {
		run->npages++;
		return 0;
	}
	r = walk_flush(walk);
	*run = (struct page_run){
		.number = number, .of_file = of_file, .slot = slot,
		.address = address, .npages = 1,
	};
	return r;
}

/* Read entries for up to @n pages at @address; how many there were. */
static ssize_t
read_entries(struct walk *walk, uint64_t address, uint64_t n)
{
	size_t len = (size_t)min_u64(n, NENTRIES) * sizeof(uint64_t);
	off_t at = (off_t)(address / walk->page * sizeof(uint64_t));
	ssize_t got;

	do {
		got = pread(walk->fd, walk->entries, len, at);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got / (ssize_t)sizeof(uint64_t);
}

static int
walk_entries(struct walk *walk, uint64_t start, uint64_t end, bool of_file)
{
	ssize_t n = 1;
	int r = 0;

	while (start < end && n > 0 && r == 0) {
		n = read_entries(walk, start, (end - start) / walk->page);
		for (ssize_t i = 0; i < n && r == 0; i++)
			if (walk->entries[i] & ENTRY_SWAPPED)
				r = walk_page(walk, start +
					      (uint64_t)i * walk->page,
					      walk->entries[i], of_file);
		if (n > 0)
			start += (uint64_t)n * walk->page;
	}
	return n < 0 ? (int)n : r;
}

/* One PAGEMAP_SCAN from *@start on, which it moves; number of regions. */
static int
scan_regions(struct walk *walk, uint64_t *start, uint64_t end)
{
	struct scan_arg arg = {
		.size = sizeof(arg), .start = *start, .end = end,
		.vec = (uint64_t)(uintptr_t)walk->regions,
		.vec_len = NREGIONS,
		.category_mask = SCAN_SWAPPED, .return_mask = SCAN_SWAPPED,
	};
	int n;

	do {
		n = ioctl(walk->fd, SCAN_IOCTL, &arg);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	/*
	 * Seen with Linux 6.18: where the answer is full, the walk's end lies
	 * before the last range's.
	 */
	if (n > 0)
		arg.walk_end = max_u64(arg.walk_end,
				       walk->regions[n - 1].end);
	*start = arg.walk_end > *start ? arg.walk_end : end;
	return n;
}

static int
walk_scanned(struct walk *walk, uint64_t start, uint64_t end, bool of_file)
{
	int n, r = 0;

	while (start < end && r == 0) {
		n = scan_regions(walk, &start, end);
		if (n < 0)
			return n;
		for (int i = 0; i < n && r == 0; i++)
			r = walk_entries(walk, walk->regions[i].start,
					 walk->regions[i].end, of_file);
	}
	return r;
}

static int
walk_mapping(struct walk *walk, const struct page_mapping *mapping,
	     uint64_t from)
{
	uint64_t start = max_u64(mapping->start, from);
	bool of_file = mapping->inode != 0;
	int r;

	/* Beyond the user's half pagemap has nothing. */
	if (mapping->shared || mapping->end <= start ||
	    mapping->end > INT64_MAX)
		return 0;
	if (!walk->plain) {
		r = walk_scanned(walk, start, mapping->end, of_file);
		if (r != -ENOTTY && r != -EINVAL)
			return r;
		walk->plain = true;
	}
	return walk_entries(walk, start, mapping->end, of_file);
}

bool
page_mapping_parse(char *line, struct page_mapping *ret_mapping)
{
	struct page_mapping mapping = { 0 };
	char perms[5] = "";
	int at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64
		   " %x:%x %" SCNu64 " %n", &mapping.start, &mapping.end,
		   perms, &mapping.offset, &mapping.major, &mapping.minor,
		   &mapping.inode, &at) != 7 || strlen(perms) != 4)
		return false;
	mapping.shared = perms[3] == 's';
	mapping.name = line + at;
	*ret_mapping = mapping;
	return true;
}

static int
walk_maps(struct walk *walk, char *maps, uint64_t from)
{
	struct page_mapping mapping;
	char *cursor = maps, *line;
	int r = 0;

	while (r == 0 && (line = text_line(&cursor)) != NULL)
		if (page_mapping_parse(line, &mapping))
			r = walk_mapping(walk, &mapping, from);
	return r == 0 ? walk_flush(walk) : r;
}

static int
walk_process(struct walk *walk, char *maps, uint64_t from)
{
	int r = -ENOMEM;

	walk->page = page_bytes();
	walk->entries = malloc(NENTRIES * sizeof(*walk->entries));
	walk->regions = malloc(NREGIONS * sizeof(*walk->regions));
	if (walk->entries != NULL && walk->regions != NULL)
		r = walk_maps(walk, maps, from);
	free(walk->entries);
	free(walk->regions);
	return r;
}

int
pages_each(const struct host *host, int32_t pid, uint64_t from,
	   page_run_fn *each, void *arg)
{
	struct walk walk = { .each = each, .arg = arg };
	char path[64], *maps;
	ssize_t r = host_read_pid(host, pid, "maps", &maps);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : (int)r;
	format_cut(path, sizeof(path), "%d/pagemap", (int)pid);
	walk.fd = openat(host->proc, path, O_RDONLY | O_CLOEXEC);
	if (walk.fd < 0) {
		r = errno == ENOENT ? -ESRCH : -errno;
	} else {
		r = walk_process(&walk, maps, from);
		close(walk.fd);
	}
	free(maps);
	return (int)r;
}
