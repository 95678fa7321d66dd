# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# script.bash - clients that do to objects what they are told (tests/tools/
# objects.c says what that can be)

# Start one, whose commands go through NAME.in and whose answers to NAME.out.
start_client()	# NAME [PAGER]
{
	local name=$1 fd

	mkfifo "$name.in"
	# It may be looked at before the client has opened it.
	: >"$name.out"
	"$SWAPKIT_BUILD/tests/tools/objects" "${2:-t}" <"$name.in" \
		>"$name.out" 2>&1 3>&- &
	eval "${name}_pid=$!"
	register_pid $!
	exec {fd}>"$name.in"
	eval "${name}_fd=$fd"
}

client_lines() { wc -l <"$1.out"; }
client_said_more() { [ "$(client_lines "$1")" -gt "$2" ]; }

# Tell it a command; prints what it answers.
ask()	# NAME COMMAND...
{
	local name=$1 fd=${1}_fd before

	before=$(client_lines "$name")
	shift
	echo "$*" >&"${!fd}"
	wait_until 60 client_said_more "$name" "$before" || return
	tail -n 1 "$name.out"
}

# Tell it, and expect "ok" or what else begins the answer.
order()	# NAME COMMAND... [=> ANSWER]
{
	local words=() wanted=ok name=$1 answer

	shift
	while [ $# -gt 0 ] && [ "$1" != "=>" ]; do
		words+=("$1")
		shift
	done
	[ $# -eq 0 ] || wanted=${*:2}
	answer=$(ask "$name" "${words[@]}") || return
	[[ $answer == "$wanted"* ]] ||
		fail "$name: ${words[*]}: '$answer', not '$wanted'"
}

# End it.  Others may have inherited its pipe, so that it sees no end.
end_client()	# NAME
{
	local fd=${1}_fd pid=${1}_pid

	echo quit >&"${!fd}"
	wait "${!pid}"
}
