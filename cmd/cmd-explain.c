/* SPDX-License-Identifier: BSD-2-Clause */
/* swapctl explain - can this be swap, and if not, why? */
#include <stdio.h>
#include <string.h>

#include "kernel.h"
#include "kernel/explain.h"
#include "reach.h"
#include "say.h"
#include "table.h"

static const char *
verdict_word(enum explain_verdict verdict)
{
	switch (verdict) {
	case EXPLAIN_GOOD:
		return "good";
	case EXPLAIN_NOTE:
		return "note";
	case EXPLAIN_FORCE:
		return "force";
	case EXPLAIN_BAD:
		break;
	}
	return "bad";
}

static void
put_text(const struct explain *what, bool kernel)
{
	const struct explain_finding *finding = what->finding;

	for (unsigned i = 0; i < what->n; i++, finding++) {
		printf("%-5s  %-13s  %s\n", verdict_word(finding->verdict),
		       finding->topic, finding->text);
		if (finding->remedy[0] != '\0')
			printf("%24s%s\n", "-> ", finding->remedy);
	}
	if (what->worst == EXPLAIN_BAD)
		printf("%s cannot be swap as it is.\n", what->path);
	else if (what->worst == EXPLAIN_FORCE)
		printf("%s can be swap with --force.\n", what->path);
	else
		printf("%s can be swap: swapctl %son %s\n", what->path,
		       kernel ? "-p kernel " : "", what->path);
}

static int
put_json(const struct explain *what)
{
	json_t *json, *findings = json_array();

	for (unsigned i = 0; i < what->n; i++)
		json_array_append_new(findings, json_pack("{s:s,s:s,s:s,s:s}",
			"verdict", verdict_word(what->finding[i].verdict),
			"topic", what->finding[i].topic,
			"text", what->finding[i].text,
			"remedy", what->finding[i].remedy));
	json = json_pack("{s:s, s:s, s:I, s:b, s:o}", "path", what->path,
			 "verdict", verdict_word(what->worst),
			 "size_bytes", (json_int_t)what->bytes,
			 "has_header", what->has_header,
			 "findings", findings);
	return say_json(json, true);
}

static int
explain_one(const struct invocation *inv, const struct host *host,
	    const char *name, bool kernel)
{
	struct swap_error error = { 0 };
	struct explain what;
	int r = explain(host, name, kernel ? EXPLAIN_FOR_KERNEL : 0, &what,
			&error);

	if (r < 0)
		return say_error(name, &error, r);
	r = EXIT_OK;
	if (inv->json)
		r = put_json(&what);
	else
		put_text(&what, kernel);
	if (what.worst >= EXPLAIN_FORCE)
		r = EXIT_FAILED;
	explain_clear(&what);
	return r;
}

static int
explain_all(struct invocation *inv, int argc, char **argv, bool kernel)
{
	struct host host;
	int r = command_operands(inv, argc, argv), status = EXIT_OK;

	if (r != COMMAND_GOES_ON)
		return r;
	if (optind == argc)
		return say_misuse(inv, "which file or device?");
	r = reach_host(&host);
	if (r != EXIT_OK)
		return r;
	for (int i = optind; i < argc; i++) {
		r = explain_one(inv, &host, argv[i], kernel);
		if (r != EXIT_OK)
			status = r;
	}
	host_close(&host);
	return status;
}

static int
run_explain(struct invocation *inv, int argc, char **argv)
{
	return explain_all(inv, argc, argv, false);
}

static int
kernel_run_explain(struct invocation *inv, int argc, char **argv)
{
	return explain_all(inv, argc, argv, true);
}

const struct command cmd_explain = {
	.name = "explain",
	.synopsis = "DEVICE...",
	.summary = "Say why a file or device can or cannot be swap",
	.help =
	"  DEVICE             a path, LABEL=, UUID=, PARTLABEL= or PARTUUID=\n"
	"\n"
	"Nothing is changed.  It succeeds if 'on' would.",
	.run = run_explain,
	.run_kernel = kernel_run_explain,
};
