/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapctl - control swap pagers and look into them
 *
 * The table below is all that this file knows of the commands; each has a
 * file of its own.  What is left here: the options before the command, help,
 * a guess at a mistyped command, and the BSD spellings (swapctl -l, -a DEVICE
 * and so on), which are translated into a command and its options and then
 * run like one that was typed.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "compiler.h"
#include "nearest.h"
#include "reach.h"
#include "say.h"
#include "swap.h"

static const struct command *const commands[] = {
	&cmd_on, &cmd_off, &cmd_status, &cmd_objects, &cmd_map, &cmd_get,
	&cmd_set, &cmd_drain, &cmd_explain, &cmd_list,
	&cmd_export, &cmd_events,
};

/* Options of the BSD spellings that "list" knows by the same letter. */
#define LIST_LETTERS	"lskmgh"

static const char usage_text[] =
	"Usage: swapctl [-p PAGER] COMMAND [ARGUMENT...] [--json]\n"
	"       swapctl help COMMAND\n"
	"\n"
	"Control swap pagers and look into them.\n"
	"\n";

static const char usage_options[] =
	"\n"
	"  -p, --pager PAGER  a name, or the path of a socket; or \"kernel\";\n"
	"                     without it $SWAPCTL_PAGER, else \"default\"\n"
	"      --json         print JSON; sizes are bytes\n"
	"      --help         print this, or the help of a command\n"
	"      --version      print the version\n"
	"\n"
	"BSD spellings: -l [-kmgh], -s [-kmgh], -a DEVICE..., "
	"-d DEVICE..., -U\n";

static void
usage(FILE *out)
{
	fputs(usage_text, out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-9s %s\n", commands[i]->name,
			commands[i]->summary);
	fputs(usage_options, out);
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

static int
unknown_command(const struct invocation *inv, const char *name)
{
	const char *names[ARRAY_SIZE(commands) + 1];
	const char *meant;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i]->name;
	names[ARRAY_SIZE(commands)] = "help";
	meant = nearest_word(name, names, ARRAY_SIZE(names));
	if (meant == NULL)
		return say_misuse(inv, "there is no command '%s'", name);
	return say_misuse(inv, "there is no command '%s'; did you mean '%s'?",
			  name, meant);
}

static int
run_help(const struct invocation *inv, const char *name)
{
	const struct command *command;

	if (name == NULL || strcmp(name, "help") == 0) {
		usage(stdout);
		return EXIT_OK;
	}
	command = find_command(name);
	if (command == NULL)
		return unknown_command(inv, name);
	command_help(command);
	return EXIT_OK;
}

static int
run_command(struct invocation *inv, const struct command *command, int argc,
	    char **argv)
{
	inv->command = command;
	/* Zero makes getopt_long() start afresh on this other argv. */
	optind = 0;
	if (command->run_kernel != NULL && reach_is_kernel(inv, argc, argv))
		return command->run_kernel(inv, argc, argv);
	return command->run(inv, argc, argv);
}

/* The option letters of a BSD spelling, as they were typed. */
struct spelling {
	char	action;		/* 'l', 's', 'a', 'd', 'U'; 0: none yet */
	char	letters[16];	/* for "list" */
	size_t	nletters;
	bool	help;		/* -h alone asks for help */
};

static int
spelling_take(const struct invocation *inv, struct spelling *spelling,
	      char letter)
{
	bool listing = strchr(LIST_LETTERS, letter) != NULL;

	if (letter == 'A' && !reach_is_kernel(inv, 0, NULL)) {
		say_failure("-A: a swapd's pager does not read fstab(5); name "
			    "the devices with 'swapctl on DEVICE', or start "
			    "swapd with --on DEVICE");
		return EXIT_MISUSED;
	}
	if (listing && spelling->nletters + 1 < sizeof(spelling->letters))
		spelling->letters[spelling->nletters++] = letter;
	if (letter == 'h')
		spelling->help = true;
	if (strchr("lsadAU", letter) == NULL)
		return COMMAND_GOES_ON;
	if (spelling->action != '\0' && spelling->action != letter &&
	    !(listing && strchr("ls", spelling->action) != NULL))
		return say_misuse(inv, "-%c and -%c do not go together",
				  spelling->action, letter);
	spelling->action = letter;
	return COMMAND_GOES_ON;
}

/* Run what a BSD spelling means, with the @argc operands behind it. */
static int
spelling_run(struct invocation *inv, struct spelling *spelling, int argc,
	     char **argv)
{
	const struct command *command = &cmd_list;
	char options[sizeof(spelling->letters) + 1];
	char *head[2] = { options, NULL }, **words;
	int n = 0, r;

	if (spelling->action == 'a' || spelling->action == 'A')
		command = &cmd_on;
	else if (spelling->action == 'd' || spelling->action == 'U')
		command = &cmd_off;
	if (command == &cmd_list)
		snprintf(options, sizeof(options), "-%s", spelling->letters);
	else if (spelling->action == 'U' || spelling->action == 'A')
		snprintf(options, sizeof(options), "-a");
	else
		head[0] = NULL;
	words = calloc((size_t)argc + 3, sizeof(*words));
	if (words == NULL)
		return say_no_memory();
	words[n++] = argv[-1];
	if (head[0] != NULL)
		words[n++] = head[0];
	for (int i = 0; i < argc; i++)
		words[n++] = argv[i];
	r = run_command(inv, command, n, words);
	free(words);
	return r;
}

static int
global_option(struct invocation *inv, struct spelling *spelling, int option,
	      char **argv)
{
	switch (option) {
	case 'V':
		printf("swapctl (swapkit) %s\n", SWAP_VERSION);
		return EXIT_OK;
	case 'H':
		usage(stdout);
		return EXIT_OK;
	case 'p':
	case 'j':
	case ':':
	case '?':
		return command_option(inv, option, argv);
	default:
		return spelling_take(inv, spelling, (char)option);
	}
}

static int
swapctl(struct invocation *inv, int argc, char **argv)
{
	static const struct option options[] = {
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'H' },
		COMMAND_OPTIONS,
	};
	struct spelling spelling = { 0 };
	const struct command *command;
	int option, r;

	while ((option = getopt_long(argc, argv, "+:p:hlskmgadAU", options,
				     NULL)) != -1) {
		r = global_option(inv, &spelling, option, argv);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	if (spelling.action != '\0')
		return spelling_run(inv, &spelling, argc - optind,
				    argv + optind);
	if (spelling.help)
		return run_help(inv, NULL);
	if (spelling.nletters > 0)
		return say_misuse(inv, "-%c goes with -l or -s",
				  spelling.letters[0]);
	if (optind == argc) {
		usage(stderr);
		return EXIT_MISUSED;
	}
	argv += optind;
	argc -= optind;
	if (strcmp(argv[0], "help") == 0)
		return run_help(inv, argv[1]);
	command = find_command(argv[0]);
	if (command == NULL)
		return unknown_command(inv, argv[0]);
	return run_command(inv, command, argc, argv);
}

int
main(int argc, char **argv)
{
	struct invocation inv = { 0 };

	setlocale(LC_CTYPE, "");
	return say_end(swapctl(&inv, argc, argv));
}
