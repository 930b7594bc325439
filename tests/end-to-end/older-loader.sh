#!/usr/bin/env bash
# Whether an older loader takes what pack repairs: objects of the reference tree and of Debian 13, held against stubs of the
# runtime's glibc by ld.so's own check of versions. And whether the repaired programs do the same as before.
#
# usage: older-loader.sh SHARED TRIXIE BOOKWORM; see common.sh. TRIXIE and BOOKWORM are roots of Debian 13 and 12; what is not
# there is made with debootstrap, which wants root.
# Needs bubblewrap, python3 with venv, unzip, and PyPI for zig (package ziglang), which has stubs of every glibc.
trixie=$(readlink -m "${2:?the second argument is a root of Debian 13}")
bookworm=$(readlink -m "${3:?the third argument is a root of Debian 12}")
. "$(dirname "$(readlink -f "$0")")/common.sh"
packages=coreutils,jq,sqlite3,g++,python3,r-base-core,r-cran-cluster,r-cran-lattice,r-cran-mass,r-cran-matrix,r-cran-mgcv,r-cran-nlme,r-cran-nnet,r-cran-rpart,r-cran-spatial,r-cran-survival
[[ -e $trixie ]] || debootstrap --variant=minbase --include="$packages" trixie "$trixie" >/dev/null
[[ -e $bookworm ]] || debootstrap --variant=minbase --include=libstdc++6 bookworm "$bookworm" >/dev/null
triplet=x86_64-linux-gnu

say "stubs of glibc 2.34"
python3 -m venv venv
venv/bin/pip install --quiet ziglang
export ZIG_GLOBAL_CACHE_DIR=$work/zig ZIG_LOCAL_CACHE_DIR=$work/zig
echo 'int main(void) { return 0; }' >main.c
venv/bin/python -m ziglang cc -target $triplet.2.34 -o main main.c -lm
mkdir stubs
find zig -name 'lib*.so.*' -exec cp {} stubs/ \;
[[ -e stubs/libc.so.6 && -e stubs/libm.so.6 ]] || fail "zig left no stubs: $(find zig -name '*.so*')"
# The runtime's libstdc++ and libgcc_s are those of gcc 14, as those of Debian 13 are.
for name in libstdc++.so.6 libgcc_s.so.1; do cp -L "$trixie/usr/lib/$triplet/$name" stubs/; done
ls stubs

say "pack the reference tree, and a tree of Debian 13"
"$program" pack tree -o reference --no-strip
mkdir -p debian/{bin,lib/$triplet}
for name in $(cd "$trixie/usr/bin" && grep -hE '^/usr/bin/' "$trixie"/var/lib/dpkg/info/{coreutils,jq,sqlite3}*.list | xargs -n1 basename) python3.13; do
    cp -a "$trixie/usr/bin/$name" debian/bin/
done
mkdir debian/lib/python3.13
cp -a "$trixie/usr/lib/python3.13/lib-dynload" debian/lib/python3.13/
cp -a "$trixie/usr/lib/R" debian/lib/
rm -rf debian/lib/R/library/*/{help,html,doc,data,R}
for name in jq onig sqlite3 readline tirpc; do cp -a "$trixie/usr/lib/$triplet"/lib$name.so.* "debian/lib/$triplet/"; done
"$program" pack debian -o debian-layers --no-strip --no-fix=companions --library-dir "$trixie/usr/lib/$triplet" -q >/dev/null || [[ $? -eq 1 ]]
for layers in reference debian-layers; do
    mkdir "opt-$layers"
    for zip in "$layers"/layer-*.zip; do unzip -qo "$zip" -d "opt-$layers"; done
    # Each repaired object by the file that it was, its path in the layers, and where it is now.
    python3 - "$layers" <<'PYTHON' >"$layers.repaired"
import json, os, sys
layers = json.load(open(sys.argv[1] + "/layers.json"))
tree = {"reference": "tree", "debian-layers": "debian"}[sys.argv[1]]
origins = {file["path"]: file["from"] for file in layers["added"]}
for path in sorted({file["path"] for file in layers["changed"] if file["by"] == "symbol-versions"}):
    print(os.path.abspath(os.path.join(tree, origins.get(path, path))), path, os.path.abspath(f"opt-{sys.argv[1]}/{path}"))
PYTHON
done

say "the loader's own check of versions"
# complaints OBJECT: what is wrong with the versions that this object asks for. Other libraries come from Debian 12.
complaints() {
    { timeout 20 env LD_TRACE_LOADED_OBJECTS=1 LD_WARN=1 "$bookworm/usr/lib/$triplet/ld-linux-x86-64.so.2" \
        --library-path "$work/stubs:$bookworm/usr/lib/$triplet:$trixie/usr/lib/$triplet:$trixie/usr/lib/R/lib" "$1" 2>&1 || true; } |
        grep -E "version \`?[A-Za-z0-9_.]+'? not found" | grep -F "(required by $1)" || true
}
accepted=0
while read -r before _ after; do
    [[ -n $(complaints "$before") ]] || fail "the loader takes $before as it is"
    text=$(complaints "$after")
    [[ -z $text ]] || fail "the loader refuses the repaired $after: $text"
    accepted=$((accepted + 1))
done < <(cat reference.repaired debian-layers.repaired)
echo "$accepted objects: refused before, accepted after"
[[ $(wc -l <reference.repaired) -eq 2 && $accepted -ge 50 ]] || fail "too few objects"

say "the repaired programs do the same as before, in a root of Debian 13"
binds=()
while read -r before path after; do
    case $before in
        "$trixie"/*) binds+=(--ro-bind "$after" "${before#"$trixie"}") ;;
        *) binds+=(--ro-bind "$after" "/usr/$path") ;;
    esac
done <debian-layers.repaired
run() { bwrap --ro-bind "$trixie" / "$@" --dev /dev --proc /proc --tmpfs /tmp --ro-bind "$here/older-loader.commands" /tmp/commands --dir /tmp/work --chdir /tmp/work \
    --unshare-all --setenv LC_ALL C.UTF-8 \
    /bin/bash -c 'while IFS= read -r line; do case $line in ""|"#"*) continue;; esac; printf "\$ %s\n" "$line"; /bin/bash -c "$line" 2>&1 </dev/null; echo "status $?"; done </tmp/commands'; }
run >before.txt
run "${binds[@]}" >after.txt
diff before.txt after.txt || fail "the output differs"
runs=$(grep -c '^status 0' after.txt)
echo "$runs commands: the same output"
[[ $runs -ge 100 ]] || fail "only $runs of the commands succeed: $(grep -B2 '^status [1-9]' after.txt)"

say "a C++ program of Debian 13 runs on Debian 12 with the libstdc++ of Debian 13 beside the runtime's"
cat >program.cpp <<'CPP'
#include <format>
#include <iostream>
#include <vector>
#ifdef PROVIDED
extern "C" int provided();
#endif
int main(int argc, char **) {
    std::vector<double> values(static_cast<unsigned>(argc), 1.5);
    try { values.at(7); } catch (const std::out_of_range &) { std::cout << "caught\n"; }
    std::cout << std::format("{:.3f}", values[0]) << std::endl;
#ifdef PROVIDED
    return provided();
#endif
}
CPP
cat >provided.cpp <<'CPP'
#include <string>
extern "C" int provided() { return std::string("provided").size() == 8 ? 0 : 1; }
CPP
in_trixie() { bwrap --ro-bind "$trixie" / --bind "$work" /mnt --dev /dev --proc /proc --tmpfs /tmp --chdir /mnt --unshare-all "$@"; }
mkdir -p runtime/{lib64,usr/lib64,usr/bin,var/task,opt,proc,dev} plain/bin both/bin
ln -s usr/bin runtime/bin
cp -L "$bookworm/usr/lib/$triplet/ld-linux-x86-64.so.2" runtime/lib64/
for name in libc.so.6 libm.so.6 libgcc_s.so.1 libstdc++.so.6; do cp -L "$bookworm/usr/lib/$triplet/$name" runtime/usr/lib64/; done
cp -L "$bookworm"/usr/bin/bash runtime/usr/bin/sh
cp -L "$bookworm/lib/$triplet/libtinfo.so.6" runtime/usr/lib64/
in_trixie g++ -shared -fPIC -Wl,-soname,libprovided.so.1 -o runtime/usr/lib64/libprovided.so.1 provided.cpp
in_trixie g++ -std=c++20 -o plain/bin/program program.cpp
in_trixie g++ -std=c++20 -DPROVIDED -o both/bin/program program.cpp runtime/usr/lib64/libprovided.so.1
"$program" runtimes capture runtime -o bookworm.toml --name bookworm
enter() { bwrap --bind runtime / --ro-bind "$1" /opt --dev /dev --proc /proc --setenv LD_LIBRARY_PATH /lib64:/usr/lib64:/opt/lib /opt/bin/program; }
if enter plain 2>message; then fail "it runs as it is"; fi
grep -F 'GLIBCXX_3.4.3' message
"$program" pack plain -o plain-layers --runtime bookworm.toml --library-dir "$trixie/usr/lib/$triplet"
"$program" check plain-layers --runtime bookworm.toml
mkdir opt-plain && unzip -qo plain-layers/layer-1.zip -d opt-plain
ls opt-plain/lib
[[ $(enter opt-plain) == $'caught\n1.500' ]] || fail "the packed program does not run"
if "$program" pack both -o both-layers --runtime bookworm.toml --library-dir "$trixie/usr/lib/$triplet" >both.txt; then fail "two libstdc++ in one process"; fi
cat both.txt
grep -F 'libprovided.so.1, which the same process loads, needs the runtime' both.txt >/dev/null || fail "the reason is not given"

echo
echo "older loader: all passed"
