#!/usr/bin/env bash
# Fetch programs of the next Debian release that the tests check rendered files with: Debian 12's
# Podman has no quadlet generator, and its docker-compose is the old one. Nothing is installed:
# the packages are unpacked, and two programs of them are kept.
#
#   tools/fetch_debian_tools.sh [DIR]     default: build/tools
set -euo pipefail

release=trixie
target=${1:-"$(dirname "$0")/../build/tools"}
mkdir -p "$target"
target=$(cd "$target" && pwd)
if [ -x "$target/quadlet" ] && [ -x "$target/docker-compose" ]; then
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{parts,lists/partial,archives/partial}

# The sources that this machine uses, for the other release.
source=/etc/apt/sources.list.d/debian.sources
if [ ! -r "$source" ]; then
    echo "tools/fetch_debian_tools.sh: no $source: install quadlet and docker-compose by hand" >&2
    exit 1
fi
awk 'BEGIN { RS = ""; ORS = "\n\n" } !/security/' "$source" |
    sed -E "s/^Suites:.*/Suites: $release/" >"$work/parts/debian.sources"

options=(
    -o Dir::Etc::sourcelist=/dev/null
    -o "Dir::Etc::sourceparts=$work/parts"
    -o "Dir::State::lists=$work/lists"
    -o "Dir::Cache::archives=$work/archives"
    -o APT::Sandbox::User=root
    -o Acquire::Retries=5
)
apt-get "${options[@]}" update -qq
cd "$work"
apt-get "${options[@]}" download -qq podman docker-compose
for package in ./*.deb; do
    dpkg-deb -x "$package" unpacked
done
install -m 755 unpacked/usr/libexec/podman/quadlet "$target/quadlet"
install -m 755 unpacked/usr/libexec/docker/cli-plugins/docker-compose "$target/docker-compose"
