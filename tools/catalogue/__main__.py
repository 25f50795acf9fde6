"""Write the catalogue: `python -m tools.catalogue --python INTERPRETER [--cache DIR]`.

INTERPRETER is one that has the newest vLLM with its dependencies; they serve every release. Its own
vLLM is not asked: the sources of each release come first on the import path. `make catalogue` uses
that of `make vllm`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools.catalogue.releases import RELEASES
from tools.catalogue.render import render_environment, render_help, render_options
from tools.catalogue.wheels import fetch_sources

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "launcher" / "server" / "catalogue" / "data"
# The child sees none of our variables: a VLLM_* one could change a default.
CLEAN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "HF_HUB_OFFLINE": "1"}


def main() -> int:
    """Fetch, ask and write every release."""
    arguments = _parse_arguments()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    wheels: dict[str, str] = {}
    for version, distribution in RELEASES.items():
        sources, wheels[version] = fetch_sources(distribution, version, arguments.cache)
        found[version] = ask_release(arguments.python, sources)
        counted = len(found[version]["options"]), len(found[version]["environment"])
        print(f"{version}: {counted[0]} options, {counted[1]} variables", file=sys.stderr)
    (DATA / "options.tsv").write_text(render_options(found, wheels), encoding="utf-8")
    (DATA / "help.tsv").write_text(render_help(found, wheels), encoding="utf-8")
    (DATA / "environment.tsv").write_text(render_environment(found, wheels), encoding="utf-8")
    return 0


def ask_release(python: str, sources: Path | None) -> dict[str, Any]:
    """Return what one release says of itself; without sources, the release installed there.

    Raises:
        subprocess.CalledProcessError: its parser cannot be built; stderr has said why.
    """
    command = [python, "-B", "-m", "tools.catalogue.extract"]
    command += [] if sources is None else [str(sources)]
    ended = subprocess.run(
        command, cwd=ROOT, env=CLEAN_ENVIRONMENT, stdout=subprocess.PIPE, check=True
    )
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.catalogue", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="has vLLM's dependencies")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "vllm-sources",
        help="keeps the unpacked sources (1 GB) from one run to the next",
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
