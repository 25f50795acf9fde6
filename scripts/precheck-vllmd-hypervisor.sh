#!/bin/sh
# The same as 'vllmd-hypervisor precheck'; without an installation, from this source tree.
command -v vllmd-hypervisor >/dev/null && exec vllmd-hypervisor precheck "$@"
PYTHONPATH="$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH}" exec python3 -m launcher.cli.hypervisor precheck "$@"
