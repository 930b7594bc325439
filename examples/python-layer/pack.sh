#!/bin/sh
# Packs the tree into layers and checks them.
# PREFIX is the tree, RUNTIME the Lambda runtime, and LAYERS the directory for the layers.
set -eu
lambdar-prune pack "${PREFIX:-/opt}" --runtime "${RUNTIME:-python3.13}" --no-cache -o "${LAYERS:-/layers}"
lambdar-prune check "${LAYERS:-/layers}"
