"""`vllmd demo-model`: write the model that `make run` serves."""

from __future__ import annotations

import sys

from launcher.cli.arguments import parse_demo_model
from launcher.demo.writer import write_demo_model
from launcher.errors import EX_OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def main(argv: list[str], _environ: Mapping[str, str]) -> int:
    """Write the demo model into a folder.

    Raises:
        UsageError: wrong command line, or the folder holds somebody else's model.
        HostError: the folder cannot be written.
    """
    directory = parse_demo_model(argv).directory
    names = write_demo_model(directory)
    written = f"wrote {', '.join(names)}" if names else "nothing to write, it was there"
    print(f"the demo model is in {directory} ({written})", file=sys.stderr)
    return EX_OK
