#!/usr/bin/env bash
# Times `lambdar-prune pack` against `zip -q -9 -y -r` over the same kept files, in turn, and compares the bytes.
#
# usage: benches/pack-against-zip.sh TREE [RUNS]; builds the release program. Needs zip, unzip and GNU time.
set -euo pipefail
tree=$(readlink -f "${1:?usage: pack-against-zip.sh TREE [RUNS]}")
runs=${2:-5}
cd "$(dirname "$(readlink -f "$0")")/.."
cargo build --release --quiet
program=$PWD/target/release/lambdar-prune
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

"$program" pack "$tree" -o layers --max 4000MB --quiet >/dev/null || [[ $? -eq 1 ]]
mkdir kept
unzip -qo layers/layer-1.zip -d kept

seconds() { /usr/bin/time -f %e -o "$work/elapsed" "$@" >/dev/null 2>&1 || [[ $? -eq 1 ]]; tail -n 1 "$work/elapsed"; }
: >ours; : >zips
for ((run = 0; run < runs; run++)); do
    rm -rf layers zip.zip
    seconds "$program" pack "$tree" -o layers --max 4000MB --quiet >>ours
    (cd kept && seconds zip -q -9 -y -r ../zip.zip .) >>zips
done
median() { sort -n "$1" | sed -n "$(((runs + 1) / 2))p"; }
a=$(median ours) b=$(median zips)
x=$(stat -c %s layers/layer-1.zip) y=$(stat -c %s zip.zip)
printf '%-22s %10s %12s\n' '' 'seconds' 'bytes' 'lambdar-prune pack' "$a" "$x" 'zip -q -9 -y -r' "$b" "$y"
awk -v a="$a" -v b="$b" -v x="$x" -v y="$y" 'BEGIN { printf "%-22s %10.2f %12.3f\n", "ratio", a / b, x / y }'
