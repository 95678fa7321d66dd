/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.h - what swaptop shows (floor 8)
 *
 * A view is a table of functions over the picture, and draws on a canvas.  It
 * does not know whether that is a screen.  What the user has chosen is in the
 * scene, so that a view that is left and entered again is as it was.
 */
#ifndef SWAP_VIEW_H
#define SWAP_VIEW_H

#include "canvas.h"
#include "glyphs.h"
#include "list.h"
#include "picture.h"

/* Keys: characters, and these. */
enum key {
	KEYS_NONE = 0x110000,
	KEYS_UP, KEYS_DOWN, KEYS_LEFT, KEYS_RIGHT,
	KEYS_PAGE_UP, KEYS_PAGE_DOWN, KEYS_HOME, KEYS_END,
	KEYS_TAB, KEYS_BACK_TAB, KEYS_ENTER, KEYS_ESCAPE, KEYS_ERASE,
	KEYS_REDRAW,
	KEYS_F1, KEYS_F2, KEYS_F3, KEYS_F4, KEYS_F5, KEYS_F6, KEYS_F7,
	KEYS_F8, KEYS_F9, KEYS_F10,
	KEYS_CLICK, KEYS_WHEEL_UP, KEYS_WHEEL_DOWN,
};

struct input {
	unsigned	key;		/* a character, or enum key */
	unsigned	row, col;	/* of the mouse */
};

enum units {
	UNITS_BINARY,	/* K, M, G by 1024 */
	UNITS_DECIMAL,	/* by 1000 */
	UNITS_PAGES,
	UNITS_KINDS,
};

enum view_number {
	VIEW_OVERVIEW,
	VIEW_DEVICES,
	VIEW_MAP,
	VIEW_OBJECTS,
	VIEW_FAULTS,
	VIEWS,
};

/* Where a device's map stands. */
struct map_place {
	char		 path[256];
	uint64_t	 nblocks;	/* of the device */
	uint64_t	 first, span;	/* blocks that are shown; span 0: all */
	uint64_t	 cursor;	/* a block */
};

/* A pane of the map as it was drawn last. */
struct map_pane {
	unsigned	 place;		/* of map_scene */
	struct area	 grid;		/* rows of cells */
	size_t		 ncells;
};

struct map_scene {
	struct map_place places[MAPS_MAX];
	unsigned	 nplaces;
	unsigned	 active;	/* of these: has the cursor */
	bool		 alone;		/* it alone is shown */
	struct map_pane	 panes[MAPS_MAX];
	unsigned	 npanes;
};

struct objects_scene {
	struct list	 list;
	size_t		*order;		/* rows that are shown: indexes */
	size_t		 n;
	uint64_t	 selected;	/* an id; 0: the first row */
	char		 filter[64];
	char		 search[64];
};

struct scene {
	const struct picture *picture;
	bool		 screen;	/* there is a cursor, and a size */
	bool		 utf8;
	bool		 readonly;
	bool		 is_swapd;
	enum units	 units;
	struct list	 devices;
	char		 device[256];	/* selected; "": the first */
	struct map_scene map;
	struct objects_scene objects;
	bool		 faults_now;	/* of the last interval only */
	unsigned	 events_top;
};

/* Lines of a dialog. */
struct lines;

struct view {
	const char	*name;		/* for --view */
	const char	*title;
	const char	*keys;		/* "Enter inspect\0+- zoom\0..." */
	/* Draw; in text, as many rows as it wants. */
	void		(*draw)(struct scene *scene, struct canvas *canvas,
				const struct area *area);
	/* Take a key, or the mouse; false: it is not for this view. */
	bool		(*key)(struct scene *scene, const struct input *input);
	/* What maps it needs; NULL: none. */
	void		(*wish)(struct scene *scene, struct wishes *wishes);
	/* Tell all about what the cursor is on; false: nothing. */
	bool		(*inspect)(struct scene *scene, struct lines *text);
};

extern const struct view view_overview, view_devices, view_map, view_objects,
			 view_faults;
extern const struct view *const views[VIEWS];

/* Before the first picture; and at the end. */
void scene_init(struct scene *scene, const struct picture *picture);
void scene_free(struct scene *scene);

/* An amount of memory in the units of the scene: "1.5G", "393kp". */
char *amount(const struct scene *scene, uint64_t bytes, char *buf,
	     size_t len);
/* A rate of that; "-" while none is known. */
char *amount_rate(const struct scene *scene, uint64_t bytes, char *buf,
		  size_t len);
/* A count in at most five characters: "950", "12.3k". */
char *short_count(uint64_t n, char *buf, size_t len);
/* "850ns", "1.2ms", in at most six characters. */
char *duration(uint64_t nsec, char *buf, size_t len);
/* The duration below which @permille of what was counted lies, from above. */
uint64_t latency_quantile(const struct swap_latency *latency,
			  unsigned permille);
/* What came to @now since @before. */
struct swap_latency latency_since(const struct swap_latency *now,
				  const struct swap_latency *before);
/* "14:03:21" */
char *clock_text(uint64_t usec, char *buf, size_t len);

/* The device that is selected; NULL: there is none. */
const struct swap_device_stats *scene_device(const struct scene *scene);

/*
 * Draw a histogram of latencies, a class a row; merges classes where rows are
 * few.  Returns the rows used.
 */
unsigned draw_latency(struct canvas *canvas, const struct area *area,
		      enum style style, const char *title,
		      const struct swap_latency *latency);

#endif
