#!/usr/bin/env bash
# The rules on real trees: R and Python give the same answers after pruning, prune and pack agree, and whatever prune has
# taken comes back, also when it is killed on the way.
#
# usage: rules.sh SHARED [SEED]; see common.sh.
# Needs bubblewrap, patchelf, unzip, python3 with pip, and the libraries libgfortran5, libquadmath0 and libtirpc3. The Python
# tree comes from PYTHON_TREE (made by `pip install --target`), else from pip itself.
. "$(dirname "$(readlink -f "$0")")/common.sh"
seed=${2:-$RANDOM}

# Paths, kinds, modes, times, links and hashes of a tree.
manifest() {
    (
        cd "$1"
        find . -printf '%p %y %m %s %T@ %l\n' | sed -E 's/^(\S+ d \S+) [0-9]+/\1/' | sort
        find . -type f -print0 | sort -z | xargs -0 sha256sum
    )
}

for soname in libgfortran.so.5 libquadmath.so.0 libtirpc.so.3; do
    path=$(find /usr/lib /lib -name "$soname" -print -quit)
    cp -L "${path:?$soname is not on this machine}" tree/lib/
done
manifest tree >before

say "the plan, a pruned copy and the layers agree"
"$program" prune tree --format json >plan.json
"$program" prune tree --to copy | tail -n 1
"$program" pack tree --format json -q >packed.json || [[ $? -eq 1 ]]
python3 - <<'PYTHON'
import glob, json, os, zipfile
plan = json.load(open("plan.json"))
packed = json.load(open("packed.json"))
added = {library["path"] for library in packed["added"]}
layers = {name.rstrip("/") for path in glob.glob("layers/*.zip") for name in zipfile.ZipFile(path).namelist()}
def entries(top):
    for folder, folders, files in os.walk(top):
        for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            yield os.path.relpath(os.path.join(folder, name), top)
        if not folders and not files:
            yield os.path.relpath(folder, top)
whole, copy = set(entries("tree")), set(entries("copy"))
gone = {file["path"] for file in plan["files"]}
assert copy == layers - added, (copy ^ (layers - added))
# A directory that something uses stays though nothing in it does.
def files(paths, top):
    return {path for path in paths if os.path.islink(os.path.join(top, path)) or not os.path.isdir(os.path.join(top, path))}
assert files(whole, "tree") - gone == files(copy, "copy"), (files(whole, "tree") - gone) ^ files(copy, "copy")
assert plan["kept"]["files"] + plan["kept"]["symlinks"] == sum(not os.path.isdir(f"copy/{p}") or os.path.islink(f"copy/{p}") for p in copy)
dropped = {entry["rule"]: (entry["files"], entry["bytes"]) for entry in packed["dropped"]}
assert dropped == {rule["id"]: (rule["files"], rule["bytes"]) for rule in plan["rules"]}
print(len(whole), "files;", len(gone), "go by", len(dropped), "rules;", len(copy), "stay, in the copy and in the layers")
PYTHON
manifest tree | cmp - before || fail "the tree was changed"

say "--apply leaves what --to copies, and --undo puts everything back"
"$program" prune tree --apply | tail -n 1
diff <(manifest tree | sed -E 's/ d ([0-7]+) \S+/ d \1/') <(manifest copy | sed -E 's/ d ([0-7]+) \S+/ d \1/') \
    || fail "the pruned tree and the copy differ"
"$program" prune tree --undo
manifest tree | cmp - before || fail "the tree is not what it was"
[[ ! -e tree.lambdar-prune-trash ]] || fail "the trash is still there"

say "killed at twenty moments (seed $seed)"
manifest tree >again
python3 - "$program" "$seed" <<'PYTHON'
import os, random, signal, subprocess, sys, time
program, seed = sys.argv[1], int(sys.argv[2])
random.seed(seed)
trash = "tree.lambdar-prune-trash"
files, complete = trash + "/1/files", trash + "/1/complete"
def run(*arguments):
    return subprocess.Popen([program, "prune", "tree", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def manifest():
    script = "cd tree; find . -printf '%p %y %m %s %T@ %l\\n' | sed -E 's/^(\\S+ d \\S+) [0-9]+/\\1/' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum"
    return subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
before = open("before", "rb").read()
def begins(process, undoing):
    # The first move to the trash makes the folder of files; the first one back comes after the mark is gone.
    while process.poll() is None and (os.path.exists(complete) if undoing else not os.path.exists(files)):
        pass
def ends(process, undoing):
    while process.poll() is None and (os.path.exists(files) if undoing else not os.path.exists(complete)):
        pass
moving, whole = {}, {}
for undoing in (False, True):
    begun = time.monotonic()
    process = run("--undo" if undoing else "--apply")
    begins(process, undoing)
    first = time.monotonic()
    ends(process, undoing)
    moving[undoing] = time.monotonic() - first
    assert process.wait() == 0
    whole[undoing] = time.monotonic() - begun
    print(f"{'undoing it' if undoing else 'a run'} takes {whole[undoing]:.2f} s, {moving[undoing]:.3f} s of it for moving")
inside = 0
for moment in range(20):
    undoing = moment % 4 == 3
    if undoing:
        assert run("--apply").wait() == 0
    process = run("--undo" if undoing else "--apply")
    if moment < 5:
        # Anywhere in the run.
        time.sleep(random.uniform(0, whole[undoing]))
    else:
        # While files are being moved.
        begins(process, undoing)
        time.sleep(random.uniform(0, moving[undoing]))
    process.send_signal(signal.SIGKILL)
    process.wait()
    unfinished = os.path.exists(trash + "/1/manifest.json") and not os.path.exists(trash + "/1/complete")
    inside += unfinished
    if os.path.exists(trash):
        if unfinished and moment % 3 == 0:
            # A run that was cut short can also be finished first.
            assert run("--apply").wait() == 0 and os.path.exists(trash + "/1/complete")
        assert run("--undo").wait() == 0, moment
    assert not os.path.exists(trash), moment
    assert manifest() == before, f"moment {moment}: the tree is not what it was"
assert inside >= 3, inside
print("20 runs killed,", inside, "of them between the first move and the last; every tree came back")
PYTHON

say "R gives the same answers from the unpruned and from the pruned tree"
"$shared/tools/al2023-root" root
# Lambda has a few of glibc's character sets; this machine's libc.so.6 looks for them in its own folder.
gconv=$(find /usr/lib /usr/lib64 -maxdepth 2 -type d -name gconv -print -quit)
mkdir -p "root$gconv"
cp -r "$gconv"/gconv-modules* "root$gconv"
rm -f "root$gconv"/*.cache
for set in ANSI_X3.110 CP1252 ISO8859-1 ISO8859-15 UNICODE UTF-16 UTF-32 UTF-7; do cp "$gconv/$set.so" "root$gconv"; done
mkdir task
cp "$here"/r/*.R task
# Layers with all that a tree has, byte for byte but for what R needs where there is no `which`, laid out as on Lambda.
lay_out() {
    local tree=$1 zip
    "$program" pack "$tree" -o "$tree-layers" --keep '**' --no-strip --no-dedupe --no-recompress --no-fix=symbol-versions,newer-libraries,companions,licenses -q >/dev/null || [[ $? -eq 1 ]]
    for zip in "$tree-layers"/layer-*.zip; do unzip -qo "$zip" -d "$tree-opt"; done
    diff -rq --no-dereference "$tree" "$tree-opt" >differences || true
    [[ $(cat differences) == "Files $tree/R/lib/R/library/base/R/Rprofile and $tree-opt/R/lib/R/library/base/R/Rprofile differ
Only in $tree-opt/bin: which" ]] || fail "$(cat differences)"
}
same() {
    local script=$1 one=$2 other=$3 tree
    for tree in "$one" "$other"; do
        "$shared/tools/in-al2023" root "$tree-opt" task -- /opt/R/bin/Rscript "/var/task/$script" >"$tree.$script" 2>&1 \
            || { tail "$tree.$script"; fail "$script in $tree"; }
    done
    diff "$one.$script" "$other.$script" || fail "$script differs"
    echo "$script: $(wc -l <"$one.$script") lines are the same"
}
lay_out tree
lay_out copy
for script in attach models classes text linear graphics utilities; do same "$script.R" tree copy; done

say "one package and what it needs"
"$program" prune tree --r-packages mgcv,stats --to some | tail -n 1
cat >task/some.R <<'R'
suppressPackageStartupMessages(library(mgcv))
print(summary(gam(mpg ~ s(wt), data = mtcars)))
print(search())
R
lay_out some
same some.R tree some
for package in base compiler datasets grDevices graphics lattice Matrix methods mgcv nlme stats tools utils; do
    [[ -e some/R/lib/R/library/$package/DESCRIPTION ]] || fail "$package is missing"
done
for package in boot MASS survival tcltk; do
    [[ ! -e some/R/lib/R/library/$package ]] || fail "$package is there"
done

say "Python's modules import after the default rules"
if [[ -n ${PYTHON_TREE:-} ]]; then
    cp -a "$PYTHON_TREE" modules
else
    python3 -m pip install -q --disable-pip-version-check --root-user-action ignore --target modules numpy requests pyyaml
fi
mkdir python
mv modules python/python
"$program" prune python --to python-copy | tail -n 1
cat >modules.py <<'PYTHON'
import glob, importlib, importlib.metadata, os, sys
unpruned, pruned = sys.argv[1:]
sys.path.insert(0, pruned)
def modules(folder):
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and glob.glob(path + "/__init__.*"):
            yield name
        elif name.endswith((".py", ".so")):
            yield name.split(".")[0]
names = list(modules(unpruned))
for name in names:
    module = importlib.import_module(name)
    assert os.path.realpath(module.__file__).startswith(os.path.realpath(pruned)), module.__file__
versions = {}
for path in sorted(glob.glob(unpruned + "/*.dist-info")):
    name, version = os.path.basename(path)[: -len(".dist-info")].split("-")
    versions[name] = importlib.metadata.version(name)
    assert versions[name] == version, (name, versions[name], version)
    assert glob.glob(f"{pruned}/{os.path.basename(path)}/**/LICEN*", recursive=True) or not glob.glob(f"{path}/**/LICEN*", recursive=True)
print(len(names), "modules imported:", *names)
print(len(versions), "versions read:", *(f"{name} {version}" for name, version in versions.items()))
if "numpy" in names:
    import numpy, numpy.testing
    numpy.testing.assert_allclose(numpy.linalg.solve([[2.0, 1.0], [1.0, 3.0]], [1.0, 2.0]), [0.2, 0.6])
if "yaml" in names:
    import yaml
    assert yaml.load("a: [1, 2]", yaml.CSafeLoader) == {"a": [1, 2]}
if "requests" in names:
    import requests
    assert os.path.exists(requests.certs.where())
PYTHON
python3 -B -E -s -S modules.py python/python python-copy/python
echo
echo "rules: all passed"
