"""Read the names of vLLM's environment variables from its sources, without running them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TABLE = "environment_variables"
# A handful of variables are read where they are used, past the table.
DIRECT_READ = re.compile(r"""(?:environ(?:\.get)?[\[(]|getenv\()\s*["'](VLLM_[A-Z0-9_]+)["']""")


def find_names(package: Path) -> list[str]:
    """Return the `VLLM_*` names that vLLM reads, sorted. `package` is the folder `vllm`.

    Raises:
        LookupError: its `envs.py` has no table of known variables.
    """
    names = set(read_names(str(package / "envs.py")))
    for path in package.rglob("*.py"):
        if "third_party" not in path.parts:
            names.update(DIRECT_READ.findall(path.read_text(encoding="utf-8")))
    return sorted(names)


def read_names(path: str) -> list[str]:
    """Return the `VLLM_*` names in the table of known variables, sorted.

    Raises:
        LookupError: the file has no such table.
    """
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        target = _assigned_name(node)
        if target == TABLE and isinstance(getattr(node, "value", None), ast.Dict):
            return sorted(_keys(node.value))  # type: ignore[attr-defined]
    raise LookupError(f"{path} has no table {TABLE}")


def _assigned_name(node: ast.AST) -> str:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def _keys(table: ast.Dict) -> set[str]:
    names = {key.value for key in table.keys if isinstance(key, ast.Constant)}
    return {name for name in names if isinstance(name, str) and name.startswith("VLLM_")}
