#!/bin/sh
# The same as 'vllmd-hypervisor install-systemd'; without an installation, from this source tree.
command -v vllmd-hypervisor >/dev/null && exec vllmd-hypervisor install-systemd "$@"
PYTHONPATH="$(dirname "$0")/..${PYTHONPATH:+:$PYTHONPATH}" exec python3 -m launcher.cli.hypervisor install-systemd "$@"
