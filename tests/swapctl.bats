#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What a person does with swapctl: devices on and off while programs run, and
# what it shows of that.

bats_require_minimum_version 1.5.0
load lib/helpers
load lib/snapshot

setup()
{
	swk_setup
	cd "$SWK_TMP"
	holder=$SWAPKIT_BUILD/tests/tools/holder
	unset BLOCKSIZE NO_COLOR COLUMNS LINES
}

# ---------------------------------------------------------------- clients

# Start a holder whose commands come from $1.in and whose answers go to $1.out.
start_holder()	# NAME SIZE [OBJECT]
{
	local name=$1 size=$2 object=${3:-} fd

	mkfifo "$name.in"
	"$holder" t "$size" ${object:+"$object"} <"$name.in" >"$name.out" 3>&- &
	eval "${name}_pid=$!"
	register_pid $!
	exec {fd}>"$name.in"
	eval "${name}_fd=$fd"
	wait_until 20 grep -q . "$name.out"
	assert_equal "$(head -n 1 "$name.out")" ready
}

answers() { wc -l <"$1.out"; }
more_answers() { [ "$(answers "$1")" -gt "$2" ]; }

# Send a command and expect "ok".
tell()	# NAME COMMAND
{
	local before fd=${1}_fd

	before=$(answers "$1")
	echo "$2" >&"${!fd}"
	wait_until 60 more_answers "$1" "$before"
	assert_equal "$(tail -n 1 "$1.out")" ok
}

end_holder()	# NAME
{
	local fd=${1}_fd pid=${1}_pid

	echo quit >&"${!fd}"
	wait "${!pid}"
}

# A second swapd, named u.
start_second()	# ARGS...
{
	swapd --foreground --name u "$@" >>"$SWAPD_LOG" 2>&1 3>&- &
	second_pid=$!
	register_pid "$second_pid"
	wait_until 20 swapctl -p u list
}

# ------------------------------------------------------------ what is shown

used() { snapshot 'd[argv[0]]["used_bytes"]' "$1"; }

has_status() { [ -s status ]; }

# A module that makes every read of swapd last 5 ms a page, as long as
# $SWK_TMP/slow exists.  It leaves it pread(2) alone to read with.
make_slow()
{
	require_plain_build
	cat >slow.c <<-'END'
	#define _GNU_SOURCE
	#include <dlfcn.h>
	#include <errno.h>
	#include <stdlib.h>
	#include <sys/types.h>
	#include <unistd.h>

	#undef pread
	#undef pread64

	static void
	last(size_t len)
	{
		const char *file = getenv("SWK_SLOW");

		if (len >= 4096 && file != NULL && access(file, F_OK) == 0)
			usleep(len / 4096 * 5000);
	}

	int
	io_uring_queue_init(unsigned depth, void *ring, unsigned flags)
	{
		return -ENOSYS;
	}

	ssize_t
	pread64(int fd, void *buf, size_t len, off_t at)
	{
		ssize_t (*real)(int, void *, size_t, off_t) =
			dlsym(RTLD_NEXT, "pread64");

		last(len);
		return real(fd, buf, len, at);
	}

	ssize_t
	pread(int fd, void *buf, size_t len, off_t at)
	{
		return pread64(fd, buf, len, at);
	}
	END
	"$SWAPKIT_CC" -shared -fPIC -O1 -o slow.so slow.c -ldl ||
		skip "cannot compile a module to preload"
}

start_slow_swapd()	# ARGS...
{
	LD_PRELOAD=$SWK_TMP/slow.so SWK_SLOW=$SWK_TMP/slow start_swapd "$@"
}

# --------------------------------------------------------------------- on

@test "on, off, status, list, through files and loop devices" {
	require_loop
	file=$(make_swapfile 8M) loop=$(make_loop 16M)
	start_swapd --ram 4M
	run swapctl -p t on "$file" "$loop"
	assert_success
	assert_output "$file is on"$'\n'"$loop is on"
	run swapctl -p t status
	assert_success
	assert_line --index 0 --regexp "^Pager t: swapd [0-9.]+, process $SWAPD_PID, up [0-9]+s, 0 clients$"
	assert_line --regexp "^RAM +0%  0B of 4M resident, 0B wired$"
	assert_line --regexp "^Swap +0%  0B of 24M used, 24M available$"
	assert_line --regexp "^NAME +TYPE +SIZE +USED +AVAIL +USE% +PRIO +FLAGS +READ +WRITTEN +ERRORS$"
	assert_line --regexp "^$file +file +8M +0B +8M +0% +0 +- +0B +0B +0$"
	assert_line --regexp "^$loop +loop +16M +0B +16M +0% +0 +- +0B +0B +0$"
	run swapctl -p t off "$loop" "$file"
	assert_success
	assert_output "$loop is off; it held nothing"$'\n'"$file is off; it held nothing"
	run swapctl -p t list
	assert_success
	assert_output "no swap devices configured"
	run swapctl -p t status
	assert_output --partial "There is no swap device"
	assert_output --partial "swapctl on DEVICE"
	stop_swapd
}

@test "on --create makes a file that nobody else can read" {
	start_swapd --ram 4M
	umask 0
	run swapctl -p t on --create 8M --priority 3 new
	assert_success
	assert_output "$SWK_TMP/new is on"
	run stat -c '%a %s %u' new
	assert_output "600 8388608 $(id -u)"
	holds 'd[argv[0]]["priority"] == 3' "$SWK_TMP/new"
	swapctl -p t off new
	# It stays, to be attached again as it is.
	swapctl -p t on new
	stop_swapd
}

@test "paths relative to where swapctl runs" {
	start_swapd --ram 4M
	mkdir -p dir/sub
	mv "$(make_swapfile 8M)" dir/one
	mv "$(make_swapfile 8M)" dir/two
	cd dir
	run swapctl -p t on one ./two
	assert_success
	cd sub
	run swapctl -p t list
	assert_line --partial "$SWK_TMP/dir/one "
	assert_line --partial "$SWK_TMP/dir/two "
	run swapctl -p t off ../one ../../dir/two
	assert_success
	run swapctl -p t list
	assert_output "no swap devices configured"
	stop_swapd
}

@test "LABEL= and UUID= of a device that mkswap has made" {
	require_loop
	loop=$(make_loop 8M)
	label=swk$$_$RANDOM
	uuid=$(cat /proc/sys/kernel/random/uuid)
	mkswap -L "$label" -U "$uuid" "$loop" >/dev/null || skip "needs mkswap"
	start_swapd --ram 4M
	run swapctl -p t on "LABEL=$label"
	assert_success
	assert_output "LABEL=$label is on"
	run swapctl -p t list
	assert_line --regexp "^$loop +8184 "
	run swapctl -p t off "UUID=$uuid"
	assert_success
	swapctl -p t on "UUID=$uuid"
	# By its path as well, however it was attached.
	run swapctl -p t off "$loop"
	assert_success
	assert_output "$loop is off; it held nothing"
	# The header has survived.
	run blkid -p -s LABEL -o value "$loop"
	assert_output "$label"
	stop_swapd
}

@test "on and off --json: one line of JSON for each device" {
	start_swapd --ram 4M
	file=$(make_swapfile 8M)
	run --separate-stderr swapctl -p t on --json "$file" nothere
	assert_failure 1
	assert_line --index 0 "{\"device\":\"$file\",\"result\":\"ok\"}"
	[ "${#lines[@]}" -eq 2 ]
	# People who look on are told all the same.
	[[ $stderr == "swapctl: $SWK_TMP/nothere: no such file"* ]]
	python3 -c 'import json, sys
r = json.loads(sys.argv[1])
assert r.pop("message").startswith(sys.argv[2] + ": no such file"), r
assert r == {"device": sys.argv[2], "result": "failed", "errno": 2}, r' \
		"${lines[1]}" "$SWK_TMP/nothere"
	run --separate-stderr swapctl -p t off --json "$file" "$file"
	assert_failure 1
	[ "${#lines[@]}" -eq 2 ]
	python3 -c 'import json, sys
good, bad = (json.loads(x) for x in sys.argv[1:3])
assert type(good.pop("elapsed_usec")) is int
assert good == {"device": sys.argv[3], "result": "ok", "done_bytes": 0,
		"total_bytes": 0}, good
assert bad["result"] == "failed" and bad["errno"] == 16, bad
assert "being turned off already" in bad["message"], bad' "${lines[@]}" "$file"
	stop_swapd
}

# ------------------------------------------------------- where pages go

@test "a device of a higher priority is used first" {
	require_uffd
	low=$(make_swapfile 32M) high=$(make_swapfile 8M)
	start_swapd --ram 4M --priority 1 --on "$low"
	swapctl -p t on --priority 20 "$high"
	start_holder a 9M
	tell a "fill 1"
	# It fits on the first, so nothing is on the other.
	holds 'd[argv[0]]["used_bytes"] > 4 << 20' "$high"
	holds 'd[argv[0]]["used_bytes"] == 0' "$low"
	start_holder b 16M
	tell b "fill 2"
	holds 'd[argv[0]]["used_bytes"] > 0' "$low"
	holds 'd[argv[0]]["used_bytes"] > d[argv[0]]["size_bytes"] * 0.9' "$high"
	run swapctl -p t list
	assert_line --index 1 --regexp "^$high .* 20$"
	assert_line --index 2 --regexp "^$low .* 1$"
	tell a "check 1"
	tell b "check 2"
	end_holder a
	end_holder b
	stop_swapd
}

@test "equals are used in turn" {
	require_uffd
	one=$(make_swapfile 32M) two=$(make_swapfile 32M)
	start_swapd --ram 4M --priority 5 --on "$one" --on "$two"
	start_holder a 32M
	tell a "fill 1"
	holds 'd[argv[0]]["used_bytes"] > 12 << 20' "$one"
	holds 'abs(d[argv[0]]["used_bytes"] - d[argv[1]]["used_bytes"]) <
	       d[argv[0]]["used_bytes"] * 0.1' "$one" "$two"
	tell a "check 1"
	end_holder a
	stop_swapd
}

@test "what devices read and write is counted" {
	require_uffd
	file=$(make_swapfile 32M)
	start_swapd --ram 4M --on "$file"
	start_holder a 16M
	tell a "fill 1"
	holds 'd[argv[0]]["written_bytes"] >= d[argv[0]]["used_bytes"] > 8 << 20' \
		"$file"
	holds 'd[argv[0]]["reads"] == d[argv[0]]["read_bytes"] == 0' "$file"
	before=$(snapshot 'd[argv[0]]["writes"]' "$file")
	tell a "check 1"
	holds 'd[argv[0]]["read_bytes"] >= 8 << 20' "$file"
	holds '0 < d[argv[0]]["reads"] <= d[argv[0]]["read_bytes"] >> 12' "$file"
	holds 'd[argv[0]]["read_bytes"] % s["page_bytes"] == 0' "$file"
	tell a "fill 2"
	holds 'd[argv[0]]["writes"] > int(argv[1])' "$file" "$before"
	holds 's["counters"]["pagein_pages"] * s["page_bytes"] ==
	       sum(x["read_bytes"] for x in s["devices"])'
	run swapctl -p t status
	assert_line --regexp "^$file +file +32M +[0-9.]+M +[0-9.]+M +[0-9]+% +0 +- +[0-9.]+M +[0-9.]+M +0$"
	end_holder a
	stop_swapd
}

# -------------------------------------------------------------------- off

@test "off pages back what a device holds, and no byte is lost" {
	require_uffd
	one=$(make_swapfile 32M) two=$(make_swapfile 32M)
	start_swapd --ram 4M --on "$one"
	start_holder a 16M
	tell a "fill 1"
	swapctl -p t on "$two"
	held=$(used "$one")
	[ "$held" -gt $((8 << 20)) ]
	run swapctl -p t off "$one"
	assert_success
	pages=$((held / $(getconf PAGESIZE)))
	pages=$(sed -E ':a; s/([0-9])([0-9]{3})($|,)/\1,\2\3/; ta' <<<"$pages")
	assert_output --regexp "^$one is off; $pages pages \([0-9.]+ MiB\) paged back in [0-9.]+ s, [0-9.]+ MiB/s$"
	holds 'list(d) == argv' "$two"
	tell a "check 1"
	# And back the other way, told in JSON.
	swapctl -p t on "$one"
	held=$(used "$two")
	run --separate-stderr swapctl -p t off --json "$two"
	assert_success
	assert_equal "$stderr" ""
	python3 -c 'import json, sys
r = json.loads(sys.argv[1])
assert r["result"] == "ok" and r["device"] == sys.argv[2], r
assert r["done_bytes"] == r["total_bytes"] == int(sys.argv[3]), r
assert r["elapsed_usec"] > 0' "$output" "$two" "$held"
	tell a "check 1"
	tell a "fill 2"
	tell a "check 2"
	end_holder a
	holds 's["swap_used_bytes"] == 0'
	stop_swapd
}

@test "off -a: every device, into RAM" {
	require_uffd
	one=$(make_swapfile 16M) two=$(make_swapfile 16M)
	start_swapd --ram 8M --on "$one" --on "$two"
	start_holder a 6M
	start_holder b 12M
	tell a "fill 1"
	tell b "fill 2"
	end_holder b
	holds 's["swap_used_bytes"] > 0'
	run swapctl -p t off -a
	assert_success
	assert_line --index 0 --regexp "^$one is off; "
	assert_line --index 1 --regexp "^$two is off; "
	holds 's["devices"] == [] and s["swapped_bytes"] == 0'
	tell a "check 1"
	run swapctl -p t off -a
	assert_success
	assert_output "no swap devices configured"
	end_holder a
	stop_swapd
}

# Two devices in one command: neither takes what the other held.
@test "off of several devices empties them together" {
	require_uffd
	one=$(make_swapfile 16M) two=$(make_swapfile 16M)
	start_swapd --ram 4M --on "$one" --on "$two"
	start_holder a 24M
	tell a "fill 1"
	three=$(make_swapfile 64M)
	swapctl -p t on "$three"
	held_one=$(used "$one") held_two=$(used "$two")
	[ "$held_one" -gt $((6 << 20)) ]
	[ "$held_two" -gt $((6 << 20)) ]
	run --separate-stderr swapctl -p t off --json "$one" nothere "$two"
	assert_failure 1
	python3 -c 'import json, sys
one, none, two = (json.loads(x) for x in sys.argv[1:4])
assert one["result"] == two["result"] == "ok", (one, two)
assert one["done_bytes"] == one["total_bytes"] == int(sys.argv[4]), one
assert two["done_bytes"] == two["total_bytes"] == int(sys.argv[5]), two
assert none["result"] == "failed" and none["errno"] == 6, none' \
		"${lines[@]}" "$held_one" "$held_two"
	[[ $stderr == "swapctl: $SWK_TMP/nothere: is not in use"* ]]
	holds 'list(d) == argv' "$three"
	tell a "check 1"
	tell a "fill 2"
	tell a "check 2"
	# Together they hold more than there is room for, each does not.
	swapctl -p t on "$one" "$two"
	start_holder b 36M
	tell b "fill 3"
	run --separate-stderr swapctl -p t off "$one" "$two" "$three"
	assert_failure 1
	[[ $stderr == *"together with what is being turned off already it holds"* ]]
	tell a "check 2"
	tell b "check 3"
	end_holder a
	end_holder b
	stop_swapd
}

@test "off -a: one that cannot does not keep the others on" {
	require_uffd
	big=$(make_swapfile 32M) small=$(make_swapfile 8M)
	start_swapd --ram 4M --priority 5 --on "$big" --priority 0 --on "$small"
	start_holder a 16M
	tell a "fill 1"
	run --separate-stderr swapctl -p t off -a
	assert_failure 1
	assert_output "$small is off; it held nothing"
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ $stderr == "swapctl: $big: holds 1"*"attach another device"* ]]
	holds 'list(d) == argv and not d[argv[0]]["closing"]' "$big"
	tell a "check 1"
	# -U is the same; here there is nothing else.
	run --separate-stderr swapctl -p t -U --json
	assert_failure 1
	[[ $output == "{\"device\":\"$big\",\"result\":\"failed\",\"errno\":12,"* ]]
	tell a "check 1"
	end_holder a
	stop_swapd
}

off_has_begun()
{
	is_true 'any(x["closing"] for x in s["devices"]) and
		 s["counters"]["pageback_pages"] > 0'
}

# After an interrupted "off" of $one: in service, with what it still holds.
assert_restored()
{
	holds 'set(d) == set(argv)' "$one" "$two"
	holds 'not any(x["closing"] for x in s["devices"])'
	holds 's["counters"]["pageback_pages"] > 0'
	holds '0 < d[argv[0]]["used_bytes"] < int(argv[1])' "$one" "$held"
	rm slow
	tell a "check 1"
	tell a "fill 2"
	tell a "check 2"
	# Pages go there again, and it can be turned off.
	run swapctl -p t off "$one"
	assert_success
	tell a "check 2"
	end_holder a
	stop_swapd
}

# A device that holds most of 24 MiB, another with room for it, slow to read.
prepare_interrupt()
{
	require_uffd
	make_slow
	one=$(make_swapfile 32M) two=$(make_swapfile 32M)
	start_slow_swapd --ram 4M --on "$one"
	start_holder a 24M
	tell a "fill 1"
	swapctl -p t on "$two"
	held=$(used "$one")
	touch slow
}

@test "SIGINT stops off, and the device is in service again" {
	prepare_interrupt
	# bash has background jobs ignore it, and then it stays ignored.
	env --default-signal=INT swapctl -p t off "$one" >off.out 2>off.err 3>&- &
	pid=$!
	register_pid "$pid"
	wait_until 20 off_has_begun
	kill -INT "$pid"
	wait "$pid" || status=$?
	assert_equal "${status:-0}" 1
	run cat off.out off.err
	assert_output --regexp "^swapctl: $one: stopped after [0-9.]+ [KM]iB; the device is in service again$"
	assert_restored
}

@test "Ctrl-C below the bar stops off, too" {
	prepare_interrupt
	start_tmux "swapctl -p t off $one; echo \$? >status; cat"
	wait_until 20 on_screen "MiB/s"
	wait_until 20 off_has_begun
	run screen
	assert_output --regexp "${one##*/}  █*░+ +[0-9]+%  +[0-9,]+ of [0-9,]+ pages .* MiB/s +[0-9-]+:[0-9-]+ left"
	press C-c
	wait_until 20 has_status
	assert_equal "$(cat status)" 1
	run screen
	assert_output --partial "in service again"
	# The bar has gone.
	refute_output --partial "MiB/s"
	assert_restored
}

@test "off of several that is interrupted: each is told" {
	prepare_interrupt
	three=$(make_swapfile 32M)
	swapctl -p t on "$three"
	env --default-signal=INT swapctl -p t off "$two" "$one" >off.out 2>off.err 3>&- &
	pid=$!
	register_pid "$pid"
	wait_until 20 off_has_begun
	kill -INT "$pid"
	wait "$pid" || status=$?
	assert_equal "${status:-0}" 1
	assert_equal "$(cat off.out)" "$two is off; it held nothing"
	run cat off.err
	assert_output --regexp "^swapctl: $one: stopped after [0-9.]+ [KM]iB; the device is in service again$"
	rm slow
	swapctl -p t on "$two"
	swapctl -p t off "$three"
	touch slow
	assert_restored
}

@test "SIGINT ends off at once while the swapd does not answer" {
	file=$(make_swapfile 8M)
	start_swapd --ram 4M --on "$file"
	kill -STOP "$SWAPD_PID"
	env --default-signal=INT swapctl -p t off "$file" 3>&- &
	pid=$!
	register_pid "$pid"
	# Before that it is still bash, who ignores it.
	wait_until 20 grep -qx swapctl "/proc/$pid/comm"
	kill -INT "$pid"
	wait "$pid" || status=$?
	assert_equal "${status:-0}" 130
	kill -CONT "$SWAPD_PID"
	holds 'list(d) == argv and not d[argv[0]]["closing"]' "$file"
	stop_swapd
}

@test "a client of off that is killed leaves the device in service" {
	prepare_interrupt
	swapctl -p t off "$one" >off.out 2>off.err 3>&- &
	pid=$!
	register_pid "$pid"
	wait_until 20 off_has_begun
	kill -9 "$pid"
	wait_until 10 is_true 'not any(x["closing"] for x in s["devices"])'
	assert_restored
}

@test "off under way is seen, and is not begun twice" {
	prepare_interrupt
	swapctl -p t off "$one" >off.out 2>off.err 3>&- &
	pid=$!
	register_pid "$pid"
	wait_until 20 off_has_begun
	run swapctl -p t status
	assert_line --regexp "^$one +file .* closing "
	assert_line --partial "$one is closing"
	run swapctl -p t off "$one"
	assert_failure 1
	assert_output --partial "$one: is being turned off already"
	run swaptop -p t --once
	assert_line --regexp "^$one .* closing$"
	# It takes no pages now, and is no room for any.
	run swapctl -p t list
	assert_line --regexp "^$one +[0-9]+ +[0-9]+ +0 "
	rm slow
	wait "$pid"
	run cat off.out off.err
	assert_output --partial "$one is off; "
	tell a "check 1"
	end_holder a
	stop_swapd
}

@test "off draws a bar on a terminal, and only there" {
	command -v script >/dev/null || skip "needs script"
	prepare_interrupt
	rm slow
	run --separate-stderr swapctl -p t off "$one"
	assert_success
	assert_equal "$stderr" ""
	refute_output --partial $'\r'
	[ "${#lines[@]}" -eq 1 ]
	swapctl -p t on "$one"
	touch slow
	TERM=xterm timeout 60 script -qec \
		"stty cols 120 rows 20; swapctl -p t off $two" typescript \
		>/dev/null 3>&- &
	pid=$!
	register_pid "$pid"
	wait_until 20 grep -q "[1-9]%" typescript
	rm slow
	wait "$pid"
	# What was drawn, a state a line.
	tr '\r' '\n' <typescript | sed 's/\x1b\[K//g' | grep "left" >bars
	run cat bars
	assert_line --regexp "${two##*/}  █+░+ +[1-9][0-9]?% .* pages +[0-9.]+ MiB/s +[0-9-]+:[0-9-]+ left$"
	# None of them wraps.
	while read -r line; do
		[ "${#line}" -lt 120 ]
	done <bars
	# At the end only the result is left to see.
	run cat typescript
	assert_output --regexp $'\r\e\\[K'"$two is off; [0-9,]+ pages .* paged back in "
	# A terminal that cannot move its cursor gets none.
	swapctl -p t on "$two"
	TERM=dumb script -qec "swapctl -p t off $one" typescript >/dev/null
	run cat typescript
	assert_output --partial "$one is off; "
	refute_output --partial "left"
	tell a "check 1"
	end_holder a
	stop_swapd
}

# ------------------------------------------------------ what others see

@test "status, objects and list --json are what the interface defines" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 32M)" --on "$(make_swapfile 8M)"
	start_holder a 16M work
	start_holder b 1M
	tell a "fill 1"
	swapctl -p t status --json | conforms Snapshot
	swapctl status --json | conforms "[]Snapshot"
	swapctl -p t objects --json | conforms "[]Object"
	swapctl -p t list --json | conforms "[]Device"
	swapctl -p t -l --json | conforms "[]Device"
	# The sums are right.
	holds 's["swap_used_bytes"] == sum(x["used_bytes"] for x in s["devices"])'
	holds 's["swap_bytes"] == sum(x["size_bytes"] for x in s["devices"])'
	holds 's["swapped_bytes"] == sum(x["swapped_bytes"] for x in s["objects"])'
	holds 's["resident_bytes"] == sum(x["resident_bytes"] for x in s["objects"])'
	holds 's["resident_bytes"] <= s["ram_bytes"] == 4 << 20'
	holds 's["pid"] == int(argv[0]) and s["clients"] == 2' "$SWAPD_PID"
	holds 's["page_bytes"] == int(argv[0])' "$(getconf PAGESIZE)"
	end_holder a
	end_holder b
	stop_swapd
}

@test "objects: whose, how large, the most swapped first" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	run swapctl -p t objects
	assert_success
	assert_output "no objects"
	run swapctl -p t objects --json
	assert_output "[]"
	start_holder a 8M beta
	start_holder b 16M alpha
	start_holder c 1M
	tell a "fill 1"
	tell b "fill 2"
	run swapctl -p t objects
	assert_success
	user=$(id -un)
	assert_line --index 0 --regexp "^ *ID NAME +OWNER +PID COMMAND +SIZE RESIDENT SWAPPED BLOCKS WIRED RESERVED REGIONS WRITERS MAP$"
	assert_line --index 1 --regexp "^ *2 alpha +$user +$b_pid holder +16M +[0-9.]+[KMB] +1[0-9.]+M +1[0-9.]+M +0B +0B +1 +1 [a-z]+$"
	assert_line --index 2 --regexp "^ *1 beta +$user +$a_pid holder +8M +[0-9.]+[KMB] +[0-9.]+M +[0-9.]+M +0B +0B +1 +1 [a-z]+$"
	assert_line --index 3 --regexp "^ *3 - +$user +$c_pid holder +1M +0B +0B +0B +0B +0B +1 +1 [a-z]+$"
	holds 'o["alpha"]["size_bytes"] == 16 << 20 and o["alpha"]["uid"] == int(argv[0])' "$(id -u)"
	tell c "fill 3"
	tell c "wire 4"
	holds 'o[""]["wired_bytes"] == 4 * s["page_bytes"]'
	tell b "check 2"
	# A second mapping of the same object is no second object.
	start_holder d 8M beta
	holds 'len(s["objects"]) == 3 and o["beta"]["regions"] == 2'
	for name in a b c d; do
		end_holder "$name"
	done
	wait_until 5 is_true 's["objects"] == []'
	stop_swapd
}

@test "list and the BSD spellings" {
	one=$(make_swapfile 8M) two=$(make_swapfile 16M)
	start_swapd --ram 4M --on "$one"
	# 8 MiB less 8 KiB for a label; one device has no total.
	run swapctl -p t list
	assert_success
	assert_line --index 0 --regexp "^Device +1K-blocks +Used +Avail +Capacity +Priority$"
	assert_line --index 1 --regexp "^$one +8184 +0 +8184 +0% +0$"
	[ "${#lines[@]}" -eq 2 ]
	run swapctl -p t -a "$two"
	assert_success
	assert_output "$two is on"
	run swapctl -p t -l
	assert_line --index 2 --regexp "^$two +16376 +0 +16376 +0% +0$"
	assert_line --index 3 --regexp "^Total +24560 +0 +24560 +0% *$"
	[ "${#lines[@]}" -eq 4 ]
	run swapctl -p t -s
	assert_output "total: 24560 1K-blocks allocated, 0 used, 24560 available"
	run swapctl -p t -lk
	assert_line --regexp "^Device +1K-blocks"
	assert_line --regexp "^$one +8184 "
	run swapctl -p t -l -m
	assert_line --regexp "^Device +1M-blocks"
	assert_line --regexp "^$one +7 "
	run swapctl -p t -lg
	assert_line --regexp "^Device +1G-blocks"
	run swapctl -p t -lh
	assert_line --regexp "^Device +Size"
	assert_line --regexp "^$one +8M +0B +8M +0% +0$"
	run swapctl -p t -sh
	assert_output "total: 24M allocated, 0B used, 24M available"
	run swapctl -p t list --bytes
	assert_line --regexp "^$one +8380416 +0 +8380416 "
	run swapctl -p t -ls
	assert_line --index 1 --regexp "^$one "
	assert_line --index 4 "total: 24560 1K-blocks allocated, 0 used, 24560 available"
	BLOCKSIZE=512 run swapctl -p t -l
	assert_line --regexp "^Device +512-blocks"
	assert_line --regexp "^$one +16368 "
	run swapctl -p t -d "$two"
	assert_success
	assert_output "$two is off; it held nothing"
	run swapctl -p t -U
	assert_success
	assert_output "$one is off; it held nothing"
	run swapctl -p t -s
	assert_output "no swap devices configured"
	run swapctl -h
	assert_success
	assert_line --index 0 --partial "Usage: swapctl"
	stop_swapd
}

@test "list: the total of what is used" {
	require_uffd
	one=$(make_swapfile 32M) two=$(make_swapfile 32M)
	start_swapd --ram 4M --on "$one" --on "$two"
	start_holder a 24M
	tell a "fill 1"
	a=$(used "$one") b=$(used "$two")
	total=$(((32 << 20) - 8192)) k=1024
	run swapctl -p t list
	assert_line --index 1 --regexp "^$one +$((total / k)) +$((a / k)) +$(((total - a) / k)) +[0-9]+% +0$"
	assert_line --index 2 --regexp "^$two +$((total / k)) +$((b / k)) +$(((total - b) / k)) +[0-9]+% +0$"
	assert_line --index 3 --regexp "^Total +$((total * 2 / k)) +$(((a + b) / k)) +$(((total * 2 - a - b) / k)) +[0-9]+% *$"
	run swapctl -p t -s
	assert_output "total: $((total * 2 / k)) 1K-blocks allocated, $(((a + b) / k)) used, $(((total * 2 - a - b) / k)) available"
	end_holder a
	stop_swapd
}

@test "status: several pagers, one by its name or by SWAPCTL_PAGER" {
	file=$(make_swapfile 8M)
	start_swapd --ram 4M --on "$file"
	start_second --ram 2M
	run swapctl status
	assert_success
	assert_line --regexp "^Pager t: .*process $SWAPD_PID,"
	assert_line --regexp "^Pager u: .*process $second_pid,"
	run swapctl status --json
	python3 -c 'import json, sys
assert [s["pager"] for s in json.loads(sys.argv[1])] == ["t", "u", "kernel"]' \
		"$output"
	run swapctl list --pagers
	assert_line --index 1 --regexp "^t +$SWAPD_PID +4M +0B +8M +0B +0 $SWAPD_RUNTIME_DIR/t.sock$"
	assert_line --index 2 --regexp "^u +$second_pid +2M +0B +0B +0B +0 $SWAPD_RUNTIME_DIR/u.sock$"
	run swapctl list --pagers --json
	python3 -c 'import json, sys
got = json.loads(sys.argv[1])
assert [s["pager"] for s in got] == ["t", "u"] and got[1]["pid"] == int(sys.argv[2])
assert got[0]["swap_bytes"] == 8380416 and got[1]["ram_bytes"] == 2 << 20' \
		"$output" "$second_pid"
	# One: by environment, by option before it, by the path of its socket.
	export SWAPCTL_PAGER=u
	run swapctl status
	assert_line --index 0 --partial "Pager u:"
	refute_output --partial "Pager t:"
	run swapctl -p t status
	assert_line --index 0 --partial "Pager t:"
	run swapctl status -p "$SWAPD_RUNTIME_DIR/t.sock"
	assert_line --index 0 --partial "Pager t:"
	run swaptop --once
	assert_line --index 0 --partial "Pager u:"
	run swapctl off "$file"
	assert_failure 1
	assert_output --partial "$file: is not in use as swap here"
	unset SWAPCTL_PAGER
	# One that is killed is not missed.
	kill -9 "$second_pid"
	wait_until 5 process_ended "$second_pid"
	run swapctl status
	assert_success
	refute_output --partial "Pager u:"
	stop_swapd
}

@test "status without any pager" {
	run --separate-stderr swapctl status
	assert_success
	[[ ${lines[0]} == "No swapd is running"*"swapd(8)"* ]]
	assert_line --partial "Pager kernel: Linux"
	run --separate-stderr swapctl status --json
	assert_success
	assert_equal "$(python3 -c '
import json, sys
print([p["provider"] for p in json.loads(sys.argv[1])])' "$output")" \
		"['kernel']"
	run swapctl list --pagers
	assert_success
	assert_output "no pagers are running"
	run swapctl list --pagers --json
	assert_success
	assert_output "[]"
}

@test "help: to standard output, with every option, within 80 columns" {
	for command in "" on off status objects list; do
		# shellcheck disable=SC2086
		run --separate-stderr swapctl help $command
		assert_success
		assert_equal "$stderr" ""
		assert_line --index 0 --regexp "^Usage: swapctl .*$command"
		assert_output --partial "--json"
		assert_output --partial "--pager"
		help=$output
		# The same by the option; -h is a unit of list.
		# shellcheck disable=SC2086
		run swapctl $command --help
		assert_success
		assert_output "$help"
		if [ "$command" != list ]; then
			# shellcheck disable=SC2086
			run swapctl $command -h
			assert_output "$help"
		fi
	done
	for command in "swapctl help" "swapctl help on" "swapctl help off" \
		"swapctl help list" "swapctl help status" \
		"swapctl help objects" "swapd --help" "swaptop --help"; do
		run $command
		assert_success
		for line in "${lines[@]}"; do
			[ "${#line}" -le 80 ] || fail "$command: $line"
		done
	done
	run swapctl help on
	for word in --priority --create --force "LABEL="; do
		assert_output --partial "$word"
	done
	run swapctl help
	for word in on off status objects list; do
		assert_line --regexp "^  $word +[A-Z]"
	done
	for program in swapctl swaptop swapd; do
		run "$program" --version
		assert_success
		assert_output --regexp "^$program .*[0-9]+\.[0-9]+"
	done
}

@test "a result that cannot be written is a failure" {
	[ -c /dev/full ] || skip "needs /dev/full"
	start_swapd --ram 4M
	for command in "swapctl -p t status" "swapctl -p t list --json" \
		"swapctl help" "swaptop -p t --once"; do
		run --separate-stderr bash -c "$command >/dev/full"
		assert_failure 1
		[[ $stderr == "${command%% *}: "*"standard output"* ]]
	done
	stop_swapd
}
