/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Content negotiation (RFC 9110, 12.5.1), for the two forms that there are
 *
 *	Accept: application/openmetrics-text;version=1.0.0;q=0.5,
 *		text/plain;version=0.0.4;q=0.4
 *
 * Text is what everybody gets who does not ask for better: a browser and a
 * person with curl can read it, and a scraper that accepts neither form can
 * at least say what it got.  A header that makes no sense is as none.
 */
#include "exporter-accept.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define WEIGHT_MAX	1000u

/* What is between two commas. */
struct range {
	const char	*type;
	size_t		 type_len;
	const char	*version;	/* NULL: any */
	size_t		 version_len;
	unsigned	 weight;	/* thousandths */
};

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* "0.5" in thousandths; what is no weight is none. */
static unsigned
parse_weight(const char *p)
{
	unsigned weight, place = 100;

	if (*p != '0' && *p != '1')
		return 0;
	weight = (unsigned)(*p++ - '0') * WEIGHT_MAX;
	if (*p++ != '.')
		return weight;
	for (; isdigit((unsigned char)*p) && place > 0; p++, place /= 10)
		weight += (unsigned)(*p - '0') * place;
	return weight < WEIGHT_MAX ? weight : WEIGHT_MAX;
}

/* NAME=VALUE or NAME="VALUE" at @p. */
static void
parse_parameter(const char *p, struct range *range)
{
	if (strncasecmp(p, "q=", 2) == 0) {
		range->weight = parse_weight(p + 2);
	} else if (strncasecmp(p, "version=", 8) == 0) {
		p += 8;
		p += *p == '"';
		range->version = p;
		range->version_len = strcspn(p, "\", \t;");
	}
}

/* One range at @p; returns what is behind it, at the comma or the end. */
static const char *
parse_range(const char *p, struct range *range)
{
	memset(range, 0, sizeof(*range));
	range->weight = WEIGHT_MAX;
	range->type = p = skip_blanks(p);
	range->type_len = strcspn(p, " \t;,");
	p += strcspn(p, ";,");
	while (*p == ';') {
		p = skip_blanks(p + 1);
		parse_parameter(p, range);
		p += strcspn(p, ";,");
	}
	return p;
}

static bool
has_type(const struct range *range, const char *type)
{
	return range->type_len == strlen(type) &&
	       strncasecmp(range->type, type, range->type_len) == 0;
}

static bool
has_version(const struct range *range, const char *version)
{
	return range->version == NULL ||
	       (range->version_len == strlen(version) &&
		strncmp(range->version, version, range->version_len) == 0);
}

bool
accept_openmetrics(const char *accept)
{
	unsigned open = 0, text = 0;
	struct range range;

	for (const char *p = accept; p != NULL && *p != '\0';
	     p += *p == ',') {
		p = parse_range(p, &range);
		if (has_type(&range, "application/openmetrics-text") &&
		    has_version(&range, "1.0.0") && range.weight > open)
			open = range.weight;
		if (has_type(&range, "text/plain") &&
		    has_version(&range, "0.0.4") && range.weight > text)
			text = range.weight;
	}
	return open > 0 && open >= text;
}
