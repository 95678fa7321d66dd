#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The kernel reads and writes paged memory on a program's behalf.

load lib/helpers

@test "read, write, sendmsg, futex and direct I/O on a client's memory" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 96M)"
	run "$SWAPKIT_BUILD/tests/tools/kernel-io" --client t \
		--file "$SWK_TMP/data" --ballast 16M
	assert_success
	assert_line "read, write: ok"
	assert_line "sendmsg: ok"
	assert_line "futex: ok"
	assert_line "direct I/O: ok"
	assert_line --regexp "^io_uring( fixed buffers: ok|: not allowed here)"
	stop_swapd
}

@test "the same on the heap under swaprun, where nothing is wired by hand" {
	require_uffd
	require_plain_build
	start_swapd --ram 4M --on "$(make_swapfile 96M)"
	run swaprun -p t -- "$SWAPKIT_BUILD/tests/tools/kernel-io" --heap \
		--file "$SWK_TMP/data" --ballast 16M
	assert_success
	assert_line "direct I/O: ok"
	assert_line "kernel-io: all good"
	stop_swapd
}
