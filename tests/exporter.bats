#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# swap_exporter as an HTTP server: what it answers, what it does when a pager
# does not, and what bad clients can do to others (nothing).

load lib/helpers
load lib/exporter

setup()
{
	swk_setup
	require_exporter
}

up_is()	# PAGER VALUE
{
	ask_http metrics >"$SWK_TMP/scrape" &&
		[ "$(sample "swapkit_up{pager=\"$1\"}" "$SWK_TMP/scrape")" = "$2" ]
}

# ------------------------------------------------------------------ answers

@test "all pagers asked for are in one scrape, and one that is away is 0" {
	start_swapd --ram 4M --on "$(make_swapfile 16M)"
	start_exporter -p t -p kernel -p nobody
	ask_http metrics >"$SWK_TMP/scrape"
	for wanted in t:1 kernel:1 nobody:0; do
		run sample "swapkit_up{pager=\"${wanted%:*}\"}" "$SWK_TMP/scrape"
		assert_output "${wanted#*:}"
	done
	run sample 'swapkit_swap_size_bytes{pager="t"}' "$SWK_TMP/scrape"
	assert_output $((16 * 1048576 - 8192))
	# Of one that is away nothing else is known.
	run grep -c 'pager="nobody"' "$SWK_TMP/scrape"
	assert_output 1
	stop_exporter
	stop_swapd
}

@test "a client gets the format that it asks for" {
	start_exporter -p nobody
	run ask_http metrics -D "$SWK_TMP/head" -H \
		'Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
	assert_line --index 0 --partial '# HELP swapkit_up '
	assert_line '# EOF'
	run grep -i '^content-type:' "$SWK_TMP/head"
	assert_output --partial 'application/openmetrics-text; version=1.0.0; charset=utf-8'
	run grep -i '^vary:' "$SWK_TMP/head"
	assert_output --partial Accept
	for accept in '*/*' 'text/plain' 'text/html' ''; do
		run ask_http metrics -D "$SWK_TMP/head" -H "Accept: $accept"
		assert_line 'swapkit_up{pager="nobody"} 0'
		refute_line '# EOF'
		run grep -i '^content-type:' "$SWK_TMP/head"
		assert_output --partial 'text/plain; version=0.0.4'
	done
	stop_exporter
}

# What stands at PATH of the answer, as Python has it.
json_at()	# EXPRESSION
{
	python3 -c 'import json, sys
j = json.load(sys.stdin)
print(eval(sys.argv[1]))' "$1"
}

@test "stats.json holds all pagers, or the one that is named" {
	start_swapd --ram 4M --on "$(make_swapfile 16M)"
	start_exporter -p t -p nobody --objects
	ask_http stats.json >"$SWK_TMP/all"
	run json_at '[j["schema"], len(j["pagers"]), j["away"][0]["pager"]]' \
		<"$SWK_TMP/all"
	assert_output "[1, 1, 'nobody']"
	run json_at '"no swapd is listening" in j["away"][0]["message"]' \
		<"$SWK_TMP/all"
	assert_output True
	ask_http 'stats.json?pager=t' >"$SWK_TMP/one"
	run json_at 'j["pager"]["name"]' <"$SWK_TMP/one"
	assert_output t
	run status_of 'stats.json?pager=nobody'
	assert_output 503
	run status_of 'stats.json?pager=stranger'
	assert_output 404
	stop_exporter
	stop_swapd
}

@test "the documents are as their schema says" {
	python3 -c 'import jsonschema' 2>/dev/null || skip "needs jsonschema"
	start_swapd --ram 4M --on "$(make_swapfile 16M)"
	start_exporter -p t -p kernel --objects
	ask_http stats.json | python3 -c '
import json, jsonschema, sys
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
pagers = json.load(sys.stdin)["pagers"]
assert [p["pager"]["name"] for p in pagers] == ["t", "kernel"], pagers
for document in pagers:
	jsonschema.validate(document, schema)' \
		"$SWAPKIT_SRC/libswap/ipc/export.schema.json"
	stop_exporter
	stop_swapd
}

@test "healthz, a page for people, and what is not there" {
	start_exporter -p 'no<b>dy'
	run ask_http healthz
	assert_output ok
	run ask_http ''
	assert_output --partial 'href="/metrics"'
	assert_output --partial 'no&#60;b&#62;dy'
	refute_output --partial '<b>'
	run status_of nothing
	assert_output 404
	run status_of ../../etc/passwd --path-as-is
	assert_output 404
	for method in POST PUT DELETE OPTIONS TRACE PATCH; do
		run status_of metrics -X "$method"
		assert_output 405
	done
	run ask_http metrics -X POST -D - -d a=b
	assert_line --partial 'Allow: GET, HEAD'
	run status_of metrics --head
	assert_output 200
	run ask_http metrics --head
	refute_output --partial 'swapkit_up{'
	# A GET with a body, which nobody reads, also where it has to wait.
	run status_of metrics -X GET -d "$(printf '%0100000d' 0)"
	assert_output 200
	stop_exporter
}

@test "an answer comes through IPv6, too" {
	[ -e /proc/net/if_inet6 ] && grep -q '^0*1 ' /proc/net/if_inet6 ||
		skip "needs IPv6"
	start_exporter -p nobody --listen '[::1]:0'
	[[ $url == 'http://[::1]:'* ]]
	run ask_http healthz -g
	assert_output ok
	stop_exporter
}

@test "who does not say an address gets loopback" {
	start_exporter -p nobody --listen :0
	[[ $url == http://127.0.0.1:* ]]
	stop_exporter
}

@test "objects are shown only where that is asked for" {
	require_uffd
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	mkfifo "$SWK_TMP/in"
	"$SWAPKIT_BUILD/tests/tools/holder" t 8M somebody <"$SWK_TMP/in" \
		>"$SWK_TMP/out" 3>&- &
	register_pid $!
	exec {fd}>"$SWK_TMP/in"
	wait_until 20 grep -q ready "$SWK_TMP/out"
	start_exporter -p t
	run ask_http metrics
	refute_output --partial somebody
	refute_output --partial swapkit_object_
	assert_output --partial 'swapkit_objects{pager="t"} 1'
	stop_exporter
	start_exporter -p t --objects
	run ask_http metrics
	assert_output --partial 'name="somebody"'
	assert_output --regexp 'swapkit_object_size_bytes\{pager="t",object="[0-9]+"\} 8388608'
	stop_exporter
	exec {fd}>&-
	stop_swapd
}

# ---------------------------------------------------------- pagers that fail

@test "a pager goes and comes back" {
	start_exporter -p t --cache 0
	up_is t 0
	start_swapd --ram 4M
	up_is t 1
	stop_swapd
	up_is t 0
	run grep -c "pager 't' is away: no swapd is listening" "$exporter_log"
	assert_output 2
	run grep -c "pager 't' answers again" "$exporter_log"
	assert_output 1
	stop_exporter
}

@test "a pager that hangs keeps nobody, and is asked once" {
	start_swapd --ram 4M
	start_exporter -p t -p kernel --cache 0 --timeout 1
	up_is t 1
	kill -STOP "$SWAPD_PID"
	up_is t 0
	up_is kernel 1
	# So many that nobody would see the end if each waited for it.
	for _ in {1..300}; do
		up_is t 0
	done
	# The kernel lists a connection that waits to be accepted, too.
	run grep -c " $SWAPD_RUNTIME_DIR/t.sock" /proc/net/unix
	[ "$output" -le 3 ] || fail "$output sockets"
	run grep -c 'does not answer in time' "$exporter_log"
	assert_output 1
	run ask_http 'stats.json?pager=t'
	assert_output --partial 'does not answer in time'
	kill -CONT "$SWAPD_PID"
	wait_until 20 up_is t 1
	stop_exporter
	stop_swapd
}

@test "it ends at once, whoever hangs and whoever waits" {
	start_swapd --ram 4M
	start_exporter -p t --cache 0 --timeout 60
	kill -STOP "$SWAPD_PID"
	for _ in 1 2 3; do
		ask_http metrics >"$SWK_TMP/scrape" 2>&1 3>&- &
		register_pid $!
	done
	# Until it has asked the swapd that does not answer.
	wait_until 20 grep -q '"t.sock"\|t\.sock' /proc/net/unix
	stop_exporter
	kill -CONT "$SWAPD_PID"
	stop_swapd
}

# A swapd's socket in front of the real one, which counts who comes, and how
# many at a time.
start_counter()
{
	python3 - "$SWAPD_RUNTIME_DIR/t.sock" "$SWAPD_RUNTIME_DIR/c.sock" \
		"$SWK_TMP/counted" 3>&- <<'END' &
import os, select, socket, sys
real, front, out = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(front)
listener.listen(1024)
pairs, total, most = {}, 0, 0
while True:
	ready = select.select([listener] + list(pairs), [], [])[0]
	# Who has gone has gone before somebody else came.
	for s in sorted(ready, key=lambda s: s is listener):
		if s is listener:
			client, _ = s.accept()
			server = socket.socket(socket.AF_UNIX)
			server.connect(real)
			pairs[client], pairs[server] = server, client
			total, most = total + 1, max(most, len(pairs) // 2)
			with open(out + ".new", "w") as f:
				f.write("%d %d\n" % (total, most))
			os.rename(out + ".new", out)
		elif s in pairs:
			data = s.recv(65536)
			if data:
				pairs[s].sendall(data)
			else:
				other = pairs.pop(s)
				pairs.pop(other)
				s.close()
				other.close()
END
	register_pid $!
	wait_until 20 test -S "$SWAPD_RUNTIME_DIR/c.sock"
}

# Scrape COUNT times, 30 at a time; all must succeed.
scrape_often()	# COUNT
{
	seq "$1" | xargs -P 30 -I% curl -sS --max-time 60 -f -o /dev/null \
		"${url}metrics"
}

@test "many clients do not multiply the work of swapd" {
	start_swapd --ram 4M
	start_counter
	start_exporter -p c --cache 60
	scrape_often 200
	ask_http stats.json >/dev/null
	run cat "$SWK_TMP/counted"
	assert_output "1 1"
	stop_exporter
	# Without a cache each waits for a picture begun after it came, and
	# still there is one question at a time.
	start_exporter -p c --cache 0
	scrape_often 200
	read -r total most <"$SWK_TMP/counted"
	[ "$total" -gt 1 ] && [ "$total" -le 201 ] && [ "$most" -eq 1 ] ||
		fail "$total questions, $most at a time"
	stop_exporter
	stop_swapd
}

# ------------------------------------------------------------- bad clients

# Start a bad client of a kind, and wait until it is at work.
start_hostile()	# KIND
{
	local address=${url#http://}

	address=${address%/}
	mkfifo "$SWK_TMP/$1.in"
	"$SWAPKIT_SRC/tests/lib/hostile" "$1" "${address%:*}" "${address##*:}" \
		<"$SWK_TMP/$1.in" >"$SWK_TMP/$1.out" 2>&1 3>&- &
	hostile_pid=$!
	register_pid $!
	exec {hostile_fd}>"$SWK_TMP/$1.in"
	wait_until 30 grep -q ready "$SWK_TMP/$1.out"
}

end_hostile()
{
	exec {hostile_fd}>&-
	wait_until 60 process_ended "$hostile_pid"
	wait "$hostile_pid" || fail "the bad client: $(cat "$SWK_TMP"/*.out)"
}

# A good client gets each answer while a bad one of this kind is at work.
survives()	# KIND [SWAPD ARGS...]
{
	start_swapd --ram 4M --on "$(make_swapfile 16M)" "${@:2}"
	start_exporter -p t -p kernel
	start_hostile "$1"
	for _ in {1..30}; do
		# Only a flood may use up what the kernel keeps for newcomers.
		ask_http metrics --retry 3 >"$SWK_TMP/scrape"
		run sample 'swapkit_up{pager="t"}' "$SWK_TMP/scrape"
		assert_output 1
		run ask_http healthz --retry 3
		assert_output ok
	done
	run bash -c "ls /proc/$exporter_pid/fd | wc -l"
	[ "$output" -le 700 ] || fail "$output descriptors"
	end_hostile
	# Nothing is left of it, and the log is not full of it.
	run up_is t 1
	assert_success
	run wc -l <"$exporter_log"
	assert_output 1
	stop_exporter
	stop_swapd
}

@test "slow loris: headers a byte at a time" { survives loris; }
@test "connections that say nothing" { survives idle; }
@test "answers that nobody reads" {
	local devices=()

	# Answers that do not fit what the kernel buffers.
	for _ in {1..20}; do
		devices+=(--on "$(make_swapfile 1M)")
	done
	survives readers "${devices[@]}"
	[ "$(wc -c <"$SWK_TMP/scrape")" -gt 200000 ]
}

@test "garbage" { survives garbage; }
@test "headers of a megabyte" { survives headers; }
@test "a first line without an end" { survives lines; }
@test "bodies of a terabyte" { survives bodies; }
@test "connections by the thousand" { survives flood; }

@test "a connection without traffic is closed" {
	start_exporter -p nobody
	for text in '' 'GET /metrics HTTP/1.1'; do
		run python3 -c '
import socket, sys
address = sys.argv[1].rsplit(":", 1)
s = socket.create_connection((address[0], int(address[1])), 100)
s.sendall(sys.argv[2].encode())
while s.recv(4096):
	pass' "$(sed 's|http://||; s|/||' <<<"$url")" "$text"
		assert_success
	done
	stop_exporter
}

@test "too large a request is refused, not read" {
	start_exporter -p nobody
	run status_of metrics -H "X: $(printf '%030000d' 0)"
	assert_output --regexp '^4[0-9][0-9]$'
	run status_of "$(printf '%030000d' 0)"
	assert_output --regexp '^4[0-9][0-9]$'
	stop_exporter
}

# ----------------------------------------------------------- who it runs as

@test "root becomes the user that is named, for good" {
	require_root
	chmod 755 "$SWAPD_RUNTIME_DIR"
	start_swapd --ram 4M
	start_exporter -p t -p kernel --user nobody
	uid=$(id -u nobody) gid=$(id -g nobody)
	run awk '/^Uid:/ { print $2, $3, $4, $5 }' "/proc/$exporter_pid/status"
	assert_output "$uid $uid $uid $uid"
	run awk '/^Gid:/ { print $2, $3, $4, $5 }' "/proc/$exporter_pid/status"
	assert_output "$gid $gid $gid $gid"
	run awk '/^Cap(Inh|Prm|Eff|Amb):/ { print $2 }' \
		"/proc/$exporter_pid/status"
	assert_output "$(printf '0000000000000000\n%.0s' 1 2 3 4)"
	run awk '/^NoNewPrivs:/ { print $2 }' "/proc/$exporter_pid/status"
	assert_output 1
	up_is t 1
	up_is kernel 1
	stop_exporter
	stop_swapd
}

@test "a user without privilege serves all but the objects of others" {
	require_root
	require_uffd
	chmod 755 "$SWAPD_RUNTIME_DIR"
	start_swapd --ram 4M --on "$(make_swapfile 16M)"
	mkfifo "$SWK_TMP/in"
	"$SWAPKIT_BUILD/tests/tools/holder" t 8M secret <"$SWK_TMP/in" \
		>"$SWK_TMP/out" 3>&- &
	register_pid $!
	exec {fd}>"$SWK_TMP/in"
	wait_until 20 grep -q ready "$SWK_TMP/out"
	start_exporter -p t --objects --user nobody
	run ask_http metrics
	assert_output --partial 'swapkit_ram_budget_bytes{pager="t"} 4194304'
	assert_output --partial 'swapkit_device_used_bytes{'
	refute_output --partial secret
	stop_exporter
	exec {fd}>&-
	stop_swapd
}

@test "a service manager hears that it is ready" {
	NOTIFY_SOCKET=$SWK_TMP/notify
	export NOTIFY_SOCKET
	socat -u "UNIX-RECV:$NOTIFY_SOCKET" "CREATE:$SWK_TMP/told" 3>&- &
	register_pid $!
	wait_until 20 test -S "$NOTIFY_SOCKET"
	start_exporter -p nobody
	wait_until 20 grep -q READY=1 "$SWK_TMP/told"
	stop_exporter
	wait_until 20 grep -q STOPPING=1 "$SWK_TMP/told"
}

@test "systemd takes the unit" {
	unit=$SWAPKIT_BUILD/cmd/swap_exporter.service
	[ -e "$unit" ] || skip "systemd is not known here"
	command -v systemd-analyze >/dev/null || skip "needs systemd-analyze"
	# It looks whether the program is there.
	sed "s|^ExecStart=[^ ]*|ExecStart=$SWAPKIT_BUILD/cmd/swap_exporter|;
		/^Documentation=/d" "$unit" >"$SWK_TMP/swap_exporter.service"
	run systemd-analyze verify "$SWK_TMP/swap_exporter.service"
	assert_success
	refute_output
	run systemd-analyze security --offline=true --threshold=20 \
		"$SWK_TMP/swap_exporter.service"
	assert_success
}

# ---------------------------------------------------------------- bad input

@test "an address in use is told, with status 1" {
	start_exporter -p nobody
	taken=${url#http://} taken=${taken%/}
	run swap_exporter -p nobody --listen "$taken"
	[ "$status" -eq 1 ]
	assert_output "swap_exporter: cannot listen at $taken: Address already in use; another program listens there, so end it or choose another port with --listen"
	stop_exporter
}

@test "an address that this machine does not have is told, with status 1" {
	run swap_exporter -p nobody --listen 192.0.2.1:0
	[ "$status" -eq 1 ]
	assert_output --partial "cannot listen at 192.0.2.1:0: Cannot assign requested address; this machine does not have that address"
	run swap_exporter -p nobody --listen 999.1.1.1:0
	[ "$status" -eq 1 ]
	assert_output --partial "there is no such address"
}

# Misuse: status 2, one sentence that says this, and where help is.
misuse()	# SENTENCE ARGS...
{
	run swap_exporter "${@:2}"
	[ "$status" -eq 2 ] || fail "status $status: $output"
	assert_line --index 0 --partial "$1"
	assert_line --index 1 "Try 'swap_exporter --help'."
	[ "${#lines[@]}" -eq 2 ] || fail "$output"
}

@test "what is wrong on the command line is told, with status 2" {
	misuse "'' is no address" --listen ''
	misuse "'9877' is a port without an address" --listen 9877
	misuse "'127.0.0.1:' has no port" --listen 127.0.0.1:
	misuse "'127.0.0.1:x' has no port" --listen 127.0.0.1:x
	misuse "'127.0.0.1:65536' has no port" --listen 127.0.0.1:65536
	misuse "'127.0.0.1:-1' has no port" --listen 127.0.0.1:-1
	misuse "'::1' has more than one colon" --listen ::1
	misuse "'[::1:80' has no closing bracket" --listen '[::1:80'
	misuse "'[::1]80' goes on behind its bracket" --listen '[::1]80'
	misuse "'[]:80' has an empty address" --listen '[]:80'
	misuse "-p t: is given twice" -p t -p t
	misuse "is not the name of a pager" -p ''
	misuse "does not begin with a dot" -p .t
	misuse "no blanks or control characters" -p 'a b'
	misuse "is not UTF-8" -p $'\xff'
	misuse "is longer than 63 bytes" -p "$(printf '%064d' 0)"
	misuse "a Unix socket can have 107" -p "/$(printf '%0200d' 0)"
	misuse "--cache x: is not a number of seconds within 0..60" --cache x
	misuse "--cache 61" --cache 61
	misuse "--cache nan" --cache nan
	misuse "--timeout 0.5: is not a number of seconds within 1..60" \
		--timeout 0.5
	misuse "argument t: is not expected (a pager is given with -p)" t
	misuse "unrecognized option '--nonsense'" --nonsense
	misuse "requires an argument" -p
	# shellcheck disable=SC2046
	misuse "more than 64 pagers" $(printf -- '-p n%d ' {1..65})
}

@test "only root becomes another user" {
	run swap_exporter -p nobody --listen :0 --user no-such-user
	[ "$status" -eq 1 ]
	assert_output --partial "--user no-such-user: there is no such user"
	require_root
	run setpriv --reuid nobody --regid nogroup --clear-groups \
		"$(command -v swap_exporter)" -p nobody --listen :0 --user root
	[ "$status" -eq 1 ]
	assert_output --partial "cannot become that user: Operation not permitted; only root can"
}

@test "help and version" {
	run swap_exporter --help
	assert_success
	assert_output --partial "usage: swap_exporter [-p PAGER]..."
	run swap_exporter --version
	assert_success
	assert_output --regexp '^swap_exporter [0-9.]+$'
}

@test "two sockets of one name are told apart" {
	mkdir "$SWK_TMP/a" "$SWK_TMP/b"
	start_exporter -p "$SWK_TMP/a/x.sock" -p "$SWK_TMP/b/x.sock" \
		-p "$SWK_TMP/a/y.sock"
	run ask_http metrics
	assert_line "swapkit_up{pager=\"$SWK_TMP/a/x.sock\"} 0"
	assert_line "swapkit_up{pager=\"$SWK_TMP/b/x.sock\"} 0"
	assert_line 'swapkit_up{pager="y"} 0'
	stop_exporter
}
