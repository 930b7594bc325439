#!/usr/bin/env bash
# Small cases, each of a kind that went wrong for somebody.
#
# usage: cases.sh SHARED [PATTERN...]: those whose names contain a pattern, all without one.
# Needs LAMBDAR_PRUNE, the program, and what the cases need: gcc, patchelf, python3, node, strace, bubblewrap, zip, unzip, zsh, fish.
set -euo pipefail
: "${LAMBDAR_PRUNE:?set LAMBDAR_PRUNE to the program}"
shared=$(readlink -f "$1")
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$(readlink -f "$LAMBDAR_PRUNE")" "$work/lambdar-prune"
# A program of a case needs every library that it is linked to, also those that the distribution's linker would leave out.
printf '#!/bin/sh\nexec gcc -Wl,--no-as-needed "$@"\n' >"$work/cc"
chmod +x "$work/cc"
CC="$work/cc" PATH="$work:$PATH" "$shared/cases/run" -v "$@"
