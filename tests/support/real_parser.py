"""vLLM's own parser, in a child process that parses as many cases as one likes."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from tests.support.wait import PATIENCE_S

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PROGRAM = os.path.join(os.path.dirname(__file__), "..", "programs", "parse_tokens.py")


class RealParser:
    """Speaks with `parse_tokens.py`. Use it in a `with` statement: it owns the process."""

    def __init__(self, python: str) -> None:
        """Start the child. `python` is an interpreter that has vLLM; importing takes seconds."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("VLLM_")}
        self._child = subprocess.Popen(
            [python, PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        said = self._hear()
        self.options: list[dict[str, Any]] = said["options"]
        self.flags: dict[str, str] = said["flags"]  # every spelling, and the option it sets

    def parse(self, tokens: list[str], dest: str, fields: list[str] | None = None) -> Any:
        """Return what the parser makes of an option, or of the fields of a dataclass.

        Raises:
            ValueError: the parser refused the tokens.
        """
        assert self._child.stdin
        question = {"tokens": tokens, "dest": dest, "fields": fields}
        self._child.stdin.write(json.dumps(question) + "\n")
        self._child.stdin.flush()
        answer = self._hear()
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["value"]

    def _hear(self) -> dict[str, Any]:
        assert self._child.stdout
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        """Return itself: the child already runs."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """End the child by ending its input."""
        self._child.communicate(timeout=PATIENCE_S)
