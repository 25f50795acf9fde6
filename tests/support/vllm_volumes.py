"""A real vLLM for a container that has none: the interpreter of this machine, mounted."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PREFIX = "/opt/python"  # the interpreter below the virtual environment
VENV = "/opt/vllm"
ASK = """\
import importlib.util, json, os, sys
origin = importlib.util.find_spec("vllm").origin
print(json.dumps({
    "prefix": sys.base_prefix,
    "program": os.path.basename(os.path.realpath(sys.executable)),
    "packages": os.path.dirname(os.path.dirname(origin)),
    "folder": f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages",
}))
"""
PYVENV = "home = {home}\ninclude-system-site-packages = false\n"


def vllm_volumes(python: str, folder: Path) -> Mapping[str, str]:
    """Return the mounts by which a container has `/opt/vllm/bin/python` with vLLM.

    The virtual environment is written anew into `folder`, around the packages of the real one: its
    own links name paths of this machine. Debian's own Python is not mounted: the container's is
    the same.
    """
    done = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=True)
    facts: dict[str, str] = json.loads(done.stdout)
    is_debians = facts["prefix"] == "/usr"
    home = f"{'/usr' if is_debians else PREFIX}/bin"
    venv = folder / "venv"
    (venv / facts["folder"]).mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to(f"{home}/{facts['program']}")
    (venv / "pyvenv.cfg").write_text(PYVENV.format(home=home))
    volumes = {
        str(venv): f"{VENV}:ro",
        facts["packages"]: f"{VENV}/{facts['folder']}:ro",
    }
    return volumes if is_debians else {**volumes, facts["prefix"]: f"{PREFIX}:ro"}
