#!/bin/sh
# Checks this host: docs/hypervisor.md.
exec vllmd-hypervisor precheck "$@"
