#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# swapctl export: one document of everything, as a stream, as a delta, as
# metrics, into a file; and that all figures agree with what can be counted from
# outside.

bats_require_minimum_version 1.5.0
load lib/helpers
load lib/snapshot
load lib/script

setup()
{
	swk_setup
	cd "$SWK_TMP"
	check=$SWAPKIT_SRC/tests/lib/check-export
}

# One object of 12 MiB in 4 MiB of RAM, and some of it read again.
load_pager()
{
	start_swapd --ram 4M --on "$(make_swapfile 32M)"
	start_client a
	order a create x 3072
	order a fill x 1 0 3072
	order a check x 1 0 2048
}

# Page-out has come to rest: two pictures of its work are the same.
is_quiet()
{
	local before after

	before=$(snapshot 's["counters"]["pageout_pages"], s["resident_bytes"]')
	sleep 0.1
	after=$(snapshot 's["counters"]["pageout_pages"], s["resident_bytes"]')
	[ "$before" = "$after" ]
}

@test "the document has all that the schema describes, and is valid" {
	require_uffd
	load_pager
	swapctl -p t export >one
	"$check" --complete '
		list(d)[:4] == ["schema", "kind", "time", "time_seconds"] and
		d["objects"][0]["name"] == "" or d["objects"]' <one
	# The order is always the same, and --json changes nothing.
	swapctl -p t export --json >two
	diff <(grep -o '^ *"[a-z_-]*"' one) <(grep -o '^ *"[a-z_-]*"' two)
	"$check" 'd["latencies"]["fault_in"]["count"] >= 0 and
		d["pager"]["name"] == "t" and
		d["charge"]["users"][0]["charged_bytes"] == 12 << 20' <two
	end_client a
	stop_swapd
}

@test "times are UTC and agree with the clock" {
	start_swapd --ram 8M
	before=$(date +%s)
	swapctl -p t export | TZ=Asia/Tokyo "$check" '
		abs(__import__("datetime").datetime.strptime(d["time"],
			"%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=__import__(
			"datetime").timezone.utc).timestamp() -
			d["time_seconds"]) < 1e-5 and
		int(argv[0]) <= d["time_seconds"] < int(argv[0]) + 60' "$before"
	stop_swapd
}

@test "the kernel's own swap: what it does not tell is left out" {
	swapctl -p kernel export | "$check" '
		d["pager"]["provider"] == "kernel" and "ram" in d and
		"latencies" not in d and "metadata" not in d and
		set(d["counters"]) == {"faults", "pagein_pages",
			"pageout_pages"}'
	swapctl -p kernel export --follow=0.1 --count 2 --delta |
		"$check" --each 'len(a) == 2'
	swapctl -p kernel export --format openmetrics >metrics
	run ! grep refaults metrics
	grep -q '^swapkit_up{pager="kernel"} 1$' metrics
}

@test "--fields keeps what is named, and only that is fetched" {
	require_uffd
	load_pager
	swapctl -p t export --fields ram.budget_bytes,devices.path |
		"$check" 'd["ram"] == {"budget_bytes": 4 << 20} and
		[list(x) for x in d["devices"]] == [["path"]] and
		d["pager"] == {"name": "t"} and "objects" not in d and
		"counters" not in d'
	# The sums are the same without the list of objects.
	swapctl -p t export --fields swap,objects.swapped_bytes,pager |
		"$check" 'd["pager"]["objects"] == 1 and
		d["swap"]["swapped_bytes"] ==
			d["objects"][0]["swapped_bytes"] > 0'
	swapctl -p t export --fields swap,pager | "$check" '
		d["pager"]["objects"] == 1 and d["swap"]["swapped_bytes"] > 0'
	run swapctl -p t export --fields ram.nothing
	assert_failure 2
	assert_output --partial "no field 'nothing'"
	run swapctl -p t export --fields ,
	assert_failure 2
	end_client a
	stop_swapd
}

@test "--follow: one document a line; --delta: what happened between, with rates" {
	require_uffd
	load_pager
	swapctl -p t export --follow=0.1 --count 3 |
		"$check" --each 'len(a) == 3 and
		a[0]["time"] < a[1]["time"] < a[2]["time"] and
		a[0]["kind"] == "snapshot"'
	swapctl -p t export --delta=0.2 | "$check" 'd["kind"] == "delta" and
		0.1 < d["interval_seconds"] and d["events"]["list"] == [] and
		d["counters"]["pageout_pages"]["delta"] == 0'
	# Deltas add up to what happened.
	swapctl -p t export --follow=0.1 --delta >deltas 3>&- &
	follow=$!
	register_pid $!
	wait_until 10 test -s deltas
	before=$(snapshot 's["counters"]["faults_in"]')
	order a check x 1 0 3072
	wait_until 10 is_quiet
	after=$(snapshot 's["counters"]["faults_in"]')
	lines=$(wc -l <deltas)
	wait_until 10 eval '[ "$(wc -l <deltas)" -gt $((lines + 1)) ]'
	kill "$follow"
	sed -n '$!p' deltas | "$check" --each '
		sum(x["counters"]["faults_in"]["delta"] for x in a) ==
			int(argv[0]) > 0 and
		all(abs(x["counters"]["faults_in"]["per_second"] -
			x["counters"]["faults_in"]["delta"] /
			x["interval_seconds"]) < 1e-3 for x in a)' \
			$((after - before))
	end_client a
	# A pager that ends is the end of it.
	swapctl -p t export --follow=0.1 --fields ram >left 2>&1 3>&- &
	follow=$!
	register_pid $!
	wait_until 10 test -s left
	stop_swapd
	wait_until 10 process_ended "$follow"
	run ! wait "$follow"
}

@test "metrics: what promtool has to say, in both forms, of several pagers" {
	command -v promtool >/dev/null || skip "needs promtool"
	require_uffd
	load_pager
	swapd --name other --ram 8M --on "$SWK_TMP/weird \"\\ name" --create 4M \
		2>>"$SWAPD_LOG" || swapd --name other --ram 8M --create 4M \
		--on "$SWK_TMP/weird \"\\ name"
	swapctl export --all --format prometheus >metrics
	promtool check metrics <metrics
	promtool check metrics < <(swapctl -p t export --format prometheus \
		--objects)
	grep -q '^swapkit_up{pager="other"} 1$' metrics
	grep -q '^swapkit_up{pager="kernel"} 1$' metrics
	grep -q '^swapkit_up{pager="t"} 1$' metrics
	grep -qF 'device="'"$SWK_TMP"'/weird \"\\ name"' metrics
	# No family comes twice, and no sample.
	run ! eval 'grep "^# TYPE" metrics | sort | uniq -d | grep .'
	run ! eval 'grep -v "^#" metrics | sed "s/ [^ ]*$//" | sort | uniq -d | grep .'
	# Without objects nothing grows with what programs do.
	run ! grep swapkit_object_ metrics
	swapctl -p t export --format openmetrics --objects >open
	grep -q '^swapkit_object_size_bytes{pager="t",object="[0-9]*"} 12582912$' \
		open
	assert_equal "$(tail -n 1 open)" "# EOF"
	swapctl export --all >all
	"$check" --each '{x["pager"]["name"] for x in a} ==
		{"t", "other", "kernel"}' <all
	swapd --name other --stop
	end_client a
	stop_swapd
}

@test "--textfile replaces the file as a whole, for others to read" {
	start_swapd --ram 8M
	(umask 077; swapctl -p t export --textfile "$SWK_TMP/swapkit.prom")
	assert_equal "$(stat -c %a swapkit.prom)" 644
	grep -q '^# TYPE swapkit_up gauge$' swapkit.prom
	run ! grep EOF swapkit.prom
	# Who has it open goes on reading the old one, whole.
	exec {old}<swapkit.prom
	before=$(stat -c %i swapkit.prom)
	swapctl -p t export --textfile swapkit.prom --follow=0.1 --count 3
	assert_not_equal "$(stat -c %i swapkit.prom)" "$before"
	grep -q swapkit_events <&"$old"
	# Nothing is left beside it.
	run ls -A
	refute_output --partial ".swapkit.prom."
	# What is no regular file is left alone.
	run swapctl -p t export --textfile /dev/null
	assert_failure 1
	assert_output --partial "no regular file"
	[ -c /dev/null ]
	ln -s swapkit.prom link
	run swapctl -p t export --textfile link
	assert_failure 1
	run swapctl -p t export --textfile "$SWK_TMP/none/x.prom"
	assert_failure 1
	# A full disk leaves the old one.
	cp swapkit.prom saved
	run bash -c 'ulimit -f 1; trap "" XFSZ; swapctl -p t export --textfile swapkit.prom'
	assert_failure 1
	cmp saved swapkit.prom
	run ls -A
	refute_output --partial ".swapkit.prom."
	stop_swapd
}

@test "options that do not go together are refused" {
	local wrong=("--format xml" "--follow=0" "--follow=abc" "--count 2"
		"--format openmetrics --delta" "--format openmetrics --fields ram"
		"--format prometheus --follow" "--objects" "--count 0 --follow"
		"--json --format prometheus" "extra" "--follow=0.0000001")
	local words

	for words in "${wrong[@]}"; do
		# shellcheck disable=SC2086
		run swapctl -p t export $words
		assert_failure 2
		assert_output --partial "Try 'swapctl help export'."
	done
	run swapctl -p t export --all
	assert_failure 2
}

# Bytes of memory files with that name that a process has open.
memfd_bytes()	# PID NAME
{
	python3 -c '
import os, sys
total = 0
seen = set()
folder = "/proc/%s/fd/" % sys.argv[1]
for fd in os.listdir(folder):
	try:
		st = os.stat(folder + fd)
		link = os.readlink(folder + fd)
	except FileNotFoundError:
		continue
	if link.startswith("/memfd:" + sys.argv[2]) and st.st_ino not in seen:
		seen.add(st.st_ino)
		total += st.st_blocks * 512
print(total)' "$1" "$2"
}

io_bytes()	# FIELD
{
	awk -v f="$1:" '$1 == f { print $2 }' "/proc/$SWAPD_PID/io"
}

@test "all figures agree, with each other and with what is counted outside" {
	require_uffd
	[ -r "/proc/self/io" ] || skip "needs /proc/PID/io"
	file=$(make_swapfile 32M)
	start_swapd --ram 4M --on "$file"
	start_client a
	order a create x 3072
	written_before=$(io_bytes wchar)
	read_before=$(io_bytes rchar)
	stored_before=$(io_bytes write_bytes)
	fetched_before=$(io_bytes read_bytes)
	order a fill x 1 0 3072
	order a check x 1 0 2048
	order a flush x 2560 512 free
	wait_until 20 is_quiet
	swapctl -p t status --json >status
	swaptop -p t --json --once >top
	swapctl -p t export >export
	swapctl -p t export --format openmetrics --objects >metrics
	maps=$(awk '/memfd:/ { split($1, r, "-"); n += strtonum("0x" r[2]) -
		strtonum("0x" r[1]) } END { print n + 0 }' \
		"/proc/$a_pid/maps" 2>/dev/null) || maps=
	[ -n "$maps" ] && [ "$maps" -gt 0 ] || maps=$(python3 -c '
import sys
n = 0
for line in open("/proc/%s/maps" % sys.argv[1]):
	if "memfd:" in line:
		lo, hi = line.split()[0].split("-")
		n += int(hi, 16) - int(lo, 16)
print(n)' "$a_pid")
	name=$(awk '/memfd:/ { sub(".*memfd:", ""); print $1; exit }' \
		"/proc/$a_pid/maps")
	memory=$(memfd_bytes "$SWAPD_PID" "$name")
	python3 - "$maps" "$memory" \
		$(($(io_bytes wchar) - written_before)) \
		$(($(io_bytes write_bytes) - stored_before)) \
		$(($(io_bytes rchar) - read_before)) \
		$(($(io_bytes read_bytes) - fetched_before)) <<-'END'
	import json, re, sys
	maps, memory, wchar, stored, rchar, fetched = map(int, sys.argv[1:])
	s = json.load(open("status"))
	t = json.load(open("top"))
	for name in s:
	    if name != "uptime_usec":
	        assert s[name] == t[name], (name, s[name], t[name])
	d = json.load(open("export"))
	m = {}
	for line in open("metrics"):
	    if not line.startswith("#"):
	        name, value = line.rsplit(" ", 1)
	        m[name.replace('pager="t",', "").replace('{pager="t"}', "")] = \
	            float(value)
	def same(what, *values):
	    assert len(set(values)) == 1, (what, values)
	o, e, dev, edev = s["objects"][0], d["objects"][0], s["devices"][0], \
	    d["devices"][0]
	ob = '{object="%d"}' % o["id"]
	path = '{device="%s"}' % dev["path"]
	same("size", o["size_bytes"], e["size_bytes"], maps, 3072 * 4096,
	     m["swapkit_object_size_bytes" + ob])
	same("resident", s["resident_bytes"], d["ram"]["resident_bytes"],
	     o["resident_bytes"], e["resident_bytes"], memory,
	     m["swapkit_ram_resident_bytes"],
	     m["swapkit_object_resident_bytes" + ob])
	# 512 pages were given up; each other one is in one place.
	same("all", o["resident_bytes"] + o["swapped_bytes"], 2560 * 4096)
	same("swapped", s["swapped_bytes"], o["swapped_bytes"],
	     e["swapped_bytes"], d["swap"]["swapped_bytes"],
	     m["swapkit_swapped_bytes"])
	same("used", s["swap_used_bytes"], d["swap"]["used_bytes"],
	     dev["used_bytes"], edev["used_bytes"], o["block_bytes"],
	     m["swapkit_swap_used_bytes"], m["swapkit_device_used_bytes" + path])
	same("free", edev["fragmentation"]["free_bytes"],
	     dev["size_bytes"] - dev["used_bytes"] - dev["bad_bytes"],
	     m["swapkit_device_free_bytes" + path])
	c, x = s["counters"], d["counters"]
	for name in c:
	    same(name, c[name], x[name])
	same("out", c["pageout_pages"] * 4096, dev["written_bytes"],
	     m["swapkit_pageout_bytes_total"],
	     m["swapkit_device_written_bytes_total" + path])
	same("out of it", o["pageout_pages"], e["pageout_pages"],
	     c["pageout_pages"], m["swapkit_object_pageout_bytes_total" + ob] / 4096)
	same("into it", o["pagein_pages"], e["pagein_pages"],
	     c["pagein_pages"], m["swapkit_object_pagein_bytes_total" + ob] / 4096)
	same("in", c["pagein_pages"] * 4096, dev["read_bytes"],
	     m["swapkit_pagein_bytes_total"],
	     m["swapkit_device_read_bytes_total" + path])
	for kind in ("zero", "in", "write"):
	    same(kind, c["faults_" + kind],
	         m['swapkit_faults_total{kind="%s"}' % kind])
	assert c["pageout_pages"] > 2048 and c["pagein_pages"] > 1024, c
	# By the kernel's word: as calls, or as what reached the storage.
	near = lambda a, b: 0 <= a - b < 1 << 18
	assert near(wchar, dev["written_bytes"]) or \
	    near(stored, dev["written_bytes"]), (wchar, stored, dev)
	assert rchar >= dev["read_bytes"] or fetched >= dev["read_bytes"], \
	    (rchar, fetched, dev)
	END
	end_client a
	stop_swapd
}

@test "a reader of another user's pager sees no objects but its own" {
	require_root
	require_uffd
	load_pager
	setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$SWAPKIT_BUILD/cmd/swapctl" -p t export | "$check" '
		d["objects"] == [] and d["charge"]["users"] == [] and
		d["pager"]["objects"] == 1 and
		d["charge"]["charged_bytes"] == 12 << 20'
	end_client a
	stop_swapd
}
