#!/bin/sh
# Installs what R is built with. Lambda has only some of these libraries: pack adds the others to the layers.
set -eu
dnf install -y --setopt=install_weak_deps=False \
    bzip2-devel curl-devel diffutils findutils gcc gcc-c++ gcc-gfortran gzip libtirpc-devel make pcre2-devel perl tar \
    which xz-devel zlib-devel
