#!/usr/bin/env bash
# Times `lambdar-prune check` against `unzip -tq` on the same zips, in turn, each as a whole process.
#
# usage: benches/check-against-unzip.sh TREE [RUNS]; builds the release program and packs the tree with it. Needs unzip.
set -euo pipefail
tree=$(readlink -f "${1:?usage: check-against-unzip.sh TREE [RUNS]}")
runs=${2:-11}
cd "$(dirname "$(readlink -f "$0")")/.."
cargo build --release --quiet
program=$PWD/target/release/lambdar-prune
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

"$program" pack "$tree" -o layers --quiet >/dev/null || [[ $? -eq 1 ]]

# Milliseconds by bash's own clock: GNU time counts in steps of ten.
milliseconds() {
    local start=${EPOCHREALTIME/./}
    "$@" >/dev/null 2>&1 || [[ $? -eq 1 ]]
    echo $(((${EPOCHREALTIME/./} - start) / 1000))
}
test_all() { for zip in layers/*.zip; do unzip -tq "$zip"; done; }
: >ours; : >theirs
for ((run = 0; run < runs; run++)); do
    milliseconds "$program" check layers --quiet >>ours
    milliseconds test_all >>theirs
done
median() { sort -n "$1" | sed -n "$(((runs + 1) / 2))p"; }
a=$(median ours) b=$(median theirs)
printf '%s bytes in %s zips, median of %s runs, milliseconds\n' "$(cat layers/*.zip | wc -c)" "$(ls layers/*.zip | wc -l)" "$runs"
printf '%-24s %6s\n' 'lambdar-prune check' "$a" 'unzip -tq' "$b"
awk -v a="$a" -v b="$b" 'BEGIN { printf "%-24s %6.2f\n", "ratio", a / b }'
