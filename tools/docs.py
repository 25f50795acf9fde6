#!/usr/bin/env python3
"""Write the tables of docs/ that are generated from the model; a test fails where they drift.

python tools/docs.py          rewrite the tables in place
python tools/docs.py --check  exit 1, naming the files, where one is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from launcher.server.model import CONTROL_KEYS, MASTER_KEYS  # noqa: E402

if TYPE_CHECKING:
    from launcher.config.reader import Key

PAGE = ROOT / "docs" / "configuration.md"


def render_keys(keys: tuple[Key, ...]) -> str:
    """Render the keys of a table as Markdown."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key in keys:
        default = key.default_words or _toml(key.default)
        rows.append(f"| `{key.name}` | {key.expected} | {default} | {key.doc} |")
    return "\n".join(rows)


def replace_block(text: str, name: str, block: str) -> str:
    """Replace what stands between the two marks of a generated block.

    Raises:
        ValueError: the text lacks the marks.
    """
    begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the marks of '{name}' are missing")
    return f"{before}{begin}\n{block}\n{end}{after}"


def render_page(text: str) -> str:
    """Return the page with its generated tables up to date."""
    text = replace_block(text, "master", render_keys(MASTER_KEYS))
    return replace_block(text, "control", render_keys(CONTROL_KEYS))


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def main() -> int:
    """Rewrite the page, or check it."""
    text = PAGE.read_text(encoding="utf-8")
    wanted = render_page(text)
    if text == wanted:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{PAGE.relative_to(ROOT)} is out of date: run python tools/docs.py", file=sys.stderr)
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
