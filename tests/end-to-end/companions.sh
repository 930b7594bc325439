#!/usr/bin/env bash
# Whether libraries that open files by path find them on Lambda: PROJ, GDAL, ImageMagick, fontconfig and NSS below R's packages of
# Debian, moved to /opt/lib/R, packed, and run in the sandbox of `invoke`, which has none of those files itself.
#
# usage: companions.sh SHARED BOOKWORM; see common.sh. BOOKWORM is a root of Debian 12 with the packages below; if it is not
# there it is made with debootstrap, which wants root.
# Needs gcc.
bookworm=$(readlink -m "${2:?the second argument is a root of Debian 12}")
. "$(dirname "$(readlink -f "$0")")/common.sh"
packages=r-base-core,r-cran-sf,r-cran-terra,r-cran-magick,r-cran-cairo,r-cran-ragg,libnss3
[[ -e $bookworm ]] || debootstrap --variant=minbase --include="$packages" bookworm "$bookworm" >/dev/null

say "Debian's R below /opt/lib/R"
mkdir -p debian/bin debian/lib
cp -a "$bookworm/usr/lib/R" debian/lib/
cp -a "$bookworm"/usr/share/R/{doc,include,share} debian/lib/R/
for file in "$bookworm"/etc/R/*; do cp --remove-destination "$file" debian/lib/R/etc/; done
sed -i 's#/usr/share/R/#/opt/lib/R/#; s#/usr/lib/R\b#/opt/lib/R#g' debian/lib/R/bin/R
# Debian's own directories of libraries are not on Lambda.
sed -i 's#:/usr/lib/[a-z0-9_]*-linux-gnu}#}#' debian/lib/R/etc/ldpaths
sed -i "s#^R_LIBS_SITE=.*#R_LIBS_SITE=/opt/lib/R/site-library#" debian/lib/R/etc/Renviron
ln -s ../lib/R/bin/R debian/bin/R
# Programs that have the place of R compiled in.
rm -r debian/lib/R/bin/Rscript debian/lib/R/site-library/littler
cat >nss.c <<'C'
int NSS_NoDB_Init(const char *);
int main(void) { return NSS_NoDB_Init("."); }
C
library=("$bookworm"/usr/lib/*-linux-gnu)
gcc nss.c -o debian/bin/nss -Wl,--allow-shlib-undefined "$library/libnss3.so"

say "pack"
"$program" pack debian -o layers --with-bootstrap --library-dir "$bookworm" --format json >pack.json || [[ $? -eq 1 ]]
python3 - <<'PYTHON'
import json
document = json.load(open("pack.json"))
for layer in document["layers"]:
    print(layer["file"], layer["zipped_bytes"], layer["unzipped_bytes"])
# Debian 12's libexpat calls arc4random_buf, which is new in glibc 2.36 and has no older form. The sandbox has this machine's
# glibc; on Lambda that library comes from somewhere else.
errors = [(finding["code"], finding["path"]) for finding in document["findings"] if finding["severity"] == "error"]
assert errors == [("symbol-version-missing", "lib/libexpat.so.1")], errors
PYTHON

say "invoke"
mkdir function
cat >function/test.R <<'R'
handler <- function(event, context) {
  picture <- function() tempfile(fileext = ".png")
  drawn <- function(file) { plot(1:3, main = "title"); dev.off(); file.size(file) > 1000 }
  point <- sf::st_transform(sf::st_sfc(sf::st_point(c(8.5, 47.4)), crs = 4326), 2056)
  vector <- terra::project(terra::vect(cbind(8.5, 47.4), crs = "EPSG:4326"), "EPSG:2056")
  # A text is black on white only if a font was found.
  text <- picture()
  ragg::agg_png(text, 200, 60); par(mar = rep(0, 4)); plot.new(); text(0.5, 0.5, "text", cex = 3); dev.off()
  gray <- as.integer(magick::image_data(magick::image_read(text), "gray"))
  cairo <- picture(); Cairo::Cairo(300, 200, file = cairo, type = "png"); cairo_drawn <- drawn(cairo)
  ragg <- picture(); ragg::agg_png(ragg, 300, 200); ragg_drawn <- drawn(ragg)
  paste0("sf=", paste(round(sf::st_coordinates(point)), collapse = " "), "; terra=", paste(round(terra::crds(vector)), collapse = " "),
         "; magick=", min(gray), " ", max(gray),
         "; Cairo=", cairo_drawn, "; ragg=", ragg_drawn, "; nss=", system2("/opt/bin/nss"))
}
R
"$program" invoke layers --task function --handler test.handler --memory 3538 --timeout 400 | tee answer
# Where 8.5 degrees east, 47.4 degrees north are in the Swiss grid, as pyproj says:
#   Transformer.from_crs("EPSG:4326", "EPSG:2056").transform(47.4, 8.5)
grep -qF "sf=2680120 1250450; terra=2680120 1250450; magick=0 255; Cairo=TRUE; ragg=TRUE; nss=0" answer || fail "another answer"

say "all passed"
