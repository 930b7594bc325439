#!/bin/sh
# Installs the packages of requirements.txt where Lambda's Python looks for those of layers (AWS Lambda developer guide, "Layer
# paths for each Lambda runtime").
# PYTHON is the interpreter and PREFIX what becomes /opt.
set -eu
cd "$(dirname "$0")"
"${PYTHON:-python3}" -m pip install --no-cache-dir --disable-pip-version-check --target "${PREFIX:-/opt}/python" -r requirements.txt
