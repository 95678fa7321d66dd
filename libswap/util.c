/* SPDX-License-Identifier: BSD-2-Clause */
#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

uint64_t
page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

unsigned
page_shift(void)
{
	return (unsigned)__builtin_ctzll(page_bytes());
}

static int
unit_shift(const char *unit)
{
	static const char letters[] = "KMGT";
	const char *found;

	if (*unit == '\0' || strcasecmp(unit, "B") == 0)
		return 0;
	found = strchr(letters, *unit & ~0x20);
	if (found == NULL || *found == '\0')
		return -EINVAL;
	unit++;
	if (*unit != '\0' && strcasecmp(unit, "iB") != 0 &&
	    strcasecmp(unit, "B") != 0)
		return -EINVAL;
	return 10 * (int)(found - letters + 1);
}

int
parse_size(const char *text, uint64_t *ret_bytes)
{
	unsigned long long value;
	char *end;
	int shift;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0)
		return -ERANGE;
	shift = unit_shift(end);
	if (shift < 0)
		return shift;
	if (value > (UINT64_MAX >> shift))
		return -ERANGE;
	*ret_bytes = (uint64_t)value << shift;
	return 0;
}

int
parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
	long long value;
	char *end;

	if (*text != '-' && (*text < '0' || *text > '9'))
		return -EINVAL;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || *end != '\0')
		return -EINVAL;
	if (errno != 0 || value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

char *
format_size(uint64_t bytes, char *buf, size_t len)
{
	static const char *const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB",
	};
	double value = (double)bytes;
	size_t i = 0;

	while (value >= 1023.95 && i + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		i++;
	}
	if (i == 0)
		format_cut(buf, len, "%" PRIu64 " B", bytes);
	else
		format_cut(buf, len, "%.1f %s", value, units[i]);
	return buf;
}

uint64_t
now_usec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int
pread_full(int fd, void *buf, size_t len, off_t offset)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = pread(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

int
pwrite_full(int fd, const void *buf, size_t len, off_t offset)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

void
format_cut(char *buf, size_t len, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vsnprintf(buf, len, fmt, args) < 0 && len > 0)
		buf[0] = '\0';
	va_end(args);
}

int
error_set(struct swap_error *error, int code, const char *fmt, ...)
{
	va_list args;

	if (error == NULL)
		return code;
	error->code = code;
	va_start(args, fmt);
	if (vsnprintf(error->message, sizeof(error->message), fmt, args) < 0)
		error->message[0] = '\0';
	va_end(args);
	return code;
}
