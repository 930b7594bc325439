#!/usr/bin/env bash
# Times the resolution of 300 shared libraries by `lambdar-prune check` and by `libtree`, in turn, each as a whole process.
#
# usage: benches/resolve-against-libtree.sh [RUNS]; builds the release program. The libraries are this machine's own, copied
# into a tree. Needs libtree and GNU time.
set -euo pipefail
runs=${1:-7}
cd "$(dirname "$(readlink -f "$0")")/.."
cargo build --release --quiet
program=$PWD/target/release/lambdar-prune
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir -p tree/lib
count=0
for file in /usr/lib/*-linux-gnu/*.so.*; do
    [[ -L $file || $(head -c 4 "$file" | tail -c 3) != ELF ]] && continue
    cp "$file" tree/lib/
    count=$((count + 1))
    [[ $count -eq 300 ]] && break
done
# The names under which they need one another.
for file in tree/lib/*; do
    soname=$(objdump -p "$file" | awk '$1 == "SONAME" { print $2 }')
    [[ -n $soname && ! -e tree/lib/$soname ]] && ln -s "$(basename "$file")" "tree/lib/$soname"
done
files=$(find tree/lib -type f | sort)

seconds() { /usr/bin/time -f '%e %U %S' -o "$work/elapsed" "$@" >/dev/null 2>&1 || true; cat "$work/elapsed"; }
: >ours; : >theirs
for ((run = 0; run < runs; run++)); do
    seconds "$program" check tree --format json >>ours
    # shellcheck disable=SC2086 # one argument a file
    LD_LIBRARY_PATH=$PWD/tree/lib seconds libtree -v $files >>theirs
done
median() { awk -v column="$2" '{ print $column }' "$1" | sort -n | sed -n "$(((runs + 1) / 2))p"; }
printf '%s objects, median of %s runs\n' "$count" "$runs"
printf '%-24s %8s %8s\n' '' 'wall s' 'user s'
printf '%-24s %8s %8s\n' 'lambdar-prune check' "$(median ours 1)" "$(median ours 2)" 'libtree -v' "$(median theirs 1)" "$(median theirs 2)"
awk -v a="$(median ours 1)" -v b="$(median theirs 1)" 'BEGIN { printf "%-24s %8.2f\n", "ratio", a / b }'
