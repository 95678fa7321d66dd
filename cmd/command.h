/* SPDX-License-Identifier: BSD-2-Clause */
/* command.h - what a command of swapctl is (floor 8) */
#ifndef SWAP_COMMAND_H
#define SWAP_COMMAND_H

#include <getopt.h>
#include <stdbool.h>

/* What a command returns: the exit status of swapctl. */
#define EXIT_OK		0
#define EXIT_FAILED	1	/* an operation failed */
#define EXIT_MISUSED	2	/* the command line is wrong */

/* From command_option(): nothing to return yet, go on. */
#define COMMAND_GOES_ON	(-1)

struct command;

/* One call of swapctl. */
struct invocation {
	const struct command	*command;	/* NULL before it is known */
	const char		*pager;		/* of -p; NULL: not given */
	bool			 json;
};

/* Texts are data: swapctl prints them, and they end without a newline. */
struct command {
	const char	*name;
	const char	*synopsis;	/* behind the name */
	const char	*summary;	/* one line, no full stop */
	const char	*help;		/* lines for its options */
	/* @argv[0] is the command's name. */
	int		(*run)(struct invocation *inv, int argc, char **argv);
	/* With -p kernel; NULL: run() says that it is not for that. */
	int		(*run_kernel)(struct invocation *inv, int argc,
				      char **argv);
	const char	*kernel_synopsis;	/* NULL: as above */
	const char	*kernel_help;
};

extern const struct command cmd_drain;
extern const struct command cmd_events;
extern const struct command cmd_explain;
extern const struct command cmd_export;
extern const struct command cmd_get;
extern const struct command cmd_list;
extern const struct command cmd_map;
extern const struct command cmd_objects;
extern const struct command cmd_off;
extern const struct command cmd_on;
extern const struct command cmd_set;
extern const struct command cmd_status;

/* For the long options of every command; "+:"-style letters: "p:h". */
#define COMMAND_OPTIONS \
	{ "pager", required_argument, NULL, 'p' }, \
	{ "json", no_argument, NULL, 'j' }, \
	{ "help", no_argument, NULL, 'h' }, \
	{ NULL, 0, NULL, 0 }

/*
 * Handle an option that is not the command's own: the three above, and what
 * getopt_long() refuses.  COMMAND_GOES_ON, or what the command returns.
 */
int command_option(struct invocation *inv, int option, char **argv);

/*
 * The whole parsing of a command that has only those three; what is left
 * begins at optind.  COMMAND_GOES_ON, or what the command returns.
 */
int command_operands(struct invocation *inv, int argc, char **argv);
/* The same for one without operands. */
int command_plain_options(struct invocation *inv, int argc, char **argv);

/* Print a command's help. */
void command_help(const struct command *command);

#endif
