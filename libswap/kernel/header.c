/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header of Linux swap space, version 2.
 *
 * It is the first page.  At byte 1024: version, last page, number of bad
 * pages (32 bits each, native order), a UUID of 16 bytes, a label of 16; then,
 * at byte 1536, the numbers of bad pages.  The last ten bytes of the page are
 * "SWAPSPACE2", so that a header tells the page size that it was made for by
 * where it ends.  The first KiB is never written: boot code may be there.
 *
 * Limits: bad pages are counted, never written.
 */
#include "kernel/header.h"

#include <byteswap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "util.h"

#define AT_INFO		1024u
#define MAGIC_LEN	10u
#define PAGE_LEAST	4096u
#define PAGE_MOST	65536u
#define NPAGES_LEAST	10u

struct info {
	uint32_t	version;
	uint32_t	last_page;
	uint32_t	nbad;
	unsigned char	uuid[16];
	char		label[HEADER_LABEL_MAX];
};

static enum header_kind
kind_of(const char *magic)
{
	static const char *const asleep[] = {
		"S1SUSPEND", "S2SUSPEND", "ULSUSPEND", "LINHIB0001",
	};

	if (memcmp(magic, "SWAPSPACE2", MAGIC_LEN) == 0)
		return HEADER_SWAP;
	if (memcmp(magic, "SWAP-SPACE", MAGIC_LEN) == 0)
		return HEADER_SWAP_OLD;
	for (size_t i = 0; i < ARRAY_SIZE(asleep); i++)
		if (memcmp(magic, asleep[i], strlen(asleep[i])) == 0)
			return HEADER_HIBERNATED;
	return HEADER_NONE;
}

static void
uuid_text(const unsigned char uuid[16], char *text)
{
	static const unsigned char zeros[16];
	static const char digits[] = "0123456789abcdef";

	*text = '\0';
	if (memcmp(uuid, zeros, sizeof(zeros)) == 0)
		return;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		*text++ = digits[uuid[i] >> 4];
		*text++ = digits[uuid[i] & 15];
	}
	*text = '\0';
}

static void
parse_info(const char *page, struct header *header)
{
	struct info info;

	memcpy(&info, page + AT_INFO, sizeof(info));
	if (info.version == bswap_32(1)) {
		header->kind = HEADER_SWAP_FOREIGN;
		info.version = bswap_32(info.version);
		info.last_page = bswap_32(info.last_page);
		info.nbad = bswap_32(info.nbad);
	}
	header->version = info.version;
	header->last_page = info.last_page;
	header->nbad = info.nbad;
	uuid_text(info.uuid, header->uuid);
	memcpy(header->label, info.label, HEADER_LABEL_MAX);
	header->label[HEADER_LABEL_MAX] = '\0';
}

/* As much of the start as there is, up to @len bytes. */
static ssize_t
read_start(int fd, char *buf, size_t len)
{
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		n = pread(fd, buf + have, len - have, (off_t)have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int
header_read(int fd, struct header *ret_header)
{
	char *buf = malloc(PAGE_MOST);
	enum header_kind kind;
	ssize_t have;

	memset(ret_header, 0, sizeof(*ret_header));
	if (buf == NULL)
		return -ENOMEM;
	have = read_start(fd, buf, PAGE_MOST);
	for (uint32_t page = PAGE_LEAST; (ssize_t)page <= have; page *= 2) {
		kind = kind_of(buf + page - MAGIC_LEN);
		if (kind == HEADER_NONE)
			continue;
		ret_header->kind = kind;
		ret_header->page_bytes = page;
		parse_info(buf, ret_header);
		break;
	}
	free(buf);
	return have < 0 ? (int)have : 0;
}

static int
uuid_make(unsigned char uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		return -EIO;
	/* RFC 9562: version 4, variant 1. */
	uuid[6] = (unsigned char)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (unsigned char)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

static int
write_page(int fd, const struct info *info)
{
	size_t len = (size_t)page_bytes() - AT_INFO;
	char *buf = calloc(1, len);
	int r;

	if (buf == NULL)
		return -ENOMEM;
	memcpy(buf, info, sizeof(*info));
	memcpy(buf + len - MAGIC_LEN, "SWAPSPACE2", MAGIC_LEN);
	r = pwrite_full(fd, buf, len, AT_INFO);
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	free(buf);
	return r;
}

int
header_write(int fd, uint64_t npages, const char *label)
{
	struct info info = { .version = 1 };
	size_t len = label != NULL ? strlen(label) : 0;
	int r;

	if (npages < NPAGES_LEAST || len > HEADER_LABEL_MAX)
		return -EINVAL;
	if (npages - 1 > UINT32_MAX)
		return -EFBIG;
	info.last_page = (uint32_t)(npages - 1);
	if (len > 0)
		memcpy(info.label, label, len);
	r = uuid_make(info.uuid);
	return r == 0 ? write_page(fd, &info) : r;
}
