# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# screens.bash - swaptop in a terminal of tmux (load lib/snapshot before)
#
# A screen that must be exact is in tests/screens.  SWAPTOP_SCREENS=write makes
# these files anew: look at them before you keep them.

# Clocks on a screen are in local time.
export TZ=UTC

# Print the path of a recording; lib/make-recording says which there are.
recording()	# NAME
{
	local file=$SWK_TMP/$1.recording

	[ -e "$file" ] || "$SWAPKIT_SRC/tests/lib/make-recording" \
		"$SWAPKIT_SRC/libswap/ipc/org.swapkit.Pager.varlink" "$1" \
		>"$file" || return
	echo "$file"
}

# Start it; its exit status goes to the file "status".
start_swaptop()	# WIDTHxHEIGHT ARGS...
{
	local size=$1

	shift
	command -v tmux >/dev/null || skip "needs tmux"
	rm -f status
	tmux_number=$((${tmux_number:-0} + 1))
	tmux=(tmux -u -S "$SWK_TMP/tmux$tmux_number")
	"${tmux[@]}" -f /dev/null new-session -d -x "${size%x*}" \
		-y "${size#*x}" "${SWAPTOP_ENV:-env} swaptop $* 2>errors
			echo \$? >status; cat" 3>&- || skip "tmux does not run here"
	register_pid "$("${tmux[@]}" display-message -p '#{pid}')"
}

resize() { "${tmux[@]}" resize-window -x "${1%x*}" -y "${1#*x}"; }

# Bytes in hexadecimal, as a terminal would send them.
send_bytes() { "${tmux[@]}" send-keys -H "$@"; }

# A button of the mouse (0 left, 64 wheel up, 65 wheel down) at a place that
# counts from 0.
mouse()	# BUTTON COLUMN ROW
{
	local column row

	column=$(printf %x $(($2 + 33))) row=$(printf %x $(($3 + 33)))
	send_bytes 1b 5b 4d "$(printf %x $(($1 + 32)))" "$column" "$row"
	# A wheel is not let go.
	[ "$1" -ge 64 ] || send_bytes 1b 5b 4d 23 "$column" "$row"
}

has_ended() { [ -s status ]; }

# Quit, and expect that all is well.
quit_swaptop()
{
	press q
	wait_until 20 has_ended
	assert_equal "$(cat status)" 0
	assert_equal "$(cat errors)" ""
}

# Blanks at the ends of lines depend on what was there before.
bare_screen() { screen | sed 's/ *$//'; }
screen_equals() { [ "$(bare_screen)" = "$(cat "$1")" ]; }

# Does the screen become exactly that of a file in tests/screens?
shows()	# NAME
{
	local file=$SWAPKIT_SRC/tests/screens/$1

	if [ "${SWAPTOP_SCREENS:-}" = write ]; then
		sleep 1
		bare_screen >"$file"
	fi
	wait_until 20 screen_equals "$file" ||
		diff -u --label "$1" --label screen "$file" <(bare_screen)
}
