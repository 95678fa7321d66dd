#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run-tests.sh BUILD_DIR - run every test of a built tree
#
# Three kinds, in this order, each file on its own with a time limit:
#
#   gates/*             a script: 0 passes, 77 skips (first line: why)
#   unit/test-*.c       the cmocka program built from it, TAP
#   *.bats              bats, TAP
#
# TESTS_ONLY=REGEX selects files ("gates/floors", "unit/test-blist",
# "on.bats"), TEST_TIMEOUT is the limit in seconds.  The output of each file
# stays in BUILD_DIR/tests/logs.  The very last line is the sum, and the exit
# status is non-zero unless nothing failed.

set -u
shopt -s nullglob

# shellcheck source=/dev/null
. "${1:?usage: run-tests.sh BUILD_DIR}/tests/config.sh" || exit 2
: "${TEST_TIMEOUT:=300}"
# configure may have been called by a relative path.
SWAPKIT_SRC=$(realpath "$SWAPKIT_SRC") SWAPKIT_BUILD=$(realpath "$SWAPKIT_BUILD")
tests=$SWAPKIT_SRC/tests
logs=$SWAPKIT_BUILD/tests/logs
export SWAPKIT_SRC SWAPKIT_BUILD SWAPKIT_CC SWAPKIT_SANITIZERS
export CMOCKA_MESSAGE_OUTPUT=TAP
# Shorter than the file's limit, so that bats still runs the teardown.
export BATS_TEST_TIMEOUT=${BATS_TEST_TIMEOUT:-$((TEST_TIMEOUT / 2))}
export LC_ALL=C.UTF-8
# Settings of the caller must not decide a test.
unset SWAPCTL_PAGER

npassed=0 nfailed=0 nskipped=0
child="" scratch=""

# timeout ends with its child, not with its group: take the rest as well.
end_group()
{
	kill -KILL -- "-$child" 2>/dev/null
	child=""
}

interrupted()
{
	trap "" INT TERM HUP
	if [ -n "$child" ]; then
		# Tests get the chance to clean up; timeout sees to the end.
		kill "$child" 2>/dev/null
		wait "$child" 2>/dev/null
		end_group
	fi
	[ -z "$scratch" ] || "$tests/lib/sweep" "$scratch"
	echo "interrupted"
	exit 130
}
trap interrupted INT TERM HUP

# ThreadSanitizer of some compilers cannot live with much randomness.
without_aslr=()
case $SWAPKIT_SANITIZERS in
*thread*) setarch -R true 2>/dev/null && without_aslr=(setarch -R) ;;
esac

# Add up TAP on standard input, given the exit status.  Prints the three
# counts and then a line for each skipped test.
sum_tap()
{
	awk -v status="$1" '
	/^1\.\.[0-9]+/ { plan += substr($1, 4) }
	/^(not )?ok / {
		seen++
		# cmocka says "not ok" of a skipped test.
		if (match(toupper($0), /# SKIP/)) {
			sub(/^(not )?ok [0-9]+ (# SKIP )?/, "")
			why = why "\n" $0
			skipped++
		} else if ($1 == "ok")
			passed++
		else
			failed++
	}
	END {
		# A test that was announced and never reported has failed, and
		# so has a file without tests.
		if (plan > seen)
			failed += plan - seen
		if (!failed && (status != 0 || !seen))
			failed = 1
		print passed + 0, failed + 0, skipped + 0 why
	}'
}

sum_gate()
{
	case $1 in
	0)	echo 1 0 0 ;;
	77)	echo 0 0 1; head -n 1 ;;
	*)	echo 0 1 0 ;;
	esac
}

report()	# NAME STATUS PASSED FAILED SKIPPED SECONDS
{
	local verdict=PASS

	npassed=$((npassed + $3)) nfailed=$((nfailed + $4))
	nskipped=$((nskipped + $5))
	[ "$3" -gt 0 ] || verdict=SKIP
	[ "$4" -eq 0 ] || verdict=FAIL
	printf '%s %-24s %d passed, %d failed, %d skipped (%d s)\n' \
		"$verdict" "$1" "$3" "$4" "$5" "$6"
}

run_file()	# NAME gate|tap COMMAND...
{
	local name=$1 kind=$2 log=$logs/${1//\//-} status=0 start=$SECONDS
	local counts reasons sum line

	shift 2
	scratch=$(mktemp -d /tmp/swk.XXXXXX) && chmod 755 "$scratch" || exit 2
	SWAPKIT_SCRATCH=$scratch TMPDIR=$scratch timeout -k 10 "$TEST_TIMEOUT" \
		"${without_aslr[@]}" "$@" \
		>"$log.out" 2>"$log.err" </dev/null &
	child=$!
	wait "$child" 2>/dev/null || status=$?
	# The file has cleaned up already, unless it was killed.
	end_group
	"$tests/lib/sweep" "$scratch"
	scratch=""

	sum=$("sum_$kind" "$status" <"$log.out")
	read -r -a counts <<<"$sum"
	reasons=$(tail -n +2 <<<"$sum")
	report "$name" "$status" "${counts[@]:0:3}" $((SECONDS - start))
	while [ -n "$reasons" ] && read -r line; do
		echo "    skipped: $line"
	done <<<"$reasons"
	if [ "${counts[1]}" -gt 0 ]; then
		tail -q -n 100 "$log.out" "$log.err" | sed 's/^/    /'
		case $status in
		124 | 137)
			echo "    killed after $TEST_TIMEOUT s" ;;
		*)	echo "    exit status $status" ;;
		esac
	fi
}

skip_file()	# NAME WHY
{
	report "$1" 0 0 0 1 0
	echo "    skipped: $2"
}

selected()
{
	[[ $1 =~ ${TESTS_ONLY:-.} ]]
}

run_gates()
{
	local file

	for file in "$tests"/gates/*; do
		selected "gates/${file##*/}" || continue
		run_file "gates/${file##*/}" gate "$file"
	done
}

# By source, so that a program that nobody named in Makemodule.am is missed.
run_units()
{
	local file name

	for file in "$tests"/unit/test-*.c; do
		name=unit/$(basename "$file" .c)
		selected "$name" || continue
		if [ "$SWAPKIT_HAVE_CMOCKA" != yes ]; then
			skip_file "$name" "built without cmocka"
		else
			run_file "$name" tap "$SWAPKIT_BUILD/tests/$name"
		fi
	done
}

run_bats()
{
	local file

	for file in "$tests"/*.bats; do
		selected "${file##*/}" || continue
		if ! command -v bats >/dev/null; then
			skip_file "${file##*/}" "bats is not installed"
		else
			run_file "${file##*/}" tap \
				bats --formatter tap "$file"
		fi
	done
}

rm -rf "$logs" && mkdir -p "$logs" || exit 2
run_gates
run_units
run_bats
echo
total=$((npassed + nfailed + nskipped))
[ "$total" -gt 0 ] || echo "no test matches ${TESTS_ONLY:-}"
echo "$npassed passed, $nfailed failed, $nskipped skipped"
[ "$nfailed" -eq 0 ] && [ "$total" -gt 0 ]
