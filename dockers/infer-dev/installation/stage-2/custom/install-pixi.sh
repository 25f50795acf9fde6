#!/bin/sh
# Install a release of pixi (https://pixi.sh) whose archive has the checksum that is pinned here, or
# given. Nothing is unpacked, and nothing is replaced, before that is so.
#
#   PIXI_VERSION   which release (the one pinned here)
#   PIXI_SHA256    SHA-256 of its archive; needed for every other release (the releases' page has it
#                  in sha256.sum)
#   PIXI_RELEASES  where releases are, a mirror or file:///folder (GitHub)
#   PIXI_BIN       where it goes (/usr/local/bin/pixi)
set -eu

PINNED_VERSION=0.75.0
PINNED_X86_64=bcd825d62905c29b3c754b71f9cdc9d6f119454398f58330f111a7b6a0de0a3f
PINNED_AARCH64=6476588859faa7232def49ff590f199390bd93fae3826617596befc52382724f

version=${PIXI_VERSION:-$PINNED_VERSION}
version=${version#v}
releases=${PIXI_RELEASES:-https://github.com/prefix-dev/pixi/releases/download}
target=${PIXI_BIN:-/usr/local/bin/pixi}

fail() {
    echo "error: $1" >&2
    echo "hint: $2" >&2
    exit "${3:-1}"
}

# curl where it is; an image of this launcher always has Python.
fetch() {
    if command -v curl >/dev/null; then
        curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"
    else
        python3 - "$1" "$2" <<'END'
import shutil, sys, urllib.request

try:
    with urllib.request.urlopen(sys.argv[1], timeout=60) as answer, open(sys.argv[2], "wb") as file:
        shutil.copyfileobj(answer, file)
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")
END
    fi
}

machine=$(uname -m)
case $machine in
    x86_64 | amd64) machine=x86_64 pinned=$PINNED_X86_64 ;;
    aarch64 | arm64) machine=aarch64 pinned=$PINNED_AARCH64 ;;
    *) fail "pixi has no release for '$machine'" "build without PIXI_VERSION" 69 ;;
esac
[ "$version" = "$PINNED_VERSION" ] || pinned=
wanted=${PIXI_SHA256:-$pinned}
[ -n "$wanted" ] || fail "no checksum is known of pixi $version" \
    "give PIXI_SHA256, as the page of the release tells it, or take $PINNED_VERSION" 64

name=pixi-$machine-unknown-linux-musl.tar.gz
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fetch "$releases/v$version/$name" "$folder/$name" || fail "pixi $version cannot be fetched" \
    "check the network, or name a mirror by PIXI_RELEASES" 69
found=$(sha256sum "$folder/$name")
found=${found%% *}
[ "$found" = "$wanted" ] || fail "pixi $version has the checksum $found, not $wanted" \
    "do not use it; compare PIXI_SHA256 with the page of the release"

tar -xzf "$folder/$name" -C "$folder" pixi
chmod 755 "$folder/pixi"
mkdir -p "$(dirname "$target")"
cp "$folder/pixi" "$target.new"
mv "$target.new" "$target"
echo "pixi $version: $target"
