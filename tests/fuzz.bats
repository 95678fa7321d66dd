#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The fuzz targets, each with inputs that are the same in every run.  With
# libFuzzer they run for as long as one likes: see HACKING.md.

load lib/helpers

# A finding ends the program with a signal and leaves ./crash.
fuzz()	# NAME INPUTS [OPTION...]
{
	local name=$1 inputs=$2

	shift 2
	cd "$SWK_TMP" || return 1
	run "$SWAPKIT_BUILD/tests/fuzz/$name" -n "$inputs" -s 7 "$@"
	assert_success
	assert_not_exists "$SWK_TMP/crash"
}

assert_not_exists()
{
	[ ! -e "$1" ] || { echo "$1 exists"; return 1; }
}

@test "block lists: any operations in any order, checked against a model" {
	fuzz fuzz-blist 3000 -l 1024
}

@test "swap maps of every kind: any operations, checked against a model" {
	fuzz fuzz-swapmap 3000 -l 1024
}
