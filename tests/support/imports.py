"""The imports of a package, read from its source without importing it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One imported module; `module` is the longest prefix that is a module of the package."""

    module: str
    line: int
    typing_only: bool  # below `if TYPE_CHECKING`
    lazy: bool  # inside a function


def find_modules(root: Path, package: str) -> dict[str, ast.Module]:
    """Return the syntax tree of every module below `root/package`, by dotted name."""
    modules = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return modules


def read_imports(modules: Mapping[str, ast.Module]) -> dict[str, list[Import]]:
    """Return what each module imports."""
    return {
        name: list(_walk(tree, frozenset(modules), typing_only=False, lazy=False))
        for name, tree in modules.items()
    }


def reachable(
    imports: Mapping[str, list[Import]], start: str, *, lazy: bool
) -> dict[str, list[Import]]:
    """Return the modules that importing `start` imports at run time, with their imports.

    With `lazy`, imports inside functions count too.
    """
    found: dict[str, list[Import]] = {}
    pending = [start]
    while pending:
        name = pending.pop()
        if name in found or name not in imports:
            continue
        found[name] = [i for i in imports[name] if not i.typing_only and (lazy or not i.lazy)]
        pending.extend(i.module for i in found[name])
    return found


def _walk(
    node: ast.AST, known: frozenset[str], *, typing_only: bool, lazy: bool
) -> Iterator[Import]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for target in _targets(node, known):
            yield Import(target, node.lineno, typing_only, lazy)
        return
    if isinstance(node, ast.If) and _is_type_checking(node.test):
        for child in node.body:
            yield from _walk(child, known, typing_only=True, lazy=lazy)
        for child in node.orelse:
            yield from _walk(child, known, typing_only=typing_only, lazy=lazy)
        return
    inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for inner in ast.iter_child_nodes(node):
        yield from _walk(inner, known, typing_only=typing_only, lazy=inside)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _targets(node: ast.Import | ast.ImportFrom, known: frozenset[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert node.level == 0, f"line {node.lineno}: write the whole name instead of dots"
    base = node.module or ""
    return [
        f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names
    ]
