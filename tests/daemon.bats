#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The life of a swapd and of its clients: who ends how, and what becomes of
# the memory.

load lib/helpers

setup()
{
	swk_setup
	holder=$SWAPKIT_BUILD/tests/tools/holder
}

# Start a holder whose commands come from $1.in and whose answers go to $1.out.
start_holder()	# NAME SIZE [OBJECT [COMMAND PREFIX...]]
{
	local name=$1 size=$2 object=${3:-} fd

	shift 2
	[ $# -eq 0 ] || shift
	mkfifo "$SWK_TMP/$name.in"
	"$@" "$holder" "${HOLDER_PAGER:-t}" "$size" ${object:+"$object"} \
		<"$SWK_TMP/$name.in" >"$SWK_TMP/$name.out" 3>&- &
	eval "${name}_pid=$!"
	register_pid $!
	exec {fd}>"$SWK_TMP/$name.in"
	eval "${name}_fd=$fd"
	wait_until 20 grep -q . "$SWK_TMP/$name.out"
	answer "$name" 1 ready
}

answers() { wc -l <"$SWK_TMP/$1.out"; }

answer()	# NAME LINE EXPECTED
{
	run sed -n "$2p" "$SWK_TMP/$1.out"
	assert_output "$3"
}

send()	# NAME COMMAND
{
	local fd=${1}_fd

	echo "$2" >&"${!fd}"
}

more_answers() { [ "$(answers "$1")" -gt "$2" ]; }

# Send a command and expect an answer.
tell()	# NAME COMMAND EXPECTED
{
	local before

	before=$(answers "$1")
	send "$1" "$2"
	wait_until 60 more_answers "$1" "$before"
	answer "$1" $((before + 1)) "$3"
}

used_bytes()
{
	swapctl -p t status --json |
		python3 -c 'import json,sys; print(json.load(sys.stdin)["swap_used_bytes"])'
}

nothing_used() { [ "$(used_bytes)" -eq 0 ]; }
something_used() { [ "$(used_bytes)" -gt 0 ]; }

@test "a client's memory is paged and comes back" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	start_holder a 32M
	tell a "fill 1" ok
	something_used
	tell a "check 1" ok
	tell a "fill 2" ok
	tell a "check 2" ok
	tell a release ok
	nothing_used
	tell a zero ok
	send a quit
	wait "$a_pid"
	stop_swapd
}

@test "two processes share a named object, and the last one frees it" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	start_holder a 16M shared
	start_holder b 16M shared
	tell a "fill 3" ok
	tell b "check 3" ok
	tell b "fill 4" ok
	tell a "check 4" ok
	send a quit
	wait "$a_pid"
	tell b "check 4" ok
	something_used
	send b quit
	wait "$b_pid"
	wait_until 5 nothing_used
	run swapctl -p t objects --json
	refute_output --partial shared
	stop_swapd
}

@test "kill -9 of a client frees its blocks within a second" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	start_holder a 32M
	tell a "fill 1" ok
	something_used
	kill -9 "$a_pid"
	wait_until 1 nothing_used
	stop_swapd
}

@test "SIGTERM hands the memory over, and the client lives on" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	start_holder a 32M
	tell a "fill 5" ok
	stop_swapd
	tell a "check 5" ok
	tell a "fill 6" ok
	tell a "check 6" ok
	send a quit
	wait "$a_pid"
}

@test "swapd --stop does the same" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	start_holder a 16M
	tell a "fill 5" ok
	run swapd --name t --stop
	assert_success
	wait_until 10 process_ended "$SWAPD_PID"
	tell a "check 5" ok
}

# A memory cgroup in which swapd has $1 bytes, or a skip.
limit_swapd()	# BYTES
{
	local root=/sys/fs/cgroup/memory group file

	require_root
	if [ -e $root/memory.limit_in_bytes ]; then
		file=memory.limit_in_bytes
	elif [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		root=/sys/fs/cgroup file=memory.max
		echo +memory >$root/cgroup.subtree_control 2>/dev/null || true
	else
		skip "needs a memory cgroup"
	fi
	group=$root/swk.$$
	mkdir "$group" 2>/dev/null || skip "cannot make a memory cgroup"
	SWK_GROUP=$group SWK_ROOT=$root
	echo "$1" >"$group/$file" || skip "cannot limit a memory cgroup"
	echo "$SWAPD_PID" >"$group/cgroup.procs"
}

leave_group()
{
	echo "$SWAPD_PID" >"$SWK_ROOT/cgroup.procs" 2>/dev/null || true
	wait_until 10 rmdir "$SWK_GROUP"
}

@test "a handover that does not fit: swapd says so and stays" {
	require_uffd
	require_plain_build
	start_swapd --ram 4M --on "$(make_swapfile 200M)"
	start_holder a 128M
	tell a "fill 7" ok
	limit_swapd 64M
	kill -TERM "$SWAPD_PID"
	wait_until 20 grep -q "not be handed over\|cannot be handed over" \
		"$SWAPD_LOG"
	run grep -c "force" "$SWAPD_LOG"
	assert_output 1
	# It goes on as before.
	tell a "check 7" ok
	run swapctl -p t status
	assert_success
	# With force it ends, and the client waits rather than read zeros.
	run swapd --name t --stop --force
	assert_success
	wait_until 10 process_ended "$SWAPD_PID"
	rmdir "$SWK_GROUP" || true
	send a "check 7"
	run sed -n '4p' "$SWK_TMP/a.out"
	assert_output ""
	kill -9 "$a_pid"
	wait_until 5 process_ended "$a_pid"
}

client_waits()	# PID: asleep in a fault
{
	grep -q "userfault" "/proc/$1/wchan" "/proc/$1/stack" 2>/dev/null
}

@test "kill -9 of swapd: clients wait, can be killed, and never read zeros" {
	require_uffd
	require_root
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	start_holder a 32M
	tell a "fill 8" ok
	kill -9 "$SWAPD_PID"
	wait_until 5 process_ended "$SWAPD_PID"
	send a "check 8"
	wait_until 10 client_waits "$a_pid"
	run wc -l <"$SWK_TMP/a.out"
	assert_output 2
	# What a successor needs is there.
	run ls "$SWAPD_RUNTIME_DIR"/t.state
	assert_output --partial "devices"
	assert_output --partial "object-"
	# A new swapd does not take the waiting clients' device from them.
	run swapd --foreground --name t --ram 4M
	assert_failure 1
	assert_output --partial "$a_pid"
	assert_output --partial "--force"
	kill -9 "$a_pid"
	wait_until 5 process_ended "$a_pid"
	start_swapd --ram 4M
	stop_swapd
}

@test "a second swapd of the same name is refused; a stale socket is not" {
	start_swapd --ram 4M
	run swapd --foreground --name t --ram 4M
	assert_failure 1
	assert_output --partial "$SWAPD_PID"
	kill -9 "$SWAPD_PID"
	wait_until 5 process_ended "$SWAPD_PID"
	[ -S "$SWAPD_RUNTIME_DIR/t.sock" ]
	start_swapd --ram 4M
	stop_swapd
	[ ! -e "$SWAPD_RUNTIME_DIR/t.sock" ]
}

@test "an unprivileged client of a root swapd" {
	require_uffd
	require_root
	command -v setpriv >/dev/null || skip "needs setpriv"
	[ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 0 ] ||
		skip "userfaultfd is open to everybody here"
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	HOLDER_PAGER=$SWAPD_RUNTIME_DIR/t.sock start_holder a 24M "" \
		setpriv --reuid 65534 --regid 65534 --clear-groups
	tell a "fill 1" ok
	something_used
	tell a "check 1" ok
	# It may not touch the devices, and is told who may.
	run setpriv --reuid 65534 --regid 65534 --clear-groups \
		swapctl -p "$SWAPD_RUNTIME_DIR/t.sock" off -a
	assert_failure 1
	assert_output --partial "root"
	send a quit
	wait "$a_pid"
	stop_swapd
}

@test "the memory of another user's object cannot be had by its name" {
	require_uffd
	require_root
	start_swapd --ram 4M
	start_holder a 1M secret
	run setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$holder" "$SWAPD_RUNTIME_DIR/t.sock" 1M secret
	assert_failure 1
	assert_output --partial "secret"
	run setpriv --reuid 65534 --regid 65534 --clear-groups \
		swapctl -p "$SWAPD_RUNTIME_DIR/t.sock" objects --json
	assert_success
	refute_output --partial "secret"
	send a quit
	wait "$a_pid"
	stop_swapd
}

swapd_stopped()
{
	local stat

	read -r stat <"/proc/$SWAPD_PID/stat"
	[[ ${stat##*) } == T* ]]
}

# Resident KiB of all objects, by the kernel's word.  swapd stands still
# meanwhile, so that pages do not move from one object to another between two
# looks.
memfd_kib()
{
	local sum=0 fd blocks

	kill -STOP "$SWAPD_PID"
	wait_until 5 swapd_stopped
	for fd in /proc/"$SWAPD_PID"/fd/*; do
		[[ $(readlink "$fd") == /memfd:* ]] || continue
		blocks=$(stat -L -c %b "$fd") || continue
		sum=$((sum + blocks / 2))
	done
	kill -CONT "$SWAPD_PID"
	echo "$sum"
}

@test "the RAM budget holds, measured from the memfds" {
	require_uffd
	require_root
	start_swapd --ram 8M --on "$(make_swapfile 96M)"
	start_holder a 32M
	start_holder b 32M
	before=$(answers a)
	send a "fill 1"
	send b "fill 1"
	most=0 samples=0
	while ! more_answers a "$before" || ! more_answers b "$before"; do
		now=$(memfd_kib)
		[ "$now" -le "$most" ] || most=$now
		samples=$((samples + 1))
	done
	echo "most resident: $most KiB in $samples samples"
	[ "$samples" -gt 0 ] && [ "$most" -gt 4096 ]
	# One cluster of 32 pages for each of up to 16 fault threads.
	[ "$most" -le $((8192 + $(nproc) * 2 * 128)) ]
	tell a "check 1" ok
	tell b "check 1" ok
	send a quit
	send b quit
	wait "$a_pid" "$b_pid"
	stop_swapd
}

@test "wired memory stays in RAM, and too much of it is refused" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	start_holder a 16M
	tell a "fill 1" ok
	tell a "wire 256" ok
	tell a "fill 2" ok
	tell a "check 2" ok
	run swapctl -p t status --json
	assert_output --regexp '"wired_bytes": *1048576'
	before=$(answers a)
	send a "wire 2048"
	wait_until 10 more_answers a "$before"
	run sed -n "$((before + 1))p" "$SWK_TMP/a.out"
	assert_output --partial "budget"
	tell a "unwire 256" ok
	tell a "check 2" ok
	send a quit
	wait "$a_pid"
	stop_swapd
}

@test "swapd locks its own memory" {
	require_root
	# ThreadSanitizer makes mlockall(2) do nothing.
	require_plain_build
	start_swapd --ram 4M
	run awk '/VmLck/ { print ($2 > 0) }' "/proc/$SWAPD_PID/status"
	assert_output 1
	stop_swapd
}

@test "swapd survives garbage on its socket" {
	start_swapd --ram 4M
	for text in '{}' 'garbage' '{"method":' '[]' '{"method":"x"}' \
		'{"method":"org.swapkit.Pager.MapRegion","parameters":{"object":-1}}'; do
		printf '%s\0' "$text" |
			timeout 5 socat -t1 - "UNIX:$SWAPD_RUNTIME_DIR/t.sock" \
			>/dev/null || true
	done
	head -c 3000000 /dev/urandom |
		timeout 5 socat -t1 - "UNIX:$SWAPD_RUNTIME_DIR/t.sock" \
		>/dev/null || true
	run swapctl -p t status
	assert_success
	stop_swapd
}

@test "readiness is told to a service manager" {
	python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(20)
print(s.recv(100).decode(), flush=True)' "$SWK_TMP/notify" \
		>"$SWK_TMP/told" 3>&- &
	listener=$!
	register_pid "$listener"
	wait_until 5 [ -S "$SWK_TMP/notify" ]
	NOTIFY_SOCKET=$SWK_TMP/notify start_swapd --ram 4M
	wait "$listener"
	run cat "$SWK_TMP/told"
	assert_output --partial "READY=1"
	stop_swapd
}

@test "in the background: ready when the command returns, failure is told" {
	run swapd --name t --ram 4M 3>&-
	assert_success
	pid=$(swapctl -p t status --json |
		sed -n 's/^  "pid": *\([0-9]*\),/\1/p')
	register_pid "$pid"
	run swapd --name t --ram 4M 3>&-
	assert_failure 1
	assert_output --partial "$pid"
	run swapd --name t --stop
	assert_success
	wait_until 10 process_ended "$pid"
	run swapd --name t --ram 4M --on /nonexistent/device 3>&-
	assert_failure 1
	assert_output --partial "/nonexistent/device"
}
