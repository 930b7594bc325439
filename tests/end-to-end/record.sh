#!/usr/bin/env bash
# The worked examples of docs/record.md: record, pack, replay and prove for R, Python and Node, what is named where an event
# takes a new branch, and what recording costs.
#
# usage: record.sh SHARED; see common.sh.
# Needs bubblewrap, strace, python3, and the libraries libgfortran5, libquadmath0 and libtirpc3. Python and Node are passed over
# where no interpreter of the version is.
. "$(dirname "$(readlink -f "$0")")/common.sh"

# zipped FILE: the sum of the layers that a layers.json lists
zipped() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["totals"]["zipped_bytes"])' "$1"; }
# packs ARGUMENTS...: pack, where findings may be errors: the tree was built with a newer glibc than provided.al2023 has
packs() { "$program" pack "$@" -q >pack.txt || [[ $? == 1 ]]; }

say "R: record a model"
mkdir model
cat >model/model.R <<'R'
handler <- function(event) {
    if (grepl("smooth", event)) {
        library(mgcv)
        return(nrow(model.matrix(gam(mpg ~ s(wt), data = mtcars))))
    }
    fit <- lm(mpg ~ wt, data = datasets::mtcars)
    paste(format(coef(fit), digits = 6), collapse = " ")
}
R
echo '"linear"' >event.json
echo '"smooth"' >smooth.json
packs tree --with-bootstrap -o all
"$program" invoke all --handler model.handler --task model --event event.json --record r.json -q

say "R: pack what it used, and replay"
packs tree --with-bootstrap --used r.json --used-depth file --rest rest -o small
"$program" invoke small --replay r.json -q
[[ $(zipped small/layers.json) -le 10400000 ]] || fail "$(zipped small/layers.json) bytes"
packs tree --with-bootstrap --used r.json -o whole
"$program" invoke whole --replay r.json -q
echo "default $(zipped all/layers.json), component $(zipped whole/layers.json), file $(zipped small/layers.json) bytes"

say "R: an event that takes a new branch"
if "$program" invoke small --handler model.handler --task model --event smooth.json >smooth.txt 2>&1; then fail "mgcv is there"; fi
grep -q "library/mgcv/DESCRIPTION by rule unused; it is in rest/layer-1.zip" smooth.txt || fail "$(cat smooth.txt)"
"$program" invoke all --handler model.handler --task model --event smooth.json --record smooth.json.recording -q
"$program" invoke small rest --replay smooth.json.recording -q

say "recording a hundred events"
events=()
for number in $(seq 100); do events+=(--event event.json); done
python3 - "$program" "${events[@]}" <<'PYTHON'
import subprocess, sys, time
program, events = sys.argv[1], sys.argv[2:]
line = [program, "invoke", "all", "--handler", "model.handler", "--task", "model", "-q", *events]
def seconds(more):
    begun = time.monotonic()
    subprocess.run(line + more, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun
without, recording = seconds([]), seconds(["--record", "hundred.json"])
print(f"{without:.2f} s without, {recording:.2f} s recording")
assert recording < 5 * without
PYTHON

# example LANGUAGE RUNTIME HANDLER: what docs/record.md shows, with what is there as `tree-LANGUAGE` and `function-LANGUAGE`
example() {
  local language=$1 runtime=$2 handler=$3
  say "$language"
  echo '{"kind": "square", "size": 3}' >"$language-event.json"
  echo '{"kind": "circle", "size": 3}' >"$language-circle.json"
  local run=(--runtime "$runtime" --handler "$handler" --task "function-$language" -q)
  "$program" invoke "tree-$language" "${run[@]}" --event "$language-event.json" --record "$language.json" || {
    [[ $? == 2 ]] || fail "$language"
    echo "no interpreter of $runtime here"
    return
  }
  "$program" pack "tree-$language" --runtime "$runtime" --used "$language.json" --used-depth file --rest "rest-$language" \
    -o "small-$language" --prove --task "function-$language" >pack.txt
  grep -q "Proven: every recorded event is answered as recorded" pack.txt || fail "$(cat pack.txt)"
  if "$program" invoke "small-$language" "${run[@]:0:6}" --event "$language-circle.json" >circle.txt 2>&1; then fail "circles are there"; fi
  grep -q "circle.* by rule unused; it is in rest-$language/layer-1.zip" circle.txt || fail "$(cat circle.txt)"
  "$program" invoke "small-$language" "rest-$language" "${run[@]}" --event "$language-circle.json"
}

mkdir -p tree-python/python/shapes function-python tree-node/nodejs/node_modules/shapes function-node
cat >tree-python/python/shapes/__init__.py <<'PYTHON'
import importlib


def area(kind, size):
    return importlib.import_module(f"shapes.{kind}").area(size)
PYTHON
echo 'area = lambda size: size * size' >tree-python/python/shapes/square.py
echo 'area = lambda size: 3.14159 * size * size' >tree-python/python/shapes/circle.py
cat >function-python/app.py <<'PYTHON'
def handler(event, context):
    import shapes

    return {"area": shapes.area(event["kind"], event["size"])}
PYTHON
example python "python$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" app.handler

echo '{"name": "shapes", "version": "1.0.0"}' >tree-node/nodejs/node_modules/shapes/package.json
echo 'exports.area = (kind, size) => require(`./${kind}`).area(size);' >tree-node/nodejs/node_modules/shapes/index.js
echo 'exports.area = (size) => size * size;' >tree-node/nodejs/node_modules/shapes/square.js
echo 'exports.area = (size) => 3.14159 * size * size;' >tree-node/nodejs/node_modules/shapes/circle.js
cat >function-node/index.js <<'JS'
const shapes = require("shapes");
exports.handler = async (event) => ({ area: shapes.area(event.kind, event.size) });
JS
example node "nodejs$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p').x" index.handler
