# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# sources.bash - the files of the project, for the gates that look at all

# Paths below SWAPKIT_SRC, each ended by a NUL, without what is generated or
# belongs to a build.
list_sources()
{
	# A build folder in the tree may have any name.
	local build=${SWAPKIT_BUILD:-}

	[[ $build/ == "$SWAPKIT_SRC"/?* ]] || build=$SWAPKIT_SRC/build
	(cd "${SWAPKIT_SRC:?}" && find . \
		\( -name .git -o -name autom4te.cache -o -name .deps \
		-o -name .libs -o -path ./build-aux -o -path ./m4 \
		-o -path './build*' -o -path './_build' -o -path './_inst' \
		-o -path ".${build#"$SWAPKIT_SRC"}" \) \
		-prune -o -type f \
		! -name Makefile.in ! -name '*.varlink.h' \
		! -path ./configure ! -name '*~' ! -path ./config.status ! -path ./libtool \
		! -path ./config.sh ! -path ./tests/config.sh \
		-printf '%P\0')
}

is_shell_script()	# PATH
{
	local line

	IFS= read -r line <"$SWAPKIT_SRC/$1" 2>/dev/null || return
	[[ $line =~ ^'#!'.*(/|' ')(ba)?sh($|' ') ]]
}
