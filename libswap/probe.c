/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device carries, by libblkid's low-level probing.
 *
 * Everything that libblkid can find is looked at, one signature after the
 * other, and not only the one that it would settle on: a disk with a swap
 * header and an old filesystem is a disk with something to lose, and so is a
 * superblock whose checksum is wrong.  Linux swap (mkswap) is the one
 * signature that is nothing to lose: its header survives in the first 8 KiB.
 * A hibernation image is not swap in this sense.
 *
 * Tags are looked up with an empty cache: what is on the devices now counts,
 * and no cache file is read or left behind.  Cost: a look at the start and the
 * end of the device; a tag without udev's links costs that for every device.
 *
 * Limits: data without a signature, or with an invalid GPT header, is not
 * recognized.
 */
#include "probe.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util.h"

static const struct {
	const char *prefix;
	const char *noun;
} tags[] = {
	{ "LABEL=", "label" },
	{ "UUID=", "UUID" },
	{ "PARTLABEL=", "partition label" },
	{ "PARTUUID=", "partition UUID" },
};

/* Index of the tag that @spec starts with, or -1: it is a path. */
static int
tag_of(const char *spec)
{
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		if (strncmp(spec, tags[i].prefix, strlen(tags[i].prefix)) == 0)
			return (int)i;
	}
	return -1;
}

bool
probe_is_tag(const char *spec)
{
	return tag_of(spec) >= 0;
}

static int
resolve_tag(const char *spec, int tag, char **ret_path,
	    struct swap_error *error)
{
	const char *value = spec + strlen(tags[tag].prefix);
	blkid_cache cache = NULL;
	char *path = NULL;

	if (*value != '\0' && blkid_get_cache(&cache, "/dev/null") == 0) {
		path = blkid_evaluate_spec(spec, &cache);
		blkid_put_cache(cache);
	}
	if (path == NULL)
		return error_set(error, -ENOENT,
				 "%s: no device has the %s '%s'; blkid(8) "
				 "lists the devices", spec, tags[tag].noun,
				 value);
	*ret_path = path;
	return 0;
}

int
probe_resolve(const char *spec, char **ret_path, struct swap_error *error)
{
	int tag = tag_of(spec);
	char *path;

	if (tag >= 0)
		return resolve_tag(spec, tag, ret_path, error);
	if (*spec == '\0')
		return error_set(error, -ENOENT, "the device name is empty; "
				 "give a path, LABEL=, UUID=, PARTLABEL= or "
				 "PARTUUID=");
	path = strdup(spec);
	if (path == NULL)
		return error_set(error, -ENOMEM, "%s: out of memory", spec);
	*ret_path = path;
	return 0;
}

/* The value called @name of the signature just found; NULL: it has none. */
static const char *
value_of(blkid_probe probe, const char *name)
{
	const char *value;

	if (blkid_probe_lookup_value(probe, name, &value, NULL) != 0)
		return NULL;
	return value;
}

/* Names that are spelled out take "an" for what their first letter says. */
static const char *
article(const char *name)
{
	static const char *const spelled[] = { "xfs", "f2fs", "ntfs", "hfs" };

	if (strchr("aeioAEIO", *name) != NULL)
		return "an";
	for (size_t i = 0; i < ARRAY_SIZE(spelled); i++) {
		if (strcmp(name, spelled[i]) == 0)
			return "an";
	}
	return "a";
}

static void
describe_member(const char *type, const char *usage, char *what, size_t len)
{
	if (strcmp(type, "LVM2_member") == 0)
		format_cut(what, len, "an LVM2 member");
	else if (strcmp(type, "linux_raid_member") == 0)
		format_cut(what, len, "a Linux RAID member");
	else if (strcmp(type, "swsuspend") == 0)
		format_cut(what, len, "a hibernation image");
	else if (strcmp(usage, "crypto") == 0)
		format_cut(what, len, "an encrypted volume (%s)", type);
	else if (strcmp(usage, "raid") == 0)
		format_cut(what, len, "a RAID member (%s)", type);
	else
		format_cut(what, len, "data of type %s", type);
}

static void
describe_filesystem(const char *type, const char *label, char *what,
		    size_t len)
{
	if (label != NULL && *label != '\0')
		format_cut(what, len, "%s %s filesystem labelled %s",
			   article(type), type, label);
	else
		format_cut(what, len, "%s %s filesystem", article(type), type);
}

static void
describe_table(const char *type, char *what, size_t len)
{
	if (strcmp(type, "gpt") == 0)
		format_cut(what, len, "a GPT partition table");
	else if (strcmp(type, "dos") == 0)
		format_cut(what, len, "a DOS partition table");
	else
		format_cut(what, len, "a partition table (%s)", type);
}

/* Is the signature just found something to lose?  If so, describe it. */
static bool
precious(blkid_probe probe, char *what, size_t len)
{
	const char *type = value_of(probe, "TYPE");
	const char *usage = value_of(probe, "USAGE");
	const char *table = value_of(probe, "PTTYPE");

	if (type != NULL && strcmp(type, "swap") == 0)
		return false;
	if (type != NULL && usage != NULL && strcmp(usage, "filesystem") == 0)
		describe_filesystem(type, value_of(probe, "LABEL"), what, len);
	else if (type != NULL)
		describe_member(type, usage != NULL ? usage : "", what, len);
	else if (table != NULL)
		describe_table(table, what, len);
	else
		format_cut(what, len, "an unknown signature");
	return true;
}

static int
probe_setup(blkid_probe probe, int fd)
{
	errno = 0;
	if (blkid_probe_set_device(probe, fd, 0, 0) != 0 ||
	    blkid_probe_enable_superblocks(probe, 1) != 0 ||
	    blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE |
					      BLKID_SUBLKS_USAGE |
					      BLKID_SUBLKS_LABEL |
					      BLKID_SUBLKS_BADCSUM) != 0 ||
	    blkid_probe_enable_partitions(probe, 1) != 0 ||
	    blkid_probe_set_partitions_flags(probe,
					     BLKID_PARTS_FORCE_GPT) != 0)
		return errno != 0 ? -errno : -EIO;
	return 0;
}

int
probe_contents(int fd, char *what, size_t len)
{
	blkid_probe probe = blkid_new_probe();
	int found;
	int rc;

	if (probe == NULL)
		return -ENOMEM;
	rc = probe_setup(probe, fd);
	while (rc == 0) {
		errno = 0;
		found = blkid_do_probe(probe);
		if (found == 1)
			break;		/* nothing more */
		if (found != 0)
			rc = errno != 0 ? -errno : -EIO;
		else if (precious(probe, what, len))
			rc = 1;
	}
	blkid_free_probe(probe);
	return rc;
}

int
probe_wipe(int fd)
{
	blkid_probe probe = blkid_new_probe();
	int found = 0;
	int rc;

	if (probe == NULL)
		return -ENOMEM;
	rc = probe_setup(probe, fd);
	if (rc == 0 && (blkid_probe_set_superblocks_flags(
				probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE |
				BLKID_SUBLKS_BADCSUM | BLKID_SUBLKS_MAGIC) != 0 ||
			blkid_probe_set_partitions_flags(
				probe, BLKID_PARTS_FORCE_GPT |
				BLKID_PARTS_MAGIC) != 0))
		rc = -EIO;
	while (rc == 0 && found == 0) {
		errno = 0;
		found = blkid_do_probe(probe);
		if (found < 0 || (found == 0 &&
				  blkid_do_wipe(probe, 0) != 0))
			rc = errno != 0 ? -errno : -EIO;
	}
	blkid_free_probe(probe);
	return rc;
}
