#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-2-Clause
# What a program does to ranges of its objects in a swapd: noswap lifted,
# reserving, get, flush, copy, writers; every byte is verified.

bats_require_minimum_version 1.5.0
load lib/helpers
load lib/snapshot
load lib/script

setup()
{
	swk_setup
	cd "$SWK_TMP"
	require_uffd
}

# A figure of one object by its name.
object() { snapshot "o[argv[0]][argv[1]]" "$1" "$2"; }

# Pages in a state, of what "get" answered: "1000a24r" and a letter.
count_state()	# ANSWER LETTER
{
	grep -o "[0-9]*$2" <<<"${1##* }" | tr -d "$2" |
		awk '{ n += $1 } END { print n + 0 }'
}

@test "noswap: nothing goes out until it is lifted" {
	start_swapd --ram 8M --on "$(make_swapfile 32M)"
	start_client a
	order a create n 512 noswap
	order a fill n 1 0 512
	holds 'o["n"]["noswap"]'
	# Others go out, it stays.
	order a create x 4096
	order a fill x 2 0 4096
	holds 'o["n"]["resident_bytes"] == 2 << 20'
	holds 'o["n"]["swapped_bytes"] == o["n"]["block_bytes"] == 0'
	order a allow n
	holds 'not o["n"]["noswap"]'
	order a flush n 0 512 deactivate
	order a fill x 3 0 4096
	holds 'o["n"]["swapped_bytes"] > 0'
	order a check n 1 0 512
	order a check x 3 0 4096
	# A second time it is no error.
	order a allow n
	end_client a
	stop_swapd
}

@test "reserve: all or nothing, for the object alone" {
	start_swapd --ram 2M --on "$(make_swapfile 9M)"
	start_client a
	start_client b
	order a create r 1024
	order a reserve r 0 512
	holds 's["set_aside_bytes"] == o["r"]["reserved_bytes"] == 2 << 20'
	# What has it is not counted twice.
	order a reserve r 256 512
	holds 's["set_aside_bytes"] == 3 << 20'
	run swapctl -p t status
	assert_line --regexp '^Set aside +33%  3M of 9M, kept free for objects$'
	# More than there is, and of nothing.
	order b create big 8192
	order b reserve big 0 2048 '=>' ENOSPC
	holds 's["set_aside_bytes"] == 3 << 20 and o["big"]["reserved_bytes"] == 0'
	order b create n 16 noswap
	order b reserve n 0 16 '=>' EPERM
	# Others leave that space alone, and what has it goes out.
	order b create x 1536
	order b fill x 5 0 1536
	order a fill r 4 0 768
	holds 'o["r"]["swapped_bytes"] > 0'
	order a check r 4 0 768
	order b check x 5 0 1536
	order a unreserve r 0 768
	holds 's["set_aside_bytes"] == o["r"]["reserved_bytes"] == 0'
	# It ends with the object, whoever forgets it.
	order a reserve r 0 100
	end_client a
	wait_until 10 is_true 's["set_aside_bytes"] == 0'
	order b check x 5 0 1536
	end_client b
	stop_swapd
}

@test "get: what costs nothing, one page, all of them" {
	start_swapd --ram 2M --on "$(make_swapfile 32M)"
	start_client a
	order a create g 2048
	order a fill g 6 0 2048
	answer=$(ask a get g 0 2048 0 nowait)
	# Page 0 went out long ago.
	[[ $answer == EAGAIN* ]]
	[ "$(count_state "$answer" a)" -gt 1024 ]
	before=$(snapshot 's["counters"]["pageins"]')
	answer=$(ask a get g 0 2048 0)
	[[ $answer == ok* ]]
	[[ ${answer##* } =~ ^[0-9]+r ]] || fail "page 0 did not come: $answer"
	holds 's["counters"]["pageins"] == int(argv[0]) + 1' "$before"
	answer=$(ask a get g 100 200 150 all)
	[[ $answer == "ok 200 200r" ]] || fail "not all came: $answer"
	order a check g 6 0 2048
	# New pages are zeros, and are there without being touched.
	order a create z 64
	order a get z 0 64 0 all '=>' ok 64 64r
	order a zero z 0 64
	holds 'o["z"]["resident_bytes"] == 64 * s["page_bytes"]'
	order a get z 0 65 0 '=>' EINVAL
	order a get z 0 8 8 '=>' EINVAL
	end_client a
	stop_swapd
}

@test "get: more pages than one call answers for" {
	start_swapd --ram 2M --on "$(make_swapfile 32M)"
	start_client a
	order a create huge 200000
	order a fill huge 7 70000 1024
	answer=$(ask a get huge 0 200000 70000 nowait)
	[[ $answer == EAGAIN* ]]
	answer=$(ask a get huge 0 200000 71000)
	[[ $answer == ok* ]]
	# For pages that need not come nothing goes out.
	holds 's["swap_used_bytes"] <= 5 << 20'
	order a check huge 7 70000 1024
	order a zero huge 60000 500
	end_client a
	stop_swapd
}

@test "a client that is killed in the middle of a long call" {
	start_swapd --ram 4M --on "$(make_swapfile 64M)"
	start_client a
	start_client b
	order b create mine 256
	order b fill mine 9 0 256
	order a create long 12000
	order a fill long 8 0 12000
	before=$(snapshot 's["counters"]["pageins"]')
	echo "get long 0 12000 0 all" >&"$a_fd"
	wait_until 20 is_true 's["counters"]["pageins"] > int(argv[0])' \
		"$before"
	kill -KILL "$a_pid"
	wait "$a_pid" || true
	wait_until 20 is_true 'list(o) == ["mine"] and s["clients"] <= 1'
	order b check mine 9 0 256
	end_client b
	holds 's["swap_used_bytes"] == 0 and s["resident_bytes"] == 0'
	stop_swapd
}

@test "flush: deactivated pages go first, freed ones are zeros" {
	start_swapd --ram 4M --on "$(make_swapfile 32M)"
	start_client a
	order a create f 512
	order a fill f 1 0 512
	order a flush f 0 512
	order a check f 1 0 512
	order a flush f 0 512 deactivate free '=>' EINVAL
	order a flush f 0 256 deactivate
	order a create x 256
	order a fill x 2 0 256
	order a create y 400
	order a fill y 3 0 400
	# Of the two halves that one went which was deactivated.
	answer=$(ask a get f 0 256 0 nowait)
	first=$(count_state "$answer" a)
	answer=$(ask a get f 256 256 256 nowait)
	[ "$first" -gt "$(count_state "$answer" a)" ] ||
		fail "deactivated: $first out; the others: $answer"
	order a check f 1 0 512
	order a wire f 10 1
	order a flush f 0 256 free '=>' EBUSY
	order a unwire f 10 1
	order a flush f 0 256 free
	order a zero f 0 256
	order a check f 1 256 256
	order a flush f 0 512 free
	holds 'o["f"]["swapped_bytes"] == o["f"]["block_bytes"] == 0'
	order a check x 2 0 256
	order a check y 3 0 400
	end_client a
	stop_swapd
}

@test "haspage: blocks, and how far they are consecutive" {
	start_swapd --ram 1M --on "$(make_swapfile 32M)"
	start_client a
	order a create h 2048
	order a haspage h 5 '=>' ok 0 0 0
	order a haspage h 2048 '=>' EINVAL
	order a fill h 1 0 2048
	read -r word has before after <<<"$(ask a haspage h 500)"
	[ "$word $has" = "ok 1" ]
	# One write puts a cluster of pages side by side.
	[ $((before + after)) -ge 15 ] || fail "$before before, $after after"
	order a flush h 501 1 free
	order a haspage h 501 '=>' ok 0
	read -r word has before after <<<"$(ask a haspage h 500)"
	[ "$has $after" = "1 0" ]
	order a check h 1 0 501
	order a check h 1 502 1546
	order a zero h 501 1
	end_client a
	stop_swapd
}

@test "copy: what the destination has wins, the source stays" {
	start_swapd --ram 2M --on "$(make_swapfile 64M)"
	start_client a
	order a create from 2000 exact
	order a create to 3000 exact
	order a fill from 1 0 2000
	order a fill to 2 600 100
	order a copy from 0 to 500 2000
	order a check from 1 0 2000
	order a zero to 0 500
	order a check to 1 500 100 0
	order a check to 2 600 100
	order a check to 1 700 1800 200
	order a zero to 2500 500
	# Each has its own pages.
	order a fill from 3 0 2000
	order a check to 1 700 1800 200
	order a copy from 0 from 0 10 '=>' EINVAL
	order a copy from 1999 to 0 2 '=>' EINVAL
	end_client a
	holds 's["swap_used_bytes"] == 0'
	stop_swapd
}

@test "copy with destroy: blocks change hands without being read" {
	start_swapd --ram 1M --on "$(make_swapfile 64M)"
	start_client a
	order a create from 4000 exact
	order a create to 4000 exact
	order a fill from 1 0 4000
	order a fill to 2 100 10
	held=$(snapshot 'o["from"]["swapped_bytes"] + o["to"]["swapped_bytes"]')
	[ "$held" -gt $((12 << 20)) ]
	before=$(snapshot 's["counters"]["pagein_pages"]')
	order a copy from 0 to 0 4000 destroy
	holds 'o["from"]["swapped_bytes"] == o["from"]["block_bytes"] == 0'
	# A few that were in RAM may have gone out meanwhile; the many stayed.
	holds 's["counters"]["pagein_pages"] - int(argv[0]) < 1000' "$before"
	order a zero from 0 4000
	order a check to 1 0 100
	order a check to 2 100 10
	order a check to 1 110 3890
	order a create wired 8
	order a fill wired 4 0 8
	order a wire wired 0 8
	order a copy wired 0 from 0 8 destroy '=>' EBUSY
	order a create plain 8
	order a copy from 0 plain 0 8 '=>' EINVAL
	order a check wired 4 0 8
	end_client a
	holds 's["swap_used_bytes"] == 0 and s["resident_bytes"] == 0'
	stop_swapd
}

@test "writers: regions that are writable are counted" {
	start_swapd --ram 4M --on "$(make_swapfile 16M)"
	start_client a
	start_client b
	order a create w 64
	order a fill w 1 0 64
	order b open w
	order b check w 1 0 64
	holds 'o["w"]["regions"] == o["w"]["writers"] == 2'
	order b writable w no
	holds 'o["w"]["regions"] == 2 and o["w"]["writers"] == 1'
	order b writable w no
	holds 'o["w"]["writers"] == 1'
	order a fill w 2 0 64
	order b check w 2 0 64
	order b writable w yes
	order b fill w 3 0 32
	order a check w 3 0 32
	order a check w 2 32 32
	order b writable w no
	order b unmap w
	holds 'o["w"]["regions"] == o["w"]["writers"] == 1'
	# Who ends without a word is not counted any more.
	kill -KILL "$a_pid"
	wait "$a_pid" || true
	wait_until 10 is_true 'o["w"]["writers"] == 0'
	order b check w 3 0 32
	end_client b
	stop_swapd
}

@test "a read-only region is paged like any other" {
	start_swapd --ram 1M --on "$(make_swapfile 32M)"
	start_client a
	order a create ro 2048
	order a fill ro 5 0 2048
	order a writable ro no
	order a check ro 5 0 2048
	order a check ro 5 0 2048
	order a writable ro yes
	order a fill ro 6 0 1024
	order a check ro 6 0 1024
	order a check ro 5 1024 1024
	end_client a
	stop_swapd
}

# The snapshot without what time and visitors change.
standing()
{
	swapctl -p t status --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
for name in ("uptime_usec", "events", "event_counts", "nevents_ever"):
	del s[name]
print(json.dumps(s, indent=1))'
}

@test "calls with wrong parameters are answered, and change nothing" {
	start_swapd --ram 4M --on "$(make_swapfile 16M)"
	start_client a
	order a create x 8
	order a create y 8
	order a fill x 1 0 8
	before=$(standing)
	run python3 - "$SWAPD_RUNTIME_DIR/t.sock" <<-'END'
	import itertools, json, socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	f = s.makefile("rwb")
	def call(method, **parameters):
	    f.write(json.dumps({"method": "org.swapkit.Pager." + method,
	                "parameters": parameters}).encode() + b"\0")
	    f.flush()
	    text = b""
	    while not text.endswith(b"\0"):
	        byte = f.read(1)
	        assert byte, (method, parameters, "closed")
	        text += byte
	    return json.loads(text[:-1])
	handle = call("OpenObject", name="x")["parameters"]["object"]
	other = call("OpenObject", name="y")["parameters"]["object"]
	wrong = [-1, 1, 4095, 32768, 36864, 2**40, 2**63 - 1, 2**63 - 4096,
	     None, True, "0", 1.5, [], {}]
	n = 0
	for method, names in {
	    "Get": ["offset_bytes", "length_bytes", "wanted_bytes"],
	    "Flush": ["offset_bytes", "length_bytes"],
	    "Reserve": ["offset_bytes", "length_bytes"],
	    "Unreserve": ["offset_bytes", "length_bytes"],
	    "HasPage": ["offset_bytes"],
	    "Copy": ["from_offset_bytes", "to_offset_bytes", "length_bytes"],
	}.items():
	    handles = {"from": handle, "to": other} \
	        if method == "Copy" else {"object": handle}
	    for values in itertools.product(wrong, repeat=len(names)):
	        r = call(method, **handles, **dict(zip(names, values)))
	        assert r["error"].endswith("InvalidParameter"), (r, values)
	        n += 1
	    for bad in [0, -1, 99, 2**62, "x", None]:
	        r = call(method, **{k: bad for k in handles},
	             **{k: 4096 for k in names})
	        assert r["error"].endswith("InvalidParameter"), r
	not_text = [-1, 1, True, 1.5, [], {}]
	for value in not_text:
	    for r in [call("AllowSwap", object=[value]),
	              call("SetWritable", region=1, writable=value),
	              call("Map", device=value),
	              call("Map", device="/x", cells=str(value)),
	              call("GetTunables", name=value),
	              call("SetTunable", name=value, value="1"),
	              call("SetTunable", name="cluster", value=value)]:
	        assert r["error"].endswith("InvalidParameter"), (value, r)
	for cells in [-1, 4097, 2**63 - 1]:
	    r = call("Map", device="/x", cells=cells)
	    assert r["error"].endswith("InvalidParameter"), (cells, r)
	assert call("Hello", protocol=1)["parameters"]["protocol"] == 1
	print(n)
	END
	assert_success
	assert_output --regexp '^[0-9]{4}$'
	assert_equal "$(standing)" "$before"
	order a check x 1 0 8
	end_client a
	stop_swapd
}

@test "sums by process and by user are those of the objects" {
	require_root
	start_swapd --ram 4M --on "$(make_swapfile 32M)"
	start_client a
	start_client b
	order a create a1 256
	order a create a2 1024
	order b create b1 2048
	order a fill a1 1 0 256
	order a fill a2 2 0 1024
	order b fill b1 3 0 2048
	order a reserve a2 0 16
	swapctl -p t objects --json >objects.json
	swapctl -p t objects --by-process --json >processes.json
	swapctl -p t objects --by-user --json >users.json
	run python3 - "$a_pid" "$b_pid" <<-'END'
	import json, sys
	objects, processes, users = (json.load(open(x + ".json")) for x in
	                 ("objects", "processes", "users"))
	keys = ["size_bytes", "resident_bytes", "swapped_bytes", "block_bytes",
	    "wired_bytes", "reserved_bytes"]
	assert sorted(p["pid"] for p in processes) == \
	    sorted(map(int, sys.argv[1:])), processes
	for p in processes:
	    mine = [o for o in objects if o["pid"] == p["pid"]]
	    assert p["objects"] == len(mine) and p["command"] == "objects", p
	    for k in keys:
	        assert p[k] == sum(o[k] for o in mine), (k, p)
	assert len(users) == 1 and users[0]["uid"] == 0, users
	assert users[0]["objects"] == 3
	assert users[0]["charged_bytes"] == users[0]["size_bytes"] == 3328 << 12
	for k in keys:
	    assert users[0][k] == sum(o[k] for o in objects), (k, users)
	END
	assert_success
	run swapctl -p t objects --by-process
	assert_line --index 0 --regexp '^ +PID COMMAND OWNER OBJECTS +SIZE RESIDENT +SWAPPED +BLOCKS WIRED RESERVED$'
	assert_line --regexp "^ *$a_pid objects root +2 +5M .* 64K$"
	assert_line --regexp "^ *$b_pid objects root +1 +8M .* 0B$"
	run swapctl -p t objects --by-user
	assert_line --regexp '^root +3 +13M +- +- '
	run swapctl -p t objects
	assert_line --index 0 --regexp ' RESERVED REGIONS WRITERS MAP$'
	assert_line --regexp '^ *[0-9]+ a2 .* 64K +1 +1 [a-z]+$'
	end_client a
	end_client b
	run swapctl -p t objects --by-process
	assert_output "no objects"
	stop_swapd
}
