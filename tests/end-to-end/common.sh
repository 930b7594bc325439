# What all of these tests begin with; each reads it as its first command, with its own first argument, SHARED.
#
# SHARED holds trees/r-opt.tar.xz, R 4.2.2 built under /opt, and tools/al2023-root and in-al2023, which lay out and enter a root
# with what Lambda's provided.al2023 has. LAMBDAR_PRUNE is the program. The test goes on in a new folder, with the tree in
# `tree`.
set -euo pipefail
shared=$(readlink -f "${1:?the first argument is the folder SHARED; see common.sh}")
program=$(readlink -f "${LAMBDAR_PRUNE:?set LAMBDAR_PRUNE to the program}")
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export XDG_CACHE_HOME=$work/cache

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

say "unpack the tree"
mkdir tree
tar xJf "$shared/trees/r-opt.tar.xz" -C tree
