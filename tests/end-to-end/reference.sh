#!/usr/bin/env bash
# The whole way on a real R tree: analyze, pack, check, unpack, run R as Lambda would.
#
# usage: reference.sh SHARED; see common.sh.
# Needs bubblewrap, patchelf, unzip, python3, and the libraries libgfortran5, libquadmath0 and libtirpc3.
. "$(dirname "$(readlink -f "$0")")/common.sh"

before=$(cd tree && find . -printf '%p %y %m %s %T@ %l\n' | sort | sha256sum)

say "analyze"
"$program" analyze tree --format json >analysis.json || [[ $? -eq 1 ]]
python3 - <<'PYTHON'
import json
analysis = json.load(open("analysis.json"))
missing = {entry["soname"]: entry["needed_by"] for entry in analysis["libraries"]["missing"]}
for soname, needed_by in {
    "libgfortran.so.5": "R/lib/R/lib/libRlapack.so",
    "libquadmath.so.0": "lib/libgfortran.so.5",
    "libtirpc.so.3": "R/lib/R/lib/libR.so",
}.items():
    assert needed_by in missing[soname], (soname, missing)
for soname in ("libR.so", "libRlapack.so", "libRblas.so", "libbrotlidec.so.1"):
    assert soname not in missing, soname
print("missing:", ", ".join(sorted(missing)))
PYTHON

say "the runtime, captured from a root with what Lambda has"
"$shared/tools/al2023-root" root
[[ ! -e root/usr/bin/which ]] || fail "the root has a which, and Lambda has none"
"$program" runtimes capture root -o captured.toml --name captured

say "pack with defaults, and for that runtime"
"$program" pack tree -o default
"$program" pack tree -o layers --runtime captured.toml
# The root has no openssl, so that the tree's own stays where it is the runtime.
for most in default=22800000 layers=23300000; do
    folder=${most%=*}
    [[ $(ls "$folder") == $'layer-1.zip\nlayers.json' ]] || fail "not one layer: $(ls "$folder")"
    bytes=$(stat -c %s "$folder/layer-1.zip")
    echo "$folder: $bytes bytes"
    [[ $bytes -lt ${most#*=} ]] || fail "$bytes bytes"
done
after=$(cd tree && find . -printf '%p %y %m %s %T@ %l\n' | sort | sha256sum)
[[ $before == "$after" ]] || fail "the tree was changed"

say "three readers accept the zip"
unzip -tq layers/layer-1.zip
python3 -c 'import sys, zipfile; assert zipfile.ZipFile(sys.argv[1]).testzip() is None' layers/layer-1.zip
"$program" check --runtime captured.toml

say "the default runtime has an older glibc and an older liblzma: check says so of the tree, and pack repairs it"
"$program" check default
if "$program" check tree --format json >tree.json; then fail "check of the tree is green"; fi
python3 - <<'PYTHON'
import json
errors = [finding for finding in json.load(open("tree.json"))["findings"] if finding["code"] == "symbol-version-missing"]
found = sorted(finding["path"] for finding in errors)
assert found == ["R/lib/R/lib/libR.so", "R/lib/R/library/nlme/libs/nlme.so", "bin/xz"], found
for finding in errors:
    version, name = ("XZ_5.4", "lib/liblzma.so.5.4.1 under the name iblzma.so.5") if finding["path"] == "bin/xz" else ("GLIBC_2.35", "hypot@GLIBC_2.2.5")
    assert version in finding["message"], finding
    assert finding["help"].startswith("`lambdar-prune pack` repairs it: ") and name in finding["help"], finding
layers = json.load(open("default/layers.json"))
repaired = sorted((file["path"], file["by"]) for file in layers["changed"] if file["by"] in ("symbol-versions", "newer-libraries"))
assert repaired == [
    ("R/lib/R/lib/libR.so", "newer-libraries"),
    ("R/lib/R/lib/libR.so", "symbol-versions"),
    ("R/lib/R/library/nlme/libs/nlme.so", "symbol-versions"),
    *((f"bin/{name}", "newer-libraries") for name in ("lzmadec", "lzmainfo", "xz", "xzdec")),
    ("lib/liblzma.so.5.4.1", "newer-libraries"),
], repaired
PYTHON

say "check of the tree itself, to which nothing was done, misses the which that R runs"
"$program" check tree --runtime captured.toml --format json >tree.json || [[ $? -eq 1 ]]
python3 - <<'PYTHON'
import json
layers = json.load(open("layers/layers.json"))
assert [(file["path"], file["from"]) for file in layers["added"] if file["from"] == "lambdar-prune"] == [("bin/which", "lambdar-prune")]
assert [file["path"] for file in layers["changed"] if file["by"] == "r-which"] == ["R/lib/R/library/base/R/Rprofile"]
found = {(finding["code"], finding["path"]) for finding in json.load(open("tree.json"))["findings"]}
assert ("r-which-missing", "R/lib/R/library/base/R/base.rdb") in found, found
PYTHON

say "libbrotlidec.so.1 is missed where the bundled libcurl is the one that is loaded, and only there"
"$program" analyze tree --runtime nodejs16.x --format json >nodejs.json || [[ $? -eq 1 ]]
python3 -c 'import json
missing = [m["soname"] for m in json.load(open("nodejs.json"))["libraries"]["missing"]]
assert "libbrotlidec.so.1" in missing, missing'

say "the same bytes again, with one thread"
"$program" pack tree -o again --threads 1 --no-cache --runtime captured.toml -q >/dev/null
cmp layers/layer-1.zip again/layer-1.zip
cmp layers/layers.json again/layers.json

say "small layers"
"$program" pack tree -o small --max 8MB --runtime captured.toml --format json >small.json || [[ $? -eq 1 ]]
python3 - <<'PYTHON'
import glob, json, os, zipfile
totals = json.load(open("small.json"))["totals"]
zips = sorted(glob.glob("small/layer-*.zip"))
assert len(zips) == totals["layers"] <= totals["lower_bound"] + 1, totals
assert all(os.path.getsize(path) < 8_000_000 for path in zips)
def content(paths):
    return sorted((i.filename, i.CRC, i.file_size, i.external_attr) for path in paths for i in zipfile.ZipFile(path).infolist())
assert content(zips) == content(["layers/layer-1.zip"])
print(totals["layers"], "layers, lower bound", totals["lower_bound"])
PYTHON

say "R runs from the layers"
mkdir task
cp "$here/r/packages.R" task
for layers in default layers small; do
    mkdir "opt-$layers"
    for zip in "$layers"/layer-*.zip; do unzip -qo "$zip" -d "opt-$layers"; done
    "$shared/tools/in-al2023" root "opt-$layers" task -- /opt/R/bin/Rscript /var/task/packages.R | tee output
    grep -qF '[1] 0.2 0.6' output || fail "the matrix was not solved"
    # All that the tree has but tcltk, which is pruned, and translations, which has no code.
    expected=$(($(ls tree/R/lib/R/library | wc -l) - 2))
    grep -qF "loaded $expected packages" output || fail "not every package was loaded"
done
"$shared/tools/in-al2023" root opt-default task -- /opt/bin/xz --version | tee output
grep -qF 'liblzma 5.4.1' output || fail "xz does not load the library that it was built with"

control=$shared/trees/r-opt-glibc231.tar.xz
if [[ -e $control ]]; then
    say "the same recipe on an older glibc needs no repair of versions"
    mkdir control
    tar xJf "$control" -C control
    "$program" pack control/opt --library-dir control/host -o control-layers
    "$program" check control-layers
    python3 - <<'PYTHON'
import json
changed = json.load(open("control-layers/layers.json"))["changed"]
lowered = [file for file in changed if file["by"] == "symbol-versions"]
assert not lowered, lowered
# What xz installs was built with a newer xz than the runtime's there, too.
moved = [file["path"] for file in changed if file["by"] == "newer-libraries"]
assert moved == [f"bin/{name}" for name in ("lzmadec", "lzmainfo", "xz", "xzdec")], moved
PYTHON
    mkdir opt-control
    for zip in control-layers/layer-*.zip; do unzip -qo "$zip" -d opt-control; done
    "$shared/tools/in-al2023" root opt-control task -- /opt/R/bin/Rscript /var/task/packages.R | tee output
    grep -qF "loaded $expected packages" output || fail "not every package was loaded"
fi
echo "reference tree: all passed"
