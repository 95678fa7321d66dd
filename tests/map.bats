#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# swapctl map: how fragmented devices are, as a picture and as JSON.

bats_require_minimum_version 1.5.0
load lib/helpers
load lib/snapshot
load lib/script

setup()
{
	swk_setup
	cd "$SWK_TMP"
	unset NO_COLOR COLUMNS LINES
}

# The JSON of the maps m of some devices is in itself right.
check_maps()	# [EXPRESSION over m]
{
	python3 -c '
import json, sys
m = json.load(sys.stdin)
for d in m:
	h = d["histogram"]
	assert sum(x["blocks"] for x in h) == d["nfree"], d
	assert sum(x["runs"] for x in h) == d["nruns"], d
	assert [x["order"] for x in h] == sorted(x["order"] for x in h), d
	for x in h:
		assert x["runs"] << x["order"] <= x["blocks"] < \
			x["runs"] << x["order"] + 1, x
	if h:
		assert d["largest"] >> h[-1]["order"] == 1, d
	if d["cells"]:
		assert sum(c["nblocks"] for c in d["cells"]) == d["nblocks"], d
		assert sum(c["nfree"] for c in d["cells"]) == d["nfree"], d
	for i, c in enumerate(d["cells"]):
		n = len(d["cells"])
		assert c["nblocks"] == d["nblocks"] * (i + 1) // n - \
			d["nblocks"] * i // n, (i, c)
		assert 0 <= c["nfree"] <= c["nblocks"], c
	cluster = 1
	while cluster * 2 <= d["cluster_pages"]:
		cluster *= 2
	short = sum(x["blocks"] for x in h if 1 << x["order"] < cluster)
	want = short * 1000 // d["nfree"] if d["nfree"] else 0
	assert abs(d["fragmentation"] - want) <= 1, (d["fragmentation"], want)
if len(sys.argv) > 1:
	assert eval("(" + sys.argv[1] + ")"), (sys.argv[1], m)' "$@"
}

# Free every second page of what went out of an object: holes of one block.
make_holes()	# CLIENT OBJECT PAGES
{
	local fd=${1}_fd i n=0

	for ((i = 0; i < $3; i += 2)); do
		echo "flush $2 $i 1 free"
		n=$((n + 1))
	done >&"${!fd}"
	wait_until 60 client_said_more "$1" $((n + ${4:-0} - 1))
}

@test "map: devices on which nothing is" {
	require_loop
	loop=$(make_loop 16M)
	file=$(make_swapfile 8M)
	start_swapd --ram 4M --on "$loop" --on "$file"
	swapctl -p t map --json |
		check_maps '[d["path"] for d in m] == ["'"$loop"'", "'"$file"'"]
			and all(d["nruns"] == 1 for d in m)
			and all(d["nblocks"] - d["nfree"] == 8192 // d["block_bytes"] for d in m)
			and all(len(d["cells"]) == 256 for d in m)'
	run swapctl -p t map
	assert_success
	assert_line "$loop: 16M, 0B used (0%), 16M free"
	assert_line "$file: 8M, 0B used (0%), 8M free"
	assert_line --regexp '^    0B ░·+$'
	assert_line "Free space     16M in 1 run"
	assert_line --regexp '^    8M    16M            1     16M   100%  █+$'
	assert_line "Fragmentation  0.0% of it in runs shorter than 128K"
	# A pipe gets 80 columns, and no colours.
	[ "$(wc -L <<<"$output")" -le 80 ]
	[[ $output != *$'\e'* ]]
	stop_swapd
}

@test "map --json conforms to the interface" {
	start_swapd --ram 4M --on "$(make_swapfile 8M)"
	swapctl -p t map --json --cells 7 | python3 -c '
import json, sys
m = json.load(sys.stdin)
assert all(d.pop("block_bytes") == int(sys.argv[1]) for d in m)
assert len(m[0]["cells"]) == 7
print(json.dumps(m))' "$(getconf PAGESIZE)" | conforms "[]DeviceMap"
	swapctl -p t map --json --cells 0 | check_maps 'm[0]["cells"] == []'
	swapctl -p t map --json --cells 4096 |
		check_maps 'len(m[0]["cells"]) == 4096'
	stop_swapd
}

@test "map: holes show in the picture, the histogram and the index" {
	require_uffd
	file=$(make_swapfile 32M)
	start_swapd --ram 1M --on "$file"
	start_client a
	order a create x 4096
	order a fill x 1 0 4096
	swapctl -p t map --json | check_maps 'm[0]["fragmentation"] < 100'
	make_holes a x 3072 2
	swapctl -p t map --json | check_maps '
		m[0]["histogram"][0]["order"] == 0 and
		m[0]["histogram"][0]["runs"] > 1000 and
		m[0]["fragmentation"] > 200'
	run swapctl -p t map "$file"
	assert_line --regexp '^ +0B .*[▒▓].*$'
	assert_line --regexp '^    4K     8K +1,[0-9]{3} .* █*[▏▎▍▌▋▊▉]?$'
	assert_line --regexp '^  ──── 128K: a cluster ─+$'
	for ((i = 1; i < 3072; i += 512)); do
		order a check x 1 $i 1
	done
	order a check x 1 3072 1024
	# It all comes together again.
	end_client a
	swapctl -p t map --json | check_maps 'm[0]["nruns"] == 1 and
		m[0]["fragmentation"] == 0'
	stop_swapd
}

@test "map: a device that is full" {
	require_uffd
	start_swapd --ram 2M --on "$(make_swapfile 4M)"
	start_client a
	order a create x 2048
	echo "fill x 1 0 2048" >&"$a_fd"
	wait_until 20 is_true 's["full"]'
	run swapctl -p t map
	assert_success
	assert_line --regexp ': 4M, 4M used \(100%\), 0B free$'
	assert_line "Free space     none"
	refute_line --partial Fragmentation
	swapctl -p t map --json | check_maps 'm[0]["nfree"] == 0 and
		m[0]["histogram"] == [] and m[0]["fragmentation"] == 0'
	swapctl -p t on --create 16M more
	wait_until 60 client_said_more a 1
	order a check x 1 0 2048
	end_client a
	stop_swapd
}

@test "map: while programs page" {
	require_uffd
	start_swapd --ram 2M --on "$(make_swapfile 64M)"
	start_client a
	order a create x 8000
	for i in {1..8}; do
		echo "fill x $i 0 8000" >&"$a_fd"
	done
	while ! client_said_more a 8; do
		run swapctl -p t map --json
		assert_success
		run swapctl -p t map
		assert_success
		assert_line --partial "Free space"
	done
	order a check x 8 0 8000
	swapctl -p t map --json | check_maps
	end_client a
	stop_swapd
}

@test "map: without special characters" {
	start_swapd --ram 4M --on "$(make_swapfile 8M)"
	swapctl -p t map --ascii >ascii
	LC_ALL=C swapctl -p t map >c
	cmp ascii c
	[ "$(LC_ALL=C tr -d '\000-\177' <c | wc -c)" -eq 0 ]
	run cat c
	assert_line --regexp '^    0B -\.+$'
	assert_line --regexp '^ +\. free  -=% partly used  # full  \(.* each\)$'
	assert_line --regexp ' 100%  #+$'
	stop_swapd
}

@test "map: which devices, and those that are none" {
	one=$(make_swapfile 8M) two=$(make_swapfile 8M)
	start_swapd --ram 4M
	run swapctl -p t map
	assert_success
	assert_output "no swap devices configured"
	run swapctl -p t map --json
	assert_output "[]"
	swapctl -p t on "$one" "$two"
	run swapctl -p t map "${two##*/}"
	assert_success
	assert_line --index 0 --partial "$two: "
	refute_line --partial "$one"
	# Those that are there are shown all the same.
	run --separate-stderr swapctl -p t map nothere "$one"
	assert_failure 1
	[[ $stderr == "swapctl: $SWK_TMP/nothere: "* ]]
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	[[ $output == "$one: "* ]]
	run --separate-stderr swapctl -p t map --json /dev/null "$one"
	assert_failure 1
	check_maps 'len(m) == 1' <<<"$output"
	run --separate-stderr swapctl -p t map ""
	assert_failure 1
	[[ $stderr == *"name of a device is empty"* ]]
	stop_swapd
}

@test "map: anybody may look" {
	require_root
	command -v setpriv >/dev/null || skip "needs setpriv"
	file=$(make_swapfile 8M)
	start_swapd --ram 4M --on "$file"
	chmod 755 "$SWAPD_RUNTIME_DIR"
	run setpriv --reuid 65534 --regid 65534 --clear-groups \
		swapctl -p "$SWAPD_RUNTIME_DIR/t.sock" map
	assert_success
	assert_line --index 0 "$file: 8M, 0B used (0%), 8M free"
	stop_swapd
}

@test "map: as wide as the terminal, in colour where it has any" {
	file=$(make_swapfile 64M)
	start_swapd --ram 4M --on "$file"
	for width in 60 80 200; do
		start_tmux "swapctl -p t map; echo \$? >status; cat" "$width"
		wait_until 20 test -s status
		assert_equal "$(cat status)" 0
		screen >picture
		grep -q "^ *0B ░·\{$((width - 9))\}$" picture
		[ "$(grep -c '' picture)" -le 30 ]
		"${tmux[@]}" capture-pane -pe >colored
		grep -q $'\e\[33m' colored
		"${tmux[@]}" kill-server
		rm status
	done
	start_tmux "NO_COLOR=1 swapctl -p t map; echo \$? >status; cat"
	wait_until 20 test -s status
	"${tmux[@]}" capture-pane -pe >colored
	! grep -q $'\e\[[0-9]' colored
	stop_swapd
}
