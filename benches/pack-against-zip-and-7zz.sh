#!/usr/bin/env bash
# `lambdar-prune pack` beside `zip -q -9 -y -r` with `zipsplit`, and `7zz a -tzip -mx=9`, over the same kept files: wall time,
# bytes, archives and peak memory, one table. Then a run with one changed file, and trees of two sizes each.
#
# usage: benches/pack-against-zip-and-7zz.sh TREE [RUNS]; builds the release program unless LAMBDAR_PRUNE names one. Needs zip (with zipsplit), unzip, 7zz
# (Debian: zip, unzip, 7zip), GNU time (time) and 8 GB of disk. RUNTIME, a file for --runtime, is optional. SKIP_HUGE=1 leaves
# the large trees out.
set -euo pipefail
tree=$(readlink -f "${1:?usage: pack-against-zip-and-7zz.sh TREE [RUNS]}")
runs=${2:-3}
cd "$(dirname "$(readlink -f "$0")")/.."
[[ ${LAMBDAR_PRUNE:-} ]] || cargo build --release --quiet
program=$(readlink -f "${LAMBDAR_PRUNE:-target/release/lambdar-prune}")
# However large the tree, it is packed: more layers than Lambda takes are no matter here.
options=(-q --max-layers 1000 --max-unzipped 100GB ${RUNTIME:+--runtime "$(readlink -f "$RUNTIME")"})
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export XDG_CACHE_HOME=$work/cache

# Wall seconds, processor seconds and peak memory (kB) of a command, which may also answer no.
measure() {
    sync
    /usr/bin/time -f '%e %U %S %M' -o "$work/measured" "$@" >/dev/null 2>&1 || [[ $? -eq 1 ]]
    tail -n 1 "$work/measured" | awk '{ print $1, $2 + $3, $4 }'
}
pack() { measure "$program" pack "${options[@]}" "$@"; }
cold() { rm -rf cache layers; pack "$@"; }
# The medians of the runs' seconds, and the most memory.
summary() {
    local middle=$(((runs + 1) / 2)) field
    for field in 1 2; do cut -d ' ' -f "$field" "$1" | sort -n | sed -n "${middle}p"; done
    cut -d ' ' -f 3 "$1" | sort -n | tail -n 1
}
bytes() { cat "$@" | wc -c; }
largest() { stat -c %s "$@" | sort -n | tail -n 1; }
row() { printf '%-44s %8s %8s %13s %9s %12s %8s\n' "$@"; }
# report NAME MEASURED ZIP...
report() {
    local name=$1 wall processor memory
    # shellcheck disable=SC2086 # three fields
    read -r wall processor memory <<<"$(echo $2)"
    shift 2
    row "$name" "$wall" "$processor" "$(bytes "$@")" $# "$(largest "$@")" "$((memory / 1000))"
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a / b }'; }

pack "$tree" -o all --max 4000MB --no-cache >/dev/null
mkdir kept
unzip -qo all/layer-1.zip -d kept
echo "$(find kept -type f | wc -l) files kept, $(find kept -type f -printf '%s\n' | awk '{ s += $1 } END { print s }') bytes, median of $runs runs"
row '' 'wall s' 'cpu s' 'bytes' 'archives' 'largest' 'peak MB'
for capacity in 50000000 8000000; do
    : >ours; : >zips; : >sevens
    for ((run = 0; run < runs; run++)); do
        cold "$tree" -o layers --max "$capacity" >>ours
        rm -rf zip seven
        mkdir zip seven
        (cd kept && measure zip -q -9 -y -r ../zip/all.zip .) >>zips
        (cd kept && measure 7zz a -tzip -mx=9 -snl ../seven/all.zip .) >>sevens
    done
    # zipsplit splits what zip has written; its time counts, too.
    splitting='0 0 0'
    if [[ $(stat -c %s zip/all.zip) -gt $capacity ]]; then
        splitting=$(measure zipsplit -n "$capacity" -b zip zip/all.zip)
        rm zip/all.zip
    fi
    a=$(summary ours | sed -n 1p)
    both=$(echo "$(summary zips)" "$splitting" | xargs | awk '{ print $1 + $4, $2 + $5, $3 }')
    b=${both%% *}
    report "pack --max $capacity, no cache before" "$(summary ours)" layers/layer-*.zip
    report "zip -q -9 -y -r, zipsplit -n $capacity" "$both" zip/*.zip
    report '7zz a -tzip -mx=9' "$(summary sevens)" seven/*.zip
    echo "  wall of pack to zip's: $(ratio "$a" "$b"); bytes: $(ratio "$(bytes layers/layer-*.zip)" "$(bytes zip/*.zip)")," \
        "to 7zz's: $(ratio "$(bytes layers/layer-*.zip)" "$(bytes seven/*.zip)")"
done

echo
row 'one changed file (a copy of the tree, 8 MB)' 'wall s' 'cpu s' 'bytes' 'archives' 'largest' 'peak MB'
cp -a "$tree" copy
changed=$(cd copy && find . -path '*/library/*/R/*.rdx' -size +1k | sort | sed -n 1p)
changed=${changed:-$(cd copy && find . -type f | sort | tail -n 1)}
: >first; : >second
for ((run = 0; run < runs; run++)); do
    rm -rf cache layers copy
    cp -a "$tree" copy
    pack copy -o layers --max 8MB >>first
    sha256sum layers/layer-*.zip >before
    report 'first run' "$(summary first)" layers/layer-*.zip >first-row
    echo "changed" >>"copy/$changed"
    pack copy -o layers --max 8MB >>second
done
same=$(sha256sum --check --quiet before 2>/dev/null | grep -c FAILED || true)
cat first-row
report "again, ${changed##*/} changed" "$(summary second)" layers/layer-*.zip
echo "  wall of the second to the first: $(ratio "$(summary second | sed -n 1p)" "$(summary first | sed -n 1p)")," \
    "processor: $(ratio "$(summary second | sed -n 2p)" "$(summary first | sed -n 2p)"); layers that differ: $same of $(wc -l <before)"
rm -rf copy kept all

[[ ${SKIP_HUGE:-} ]] && exit
# small DIR COUNT: files of some hundred bytes to some kilobytes. large DIR MEGABYTES: files of 4 MB, half of them noise.
make() {
    python3 - "$@" <<'PYTHON'
import os, random, sys
kind, folder, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
noise = random.Random(1)
words = [("%x" % noise.getrandbits(noise.randrange(8, 60))) for _ in range(2000)]
def text(length):
    parts, size = [], 0
    while size < length:
        parts.append(noise.choice(words))
        size += len(parts[-1]) + 1
    return " ".join(parts).encode()[:length]
sample = text(1 << 20)
for number in range(count if kind == "small" else count // 4):
    name = "%s/%03d/%03d" % (folder, number // 1000, number % 1000)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as file:
        if kind == "small":
            start = noise.randrange(1 << 19)
            file.write(b"%d\n" % number + sample[start:start + noise.choice([200, 800, 2000, 5000])])
        elif number % 2:
            file.write(noise.randbytes(4 << 20))
        else:
            file.write(b"%d\n" % number)
            for _ in range(4):
                start = noise.randrange(1 << 20)
                file.write(sample[start:] + sample[:start])
PYTHON
}
echo
row 'large trees' 'wall s' 'cpu s' 'bytes' 'archives' 'largest' 'peak MB'
for case in 'small 50000 200000 files' 'large 500 2000 MB'; do
    read -r kind less more unit <<<"$case"
    for count in "$less" "$more"; do
        rm -rf huge
        make "$kind" huge "$count"
        : >first; : >second
        for ((run = 0; run < runs; run++)); do
            cold huge -o layers >>first
            pack huge -o layers >>second
        done
        report "$count $unit" "$(summary first)" layers/layer-*.zip
        report '  again' "$(summary second)" layers/layer-*.zip
        summary first | paste -sd ' ' >"$kind-$count"
    done
    read -r a a_processor a_memory <"$kind-$less"
    read -r b b_processor b_memory <"$kind-$more"
    echo "  four times the tree: wall times $(ratio "$b" "$a"), processor times $(ratio "$b_processor" "$a_processor")," \
        "memory times $(ratio "$b_memory" "$a_memory")"
done
