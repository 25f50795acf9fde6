#!/bin/sh
# The same as 'vllmd-hypervisor initialize'; without an installation, from this source tree.
command -v vllmd-hypervisor >/dev/null && exec vllmd-hypervisor initialize "$@"
PYTHONPATH="$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH}" exec python3 -m launcher.cli.hypervisor initialize "$@"
