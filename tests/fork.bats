#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Programs that fork, with their heap in a quarter of the memory that they
# need.  tests/tools/forker knows the ways to do it; real programs follow.  At
# the end of each nothing is left: no object, no block.

bats_require_minimum_version 1.5.0
load lib/helpers
load lib/snapshot

setup()
{
	swk_setup
	require_uffd
	require_plain_build
	export LC_ALL=C
	forker=$SWAPKIT_BUILD/tests/tools/forker
	cd "$SWK_TMP" || return 1
}

nothing_left()
{
	[ "$(number swap_used_bytes)" -eq 0 ] &&
		[ "$(number nobjects_live)" -eq 0 ]
}

end_well()
{
	wait_until 20 nothing_left
	stop_swapd
}

# "run" reads until every process has ended, whoever waits for it.
forks()	# SCENARIO LINE...
{
	local scenario=$1 line

	shift
	start_swapd --ram "${ram:-8M}" --on "$(make_swapfile 256M)"
	run timeout 300 swaprun -p t -- "$forker" "$scenario" "${size:-32M}"
	assert_success
	refute_output --partial bad
	refute_output --partial swaprun
	for line; do
		assert_line "$line"
	done
	end_well
}

# ------------------------------------------------------------- who goes first

@test "a child reads everything after its parent has changed it and gone" {
	forks outlive "parent ok" "child ok" "child alone ok"
}

@test "a child goes first, with its changes" {
	forks outlived "child ok" "parent ok"
}

@test "a parent gives its memory back while the child reads" {
	forks frees "child meanwhile ok" "child after ok"
}

@test "daemon(3): the parent ends at once" {
	forks daemon "daemon ok" "daemon later ok"
}

@test "a fork in a fork in a fork, and nobody waits" {
	forks generations "level 1 ok" "level 2 ok" "level 3 ok" "level 4 ok" \
		"level 5 ok"
}

@test "a hundred children at once, each of another moment" {
	forks many "all ok"
}

@test "a hundred children that run a program at once" {
	forks execs "parent ok"
}

@test "a private swapd lives as long as the last of those forked" {
	for scenario in daemon generations outlive; do
		run timeout 300 swaprun --ram 8M --swap "$SWK_TMP/swap:256M" \
			-- "$forker" "$scenario" 16M
		assert_success
		refute_output --partial bad
		refute_output --partial swaprun
		assert_output --regexp "(daemon later|level 5|child alone) ok"
	done
	no_private_swapd() { ! pgrep -f -- "--on $SWK_TMP/swap"; }
	wait_until 20 no_private_swapd
	[ ! -e "$SWK_TMP/swap" ]
}

# ------------------------------------------------------------- ways to do it

@test "fork from a thread while others write: a copy of one moment" {
	# Twenty children, each of which has it all in the end.
	ram=2M size=8M forks threads "threads ok"
}

@test "fork while another thread writes: the heap is of the moment of the rest" {
	forks moment "moment ok"
}

@test "fork while other threads free: the child can allocate" {
	forks allocators "allocators ok"
}

@test "clone(2) without CLONE_VM, with a stack in the heap" {
	forks clone "child ok" "child later ok" "parent ok"
}

@test "clone(2) with CLONE_VM copies nothing" {
	forks clone-vm "parent ok"
}

@test "_Fork() and clone by its number" {
	forks bare "child ok" "child later ok" "parent ok"
	forks number "child ok" "child later ok" "parent ok"
}

@test "forkpty(3)" {
	start_swapd --ram 8M --on "$(make_swapfile 256M)"
	run timeout 300 swaprun -p t -- "$forker" pty 32M
	assert_success
	refute_output --partial bad
	assert_line --partial "child ok"
	assert_line --partial "child later ok"
	assert_line "parent ok"
	end_well
}

@test "fork on a stack in the heap, and with a signal stack there" {
	forks coroutine "child ok" "child later ok" "parent ok"
	forks signal-stack "child ok" "child later ok" "parent ok"
}

# ----------------------------------------------------------------- failures

@test "a fork that fails leaves no copy behind" {
	start_swapd --ram 8M --on "$(make_swapfile 128M)"
	mkfifo in
	swaprun -p t -- "$forker" fails 16M <in >out 3>&- &
	pid=$!
	register_pid $pid
	exec {fd}>in
	wait_until 60 grep -q . out
	[ "$(number nobjects_live)" -eq 1 ]
	exec {fd}>&-
	wait $pid
	run cat out
	assert_output $'failed\nparent ok'
	end_well
}

@test "where overcommit allows no copy, fork fails and no child is left" {
	require_root
	command -v setpriv >/dev/null || skip "needs setpriv"
	# Root is refused nothing; the build may be where others cannot go.
	mkdir -p cmd/.libs
	cp "$SWAPKIT_BUILD/cmd/swaprun" cmd
	cp "$SWAPKIT_BUILD/cmd/.libs/libswapheap.so" cmd/.libs
	cp "$forker" forker
	start_swapd --ram 8M --on "$(make_swapfile 100M)" --set overcommit=1
	run setpriv --reuid 65534 --regid 65534 --clear-groups \
		cmd/swaprun -p "$SWAPD_RUNTIME_DIR/t.sock" --heap 64M -- \
		./forker refused 16M
	assert_success
	assert_output "parent ok"
	[ "$(number charges_refused)" -eq 1 ]
	end_well
}

@test "what is shown of copies" {
	start_swapd --ram 8M --on "$(make_swapfile 256M)"
	mkfifo in
	swaprun -p t -- "$forker" hold 16M <in >out 3>&- &
	pid=$!
	register_pid $pid
	exec {fd}>in
	all_hold() { [ "$(grep -c holding out)" -eq 3 ]; }
	wait_until 60 all_hold
	run swapctl -p t objects
	assert_line --index 0 --regexp ' MAP +SHARED$'
	assert_line --index 1 --regexp '^ *2 - .* forker .* 0B$'
	assert_line --index 2 --regexp '^ *3   copy of 2 .* forker .* [78](\.[0-9])?M$'
	assert_line --index 3 --regexp '^ *4     copy of 3 .* forker .* [78](\.[0-9])?M$'
	swapctl -p t objects --json | python3 -c '
import json, sys
a, b, c = json.load(sys.stdin)
assert (a["source_id"], a["copies"], a["shared_bytes"]) == (0, 1, 0), a
assert (b["source_id"], b["copies"]) == (a["id"], 1), b
assert (c["source_id"], c["copies"]) == (b["id"], 0), c
for copy in b, c:
    assert 7 << 20 <= copy["shared_bytes"] <= 9 << 20, copy
    own = copy["resident_bytes"] + copy["swapped_bytes"]
    assert own >= 8 << 20, copy
    # What was read ahead has become its own; nothing is missing.
    assert own + copy["shared_bytes"] >= 16 << 20, copy
    assert not copy["orphan"]
'
	run swapctl -p t status
	assert_line --regexp '^Copied +[0-9,]+ pages when copies used them'
	exec {fd}>&-
	wait $pid
	[ "$(grep -c "process ok" out)" -eq 3 ]
	end_well
}

@test "swapd ends while forked processes live: they go on, and fork again" {
	start_swapd --ram 8M --on "$(make_swapfile 256M)"
	mkfifo in
	swaprun -p t -- "$forker" hold 16M <in >out 2>&1 3>&- &
	pid=$!
	register_pid $pid
	exec {fd}>in
	all_hold() { [ "$(grep -c holding out)" -eq 3 ]; }
	wait_until 60 all_hold
	stop_swapd
	exec {fd}>&-
	wait $pid
	all_said() { [ "$(grep -c "another child ok" out)" -eq 3 ]; }
	wait_until 20 all_said
	[ "$(grep -c "process ok" out)" -eq 3 ]
	run cat out
	refute_output --partial bad
	refute_output --partial swaprun
}

@test "swapd ends while processes fork all the time: all go on" {
	start_swapd --ram 8M --on "$(make_swapfile 64M)"
	cat >forks <<-'END'
		echo "started"
		for ((i = 0; i < 4000 && !ended; i++)); do
			[ "$(echo "$i")" = "$i" ] || echo "bad $i"
			if [ -e stop ]; then ended=1; fi
		done
		echo "done"
	END
	for n in 1 2 3; do
		swaprun -p t -- bash forks >"out.$n" 2>&1 3>&- &
		register_pid $!
	done
	all_started() { [ "$(cat out.? | grep -cx started)" -eq 3 ]; }
	wait_until 20 all_started
	stop_swapd
	touch stop
	all_done() { [ "$(cat out.? | grep -cx done)" -eq 3 ]; }
	wait_until 60 all_done
	run cat out.1 out.2 out.3
	assert_output "$(printf 'started\ndone\n%.0s' 1 2 3)"
}

# ------------------------------------------------------------ real programs

redis_start()	# COMMAND...
{
	# The server is that program under another name.
	ln -sf "$(command -v redis-check-rdb)" "$SWK_TMP/redis-server"
	"$@" "$SWK_TMP/redis-server" --port 0 --unixsocket "$SWK_TMP/redis" \
		--dir "$SWK_TMP" --dbfilename dump --save "" --appendonly no \
		>"$SWK_TMP/redis.log" 2>&1 3>&- &
	redis=$!
	register_pid "$redis"
	wait_until 60 redis-cli -s "$SWK_TMP/redis" ping
}

redis_end()
{
	redis-cli -s "$SWK_TMP/redis" shutdown nosave
	wait "$redis"
}

@test "redis saves in the background while it is written to" {
	command -v redis-check-rdb >/dev/null || skip "needs redis-tools"
	cat >client.py <<-'END'
		import hashlib, socket, sys, time
		N = 9000
		def value(i, round):
		    one = hashlib.sha512(b"%d %d" % (i, round)).digest()
		    return b"".join(hashlib.sha512(one + bytes([k])).digest()
		                    for k in range(64))
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		f = s.makefile("rb")
		def send(*words):
		    s.sendall(b"*%d\r\n" % len(words) + b"".join(
		        b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
		def answer():
		    line = f.readline().rstrip()
		    assert line[:1] != b"-", line
		    if line[:1] != b"$":
		        return line[1:]
		    return f.read(int(line[1:]) + 2)[:-2]
		def load(round):
		    for i in range(N):
		        send(b"SET", b"key:%d" % i, value(i, round))
		        assert answer() == b"OK"
		def verify(round):
		    send(b"DBSIZE")
		    assert int(answer()) == N
		    for i in range(N):
		        send(b"GET", b"key:%d" % i)
		        assert answer() == value(i, round), i
		def info(name):
		    send(b"INFO", b"persistence")
		    return dict(line.split(b":") for line in answer().split()
		                if b":" in line)[name]
		if sys.argv[2] == "verify":
		    verify(1)
		    sys.exit()
		load(1)
		send(b"BGSAVE")
		assert answer() == b"Background saving started"
		# Nothing was written between the answer and this.
		load(2)
		while info(b"rdb_bgsave_in_progress") != b"0":
		    time.sleep(0.02)
		assert info(b"rdb_last_bgsave_status") == b"ok"
		verify(2)
	END
	start_swapd --ram 12M --on "$(make_swapfile 400M)"
	redis_start swaprun -p t --
	timeout 200 python3 client.py "$SWK_TMP/redis" save
	redis_end
	paged_something
	end_well
	redis_start env
	timeout 200 python3 client.py "$SWK_TMP/redis" verify
	redis_end
}

@test "python3: multiprocessing with a large list that is shared" {
	cat >pool.py <<-'END'
		import multiprocessing, sys
		N, STEP = 400000, 20000
		big = [str(i) * 2 for i in range(N)]
		def work(first):
		    wrong = [i for i in range(first, first + STEP)
		             if big[i] != str(i) * 2]
		    # Its own, from now on.
		    for i in range(first, first + STEP):
		        big[i] = None
		    return len(wrong), sum(len(s) for s in big if s)
		if __name__ == "__main__":
		    context = multiprocessing.get_context("fork")
		    with context.Pool(4, maxtasksperchild=1) as pool:
		        result = pool.map_async(work, range(0, N, STEP), 1)
		        for i in range(0, N, 3):
		            big[i] = str(i) * 2
		        result = result.get()
		    total = sum(len(s) for s in big)
		    for first, (wrong, rest) in zip(range(0, N, STEP), result):
		        own = sum(2 * len(str(i))
		                  for i in range(first, first + STEP))
		        assert wrong == 0 and rest == total - own, (first, wrong)
		    assert big == [str(i) * 2 for i in range(N)]
		    print("all good", total)
	END
	start_swapd --ram 16M --on "$(make_swapfile 512M)"
	run timeout 300 swaprun -p t -- python3 pool.py
	assert_success
	assert_output --regexp "^all good [0-9]+$"
	paged_something
	end_well
}

@test "bash: substitutions, pipes, subshells and jobs" {
	cat >script <<-'END'
		big=$(seq 1 300000)
		first=$(echo "$big" | head -n 3 | tr '\n' ' ')
		echo "$first" "$(echo "$big" | cksum)"
		for i in 1 2 3 4; do
			(big=$big$i; echo "$i ${#big} $(echo "$big" | cksum)") \
				>"part$i" &
		done
		big=changed
		wait
		cat part1 part2 part3 part4
		count() { [ "$1" -eq 0 ] || (echo "$1"; count $(($1 - 1))); }
		count 8 | tac | tr '\n' ,
		(exit 3) || echo "status $?"
		coproc tr a-z A-Z
		echo hello >&"${COPROC[1]}"
		exec {COPROC[1]}>&-
		cat <&"${COPROC[0]}"
	END
	bash script >expected
	start_swapd --ram 8M --on "$(make_swapfile 256M)"
	timeout 300 swaprun -p t -- bash script >out
	cmp expected out
	end_well
}

@test "make -j2 builds a small project" {
	for program in make gcc; do
		command -v "$program" >/dev/null || skip "needs $program"
	done
	mkdir project
	for i in 1 2 3 4 5 6 7 8; do
		echo "int part$i(int x) { return x * $i + 1; }" \
			>project/part$i.c
	done
	cat >project/main.c <<-'END'
		#include <stdio.h>
		#define PART(n) int part##n(int);
		#include "parts.h"
		#undef PART
		#define PART(n) x = part##n(x);
		int main(void)
		{
			int x = 1;
		#include "parts.h"
			printf("%d\n", x);
			return 0;
		}
	END
	printf '%s\n' 'parts := 1 2 3 4 5 6 7 8' \
		'objects := main.o $(parts:%=part%.o)' \
		'hello: $(objects)' '	gcc -o $@ $^' \
		'parts.h: Makefile' \
		'	for i in $(parts); do echo "PART($$i)"; done >$@' \
		'main.o: parts.h' '%.o: %.c' '	gcc -O2 -c -o $@ $<' \
		'test: hello' '	test "`./hello`" = "$(shell echo 109601)"' \
		>project/Makefile
	start_swapd --ram 12M --on "$(make_swapfile 512M)"
	timeout 300 swaprun -p t -- make -s -j2 -C project test
	[ "$(project/hello)" = 109601 ]
	end_well
}

@test "sort, with a program that compresses its temporary files" {
	awk 'BEGIN {
		srand(7)
		for (i = 0; i < 400000; i++)
			printf "%010d %08d %s\n", rand() * 1e10, i,
				"abcdefghijklmnopqrstuvwxyz"
	}' >in
	sort in >expected
	start_swapd --ram 3M --on "$(make_swapfile 256M)"
	timeout 300 swaprun -p t -- sort -S 4M --parallel=2 \
		--compress-program=gzip -T "$SWK_TMP" -o out in
	cmp expected out
	end_well
}
