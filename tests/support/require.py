"""What a test needs from the machine: skip with the reason, or fail where it was promised.

`REQUIRE=all`, or suites like `REQUIRE=law,docker`, turns a skip into a failure: a continuous
integration run that has installed everything must not pass by skipping.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

VLLM_VARIABLE = "VLLMD_TEST_VLLM_PYTHON"


def is_required(suite: str, environ: Mapping[str, str]) -> bool:
    """Tell whether the variable REQUIRE promises that this suite can run."""
    promised = {word.strip() for word in environ.get("REQUIRE", "").split(",")}
    return not promised.isdisjoint({"all", suite})


def skip_or_fail(suite: str, reason: str) -> NoReturn:
    """End the test because this machine lacks something; `reason` says what, and how to get it."""
    if is_required(suite, os.environ):
        pytest.fail(f"REQUIRE={os.environ['REQUIRE']}, but {reason}", pytrace=False)
    pytest.skip(reason)


def require(suite: str, reason: str, *, present: bool) -> None:
    """Skip or fail with `reason` unless something is present."""
    if not present:
        skip_or_fail(suite, reason)


def require_module(suite: str, name: str) -> None:
    """Need a Python module, by its import name."""
    found = importlib.util.find_spec(name) is not None
    require(suite, f"the Python module '{name}' is not installed", present=found)


def require_program(suite: str, name: str) -> str:
    """Need a program on PATH; return its path."""
    path = shutil.which(name)
    if path is None:
        skip_or_fail(suite, f"the program '{name}' is not on PATH")
    return path


def require_vllm_python(suite: str) -> str:
    """Need an interpreter that has vLLM; return its path."""
    python = os.environ.get(VLLM_VARIABLE, "")
    reason = f"{VLLM_VARIABLE} names no Python with vLLM ('make vllm' installs one)"
    require(suite, reason, present=bool(python) and os.access(python, os.X_OK))
    return python
