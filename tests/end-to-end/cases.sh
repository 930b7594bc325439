#!/usr/bin/env bash
# Small cases, each of a kind that went wrong for somebody.
#
# usage: cases.sh SHARED
# Needs LAMBDAR_PRUNE, the program, and what the cases need: gcc, patchelf, python3, node, strace, bubblewrap, zip, unzip, zsh, fish.
set -euo pipefail
: "${LAMBDAR_PRUNE:?set LAMBDAR_PRUNE to the program}"
shared=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$(readlink -f "$LAMBDAR_PRUNE")" "$work/lambdar-prune"
export PATH="$work:$PATH"
# The program of this case is linked to a library that the linker of some distributions leaves out, and then it does not start.
linked=undefined-symbol-of-the-runtimes-library
printf '#!/bin/sh\nexec gcc -Wl,--no-as-needed "$@"\n' >"$work/cc"
chmod +x "$work/cc"
CC="$work/cc" "$shared/cases/run" -v "$linked"
mapfile -t others < <(basename -s .sh "$shared"/cases/[0-9]*.sh | grep -v "$linked")
"$shared/cases/run" -v "${others[@]}"
