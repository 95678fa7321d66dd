#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Events: what happens to a pager, asked for or followed, and the interface
# that tells of it.

bats_require_minimum_version 1.5.0
load lib/helpers
load lib/snapshot
load lib/script

setup()
{
	swk_setup
	cd "$SWK_TMP"
	export TZ=UTC
}

# The kinds of all events, in order, of "swapctl events --json".
kinds() { swapctl -p t events --json "$@" | sed 's/.*"kind":"\([^"]*\)".*/\1/'; }

# Start a "swapctl events --follow" into $1.
start_follow()	# FILE ARGS...
{
	swapctl -p t events --follow "${@:2}" >"$1" 2>"$1.err" 3>&- &
	follow_pid=$!
	register_pid $!
}

has_line() { grep -q -- "$2" "$1"; }

@test "events tell of devices, in order and as the schema has them" {
	start_swapd --ram 8M
	run swapctl -p t events
	assert_success
	assert_output ""
	swapctl -p t on --create 4M "$SWK_TMP/one"
	swapctl -p t off "$SWK_TMP/one"
	run kinds
	assert_output "device-on
device-off-started
device-off"
	swapctl -p t events --json |
		"$SWAPKIT_SRC/tests/lib/check-export" --event '
		[e["number"] for e in a] == [1, 2, 3] and
		all(e["device"] == argv[0] and e["object"] is None for e in a)' \
			"$SWK_TMP/one"
	run kinds --after 2
	assert_output device-off
	run swapctl -p t events
	assert_line --index 2 --regexp \
		"^20[0-9]{2}(-[0-9]{2}){2} [0-9:]{8}  device-off  +$SWK_TMP/one: is turned off\$"
	swapctl -p t export --fields events |
		"$SWAPKIT_SRC/tests/lib/check-export" '
		d["events"]["last_number"] == 3 and
		d["events"]["counts"]["device-on"] == 1 and
		d["events"]["counts"]["full"] == 0 and
		[e["kind"] for e in d["events"]["list"]] ==
			["device-on", "device-off-started", "device-off"]'
	stop_swapd
}

@test "a device that cannot be emptied goes back into service, and that is told" {
	require_uffd
	start_swapd --ram 2M --on "$(make_swapfile 16M)"
	start_client a
	order a create x 2048
	order a fill x 1 0 2048
	run swapctl -p t off "$(snapshot 's["devices"][0]["path"]')"
	assert_failure
	# Refused at once: nothing has been started.
	run kinds
	assert_output device-on
	end_client a
	stop_swapd
}

@test "running short is told, and so is having room again" {
	require_uffd
	# What cannot be in RAM leaves less than 1 MiB of the space.
	start_swapd --ram 2M --on "$(make_swapfile 4M)" --full fail \
		--set low_water=1M --set high_water=2M
	start_client a
	order a create x 1408
	order a fill x 1 0 1408
	wait_until 20 eval 'kinds | grep -qx almost-full'
	start_client b
	order b create y 512
	# There is no room for these: it gets SIGBUS.
	echo "fill y 1 0 512" >&"$b_fd"
	wait_until 20 eval 'kinds | grep -qx full'
	wait_until 20 process_ended "$b_pid"
	order a flush x 0 1408 free
	wait_until 20 eval 'kinds | grep -qx room'
	run kinds
	assert_line page-poisoned
	assert_line client-gone
	swapctl -p t events --json |
		"$SWAPKIT_SRC/tests/lib/check-export" --event '
		[e["number"] for e in a] == list(range(1, len(a) + 1)) and
		any(e["kind"] == "client-gone" and e["pid"] == int(argv[0])
			for e in a) and
		all(e["object"] for e in a if e["kind"] == "page-poisoned")' \
			"$b_pid"
	end_client a
	stop_swapd
}

@test "who follows hears of each at once; one that is stopped harms nobody" {
	start_swapd --ram 8M
	start_follow stuck.out
	stuck_pid=$follow_pid
	start_follow good.out --json
	swapctl -p t on --create 4M "$SWK_TMP/one"
	wait_until 10 has_line good.out device-on
	wait_until 10 has_line stuck.out device-on
	kill -STOP "$stuck_pid"
	for i in 1 2 3; do
		swapctl -p t off "$SWK_TMP/one"
		wait_until 10 has_line good.out "\"number\":$((3 * i)),.*device-off\""
		swapctl -p t on "$SWK_TMP/one"
		wait_until 10 has_line good.out "\"number\":$((3 * i + 1)),"
	done
	run grep -c . stuck.out
	assert_output 1
	# It hears of all of them later.
	kill -CONT "$stuck_pid"
	wait_until 10 eval '[ "$(grep -c . stuck.out)" -eq 10 ]'
	"$SWAPKIT_SRC/tests/lib/check-export" --event \
		'[e["number"] for e in a] == list(range(1, 11))' <good.out
	# The end of the pager is the end of following, and not a good one.
	stop_swapd
	wait_until 10 process_ended "$stuck_pid"
	run wait "$stuck_pid"
	assert_failure
}

@test "options are checked, and the kernel's events have no numbers to ask for" {
	run swapctl events --after x
	assert_failure 2
	assert_output --partial "--after 'x'"
	run swapctl events more
	assert_failure 2
	run swapctl -p kernel events --after 1
	assert_failure 2
	run swapctl -p kernel events more
	assert_failure 2
}

@test "any varlink client can introspect and call every method" {
	start_swapd --ram 8M --on "$(make_swapfile 8M)"
	run "$SWAPKIT_SRC/tests/lib/varlink-calls" "$SWAPD_RUNTIME_DIR/t.sock"
	assert_success
	# Those of org.varlink.service, and one for each line of ours.
	assert_output "$(($(grep -c '^method ' \
		"$SWAPKIT_SRC/libswap/ipc/org.swapkit.Pager.varlink") + 2))"
	# Stop was the last one.
	wait_until 20 process_ended "$SWAPD_PID"
	wait "$SWAPD_PID"
}

@test "a parser that is not ours reads the interface" {
	command -v varlink-go-interface-generator >/dev/null ||
		skip "needs varlink-go"
	# It is older than capitals in the names of interfaces.
	sed 's/^interface org.swapkit.Pager$/interface org.swapkit.pager/' \
		"$SWAPKIT_SRC/libswap/ipc/org.swapkit.Pager.varlink" >i.varlink
	run varlink-go-interface-generator i.varlink
	assert_success
	assert_output ""
	grep -q "func .*Events" orgswapkitpager.go
}
