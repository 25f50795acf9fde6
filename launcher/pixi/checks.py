"""What is wrong with a pixi, its project, or an environment to be. Pure: problems by facts."""

from __future__ import annotations

from launcher.config.problems import ERROR, WARNING, Problem
from launcher.pixi.versions import FORWARDS_SIGNALS, HAS_AS_IS, HAS_EXECUTABLE, render_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.pixi.manifest import Manifest
    from launcher.pixi.versions import Version

DIRECTORY = ("master", "pixi_project_dir")
LAUNCH = ("master", "pixi_launch")
# The packages of that name are other programs; one of them has a `pixi` command.
OTHERS = "the packages called pixi on PyPI and npm are other programs"
NEWER = "use pixi 0.64 or newer"
BY_HOOK = 'set pixi_launch = "hook" in [master]'


def not_pixi(program: str, reason: str) -> Problem:
    """Return the problem of a `pixi` on PATH that is not the package manager."""
    message = f"'{program}' is not the package manager pixi: {reason}"
    hint = f"put a pixi from its own releases first on PATH; {OTHERS}"
    return Problem(message=message, hint=hint, path=DIRECTORY, missing=True)


def check_version(version: Version, launch: str, manifest: Manifest) -> Iterator[Problem]:
    """Yield what this version of pixi cannot do for us."""
    shown = render_version(version)
    if version < HAS_AS_IS:
        message = f"pixi {shown} has no --as-is: it is given --frozen --no-install instead"
        yield _warning(message, NEWER)
    if launch != "run":
        return
    if version < FORWARDS_SIGNALS:
        message = f"pixi {shown} does not pass SIGTERM on: a server cannot stop in good order"
        yield _warning(message, f"{NEWER}, or {BY_HOOK}")
    if "python" in manifest.tasks and version < HAS_EXECUTABLE:
        message = f"the manifest has a task 'python', which pixi {shown} would run as the server"
        yield Problem(
            message=message, hint=f"rename the task, {NEWER}, or {BY_HOOK}", path=DIRECTORY
        )


def check_unicode(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the variables that make pixi panic: it enumerates them all as UTF-8."""
    for name, value in environ.items():
        if any("\udc80" <= character <= "\udcff" for character in name + value):
            shown = name.encode("ascii", "backslashreplace").decode("ascii")
            message = f"the variable '{shown}' is not UTF-8, and pixi fails in such an environment"
            yield Problem(message=message, hint="unset it, or correct its value", path=DIRECTORY)


def moved(installed_for: str, manifest: str) -> Problem:
    """Return the problem of an environment that was installed somewhere else."""
    message = f"the pixi environment was installed for '{installed_for}', not for '{manifest}'"
    hint = "install it again where it is: paths inside an environment do not move with it"
    return _warning(message, hint)


def unwritable(folder: str, missing: tuple[str, ...]) -> Problem:
    """Return the problem of a `.pixi` in which pixi cannot make the files that it wants."""
    names = "' and '".join(missing)
    message = f"pixi wants to make '{names}' in '{folder}', which this user cannot write"
    return _warning(message, "make them beforehand, or let this user write there")


def detached(config: str, python: str) -> Problem:
    """Return the problem of environments that are not in the project, under `pixi run`."""
    message = (
        f"'detached-environments' in '{config}' keeps environments elsewhere: no '{python}', and "
        "without it pixi would run the python of the system"
    )
    hint = f"{BY_HOOK}, which asks pixi where they are, or remove the setting and install again"
    return Problem(message=message, hint=hint, path=DIRECTORY, missing=True)


def bad_manifest(manifest: str, reason: str) -> Problem:
    """Return the problem of a manifest that cannot be read or parsed."""
    message = f"the pixi manifest '{manifest}' cannot be used: {reason}"
    return Problem(message=message, hint="correct it", path=DIRECTORY)


def hook_failed(reason: str, command: str) -> Problem:
    """Return the problem of a `pixi shell-hook` without a usable answer."""
    message = f"'pixi shell-hook' gave no environment: {reason}"
    return Problem(message=message, hint=f"try it: {command}", path=LAUNCH, missing=True)


def not_activated(environment: str, reason: str) -> Problem:
    """Return the problem of an environment that cannot be activated without pixi."""
    message = f"the environment '{environment}' cannot be activated without pixi: {reason}"
    hint = "correct it, or put a pixi from its own releases on PATH"
    return Problem(message=message, hint=hint, path=LAUNCH, missing=True)


def _warning(message: str, hint: str) -> Problem:
    return Problem(message=message, hint=hint, severity=WARNING, path=DIRECTORY)


def has_error(problems: list[Problem]) -> bool:
    """Tell whether anything forbids asking pixi further."""
    return any(problem.severity == ERROR for problem in problems)
