#!/usr/bin/env bash
# The bootstrap that pack adds to a real R tree answers events as Lambda wants it, and R needs no `which` of the runtime's.
#
# usage: bootstrap.sh SHARED; see common.sh.
# Needs bubblewrap, patchelf, unzip, python3, and the libraries libgfortran5, libquadmath0 and libtirpc3. Package jsonlite
# comes from JSONLITE, a folder with the package installed for R 4.2, else from Debian 12's r-cran-jsonlite.
. "$(dirname "$(readlink -f "$0")")/common.sh"

say "pack with a bootstrap"
mkdir opt
"$shared/tools/al2023-root" root
[[ ! -e root/usr/bin/which ]] || fail "the root has a which"
"$program" runtimes capture root -o captured.toml --name captured
"$program" pack tree --with-bootstrap --runtime captured.toml -q >/dev/null
for zip in layers/layer-*.zip; do unzip -qo "$zip" -d opt; done
[[ ! -e tree/bootstrap && ! -e tree/lambdar ]] || fail "the tree was changed"

say "Sys.which works, with --vanilla, too"
for option in --vanilla --no-save; do
    found=$("$shared/tools/in-al2023" root opt -- /opt/R/bin/Rscript $option -e 'cat(Sys.which(c("sh", "cat", "nonsuch")), sep = "|")')
    [[ $found == "/usr/bin/sh|/usr/bin/cat|" ]] || fail "Sys.which says $found"
done

cp -r "$here/handlers" task
if [[ -z ${JSONLITE:-} ]] && (cd "$work" && apt-get download -qq r-cran-jsonlite >/dev/null 2>&1); then
    dpkg-deb -x r-cran-jsonlite_*.deb deb
    JSONLITE=$work/deb/usr/lib/R/site-library/jsonlite
fi
if [[ -n ${JSONLITE:-} ]]; then
    cp -r opt opt-jsonlite
    cp -r "$JSONLITE" opt-jsonlite/R/lib/R/library/
fi
PYTHONDONTWRITEBYTECODE=1 python3 "$here/bootstrap.py" "$shared/tools/in-al2023" root opt task ${JSONLITE:+opt-jsonlite}
echo "bootstrap: all passed"
