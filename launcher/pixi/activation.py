"""Activate a pixi environment without pixi, as conda's rules are, by one run of bash.

The order is pixi's: the prefix on PATH and CONDA_PREFIX, what packages set
(`etc/conda/env_vars.d/*.json`, `conda-meta/state`), their scripts (`etc/conda/activate.d/*.sh`),
then the manifest's `[activation]`: scripts, and last its variables.
"""

from __future__ import annotations

import json
import os

from launcher.pixi.capture import capture
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.pixi.manifest import Activation

# The shell's own, which no activation means to set.
OWN = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})
# What scripts print is not for us. Nothing but bash itself is needed to tell the variables.
SCRIPT = r"""
{
eval "$1"
shift
for each in "$@"; do . "$each"; done
eval "$activate_last"
} >/dev/null </dev/null
unset activate_last
while IFS= read -r each; do printf '%s=%s\0' "$each" "${!each}"; done < <(compgen -e)
"""


class ActivationError(Exception):
    """An environment cannot be activated; the message says why."""


@record
class Place:
    """An environment: its project's folder and manifest, its name, and its prefix."""

    root: str
    manifest: str
    environment: str
    prefix: str


def activate(
    place: Place, activation: Activation, environ: Mapping[str, str], within_s: float
) -> dict[str, str]:
    """Return the variables that an activation adds to `environ`, or changes.

    A script that fails is no failure, as with pixi: only bash has to work.

    Raises:
        ActivationError: there is no bash, or it does not end in time.
    """
    bash = _find_bash(environ)
    start = {**environ, **_static(place, environ)}
    first = "\n".join(f"export {name}={_literal(value)}" for name, value in _packages(place.prefix))
    last = "\n".join(f"export {name}={_expanded(value)}" for name, value in activation.variables)
    scripts = (*_scripts(place.prefix), *(os.path.join(place.root, s) for s in activation.scripts))
    try:
        answer = capture(
            (bash, "--noprofile", "--norc", "-c", SCRIPT, "activate", first, *scripts),
            {**start, "activate_last": last},
            within_s,
        )
    except OSError as error:
        raise ActivationError(f"'{bash}': {(error.strerror or str(error)).lower()}") from None
    if answer.code is None:
        raise ActivationError(f"its scripts have not ended within {within_s:g} s")
    pairs = (pair.partition("=") for pair in answer.out.split("\0") if "=" in pair)
    found = {name: value for name, _, value in pairs if name not in OWN}
    if "CONDA_PREFIX" not in found:
        raise ActivationError("a script has ended the shell that was to tell its variables")
    return {name: value for name, value in found.items() if environ.get(name) != value}


def _find_bash(environ: Mapping[str, str]) -> str:
    for folder in environ.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder, "bash")
        if folder and os.access(path, os.X_OK):
            return path
    raise ActivationError("activation scripts need 'bash', and there is none on PATH")


def _static(place: Place, environ: Mapping[str, str]) -> dict[str, str]:
    return {
        "PATH": f"{place.prefix}/bin:{environ.get('PATH', os.defpath)}",
        "CONDA_PREFIX": place.prefix,
        "CONDA_DEFAULT_ENV": place.environment,
        "CONDA_SHLVL": "1",
        "PIXI_PROJECT_ROOT": place.root,
        "PIXI_PROJECT_MANIFEST": place.manifest,
        "PIXI_ENVIRONMENT_NAME": place.environment,
        "PIXI_IN_SHELL": "1",
    }


def _packages(prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the variables that packages set, and those that somebody set for the environment."""
    folder = os.path.join(prefix, "etc", "conda", "env_vars.d")
    for name in _names(folder, ".json"):
        yield from _variables(_read_json(os.path.join(folder, name)))
    state = _read_json(os.path.join(prefix, "conda-meta", "state"))
    yield from _variables(state.get("env_vars") if isinstance(state, dict) else None)


def _variables(data: object) -> Iterator[tuple[str, str]]:
    for name, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, str) and str(name).isidentifier():
            yield str(name), value


def _scripts(prefix: str) -> Iterator[str]:
    folder = os.path.join(prefix, "etc", "conda", "activate.d")
    return (os.path.join(folder, name) for name in _names(folder, ".sh"))


def _names(folder: str, suffix: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(suffix))
    except OSError:
        return []


def _read_json(path: str) -> object:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def _literal(value: str) -> str:
    """Quote a value for the shell, as it is."""
    return "'" + value.replace("'", "'\\''") + "'"


def _expanded(value: str) -> str:
    """Quote a value for the shell; `$NAME` in it stands for a variable, and nothing is run."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`")
    return '"' + escaped.replace("$(", "\\$(") + '"'
