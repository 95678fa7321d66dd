# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# snapshot.bash - what swapctl shows: its snapshot, its JSON, its screen

# Evaluate an expression over the snapshot s, with d["PATH"] its devices.
snapshot()	# EXPRESSION [ARGS...]
{
	swapctl -p t status --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
d = {x["path"]: x for x in s["devices"]}
o = {x["name"]: x for x in s["objects"]}
argv = sys.argv[2:]
print(eval(sys.argv[1]))' "$@"
}

# A figure of the pager as a whole, the first of that name.
number()	# NAME
{
	swapctl -p t status --json |
		sed -n 's/.*"'"$1"'": *\([0-9]*\).*/\1/p' | head -n 1
}

# Pages have gone out and come back, and not just a few.
paged_something()
{
	[ "$(number pageout_pages)" -gt 1000 ] &&
		[ "$(number pagein_pages)" -gt 1000 ]
}

# Does the expression hold?  Shows the snapshot if not.
holds()	# EXPRESSION [ARGS...]
{
	assert_equal "$1: $(snapshot "bool($1)" "${@:2}")" "$1: True"
}

is_true() { [ "$(snapshot "bool($1)" "${@:2}")" = True ]; }

# Check standard input against a type of the interface definition: every
# member that it names, of its kind, and no other.
conforms()	# TYPE, as "Snapshot" or "[]Device"
{
	python3 -c '
import json, re, sys
text = re.sub("#.*", "", open(sys.argv[1]).read())
types = {}
for name, body in re.findall(r"type\s+(\w+)\s*\(([^)]*)\)", text):
	types[name] = dict(re.findall(r"(\w+)\s*:\s*([\w\[\]?]+)", body))
kinds = {"int": int, "string": str, "bool": bool}
def check(value, kind, where):
	if kind.startswith("[]"):
		assert type(value) is list, where + ": no array"
		for i, item in enumerate(value):
			check(item, kind[2:], "%s[%d]" % (where, i))
	elif kind in kinds:
		assert type(value) is kinds[kind], where + ": no " + kind
	else:
		assert type(value) is dict, where + ": no object"
		assert set(value) == set(types[kind]), where + ": members %s" % (
			set(value) ^ set(types[kind]))
		for key, item in value.items():
			check(item, types[kind][key], where + "." + key)
check(json.load(sys.stdin), sys.argv[2], sys.argv[2])' \
		"$SWAPKIT_SRC/libswap/ipc/org.swapkit.Pager.varlink" "$1"
}

# One of tmux, with a terminal of 100 by 30, or another width, that runs a
# command.
start_tmux()	# COMMAND [WIDTH]
{
	command -v tmux >/dev/null || skip "needs tmux"
	# One that is ending still holds its socket.
	tmux_number=$((${tmux_number:-0} + 1))
	tmux=(tmux -u -S "$SWK_TMP/tmux$tmux_number")
	"${tmux[@]}" -f /dev/null new-session -d -x "${2:-100}" -y 30 "$1" 3>&- ||
		skip "tmux does not run here"
	register_pid "$("${tmux[@]}" display-message -p '#{pid}')"
}

screen() { "${tmux[@]}" capture-pane -pJ; }
on_screen() { screen | grep -q -- "$1"; }
off_screen() { ! on_screen "$1"; }
press() { "${tmux[@]}" send-keys "$@"; }
