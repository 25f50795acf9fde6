"""Look at a pixi, its project and its environment: the effects of this package.

Nothing is changed: pixi is only ever asked, with the options by which it solves, installs and
fetches nothing, and always within a time limit.
"""

from __future__ import annotations

import os
import shlex

import tomli

from launcher.pixi import checks
from launcher.pixi.activation import ActivationError, Place, activate
from launcher.pixi.answers import complaint, parse_hook, parse_marker
from launcher.pixi.capture import capture
from launcher.pixi.manifest import Manifest, parse_manifest
from launcher.pixi.versions import hook_words, parse_version, run_options
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.config.problems import Problem
    from launcher.pixi.versions import Version

VERSION_S = 10.0
# Activation scripts may take seconds. While a reload asks, the supervisor waits.
HOOK_S = 30.0
MANIFESTS = ("pixi.toml", "pyproject.toml")
# Made by pixi at every start where they are missing.
OWN_FILES = (".gitignore", ".condapackageignore")
# For every pixi that we run or that runs a server: no network, no bars in the log.
QUIET = {"PIXI_OFFLINE": "1", "PIXI_NO_PROGRESS": "1", "PIXI_COLOR": "never"}


@record
class Wish:
    """Which environment of which project is to run a server, and how. `python` is expected."""

    program: str  # empty: there is none, and `launch` is "hook"
    directory: str
    environment: str
    launch: str  # "run" or "hook"
    python: str


@record
class Project:
    """What was found.

    `options` are those of `pixi run`. `variables` is what a server is given for pixi's sake: the
    activated environment under "hook"; None where nothing was learnt.
    """

    options: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] | None = None
    overridden: frozenset[str] = frozenset()  # what the manifest sets, over what a server is given
    problems: tuple[Problem, ...] = ()

    def __repr__(self) -> str:
        """Show no variables: secrets may be among them."""
        return f"Project({self.options})"


def look(wish: Wish, environ: Mapping[str, str]) -> Project:
    """Look at the project; `environ` is the environment that a server will have."""
    if not wish.program:
        return _look_without_pixi(wish, environ)
    problems = list(checks.check_unicode(environ))
    version = _ask_version(wish.program, environ, problems)
    if version is None:
        return Project(problems=tuple(problems))
    manifest = _read_manifest(wish, problems)
    problems += checks.check_version(version, wish.launch, manifest)
    problems += _check_folders(wish, environ)
    variables = None
    if wish.launch == "run":
        variables = {name: value for name, value in QUIET.items() if name not in environ}
    elif not checks.has_error(problems):
        variables = _ask_hook(wish, version, environ, problems)
    return Project(
        options=run_options(version),
        variables=tuple(variables.items()) if variables is not None else None,
        overridden=manifest.variables if wish.launch == "run" else frozenset(),
        problems=tuple(problems),
    )


def _look_without_pixi(wish: Wish, environ: Mapping[str, str]) -> Project:
    """Activate an environment that is installed, but by no pixi that is here."""
    problems: list[Problem] = []
    manifest = _read_manifest(wish, problems)
    problems += _check_folders(wish, environ)
    if checks.has_error(problems):
        return Project(problems=tuple(problems))
    place = Place(
        root=wish.directory,
        manifest=_manifest_path(wish.directory) or "",
        environment=wish.environment,
        prefix=os.path.dirname(os.path.dirname(wish.python)),
    )
    try:
        variables = activate(place, manifest.activation, environ, HOOK_S)
    except ActivationError as error:
        problems.append(checks.not_activated(wish.environment, str(error)))
        return Project(problems=tuple(problems))
    return Project(variables=tuple(variables.items()), problems=tuple(problems))


def _ask_version(
    program: str, environ: Mapping[str, str], problems: list[Problem]
) -> Version | None:
    try:
        answer = capture((program, "--version"), {**QUIET, **environ}, VERSION_S)
    except OSError as error:
        problems.append(checks.not_pixi(program, (error.strerror or str(error)).lower()))
        return None
    version = parse_version(answer.out) if answer.code == 0 else None
    if version is None:
        how = f"within {VERSION_S:g} s" if answer.code is None else "with 'pixi X.Y.Z'"
        problems.append(checks.not_pixi(program, f"it does not answer --version {how}"))
    return version


def _manifest_path(directory: str) -> str | None:
    paths = (os.path.join(directory, name) for name in MANIFESTS)
    return next((path for path in paths if os.path.isfile(path)), None)


def _read_manifest(wish: Wish, problems: list[Problem]) -> Manifest:
    path = _manifest_path(wish.directory)
    if path is None:
        return Manifest()  # said elsewhere
    try:
        with open(path, encoding="utf-8") as file:
            return parse_manifest(file.read(), os.path.basename(path), wish.environment)
    except OSError as error:
        problems.append(checks.bad_manifest(path, (error.strerror or str(error)).lower()))
    except (UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        problems.append(checks.bad_manifest(path, f"it is not TOML: {error}"))
    return Manifest()


def _check_folders(wish: Wish, environ: Mapping[str, str]) -> Iterator[Problem]:
    folder = os.path.join(wish.directory, ".pixi")
    missing = tuple(name for name in OWN_FILES if not os.path.exists(os.path.join(folder, name)))
    if wish.program and missing and _is_forbidden(folder):
        yield checks.unwritable(folder, missing)
    if not os.path.exists(wish.python):
        config = _detaching_config(wish.directory, environ)
        if config and wish.launch == "run":
            yield checks.detached(config, wish.python)
        return
    marker = os.path.join(os.path.dirname(os.path.dirname(wish.python)), "conda-meta", "pixi")
    installed_for = parse_marker(_read(marker))
    manifest = _manifest_path(wish.directory)
    if installed_for and manifest and os.path.realpath(installed_for) != os.path.realpath(manifest):
        yield checks.moved(installed_for, manifest)


def _is_forbidden(folder: str) -> bool:
    """Tell whether we lack the permission to write; a read-only file system pixi puts up with."""
    if not os.path.isdir(folder) or os.access(folder, os.W_OK):
        return False
    return not os.statvfs(folder).f_flag & os.ST_RDONLY


def _detaching_config(directory: str, environ: Mapping[str, str]) -> str | None:
    """Return the configuration of pixi that keeps environments outside of their projects."""
    home = environ.get("HOME", "")
    settings = environ.get("XDG_CONFIG_HOME") or (home and f"{home}/.config")
    folders = (
        f"{directory}/.pixi",
        environ.get("PIXI_HOME") or (home and f"{home}/.pixi"),
        settings and f"{settings}/pixi",
        "/etc/pixi",
    )
    for folder in filter(None, folders):
        path = os.path.join(folder, "config.toml")
        try:
            data = tomli.loads(_read(path))
        except tomli.TOMLDecodeError:
            continue  # pixi itself will complain
        if data.get("detached-environments"):
            return path
    return None


def _ask_hook(
    wish: Wish, version: Version, environ: Mapping[str, str], problems: list[Problem]
) -> dict[str, str] | None:
    words = hook_words(wish.program, version, wish.directory, wish.environment)
    command = shlex.join(words)
    try:
        answer = capture(words, {**QUIET, **environ}, HOOK_S)
    except OSError as error:
        problems.append(checks.hook_failed((error.strerror or str(error)).lower(), command))
        return None
    if answer.code != 0:
        late = answer.code is None
        said = complaint(answer.err) or f"exit code {answer.code}"
        reason = f"no answer within {HOOK_S:g} s" if late else said
        problems.append(checks.hook_failed(reason, command))
        return None
    try:
        return parse_hook(answer.out)
    except ValueError as error:
        problems.append(checks.hook_failed(f"its answer is not understood: {error}", command))
        return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
