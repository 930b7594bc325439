#!/usr/bin/env bash
# Ways out of the sandbox of `invoke`, tried by a function as root and as an ordinary user: none works.
#
# usage: escape.sh, with LAMBDAR_PRUNE. Needs bubblewrap, gcc, setpriv and, for root's part, root.
set -euo pipefail
program=$(readlink -f "${LAMBDAR_PRUNE:?set LAMBDAR_PRUNE to the program}")
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

chmod 755 .
mkdir layer task home cache
chmod 777 cache
echo host-secret >secret
"${CC:-gcc}" -O1 -static -o layer/bootstrap "$here/escape.c"
cp "$program" program
ln -s "$work/secret" layer/link
ln -s /proc/1/root layer/root
ln -s "$work/secret" task/link
touch task/file
# A program that is root's for whoever starts it: neither its owner nor that bit comes into the sandbox.
cp layer/bootstrap layer/setuid
chmod 4755 layer/setuid

# tried NAME COMMAND...: runs `COMMAND... invoke`, and looks at what the function says.
tried() {
    local name=$1 status=0
    shift
    say "$name"
    exec 7<"$work" 8>>"$work/written"
    "$@" ./program invoke layer --task task --handler x.y --timeout 60 --env "MARKER=$work/secret" >"$name.log" 2>&1 || status=$?
    exec 7<&- 8>&-
    sed -n 's/^WAY *//p' "$name.log"
    [[ $status == 1 ]] || { cat "$name.log"; fail "exit status $status"; }
    local ways
    ways=$(sed -n 's/^WAYS end //p' "$name.log")
    [[ ${ways:-0} -ge 40 && $(grep -c '^WAY ' "$name.log") == "$ways" ]] || fail "it did not come to its end"
    ! grep '^WAY .*: out$' "$name.log" || fail "a way out"
    [[ ! -s written ]] || fail "something was written"
}

environment=(env "XDG_CACHE_HOME=$work/cache")
if [[ $(id -u) == 0 ]]; then
    swappiness=$(cat /proc/sys/vm/swappiness)
    tried root "${environment[@]}"
    tried root-without-mounts setpriv --bounding-set -sys_admin "${environment[@]}"
    tried user setpriv --reuid 65534 --regid 65534 --clear-groups "${environment[@]}"
    [[ $(cat /proc/sys/vm/swappiness) == "$swappiness" ]] || fail "a sysctl has changed"
else
    tried user "${environment[@]}"
fi
echo "escape: all passed"
