#!/bin/sh
# Installs lambdar-prune: takes the archive for this machine from a release, compares its checksum and copies the program.
#
#   curl -fsSL https://github.com/OWNER/lambdar-prune/releases/latest/download/install.sh | sh
#
# Environment variables:
#   LAMBDAR_PRUNE_INSTALL  directory for the program [default: ~/.local/bin]
#   LAMBDAR_PRUNE_RELEASE  address of the release's files [default: those of the latest release]
set -eu

release=${LAMBDAR_PRUNE_RELEASE:-https://github.com/OWNER/lambdar-prune/releases/latest/download}
directory=${LAMBDAR_PRUNE_INSTALL:-$HOME/.local/bin}

fail() {
    echo "error: $1" >&2
    exit 1
}

main() {
    [ "$(uname -s)" = Linux ] || fail "lambdar-prune runs on Linux; use a container, as in examples/r-layer/Dockerfile"
    case $(uname -m) in
        x86_64 | amd64) processor=x86_64 ;;
        aarch64 | arm64) processor=aarch64 ;;
        *) fail "there is no release for $(uname -m); build it with cargo" ;;
    esac
    # The static program runs where there is no glibc.
    libc=gnu
    if ldd --version 2>&1 | grep -qi musl; then libc=musl; fi
    name=lambdar-prune-$processor-unknown-linux-$libc
    command -v curl >/dev/null || fail "curl is missing; install it"

    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    for file in "$name.tar.gz" SHA256SUMS; do
        curl -fsSL -o "$work/$file" "$release/$file" || fail "cannot download $release/$file"
    done
    expected=$(sed -n "s/^\([0-9a-f]\{64\}\)  $name\.tar\.gz\$/\1/p" "$work/SHA256SUMS")
    [ -n "$expected" ] || fail "SHA256SUMS does not have $name.tar.gz"
    actual=$(sha256sum "$work/$name.tar.gz" | cut -d ' ' -f 1)
    [ "$expected" = "$actual" ] || fail "the checksum of $name.tar.gz is $actual, not $expected: nothing was installed"
    tar -xzf "$work/$name.tar.gz" -C "$work"
    mkdir -p "$directory"
    install -m 755 "$work/$name/lambdar-prune" "$directory/lambdar-prune"
    "$directory/lambdar-prune" --version
    case :$PATH: in
        *:"$directory":*) ;;
        *) echo "note: $directory is not in PATH" >&2 ;;
    esac
}

# The whole script is read before anything is done.
main
