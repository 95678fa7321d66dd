# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# helpers.bash - what every bats file loads: load lib/helpers
#
# Each test gets a directory of its own, $SWK_TMP, short enough for a socket's
# path (107 bytes), and a private runtime directory for swapd in it.  Whatever
# a helper starts or makes is written down there first, and the teardown takes
# it away.  A file with a setup or teardown of its own calls swk_setup and
# swk_teardown in it.

: "${SWAPKIT_BUILD:?run the tests with make check or ./check}"
for lib in bats-support bats-assert; do
	load "${BATS_LIB_PATH:-/usr/lib/bats}/$lib/load.bash"
done
# Programs in sbin are not in everybody's path.
PATH=$SWAPKIT_BUILD/cmd:$SWAPKIT_BUILD/tui:$PATH:/usr/sbin:/sbin

swk_setup()
{
	SWK_TMP=$(mktemp -d "${SWAPKIT_SCRATCH:-/tmp}/swk.XXXXXX")
	# Tests become other users, who must reach the socket.
	chmod 755 "$SWK_TMP"
	export SWK_TMP
	export SWAPD_RUNTIME_DIR=$SWK_TMP/run
	mkdir "$SWAPD_RUNTIME_DIR"
	SWAPD_LOG=$SWK_TMP/swapd.log
	SWAPD_PID=
}

swk_teardown()
{
	# Shown by bats only if the test failed.
	if [ -s "$SWAPD_LOG" ]; then
		sed 's/^/swapd: /' "$SWAPD_LOG"
	fi
	"$SWAPKIT_SRC/tests/lib/sweep" "$SWK_TMP"
}

setup() { swk_setup; }
teardown() { swk_teardown; }

# Write a process down for the teardown.
register_pid()	# PID
{
	local stat

	# It may have ended already: then there is nothing to take away.
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	stat=${stat##*) }
	# shellcheck disable=SC2086
	set -- "$1" $stat
	echo "$1 ${21}" >>"$SWK_TMP/pids"
}

# Run a command until it succeeds; fail after TIMEOUT seconds.
wait_until()	# TIMEOUT COMMAND...
{
	local timeout=$1 end=$((SECONDS + $1 + 1))

	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "after $timeout s still not: $*" >&2
			return 1
		fi
		sleep 0.02
	done
}

# Has this process ended?  One that nobody has waited for yet has.
process_ended()	# PID
{
	local stat

	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	[[ ${stat##*) } == Z* ]]
}

swapd_answers_or_ended()
{
	process_ended "$SWAPD_PID" || timeout 5 swapctl -p t status
}

# Start a swapd named t and wait until it answers.
start_swapd()	# ARGS...
{
	# bats waits for whoever holds descriptor 3.
	swapd --foreground --name t "$@" >>"$SWAPD_LOG" 2>&1 3>&- &
	SWAPD_PID=$!
	register_pid "$SWAPD_PID"
	wait_until 20 swapd_answers_or_ended || return
	if process_ended "$SWAPD_PID"; then
		echo "swapd did not start" >&2
		return 1
	fi
}

# End the swapd as an administrator would.  It must end well: a sanitizer's
# finding shows as a bad exit status.
stop_swapd()
{
	local pid=$SWAPD_PID

	SWAPD_PID=
	kill -TERM "$pid" || return
	wait_until 20 process_ended "$pid" || return
	wait "$pid"
}

# Print the path of a new file that may be swap space: 0600, no holes.
make_swapfile()	# SIZE
{
	local file

	file=$(mktemp "$SWK_TMP/file.XXXXXX")
	fallocate -l "$1" "$file" || return
	echo "$file"
}

# Print the path of a new loop device.
make_loop()	# SIZE
{
	local file loop

	file=$(make_swapfile "$1") || return
	# Somebody else may take the free number between finding and using it.
	loop=$(losetup -f --show "$file" || losetup -f --show "$file") || return
	echo "$loop" >>"$SWK_TMP/loops"
	echo "$loop"
}

require_root()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

require_loop()
{
	require_root
	losetup -f >/dev/null 2>&1 || skip "needs a free loop device"
}

require_uffd()
{
	local why

	why=$("$SWAPKIT_BUILD/tests/tools/has-uffd") || skip "$why"
}

# Some are built only where their library is.
require_tool()	# NAME
{
	[ -x "$SWAPKIT_BUILD/tests/tools/$1" ] || skip "$1 is not built"
}

# A sanitizer's run-time cannot be preloaded into a program without it.
require_plain_build()
{
	[ "${SWAPKIT_SANITIZERS:-no}" = no ] ||
		skip "needs a build without sanitizers"
}
