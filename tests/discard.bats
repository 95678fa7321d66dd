#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Discard: what a loop device makes of it in the file under it, that programs
# lose nothing by it, and what is refused.

bats_require_minimum_version 1.5.0
load lib/helpers
load lib/snapshot

setup()
{
	swk_setup
	cd "$SWK_TMP"
	holder=$SWAPKIT_BUILD/tests/tools/holder
}

# Start the holder; its commands go to descriptor $in, its answers to "out".
start_holder()	# SIZE
{
	mkfifo in
	"$holder" t "$1" <in >out 3>&- &
	register_pid $!
	exec {in}>in
	wait_until 20 grep -q ready out
}

answers() { [ "$(wc -l <out)" -gt "$1" ]; }

tell()	# COMMAND
{
	local before

	before=$(wc -l <out)
	echo "$1" >&"$in"
	wait_until 60 answers "$before"
	assert_equal "$(tail -n 1 out)" ok
}

# Does the file under loop device $1 take at most $2 bytes?
takes_at_most()
{
	[ "$(($(stat -c %b "$(losetup -n -O BACK-FILE "$1")") * 512))" -le "$2" ]
}

takes_at_least() { ! takes_at_most "$1" $(($2 - 1)); }

@test "what becomes free becomes a hole, and what is in use stays" {
	require_loop
	require_uffd
	loop=$(make_loop 64M)
	start_swapd --ram 4M
	run swapctl -p t on --discard "$loop"
	assert_success
	assert_output "$loop is on"
	# Once, whole, but for the first 8 KiB.
	takes_at_most "$loop" 65536
	holds 'd[argv[0]]["discarded_bytes"] == d[argv[0]]["size_bytes"]' "$loop"
	holds 'd[argv[0]]["discards_pages"] and d[argv[0]]["discards"] == 1' \
		"$loop"
	run swapctl -p t status
	assert_output --partial discards
	start_holder 32M
	tell "fill 1"
	tell "check 1"
	takes_at_least "$loop" $((16 << 20))
	# Blocks come and go for a while.
	for i in 2 3 4; do
		tell "fill $i"
		tell "check $i"
	done
	tell release
	wait_until 20 takes_at_most "$loop" $((4 << 20))
	tell zero
	tell "fill 5"
	tell "check 5"
	echo quit >&"$in"
	wait_until 20 takes_at_most "$loop" $((4 << 20))
	run swapctl -p t off "$loop"
	assert_success
	stop_swapd
}

@test "once or pages alone" {
	require_loop
	one=$(make_loop 16M) two=$(make_loop 16M)
	start_swapd --ram 4M
	swapctl -p t on --discard=once "$one"
	swapctl -p t on --discard=pages "$two"
	takes_at_most "$one" 65536
	takes_at_least "$two" $((14 << 20))
	holds 'not d[argv[0]]["discards_pages"]' "$one"
	holds 'd[argv[0]]["discards_pages"]' "$two"
	stop_swapd
}

@test "devices that are there from the start" {
	require_loop
	one=$(make_loop 16M) two=$(make_loop 16M) both=$(make_loop 16M)
	start_swapd --ram 4M --discard=once --on "$one" \
		--discard=pages --on "$two" --discard --on "$both"
	takes_at_most "$one" 65536
	takes_at_least "$two" $((14 << 20))
	takes_at_most "$both" 65536
	holds 'not d[argv[0]]["discards_pages"]' "$one"
	holds 'd[argv[0]]["discards_pages"]' "$two"
	holds 'd[argv[0]]["discards_pages"]' "$both"
	stop_swapd
	run swapd --ram 4M --discard=some --on "$one"
	assert_failure 2
	assert_output --partial "neither 'once' nor 'pages'"
}

@test "a file is used without, and the log says why" {
	file=$(make_swapfile 16M)
	before=$(stat -c %b "$file")
	start_swapd --ram 4M
	run swapctl -p t on --discard "$file"
	assert_success
	assert_equal "$(stat -c %b "$file")" "$before"
	holds 'not d[argv[0]]["discards_pages"]' "$file"
	grep -q "$file: a file is not discarded" "$SWAPD_LOG"
	stop_swapd
}

@test "other words are refused" {
	start_swapd --ram 4M
	run swapctl -p t on --discard=some "$(make_swapfile 8M)"
	assert_failure 2
	assert_output --partial "neither 'once' nor 'pages'"
	stop_swapd
}
