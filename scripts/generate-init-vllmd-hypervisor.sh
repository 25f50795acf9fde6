#!/bin/sh
# The same as 'vllmd-hypervisor generate-init'; without an installation, from this source tree.
command -v vllmd-hypervisor >/dev/null && exec vllmd-hypervisor generate-init "$@"
PYTHONPATH="$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH}" exec python3 -m launcher.cli.hypervisor generate-init "$@"
