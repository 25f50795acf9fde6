"""What a user sees for a configuration: all its problems, as `vllmd check` prints them."""

from __future__ import annotations

from launcher.config.document import Document, decode_toml, parse_assignment
from launcher.config.overrides import parse_overrides
from launcher.config.problems import Origin
from launcher.config.report import Locator, render_text, sort_problems
from launcher.errors import ConfigError
from launcher.server.read import read_config

FILE = Origin(kind="file", name="vllm.toml")


def messages(toml: str | bytes = "", overrides: str = "", assignments: tuple[str, ...] = ()) -> str:
    """Read a file, the overrides variable and `--set` arguments; render every problem."""
    raw = toml.encode() if isinstance(toml, str) else toml
    source = Document(origin=FILE, text=raw.decode("utf-8-sig", "replace"), data={})
    documents = [source]
    try:
        documents = [decode_toml(raw, FILE)]
        documents += [parse_overrides(overrides)] if overrides else []
        documents += [parse_assignment(assignment) for assignment in assignments]
    except ConfigError as error:
        problems = error.problems
    else:
        problems = read_config(tuple(documents)).problems
    pairs = sort_problems(problems, Locator(documents))
    return "\n".join(render_text(problem, spot) for problem, spot in pairs)
