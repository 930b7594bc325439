#!/usr/bin/env bash
# The scripts that the Dockerfiles of examples/ run do what they say, as far as this machine has what they need: its own Python
# instead of the image's, R as it was built in `tree`, and the program instead of a release's. dnf is not tried.
#
# usage: examples.sh SHARED [R_SOURCE]; see common.sh. With R_SOURCE, a tar file of R's source, R is built, too, which takes minutes
# and needs what R is built with.
. "$(dirname "$(readlink -f "$0")")/common.sh"
examples=$(readlink -f "$here/../../examples")
source=${2:+$(readlink -f "$2")}
mkdir bin
ln -s "$program" bin/lambdar-prune
export PATH=$work/bin:$PATH

say "python-layer"
python=$(python3 -c 'import sys; print(sys.executable)')
runtime=python$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
lambdar-prune runtimes show "$runtime" >/dev/null 2>&1 || runtime=python3.13
mkdir python-opt
if PYTHON=$python PREFIX=$work/python-opt sh "$examples/python-layer/build.sh" >pip.log 2>&1; then
    RUNTIME=$runtime PREFIX=$work/python-opt LAYERS=$work/python-layers sh "$examples/python-layer/pack.sh" | tail -1
    unzip -qo python-layers/layer-1.zip -d python-unpacked
    "$python" -S -c 'import sys; sys.path.insert(0, "python-unpacked/python"); import requests; print("requests", requests.__version__)'
else
    tail -1 pip.log
    echo "pip has no packages here: python-layer is passed over"
fi

say "r-layer"
if [[ -n $source ]]; then
    rm -rf tree
    mkdir tree
    # R knows where it was configured to be.
    bwrap --bind / / --dev /dev --proc /proc --bind "$work/tree" /opt --setenv R_SOURCE "file://$source" --setenv TMPDIR "$work" \
        sh "$examples/r-layer/build.sh" >r-build.log 2>&1 || { tail -20 r-build.log >&2; fail "R was not built"; }
fi
PREFIX=$work/tree LAYERS=$work/r-layers sh "$examples/r-layer/pack.sh" | tail -1
printf 'handler <- function(event, context) length(event)\n' >test.R
lambdar-prune invoke r-layers --handler test.handler --task . --event '{"x": [1, 2]}' -q 2>invoke.log || { cat invoke.log >&2; fail "R does not answer"; }
echo "examples: all passed"
