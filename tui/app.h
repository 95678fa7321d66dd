/* SPDX-License-Identifier: BSD-2-Clause */
/* app.h - swaptop on a screen: what it is doing just now (floor 8) */
#ifndef SWAP_APP_H
#define SWAP_APP_H

#include "engine.h"
#include "off.h"
#include "sampler.h"
#include "lines.h"
#include "view.h"

/* The least window; below it nothing but that is said. */
#define APP_ROWS	15u
#define APP_COLS	60u

#define KEYS_SHOWN	24u	/* at the bottom, that can be clicked */

#define DELAY_MIN_USEC	UINT64_C(100000)
#define DELAY_MAX_USEC	UINT64_C(3600000000)

/* What the command line says. */
struct options {
	const char	*pager;		/* NULL: the default */
	const char	*replay;	/* NULL: no recording */
	uint64_t	 delay_usec;
	int64_t		 count;		/* 0: endless */
	unsigned	 views;		/* bits of enum view_number; 0: all */
	bool		 batch;
	bool		 json;
	bool		 ascii;
	bool		 readonly;
	bool		 has_scheme;
	enum scheme	 scheme;
};

enum dialog {
	DIALOG_NONE,
	DIALOG_HELP,
	DIALOG_INSPECT,
	DIALOG_MESSAGE,
	DIALOG_CONFIRM,		/* turn a device off? */
	DIALOG_OFF,		/* how far that is */
};

enum prompt {
	PROMPT_NONE,
	PROMPT_SEARCH,
	PROMPT_FILTER,
	PROMPT_DELAY,
};

/* Something at the bottom, or a tab, that can be clicked. */
struct spot_key {
	unsigned	row, from, to;	/* columns */
	unsigned	key;
};

struct app {
	const struct options *options;
	struct engine	*engine;
	struct source	*source;
	struct sampler	*sampler;
	struct picture	 picture;
	struct scene	 scene;
	struct canvas	 canvas;
	enum view_number view;
	enum scheme	 scheme;
	uint64_t	 delay_usec;
	bool		 paused;
	bool		 quit;
	enum dialog	 dialog;
	struct lines	 message;	/* of DIALOG_MESSAGE */
	size_t		 top;		/* of the dialog's lines */
	char		 device[256];	/* to be turned off */
	struct off	*off;
	struct off_state off_state;
	enum prompt	 prompt;
	char		 input[64];
	char		 before[64];	/* the filter, should Escape come */
	struct spot_key	 keys[KEYS_SHOWN];
	unsigned	 nkeys;
};

/* Run until the user, or the count, ends it.  0, or an exit status. */
int app_run(const struct options *options, struct source *source);

/* screen.c: draw everything. */
void screen_draw(struct app *app);

/* dialog.c: draw what stands over the view, and its keys. */
void dialog_draw(struct app *app);
/* False: no dialog or prompt is open. */
bool dialog_key(struct app *app, const struct input *input);
void dialog_help(struct app *app);
void dialog_inspect(struct app *app);
void dialog_message(struct app *app, const char *title, const char *words);
void dialog_off(struct app *app);
void dialog_prompt(struct app *app, enum prompt prompt);

#endif
