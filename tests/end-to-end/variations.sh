#!/usr/bin/env bash
# Packs a tree and verifies it under eight variations of what is around: umask, time zone, locale, working directory, order of
# directory entries, threads, user, and file system. Needs root for the last two (setpriv, mount of a tmpfs).
#
# Usage: variations.sh [TREE]   (LAMBDAR_PRUNE names the program; without a tree, a small one is made)
set -euo pipefail

program=$(readlink -f "${LAMBDAR_PRUNE:-target/debug/lambdar-prune}")
work=$(mktemp -d)
trap 'umount "$work/other" 2>/dev/null || true; rm -rf "$work"' EXIT
chmod 755 "$work"
export HOME=$work XDG_CACHE_HOME=$work/cache

if [[ $# -gt 0 ]]; then
    tree=$(readlink -f "$1")
else
    tree=$work/tree
    mkdir -p "$tree/share/data" "$tree/bin"
    for number in $(seq 300); do
        echo "$((number % 17)) $(seq "$number" $((number + 50)))" >"$tree/share/data/$number.txt"
    done
    printf '#!/bin/sh\necho hello\n' >"$tree/bin/hello"
    chmod 755 "$tree/bin/hello"
    ln -s hello "$tree/bin/hi"
fi

"$program" pack "$tree" -q --no-cache --provenance -o "$work/layers" >"$work/packed" || [[ $? -eq 1 ]]
passed=0

# Verifies the layers by a command that has lambdar-prune's arguments appended.
same() {
    local what=$1
    shift
    if "$@" >"$work/said" 2>&1; then
        echo "the same: $what"
        passed=$((passed + 1))
    else
        echo "NOT the same: $what"
        cat "$work/said"
        exit 1
    fi
}

verify=("$program" verify "$work/layers")
same umask bash -c 'umask 077; exec "$@"' bash "${verify[@]}" "$tree"
same "time zone" env TZ=Pacific/Kiritimati "${verify[@]}" "$tree"
same locale env LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8 LANGUAGE=tr "${verify[@]}" "$tree"
same "working directory" bash -c 'cd /; exec "$@"' bash "${verify[@]}" "$(realpath --relative-to=/ "$tree")"

# Directories list their entries in the order of a hash of the names, or of their creation: a copy in reverse order.
mkdir "$work/reverse"
(cd "$tree" && find . -mindepth 1 | LC_ALL=C sort -r) >"$work/paths"
tar -C "$tree" --no-recursion --files-from="$work/paths" -cf - | tar -C "$work/reverse" -xpf -
same "order of directory entries" "${verify[@]}" "$work/reverse"

same threads "${verify[@]}" "$tree" --threads 1

cp "$program" "$work/lambdar-prune"
cp -a "$tree" "$work/own"
chown -R 65534:65534 "$work/own"
mkdir "$work/home" && chown 65534:65534 "$work/home"
same user env HOME="$work/home" setpriv --reuid=65534 --regid=65534 --clear-groups "$work/lambdar-prune" verify "$work/layers" "$work/own"

mkdir "$work/other"
mount -t tmpfs tmpfs "$work/other"
cp -a "$tree" "$work/other/tree"
same "file system ($(stat -f -c %T "$work/other") and $(stat -f -c %T "$tree"))" "${verify[@]}" "$work/other/tree"

echo "the same under $passed variations"
