#!/bin/sh
# Start the vLLM servers of the file that AUTO_INFER_VLLM_CONFIG names, for images whose own start
# script calls this one. In this image vllmd is the ENTRYPOINT itself.
#
#   check-and-run-vllm.sh              the servers, until they are told to stop
#   check-and-run-vllm.sh CMD [ARG...] the servers, and CMD as the main program
#
# Without AUTO_INFER_VLLM_CONFIG there is no server to start: CMD alone runs. Put `exec` before the
# call, or signals end at the shell.
set -eu

if [ -z "${AUTO_INFER_VLLM_CONFIG:-}" ] && [ $# -eq 0 ]; then
    echo "check-and-run-vllm: AUTO_INFER_VLLM_CONFIG is not set: no server is started" >&2
    exit 0
fi
if ! command -v vllmd >/dev/null; then
    echo "error: 'vllmd' is not on PATH" >&2
    echo "hint: COPY --chmod=755 vllmd.pyz /usr/local/bin/vllmd" >&2
    exit 69
fi
exec vllmd run -- "$@"
