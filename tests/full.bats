#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Out of swap space while programs write: they wait or fail, as configured,
# with one warning, and nothing is lost when space comes back.

load lib/helpers

starved()
{
	swapctl -p t status --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
sys.exit(not (s["full"] and s["counters"]["faults_starved"] > 0))'
}

@test "a program waits until there is space again, and loses nothing" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 8M)"
	mkfifo "$SWK_TMP/in"
	"$SWAPKIT_BUILD/tests/tools/holder" t 32M <"$SWK_TMP/in" \
		>"$SWK_TMP/out" 3>&- &
	pid=$!
	register_pid "$pid"
	exec {fd}>"$SWK_TMP/in"
	echo "fill 1" >&"$fd"
	wait_until 20 starved
	run cat "$SWK_TMP/out"
	assert_output ready
	run swapctl -p t status
	assert_output --partial "full"
	run grep -c "out of swap space" "$SWAPD_LOG"
	assert_output 1
	swapctl -p t on --create 64M "$SWK_TMP/more"
	wait_until 20 grep -q ok "$SWK_TMP/out"
	echo "check 1" >&"$fd"
	echo quit >&"$fd"
	wait "$pid"
	run cat "$SWK_TMP/out"
	assert_output $'ready\nok\nok'
	run grep -c "out of swap space" "$SWAPD_LOG"
	assert_output 1
	stop_swapd
}

@test "as configured, it gets SIGBUS instead" {
	require_uffd
	start_swapd --ram 4M --full fail --on "$(make_swapfile 8M)"
	run "$SWAPKIT_BUILD/tests/tools/holder" t 32M <<<"fill 1"
	assert_failure 7
	assert_output --partial "SIGBUS at page"
	# Others are not harmed.
	run "$SWAPKIT_BUILD/tests/tools/holder" t 8M <<<$'fill 2\ncheck 2'
	assert_success
	assert_output $'ready\nok\nok'
	stop_swapd
}

@test "what fits in RAM and swap together goes on, however tight" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 8M)"
	# 11 MiB in 4 MiB of RAM and 8 MiB less the label of swap.
	run timeout 60 "$SWAPKIT_BUILD/tests/tools/holder" t 11M \
		<<<$'fill 1\ncheck 1\nfill 2\ncheck 2'
	assert_success
	assert_output $'ready\nok\nok\nok\nok'
	stop_swapd
}
