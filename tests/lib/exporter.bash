# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# exporter.bash - a swap_exporter, and those that ask it

require_exporter()
{
	[ -x "$SWAPKIT_BUILD/cmd/swap_exporter" ] ||
		skip "built without libmicrohttpd"
	command -v curl >/dev/null || skip "needs curl"
}

exporter_serves_or_ended()
{
	process_ended "$exporter_pid" || grep -q 'serving at' "$exporter_log"
}

# Start one at a free port of loopback, or where --listen says; sets
# exporter_pid, exporter_log, and url, which ends with a slash.
start_exporter()	# ARGS...
{
	exporter_log=$SWK_TMP/exporter.log
	: >"$exporter_log"
	swap_exporter --listen 127.0.0.1:0 "$@" 2>"$exporter_log" 3>&- &
	exporter_pid=$!
	register_pid "$exporter_pid"
	wait_until 20 exporter_serves_or_ended || return
	url=$(sed -n 's/.*serving at //p' "$exporter_log")
	[ -n "$url" ] || fail "swap_exporter: $(cat "$exporter_log")"
}

# A sanitizer's finding shows as a bad exit status.
stop_exporter()
{
	kill -TERM "$exporter_pid" || return
	wait_until 20 process_ended "$exporter_pid" || return
	wait "$exporter_pid"
}

# Ask for a path.  The limit is there for a server that hangs for good.
ask_http()	# PATH [CURL ARGS...]
{
	curl -sS --max-time 60 "${@:2}" "$url$1"
}

# The status code of an answer.
status_of()	# PATH [CURL ARGS...]
{
	curl -sS --max-time 60 -o /dev/null -w '%{http_code}' "${@:2}" "$url$1"
}

# The value of a series as the text format has it.
sample()	# 'NAME{LABELS}' FILE
{
	awk -v series="$1" 'index($0, series " ") == 1 { print $NF }' "$2"
}

# Names of the families of a scrape in the text format.
families()	# FILE
{
	sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' "$1"
}

# Names of the samples: of histograms, three for a family.
sample_names()	# FILE
{
	sed -n 's/^\([a-z_]*\)[{ ].*/\1/p' "$1" | sort -u
}
