#!/usr/bin/env bash
# Makes pages of --format html and opens them in a headless Chromium: tests/browser/report.mjs says what must hold.
# Usage: run.sh PROGRAM DIRECTORY_FOR_NPM. Without Chromium, Node or npm's packages it says so and passes.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
program=$(readlink -f "$1")
mkdir -p "$2"
modules=$(readlink -f "$2")

browser=$(command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [[ -z $browser ]] || ! command -v npm >/dev/null \
    || ! npm install --silent --no-save --no-audit --no-fund --prefix "$modules" puppeteer-core@25 axe-core@4; then
    echo "no Chromium or no npm: pages are not opened in a browser"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# Some directories of this machine with libraries that need one another, and names that are not nice.
mkdir -p tree/lib tree/bin "tree/share/docs/<img src=x onerror=alert(1)>" other
for library in /lib/*/libz.so.1 /lib/*/libcrypt.so.1 /lib/*/libbz2.so.1.0 /lib/*/liblzma.so.5; do
    [[ -e $library ]] && cp -L "$library" tree/lib/
done
cp -L "$(command -v xz || command -v bash)" tree/bin/
for number in {1..300}; do
    head -c $((number * 17)) /dev/zero >"tree/share/docs/page-$number.html"
done
echo '</script><script>alert(1)</script>' >"tree/share/docs/<img src=x onerror=alert(1)>/\" onmouseover=\"alert(1)"
cp -r tree/lib other/
export XDG_CACHE_HOME=$work
"$program" analyze tree -q -o html=analyze.html >/dev/null || true
"$program" pack tree -q -o layers --report html=pack.html >/dev/null || true
"$program" check layers -q -o html=check.html >/dev/null || true
"$program" diff other layers -o html=diff.html >/dev/null
"$program" diff layers layers -o html=same.html >/dev/null
node "$here/report.mjs" "$modules" analyze.html pack.html check.html diff.html same.html
