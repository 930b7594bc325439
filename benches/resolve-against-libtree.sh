#!/usr/bin/env bash
# Times the resolution of 300 shared libraries by the resolver of lambdar-prune (`examples/resolve.rs`: it reads them, follows
# every process, and prints what serves each need) and by `libtree`, in turn, each as a whole process. With every version and
# symbol looked up in each library's own process (`examples/processes.rs`) it may take twice libtree's time. `lambdar-prune
# check`, which judges much more than libraries, is shown beside them. Processor time is compared, which counts the threads of
# one as much as the other's only one, and what else the machine does changes little.
#
# usage: benches/resolve-against-libtree.sh [RUNS]; builds the release program. The libraries are this machine's own, copied
# into a tree. Needs libtree and objdump.
set -euo pipefail
runs=${1:-21}
cd "$(dirname "$(readlink -f "$0")")/.."
cargo build --release --quiet --bin lambdar-prune --example resolve --example processes
program=$PWD/target/release/lambdar-prune
resolve=$PWD/target/release/examples/resolve
processes=$PWD/target/release/examples/processes
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

# Milliseconds that the processors worked, by bash's own clock: GNU time counts in steps of ten.
milliseconds() {
    local TIMEFORMAT='%U %S'
    { time "$@" >/dev/null 2>&1 || true; } 2>&1 | awk '{ printf "%.0f\n", ($1 + $2) * 1000 }'
}
: >ours; : >theirs; : >whole; : >symbols
for ((run = 0; run < runs; run++)); do
    milliseconds "$resolve" tree >>ours
    milliseconds "$processes" tree provided.al2023 /opt/lib >>symbols
    milliseconds "$program" check tree --format json >>whole
    # shellcheck disable=SC2086 # one argument a file
    LD_LIBRARY_PATH=$PWD/tree/lib milliseconds libtree -v $files >>theirs
done
median() { sort -n "$1" | sed -n "$(((runs + 1) / 2))p"; }
a=$(median ours) b=$(median theirs) c=$(median symbols)
printf '%s objects, median of %s runs, milliseconds of processor time\n' "$count" "$runs"
printf '%-24s %6s\n' 'resolve' "$a" 'with symbols' "$c" 'libtree -v' "$b" 'lambdar-prune check' "$(median whole)"
awk -v a="$a" -v b="$b" -v c="$c" 'BEGIN { printf "%-24s %6.2f\n%-24s %6.2f\n", "ratio resolve / libtree", a / b, "with symbols / libtree", c / b }'
