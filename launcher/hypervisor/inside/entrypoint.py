"""What the image says about its entrypoint: /etc/vllmd/image.json, written by `image build`."""

from __future__ import annotations

import json

import tomli

SETTINGS = "/etc/vllmd/image.json"
PROGRAM = "/opt/vllmd/bin/vllmd"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}


def read_environment() -> dict[str, str]:
    """Return the environment that the container image brought along, over a small one."""
    try:
        with open(SETTINGS, encoding="utf-8") as file:
            values = json.load(file)["environment"]
    except (OSError, ValueError, KeyError):
        values = {}
    return {**BASE, **values}


def control_socket_of(config: str, overrides: str) -> str:
    """Return the control socket that a configuration names, empty where it names none.

    A broken configuration names none: `vllmd run` is the one to report what is wrong with it.
    """
    try:
        with open(config, "rb") as file:
            layers = [tomli.load(file), json.loads(overrides or "{}")]
    except (OSError, ValueError):
        return ""
    found = ""
    for layer in layers:
        master = layer.get("master") if isinstance(layer, dict) else None
        named = master.get("control_socket") if isinstance(master, dict) else None
        found = named if isinstance(named, str) else found
    return found
