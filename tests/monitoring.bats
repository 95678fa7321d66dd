#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What monitoring systems make of swap_exporter: the real Prometheus scrapes
# it, and everything under examples/ asks for what there is.

load lib/helpers
load lib/exporter

setup()
{
	swk_setup
	require_exporter
	examples=$SWAPKIT_SRC/examples
}

require_prometheus()
{
	command -v prometheus >/dev/null || skip "needs prometheus"
	command -v promtool >/dev/null || skip "needs promtool"
}

# A swapd with a device and an object that has been paged, and all that is
# known of it and of the kernel's swap.
start_all()
{
	require_uffd
	device=$(make_swapfile 64M)
	start_swapd --ram 4M --on "$device"
	mkfifo "$SWK_TMP/in"
	"$SWAPKIT_BUILD/tests/tools/holder" t 16M thing <"$SWK_TMP/in" \
		>"$SWK_TMP/out" 3>&- &
	register_pid $!
	exec {holder_fd}>"$SWK_TMP/in"
	wait_until 20 grep -q ready "$SWK_TMP/out"
	echo "fill 1" >&"$holder_fd"
	echo "check 1" >&"$holder_fd"
	wait_until 60 eval '[ "$(grep -c ok "$SWK_TMP/out")" -eq 2 ]'
	start_exporter -p t -p kernel --objects
}

stop_all()
{
	exec {holder_fd}>&-
	stop_exporter
	stop_swapd
}

prometheus_listens_or_ended()
{
	process_ended "$prometheus_pid" || {
		prometheus=$(sed -n 's/.*msg="Listening on" .*address=\([^ ]*\).*/\1/p' \
			"$SWK_TMP/prometheus.log" | head -n 1)
		[ -n "$prometheus" ]
	}
}

# As in the example, but for the address, and in less time.  It has a data
# directory and a port of its own: one that runs here already is left alone.
start_prometheus()
{
	local target=${url#http://}

	mkdir "$SWK_TMP/prometheus"
	sed 's/for: [0-9]*m/for: 0s/' "$examples/swapkit-alerts.yml" \
		>"$SWK_TMP/swapkit-alerts.yml"
	sed "s|127.0.0.1:9877|${target%/}|; s/scrape_interval: 15s/scrape_interval: 1s/;
		1i global: { evaluation_interval: 1s }" \
		"$examples/prometheus.yml" >"$SWK_TMP/prometheus.yml"
	grep -q "${target%/}" "$SWK_TMP/prometheus.yml"
	prometheus --config.file="$SWK_TMP/prometheus.yml" \
		--storage.tsdb.path="$SWK_TMP/prometheus" \
		--web.listen-address=127.0.0.1:0 \
		>"$SWK_TMP/prometheus.log" 2>&1 3>&- &
	prometheus_pid=$!
	register_pid "$prometheus_pid"
	wait_until 60 prometheus_listens_or_ended
	[ -n "$prometheus" ] || fail "$(cat "$SWK_TMP/prometheus.log")"
	prometheus=http://$prometheus
}

# The value of an expression that is one number; "" where it is nothing.
query()	# EXPRESSION
{
	curl -sS -f --max-time 60 -G "$prometheus/api/v1/query" \
		--data-urlencode "query=$1" | python3 -c '
import json, sys
result = json.load(sys.stdin)["data"]["result"]
print(result[0]["value"][1] if result else "")'
}

query_is() { [ "$(query "$1")" = "$2" ]; }

@test "Prometheus scrapes it, and answers for each family" {
	require_prometheus
	start_all
	start_prometheus
	wait_until 60 query_is 'up{job="swapkit"}' 1
	wait_until 60 query_is 'swapkit_up{pager="t"}' 1
	ask_http metrics >"$SWK_TMP/scrape"
	run families "$SWK_TMP/scrape"
	[ "${#lines[@]}" -ge 60 ] || fail "${#lines[@]} families"
	for name in "${lines[@]}"; do
		grep -q "^# TYPE $name histogram" "$SWK_TMP/scrape" &&
			name=${name}_count
		[ -n "$(query "count($name)")" ] || fail "no answer for $name"
	done
	# It took the newer format, and all that was in it.
	run query 'scrape_samples_scraped{job="swapkit"}'
	assert_output "$(grep -vc '^#' "$SWK_TMP/scrape")"
	run query 'swapkit_swap_size_bytes{pager="t"}'
	assert_output $((64 * 1048576 - 8192))
	run query 'swapkit_object_info{pager="t",name="thing"}'
	assert_output 1
	stop_all
}

@test "each series that an example asks for is there" {
	require_prometheus
	python3 -c 'import yaml' 2>/dev/null || skip "needs yaml of Python"
	start_all
	start_prometheus
	wait_until 60 query_is 'up{job="swapkit"}' 1
	wait_until 60 query_is 'swapkit_up{pager="t"}' 1
	run "$SWAPKIT_SRC/tests/lib/examples" "$prometheus" t "$device" \
		"$examples/grafana-dashboard.json" \
		"$examples/swapkit-alerts.yml" \
		"$examples/zabbix-template.yaml"
	assert_success
	# Nothing is wrong, so nothing is alarming.
	run query 'count(ALERTS{alertstate="firing"})'
	assert_output ""
	stop_all
}

@test "promtool finds nothing wrong with the metrics" {
	require_prometheus
	start_all
	ask_http metrics >"$SWK_TMP/scrape"
	run promtool check metrics <"$SWK_TMP/scrape"
	assert_success
	refute_output
	stop_all
}

@test "promtool takes the rules and the configuration" {
	require_prometheus
	run promtool check rules "$examples/swapkit-alerts.yml"
	assert_success
	run promtool check config "$examples/prometheus.yml"
	assert_success
}

@test "each alert fires when it should, and none without a cause" {
	require_prometheus
	run promtool test rules "$examples/swapkit-alerts-test.yml"
	assert_success
	# Each has a test in which it fires.
	while read -r alert; do
		grep -q "alertname=\"$alert\"" \
			"$examples/swapkit-alerts-test.yml" ||
			fail "no test lets $alert fire"
	done < <(sed -n 's/^ *- alert: //p' "$examples/swapkit-alerts.yml")
}

@test "an alert fires in a real Prometheus when a pager goes" {
	require_prometheus
	start_all
	start_prometheus
	wait_until 60 query_is 'swapkit_up{pager="t"}' 1
	exec {holder_fd}>&-
	stop_swapd
	wait_until 60 query_is 'swapkit_up{pager="t"}' 0
	wait_until 90 query_is \
		'ALERTS{alertname="SwapPagerDown",alertstate="firing",pager="t"}' 1
	stop_exporter
}

@test "the manual describes what a scrape gives, no more and no less" {
	start_all
	ask_http metrics >"$SWK_TMP/scrape"
	swap_exporter --list >"$SWK_TMP/list"
	run python3 - "$SWAPKIT_SRC/man/swapkit-metrics.7" "$SWK_TMP/list" \
		"$SWK_TMP/scrape" <<'END'
import re, sys
manual, listed, scrape = (open(p).read() for p in sys.argv[1:])
bad = 0
def compare(what, a, b):
	global bad
	for x in sorted(set(a) ^ set(b)):
		print(what, x)
		bad = 1
# .It Va NAME / TYPE[, UNIT; ]labels ... / text
entries = {}
for name, line in re.findall(r"^\.It Va (swapkit_\w+)\n(.*)$", manual, re.M):
	m = re.fullmatch(r"(\w+)(?:, in (\w+))?; labels? ([\w, ]+)\.", line)
	assert m, name + ": " + line
	assert name not in entries, name
	entries[name] = m.group(1), m.group(2) or "-", m.group(3).split(", ")
library = {l.split()[0]: tuple(l.split()[1:3]) for l in listed.splitlines()}
compare("manual or --list alone:", entries, library)
for name in set(entries) & set(library):
	compare("%s: type or unit:" % name, entries[name][:2], library[name])
types = dict(re.findall(r"^# TYPE (\S+) (\w+)$", scrape, re.M))
compare("manual or scrape alone:", entries, types)
labels = {}
for name, body in re.findall(r"^(\w+)\{(.*)\} \S+$", scrape, re.M):
	family = name if name in types else re.sub("_(bucket|sum|count)$", "",
						   name)
	labels.setdefault(family, set()).update(
		re.findall(r'(?:^|,)(\w+)="(?:[^"\\]|\\.)*"', body))
for name in set(entries) & set(labels):
	compare("%s: labels:" % name, entries[name][2],
		labels[name] - {"le"})
helps = dict(re.findall(r"^# HELP (\S+) (.*)$", scrape, re.M))
print(len(entries), "families")
sys.exit(bad or len(entries) < 60 or set(helps) != set(types))
END
	assert_success
	stop_all
}

@test "Telegraf's snippet reads what swapctl prints" {
	python3 -c 'import tomllib' 2>/dev/null || skip "needs tomllib of Python"
	start_all
	run python3 - "$examples/telegraf.conf" "$SWAPKIT_SRC" <<'END'
import json, shlex, subprocess, sys, tomllib
config = tomllib.load(open(sys.argv[1], "rb"))
[scrape], [run] = config["inputs"]["prometheus"], config["inputs"]["exec"]
[command], [parser] = run["commands"], run["json_v2"]
words = shlex.split(command)
document = json.loads(subprocess.check_output(
	words[:1] + ["-p", "t"] + words[1:]))
def at(path):
	value = document
	for part in path.split("."):
		value = value[part]
	return value
assert type(at(parser["timestamp_path"])) in (int, float)
for tag in parser["tag"]:
	assert type(at(tag["path"])) is str, tag
names = []
for part in parser["object"]:
	fields = at(part["path"])
	assert fields and all(type(v) in (int, float, bool)
			      for v in fields.values()), part
	names += fields
# All of them become fields of one measurement.
assert len(names) == len(set(names)), sorted(names)
assert scrape["urls"] == ["http://127.0.0.1:9877/metrics"]
END
	assert_success
	stop_all
}

@test "Zabbix's template holds together" {
	python3 -c 'import yaml' 2>/dev/null || skip "needs yaml of Python"
	run python3 - "$examples/zabbix-template.yaml" <<'END'
import re, sys, uuid, yaml
export = yaml.safe_load(open(sys.argv[1]))["zabbix_export"]
template, = export["templates"]
uuids, keys = [], [i["key"] for i in template["items"]]
def walk(value):
	if isinstance(value, dict):
		if "uuid" in value:
			uuids.append(value["uuid"])
		for item in value.values():
			walk(item)
	elif isinstance(value, list):
		for item in value:
			walk(item)
walk(export)
assert len(uuids) == len(set(uuids)), "a uuid twice"
for u in uuids:
	assert re.fullmatch("[0-9a-f]{32}", u) and uuid.UUID(u).version == 4, u
macros = {m["macro"] for m in template["macros"]}
for rule in template["discovery_rules"]:
	found = {p["lld_macro"] for p in rule["lld_macro_paths"]}
	prototypes = {i["key"] for i in rule["item_prototypes"]}
	for one in [rule] + rule["item_prototypes"]:
		assert one["type"] == "DEPENDENT", one
		assert one["master_item"]["key"] == keys[0], one
	for item in rule["item_prototypes"]:
		assert set(re.findall(r"\{#\w+\}", str(item))) <= found, item
		for trigger in item.get("trigger_prototypes", []):
			text = trigger["expression"]
			used = re.findall(r"/swapkit by HTTP/(swapkit[\w.]+\[.*?\])",
					  text)
			assert used and set(used) <= prototypes, text
			assert set(re.findall(r"\{\$[\w.]+\}", text)) <= macros
	keys += [rule["key"], *prototypes]
assert len(keys) == len(set(keys)), "a key twice"
END
	assert_success
}
