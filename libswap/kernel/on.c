/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Put files and devices into the kernel's swap.
 *
 * In order: make the file, if asked to; look at everything that could be wrong
 * (explain.h), which changes nothing; write a header, where there is none;
 * swapon(2).  Nothing is written before everything else is known to be right.
 * What fails after a file was made takes the file away again.
 */
#include "kernel/on.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/swap.h>
#include <unistd.h>

#include "device.h"
#include "kernel/caps.h"
#include "kernel/explain.h"
#include "kernel/header.h"
#include "probe.h"
#include "util.h"

/* Of Linux 3.4 and 3.11; older headers have only the first. */
#define FLAG_DISCARD		0x10000
#define FLAG_DISCARD_ONCE	0x20000
#define FLAG_DISCARD_PAGES	0x40000

struct on {
	const struct host *host;
	const struct kernel_on_options *options;
	struct kernel_on_result *result;
	struct explain	 explain;
};

/* ------------------------------------------------------------ may it be? */

static int
refuse(const struct on *on, const struct explain_finding *finding,
       struct swap_error *error)
{
	int code = -EINVAL;

	if (strcmp(finding->topic, "privilege") == 0)
		code = -EPERM;
	else if (strcmp(finding->topic, "in use") == 0)
		code = -EBUSY;
	else if (strcmp(finding->topic, "path") == 0)
		code = -ENOENT;
	else if (finding->verdict == EXPLAIN_FORCE)
		code = -EEXIST;
	return error_set(error, code, "%s: %s%s%s ('swapctl -p kernel explain' "
			 "tells all)", on->explain.path, finding->text,
			 finding->remedy[0] != '\0' ? "; " : "",
			 finding->remedy);
}

static int
on_check(struct on *on, struct swap_error *error)
{
	enum explain_verdict least = on->options->force ? EXPLAIN_BAD :
							  EXPLAIN_FORCE;

	if (on->explain.worst < least)
		return 0;
	for (unsigned i = 0; i < on->explain.n; i++)
		if (on->explain.finding[i].verdict == on->explain.worst)
			return refuse(on, &on->explain.finding[i], error);
	return -EINVAL;
}

/* ------------------------------------------------------------------- header */

static int
write_header(int fd, const struct on *on)
{
	uint64_t npages = on->explain.bytes / page_bytes();
	int r = 0;

	if (on->options->force)
		r = probe_wipe(fd);
	if (r == 0)
		r = header_write(fd, min_u64(npages, UINT32_MAX),
				 on->options->label);
	return r;
}

static int
on_header(struct on *on, struct swap_error *error)
{
	const char *path = on->explain.path;
	int fd, r;

	/* Of a device O_EXCL says that nobody has it; a file it would make. */
	fd = open(path, O_RDWR | O_CLOEXEC |
		  (on->explain.is_file ? 0 : O_EXCL));
	if (fd < 0)
		return error_set(error, -errno, "%s: cannot be opened for "
				 "writing its swap header: %s", path,
				 strerror(errno));
	r = write_header(fd, on);
	close(fd);
	if (r < 0)
		return error_set(error, r, "%s: writing its swap header: %s",
				 path, strerror(-r));
	on->result->header_written = true;
	return 0;
}

/* ------------------------------------------------------------------- swapon */

static int
swapon_flags(const struct kernel_on_options *options)
{
	int flags = 0;

	if (options->priority != ON_PRIORITY_ANY)
		flags |= SWAP_FLAG_PREFER |
			 (options->priority & SWAP_FLAG_PRIO_MASK);
	if (options->discard != ON_DISCARD_NO)
		flags |= FLAG_DISCARD;
	if (options->discard == ON_DISCARD_ONCE)
		flags |= FLAG_DISCARD_ONCE;
	if (options->discard == ON_DISCARD_PAGES)
		flags |= FLAG_DISCARD_PAGES;
	return flags;
}

static int
on_swapon(struct on *on, struct swap_error *error)
{
	const char *path = on->explain.path;

	if (swapon(path, swapon_flags(on->options)) == 0)
		return 0;
	switch (errno) {
	case EINVAL:
		return error_set(error, -EINVAL, "%s: the kernel refuses it "
				 "for a reason that is not known here; its "
				 "log (dmesg) may say more", path);
	case EPERM:
		return error_set(error, -EPERM, "%s: only root may turn swap "
				 "on (CAP_SYS_ADMIN), or the kernel has no "
				 "room for another device", path);
	default:
		return error_set(error, -errno, "%s: swapon: %s", path,
				 strerror(errno));
	}
}

/* -------------------------------------------------------------------- whole */

static int
check_options(const char *spec, const struct kernel_on_options *options,
	      struct swap_error *error)
{
	if (options->priority != ON_PRIORITY_ANY &&
	    (options->priority < SWAP_PRIORITY_MIN ||
	     options->priority > SWAP_PRIORITY_MAX))
		return error_set(error, -EINVAL, "%s: priority %d is not "
				 "within %d..%d", spec, options->priority,
				 SWAP_PRIORITY_MIN, SWAP_PRIORITY_MAX);
	if (options->label != NULL &&
	    strlen(options->label) > HEADER_LABEL_MAX)
		return error_set(error, -EINVAL, "%s: label '%s' is longer "
				 "than %u bytes", spec, options->label,
				 HEADER_LABEL_MAX);
	if (options->create_bytes > 0 && probe_is_tag(spec))
		return error_set(error, -EINVAL, "%s: only a file can be "
				 "made; give its path", spec);
	return 0;
}

static int
on_create(struct on *on, const char *spec, struct swap_error *error)
{
	int fd, r;

	/* What would be refused in the end must not fill a disk first. */
	if (!caps_have(on->host, CAPS_SYS_ADMIN))
		return error_set(error, -EPERM, "%s: only root may turn the "
				 "kernel's swap on (CAP_SYS_ADMIN)", spec);
	r = device_file_create(spec, on->options->create_bytes, &fd, error);
	if (r < 0)
		return r;
	/* Its space must be on the disk, not promised. */
	if (fsync(fd) < 0)
		r = error_set(error, -errno, "%s: %s", spec, strerror(errno));
	close(fd);
	on->result->created = true;
	return r;
}

static int
on_run(struct on *on, const char *spec, struct swap_error *error)
{
	int r = explain(on->host, spec, EXPLAIN_FOR_KERNEL, &on->explain,
			error);

	if (r < 0)
		return r;
	format_cut(on->result->path, sizeof(on->result->path), "%s",
		   on->explain.path);
	r = on_check(on, error);
	if (r == 0 && on->options->label != NULL && on->explain.has_header &&
	    !on->options->force)
		r = error_set(error, -EEXIST, "%s: it has a swap header; "
			      "--force writes a new one with the label",
			      on->explain.path);
	if (r == 0 && (!on->explain.has_header ||
		       (on->options->force && on->options->label != NULL)))
		r = on_header(on, error);
	if (r == 0)
		r = on_swapon(on, error);
	return r;
}

int
kernel_on(const struct host *host, const char *spec,
	  const struct kernel_on_options *options,
	  struct kernel_on_result *ret_result, struct swap_error *error)
{
	struct on on = {
		.host = host, .options = options, .result = ret_result,
	};
	int r;

	memset(ret_result, 0, sizeof(*ret_result));
	r = check_options(spec, options, error);
	if (r == 0 && options->create_bytes > 0)
		r = on_create(&on, spec, error);
	if (r == 0)
		r = on_run(&on, spec, error);
	if (r < 0 && ret_result->created)
		unlink(spec);
	explain_clear(&on.explain);
	return r;
}
