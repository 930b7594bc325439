#!/bin/sh
# Builds R below PREFIX, with what a function can use: no X11, no Tcl/Tk, no Java, no translations.
# R_VERSION is the release, R_SOURCE the address of its source, JOBS the number of processes.
set -eu
version=${R_VERSION:-4.5.1}
prefix=${PREFIX:-/opt}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
source=${R_SOURCE:-https://cran.r-project.org/src/base/R-${version%%.*}/R-$version.tar.gz}
curl -fsSL "$source" | tar -xz --strip-components=1
./configure --prefix="$prefix/R" --enable-R-shlib --with-recommended-packages \
    --without-x --without-aqua --without-tcltk --without-ICU --without-cairo --without-libpng --without-jpeglib --without-libtiff \
    --without-readline --disable-java --disable-openmp --disable-nls --disable-R-profiling --disable-memory-profiling
make -j "${JOBS:-$(nproc)}"
make install
