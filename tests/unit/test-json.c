/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of what goes through the socket: snapshots, tunables and maps of
 * devices as JSON, there and back, objects read without jansson, and a get in
 * parts.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/json.h"
#include "ipc/parts.h"
#include "util.h"

/* --------------------------------------------------------------- snapshot */

static uint64_t seed;

static uint64_t
next_random(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 1;
}

static void
fill_latency(struct swap_latency *latency)
{
	latency->count = next_random();
	latency->sum_nsec = next_random();
	for (size_t i = 0; i < SWAP_LATENCY_CLASSES; i++)
		latency->n[i] = next_random();
}

static void
fill_device(struct swap_device_stats *d)
{
	uint64_t *numbers[] = {
		&d->first_block, &d->size_bytes, &d->used_bytes,
		&d->bad_bytes, &d->read_bytes, &d->written_bytes, &d->reads,
		&d->writes, &d->read_errors, &d->write_errors, &d->discards,
		&d->discarded_bytes,
	};

	strcpy(d->path, "/dev/loop \"7\"\n\xc3\xa9");
	strcpy(d->type, "loop");
	d->priority = (int)(next_random() % 32768);
	d->flags = (unsigned)next_random() & 15;
	d->inflight = (unsigned)next_random();
	fill_latency(&d->read_time);
	fill_latency(&d->write_time);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		*numbers[i] = next_random();
}

static void
fill_object(struct swap_object_stats *o)
{
	uint64_t *numbers[] = {
		&o->id, &o->size_bytes, &o->resident_bytes, &o->swapped_bytes,
		&o->block_bytes, &o->wired_bytes, &o->poisoned_bytes,
		&o->reserved_bytes, &o->map_bytes, &o->ram_limit_bytes,
		&o->swap_limit_bytes, &o->pagein_pages, &o->pageout_pages,
		&o->source_id, &o->copies, &o->shared_bytes,
	};

	memset(o->name, 'n', SWAP_NAME_MAX);
	o->uid = UINT32_MAX;
	o->pid = INT32_MAX;
	strcpy(o->command, "a command");
	o->flags = SWAP_OBJECT_NOSWAP;
	o->orphan = true;
	strcpy(o->map_kind, "array");
	o->regions = (uint32_t)next_random();
	o->writers = (uint32_t)next_random();
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		*numbers[i] = next_random();
}

static void
fill_events(struct swap_stats *s)
{
	for (size_t i = 0; i < SWAP_EVENT_KINDS; i++)
		s->event_counts[i] = next_random();
	s->nevents = SWAP_EVENT_KINDS;
	s->events = calloc(s->nevents, sizeof(*s->events));
	for (size_t i = 0; i < s->nevents; i++) {
		struct swap_event *e = &s->events[i];

		e->number = i + 1;
		e->time_usec = next_random();
		e->kind = (enum swap_event_kind)i;
		e->object = i % 2 == 0 ? next_random() : 0;
		e->pid = i % 3 == 0 ? INT32_MAX : 0;
		strcpy(e->device, i % 2 == 1 ? "/dev/\t\x7f" : "");
		memset(e->message, 'm', sizeof(e->message) - 1);
	}
}

static void
fill_stats(struct swap_stats *s)
{
	uint64_t *numbers[] = {
		&s->uptime_usec, &s->ram_bytes, &s->resident_bytes,
		&s->wired_bytes, &s->swapped_bytes, &s->swap_bytes,
		&s->swap_used_bytes, &s->metadata_bytes, &s->map_bytes,
		&s->map_limit_bytes, &s->charged_bytes, &s->chargeable_bytes,
		&s->set_aside_bytes, &s->cache_bytes, &s->nobjects_live,
		&s->nevents_ever,
	};
	uint64_t counters[sizeof(s->counters) / sizeof(uint64_t)];

	strcpy(s->provider, "swapd");
	strcpy(s->pager, "default");
	strcpy(s->version, SWAP_VERSION);
	s->pid = 123;
	s->page_bytes = 4096;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		*numbers[i] = next_random();
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		counters[i] = next_random();
	memcpy(&s->counters, counters, sizeof(counters));
	fill_latency(&s->fault_zero_time);
	fill_latency(&s->fault_in_time);
	fill_latency(&s->fault_write_time);
	fill_events(s);
	strcpy(s->io, "uring");
	s->async_writes = 9;
	s->clients = 3;
	s->cluster_pages = 32;
	s->almost_full = true;
	s->metadata_full = true;
	s->overcommit = SWAP_OVERCOMMIT_USER | SWAP_OVERCOMMIT_RAM;
	s->ndevices = 2;
	s->devices = calloc(2, sizeof(*s->devices));
	fill_device(&s->devices[0]);
	fill_device(&s->devices[1]);
	s->nobjects = 3;
	s->objects = calloc(3, sizeof(*s->objects));
	for (size_t i = 0; i < 3; i++)
		fill_object(&s->objects[i]);
	s->objects[1].uid = 7;
	s->nusers = 2;
	s->users = calloc(2, sizeof(*s->users));
	s->users[0].uid = 7;
	s->users[1].uid = UINT32_MAX;
	for (size_t i = 0; i < 2; i++) {
		s->users[i].charged_bytes = next_random();
		s->users[i].limit_bytes = next_random();
	}
}

static void
free_stats(struct swap_stats *s)
{
	free(s->devices);
	free(s->objects);
	free(s->users);
	free(s->events);
}

static void
stats_roundtrip(void **state)
{
	struct swap_stats a, b;
	json_t *json, *again;
	char *text;

	(void)state;
	for (seed = 1; seed != 0 && seed < 200; seed = seed * 2 + 1) {
		uint64_t start = seed;

		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		fill_stats(&a);
		json = json_from_stats(&a, NULL, NULL);
		text = json_dumps(json, 0);
		again = json_loads(text, 0, NULL);
		assert_int_equal(json_to_stats(again, &b), 0);
		assert_memory_equal(a.devices, b.devices,
				    2 * sizeof(*a.devices));
		assert_memory_equal(a.objects, b.objects,
				    3 * sizeof(*a.objects));
		assert_memory_equal(a.users, b.users, 2 * sizeof(*a.users));
		assert_memory_equal(a.events, b.events,
				    a.nevents * sizeof(*a.events));
		free_stats(&a);
		free_stats(&b);
		a.devices = b.devices = NULL;
		a.objects = b.objects = NULL;
		a.users = b.users = NULL;
		a.events = b.events = NULL;
		assert_memory_equal(&a, &b, sizeof(a));
		free(text);
		json_decref(json);
		json_decref(again);
		seed = start;
	}
}

static bool
only_one(void *arg, uint32_t uid)
{
	const uint32_t *one = arg;

	return uid == *one;
}

/* Those that an older version did not write. */
static bool
came_later(const char *name)
{
	static const char *const names[] = {
		"source_id", "copies", "shared_bytes", "orphan", "copy_pages",
		"copy_pushed_pages",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Every member of the JSON in turn: missing, of a wrong type, too large. */
static void
stats_strict_in(json_t *root, json_t *object)
{
	const char *name;
	json_t *value, *saved, *copy = json_copy(object);
	struct swap_stats s;

	json_object_foreach(copy, name, value) {
		json_t *const wrong[] = {
			NULL, json_null(), json_real(1.5), json_integer(-9e15),
			json_string("far too long for each of the arrays ....."
				    "........................................."
				    "........................................."
				    "........................................."
				    "........................................."
				    "........................................."
				    "............................ x"),
		};

		saved = json_incref(value);
		for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
			if (wrong[i] == NULL)
				json_object_del(object, name);
			if (wrong[i] == NULL && came_later(name)) {
				assert_int_equal(json_to_stats(root, &s), 0);
				free_stats(&s);
				continue;
			}
			if (wrong[i] != NULL)
				json_object_set_new(object, name, wrong[i]);
			if (json_to_stats(root, &s) != -EPROTO)
				fail_msg("%s: wrong value %zu accepted", name,
					 i);
		}
		json_object_set_new(object, name, saved);
	}
	json_decref(copy);
	assert_int_equal(json_to_stats(root, &s), 0);
	free_stats(&s);
}

static void
stats_strict(void **state)
{
	struct swap_stats a = { 0 };
	/* Bytes of no character, cut, too long, a surrogate, beyond the end. */
	static const char *const bad_utf8[][2] = {
		{ "/tmp/\xff.swap", "/tmp/?.swap" },
		{ "\xc3\xa9\xc3", "???" },
		{ "\xc0\xaf\xe0\x80\xaf", "?????" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
		{ "\xe0\xa0\x80\xed\x9f\xbf", "\xe0\xa0\x80\xed\x9f\xbf" },
		{ "\xe2\x82 \"\\\x01", "?? \"\\\x01" },
	};
	uint32_t uid = 7;
	json_t *json;

	(void)state;
	fill_stats(&a);
	json = json_from_stats(&a, only_one, &uid);
	assert_int_equal(json_array_size(json_object_get(json, "objects")), 1);
	assert_int_equal(json_array_size(json_object_get(json, "users")), 1);
	/* Root's affairs are not theirs: two of three are about somebody. */
	assert_int_equal(json_array_size(json_object_get(json, "events")), 5);
	stats_strict_in(json, json);
	stats_strict_in(json, json_object_get(json, "counters"));
	stats_strict_in(json, json_object_get(json, "fault_in_time"));
	stats_strict_in(json, json_array_get(json_object_get(json, "events"),
					     0));
	stats_strict_in(json, json_array_get(json_object_get(json,
							     "event_counts"),
					     3));
	stats_strict_in(json, json_array_get(json_object_get(json, "devices"),
					     1));
	stats_strict_in(json, json_array_get(json_object_get(json, "objects"),
					     0));
	stats_strict_in(json, json_array_get(json_object_get(json, "users"),
					     0));
	json_decref(json);
	/* What is no UTF-8 is shown, too. */
	for (size_t i = 0; i < ARRAY_SIZE(bad_utf8); i++) {
		strcpy(a.devices[0].path, bad_utf8[i][0]);
		json = json_from_device_stats(&a.devices[0]);
		assert_string_equal(json_string_value(json_object_get(json,
								      "path")),
				    bad_utf8[i][1]);
		json_decref(json);
	}
	free_stats(&a);
}

/* ------------------------------------------- objects taken out of a reply */

/* Where a reply has the objects of its snapshot; NULL: it is none. */
static const json_t *
snapshot_of(const char *text, size_t len, json_t **ret_root)
{
	*ret_root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	return json_object_get(json_object_get(*ret_root, "parameters"),
			       "snapshot");
}

/*
 * Read a reply in both ways: with jansson alone, and the objects before the
 * rest.  The result has to be the same.  0 or -EPROTO; were they taken?
 */
static int
read_both_ways(const char *text, size_t len, bool *ret_taken)
{
	/* Of just this size: a byte behind it would be seen to be read. */
	char *copy = malloc(len + 1);
	struct swap_object_stats *objects = NULL;
	struct swap_stats a, b;
	size_t left = len, n = 0;
	json_t *root;
	int r, again;

	r = json_to_stats(snapshot_of(text, len, &root), &a);
	json_decref(root);
	memcpy(copy, text, len);
	copy[len] = '\0';
	*ret_taken = json_take_objects(copy, &left, &objects, &n);
	assert_int_equal(copy[left], '\0');
	if (!*ret_taken) {
		assert_int_equal(left, len);
		assert_memory_equal(copy, text, len);
	}
	again = json_to_stats(snapshot_of(copy, left, &root), &b);
	json_decref(root);
	free(copy);
	if (again != r)
		fail_msg("%d, not %d: %s", again, r, text);
	if (r == 0 && *ret_taken) {
		assert_int_equal(b.nobjects, 0);
		assert_int_equal(n, a.nobjects);
		assert_memory_equal(objects, a.objects, n * sizeof(*objects));
	}
	if (r == 0) {
		free_stats(&a);
		free_stats(&b);
	}
	free(objects);
	return r;
}

/* A reply with two objects, one of them with a long name. */
static void
reply_fill(struct text *t)
{
	struct swap_stats a = { 0 };

	seed = 7;
	fill_stats(&a);
	a.nobjects = 2;
	strcpy(a.objects[0].name, "one");
	a.objects[0].pid = -1;
	a.objects[0].id = INT64_MAX;
	text_string(t, "{\"parameters\":{\"snapshot\":");
	json_write_stats(t, &a, NULL, NULL);
	text_string(t, "}}");
	assert_int_equal(text_end(t), 0);
	free_stats(&a);
}

/* @text with the first @from behind its @after changed to @to. */
static void
reply_change(struct text *ret, const struct text *text, const char *after,
	     const char *from, const char *to)
{
	const char *at = strstr(text->buf, after);

	assert_non_null(at);
	at = strstr(at, from);
	assert_non_null(at);
	text_put(ret, text->buf, (size_t)(at - text->buf));
	text_string(ret, to);
	text_string(ret, at + strlen(from));
	assert_int_equal(text_end(ret), 0);
}

struct change {
	const char	*from, *to;
	bool		 taken, valid;
};

static const struct change changes[] = {
	{ "one", "", true, true },
	{ "one", "\\\"\\\\\\n\\/ \xc3\xa9\xf4\x8f\xbf\xbf\x7f", true, true },
	{ "one", "\\u00e9\\u001f\\uFFFD", true, true },
	{ "one", "\\ud83d\\ude00", false, true },
	{ "one", "\\ud83d", false, false },
	{ "one", "\\u0000", false, false },
	{ "one", "\\u12g4", false, false },
	{ "one", "\\x", false, false },
	{ "one", "\x01", false, false },
	{ "one", "\xff", false, false },
	{ "one", "\xc3\\u00a9", false, false },
	{ "one", "\xed\xa0\x80", false, false },
	{ "\"one\"", "7", false, false },
	{ "\"one\"", "null", false, false },
	{ "\"name\":\"one\",", "", false, false },
	{ "\"name\":\"one\"", "\"name\":\"one\",\"name\":\"one\"", false,
	  false },
	/* Other versions: one member more, another order, spaces. */
	{ "\"name\":\"one\"", "\"name\":\"one\",\"new\":[1,{}]", false, true },
	{ "{\"id\":9223372036854775807,\"name\":\"one\"",
	  "{\"name\":\"one\",\"id\":9223372036854775807", false, true },
	{ "\"one\",", "\"one\", ", false, true },
	{ "\"one\"", "\t\"one\"", false, true },
	/* Names that only begin or end as they should. */
	{ "\"name\":", "\"nam\":", false, false },
	{ "\"name\":", "\"names\":", false, false },
	{ "\"name\":", "\"name\"", false, false },
	{ "\"name\":", "\"n\\u0061me\":", false, true },
	{ "\"id\":9223372036854775807", "\"id\":0", true, true },
	{ "\"id\":9223372036854775807", "\"id\":-0", true, true },
	{ "\"id\":9223372036854775807", "\"id\":01", false, false },
	{ "\"id\":9223372036854775807", "\"id\":+1", false, false },
	{ "\"id\":9223372036854775807", "\"id\":-1", false, false },
	{ "\"id\":9223372036854775807", "\"id\":-", false, false },
	{ "\"id\":9223372036854775807", "\"id\":1.0", false, false },
	{ "\"id\":9223372036854775807", "\"id\":1e3", false, false },
	{ "\"id\":9223372036854775807", "\"id\":9223372036854775808", false,
	  false },
	{ "\"id\":9223372036854775807", "\"id\":true", false, false },
	{ "\"uid\":4294967295", "\"uid\":4294967296", false, false },
	{ "\"pid\":-1", "\"pid\":-2147483648", true, true },
	{ "\"pid\":-1", "\"pid\":2147483647", true, true },
	{ "\"pid\":-1", "\"pid\":-2147483649", false, false },
	{ "\"pid\":-1", "\"pid\":2147483648", false, false },
	{ "\"noswap\":true", "\"noswap\":false", true, true },
	{ "\"noswap\":true", "\"noswap\":1", false, false },
	{ "\"noswap\":true", "\"noswap\":truer", false, false },
	{ "\"a command\"", "\"fifteen letters\"", true, true },
	{ "\"a command\"", "\"sixteen letters!\"", false, false },
	{ "\"a command\"", "\"fifteen letter\xc3\xa9\"", false, false },
	{ "},{", "},", false, false },
	{ "},{", "}{", false, false },
	{ "},{", "},,{", false, false },
	{ "},{", "},[],{", false, false },
	{ "[{", "[,{", false, false },
	{ "}]", "},]", false, false },
	{ "}]", "}}", false, false },
	{ "}]", "}", false, false },
	{ ":[{", ":{", false, false },
	/* The list is well, and something behind it is not. */
	{ "\"users\":", "\"users\"", true, false },
	{ "\"users\":", "\"users\":7,\"others\":", true, false },
	{ "\"users\":", "\"objects\":[],\"users\":", true, false },
	{ "\"users\":", "\"object\\u0073\":[],\"users\":", true, false },
	/* There are other lists of that name. */
	{ "\"objects\":", "\"objects\\n\":[],\"objects\":", true, true },
	{ "\"objects\":", "\"x\":{\"objects\":[]},\"objects\":", true, true },
	{ "\"objects\":", "\"x\":\"objects\",\"objects\":", true, true },
	{ "\"objects\":", "\"objects\":[],\"objects\":", false, false },
	{ "\"objects\":", "\"object\\u0073\":", false, true },
	{ "\"objects\":", "\"object\":", false, false },
	{ "\"objects\":", "\"x\":[}{],\"objects\":", true, false },
};

static void
objects_taken(void **state)
{
	struct text reply = { 0 };
	bool taken;

	(void)state;
	reply_fill(&reply);
	assert_int_equal(read_both_ways(reply.buf, reply.len, &taken), 0);
	assert_true(taken);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		const struct change *c = &changes[i];
		struct text text = { 0 };
		int r;

		reply_change(&text, &reply, "\"objects\":", c->from, c->to);
		r = read_both_ways(text.buf, text.len, &taken);
		if (taken != c->taken || (r == 0) != c->valid)
			fail_msg("%s to %s: %d, %staken", c->from, c->to, r,
				 taken ? "" : "not ");
		text_clear(&text);
	}
	text_clear(&reply);
}

static void
objects_elsewhere(void **state)
{
	static const char *const texts[] = {
		"", "{", "[", "{}", "[]", "7", "\"", "{\"parameters\"",
		"{\"parameters\":", "{\"parameters\":7}",
		"{\"parameters\":{\"snapshot\":{\"objects\":",
		"{\"parameters\":{\"snapshot\":{\"objects\":[",
		"{\"parameters\":{\"snapshot\":{\"objects\":[{\"id\":1,\"name",
		"{\"parameters\":{\"snapshot\":{\"objects\":[]}}}",
		"{\"parameters\":{\"snapshot\":{}},\"objects\":[]}",
	};
	struct text reply = { 0 }, text = { 0 };
	bool taken;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(read_both_ways(texts[i], strlen(texts[i]),
						&taken), -EPROTO);
		assert_false(taken);
	}
	/* What comes before and between is no matter. */
	reply_fill(&reply);
	reply_change(&text, &reply, "{", "{",
		     " { \"snapshot\":{\"objects\":[]}, \"continues\":false,");
	assert_int_equal(read_both_ways(text.buf, text.len, &taken), 0);
	assert_true(taken);
	text_clear(&text);
	reply_change(&text, &reply, "{", "\"snapshot\"", "\"snap\"");
	assert_int_equal(read_both_ways(text.buf, text.len, &taken), -EPROTO);
	assert_false(taken);
	text_clear(&text);
	text_clear(&reply);
}

/* Each byte of the objects in turn: gone, another, and the end of the text. */
static void
objects_broken(void **state)
{
	static const char bytes[] = "\",[]{}:0-\\ .e\x01\xff";
	struct text reply = { 0 };
	size_t from, to;
	bool taken;
	char *text;

	(void)state;
	reply_fill(&reply);
	from = (size_t)(strstr(reply.buf, "\"objects\":") - reply.buf);
	to = (size_t)(strstr(reply.buf, "\"users\":") - reply.buf);
	text = malloc(reply.len + 1);
	for (size_t at = from; at < to; at++) {
		memcpy(text, reply.buf, reply.len + 1);
		text[at] = '\0';
		assert_int_equal(read_both_ways(text, at, &taken), -EPROTO);
		for (size_t i = 0; bytes[i] != '\0'; i++) {
			text[at] = bytes[i];
			(void)!read_both_ways(text, reply.len, &taken);
		}
		memmove(text + at, reply.buf + at + 1, reply.len - at);
		(void)!read_both_ways(text, reply.len - 1, &taken);
	}
	free(text);
	text_clear(&reply);
}

/* ---------------------------------------------- tunables, maps of devices */

static void
tunables_roundtrip(void **state)
{
	struct swap_tunable a[2], *b;
	json_t *json;
	size_t n;

	(void)state;
	memset(a, 0, sizeof(a));
	for (size_t i = 0; i < 2; i++) {
		memset(a[i].name, i == 0 ? 'n' : 'm', sizeof(a[i].name) - 1);
		strcpy(a[i].value, "1 \"G\"");
		strcpy(a[i].default_value, i == 0 ? "" : "2G");
		strcpy(a[i].unit, "bytes");
		strcpy(a[i].range, "auto|array|hash|trie");
		memset(a[i].summary, 's', sizeof(a[i].summary) - 1);
	}
	json = json_from_tunables(a, 2);
	assert_int_equal(json_to_tunables(json, &b, &n), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(a, b, sizeof(a));
	free(b);
	/* One character too many. */
	memset(a[1].summary, 's', sizeof(a[1].summary));
	json_object_set_new(json_array_get(json, 1), "summary",
			    json_stringn(a[1].summary, sizeof(a[1].summary)));
	assert_int_equal(json_to_tunables(json, &b, &n), -EPROTO);
	json_decref(json);
	assert_int_equal(json_to_tunables(NULL, &b, &n), -EPROTO);
}

static void
fill_map(struct swap_device_map *map)
{
	memset(map, 0, sizeof(*map));
	memset(map->path, 'p', sizeof(map->path) - 1);
	map->nblocks = next_random();
	map->nfree = next_random();
	map->nruns = next_random();
	map->largest = next_random();
	map->cluster_pages = 64;
	map->fragmentation = 1000;
	for (size_t i = 0; i < SWAP_RUN_CLASSES; i += 8) {
		map->runs[i] = next_random();
		map->blocks[i] = next_random();
	}
	map->ncells = 3;
	map->cells = calloc(3, sizeof(*map->cells));
	for (size_t i = 0; i < 3; i++) {
		map->cells[i].nblocks = next_random();
		map->cells[i].nfree = next_random();
	}
}

static void
map_roundtrip(void **state)
{
	struct swap_device_map a, b;
	json_t *json;

	(void)state;
	seed = 5;
	fill_map(&a);
	json = json_from_device_map(&a);
	/* Classes without a run are left out. */
	assert_int_equal(json_array_size(json_object_get(json, "histogram")),
			 6);
	assert_int_equal(json_to_device_map(json, &b), 0);
	assert_memory_equal(a.cells, b.cells, 3 * sizeof(*a.cells));
	free(b.cells);
	b.cells = a.cells;
	assert_memory_equal(&a, &b, sizeof(a));
	/* A class that there is not. */
	json_object_set_new(json_array_get(json_object_get(json, "histogram"),
					   0), "order",
			    json_integer(SWAP_RUN_CLASSES));
	assert_int_equal(json_to_device_map(json, &b), -EPROTO);
	json_object_del(json, "histogram");
	assert_int_equal(json_to_device_map(json, &b), -EPROTO);
	json_decref(json);
	free(a.cells);
}

/* ---------------------------------------------------------- gets in parts */

/* What a pager has: a state for each of 16 pages, and what it was asked. */
struct parts_fake {
	const char	*pages;		/* r, s: swapped, l: lost, m: no RAM */
	char		 asked[256];	/* "WANTED:FIRST+N[n][a] ..." */
	int		 ends_with;	/* at the second call; 0: never */
	unsigned	 ncalls;
};

static int64_t
parts_fake_get(void *arg, const struct parts_get *part, uint8_t states[],
	       struct swap_error *error)
{
	struct parts_fake *f = arg;
	uint64_t page = page_bytes(), first = part->offset / page;
	uint64_t n = part->length / page, wanted = part->wanted / page;
	size_t len = strlen(f->asked);
	int64_t count = 0;
	int failed = 0;

	snprintf(f->asked + len, sizeof(f->asked) - len, "%d:%d+%d%s%s ",
		 (int)wanted, (int)first, (int)n,
		 part->flags & SWAP_GET_NOWAIT ? "n" : "",
		 part->flags & SWAP_GET_ALL ? "a" : "");
	if (f->ends_with < 0 && ++f->ncalls == 2)
		return error_set(error, f->ends_with, "ended");
	for (uint64_t i = 0; i < n; i++) {
		bool must = first + i == wanted || part->flags & SWAP_GET_ALL;
		char c = f->pages[first + i];
		int r = 0;

		states[i] = SWAP_PAGE_ABSENT;
		if (c != 'r' && part->flags & SWAP_GET_NOWAIT)
			r = -EAGAIN;
		else if (c == 'l')
			r = -EIO;
		else if (c == 'm')
			r = -ENOMEM;
		else if (c == 'r' || must)
			states[i] = SWAP_PAGE_RESIDENT;
		if (r == -EIO && must)
			states[i] = SWAP_PAGE_LOST;
		count += states[i] == SWAP_PAGE_RESIDENT;
		if (must && r < 0 && failed == 0)
			failed = error_set(error, r, "page %d",
					   (int)(first + i));
	}
	return failed < 0 ? failed : count;
}

struct parts_case {
	const char	*pages;
	unsigned	 flags;
	uint64_t	 wanted;
	int		 ends_with;
	const char	*asked;
	const char	*states;
	int64_t		 result;
	const char	*message;
};

static void
parts_run(const struct parts_case *c)
{
	struct parts_fake f = { .pages = c->pages, .ends_with = c->ends_with };
	const struct parts_get whole = {
		2 * page_bytes(), 10 * page_bytes(), c->wanted * page_bytes(),
		c->flags,
	};
	struct swap_error error = { 0 };
	uint8_t states[10] = { 0 };
	char letters[11] = "";

	assert_int_equal(parts_get(&whole, 4 * page_bytes(), parts_fake_get,
				   &f, states, &error), c->result);
	assert_string_equal(f.asked, c->asked);
	assert_string_equal(error.message, c->message);
	for (size_t i = 0; i < 10; i++)
		letters[i] = "arbl"[states[i]];
	assert_string_equal(letters, c->states);
}

static void
parts_of_a_get(void **state)
{
	static const struct parts_case cases[] = {
		/* Only the wanted page is worth reading. */
		{ "ssssssssssssssss", 0, 7, 0, "7:6+4 2:2+4n 10:10+2n ",
		  "aaaaaraaaa", 1, "" },
		{ "rrrrrrrrrrrrssss", 0, 2, 0, "2:2+4 6:6+4n 10:10+2n ",
		  "rrrrrrrrrr", 10, "" },
		{ "ssssssssssssssss", SWAP_GET_ALL, 11, 0,
		  "11:10+2a 2:2+4a 6:6+4a ", "rrrrrrrrrr", 10, "" },
		/* Nothing more is read than what costs nothing. */
		{ "srsrsrsrsrsrsrsr", SWAP_GET_NOWAIT, 4, 0,
		  "4:2+4n 6:6+4n 10:10+2n ", "ararararar", -EAGAIN,
		  "page 4" },
		{ "srsrsrsrsrsrsrsr", SWAP_GET_NOWAIT, 3, 0,
		  "3:2+4n 6:6+4n 10:10+2n ", "ararararar", 5, "" },
		/* A lost page does not keep the rest away, out of RAM does. */
		{ "sssslsssssslssss", SWAP_GET_ALL, 2, 0,
		  "2:2+4a 6:6+4a 10:10+2a ", "rrlrrrrrrl", -EIO, "page 4" },
		{ "sssssssmssrrssss", SWAP_GET_ALL, 6, 0,
		  "6:6+4a 2:2+4n 10:10+2n ", "aaaararrrr", -ENOMEM,
		  "page 7" },
		/* What ends it ends it at once. */
		{ "ssssssssssssssss", SWAP_GET_ALL, 2, -ECANCELED,
		  "2:2+4a 6:6+4a ", "rrrraaaaaa", -ECANCELED, "ended" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		parts_run(&cases[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stats_roundtrip),
		cmocka_unit_test(stats_strict),
		cmocka_unit_test(objects_taken),
		cmocka_unit_test(objects_elsewhere),
		cmocka_unit_test(objects_broken),
		cmocka_unit_test(tunables_roundtrip),
		cmocka_unit_test(map_roundtrip),
		cmocka_unit_test(parts_of_a_get),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
