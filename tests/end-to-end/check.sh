#!/usr/bin/env bash
# What check says of zips that were made by hand from a real R tree, and of the same tree zipped by other programs.
#
# usage: check.sh SHARED; see common.sh.
# Needs bubblewrap, zip, 7zz, jar, python3 and readelf.
. "$(dirname "$(readlink -f "$0")")/common.sh"

say "two zips made by hand: R, and all the rest"
# Links to /opt/... are followed by zip: the tree has to lie there.
bwrap --dev-bind / / --bind tree /opt bash -c 'cd /opt && zip -qr "$0/r.zip" R && zip -qr "$0/subsystem.zip" * -x "R/*"' "$work"
"$program" check r.zip subsystem.zip --format json >recipe.json || [[ $? -eq 1 ]]
python3 - <<'PYTHON'
import json, os, re, subprocess
report = json.load(open("recipe.json"))
found = [(f["severity"], f["code"], f["layer"], f["path"]) for f in report["findings"]]
assert found == [
    ("error", "zip-too-large", "r.zip", None),
    ("error", "missing-library", "r.zip", "R/lib/R/lib/libR.so"),
    ("error", "missing-library", "r.zip", "R/lib/R/lib/libRlapack.so"),
    ("error", "symbol-version-missing", "r.zip", "R/lib/R/lib/libR.so"),
    ("error", "symbol-version-missing", "r.zip", "R/lib/R/library/nlme/libs/nlme.so"),
    # zip followed the links to xz. It asks for XZ_5.4, and the runtime's xz 5.2.5 is found first.
    *(("error", "symbol-version-missing", "subsystem.zip", f"bin/{name}") for name in ("lzcat", "lzma", "unlzma", "unxz", "xz", "xzcat")),
    ("error", "r-which-missing", "r.zip", "R/lib/R/library/base/R/base.rdb"),
    ("warning", "bootstrap-missing", None, None),
    ("note", "script-cannot-run", "subsystem.zip", "bin/c_rehash"),
], found
words = " ".join(f["message"] for f in report["findings"])
for word in ("libtirpc.so.3", "libgfortran.so.5", "GLIBC_2.35", "/usr/bin/which", "perl"):
    assert word in words, word
# The same by other means.
assert os.path.getsize("r.zip") > 52_428_799 > os.path.getsize("subsystem.zip")
def readelf(path):
    return subprocess.run(["readelf", "-dV", "-W", path], capture_output=True, text=True, check=True).stdout
asking = {"libtirpc.so.3": [], "libgfortran.so.5": [], "GLIBC_2.35": []}
newer = set()
for folder, _, files in os.walk("tree"):
    for name in files:
        path = os.path.join(folder, name)
        if os.path.islink(path) or open(path, "rb").read(4) != b"\x7fELF":
            continue
        text = readelf(path)
        for what, paths in asking.items():
            if what in text:
                paths.append(path.removeprefix("tree/"))
        newer.update(v for v in re.findall(r"GLIBC_([0-9.]+)", text) if tuple(map(int, v.split("."))) > (2, 34))
assert "R/lib/R/lib/libR.so" in asking["libtirpc.so.3"] and "R/lib/R/lib/libRlapack.so" in asking["libgfortran.so.5"], asking
assert sorted(asking["GLIBC_2.35"]) == ["R/lib/R/lib/libR.so", "R/lib/R/library/nlme/libs/nlme.so"], asking
assert newer == {"2.35"}, newer
assert not os.path.exists("tree/bootstrap")
print("each finding is true")
PYTHON

say "the pruned tree, zipped by other programs"
"$program" prune tree --to pruned -q >/dev/null
# The libraries that are missing, the glibc that is too old and `which` are not what this is about; nor is xz, which a zip
# without links has six times.
errors() {
    "$program" check "$1" --format json >report.json || [[ $? -eq 1 ]]
    python3 -c 'import json
print("\n".join(sorted(" ".join([f["code"], str(f["path"])]) for f in json.load(open("report.json"))["findings"] if f["severity"] == "error" and "XZ_5.4" not in f["message"])))'
}
errors pruned >expected
cat >zip.py <<'PYTHON'
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:
    for folder, folders, files in os.walk("."):
        for name in folders + files:
            z.write(os.path.join(folder, name))
PYTHON
bwrap --dev-bind / / --bind pruned /opt bash -euc 'cd /opt
zip -qry "$0/info.zip" .
7zz a -tzip -bso0 -snl "$0/seven.zip" .
python3 "$0/zip.py" "$0/python.zip"
jar cMf "$0/jar.zip" .' "$work"
for zip in info seven python; do
    errors $zip.zip | diff expected - || { echo "FAILED: $zip" >&2; exit 1; }
done
# A jar has no permissions: R cannot be started.
{ cat expected; printf 'r-not-executable %s\n' R/bin/R R/lib/R/bin/R R/lib/R/bin/exec/R; } | sort >expected.jar
errors jar.zip | diff expected.jar -
echo "no false errors"
echo
echo "check: all passed"
