#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# swaprun: unmodified programs with their heap in a quarter of the memory that
# they need, or less; what they print is what an ordinary run prints.

bats_require_minimum_version 1.5.0
load lib/helpers
load lib/snapshot

setup()
{
	swk_setup
	require_uffd
	require_plain_build
	export LC_ALL=C
}

nothing_used()
{
	swapctl -p t status --json |
		grep -q '"swap_used_bytes": *0,'
}

# Lines of 500 bytes in random order.
make_lines()	# COUNT
{
	awk -v n="$1" 'BEGIN {
		srand(7)
		for (i = 0; i < 480; i++)
			filler = filler sprintf("%c", 97 + i % 26)
		for (i = 0; i < n; i++)
			printf "%010d %08d%s\n", rand() * 1e10, i, filler
	}'
}

@test "sort, in a quarter of the memory, while its device is turned off" {
	make_lines 60000 >"$SWK_TMP/in"
	sort -S 100M --parallel=2 "$SWK_TMP/in" >"$SWK_TMP/expected"
	start_swapd --ram 7M --on "$(make_swapfile 128M)"
	swaprun -p t -- sort -S 100M --parallel=2 -o "$SWK_TMP/out" \
		"$SWK_TMP/in" &
	pid=$!
	register_pid $pid
	wait_until 20 [ "$(number pageout_pages)" -ge 0 ]
	for i in 1 2 3 4; do
		process_ended "$pid" && break
		swapctl -p t on --create 128M "$SWK_TMP/swap$i"
		first=$(swapctl -p t status --json | python3 -c '
import json, sys
print(json.load(sys.stdin)["devices"][0]["path"])')
		swapctl -p t off "$first"
	done
	wait "$pid"
	cmp "$SWK_TMP/expected" "$SWK_TMP/out"
	paged_something
	wait_until 5 nothing_used
	stop_swapd
}

@test "python3: lists of 128 MB in 24 MB, and freed memory is given back" {
	start_swapd --ram 24M --on "$(make_swapfile 400M)"
	program='
import sys
a = list(range(1000, 2500000))
b = [str(i) for i in range(400000)]
print(sum(a), len(b), hash(tuple(a[::1000])))
a = b = None
sys.stdout.flush()
if len(sys.argv) > 1:
    x = [bytearray(100) for i in range(1000)]
    input()
'
	python3 -c "$program" >"$SWK_TMP/expected"
	mkfifo "$SWK_TMP/in"
	swaprun -p t -- python3 -c "$program" wait <"$SWK_TMP/in" \
		>"$SWK_TMP/out" 3>&- &
	pid=$!
	register_pid $pid
	exec {fd}>"$SWK_TMP/in"
	wait_until 60 grep -q . "$SWK_TMP/out"
	cmp "$SWK_TMP/expected" "$SWK_TMP/out"
	paged_something
	# The lists are gone, and so are most of their blocks.
	wait_until 10 less_than_16m_used
	echo >&"$fd"
	wait "$pid"
	wait_until 5 nothing_used
	stop_swapd
}

less_than_16m_used() { [ "$(number swap_used_bytes)" -lt 16777216 ]; }

# Four times the RAM and the swap space together.
@test "memory full of one byte takes no swap space, and is what it was" {
	start_swapd --ram 8M --on "$(make_swapfile 16M)"
	mkfifo "$SWK_TMP/in"
	swaprun -p t -- python3 -c '
n = 96 << 20
data = bytearray(b"\xa5") * n
print("filled", flush=True)
input()
view = memoryview(data)
chunk = b"\xa5" * (1 << 20)
print(all(view[i:i + len(chunk)] == chunk for i in range(0, n, len(chunk))),
    flush=True)
view[n // 2:n // 2 + 3] = b"abc"
print(data.count(0xa5) == n - 3, data.find(b"abc") == n // 2, flush=True)
' <"$SWK_TMP/in" >"$SWK_TMP/out" 3>&- &
	pid=$!
	register_pid $pid
	exec {fd}>"$SWK_TMP/in"
	wait_until 60 grep -q filled "$SWK_TMP/out"
	[ "$(number swapped_bytes)" -gt $((80 << 20)) ]
	[ "$(number pageout_fill)" -gt 20000 ]
	hardly_any_used
	echo >&"$fd"
	wait "$pid"
	run cat "$SWK_TMP/out"
	assert_line -n 1 True
	assert_line -n 2 "True True"
	[ "$(number pagein_fill)" -gt 40000 ]
	[ "$(number pagein_pages)" -lt 2000 ]
	stop_swapd
}

# The interpreter has pages of its own that may be out.
hardly_any_used() { [ "$(number swap_used_bytes)" -lt $((12 << 20)) ]; }

@test "sqlite3 in memory" {
	start_swapd --ram 8M --on "$(make_swapfile 256M)"
	cat >"$SWK_TMP/sql" <<-END
		create table t(i integer primary key, a text, b integer);
		with recursive n(i) as (select 1 union all select i + 1 from n
			where i < 120000)
			insert into t select i, printf('%064d', i * 7919 % 99991),
			i * 31 % 1009 from n;
		create index ta on t(a);
		select count(*), sum(b), min(a), max(a) from t;
		select b, count(*) from t group by b order by 2 desc, 1 limit 5;
		update t set a = a || 'x' where b % 7 = 0;
		delete from t where b % 5 = 0;
		select count(*), sum(length(a)), total(b) from t;
		pragma integrity_check;
	END
	sqlite3 :memory: <"$SWK_TMP/sql" >"$SWK_TMP/expected"
	swaprun -p t -- sqlite3 :memory: <"$SWK_TMP/sql" >"$SWK_TMP/out"
	cmp "$SWK_TMP/expected" "$SWK_TMP/out"
	paged_something
	stop_swapd
}

@test "xz -9" {
	make_lines 6000 | tr a-f '\000-\005' >"$SWK_TMP/in"
	od -An -tx1 "$SWK_TMP/in" | head -c 6000000 >"$SWK_TMP/in2"
	xz -9 -c "$SWK_TMP/in2" >"$SWK_TMP/expected"
	start_swapd --ram 8M --on "$(make_swapfile 1G)"
	swaprun -p t -- xz -9 -c "$SWK_TMP/in2" >"$SWK_TMP/out"
	cmp "$SWK_TMP/expected" "$SWK_TMP/out"
	paged_something
	stop_swapd
}

@test "without a swapd: a private one, which ends with the program" {
	run swaprun --ram 8M --swap "$SWK_TMP/swap:128M" -- python3 -c '
import os
a = list(range(3000000))
print(sum(a), os.path.getsize("'"$SWK_TMP/swap"'"))'
	assert_success
	assert_output "4499998500000 134217728"
	no_private_swapd() { ! pgrep -f -- "--on $SWK_TMP/swap"; }
	wait_until 10 no_private_swapd
	[ ! -e "$SWK_TMP/swap" ]
}

@test "the program's exit status, arguments and environment are its own" {
	start_swapd --ram 4M --on "$(make_swapfile 16M)"
	run swaprun -p t -- sh -c 'echo "$1 $FOO"; exit 42' sh "a b"
	assert_failure 42
	FOO=bar run swaprun -p t -- sh -c 'echo "$1 $FOO"; exit 42' sh "a b"
	assert_output "a b bar"
	run -127 swaprun -p t -- /nonexistent/program
	assert_output --partial "/nonexistent/program"
	stop_swapd
}

@test "programs that fork and exec, also from several threads" {
	start_swapd --ram 8M --on "$(make_swapfile 128M)"
	run swaprun -p t -- python3 -c '
import os, subprocess, threading
big = [str(i) * 3 for i in range(200000)]
def plain_fork(n):
    r, w = os.pipe()
    args = ["echo", "child %d %s" % (n, big[n * 1000])]
    pid = os.fork()
    if pid == 0:
        os.dup2(w, 1)
        os.execvp(args[0], args)
    os.close(w)
    out = os.read(r, 1000).decode()
    os.close(r)
    assert os.waitpid(pid, 0)[1] == 0
    assert out == args[1] + "\n", out
def work(n):
    for i in range(3):
        out = subprocess.check_output(["echo", big[n * 100 + i]])
        assert out.decode() == big[n * 100 + i] + "\n"
for n in range(3):
    plain_fork(n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
assert os.system("exit 3") == 3 << 8
assert big == [str(i) * 3 for i in range(200000)]
print("all good")'
	assert_success
	assert_line "all good"
	run swaprun -p t -- bash -c 'x=$(echo one | tr a-z A-Z); echo $x; (exit 5); echo $?'
	assert_success
	assert_output $'ONE\n5'
	stop_swapd
}

@test "a child that goes on alone has what was there at the fork" {
	start_swapd --ram 8M --on "$(make_swapfile 128M)"
	run swaprun -p t -- python3 -c '
import os
big = [str(i) for i in range(200000)]
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(w)
    os.read(r, 1)          # until the parent has gone on and changed things
    os._exit(big != [str(i) for i in range(200000)])
big = [str(i + 7) for i in range(200000)]
os.write(w, b"x")
print("child", os.waitpid(pid, 0)[1])
print("parent", big == [str(i + 7) for i in range(200000)])'
	assert_success
	assert_line "child 0"
	assert_line "parent True"
	stop_swapd
}

@test "no full userfaultfd: swaprun refuses and names the three remedies" {
	require_root
	command -v setpriv >/dev/null || skip "needs setpriv"
	[ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 0 ] ||
		skip "userfaultfd is open to everybody here"
	export SWAPD_RUNTIME_DIR=$SWK_TMP/run65534 XDG_RUNTIME_DIR=$SWK_TMP
	mkdir "$SWAPD_RUNTIME_DIR"
	chown 65534 "$SWAPD_RUNTIME_DIR"
	chmod 777 "$SWK_TMP"
	# The build may be where others cannot go.
	mkdir -p "$SWK_TMP/cmd/.libs"
	cp "$SWAPKIT_BUILD"/cmd/swap{run,d} "$SWK_TMP/cmd"
	cp "$SWAPKIT_BUILD/cmd/.libs/libswapheap.so" "$SWK_TMP/cmd/.libs"
	run setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$SWK_TMP/cmd/swaprun" --ram 4M --swap "$SWK_TMP/s:16M" \
		-- echo hello
	assert_failure
	refute_output --partial hello
	assert_output --partial "root"
	assert_output --partial "vm.unprivileged_userfaultfd"
	assert_output --partial "/dev/userfaultfd"
}
