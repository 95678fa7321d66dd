#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Every byte, always: many writers at eight times the RAM budget over two
# devices that are attached and detached all the time.  tests/stress/long does
# the same for minutes.

load lib/helpers

seconds=${STRESS_SECONDS:-4}

@test "a pager in the process: no wrong byte, no leaked block" {
	require_uffd
	a=$(make_swapfile 96M) b=$(make_swapfile 96M)
	run "$SWAPKIT_BUILD/tests/stress/stress" --embed --seconds "$seconds" \
		--ram 8M --size 32M "$a" "$b"
	assert_success
	assert_line "wrong words: 0"
	refute_output --partial LEAK
	assert_line "stress: all good"
}

@test "three processes, private objects and a shared one, loop devices" {
	require_uffd
	require_loop
	a=$(make_loop 160M) b=$(make_loop 160M)
	start_swapd --ram 16M
	run "$SWAPKIT_BUILD/tests/stress/stress" --client t --processes 3 \
		--threads 3 --seconds "$seconds" --size 32M "$a" "$b"
	assert_success
	assert_line "wrong words: 0"
	refute_output --partial LEAK
	assert_line "stress: all good"
	stop_swapd
}

@test "the smallest budget, tiny clusters, one device" {
	require_uffd
	a=$(make_swapfile 48M)
	start_swapd --ram 1M --cluster 2 --on "$a"
	run "$SWAPKIT_BUILD/tests/stress/stress" --client t --processes 2 \
		--threads 2 --seconds 2 --size 8M
	assert_success
	assert_line "wrong words: 0"
	assert_line "stress: all good"
	stop_swapd
}
