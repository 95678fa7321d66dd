#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Tunables: swapctl get and set, swapd --set, and what each of them does.

bats_require_minimum_version 1.5.0
load lib/helpers
load lib/snapshot
load lib/script

setup()
{
	swk_setup
	cd "$SWK_TMP"
}

# The value of a tunable, exactly.
value() { swapctl -p t get "$1" --json | python3 -c \
	'import json, sys; print(json.load(sys.stdin)[0]["value"])'; }

all_values() { swapctl -p t get --json; }

# Run "swapctl set" that must fail, say each WORD and change nothing.
refuse_set()	# STATUS WORD... -- SETTING...
{
	local status_wanted=$1 words=() before word

	shift
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	before=$(all_values)
	run --separate-stderr swapctl -p t set "$@"
	echo "set $*: exit status $status, says: $stderr"
	[ "$status" -eq "$status_wanted" ]
	assert_equal "$output" ""
	for word in "${words[@]}"; do
		[[ $stderr == *"$word"* ]] || fail "does not say: $word"
	done
	assert_equal "$(all_values)" "$before"
}

@test "get: all, some, and as JSON" {
	start_swapd --ram 4M
	run swapctl -p t get
	assert_success
	assert_line --index 0 --regexp '^NAME +VALUE UNIT +RANGE +DEFAULT SUMMARY$'
	assert_line --regexp '^ram +4M bytes +1M\.\.1E +64M [a-z].*$'
	assert_line --regexp '^cluster +32 pages +1\.\.64 +32 [a-z].*$'
	assert_line --regexp '^map_kind +auto - +auto\|array\|hash\|trie +auto .*$'
	run swapctl -p t get cluster ram
	assert_success
	assert_line --index 1 --regexp '^cluster '
	assert_line --index 2 --regexp '^ram '
	[ "${#lines[@]}" -eq 3 ]
	swapctl -p t get --json | conforms "[]Tunable"
	run swapctl -p t get --json ram
	assert_output --partial '"value": "4194304"'
	run --separate-stderr swapctl -p t get cluster clutser
	assert_failure 1
	assert_equal "$output" ""
	assert_equal "$stderr" "swapctl: there is no tunable 'clutser'; did you mean 'cluster'?"
	stop_swapd
}

@test "every tunable is in the manual, with its unit, range and default" {
	start_swapd --ram 4M
	swapctl -p t get --json >tunables.json
	run python3 - "$SWAPKIT_SRC/man/swapctl.8" <<-'END'
	import json, re, sys
	page = open(sys.argv[1]).read()
	section = page.split(".Ss Tunables")[1].split(".Ss ")[0].split(".Sh ")[0]
	items = dict(re.findall(r"\.It Va (\w+)\n(.*?)(?=\.It Va|\.El)", section,
	                        re.S))
	tunables = json.load(open("tunables.json"))
	assert set(items) == {t["name"] for t in tunables}, items.keys()
	def plain(value, unit):
	    n = int(value) if unit == "bytes" else 0
	    for letter in "KMGTPE" if n else "":
	        if n % 1024:
	            break
	        n //= 1024
	        value = str(n) + letter
	    return value
	for t in tunables:
	    text = items[t["name"]]
	    low = t["range"].split("..")
	    words = [t["unit"], plain(t["default_value"], t["unit"])] + [
	        plain(x, t["unit"]) for x in (low if len(low) == 2
	                                      else t["range"].split("|"))]
	    for word in words:
	        assert re.search(r"(^|[^\w])%s($|[^\w])" % re.escape(word), text), (
	            t["name"], word)
	print(len(tunables))
	END
	assert_success
	assert_output --regexp '^[0-9]+$'
	stop_swapd
}

@test "set: the old and the new value, and JSON" {
	start_swapd --ram 4M
	run swapctl -p t set cluster=8
	assert_success
	assert_output "cluster is 8; it was 32"
	holds 's["cluster_pages"] == 8'
	run swapctl -p t set cluster=8 user_limit=1G
	assert_success
	assert_line --index 0 "cluster is 8, as before"
	assert_line --index 1 "user_limit is 1G; it was 0"
	assert_equal "$(value user_limit)" $((1 << 30))
	run swapctl -p t set --json user_limit=1536K
	assert_success
	assert_output '{"name":"user_limit","result":"ok","old_value":"1073741824","value":"1572864"}'
	run swapctl -p t get user_limit
	assert_line --regexp '^user_limit 1536K bytes '
	grep -q "cluster is 8 pages now; it was 32" "$SWAPD_LOG"
	stop_swapd
}

@test "set: several in any order, all or none" {
	start_swapd --ram 4M --on "$(make_swapfile 32M)"
	swapctl -p t set low_water=1M high_water=2M
	run swapctl -p t set low_water=8M high_water=16M
	assert_success
	run swapctl -p t set high_water=2M low_water=1M
	assert_success
	refuse_set 1 "low_water: 4194304 is above high_water" -- \
		cluster=4 low_water=4M
	refuse_set 1 "low_water: " -- low_water=8M high_water=4M cluster=4
	refuse_set 1 "no tunable 'clutser'; did you mean 'cluster'?" -- \
		map_kind=hash clutser=4
	refuse_set 1 "there is no tunable 'elephant'" -- elephant=1
	stop_swapd
}

@test "set: what is no setting, or no value" {
	start_swapd --ram 4M
	refuse_set 2 "which tunable" "swapctl help set" --
	refuse_set 2 "'cluster' is not of the form NAME=VALUE" -- cluster
	refuse_set 2 "'cluster=' is not" -- cluster=
	refuse_set 2 "'=4' is not" -- =4
	refuse_set 2 "'x' is not" -- cluster=4 x
	refuse_set 2 "no option '--force'" -- --force cluster=4
	# What none of them can be, and both sides of each range.
	for name in ram cluster swap_async_max low_water high_water \
			overcommit user_limit metadata_limit map_kind full; do
		for bad in x -1 1.5 99999999999999999999 0x10 ' 1' 1Q; do
			refuse_set 1 "$name: '$bad" "give " -- "$name=$bad"
		done
	done
	refuse_set 1 "1..64 pages" -- cluster=0
	refuse_set 1 "1..64 pages" -- cluster=65
	refuse_set 1 "1..64 writes" -- swap_async_max=0
	refuse_set 1 "ram: '1023K'" -- ram=1023K
	refuse_set 1 "0..7" -- overcommit=8
	refuse_set 1 "wait|fail" -- full=maybe
	refuse_set 1 "auto|array|hash|trie" -- map_kind=tree
	swapctl -p t set cluster=64 ram=1M overcommit=7 full=fail map_kind=trie
	stop_swapd
}

@test "set: by nobody but root and the owner" {
	require_root
	command -v setpriv >/dev/null || skip "needs setpriv"
	start_swapd --ram 4M
	chmod 755 "$SWAPD_RUNTIME_DIR"
	before=$(all_values)
	nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	run --separate-stderr "${nobody[@]}" swapctl \
		-p "$SWAPD_RUNTIME_DIR/t.sock" set cluster=1
	assert_failure 1
	[[ $stderr == *"setting a tunable: only root may do that"*"uid 65534"* ]]
	run "${nobody[@]}" swapctl -p "$SWAPD_RUNTIME_DIR/t.sock" get cluster
	assert_success
	assert_line --regexp '^cluster +32 '
	assert_equal "$(all_values)" "$before"
	stop_swapd
}

# --------------------------------------------------------------- swapd --set

@test "swapd --set: before anything is served" {
	start_swapd --ram 4M --set high_water=3M --set low_water=2M \
		--set map_kind=hash --set ram=8M --set cluster=5 \
		--on "$(make_swapfile 16M)"
	assert_equal "$(value low_water)" $((2 << 20))
	assert_equal "$(value high_water)" $((3 << 20))
	assert_equal "$(value map_kind)" hash
	assert_equal "$(value cluster)" 5
	holds 's["ram_bytes"] == 8 << 20 and s["cluster_pages"] == 5'
	stop_swapd
}

@test "swapd --set: refused while somebody looks" {
	for mode in "" --foreground; do
		while IFS='|' read -r word args; do
			word=${word%"${word##*[![:space:]]}"}
			# shellcheck disable=SC2086
			run --separate-stderr swapd $mode --name t --quiet $args
			echo "$args: $stderr"
			assert_failure 2
			[[ $stderr == *"$word"* ]]
			[ ! -e "$SWAPD_RUNTIME_DIR/t.sock" ]
			[ ! -e "$SWAPD_RUNTIME_DIR/t.state" ]
		done <<-'END'
		--set cluster: is not of the form NAME=VALUE | --set cluster
		--set cluster=: is not of the form   | --set cluster=
		did you mean 'cluster'?              | --set clutser=4
		--set cluster=65: cluster: '65'      | --set cluster=65
		--set map_kind=tree                  | --set cluster=4 --set map_kind=tree
		low_water: 2097152 is above          | --set high_water=1M --set low_water=2M
		'--set' requires an argument         | --set
		goes only with --name                | --stop --set cluster=4
		END
	done
}

# ------------------------------------------------------------ what they do

@test "ram: a smaller budget is worked down to, a larger one is used" {
	require_uffd
	start_swapd --ram 32M --on "$(make_swapfile 64M)"
	start_client a
	order a create x 6000
	order a fill x 1 0 6000
	holds 's["resident_bytes"] > 20 << 20'
	run swapctl -p t set ram=4M
	assert_output "ram is 4M; it was 32M"
	wait_until 20 is_true 's["resident_bytes"] <= 4 << 20'
	order a check x 1 0 6000
	holds 's["resident_bytes"] <= 4 << 20 and s["ram_bytes"] == 4 << 20'
	swapctl -p t set ram=32M
	order a check x 1 0 6000
	holds 's["resident_bytes"] > 20 << 20'
	order a wire x 0 2000
	refuse_set 1 "ram: " "wired" -- ram=4M
	order a check x 1 0 6000
	end_client a
	stop_swapd
}

@test "cluster: whatever it is changed to, while programs page" {
	require_uffd
	start_swapd --ram 2M --on "$(make_swapfile 64M)"
	start_client a
	order a create x 4000
	for cluster in 1 64 3 17 32; do
		swapctl -p t set cluster=$cluster
		order a fill x $cluster 0 4000
		order a check x $cluster 0 4000
		holds 's["cluster_pages"] == int(argv[0])' $cluster
	done
	end_client a
	stop_swapd
}

@test "low_water and high_water: almost full, and not so any more" {
	require_uffd
	start_swapd --ram 1M --set low_water=8M --set high_water=10M \
		--on "$(make_swapfile 16M)"
	start_client a
	order a create x 1000
	order a fill x 1 0 1000
	holds 'not s["almost_full"]'
	order a create y 2000
	order a fill y 2 0 2000
	holds 's["almost_full"] and not s["full"]'
	holds 's["counters"]["almost_full_events"] == 1'
	run swapctl -p t status
	assert_output --partial "! Swap space is almost full."
	assert_output --regexp 'Shortages +1 times? almost full'
	# Between the marks it stays what it was.
	order a check x 1 0 1000
	order a check y 2 0 2000
	order a close y
	holds 'not s["almost_full"]'
	holds 's["counters"]["almost_full_events"] == 1'
	end_client a
	stop_swapd
}

@test "overcommit and user_limit: what objects may add up to" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 16M)"
	start_client a
	order a create before 8192
	# What is there is left alone; the next one is looked at.
	swapctl -p t set overcommit=2 user_limit=40M
	order a create small 1024
	run swapctl -p t objects --by-user
	if [ "$(id -u)" -ne 0 ]; then
		order a create big 2048 '=>' ENOMEM
	else
		# Root is charged, but not held to it.
		order a create big 2048
		assert_line --regexp '^root +2 +36M +- +- '
		holds 's["users"][0]["limit_bytes"] == 0'
	fi
	holds 's["overcommit"] == 2'
	holds 's["charged_bytes"] == sum(x["size_bytes"] for x in s["objects"])'
	holds 's["users"][0]["charged_bytes"] == s["charged_bytes"]'
	run swapctl -p t status
	assert_line --regexp '^Charged +(36|44)M of [0-9.]+M to objects, not enforced$'
	swapctl -p t set overcommit=5
	run swapctl -p t status
	assert_line --regexp '^Charged +100%  (36|44)M of [0-9.]+M to objects$'
	end_client a
	holds 's["charged_bytes"] == 0 and s["users"] == []'
	stop_swapd
}

@test "user_limit: of another user, who sees only what is theirs" {
	require_root
	require_uffd
	command -v setpriv >/dev/null || skip "needs setpriv"
	start_swapd --ram 4M --set overcommit=2 --set user_limit=4M \
		--on "$(make_swapfile 16M)"
	chmod 755 "$SWAPD_RUNTIME_DIR"
	nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	sock=$SWAPD_RUNTIME_DIR/t.sock
	start_client a
	order a create roots 100
	mkfifo in
	"${nobody[@]}" "$SWAPKIT_BUILD/tests/tools/objects" "$sock" <in >out \
		3>&- &
	register_pid $!
	exec {fd}>in
	printf 'create n1 768\ncreate n2 512\ncreate n3 256\n' >&"$fd"
	three_lines() { [ "$(wc -l <out)" -eq 3 ]; }
	wait_until 20 three_lines
	run cat out
	assert_line --index 0 ok
	assert_line --index 1 --regexp '^ENOMEM .*uid 65534.*3\.0 MiB and may have 4\.0 MiB'
	assert_line --index 2 ok
	holds '[u["uid"] for u in s["users"]] == [0, 65534]'
	holds 's["users"][1]["charged_bytes"] == 4 << 20'
	holds 's["counters"]["charges_refused"] == 1'
	run swapctl -p t objects --by-user
	assert_line --regexp '^(nobody|65534) +2 +4M +4M +100% '
	"${nobody[@]}" swapctl -p "$sock" status --json >theirs.json
	python3 -c 'import json
s = json.load(open("theirs.json"))
assert [u["uid"] for u in s["users"]] == [65534], s["users"]
assert sorted(o["name"] for o in s["objects"]) == ["n1", "n3"]'
	echo quit >&"$fd"
	end_client a
	wait_until 10 is_true 's["users"] == []'
	stop_swapd
}

@test "metadata_limit: page-out stops, says so, and goes on" {
	require_uffd
	start_swapd --ram 4M --set map_kind=trie --set metadata_limit=4K \
		--on "$(make_swapfile 64M)"
	start_client a
	order a create x 8000
	echo "fill x 1 0 8000" >&"$a_fd"
	wait_until 20 is_true 's["metadata_full"]'
	holds 's["counters"]["metadata_full_events"] >= 1'
	holds 's["map_limit_bytes"] == 4096'
	run swapctl -p t status
	assert_output --partial "! The memory for swap maps is used up"
	assert_output --partial "swapctl set metadata_limit=SIZE"
	assert_line --regexp '^Metadata +[0-9]+%  [0-9.]+[BK] of 4K for maps, .* in all$'
	swapctl -p t set metadata_limit=0
	wait_until 60 client_said_more a 1
	order a check x 1 0 8000
	holds 'not s["metadata_full"]'
	run swapctl -p t status
	assert_line --regexp '^Metadata +[0-9.]+K for maps, .* in all$'
	end_client a
	stop_swapd
}

@test "map_kind: of the next object, whatever it is" {
	require_uffd
	start_swapd --ram 1M --on "$(make_swapfile 64M)"
	start_client a
	for kind in array hash trie; do
		swapctl -p t set map_kind=$kind
		order a create $kind 1500 exact
		order a fill $kind 1 0 1500
		holds 'o[argv[0]]["map_kind"] == argv[0]' $kind
		holds 'o[argv[0]]["map_bytes"] > 0' $kind
	done
	swapctl -p t set map_kind=auto
	order a create auto 1500
	order a fill auto 1 0 1500
	holds 'o["auto"]["map_kind"] in ("array", "hash", "trie")'
	holds '0 < s["map_bytes"] <= s["metadata_bytes"]'
	order a copy hash 0 trie 0 1500
	for kind in array hash trie auto; do
		order a check $kind 1 0 1500
		order a flush $kind 0 700 free
		order a zero $kind 0 700
		order a check $kind 1 700 800
	done
	end_client a
	stop_swapd
}
