#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# The kernel's own swap, with real files, devices and programs.  Programs are
# swapped out by a memory group, to swap of the highest priority that is this
# test's own; no other swap is touched.

bats_require_minimum_version 1.5.0
load lib/helpers

setup()
{
	require_root
	swk_setup
	cd "$SWK_TMP"
	push_out=$SWAPKIT_SRC/tests/lib/push-out
	group=$$.$BATS_TEST_NUMBER
	: >swaps
}

teardown()
{
	local fd name

	[ -n "${SWK_TMP:-}" ] || return 0
	for fd in ${fds:-}; do
		exec {fd}>&- || true
	done
	for fd in ${pids:-}; do
		kill "$fd" 2>/dev/null || true
		wait "$fd" 2>/dev/null || true
	done
	while read -r name; do
		swapoff "$name" 2>/dev/null || true
	done <swaps
	[ -z "${zram:-}" ] || echo 1 >"/sys/block/$zram/reset" || true
	[ -z "${mounted:-}" ] || umount "$mounted" || true
	[ -z "${grouped:-}" ] || "$push_out" end "$group" || true
	cd /
	swk_teardown
}

k() { swapctl -p kernel "$@"; }

# Make a swap file and turn it on; its path is in $swap.
swap_on()	# SIZE [ARGS...]
{
	swap=$SWK_TMP/swap
	echo "$swap" >>swaps
	k on --create "$1" --priority 32767 "${@:2}" "$swap"
}

require_groups()
{
	local why

	why=$("$push_out" make "$group") || skip "$why"
	grouped=yes
}

# A program named $1; sets NAME_pid and NAME_at.
start()	# NAME SIZE [linear|random] [private|shared]
{
	local name=$1 fd

	mkfifo "$name.in"
	(
		"$push_out" enter "$group" || exit 1
		exec "$SWAPKIT_BUILD/tests/tools/swappee" "${@:2}"
	) <"$name.in" >"$name.out" 3>&- &
	pids="${pids:-} $!"
	register_pid $!
	exec {fd}>"$name.in"
	fds="${fds:-} $fd"
	wait_until 60 grep -q . "$name.out"
	eval "${name}_fd=$fd"
	eval "$(awk -v n="$name" 'NR == 1 {
		printf "%s_pid=%s %s_at=%s\n", n, $1, n, $2 }' "$name.out")"
}

answers() { [ "$(wc -l <"$1.out")" -gt "$2" ]; }

# Send a word and expect "ok".
tell()	# NAME WORD
{
	local fd=${1}_fd n

	n=$(wc -l <"$1.out")
	echo "$2" >&"${!fd}"
	wait_until 60 answers "$1" "$n"
	assert_equal "$(tail -n 1 "$1.out")" ok
}

push() { "$push_out" push "$group"; }

vmswap_kib() { awk '$1 == "VmSwap:" { print $2 }' "/proc/$1/status"; }

used_kib() { awk -v p="$1" '$1 == p { print $4 }' /proc/swaps; }

is_swap() { grep -q "^$1[[:space:]]" /proc/swaps; }

# Evaluate a Python expression over j, the JSON on standard input.
holds()	# EXPRESSION [ARGS...]
{
	python3 -c '
import json, sys
j = json.load(sys.stdin)
a = sys.argv[2:]
if not eval("(" + sys.argv[1] + ")"):
	print(json.dumps(j, indent=1)[:4000])
	sys.exit(sys.argv[1] + " does not hold " + repr(a))' "$@"
}

# ------------------------------------------------------------------------ on

@test "on --create makes a file that the kernel takes, and status tells it" {
	swap_on 40M --label here
	is_swap "$swap"
	assert_equal "$(stat -c '%a %u' "$swap")" "600 0"
	assert_equal "$(blkid -p -o value -s TYPE "$swap")" swap
	assert_equal "$(blkid -p -o value -s LABEL "$swap")" here
	uuid=$(blkid -p -o value -s UUID "$swap")
	assert_equal "${#uuid}" 36
	k status --json | holds 'any(d["path"] == a[0] and
		d["label"] == "here" and d["uuid"] == a[1]
		for d in j["kernel"]["devices"])' "$swap" "$uuid"
	k status --json | holds 'any(d["path"] == a[0] and
		d["priority"] == 32767 and d["type"] == "file" and
		d["size_bytes"] == 1024 * int(a[1]) for d in j["devices"])' \
		"$swap" "$(awk -v p="$swap" '$1 == p { print $3 }' /proc/swaps)"
	run -0 k status
	assert_output --partial "$swap"
	assert_output --partial "$uuid"
	k off UUID="$uuid"
	run ! is_swap "$swap"
}

@test "status without -p shows the kernel beside swapds" {
	run -0 swapctl status
	assert_output --partial "Pager kernel: Linux"
	swapctl status --json | holds 'j[-1]["provider"] == "kernel"'
}

@test "a file with holes is refused, with the reason and a remedy" {
	before=$(cat /proc/swaps)
	truncate -s 20M sparse
	chmod 600 sparse
	run -1 k explain sparse
	assert_output --partial "no space on the disk, the first at byte 0"
	assert_output --partial "fallocate"
	run -1 k on sparse
	assert_output --partial "no space on the disk"
	fallocate -l 10M sparse
	run -1 k explain sparse
	assert_output --partial "the first at byte $((10 << 20))"
	assert_equal "$(cat /proc/swaps)" "$before"
}

@test "explain names mode, owner, size, kind and what is not there" {
	fallocate -l 20M file
	chmod 644 file
	chown 65534 file
	run -1 k explain file
	assert_output --partial "its mode is 0644"
	assert_output --partial "belongs to user 65534"
	run -1 swapctl explain file
	assert_output --partial "its mode is 0644"
	fallocate -l 8K small
	chmod 600 small
	run -1 k explain small
	assert_output --partial "the least is"
	run -1 k explain .
	assert_output --partial "it is a directory"
	run -1 k explain nowhere
	assert_output --partial "No such file"
	run -1 k on nowhere
	assert_output --partial "--create SIZE"
}

@test "a file on tmpfs is refused" {
	mkdir mnt
	mount -t tmpfs -o size=32M none mnt || skip "cannot mount a tmpfs"
	dd if=/dev/zero of=mnt/swap bs=1M count=20 status=none
	chmod 600 mnt/swap
	run k on mnt/swap
	umount mnt
	assert_failure 1
	assert_output --partial "tmpfs, which is memory itself"
}

@test "a filesystem is not written over without --force" {
	require_loop
	loop=$(make_loop 40M)
	mke2fs -q -L precious "$loop"
	echo "$loop" >>swaps
	sum=$(md5sum <"$loop")
	run -1 k on "$loop"
	assert_output --partial "ext2 filesystem labelled precious"
	assert_output --partial "--force"
	assert_equal "$(md5sum <"$loop")" "$sum"
	k on --force --label mine "$loop"
	is_swap "$loop"
	assert_equal "$(blkid -p -o value -s TYPE "$loop")" swap
	k off LABEL=mine
	# mkswap's header is as good as ours, and is kept.
	mkswap -L theirs "$loop" >/dev/null
	sum=$(md5sum <"$loop")
	k on "$loop"
	k off LABEL=theirs
	assert_equal "$(md5sum <"$loop")" "$sum"
}

@test "data without a signature is not written over without --force" {
	head -c 20M /dev/urandom >file
	chmod 600 file
	sum=$(md5sum <file)
	run -1 k on file
	assert_output --partial "data of an unknown kind"
	assert_equal "$(md5sum <file)" "$sum"
}

@test "a mounted device is refused" {
	require_loop
	loop=$(make_loop 40M)
	mke2fs -q "$loop"
	mkdir mnt
	mount "$loop" mnt
	run k on --force "$loop"
	umount mnt
	assert_failure 1
	assert_output --partial "it is mounted"
}

@test "copy-on-write on btrfs is explained, and --create turns it off" {
	require_loop
	loop=$(make_loop 128M)
	mkfs.btrfs -q -f "$loop" >/dev/null || skip "cannot make a btrfs"
	mkdir mnt
	mount "$loop" mnt || skip "cannot mount btrfs"
	fallocate -l 20M mnt/cow
	chmod 600 mnt/cow
	run k explain mnt/cow
	created=$(k on --create 20M "$SWK_TMP/mnt/swap") && k off mnt/swap
	umount mnt
	assert_output --partial "writes every block of it to a new place"
	assert_equal "$created" "$SWK_TMP/mnt/swap is on; the file was made"
}

# What explain says of a file with a header, and what the kernel does, agree.
taken()		# FILE
{
	mkswap "$1" >/dev/null
	echo "$1" >>swaps
	run -0 k explain "$1"
	swapon "$1"
	swapoff "$1"
}

refused()	# FILE
{
	mkswap "$1" >/dev/null
	echo "$1" >>swaps
	run ! swapon "$1"
	run -1 k explain "$1"
}

# Make a file that is not copied on write.
plain_file()	# FILE SIZE
{
	touch "$1"
	chattr +C "$1"
	fallocate -l "$2" "$1"
	chmod 600 "$1"
}

# Two loop devices with a btrfs made by mkfs.btrfs ARGS, mounted.
mount_btrfs()	# ARGS...
{
	require_loop
	one=$(make_loop 160M)
	two=$(make_loop 160M)
	mkfs.btrfs -q -f "$@" "$one" "$two" >/dev/null ||
		skip "cannot make a btrfs"
	btrfs device scan "$one" "$two" >/dev/null 2>&1 || true
	mkdir mnt
	mount "$one" mnt || skip "cannot mount btrfs"
	mounted=$SWK_TMP/mnt
}

@test "btrfs on several devices: what lies on one is good, all else is explained" {
	mount_btrfs -d single -m raid1
	plain_file "$SWK_TMP/mnt/small" 4M
	taken "$SWK_TMP/mnt/small"
	plain_file "$SWK_TMP/mnt/large" 200M
	refused "$SWK_TMP/mnt/large"
	assert_output --partial "several devices of its btrfs"
	# A swapd goes through the filesystem.
	run -0 swapctl explain "$SWK_TMP/mnt/large"
}

@test "btrfs that keeps two copies, or compresses, is explained" {
	mount_btrfs -d raid1 -m raid1
	plain_file "$SWK_TMP/mnt/twice" 20M
	refused "$SWK_TMP/mnt/twice"
	assert_output --partial "twice, or in stripes"
	assert_output --partial "convert=single"
	btrfs filesystem balance start -f -dconvert=single "$SWK_TMP/mnt" \
		>/dev/null 2>&1 || skip "cannot convert it"
	plain_file "$SWK_TMP/mnt/once" 4M
	taken "$SWK_TMP/mnt/once"
	touch mnt/small
	chattr +c mnt/small
	yes | head -c 4M >>mnt/small
	chmod 600 mnt/small
	sync -f mnt/small
	refused "$SWK_TMP/mnt/small"
	assert_output --partial "its contents are compressed"
	assert_output --partial "bytes of it are compressed"
}

@test "of an encrypted file it is said that swap in it is not" {
	require_loop
	command -v e4crypt >/dev/null || skip "needs e4crypt"
	loop=$(make_loop 40M)
	mke2fs -q -t ext4 -O encrypt "$loop"
	mkdir mnt
	mount "$loop" mnt || skip "cannot mount it"
	mounted=$SWK_TMP/mnt
	mkdir mnt/secret
	# So that the key goes with this test.
	e4crypt new_session || skip "there are no keyrings here"
	echo secret | e4crypt add_key -S 0x0123456789abcdef mnt/secret ||
		skip "cannot encrypt here"
	fallocate -l 8M mnt/secret/swap
	chmod 600 mnt/secret/swap
	run -0 k explain mnt/secret/swap
	assert_output --partial "on the disk in the clear"
	taken "$SWK_TMP/mnt/secret/swap"
}

@test "a header for other pages, and a hibernation image, are explained" {
	fallocate -l 20M file
	chmod 600 file
	mkswap -p 65536 file >/dev/null 2>&1 || skip "mkswap cannot do that"
	run -1 k explain file
	assert_output --partial "for pages of 65536 bytes"
	mkswap file >/dev/null
	printf 'S1SUSPEND\0' |
		dd of=file bs=1 seek=4086 conv=notrunc status=none
	run -1 k on file
	assert_output --partial "a hibernation image"
}

@test "a file that cannot be turned on is not left behind" {
	run -1 k on --create 4K "$SWK_TMP/tiny"
	[ ! -e "$SWK_TMP/tiny" ]
	run -1 k on --create 20M --label 12345678901234567 "$SWK_TMP/tiny"
	assert_output --partial "longer than 16 bytes"
	[ ! -e "$SWK_TMP/tiny" ]
}

@test "on -a turns on what fstab says" {
	for name in a b c; do
		fallocate -l 12M $name
		chmod 600 $name
		mkswap -L fs$name $name >/dev/null
		echo "$SWK_TMP/$name" >>swaps
	done
	cat >fstab <<-EOF
	# a comment
	$SWK_TMP/a none swap sw,pri=7,discard=once 0 0
	$SWK_TMP/b none swap noauto 0 0
	$SWK_TMP/gone none swap nofail 0 0
	$SWK_TMP/c none sw priority=9,x-systemd.wanted 0 0
	/dev/sda1 / ext4 defaults 0 0
	EOF
	k on -a --fstab fstab
	is_swap "$SWK_TMP/a"
	run ! is_swap "$SWK_TMP/b"
	assert_equal "$(awk -v p="$SWK_TMP/a" '$1 == p { print $5 }' \
		/proc/swaps)" 7
	assert_equal "$(awk -v p="$SWK_TMP/c" '$1 == p { print $5 }' \
		/proc/swaps)" 9
	# Once more: what is on already stays as it is.
	k on -a --fstab fstab
	echo "$SWK_TMP/b none swap pri=99999 0 0" >fstab
	run -1 k on -a --fstab fstab
	assert_output --partial "'pri=99999'"
	echo "$SWK_TMP/gone none swap defaults 0 0" >fstab
	run -1 k on -a --fstab fstab
	assert_output --partial "No such file"
	k off a
	k off c
}

@test "libmount is there for -a alone: off is not to wait for it" {
	require_plain_build
	command -v readelf >/dev/null || skip "needs readelf"
	run -0 readelf -d "$SWAPKIT_BUILD/cmd/swapctl"
	assert_output --partial "libblkid"
	refute_output --partial "libmount"
	# Whoever has none is told.
	ln -s /dev/null libmount.so.1
	run -1 env LD_LIBRARY_PATH="$SWK_TMP" swapctl -p kernel on -a
	assert_output --partial "which is not there"
}

# ------------------------------------------------------------- who and where

@test "objects tell who is in swap, and the books balance" {
	require_groups
	swap_on 200M
	start one 60M random
	start two 30M linear shared
	push
	run -0 k objects
	assert_output --partial "$one_pid"
	assert_output --partial "/dev/zero"
	k objects --json >objects
	holds 'any(p["pid"] == int(a[0]) and p["command"] == "swappee" and
		abs(p["swapped_bytes"] - 1024 * int(a[1])) < 1 << 20 and
		p["group"].endswith(a[2]) for p in j["processes"])' \
		"$one_pid" "$(vmswap_kib "$one_pid")" "$group" <objects
	holds 'sum(f["swapped_bytes"] for f in j["shared_memory"]) > 20 << 20' \
		<objects
	holds 'j["processes_bytes"] + j["shared_memory_bytes"] +
		j["cached_bytes"] + j["other_bytes"] == j["used_bytes"]' \
		<objects
	# Nothing else is in swap here, so that nothing is left over.
	[ "$(wc -l </proc/swaps)" -gt 2 ] ||
		holds 'abs(j["other_bytes"]) < 1 << 20' <objects
	k objects --by-group --json | holds 'any(g["group"].endswith(a[0]) and
		g["swapped_bytes"] > 80 << 20 for g in j["groups"])' "$group"
	k objects --least 40M --json |
		holds 'len(j["processes"]) >= 1 and all(
		p["share_bytes"] >= 40 << 20 for p in j["processes"])'
	k objects --user 12345 --json | holds 'j["processes"] == []'
}

@test "tmpfs files, and private pages of files, are told and come back" {
	require_groups
	mkdir mnt
	mount -t tmpfs -o size=64M none mnt || skip "cannot mount a tmpfs"
	mounted=$SWK_TMP/mnt
	swap_on 200M
	start shares 30M random shared "$SWK_TMP/mnt/ours"
	start owns 30M random private "$SWK_TMP/file"
	push
	k objects --json >objects
	holds 'any("mnt/ours" in f["name"] and f["swapped_bytes"] > 20 << 20
		for f in j["shared_memory"])' <objects
	holds 'any(p["pid"] == int(a[0]) and p["swapped_bytes"] > 20 << 20
		for p in j["processes"])' "$owns_pid" <objects
	group_path=$(python3 -c '
import json, sys
print([p["group"] for p in json.load(open("objects"))["processes"]
       if p["pid"] == int(sys.argv[1])][0])' "$owns_pid")
	k objects --group "$group_path" --json | holds '{p["group"]
		for p in j["processes"]} == {a[0]}' "$group_path"
	k objects --group /no/such/group --json | holds 'j["processes"] == []'
	k off --json "$swap" | holds 'j["result"] == "ok" and
		j["drained_bytes"] > 50 << 20'
	run ! is_swap "$swap"
	tell shares verify
	tell owns verify
}

@test "pages that two processes share are held once" {
	require_groups
	swap_on 100M
	start one 40M
	tell one fork
	push
	k objects --json | holds 'sum(p["swapped_bytes"]
		for p in j["processes"] if p["command"] == "swappee") >
		55 << 20'
	k objects --json | holds 'abs(j["other_bytes"]) < 2 << 20'
	k off "$swap"
	tell one verify
}

@test "the map counts what /proc/swaps counts, and finds a page's slot" {
	require_groups
	swap_on 100M
	start one 40M random
	push
	k map --json --owners "$swap" >map
	used=$(used_kib "$swap")
	# The first block is the header.
	holds 'abs(4 * (j[0]["nblocks"] - j[0]["nfree"] - 1 +
		j[0]["unplaced_blocks"]) - int(a[0])) <= 64' "$used" <map
	holds 'sum(c["nblocks"] for c in j[0]["cells"]) == j[0]["nblocks"] and
		sum(c["nfree"] for c in j[0]["cells"]) == j[0]["nfree"]' <map
	# What pagemap says of one page, read here on its own.
	python3 - "$one_pid" "$one_at" map <<-'EOF'
	import json, struct, sys
	pid, at = int(sys.argv[1]), int(sys.argv[2], 16)
	owners = json.load(open(sys.argv[3]))[0]["owners"]
	pagemap = open(f"/proc/{pid}/pagemap", "rb", 0)
	found = 0
	for page in range(0, 10240, 37):
	    address = at + 4096 * page
	    pagemap.seek(address // 4096 * 8)
	    entry, = struct.unpack("Q", pagemap.read(8))
	    if not entry >> 62 & 1:
	        continue
	    slot = (entry & (1 << 55) - 1) >> 5
	    assert any(o["pid"] == pid and
	               o["slot"] <= slot < o["slot"] + o["slots"] and
	               o["address"] + 4096 * (slot - o["slot"]) == address
	               for o in owners), (hex(address), slot)
	    found += 1
	assert found > 50, found
	EOF
	run -0 k map --owners "$swap"
	assert_output --partial "Free space"
	assert_line --regexp "^ *SLOT +SLOTS +PID +ADDRESS\$"
	assert_line --regexp "^ *[0-9]+ +[0-9]+ +$one_pid +0x[0-9a-f]+\$"
}

@test "the map is the same with PAGEMAP_SCAN and without" {
	require_groups
	require_plain_build
	command -v strace >/dev/null || skip "needs strace"
	swap_on 60M
	start one 40M random
	push
	# More ranges than one answer of the kernel has.
	tell one touch
	strace -f -qq -o trace -e trace=ioctl \
		swapctl -p kernel map --json --owners "$swap" >with ||
		skip "strace is not allowed"
	grep -Eq 'PAGEMAP_SCAN|0x66, 0x10, 0x60' trace ||
		skip "this kernel has no PAGEMAP_SCAN"
	strace -f -qq -o trace -e trace=ioctl -e inject=ioctl:error=ENOTTY \
		swapctl -p kernel map --json --owners "$swap" >without
	holds 'len(j[0]["owners"]) > 1000' <with
	python3 - with without <<-'EOF'
	import json, sys
	a, b = (json.load(open(name)) for name in sys.argv[1:])
	assert a == b
	EOF
}

@test "of two devices each page is on the right one" {
	require_groups
	swap_on 40M
	fallocate -l 80M second
	chmod 600 second
	echo "$SWK_TMP/second" >>swaps
	k on --priority 32766 second
	start one 70M random
	push
	for device in "$swap" "$SWK_TMP/second"; do
		k map --json "$device" | holds 'abs(4 * (j[0]["nblocks"] -
			j[0]["nfree"] - 1) - int(a[0])) < 1024' \
			"$(used_kib "$device")"
	done
	k off "$swap"
	# The other keeps what it has.
	[ "$(used_kib "$SWK_TMP/second")" -gt 20000 ]
	tell one verify
	k off second
	tell one verify
}

@test "zram: what is stored and what it takes are told apart" {
	require_groups
	zram=""
	for name in /sys/block/zram*; do
		if [ -e "$name" ] && [ "$(cat "$name/disksize")" = 0 ]; then
			zram=${name##*/}
		fi
	done
	[ -n "$zram" ] || skip "needs a free zram device"
	echo 80M >"/sys/block/$zram/disksize"
	echo "/dev/$zram" >>swaps
	k on --priority 32767 "/dev/$zram"
	start one 40M
	push
	k status --json | holds 'any(d["path"] == a[0] and
		d["zram"]["logical_bytes"] > 20 << 20 and
		d["zram"]["physical_bytes"] > 0
		for d in j["kernel"]["devices"]) and any(
		d["path"] == a[0] and d["type"] == "zram"
		for d in j["devices"])' "/dev/$zram"
	run -0 k status
	assert_output --partial "of RAM ("
	k off "/dev/$zram"
	tell one verify
}

# ----------------------------------------------------------------------- off

@test "off brings everything back, and no byte is lost" {
	require_groups
	swap_on 300M
	start one 100M random
	start two 60M linear shared
	start three 30M linear
	push
	[ "$(used_kib "$swap")" -gt 150000 ]
	run -0 k off --dry-run "$swap"
	assert_output --partial "It fits."
	[ "$(used_kib "$swap")" -gt 150000 ]
	run -0 k off --json "$swap"
	holds 'j["result"] == "ok" and j["drains"] and j["shared_memory"] and
		j["drained_bytes"] >= j["used_bytes"] * 9 // 10' <<<"$output"
	run ! is_swap "$swap"
	for name in one two three; do
		tell "$name" verify
	done
	run -1 k off "$swap"
	assert_output --partial "does not use it as swap"
}

@test "off of a loop device, by its label" {
	require_groups
	require_loop
	loop=$(make_loop 120M)
	echo "$loop" >>swaps
	k on --priority 32767 --label onloop "$loop"
	k status --json | holds 'any(d["path"] == a[0] and
		d["type"] == "loop" for d in j["devices"])' "$loop"
	start one 80M random
	push
	[ "$(used_kib "$loop")" -gt 60000 ]
	k off LABEL=onloop
	run ! is_swap "$loop"
	tell one verify
}

@test "programs die, fork, unmap and write while a device is drained" {
	require_groups
	swap_on 400M
	start dies 60M random
	start forks 60M random
	start unmaps 60M random
	start writes 60M random
	push
	k off "$swap" >off.out 2>&1 3>&- &
	off=$!
	kill -KILL "$dies_pid"
	tell forks fork
	tell unmaps unmap
	tell writes rewrite
	wait "$off" || { cat off.out; false; }
	run ! is_swap "$swap"
	for name in forks unmaps writes; do
		tell "$name" verify
	done
}

@test "two offs at once: one does it, the other says that it is off" {
	require_groups
	swap_on 200M
	start one 120M random
	push
	k off "$swap" >first 2>&1 3>&- &
	first=$!
	status=0
	k off "$swap" >second 2>&1 || status=$?
	wait "$first" || status=$((status + $?))
	# Where both were drained at once, the kernel lets one of them win.
	[ "$status" -le 1 ]
	run ! is_swap "$swap"
	cat first second | grep -q "is off;"
	tell one verify
}

@test "an interrupted off leaves the device in service as it was" {
	require_groups
	swap_on 300M
	start one 200M random
	push
	before=$(awk -v p="$swap" '$1 == p { print $3, $5 }' /proc/swaps)
	# An interrupt that waits before the first report stops it there.
	python3 - "$swap" <<-'EOF'
	import os, signal, subprocess, sys, time
	def plain():
	    signal.signal(signal.SIGINT, signal.SIG_DFL)
	p = subprocess.Popen(["swapctl", "-p", "kernel", "off", sys.argv[1]],
	                     stderr=subprocess.PIPE, text=True,
	                     preexec_fn=plain)
	def blocked():
	    for line in open(f"/proc/{p.pid}/status"):
	        if line.startswith("SigBlk:"):
	            return int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1
	end = time.monotonic() + 20
	while p.poll() is None and not blocked():
	    assert time.monotonic() < end
	p.send_signal(signal.SIGINT)
	said = p.communicate()[1]
	assert p.returncode == 1, (p.returncode, said)
	assert "stopped" in said, said
	EOF
	assert_equal "$(awk -v p="$swap" '$1 == p { print $3, $5 }' \
		/proc/swaps)" "$before"
	tell one verify
	k off "$swap"
	tell one verify
}

@test "an interrupt that comes too late is not said to have stopped it" {
	require_groups
	swap_on 300M
	start one 200M random
	push
	# swapoff(2) looks for signals between two processes: this is one.
	python3 - "$swap" <<-'EOF'
	import os, signal, subprocess, sys, time
	def plain():
	    signal.signal(signal.SIGINT, signal.SIG_DFL)
	p = subprocess.Popen(["swapctl", "-p", "kernel", "off", "--plain",
	                      sys.argv[1]], stdout=subprocess.PIPE,
	                     stderr=subprocess.PIPE, text=True,
	                     preexec_fn=plain)
	children = f"/proc/{p.pid}/task/{p.pid}/children"
	end = time.monotonic() + 20
	while p.poll() is None and not open(children).read():
	    assert time.monotonic() < end
	p.send_signal(signal.SIGINT)
	out, err = p.communicate()
	on = any(line.split()[0] == sys.argv[1] for line in open("/proc/swaps"))
	assert p.returncode == on, (p.returncode, on, out, err)
	assert ("stopped" in err) == on and ("is off;" in out) != on, (out, err)
	EOF
	tell one verify
}

@test "what does not fit into a memory group's limit is refused" {
	require_groups
	[ -e "/sys/fs/cgroup/memory/swkt-$group" ] ||
		skip "needs memory groups of version 1"
	[ "$(wc -l </proc/swaps)" -eq 1 ] || skip "there is other swap"
	swap_on 200M
	start one 120M random
	push
	echo $((40 << 20)) >"/sys/fs/cgroup/memory/swkt-$group/memory.limit_in_bytes"
	used=$(used_kib "$swap")
	run -1 k off "$swap"
	assert_output --partial "swkt-$group has"
	assert_output --partial "raise the limit"
	run -1 k drain "$one_pid"
	assert_output --partial "raise its limit"
	is_swap "$swap"
	[ "$(used_kib "$swap")" -ge $((used - 4096)) ]
	echo -1 >"/sys/fs/cgroup/memory/swkt-$group/memory.limit_in_bytes"
	k off "$swap"
	tell one verify
}

# A machine of 1 GiB, which keeps 64 MiB free, with this much available.
set_available()	# MIB
{
	printf 'MemTotal: 1048576 kB\nMemAvailable: %d kB\n' $(($1 << 10)) \
		>meminfo
}

# Run a command that is shown ./meminfo in place of the machine's memory.
on_small_machine()	# COMMAND...
{
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount --bind meminfo /proc/meminfo &&
		exec "$@"' sh "$@"
}

require_small_machine()
{
	set_available 1
	on_small_machine grep -q "^MemAvailable: 1024 kB" /proc/meminfo ||
		skip "cannot show another /proc/meminfo"
}

# A child of this process that has more threads than one: in $child.
has_busy_child()	# PID
{
	local tasks

	read -r child <"/proc/$1/task/$1/children" || [ -n "$child" ] ||
		return
	tasks=("/proc/${child% }/task/"*)
	[ "${#tasks[@]}" -gt 1 ]
}

@test "what does not fit into memory is refused, and nothing is moved" {
	require_groups
	require_small_machine
	[ "$(wc -l </proc/swaps)" -eq 1 ] || skip "there is other swap"
	swap_on 100M
	start one 60M random
	push
	before=$(vmswap_kib "$one_pid")
	set_available 110
	run -1 on_small_machine swapctl -p kernel off "$swap"
	assert_output --partial "must come back, but 110.0 MiB of memory are"
	assert_output --partial "64.0 MiB are kept free"
	assert_output --partial "--force tries regardless"
	run -1 on_small_machine swapctl -p kernel off --dry-run "$swap"
	assert_output --partial "It does not fit."
	is_swap "$swap"
	assert_equal "$(vmswap_kib "$one_pid")" "$before"
	set_available 140
	on_small_machine swapctl -p kernel off "$swap"
	run ! is_swap "$swap"
	tell one verify
}

# Two devices, so that what one holds has room, but none in memory.
scarce()
{
	require_groups
	require_small_machine
	swap_on 100M
	fallocate -l 300M second
	chmod 600 second
	echo "$SWK_TMP/second" >>swaps
	start one 60M random
	push
	k on --priority 32766 second
	set_available 60
	before=$(awk 'NR > 1 { print $1, $3, $4, $5 }' /proc/swaps)
}

@test "where memory is scarce a drain waits, and goes on when there is room" {
	scarce
	on_small_machine swapctl -p kernel off --json "$swap" >out 2>err 3>&- &
	off=$!
	wait_until 20 has_busy_child "$off"
	# Should memory run out in spite of all, it is the first to go.
	assert_equal "$(cat "/proc/${child% }/oom_score_adj")" 1000
	assert_equal "$(awk 'NR > 1 { print $1, $3, $4, $5 }' /proc/swaps)" \
		"$before"
	# 8 MiB, of which it takes half at a time.
	set_available 72
	wait "$off" || { cat err; false; }
	holds 'j["result"] == "ok" and
		j["drained_bytes"] >= j["used_bytes"] * 9 // 10' <out
	run ! is_swap "$swap"
	is_swap "$SWK_TMP/second"
	tell one verify
}

@test "where memory stays scarce an off gives up, and leaves all as it was" {
	scarce
	run -1 --separate-stderr on_small_machine \
		swapctl -p kernel off --json "$swap"
	# shellcheck disable=SC2154
	[[ $stderr == *"memory stayed scarce for 10 s"*"as before"* ]] || {
		echo "$stderr"
		false
	}
	holds 'j["result"] == "failed" and j["drained_bytes"] == 0' \
		<<<"$output"
	assert_equal "$(awk 'NR > 1 { print $1, $3, $4, $5 }' /proc/swaps)" \
		"$before"
	tell one verify
}

@test "drain brings one program back, or a group, and leaves swap on" {
	require_groups
	swap_on 200M
	start one 60M random
	start two 60M
	push
	run -0 k drain "$one_pid"
	assert_output --partial "brought back in"
	[ "$(vmswap_kib "$one_pid")" -lt 1024 ]
	[ "$(vmswap_kib "$two_pid")" -gt 40000 ]
	k drain "$(k objects --by-group --json | python3 -c '
import json, sys
print([g["group"] for g in json.load(sys.stdin)["groups"]
       if g["group"].endswith(sys.argv[1])][0])' "$group")"
	[ "$(vmswap_kib "$two_pid")" -lt 1024 ]
	is_swap "$swap"
	tell one verify
	tell two verify
	run -1 k drain 4194304
	assert_output --partial "there is no process"
	run -1 k drain /no/such/group
	assert_output --partial "neither a process"
}

@test "off -a means every device, and --dry-run touches none" {
	swap_on 20M
	fallocate -l 20M second
	chmod 600 second
	echo "$SWK_TMP/second" >>swaps
	k on second
	before=$(cat /proc/swaps)
	run -0 k off -a --dry-run
	assert_line --partial "$swap holds"
	assert_line --partial "$SWK_TMP/second holds"
	assert_equal "$(cat /proc/swaps)" "$before"
}

@test "status tells rates, and zswap's bytes apart" {
	unshare -m true 2>/dev/null || skip "cannot show another /proc/meminfo"
	k status --json --rates 1 | holds '
		j["kernel"]["rates"]["in_pages_per_second"] >= 0'
	cat >meminfo <<-EOF
	MemTotal: 1048576 kB
	SwapTotal: 8192 kB
	SwapFree: 4096 kB
	Zswap: 1024 kB
	Zswapped: 3072 kB
	EOF
	on_small_machine swapctl -p kernel status --json | holds '
		j["kernel"]["zswap_physical_bytes"] == 1 << 20 and
		j["kernel"]["zswap_logical_bytes"] == 3 << 20'
	run -0 on_small_machine swapctl -p kernel status
	assert_line --regexp "zswap .*3M of what is used lie in 1M of RAM"
}

@test "discard and priority are what swapon is told" {
	require_plain_build
	command -v strace >/dev/null || skip "needs strace"
	swap=$SWK_TMP/swap
	echo "$swap" >>swaps
	strace -qq -o trace -e trace=swapon swapctl -p kernel on \
		--create 20M --priority 7 --discard "$swap" ||
		skip "strace is not allowed"
	grep -Fq "SWAP_FLAG_PREFER|SWAP_FLAG_DISCARD|7)" trace
	for how in once pages; do
		k off "$swap"
		strace -qq -o trace -e trace=swapon swapctl -p kernel on \
			--discard=$how "$swap"
		grep -Fiq "SWAP_FLAG_DISCARD|SWAP_FLAG_DISCARD_$how|0)" trace
	done
	k off "$swap"
}

# ----------------------------------------------------------- without privilege

as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }

@test "without privilege: what can be seen is shown, the rest explained" {
	require_groups
	swap_on 100M
	start one 40M
	push
	swapctl=$(command -v swapctl)
	run -0 as_nobody "$swapctl" -p kernel status
	assert_output --partial "$swap"
	run -0 as_nobody "$swapctl" -p kernel objects
	assert_output --partial "swappee"
	assert_output --partial "not visible to this user"
	run -1 as_nobody "$swapctl" -p kernel map
	assert_output --partial "CAP_SYS_ADMIN"
	run -1 as_nobody "$swapctl" -p kernel off "$swap"
	assert_output --partial "only root may turn swap off"
	run -1 as_nobody "$swapctl" -p kernel on "$swap"
	assert_output --partial "only root may turn the kernel's swap on"
	run -1 as_nobody "$swapctl" -p kernel explain "$swap"
	assert_output --partial "run this as root"
	run -1 as_nobody "$swapctl" -p kernel drain "$one_pid"
	assert_output --partial "run this as root"
	as_nobody "$swapctl" -p kernel export | holds '
		any(d["path"] == a[0] for d in j["devices"])' "$swap"
	is_swap "$swap"
	tell one verify
}

# -------------------------------------------------------------------- events

has_line() { grep -q -- "$2" "$1"; }

start_follow()	# FILE ARGS...
{
	swapctl -p kernel events --follow "${@:2}" >"$1" 2>"$1.err" 3>&- &
	follow_pid=$!
	register_pid $!
}

# The kinds of events of $swap in the lines of JSON in FILE.
kinds() { grep -F "\"$swap\"" "$1" | sed 's/.*"kind":"\([^"]*\)".*/\1/'; }

@test "events without --follow tell what is so, and that there is no history" {
	swap_on 20M
	run -0 --separate-stderr k events
	assert_line --partial "device-on           $swap: is on, the kernel"
	# shellcheck disable=SC2154
	[[ $stderr == *"keeps no history"* ]]
	run -0 --separate-stderr k events --json
	assert_equal "$stderr" ""
	"$SWAPKIT_SRC/tests/lib/check-export" --event '
		[e["kind"] for e in a if e["device"] == argv[0]] ==
			["device-on"] and
		[e["number"] for e in a] == list(range(1, len(a) + 1))' \
		"$swap" <<<"$output"
	# There is none of it in a snapshot either.
	k export | "$SWAPKIT_SRC/tests/lib/check-export" '"events" not in d'
	run -0 as_nobody "$(command -v swapctl)" -p kernel events
	assert_line --partial "$swap"
}

@test "events --follow tells of devices on, being turned off, stopped and off" {
	require_groups
	swap=$SWK_TMP/swap
	start_follow lines --json
	start_follow text
	swap_on 300M
	wait_until 10 has_line lines "\"device-on\".*\"$swap\""
	wait_until 10 has_line text "device-on .*$swap: is on: file of"
	# A signal ends swapoff(2) between two processes.
	for name in a b c d e f; do
		start $name 40M random
	done
	push
	for _ in $(seq 5); do
		swapoff "$swap" 2>/dev/null &
		off=$!
		wait_until 10 has_line lines "off-started\|device-off\""
		kill -KILL "$off" || true
		wait "$off" || true
		! is_swap "$swap" || break
		# It was over before it was seen, or before it could end.
		: >lines
		k on --priority 32767 "$swap"
		wait_until 10 has_line lines '"device-on"'
		push
	done
	is_swap "$swap" || skip "swapoff is too fast here"
	wait_until 10 has_line lines device-off-stopped
	k off "$swap"
	wait_until 10 has_line lines '"device-off"'
	run kinds lines
	assert_line --index 0 device-on
	assert_line --index 1 device-off-started
	assert_line --index 2 device-off-stopped
	assert_equal "${lines[${#lines[@]} - 1]}" device-off
	wait_until 10 has_line text "device-off  .*$swap: is turned off"
	"$SWAPKIT_SRC/tests/lib/check-export" --event \
		'[e["number"] for e in a] == list(range(1, len(a) + 1))' <lines
	tell a verify
}

@test "events --follow ends when nobody reads it any more" {
	mkfifo pipe
	swapctl -p kernel events --follow >pipe 3>&- &
	follow_pid=$!
	register_pid $!
	exec {fd}<pipe
	run ! process_ended "$follow_pid"
	exec {fd}<&-
	wait_until 10 process_ended "$follow_pid"
	run -0 wait "$follow_pid"
}

@test "list and swaptop know the kernel's swap" {
	swap_on 40M
	run -0 k list
	assert_output --partial "$swap"
	run -0 env SWAPCTL_PAGER=kernel swapctl -s -k
	assert_output --partial "allocated"
	run -0 swaptop -p kernel --once
	assert_output --partial "$swap"
}

@test "what has no meaning for the kernel's swap says so" {
	run -2 k get
	assert_output --partial "a swapd's pager"
	run -2 swapctl -p nobody drain 1
	assert_output --partial "-p kernel"
	run -2 k off
	assert_output --partial "which device?"
	run -2 k on -a some
	assert_output --partial "fstab"
}
