"""Stand-ins for modules that old releases of vLLM import and the shared set of packages lacks.

None of them takes part in building the argument parser. They are named one by one: vLLM probes
for many optional packages with `try: import`, and those probes have to go on failing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STUBBED = frozenset({"diskcache", "gguf"})


class _Anything(type):
    """A class that has every attribute: each is again such a class."""

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _StubModule(types.ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers an import of a stubbed package, or of a part of it, with an empty module."""

    def find_spec(
        self,
        fullname: str,
        _path: Sequence[str] | None,
        _target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Claim the names of the stubbed packages and of everything in them."""
        if fullname.partition(".")[0] not in STUBBED:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Make the empty module."""
        return _StubModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to execute."""


def install_stubs() -> None:
    """Let stubs answer, after every real finder has had its turn."""
    sys.meta_path.append(StubFinder())
