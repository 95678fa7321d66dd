/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unit tests of the document of everything, of what is left of it with
 * --fields, of deltas, and of metrics as text.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipc/export.h"
#include "ipc/openmetrics.h"
#include "util.h"

/* A snapshot with one device and one object, as far as the tests look. */
static void
make(struct export_snapshot *s)
{
	memset(s, 0, sizeof(*s));
	s->time_usec = UINT64_C(1700000000000001);
	s->what = EXPORT_OBJECTS | EXPORT_MAPS | EXPORT_TUNABLES;
	strcpy(s->stats.provider, "swapd");
	strcpy(s->stats.pager, "p");
	s->stats.pid = 9;
	s->stats.page_bytes = 4096;
	s->stats.uptime_usec = 10000000;
	s->stats.counters.pageout_pages = 5;
	s->stats.fault_in_time.count = 3;
	s->stats.fault_in_time.sum_nsec = 5000000000;
	s->stats.fault_in_time.n[0] = 1;
	s->stats.fault_in_time.n[SWAP_LATENCY_CLASSES - 1] = 2;
	s->stats.ndevices = 1;
	s->stats.devices = calloc(1, sizeof(*s->stats.devices));
	strcpy(s->stats.devices[0].path, "/a \"b\"\\\n\xff");
	s->stats.devices[0].priority = -2;
	s->stats.devices[0].flags = SWAP_DEVICE_DEGRADED;
	s->stats.devices[0].reads = 100;
	s->stats.nobjects = s->stats.nobjects_live = 1;
	s->stats.objects = calloc(1, sizeof(*s->stats.objects));
	s->stats.objects[0].id = 77;
	s->stats.objects[0].pagein_pages = 40;
	s->stats.events = calloc(2, sizeof(*s->stats.events));
	s->stats.events[0].number = 1;
	s->stats.events[1].number = 2;
	s->stats.nevents = s->stats.nevents_ever = 2;
	s->maps = calloc(1, sizeof(*s->maps));
	strcpy(s->maps[0].path, "/a");
	s->maps[0].nblocks = 12;
	s->maps[0].nfree = 7;
	s->maps[0].largest = 4;
	s->maps[0].runs[0] = s->maps[0].runs[1] = s->maps[0].runs[2] = 1;
	s->maps[0].blocks[0] = 1;
	s->maps[0].blocks[1] = 2;
	s->maps[0].blocks[2] = 4;
	s->maps[0].fragmentation = 428;
}

/* The member at "a.b.0.c", to be asked for its value. */
static json_t *
at(json_t *json, const char *path)
{
	char copy[128], *rest = copy, *name;

	strcpy(copy, path);
	while ((name = strsep(&rest, ".")) != NULL) {
		json = json_is_array(json) ?
		       json_array_get(json, (size_t)atoi(name)) :
		       json_object_get(json, name);
		if (json == NULL)
			fail_msg("%s: there is no %s", path, name);
	}
	return json;
}

static void
assert_text(json_t *json, const char *expected)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY |
				JSON_REAL_PRECISION(16));

	assert_string_equal(text, expected);
	free(text);
}

/* --------------------------------------------------------------- document */

static void
document(void **state)
{
	struct export_snapshot s;
	json_t *json;

	(void)state;
	make(&s);
	json = export_document(&s);
	assert_text(at(json, "time"), "\"2023-11-14T22:13:20.000001Z\"");
	assert_text(at(json, "time_seconds"), "1700000000.000001");
	assert_text(at(json, "kind"), "\"snapshot\"");
	assert_text(at(json, "counters.pageout_pages"), "5");
	assert_text(at(json, "latencies.fault_in"),
		    "{\"count\":3,\"sum_seconds\":5.0,"
		    "\"mean_seconds\":1.666666666666667,\"buckets\":["
		    "{\"below_seconds\":1.024e-6,\"count\":1},"
		    "{\"below_seconds\":null,\"count\":2}]}");
	assert_text(at(json, "latencies.fault_zero"),
		    "{\"count\":0,\"sum_seconds\":0.0,\"buckets\":[]}");
	assert_text(at(json, "devices.0.fragmentation.histogram.2"),
		    "{\"order\":2,\"runs\":1,\"free_bytes\":16384}");
	assert_text(at(json, "devices.0.path"), "\"/a \\\"b\\\"\\\\\\n?\"");
	assert_text(at(json, "events.list.1.device"), "null");
	json_decref(json);
	/* What was not looked through, and what was not asked for. */
	s.maps[0].path[0] = '\0';
	s.what = 0;
	json = export_document(&s);
	assert_null(json_object_get(at(json, "devices.0"), "fragmentation"));
	assert_null(json_object_get(json, "objects"));
	assert_null(json_object_get(json, "tunables"));
	json_decref(json);
	export_clear(&s);
}

static void
of_the_kernel(void **state)
{
	struct export_snapshot s;
	json_t *json;

	(void)state;
	make(&s);
	strcpy(s.stats.provider, "kernel");
	json = export_document(&s);
	assert_text(at(json, "counters"),
		    "{\"faults\":0,\"pagein_pages\":0,\"pageout_pages\":5}");
	assert_null(json_object_get(json, "latencies"));
	assert_null(json_object_get(json, "metadata"));
	assert_null(json_object_get(at(json, "devices.0"), "write_errors"));
	assert_text(at(json, "devices.0.reads"), "100");
	json_decref(json);
	export_clear(&s);
}

static void
delta(void **state)
{
	struct export_snapshot a, b;
	json_t *json;

	(void)state;
	make(&a);
	make(&b);
	b.stats.uptime_usec += 500000;
	b.stats.counters.pageout_pages = 8;
	b.stats.devices[0].reads = 30;	/* off and on again */
	b.stats.objects[0].pagein_pages = 41;
	b.stats.fault_in_time.count = 4;
	b.stats.fault_in_time.sum_nsec += 1000;
	b.stats.fault_in_time.n[0] = 2;
	a.stats.nevents_ever = 1;
	b.stats.event_counts[SWAP_EVENT_FULL] = 1;
	json = export_delta(&a, &b);
	assert_text(at(json, "kind"), "\"delta\"");
	assert_text(at(json, "interval_seconds"), "0.5");
	assert_text(at(json, "counters.pageout_pages"),
		    "{\"delta\":3,\"per_second\":6.0}");
	assert_text(at(json, "devices.0.reads"),
		    "{\"delta\":30,\"per_second\":60.0}");
	assert_text(at(json, "objects.0.pagein_pages"),
		    "{\"delta\":1,\"per_second\":2.0}");
	assert_text(at(json, "latencies.fault_in"),
		    "{\"count\":1,\"sum_seconds\":1e-6,\"mean_seconds\":1e-6,"
		    "\"buckets\":[{\"below_seconds\":1.024e-6,\"count\":1}]}");
	assert_int_equal(json_array_size(at(json, "events.list")), 1);
	assert_text(at(json, "events.counts.full"),
		    "{\"delta\":1,\"per_second\":2.0}");
	json_decref(json);
	/* Another process under the same name began at zero. */
	b.stats.pid++;
	b.stats.uptime_usec = 1000000;
	json = export_delta(&a, &b);
	assert_text(at(json, "interval_seconds"), "1.0");
	assert_text(at(json, "counters.pageout_pages"),
		    "{\"delta\":8,\"per_second\":8.0}");
	assert_text(at(json, "objects.0.pagein_pages"),
		    "{\"delta\":41,\"per_second\":41.0}");
	json_decref(json);
	export_clear(&a);
	export_clear(&b);
}

/* ----------------------------------------------------------------- fields */

static void
fields(void **state)
{
	static const struct {
		const char *fields;
		int result;
		const char *left;
	} cases[] = {
		{ "counters.faults", 0, "\"counters\":{\"faults\":0}" },
		{ "devices.priority", 0, "\"devices\":[{\"priority\":-2}]" },
		{ "devices.fragmentation.runs,devices.priority", 0,
		  "\"devices\":[{\"priority\":-2,"
		  "\"fragmentation\":{\"runs\":0}}]" },
		{ "swap.full,swap,swap.full", 0,
		  "\"swap\":{\"size_bytes\":0,\"used_bytes\":0,"
		  "\"swapped_bytes\":0,\"set_aside_bytes\":0,"
		  "\"almost_full\":false,\"full\":false}" },
		{ "tunables", 0, "\"tunables\":[]" },
		{ "swap,", -EINVAL, NULL },
		{ "swap..full", -EINVAL, NULL },
		{ "", -EINVAL, NULL },
		{ "swop", -ENOENT, NULL },
		{ "swap.fool", -ENOENT, NULL },
		{ "swap.full.x", -ENOENT, NULL },
		{ "devices.nothing", -ENOENT, NULL },
	};
	struct export_snapshot s;

	(void)state;
	make(&s);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *json = export_document(&s);
		struct swap_error error = { 0 };
		char expected[512];

		assert_int_equal(export_select(json, cases[i].fields, &error),
				 cases[i].result);
		snprintf(expected, sizeof(expected),
			 "{\"schema\":1,\"kind\":\"snapshot\",\"time\":"
			 "\"2023-11-14T22:13:20.000001Z\",\"pager\":"
			 "{\"name\":\"p\"},%s}", cases[i].left == NULL ? "" :
			 cases[i].left);
		if (cases[i].result == 0)
			assert_text(json, expected);
		else
			assert_string_not_equal(error.message, "");
		json_decref(json);
	}
	export_clear(&s);
}

static void
needs(void **state)
{
	(void)state;
	assert_int_equal(export_needs(NULL), EXPORT_OBJECTS | EXPORT_MAPS |
			 EXPORT_TUNABLES);
	assert_int_equal(export_needs("ram,object,counters.objects"), 0);
	assert_int_equal(export_needs("ram,objects.id"), EXPORT_OBJECTS);
	assert_int_equal(export_needs("devices.path,devicess"), 0);
	assert_int_equal(export_needs("devices"), EXPORT_MAPS);
	assert_int_equal(export_needs("devices.fragmentation.runs,tunables"),
			 EXPORT_MAPS | EXPORT_TUNABLES);
}

/* ---------------------------------------------------------------- metrics */

static void
assert_has(const char *text, const char *line)
{
	if (strstr(text, line) == NULL)
		fail_msg("not there: %s\n%s", line, text);
}

static void
metrics(void **state)
{
	struct export_snapshot s, kernel;
	struct openmetrics_pager pagers[3] = {
		{ "p", &s }, { "k\"", &kernel }, { "down", NULL },
	};
	char *text;
	size_t len;

	(void)state;
	make(&s);
	make(&kernel);
	strcpy(kernel.stats.provider, "kernel");
	assert_int_equal(openmetrics_text(pagers, 3, 0, &text, &len), 0);
	assert_int_equal(strlen(text), len);
	assert_has(text, "# TYPE swapkit_up gauge\nswapkit_up{pager=\"p\"} 1\n"
		   "swapkit_up{pager=\"k\\\"\"} 1\n"
		   "swapkit_up{pager=\"down\"} 0\n#");
	assert_has(text, "# TYPE swapkit_pageout_bytes counter\n"
		   "# UNIT swapkit_pageout_bytes bytes\n"
		   "swapkit_pageout_bytes_total{pager=\"p\"} 20480\n"
		   "swapkit_pageout_bytes_total{pager=\"k\\\"\"} 20480\n#");
	assert_has(text, "swapkit_device_priority{pager=\"p\",device="
		   "\"/a \\\"b\\\"\\\\\\n?\"} -2\n");
	assert_has(text, "state=\"degraded\"} 1\n");
	assert_has(text, "_bucket{pager=\"p\",kind=\"in\",le=\"0.000001024\"} "
		   "1\n");
	assert_has(text, "_bucket{pager=\"p\",kind=\"in\",le=\"4.294967296\"} "
		   "1\n");
	assert_has(text, "_bucket{pager=\"p\",kind=\"in\",le=\"+Inf\"} 3\n"
		   "swapkit_fault_duration_seconds_sum{pager=\"p\",kind=\"in\"}"
		   " 5\nswapkit_fault_duration_seconds_count{pager=\"p\","
		   "kind=\"in\"} 3\n");
	assert_has(text, "order=\"3\"} 0\n");
	assert_null(strstr(text, "order=\"4\"} 0\n"));
	assert_has(text, "swapkit_device_fragmentation_ratio{pager=\"p\","
		   "device=\"/a \\\"b\\\"\\\\\\n?\"} 0.428\n");
	/* What the kernel does not count; what nobody asked for. */
	assert_null(strstr(text, "swapkit_refaults_total{pager=\"k"));
	assert_null(strstr(text, "swapkit_object_"));
	assert_string_equal(text + len - 6, "# EOF\n");
	free(text);
	assert_int_equal(openmetrics_text(pagers, 1, OPENMETRICS_OBJECTS |
					  OPENMETRICS_PROMETHEUS, &text,
					  &len), 0);
	assert_has(text, "# TYPE swapkit_pager_info gauge\n");
	assert_has(text, "# TYPE swapkit_pageout_bytes_total counter\n"
		   "swapkit_pageout_bytes_total{");
	assert_has(text, "swapkit_object_pagein_bytes_total{pager=\"p\","
		   "object=\"77\"} 163840\n");
	assert_null(strstr(text, "# EOF"));
	assert_null(strstr(text, "# UNIT"));
	free(text);
	assert_int_equal(openmetrics_text(NULL, 0, 0, &text, &len), 0);
	assert_string_equal(text, "# EOF\n");
	free(text);
	export_clear(&s);
	export_clear(&kernel);
}

/*
 * Whatever is counted is shown, as it is or in bytes; but not that blocks which
 * were noted down have been freed, which they all are at once.
 */
static void
every_counter(void **state)
{
	uint64_t counters[sizeof(struct swap_counters) / sizeof(uint64_t)];
	struct export_snapshot s;
	struct openmetrics_pager pager = { "p", &s };
	char *text, line[64];
	size_t len;

	(void)state;
	make(&s);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		counters[i] = 777000001 + i * 1001;
	memcpy(&s.stats.counters, counters, sizeof(counters));
	assert_int_equal(openmetrics_text(&pager, 1, 0, &text, &len), 0);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		if (i == offsetof(struct swap_counters, free_completed) / 8)
			continue;
		snprintf(line, sizeof(line), " %llu\n",
			 (unsigned long long)counters[i]);
		if (strstr(text, line) != NULL)
			continue;
		snprintf(line, sizeof(line), " %llu\n",
			 (unsigned long long)counters[i] * 4096);
		if (strstr(text, line) == NULL)
			fail_msg("counter %zu is in no family", i);
	}
	free(text);
	export_clear(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(document),
		cmocka_unit_test(of_the_kernel),
		cmocka_unit_test(delta),
		cmocka_unit_test(fields),
		cmocka_unit_test(needs),
		cmocka_unit_test(metrics),
		cmocka_unit_test(every_counter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
