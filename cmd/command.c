/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the commands share: the options that all of them take, their help, and
 * what is said where getopt refuses.
 *
 * getopt's own messages are turned off (a leading ':' in the letters): they
 * name the program, but neither the command nor where to read on.
 */
#include "command.h"

#include <stdio.h>

#include "say.h"

static int
refused(const struct invocation *inv, int option, char **argv)
{
	const char *given = argv[optind - 1];

	if (option == ':' && given[0] == '-' && given[1] == '-')
		return say_misuse(inv, "option '%s' wants a value", given);
	if (option == ':')
		return say_misuse(inv, "option '-%c' wants a value", optopt);
	/* getopt leaves its letter in optopt if it knows the long option. */
	if (given[0] == '-' && given[1] == '-' && optopt != 0)
		return say_misuse(inv, "option '%s': it takes no value",
				  given);
	if (given[0] == '-' && given[1] == '-')
		return say_misuse(inv, "there is no option '%s'", given);
	return say_misuse(inv, "there is no option '-%c'", optopt);
}

int
command_option(struct invocation *inv, int option, char **argv)
{
	switch (option) {
	case 'p':
		inv->pager = optarg;
		return COMMAND_GOES_ON;
	case 'j':
		inv->json = true;
		return COMMAND_GOES_ON;
	case 'h':
		command_help(inv->command);
		return EXIT_OK;
	default:
		return refused(inv, option, argv);
	}
}

int
command_operands(struct invocation *inv, int argc, char **argv)
{
	static const struct option options[] = { COMMAND_OPTIONS };
	int option, r;

	while ((option = getopt_long(argc, argv, ":p:h", options,
				     NULL)) != -1) {
		r = command_option(inv, option, argv);
		if (r != COMMAND_GOES_ON)
			return r;
	}
	return COMMAND_GOES_ON;
}

int
command_plain_options(struct invocation *inv, int argc, char **argv)
{
	int r = command_operands(inv, argc, argv);

	if (r == COMMAND_GOES_ON && optind < argc)
		return say_misuse(inv, "'%s' is one word too many",
				  argv[optind]);
	return r;
}

static void
kernel_help(const struct command *command)
{
	printf("\nUsage: swapctl -p kernel %s %s [--json]\n", command->name,
	       command->kernel_synopsis);
	if (command->kernel_help[0] != '\0')
		printf("\n%s\n", command->kernel_help);
}

void
command_help(const struct command *command)
{
	printf("Usage: swapctl [-p PAGER] %s%s%s [--json]\n\n%s.\n",
	       command->name, command->synopsis[0] != '\0' ? " " : "",
	       command->synopsis, command->summary);
	if (command->help[0] != '\0')
		printf("\n%s\n", command->help);
	if (command->kernel_synopsis != NULL)
		kernel_help(command);
	printf("\n  -p, --pager PAGER  a name, the path of a socket, or kernel\n"
	       "      --json         print JSON; sizes are bytes\n"
	       "      --help         print this\n");
}
