#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# Bad input: each is refused with the right status and a sentence that names
# the thing and the remedy, and afterwards everything is as it was.

bats_require_minimum_version 1.5.0
load lib/helpers

setup()
{
	swk_setup
	cd "$SWK_TMP"
}

teardown()
{
	# The kernel's swap is not known to the sweep.
	[ -z "${KERNEL_SWAP:-}" ] || swapoff "$KERNEL_SWAP" 2>/dev/null || true
	[ -z "${HUGE_DIR:-}" ] || rm -rf "$HUGE_DIR"
	swk_teardown
}

# What the pager is, without what changes by itself; nothing without a swapd.
picture()
{
	swapctl -p t status --json 2>/dev/null | grep -v '"uptime_usec"' || true
}

# Run a command that must fail with STATUS, say each WORD on standard error
# and nothing on standard output, and change nothing.
refuse()	# STATUS WORD... -- COMMAND...
{
	local status_wanted=$1 words=() before after word

	shift
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	before=$(picture)
	run --separate-stderr "$@"
	echo "$*: exit status $status, says: $stderr"
	[ "$status" -eq "$status_wanted" ]
	assert_equal "$output" ""
	for word in "${words[@]}"; do
		[[ $stderr == *"$word"* ]] || fail "does not say: $word"
	done
	# One sentence; where the command line is wrong, also where to read.
	[ "$(wc -l <<<"$stderr")" -le $((status_wanted == 2 ? 5 : 1)) ] ||
		fail "says too much"
	after=$(picture)
	assert_equal "$after" "$before"
}

# Nobody in particular.
unprivileged()	# COMMAND...
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

require_setpriv()
{
	require_root
	command -v setpriv >/dev/null || skip "needs setpriv"
}

# Print the path of a new loop device over a file.
loop_over()	# FILE
{
	local loop

	loop=$(losetup -f --show "$1" || losetup -f --show "$1") || return
	echo "$loop" >>"$SWK_TMP/loops"
	echo "$loop"
}

# A loop device with an ext4 filesystem, of which the first 8 KiB do not tell.
make_ext4()	# LABEL
{
	local loop

	loop=$(make_loop 16M)
	mkfs.ext4 -q -L "$1" "$loop" 2>/dev/null || return
	echo "$loop"
}

# ------------------------------------------------------- what is attached

@test "on: a device that is not there" {
	start_swapd --ram 4M
	refuse 1 "$SWK_TMP/nothere: no such" "--create" -- \
		swapctl -p t on nothere
	refuse 1 "/dev/nothere: no such" -- swapctl -p t on /dev/nothere
	refuse 1 "LABEL=nothere" "no device" "blkid" -- \
		swapctl -p t on LABEL=nothere
	refuse 1 "UUID=" "no device" -- swapctl -p t on UUID=
	refuse 2 "name of a device is empty" -- swapctl -p t on ""
	# swapd says the same, and does not start.
	refuse 1 "$SWK_TMP/nothere: no such" -- \
		swapd --foreground --name u --on nothere
	[ ! -e "$SWAPD_RUNTIME_DIR/u.sock" ]
	stop_swapd
}

@test "on: a directory" {
	start_swapd --ram 4M
	mkdir dir
	refuse 1 "$SWK_TMP/dir: is a directory" "regular file or a block" -- \
		swapctl -p t on dir
	stop_swapd
}

@test "on: a character device, a socket, a fifo" {
	start_swapd --ram 4M
	mkfifo fifo
	refuse 1 "/dev/null: is a character device" "regular file" -- \
		swapctl -p t on /dev/null
	refuse 1 "fifo: is a fifo" "regular file" -- swapctl -p t on fifo
	refuse 1 "t.sock: is a socket" "regular file" -- \
		swapctl -p t on "$SWAPD_RUNTIME_DIR/t.sock"
	stop_swapd
}

@test "on: an empty file" {
	start_swapd --ram 4M
	install -m 600 /dev/null empty
	refuse 1 "$SWK_TMP/empty: is empty" "--create" -- \
		swapctl -p t on empty
	refuse 1 "empty: is empty" -- swapctl -p t on --force empty
	stop_swapd
}

@test "on: a loop device without a file" {
	require_loop
	start_swapd --ram 4M
	loop=$(make_loop 8M)
	losetup -d "$loop"
	# Another test may have taken it since.
	[ "$(blockdev --getsize64 "$loop")" -eq 0 ] || skip "$loop is taken"
	refuse 1 "$loop: is empty" "losetup" -- swapctl -p t on "$loop"
	stop_swapd
}

@test "on: a file with holes" {
	start_swapd --ram 4M
	install -m 600 /dev/null file
	truncate -s 8M file
	refuse 1 "$SWK_TMP/file: has holes (one at byte 0)" "--create 8M" -- \
		swapctl -p t on file
	# One in the middle is told where it is, and cannot be forced.
	fallocate -l 8M file
	fallocate -p -o 4M -l 64K file || skip "cannot make holes here"
	refuse 1 "one at byte 4194304" "fallocate -l 8M" -- \
		swapctl -p t on file
	refuse 1 "has holes" -- swapctl -p t on --force file
	# The remedy that is named is one.
	fallocate -l 8M file
	swapctl -p t on file
	stop_swapd
}

@test "on: a file of one page" {
	start_swapd --ram 4M
	page=$(getconf PAGESIZE)
	file=$(make_swapfile "$page")
	refuse 1 "$file: is too small ($page bytes)" "at least" -- \
		swapctl -p t on "$file"
	# Room for the label alone is not enough, one page more is.
	file=$(make_swapfile $((page > 8192 ? page : 8192)))
	refuse 1 "$file: is too small" -- swapctl -p t on "$file"
	file=$(make_swapfile $((page + (page > 8192 ? page : 8192))))
	swapctl -p t on "$file"
	stop_swapd
}

@test "on: a file that others may read" {
	start_swapd --ram 4M
	file=$(make_swapfile 8M)
	for mode in 0644 0660 0601 0700; do
		chmod "$mode" "$file"
		refuse 1 "$file: has mode $mode" "chmod 0600 $file" -- \
			swapctl -p t on --force "$file"
	done
	chmod 0644 "$file"
	refuse 1 "$file: has mode 0644" "chmod 0600 $file" -- \
		swapctl -p t on "$file"
	chmod 0600 "$file"
	swapctl -p t on "$file"
	stop_swapd
}

@test "on: a file that belongs to another user" {
	require_root
	start_swapd --ram 4M
	file=$(make_swapfile 8M)
	chown 65534 "$file"
	refuse 1 "$file: belongs to uid 65534" "chown 0 $file" -- \
		swapctl -p t on "$file"
	refuse 1 "belongs to uid 65534" -- swapctl -p t on --force "$file"
	chown 0 "$file"
	swapctl -p t on "$file"
	stop_swapd
}

@test "on: a device with a filesystem, until it is forced" {
	require_loop
	start_swapd --ram 4M
	loop=$(make_ext4 precious) || skip "needs mkfs.ext4"
	sum=$(sha256sum <"$loop")
	refuse 1 "$loop: carries an ext4 filesystem labelled precious" \
		"wipefs" "--force" -- swapctl -p t on "$loop"
	refuse 1 "precious" "--force-device" -- \
		run_swapd_once --on "$loop"
	assert_equal "$(sha256sum <"$loop")" "$sum"
	run swapctl -p t on --force "$loop"
	assert_success
	assert_output "$loop is on"
	# Attaching alone has written nothing.
	assert_equal "$(sha256sum <"$loop")" "$sum"
	stop_swapd
}

# A swapd that will not start, with its two sentences in one.
run_swapd_once()
{
	local out status=0

	out=$(swapd --foreground --name u "$@" 2>&1) || status=$?
	echo "${out//$'\n'/ }" >&2
	return "$status"
}

@test "on: a device with a partition table" {
	require_loop
	command -v sfdisk >/dev/null || skip "needs sfdisk"
	start_swapd --ram 4M
	loop=$(make_loop 16M)
	echo "label: gpt" | sfdisk -q "$loop"
	refuse 1 "$loop: carries a GPT partition table" "wipefs" "--force" -- \
		swapctl -p t on "$loop"
	stop_swapd
}

@test "on: a device that is mounted, even with --force" {
	require_loop
	start_swapd --ram 4M
	loop=$(make_ext4 mounted) || skip "needs mkfs.ext4"
	mkdir mnt
	echo "$SWK_TMP/mnt" >>"$SWK_TMP/mounts"
	mount "$loop" mnt || skip "mounting is not allowed here"
	echo precious >mnt/file
	refuse 1 "$loop: is mounted" "umount" -- swapctl -p t on "$loop"
	refuse 1 "$loop: is mounted" "umount" -- swapctl -p t on --force "$loop"
	run cat mnt/file
	assert_output precious
	umount mnt
	swapctl -p t on --force "$loop"
	# Now it is the mount that is refused.
	run mount "$loop" mnt
	assert_failure
	stop_swapd
}

@test "on: what the kernel swaps to" {
	require_loop
	start_swapd --ram 4M
	file=$(make_swapfile 8M)
	mkswap "$file" >/dev/null
	KERNEL_SWAP=$file
	swapon "$file" 2>/dev/null || skip "swapon is not allowed here"
	refuse 1 "$file: the kernel swaps to it" "swapoff $file" -- \
		swapctl -p t on "$file"
	swapoff "$file"
	loop=$(loop_over "$file")
	KERNEL_SWAP=$loop
	swapon "$loop"
	refuse 1 "$loop" "in use" "swapoff" -- swapctl -p t on --force "$loop"
	swapoff "$loop"
	swapctl -p t on "$loop"
	stop_swapd
}

@test "on: a file that is on already, by any path" {
	file=$(make_swapfile 8M)
	start_swapd --ram 4M --priority 7 --on "$file"
	ln -s "$file" link
	ln "$file" hard
	mkdir dir
	for path in "$file" link hard "dir/../${file##*/}" "./${file##*/}"; do
		refuse 1 "attached already" "swapctl status" -- \
			swapctl -p t on "$path"
		refuse 1 "attached already" -- \
			swapctl -p t on --force --priority 9 "$path"
	done
	stop_swapd
}

@test "on: a block device that is on already, by any path" {
	require_loop
	loop=$(make_loop 8M)
	start_swapd --ram 4M --on "$loop"
	ln -s "$loop" link
	refuse 1 "$loop: is" "attached already" "swapctl off" -- \
		swapctl -p t on "$loop"
	refuse 1 "$SWK_TMP/link: is" "attached already" "swapctl off" -- \
		swapctl -p t on --force link
	mknod node b $((0x$(stat -c %t "$loop"))) $((0x$(stat -c %T "$loop"))) ||
		skip "mknod is not allowed here"
	refuse 1 "attached already" -- swapctl -p t on node
	stop_swapd
}

@test "on: a second loop device on the same file" {
	require_loop
	file=$(make_swapfile 8M)
	one=$(loop_over "$file") two=$(loop_over "$file")
	start_swapd --ram 4M --on "$one"
	refuse 1 "$two: is in use as swap already, as $one" "swapctl status" \
		-- swapctl -p t on "$two"
	refuse 1 "as $one" -- swapctl -p t on --force "$two"
	stop_swapd
}

@test "on: the file under a loop device, and a loop device over a file" {
	require_loop
	file=$(make_swapfile 8M)
	loop=$(loop_over "$file")
	start_swapd --ram 4M --on "$loop"
	refuse 1 "$file: is in use under $loop" "losetup -d $loop" -- \
		swapctl -p t on "$file"
	swapctl -p t off "$loop"
	# Also when nothing is attached: somebody uses it.
	refuse 1 "$file: is in use under $loop" -- swapctl -p t on "$file"
	losetup -d "$loop"
	swapctl -p t on "$file"
	loop=$(loop_over "$file")
	refuse 1 "$loop: is in use as swap already, as $file" -- \
		swapctl -p t on "$loop"
	stop_swapd
}

@test "on: what another swapd has" {
	file=$(make_swapfile 8M)
	start_swapd --ram 4M --on "$file"
	run_swapd_once --on "$file" 2>err || status=$?
	assert_equal "${status:-0}" 1
	run cat err
	assert_output --partial "$file: is attached already"
	refuse 1 "$file" "attached already" -- swapctl -p t on "$file"
	stop_swapd
}

# ------------------------------------------------------------ their sizes

# Make $huge, a file of so many 2^30 pages, which takes no space: on a tmpfs of
# its own, or where only root may mount, on the one that is there.
make_huge()	# UNITS
{
	page=$(getconf PAGESIZE)
	huge=$SWK_TMP/huge/file
	mkdir huge
	if mount -t tmpfs swk huge 2>/dev/null; then
		echo "$SWK_TMP/huge" >>"$SWK_TMP/mounts"
	else
		HUGE_DIR=$(mktemp -d /dev/shm/swk.XXXXXX) ||
			skip "there is no tmpfs"
		huge=$HUGE_DIR/file
	fi
	install -m 600 /dev/null "$huge"
	truncate -s $(($1 * (1 << 30) * page)) "$huge" ||
		skip "no file here can be that large"
}

@test "on: a file larger than the address space" {
	start_swapd --ram 4M
	make_huge 1280
	refuse 1 "$huge: is too large (5.0 PiB)" "at most 4.0 PiB" \
		"use a smaller one" -- swapctl -p t on "$huge"
	refuse 1 "$huge: is too large" -- swapctl -p t on --force "$huge"
	truncate -s $(((1 << 40) * page + page)) "$huge"
	refuse 1 "$huge: is too large" -- swapctl -p t on "$huge"
	rm "$huge"
	# Nothing is made of that size either.
	refuse 1 "$SWK_TMP/new: is too large (4.9 PiB)" -- \
		swapctl -p t on --create 5000T new
	[ ! -e new ]
	stop_swapd
}

@test "on: a device larger than the address space" {
	require_loop
	start_swapd --ram 4M
	make_huge 1280
	loop=$(loop_over "$huge") || skip "no loop device is that large"
	refuse 1 "$loop: is too large (5.0 PiB)" "at most 4.0 PiB" \
		"partition" -- swapctl -p t on --force "$loop"
	truncate -s $(((1 << 40) * page + page)) "$huge"
	losetup -c "$loop"
	refuse 1 "$loop: is too large" -- swapctl -p t on "$loop"
	# One page less is the limit, and it is allowed.
	truncate -s $(((1 << 40) * page)) "$huge"
	losetup -c "$loop"
	run swapctl -p t on "$loop"
	assert_success
	run swapctl -p t list --bytes
	assert_line --regexp "^$loop +$(((1 << 40) * page - 8192)) +0 "
	swapctl -p t off "$loop"
	stop_swapd
}

@test "on --create: what is there already is left alone" {
	start_swapd --ram 4M
	file=$(make_swapfile 1M)
	echo precious >"$file"
	refuse 1 "$file: exists already" "leave out --create" -- \
		swapctl -p t on --create 8M "$file"
	run cat "$file"
	assert_output precious
	# Not even through a link that points nowhere.
	ln -s target link
	refuse 1 "$SWK_TMP/link: exists already" -- \
		swapctl -p t on --create 8M link
	[ ! -e target ]
	mkdir dir
	refuse 1 "$SWK_TMP/dir: exists already" -- \
		swapctl -p t on --create 8M dir
	stop_swapd
}

@test "on --create: where nothing can be made, nothing is left behind" {
	start_swapd --ram 4M
	refuse 1 "$SWK_TMP/no/file: its directory does not exist" "make that" \
		-- swapctl -p t on --create 8M no/file
	refuse 1 "$SWK_TMP/file: no room for 100.0 TiB" "smaller size" -- \
		swapctl -p t on --create 100T file
	[ ! -e file ]
	refuse 1 "$SWK_TMP/file: is too small" -- \
		swapctl -p t on --create 4K file
	[ ! -e file ]
	refuse 1 "LABEL=x: only a file can be created" "give a path" -- \
		swapctl -p t on --create 8M LABEL=x
	# A file that was made for a device that is refused would be junk.
	if [ "$(id -u)" -eq 0 ] && mkdir ram && mount -t tmpfs swk ram; then
		echo "$SWK_TMP/ram" >>"$SWK_TMP/mounts"
		refuse 1 "$SWK_TMP/ram/file: is on tmpfs" "disk filesystem" -- \
			swapctl -p t on --create 8M ram/file
		[ ! -e ram/file ]
	fi
	stop_swapd
}

@test "on: a bad device among good ones keeps none of them off" {
	a=$(make_swapfile 8M) b=$(make_swapfile 8M)
	start_swapd --ram 4M
	run --separate-stderr swapctl -p t on "$a" nothere "$b"
	assert_failure 1
	assert_output "$a is on"$'\n'"$b is on"
	[[ $stderr == "swapctl: $SWK_TMP/nothere: no such file"* ]]
	stop_swapd
}

# -------------------------------------------------------------------- off

@test "off: what is not on" {
	start_swapd --ram 4M --on "$(make_swapfile 8M)"
	file=$(make_swapfile 8M)
	for path in "$file" /nothere /dev/null "$SWK_TMP" LABEL=nothere; do
		refuse 1 "$path: is not in use as swap here" "swapctl status" \
			-- swapctl -p t off "$path"
	done
	refuse 2 "name of a device is empty" -- swapctl -p t off ""
	stop_swapd
}

# The devices, without what paging changes.
devices()
{
	swapctl -p t status --json | python3 -c '
import json, sys
for d in json.load(sys.stdin)["devices"]:
	print(*(d[k] for k in ("path", "priority", "size_bytes", "closing",
			       "degraded", "gone")))'
}

@test "off: when it cannot fit, nothing is moved and nothing is lost" {
	require_uffd
	file=$(make_swapfile 32M)
	start_swapd --ram 4M --on "$file"
	mkfifo in
	"$SWAPKIT_BUILD/tests/tools/holder" t 16M <in >out 3>&- &
	pid=$!
	register_pid "$pid"
	exec {fd}>in
	echo "fill 1" >&"$fd"
	wait_until 30 grep -q ok out
	before=$(devices)
	assert_equal "$before" "$file 0 $((32 * 1048576 - 8192)) False False False"
	run --separate-stderr swapctl -p t off "$file"
	assert_failure 1
	assert_output ""
	[[ $stderr == "swapctl: $file: holds 1"*" MiB, and only "*" fit in free RAM and the other devices; attach another device"* ]]
	assert_equal "$(devices)" "$before"
	run swapctl -p t status --json
	assert_output --partial '"pageback_pages": 0,'
	echo "check 1" >&"$fd"
	echo "fill 2" >&"$fd"
	echo "check 2" >&"$fd"
	wait_until 30 grep -qz "ok.ok.ok.ok" out
	# It does what the sentence says.
	swapctl -p t on --create 32M more
	run swapctl -p t off "$file"
	assert_success
	echo "check 2" >&"$fd"
	echo quit >&"$fd"
	wait "$pid"
	run cat out
	assert_output $'ready\nok\nok\nok\nok\nok'
	stop_swapd
}

# ----------------------------------------------------------- who and where

@test "on and off without privilege" {
	require_setpriv
	file=$(make_swapfile 8M)
	start_swapd --ram 4M --on "$file"
	chmod 755 "$SWAPD_RUNTIME_DIR"
	sock=$SWAPD_RUNTIME_DIR/t.sock
	chown 65534 "$(make_swapfile 8M)"
	refuse 1 "attaching a device: only root may" "try again as root" \
		"uid 65534" -- unprivileged swapctl -p "$sock" on "$SWK_TMP/x"
	refuse 1 "attaching a device: only root may" -- unprivileged \
		swapctl -p "$sock" on --create 1M "$SWK_TMP/x"
	[ ! -e x ]
	refuse 1 "detaching a device: only root may" "try again as root" -- \
		unprivileged swapctl -p "$sock" off "$file"
	refuse 1 "stopping the pager: only root may" -- unprivileged \
		swapd --name "$sock" --stop
	# To look is allowed.
	run unprivileged swapctl -p "$sock" list
	assert_success
	assert_line --partial "$file"
	stop_swapd
}

@test "on: what the swapd itself may not open" {
	require_setpriv
	mkdir -m 700 own
	chown 65534 own
	SWAPD_RUNTIME_DIR=$SWK_TMP/own
	setpriv --reuid 65534 --regid 65534 --clear-groups swapd --foreground \
		--name t --ram 1M >>"$SWAPD_LOG" 2>&1 3>&- &
	SWAPD_PID=$!
	register_pid "$SWAPD_PID"
	wait_until 20 swapd_answers_or_ended
	file=$(make_swapfile 8M)
	refuse 1 "$file: cannot be opened for reading and writing" \
		"Permission denied" -- swapctl -p t on "$file"
	refuse 1 "$SWK_TMP/new" "Permission denied" -- \
		swapctl -p t on --create 8M new
	chown 65534 "$file"
	swapctl -p t on "$file"
	stop_swapd
}

# What does not answer is told by each program in its way.
unreachable()	# WORD... -- OPTION...
{
	local words=()

	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	for command in "on $SWK_TMP/x" "off $SWK_TMP/x" "off -a" status \
		objects list -l -s -U; do
		# shellcheck disable=SC2086
		refuse 1 "swapctl: " "${words[@]}" -- swapctl "$@" $command
	done
	refuse 1 "swaptop: " "${words[@]}" -- swaptop "$@" --once
	refuse 1 "swaptop: " "${words[@]}" -- swaptop "$@" -b -n 2
	[ ! -x "$SWAPKIT_BUILD/cmd/swaprun" ] ||
		run_swaprun 126 "${words[@]}" -- "$@" true
}

# Its way out is a second line.
run_swaprun()	# STATUS WORD... -- ARGS...
{
	local status_wanted=$1 words=() word

	shift
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	run --separate-stderr "-$status_wanted" swaprun "$@"
	echo "swaprun $*: says: $stderr"
	assert_equal "$output" ""
	for word in "swaprun: " "${words[@]}"; do
		[[ $stderr == *"$word"* ]] || fail "does not say: $word"
	done
}

@test "no swapd is running" {
	unreachable "no swapd is listening at $SWAPD_RUNTIME_DIR/u.sock" \
		"start one" "swapd --on" "-p" -- -p u
	refuse 1 "no swapd has the name 'u'" "list --pagers" -- \
		swapd --name u --stop
	# With no name either.
	run -0 swapctl status
	assert_output --partial "No swapd is running that this user can reach"
	# Another one is running: it is named.
	start_swapd --ram 4M
	refuse 1 "no swapd is listening at $SWAPD_RUNTIME_DIR/u.sock" \
		"these are running: t" -- swapctl -p u list
	stop_swapd
}

@test "a socket that a killed swapd has left behind" {
	start_swapd --ram 4M
	kill -9 "$SWAPD_PID"
	wait_until 5 process_ended "$SWAPD_PID"
	[ -S "$SWAPD_RUNTIME_DIR/t.sock" ]
	unreachable "no swapd is listening at $SWAPD_RUNTIME_DIR/t.sock" -- -p t
	run -0 swapctl status
	assert_output --partial "No swapd is running that this user can reach"
	# A plain file is not one either.
	echo x >"$SWAPD_RUNTIME_DIR/u.sock"
	unreachable "no swapd is listening at $SWAPD_RUNTIME_DIR/u.sock" -- -p u
}

# A server that is not a swapd of our version, at $SWAPD_RUNTIME_DIR/fake.sock.
start_fake()	# ANSWER
{
	rm -f "$SWAPD_RUNTIME_DIR/fake.sock"
	python3 - "$SWAPD_RUNTIME_DIR/fake.sock" "$1" 3>&- <<'PYTHON' &
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(8)
while True:
	peer, _ = server.accept()
	try:
		got = b""
		while not got.endswith(b"\0"):
			more = peer.recv(4096)
			if not more:
				break
			got += more
		if b"Hello" in got and sys.argv[2]:
			peer.sendall(sys.argv[2].encode() + b"\0")
	except ConnectionError:
		pass
	peer.close()
PYTHON
	fake_pid=$!
	register_pid "$fake_pid"
	wait_until 10 fake_answers
}

fake_answers()
{
	# Connecting is enough.
	python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX).connect(sys.argv[1])' \
		"$SWAPD_RUNTIME_DIR/fake.sock"
}

end_fake()
{
	kill "$fake_pid"
	wait "$fake_pid" || true
}

@test "a swapd of another version" {
	sock=$SWAPD_RUNTIME_DIR/fake.sock
	# It answers, with another number.
	start_fake '{"parameters":{"protocol":999,"version":"9","pid":1,"page_bytes":4096,"ram_bytes":0,"swap_bytes":0}}'
	unreachable "$sock" "protocol version 1" "same version" -- -p fake
	refuse 1 "$sock" "protocol version 1" "same version" -- \
		swapd --name fake --stop
	run -1 --separate-stderr swapctl status
	[[ $stderr == *"$sock"*"protocol version 1"* ]]
	end_fake
	# It refuses, as ours does.
	start_fake '{"error":"org.swapkit.Pager.Failed","parameters":{"errno":-71,"message":"this swapd (9.9) speaks protocol version 999, the caller version 1; install the same version of both"}}'
	unreachable "swapd (9.9)" "version 999" "same version" -- -p fake
	end_fake
}

@test "something that is no swapd at all" {
	for answer in '{"parameters":{}}' '{"parameters":{"protocol":"1"}}' \
		'SSH-2.0-OpenSSH_9.2' '{' ''; do
		start_fake "$answer"
		refuse 1 "$SWAPD_RUNTIME_DIR/fake.sock" -- \
			swapctl -p fake list
		refuse 1 "$SWAPD_RUNTIME_DIR/fake.sock" -- \
			swaptop -p fake --once
		end_fake
	done
}

@test "a client of another version" {
	start_swapd --ram 4M
	before=$(picture)
	run python3 - "$SWAPD_RUNTIME_DIR/t.sock" <<'PYTHON'
import json, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.sendall(json.dumps({"method": "org.swapkit.Pager.Hello",
			 "parameters": {"protocol": 999}}).encode() + b"\0")
got = b""
while not got.endswith(b"\0"):
	got += peer.recv(4096)
reply = json.loads(got[:-1])
print(reply["error"], reply["parameters"]["errno"])
print(reply["parameters"]["message"])
PYTHON
	assert_success
	assert_line --index 0 "org.swapkit.Pager.Failed -71"
	assert_line --index 1 --partial "version 1"
	assert_line --index 1 --partial "version 999"
	assert_line --index 1 --partial "same version"
	assert_equal "$(picture)" "$before"
	stop_swapd
}

@test "a socket path that is too long" {
	long=$(printf 'n%.0s' {1..120})
	for command in "swapctl -p /tmp/$long list" \
		"swaptop -p /tmp/$long --once" \
		"swapd --foreground --name /tmp/$long" \
		"swapd --name /tmp/$long --stop"; do
		# shellcheck disable=SC2086
		refuse 1 "the socket path '/tmp/nnnnnn" "125 bytes long" "107" \
			"shorter" -- $command
	done
	run_swaprun 126 "the socket path '/tmp/nnnnnn" "shorter" -- \
		-p "/tmp/$long" true
	# The name fits, but not behind the directory.
	long=$(printf 'n%.0s' {1..63})
	mkdir "$SWK_TMP/$long"
	SWAPD_RUNTIME_DIR=$SWK_TMP/$long
	for command in "swapctl -p $long list" "swaptop -p $long --once" \
		"swapd --foreground --name $long"; do
		# shellcheck disable=SC2086
		refuse 1 "the socket path '$SWK_TMP/" "bytes long" "107" \
			"SWAPD_RUNTIME_DIR" -- $command
	done
	# Not even the directory.
	SWAPD_RUNTIME_DIR=/tmp/$long$long
	refuse 1 "the directory '/tmp/$long$long'" "SWAPD_RUNTIME_DIR" -- \
		swapctl -p t list
	refuse 1 "the directory '/tmp/$long$long'" "SWAPD_RUNTIME_DIR" -- \
		swapd --foreground --name t
	[ ! -e "/tmp/$long$long" ]
}

@test "a pager's name that is none" {
	long=$(printf 'n%.0s' {1..64})
	for program in "swapctl list" "swaptop --once"; do
		# shellcheck disable=SC2086
		refuse 1 "pager name '$long' is longer than 63 bytes" \
			"shorter" -- $program -p "$long"
		# shellcheck disable=SC2086
		refuse 1 "pager name '.x'" "dot" -- $program -p .x
		# shellcheck disable=SC2086
		refuse 1 "no blanks" -- $program -p "a b"
	done
	refuse 1 "pager name '$long'" -- swapd --foreground --name "$long"
	refuse 1 "pager name ''" -- swapd --foreground --name ""
	refuse 2 "-p wants the name" -- swapctl -p "" list
	refuse 2 "kernel" "a swapd's pager" -- swapctl -p kernel set a=1
	refuse 1 "cannot use the directory $SWK_TMP/no" -- \
		swapd --foreground --name "$SWK_TMP/no/t"
}

# ------------------------------------------------------- the command line

@test "--ram smaller than the minimum" {
	refuse 2 "--ram 1023K" "minimum of 1.0 MiB" "swapd --help" -- \
		swapd --foreground --name t --ram 1023K
	refuse 2 "--ram 0" "minimum" -- swapd --foreground --name t --ram 0
	run_swaprun 2 "--ram '1023K'" "at least 1 MiB" -- \
		--ram 1023K --swap "$SWK_TMP/x:8M" true
	[ ! -e x ]
	run ls -A "$SWAPD_RUNTIME_DIR"
	assert_output ""
	start_swapd --ram 1M
	stop_swapd
}

# Lines of "WORD | ARGUMENTS": each is misuse, told with that word.
misuses()	# PROGRAM
{
	local program=$1 word args

	while IFS='|' read -r word args; do
		[ -n "$word" ] || continue
		word=${word%"${word##*[![:space:]]}"}
		# shellcheck disable=SC2086
		refuse 2 "$program: " "$word" -- $program $args
	done
	run ls -A "$SWAPD_RUNTIME_DIR"
	refute_output --partial default
}

@test "swapd: a bad command line" {
	misuses swapd <<-'END'
	--ram 1x: is not a size	| --ram 1x
	--ram -1: is not a size	| --ram -1
	--ram 1.5G: is not	| --ram 1.5G
	is too large		| --ram 99999999999999999999
	is too large		| --ram 99999999T
	'--ram' requires	| --ram
	--priority -1: is not	| --priority -1 --on x
	within 0..32767		| --priority 32768 --on x
	--priority 1e3: is not	| --priority 1e3 --on x
	within 1..64		| --cluster 0
	--cluster 65: is not	| --cluster 65
	neither 'wait' nor	| --full maybe
	of the form NAME=VALUE	| --set cluster
	of the form NAME=VALUE	| --set =1
	'--set' requires	| --set
	--until 0: is not	| --until 0
	--until x: is not	| --until x
	size of a file		| --create 0 --on x
	--create 1Q: is not	| --create 1Q --on x
	--create: needs an --on	| --create 1G
	--create: needs an --on	| --on x --create 1G
	needs an --on DEVICE	| --force-device
	'--on' requires		| --on
	'--bogus'		| --bogus
	'x'			| -x
	argument word: is not	| word
	goes only with --name	| --stop --ram 4M
	'--help' doesn't allow	| --help=3
	END
	refuse 2 "--on '': is not a device" "swapd --help" -- swapd --on ""
	refuse 1 "--until 4194305: there is no such process" -- \
		swapd --foreground --until 4194305
}

@test "swapctl: a bad command line" {
	start_swapd --ram 4M
	SWAPCTL_PAGER=t
	export SWAPCTL_PAGER
	misuses swapctl <<-'END'
	no command 'bogus'		| bogus
	did you mean 'off'?		| of
	did you mean 'status'?		| stauts
	did you mean 'objects'?		| object
	no command 'bogus'		| help bogus
	which device?			| on
	which device?			| off
	which device?			| -a
	which device?			| -d
	no option '--bogus'		| --bogus
	no option '-z'			| -z
	no option '--bogus'		| on --bogus x
	no option '-z'			| off -z x
	no option '-z'			| list -z
	no option '--all'		| status --all
	Try 'swapctl help objects'	| objects --bogus
	it takes no value		| on --force=1 x
	it takes no value		| status --json=1
	'--priority' wants a value	| on --priority
	'--create' wants a value	| on --create
	'-p' wants a value		| -p
	priority '-1' is not		| on --priority -1 x
	from 0 to 32767			| on --priority 32768 x
	priority '1e3' is not		| on --priority 1e3 x
	priority '0x10' is not		| on --priority 0x10 x
	'0' is not the size		| on --create 0 x
	'1Q' is not the size		| on --create 1Q x
	'-4M' is not the size		| on --create -4M x
	'1.5G' is not the size		| on --create 1.5G x
	say 512M or 4G			| on --create 99999999999999999999 x
	leave out 'x'			| off -a x
	leave out 'x'			| -U x
	which tunable			| set
	'cluster' is not of the form	| set cluster
	'cluster=' is not of the form	| set cluster=
	no option '--force'		| set --force cluster=1
	no option '-n'			| get -n cluster
	did you mean 'get'?		| gett
	did you mean 'map'?		| mapp
	'--cells' wants a value		| map --json --cells
	--cells 'x' is not a number	| map --json --cells x
	within 0..4096			| map --json --cells 4097
	within 0..4096			| map --json --cells -1
	--cells goes with --json	| map --cells 3
	it takes no value		| map --ascii=1
	do not go together		| objects --by-user --by-process
	'x' is one word too many	| objects --by-user x
	'x' is one word too many	| status x
	'x' is one word too many	| objects x
	'x' is one word too many	| list x
	'x' is one word too many	| -l x
	-l and -a do not go together	| -l -a
	-k goes with -l or -s		| -k
	does not read fstab(5)		| -A
	END
	run --separate-stderr swapctl
	assert_failure 2
	assert_equal "$output" ""
	[[ $stderr == "Usage: swapctl"* ]]
	stop_swapd
}

@test "swaptop: a bad command line" {
	misuses swaptop <<-'END'
	no option '--bogus'		| --bogus
	no option '-x'			| -x
	too many: 'word'		| word
	no value follows '-d'		| -d
	no value follows '--count'	| --count
	0.1 to 3600 seconds, not '0'	| -d 0
	0.1 to 3600 seconds, not '-1'	| -d -1
	0.1 to 3600 seconds, not '1x'	| -d 1x
	0.1 to 3600 seconds, not 'nan'	| -d nan
	0.1 to 3600 seconds, not '3601'	| -d 3601
	above zero, not '0'		| -n 0
	above zero, not 'x'		| -n x
	above zero, not '1.5'		| -n 1.5
	needs a terminal; use --once	|
	END
}

@test "swaprun: a bad command line" {
	[ -x "$SWAPKIT_BUILD/cmd/swaprun" ] || skip "swaprun is not built"
	while IFS='|' read -r word args; do
		word=${word%"${word##*[![:space:]]}"}
		# shellcheck disable=SC2086
		run_swaprun 2 "$word" -- $args
	done <<-'END'
	'--bogus'			| --bogus true
	'x'				| -x true
	'--ram'				| --ram
	--ram 'x': not a size		| --ram x --swap y:8M true
	--ram '-4M': not a size		| --ram -4M --swap y:8M true
	--ram '4K': not a size		| --ram 4K true
	--swap '0': a limit of nothing	| --swap 0 true
	give one of them		| --swap 4M --swap y:8M true
	--swap ':4M': no file is named	| --swap :4M true
	--heap '1M': not a size		| --heap 1M true
	--heap 'x': not a size		| --heap x true
	give one of them		| -p t --swap y:8M true
	END
	run --separate-stderr swaprun
	assert_failure 2
	[[ $stderr == "usage: swaprun"* ]]
	run_swaprun 127 "nosuchprogram: no such program" -- nosuchprogram
	run_swaprun 126 "/etc/passwd: not executable" -- /etc/passwd
	# What swapd refuses is told in its words, and nothing is left.
	mkdir dir
	run --separate-stderr swaprun --swap "$SWK_TMP/dir" true
	assert_failure 126
	[[ $stderr == "swapd: $SWK_TMP/dir: is a directory"*"private swapd has ended"* ]]
	[ ! -e y ]
}
