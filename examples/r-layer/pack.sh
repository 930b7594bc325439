#!/bin/sh
# Packs the tree into layers with a bootstrap for R, and checks them.
# PREFIX is the tree and LAYERS the directory for the layers.
set -eu
lambdar-prune pack "${PREFIX:-/opt}" --runtime provided.al2023 --with-bootstrap --no-cache -o "${LAYERS:-/layers}"
lambdar-prune check "${LAYERS:-/layers}"
