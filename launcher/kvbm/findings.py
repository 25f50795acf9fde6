"""Collecting problems of one role's settings, each at the place where its value was written."""

from __future__ import annotations

from launcher.config.layers import DEFAULT
from launcher.config.problems import ERROR, WARNING, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import Path
    from launcher.kvbm.layers import Stack

# What KVBM called a thing before or after the generation that is configured here.
OTHER_NAMES = {
    "messenger": "nova",
    "size_gb": "cache_size_gb",
    "threads": "worker_threads",
}


class Findings:
    """Problems of a stack of layers. With `strict`, unknown names are errors."""

    def __init__(self, stack: Stack, *, strict: bool = False) -> None:
        self.stack = stack
        self.strict = strict
        self.found: list[Problem] = []

    def error(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Note what forbids a start, at `path` or the nearest table around it."""
        self._add(path, message, hint, ERROR, at_key=at_key)

    def warning(self, path: Path, message: str, hint: str = "") -> None:
        """Note what is probably not meant."""
        self._add(path, message, hint, WARNING, at_key=False)

    def unknown(self, path: Path, known: tuple[str, ...]) -> None:
        """Note a key that KVBM ignores, with the known one nearest to it."""
        # Imported only for a user who made a mistake: difflib is not for free.
        from launcher.config.suggest import render_hint  # noqa: PLC0415

        name, where = str(path[-1]), ".".join(str(part) for part in path[:-1])
        other = OTHER_NAMES.get(name)
        hint = render_hint(name, known) if known else "remove it"
        if other in known:
            hint = f"it is called '{other}' here"
        message = f"KVBM ignores the unknown key '{name}'{f' in [{where}]' if where else ''}"
        self._add(path, message, hint, ERROR if self.strict else WARNING, at_key=True)

    def _add(self, path: Path, message: str, hint: str, severity: str, *, at_key: bool) -> None:
        source = self.stack.nearest(path)
        self.found.append(
            Problem(
                message=message,
                hint=hint,
                severity=severity,
                origin=None if source.origin == DEFAULT else source.origin,
                path=source.path,
                at_key=at_key,
            )
        )
