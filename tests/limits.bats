#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# swaprun --ram, --swap: a hungry program pages against itself, and a program
# beside it keeps what it has in RAM.

bats_require_minimum_version 1.5.0
load lib/helpers

setup()
{
	swk_setup
	require_uffd
	require_plain_build
	export LC_ALL=C
}

# A figure of the object that a process has.
figure()	# PID NAME
{
	swapctl -p t objects --json | python3 -c '
import json, sys
found = json.load(sys.stdin)
if isinstance(found, dict):
    found = found["objects"]
print(sum(o[sys.argv[2]] for o in found if o["pid"] == int(sys.argv[1])))
' "$1" "$2"
}

# Fills so many MiB with what depends on their place, says so, and checks all
# of them whenever it is asked.
program='
import sys
n = int(sys.argv[1]) * 256
pages = [b"%08d" % i * 512 for i in range(n)]
print("filled", flush=True)
for line in sys.stdin:
    good = all(pages[i] == b"%08d" % i * 512 for i in range(n))
    print("good" if good else "bad", flush=True)
'

# Started with its input on a FIFO, and its output in a file.
start_program()	# NAME MIB SWAPRUN-WORD...
{
	local name=$1 mib=$2

	shift 2
	mkfifo "$SWK_TMP/$name.in"
	swaprun -p t "$@" -- python3 -c "$program" "$mib" \
		<"$SWK_TMP/$name.in" >"$SWK_TMP/$name.out" 3>&- &
	pid=$!
	register_pid $pid
}

says()	# NAME WORD COUNT
{
	[ "$(grep -c "$2" "$SWK_TMP/$1.out")" -ge "$3" ]
}

@test "a hungry program pushes nobody out" {
	start_swapd --ram 96M --on "$(make_swapfile 256M)"
	start_program victim 30
	victim=$pid
	exec {to_victim}>"$SWK_TMP/victim.in"
	wait_until 60 says victim filled 1
	before=$(figure "$victim" resident_bytes)
	[ "$before" -gt $((30 << 20)) ]
	pageins=$(figure "$victim" pagein_pages)
	start_program hungry 100 --ram 16M
	hungry=$pid
	exec {to_hungry}>"$SWK_TMP/hungry.in"
	wait_until 60 says hungry filled 1
	for i in 1 2; do
		echo >&"$to_hungry"
		wait_until 60 says hungry good "$i"
	done
	run ! grep bad "$SWK_TMP/hungry.out"
	[ "$(figure "$hungry" ram_limit_bytes)" -eq $((16 << 20)) ]
	[ "$(figure "$hungry" resident_bytes)" -le $((16 << 20)) ]
	[ "$(figure "$hungry" pagein_pages)" -gt 10000 ]
	# The victim has all that it had, and went nowhere for it.
	[ "$(figure "$victim" resident_bytes)" -ge $((before - (1 << 20))) ]
	[ "$(figure "$victim" pageout_pages)" -eq 0 ]
	[ "$(figure "$victim" pagein_pages)" -eq "$pageins" ]
	echo >&"$to_victim"
	wait_until 60 says victim good 1
	exec {to_victim}>&- {to_hungry}>&-
	wait "$victim" "$hungry"
	stop_swapd
}

@test "a program waits at both of its limits, until pages are released" {
	start_swapd --ram 64M --on "$(make_swapfile 256M)"
	start_program hungry 100 --ram 8M --swap 32M
	hungry=$pid
	exec {to_hungry}>"$SWK_TMP/hungry.in"
	wait_until 60 waits_at_limit
	run ! says hungry filled 1
	[ "$(figure "$hungry" block_bytes)" -le $((32 << 20)) ]
	[ "$(figure "$hungry" swap_limit_bytes)" -eq $((32 << 20)) ]
	# Another program has all the rest.
	start_program other 40
	exec {to_other}>"$SWK_TMP/other.in"
	wait_until 60 says other filled 1
	echo >&"$to_other"
	wait_until 60 says other good 1
	kill -9 "$hungry"
	exec {to_other}>&- {to_hungry}>&-
	wait "$pid"
	stop_swapd
}

waits_at_limit()
{
	[ "$(swapctl -p t status --json |
		sed -n 's/.*"limit_waits": *\([0-9]*\).*/\1/p' |
		head -n 1)" -gt 10 ] &&
		[ "$(figure "$hungry" block_bytes)" -gt $((30 << 20)) ]
}
