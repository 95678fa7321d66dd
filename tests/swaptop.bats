#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# swaptop in a terminal: exact screens of recordings, keys, the mouse, windows of
# all sizes, terminals of all kinds; and a live swapd that comes and goes.

bats_require_minimum_version 1.5.0
load lib/helpers
load lib/snapshot
load lib/script
load lib/screens

setup()
{
	swk_setup
	cd "$SWK_TMP"
	unset NO_COLOR COLUMNS LINES COLORFGBG SWAPCTL_PAGER SWAPTOP_ENV
}

# At the end of a recording nothing changes any more.
at_end() { wait_until 20 on_screen "recording .* ended"; }

# ---------------------------------------------------------- exact screens

@test "every view, exactly, in an ordinary window" {
	start_swaptop 80x24 --replay "$(recording busy)" -d 0.1
	at_end
	shows overview-80x24
	press 2
	shows devices-80x24
	press 3
	shows map-80x24
	press 4
	shows objects-80x24
	press 5
	shows faults-80x24
	press t
	shows faults-now-80x24
	quit_swaptop
}

@test "in windows from 60x15 to 300x80, each resize drawn right" {
	start_swaptop 120x40 --replay "$(recording busy)" -d 0.1
	at_end
	shows overview-120x40
	for size in 60x15 200x60 80x24; do
		resize "$size"
		shows "overview-$size"
	done
	press 3
	shows map-80x24
	for size in 120x40 60x15 200x60; do
		resize "$size"
		shows "map-$size"
	done
	resize 60x15
	press 2
	shows devices-60x15
	resize 120x40
	shows devices-120x40
	resize 300x80
	wait_until 20 on_screen "R-99%"
	resize 60x15
	press 4
	shows objects-60x15
	press 5
	shows faults-60x15
	quit_swaptop
}

@test "a window that is too small says so, and comes back" {
	start_swaptop 59x15 --replay "$(recording busy)" -d 0.1
	wait_until 20 on_screen "too small: 59x15"
	on_screen "needs 60x15"
	off_screen "Overview"
	# Keys that nobody can see the effect of have none.
	press 3
	resize 60x14
	wait_until 20 on_screen "too small: 60x14"
	resize 12x2
	wait_until 20 on_screen "! The window"
	resize 60x15
	at_end
	shows overview-60x15
	resize 30x6
	wait_until 20 on_screen "too small"
	quit_swaptop
}

@test "a device that drains and has bad blocks, and blocks of nobody" {
	start_swaptop 80x24 --replay "$(recording drain)" -d 0.1 --view map
	wait_until 20 on_screen "closing\|recording 1/1"
	shows map-drain-80x24
	press 2
	wait_until 20 on_screen "closing,degraded"
	press 1
	wait_until 20 on_screen "! /dev/sdb1 is degraded"
	quit_swaptop
}

@test "cells that were written or freed glow for a moment" {
	start_swaptop 80x24 --replay "$(recording busy)" -d 1 --view map
	wait_until 20 on_screen "▲▲▲▲.*\|▽▽▽"
	at_end
	wait_until 20 on_screen "▽▽▽▽.*▲▲▲▲"
	quit_swaptop
}

# ------------------------------------------------------------------- map

@test "the map zooms to single blocks, pans, and tells whose they are" {
	start_swaptop 80x24 --replay "$(recording busy)" -d 0.1 --view map
	at_end
	wait_until 20 on_screen "Block  0-1 *$"
	wait_until 20 on_screen "Owner  a label: never written"
	press Right
	wait_until 20 on_screen "Block  2-4"
	wait_until 20 on_screen "Owner  heap (prog 101)"
	wait_until 20 on_screen "pages 0-2"
	press M-l M-h Left + + + +
	wait_until 20 on_screen "×3"
	wait_until 20 on_screen "Block  0 *$"
	shows map-blocks-80x24
	press End
	wait_until 20 on_screen "Block  2,047"
	wait_until 20 on_screen "Owner  free"
	# From the end of the device back up, page by page and row by row.
	press PgUp
	wait_until 20 off_screen "Block  2,047"
	press Home
	wait_until 20 on_screen "Block  0 *$"
	press Down
	wait_until 20 on_screen "Block  37 *$"
	wait_until 20 on_screen "page 35"
	press Up - - - -
	wait_until 20 on_screen "Block  0-1 *$"
	off_screen "45% ×"
	# The other device, and back.
	press ']'
	wait_until 20 on_screen "/srv/swap0 .* 2/2"
	press '['
	wait_until 20 on_screen "/dev/sdb1 .* 1/2"
	# Both beside each other, where there is room.
	resize 120x40
	shows map-120x40
	press v
	wait_until 20 off_screen "/srv/swap0"
	press v
	wait_until 20 on_screen "/srv/swap0"
	quit_swaptop
}

@test "Enter tells all about a range, an object, a device" {
	start_swaptop 80x24 --replay "$(recording busy)" -d 0.1 --view map
	at_end
	press Right
	wait_until 20 on_screen "Owner  heap"
	press Enter
	wait_until 20 on_screen "/dev/sdb1, block 2-4"
	wait_until 20 on_screen "heap (prog 101), page 0"
	press Escape 4
	wait_until 20 on_screen "4 Objects"
	wait_until 20 off_screen "block 2-4"
	press Down Enter
	wait_until 20 on_screen "Object 2: cache"
	on_screen "solver, process 102"
	on_screen "Wired  *64K"
	press Escape
	wait_until 20 off_screen "Object 2: cache"
	press 2 Enter
	wait_until 20 on_screen "Written  *64M in 840 transfers"
	press Enter
	quit_swaptop
}

# --------------------------------------------------------------- objects

first_object() { screen | sed -n 4p | grep -q -- "$1"; }

@test "objects: sorted by any column, searched, filtered" {
	start_swaptop 120x40 --replay "$(recording many)" --view objects
	at_end
	shows objects-many-120x40
	# By size, which is left of resident and swapped.
	press '<' '<'
	wait_until 20 on_screen "SIZE▼"
	wait_until 20 first_object " object-100 "
	press I
	wait_until 20 on_screen "SIZE▲"
	wait_until 20 first_object " object-01 "
	press F6
	wait_until 20 on_screen "RESIDENT▼"
	press / ; press -l object-77; press Enter
	wait_until 20 on_screen "object-77"
	press Enter
	wait_until 20 on_screen "Object 77: object-77"
	press Escape
	press '\' ; press -l prog1
	wait_until 20 on_screen "filter prog1"
	wait_until 20 off_screen "prog2"
	press Enter
	wait_until 20 off_screen "Filter:"
	on_screen "filter prog1"
	press F4 ; press -l xyz
	wait_until 20 on_screen "no object matches"
	press BSpace BSpace BSpace
	wait_until 20 on_screen "object-"
	# Escape takes back what was typed.
	press -l zz
	wait_until 20 on_screen "no object matches"
	press Escape
	wait_until 20 on_screen "filter prog1"
	quit_swaptop
}

@test "objects: copies stand beneath their sources" {
	start_swaptop 100x20 --replay "$(recording copies)" --view objects
	at_end
	shows objects-copies-100x20
	# A copy of a copy, and the one that it was made of.
	press Down Down Down Down Enter
	wait_until 20 on_screen "of 6, with which it shares 8M"
	press Escape Up Enter
	wait_until 20 on_screen "of 4, with which it shares 6M"
	on_screen "Copies     1"
	press Escape
	# Sorted by anything else they are a list.
	press '>' '>'
	wait_until 20 off_screen "  copy of"
	wait_until 20 on_screen " copy of 6 "
	quit_swaptop
}

@test "a list that is longer than the window scrolls" {
	start_swaptop 80x24 --replay "$(recording many)" --view objects
	at_end
	wait_until 20 first_object " object-27 "
	press End
	wait_until 20 off_screen " object-27 "
	wait_until 20 on_screen " object-100 "
	press PgUp PgUp
	wait_until 20 off_screen " object-100 "
	press Home
	wait_until 20 first_object " object-27 "
	quit_swaptop
}

# ----------------------------------------------------------- looks, terminals

# Does the screen have a colour like this?  39 and 49 are the terminal's own.
colored()	# REGEXP
{
	"${tmux[@]}" capture-pane -e -p |
		grep -Eq $'\e\\[([0-9;]*;)?('"$1"')[m;]'
}
eight='[34][0-7]'
uncolored() { ! colored "[34][0-8]"; }
only_eight() { colored "$eight" && ! colored '[34]8;5'; }

@test "256 colours, 8, none: each readable" {
	start_swaptop 80x24 --replay "$(recording drain)" -d 0.1 --view map
	at_end
	wait_until 20 colored '38;5'
	# c goes through all that this terminal can show.
	press c
	wait_until 20 colored '38;5;18'
	press c
	wait_until 20 only_eight
	shows map-drain-80x24
	press c
	wait_until 20 uncolored
	shows map-drain-80x24
	colored 7
	press c
	wait_until 20 colored '38;5'
	quit_swaptop
	# A terminal with 8 colours has no others.
	SWAPTOP_ENV="env TERM=screen" start_swaptop 80x24 \
		--replay "$(recording drain)" -d 0.1 --view map
	at_end
	wait_until 20 only_eight
	shows map-drain-80x24
	quit_swaptop
	SWAPTOP_ENV="env NO_COLOR=1" start_swaptop 80x24 \
		--replay "$(recording drain)" -d 0.1 --view map
	at_end
	shows map-drain-80x24
	uncolored
	quit_swaptop
	SWAPTOP_ENV="env TERM=vt100" start_swaptop 80x24 \
		--replay "$(recording drain)" -d 0.1 --view map
	at_end
	shows map-drain-80x24
	uncolored
	quit_swaptop
}

@test "a light background, by COLORFGBG or by hand" {
	SWAPTOP_ENV="env 'COLORFGBG=0;15'" start_swaptop 80x24 \
		--replay "$(recording busy)" -d 0.1 --view map
	at_end
	wait_until 20 colored '38;5;18'
	quit_swaptop
	start_swaptop 80x24 --replay "$(recording busy)" -d 0.1 --view map \
		--colors light
	at_end
	wait_until 20 colored '38;5;18'
	quit_swaptop
}

only_ascii() { ! screen | LC_ALL=C grep -q '[^ -~]'; }

@test "ASCII: with --ascii, and where the locale is not UTF-8" {
	start_swaptop 80x24 --replay "$(recording drain)" -d 0.1 --ascii \
		--view map
	at_end
	shows map-ascii-80x24
	only_ascii
	for view in 1 2 4 5; do
		press "$view"
		only_ascii
	done
	press F1
	wait_until 20 on_screen "Keys"
	only_ascii
	press Escape
	quit_swaptop
	SWAPTOP_ENV="env LC_ALL=C" start_swaptop 80x24 \
		--replay "$(recording drain)" -d 0.1 --view map
	at_end
	shows map-ascii-80x24
	quit_swaptop
}

# -------------------------------------------------------------- keys, mouse

@test "keys: views, pause, delay, units, help" {
	start_swaptop 100x30 --replay "$(recording busy)" -d 0.1
	at_end
	press Tab
	wait_until 20 on_screen "DEVICE  *TYPE"
	press BTab
	wait_until 20 on_screen "Page-in"
	press Space
	wait_until 20 on_screen "PAUSED"
	press Space
	wait_until 20 off_screen "PAUSED"
	press d ; press -l 2.5 ; press Enter
	wait_until 20 on_screen " 2.5s"
	press d ; press -l 0 ; press Enter
	wait_until 20 on_screen "0.1 to 3600"
	press Escape
	wait_until 20 on_screen " 2.5s"
	on_screen "3M of 8M, 64K wired"
	press g
	wait_until 20 on_screen "3.1M of 8.4M, 65.5k wired"
	press g
	wait_until 20 on_screen "768p of 2kp, 16p wired"
	press g
	wait_until 20 on_screen "3M of 8M, 64K wired"
	for key in F1 h '?'; do
		press "$key"
		wait_until 20 on_screen "zoom in and out, down to single blocks"
		press Escape
		wait_until 20 off_screen "zoom in and out"
	done
	press C-l
	wait_until 20 on_screen "Page-in"
	press F10
	wait_until 20 has_ended
	assert_equal "$(cat status)" 0
	# The terminal is given back as it was.
	run screen
	refute_output --partial "q quit"
}

@test "mouse: tabs, keys, headings, rows, cells, the wheel" {
	start_swaptop 80x24 --replay "$(recording many)"
	at_end
	# "4 Objects"
	mouse 0 40 1
	wait_until 20 first_object " object-27 "
	# The heading SIZE sorts, and again inverts.
	column=$(screen | sed -n 3p | grep -bo SIZE | cut -d: -f1)
	mouse 0 "$column" 2
	wait_until 20 first_object " object-100 "
	mouse 0 "$column" 2
	wait_until 20 first_object " object-01 "
	mouse 0 10 5
	wait_until 20 on_screen "Object 3: object-03"
	mouse 0 70 20
	wait_until 20 off_screen "Object 3: object-03"
	for _ in 1 2 3 4 5 6 7 8; do
		mouse 65 10 10
	done
	wait_until 20 off_screen " object-01 "
	for _ in 1 2 3 4 5 6 7 8 9; do
		mouse 64 10 10
	done
	wait_until 20 on_screen " object-01 "
	# "q quit" at the bottom.
	mouse 0 11 23
	wait_until 20 has_ended
	assert_equal "$(cat status)" 0
	start_swaptop 80x24 --replay "$(recording busy)" -d 0.1 --view map
	at_end
	wait_until 20 on_screen "Block  0-1 *$"
	mouse 0 9 3
	wait_until 20 on_screen "Block  2-4"
	mouse 64 9 3
	wait_until 20 on_screen "×3"
	mouse 65 9 3
	wait_until 20 off_screen "×3"
	quit_swaptop
}

# -------------------------------------------------------------- a live swapd

@test "a device turned off from within, with its progress" {
	require_uffd
	one=$(make_swapfile 64M) two=$(make_swapfile 64M)
	start_swapd --ram 4M --on "$one"
	start_client a
	order a create work 4096
	order a fill work 1 0 4096
	swapctl -p t on "$two"
	start_swaptop 100x30 -p t -d 0.1 --view devices
	wait_until 20 on_screen "${one##*/}"
	# No is an answer, and so is Escape.
	for key in n Escape; do
		press o
		wait_until 20 on_screen "Turn off $one?"
		on_screen "must come back"
		press "$key"
		wait_until 20 off_screen "Turn off"
	done
	press o
	wait_until 20 on_screen "Turn off $one?"
	press y
	wait_until 60 on_screen "$one is off"
	on_screen "paged back in"
	press Escape
	wait_until 20 off_screen "${one##*/}"
	assert_equal "$(snapshot '[x["path"] for x in s["devices"]]')" \
		"['$two']"
	order a check work 1 0 4096
	quit_swaptop
	end_client a
	stop_swapd
}

@test "turning off is stopped with Escape: the device stays" {
	require_uffd
	one=$(make_swapfile 64M) two=$(make_swapfile 64M)
	start_swapd --ram 1M --on "$one" --on "$two"
	start_client a
	order a create work 8192
	order a fill work 1 0 8192
	start_swaptop 100x30 -p t -d 0.1 --view devices
	wait_until 20 on_screen "${one##*/}"
	kill -STOP "$SWAPD_PID"
	press o
	wait_until 20 on_screen "Turn off $one?"
	press y
	wait_until 20 on_screen "Esc stops it"
	# A swapd that does not answer is told of, and keys are.
	wait_until 20 on_screen "no answer for"
	kill -CONT "$SWAPD_PID"
	press Escape
	wait_until 60 on_screen "stays\|is off"
	press Escape
	wait_until 20 off_screen "no answer for"
	order a check work 1 0 8192
	quit_swaptop
	end_client a
	stop_swapd
}

@test "--readonly turns nothing off; nor does a recording" {
	start_swapd --ram 4M --on "$(make_swapfile 8M)"
	start_swaptop 80x24 -p t -d 0.1 --readonly
	wait_until 20 on_screen "read-only"
	press o
	wait_until 20 on_screen "turns no"
	press Escape
	quit_swaptop
	assert_equal "$(snapshot 'len(s["devices"])')" 1
	start_swaptop 80x24 --replay "$(recording busy)" -d 0.1
	at_end
	press o
	wait_until 20 on_screen "This is a recording"
	press Escape
	quit_swaptop
	stop_swapd
}

@test "it outlives the swapd, and finds the next" {
	start_swapd --ram 4M --on "$(make_swapfile 8M)"
	start_swaptop 100x30 -p t -d 0.1
	wait_until 20 on_screen "^Pager t: .*process $SWAPD_PID,"
	before=$SWAPD_PID
	stop_swapd
	wait_until 20 on_screen "^! no swapd is listening"
	# What was last known stays below that, in every view, and is dim.
	on_screen "Below is what was seen last"
	on_screen "LOST"
	on_screen "^Pager t: .*process $before,"
	for view in 2 3 4 5 1; do
		press "$view"
		wait_until 20 on_screen "Below is what was seen last"
	done
	on_screen "of 4M"
	[ ! -e status ]
	start_swapd --ram 2M
	wait_until 20 on_screen "^Pager t: .*process $SWAPD_PID,"
	wait_until 20 off_screen "^! no swapd"
	wait_until 20 on_screen "of 2M"
	kill -9 "$SWAPD_PID"
	wait_until 20 on_screen "^! "
	wait_until 20 process_ended "$SWAPD_PID"
	start_swapd --ram 3M
	wait_until 20 on_screen "of 3M"
	quit_swaptop
	stop_swapd
}

@test "a live map: blocks, their owner, and what changes" {
	require_uffd
	file=$(make_swapfile 32M)
	start_swapd --ram 1M --on "$file"
	start_client a
	order a create work 2048
	order a fill work 1 0 2048
	start_swaptop 120x40 -p t -d 0.1 --view map
	wait_until 20 on_screen "Owner  a label"
	press Right + + + +
	wait_until 20 on_screen "Owner  work (objects $a_pid)"
	# What it says of a block is what the object says.
	press Down Down
	wait_until 20 on_screen "Owner  work"
	page=$(screen | sed -n 's/.* page \([0-9,]*\).*/\1/p' | tr -d ,)
	order a haspage work "$page" => "ok 1"
	order a flush work 0 2048 free
	wait_until 20 on_screen "Owner  free"
	swapctl -p t on --create 8M new
	wait_until 20 on_screen "/new"
	quit_swaptop
	end_client a
	stop_swapd
}

# ----------------------------------------------------------------- as text

@test "--once and --batch print the same views" {
	require_uffd
	file=$(make_swapfile 32M)
	start_swapd --ram 4M --on "$file"
	start_client a
	order a create work 4096
	order a fill work 1 0 4096
	run --separate-stderr swaptop -p t --once
	assert_success
	assert_equal "$stderr" ""
	assert_line --index 0 --regexp "^Pager t: swapd [0-9.]+, process $SWAPD_PID, up .*, 1 client$"
	assert_line --regexp "^RAM .*% +[0-9.]+M of 4M, 0B wired$"
	assert_line --regexp "^Swap .*% +1[0-9.]+M of 32M, [0-9.]+M available$"
	assert_line --regexp "^Sums +0 pages in, [0-9,]+ pages out, [0-9,]+ faults$"
	assert_line --regexp "^$file +file +32M +1[0-9.]+M +[0-9.]+M +[0-9]+% .* -$"
	assert_line --regexp "^ +1 work .* $a_pid objects +16M +[0-9.]+M +1[0-9.]+M +[0-9]+% "
	assert_line --regexp "^$file ─+ [0-9]+%$"
	assert_line --regexp "^Longest +[0-9.]+M, [0-9]+% of it$"
	assert_line --regexp "^new page +- +[0-9,]+ "
	refute_output --partial $'\e'
	run swaptop -p t --batch -n 2 -d 0.2 --view overview,objects
	assert_success
	assert_equal "$(grep -c "^Pager t:" <<<"$output")" 2
	assert_equal "$(grep -c "^Sums " <<<"$output")" 1
	assert_equal "$(grep -c "^Rates .* a second$" <<<"$output")" 1
	assert_equal "$(grep -c " work " <<<"$output")" 2
	refute_output --partial "Longest"
	run swaptop -p t --once --ascii
	run ! grep -q '[^ -~]' <<<"$output"
	end_client a
	stop_swapd
}

@test "--json prints the snapshot with its maps, and --replay shows it" {
	require_uffd
	file=$(make_swapfile 4M)
	start_swapd --ram 1M --on "$file"
	start_client a
	order a create work 512
	order a fill work 1 0 512
	swaptop -p t --json -n 2 -d 0.1 >recorded
	assert_equal "$(wc -l <recorded)" 2
	head -n 1 recorded | python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s.pop("time_usec") > 1 << 50
(m,) = s.pop("maps")
assert m["path"] == sys.argv[1] and len(m["cells"]) == m["nblocks"] == 1024
owned = set()
for o in m["owners"]:
	assert o["name"] == "work" and o["object"] == 1
	owned.update(range(o["block"], o["block"] + o["blocks"]))
used = {i for i, c in enumerate(m["cells"]) if c["nfree"] == 0}
# All but the label.
assert used - owned == {0, 1}, used ^ owned
json.dump(s, sys.stdout)' "$file" | conforms Snapshot
	end_client a
	stop_swapd
	run swaptop --replay recorded --once --view objects
	assert_success
	assert_output --partial " work "
	# Each picture is printed, and the end is an end.
	run swaptop --replay recorded --batch --view overview
	assert_success
	assert_equal "$(grep -c "^Pager t:" <<<"$output")" 2
	start_swaptop 80x24 --replay recorded -d 0.1 --view map
	at_end
	press Down
	wait_until 20 on_screen "Owner  work"
	quit_swaptop
}

@test "recordings that are none" {
	printf '' >empty
	echo '{"provider":"swapd"}' >short
	head -c 3000 "$(recording busy)" >cut
	for file in empty short cut /nonexistent; do
		run swaptop --replay "$file" --once
		assert_failure 1
		assert_output --partial "swaptop: $file: "
	done
	run swaptop --replay "$(recording busy)" -p t --once
	assert_failure 2
	run swaptop --view nothing --once
	assert_failure 2
	run swaptop --colors pink --once
	assert_failure 2
}

@test "a pager without devices and objects" {
	start_swaptop 80x24 --replay "$(recording empty)"
	at_end
	wait_until 20 on_screen "! There is no swap device"
	for view in 2 3; do
		press "$view"
		wait_until 20 on_screen "! There is no swap device"
	done
	press + Right Enter 4
	wait_until 20 on_screen "no objects"
	press Down Enter n o
	wait_until 20 on_screen "Nothing to turn off"
	press Escape 5
	wait_until 20 on_screen "FAULTS"
	quit_swaptop
}
