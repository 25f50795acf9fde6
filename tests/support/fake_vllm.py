"""A package that is called vLLM and serves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SERVER = """\
import sys
from tests.programs.stub_server import Flags, main
main(Flags(sys.argv[1:]))
"""
PRELOAD = """\
import signal
signal.pause()
"""


def make_vllm(folder: Path, preload: str = PRELOAD) -> Path:
    """Make a package that is called vLLM, of a version that has the weight cache."""
    for module, text in (("openai/api_server", SERVER), ("cli/main", preload)):
        path = folder / "vllm" / "entrypoints" / f"{module}.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (folder / "vllm" / "__init__.py").touch()
    (folder / "vllm-0.32.0.dist-info").mkdir()
    return folder
