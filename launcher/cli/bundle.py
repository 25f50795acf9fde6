"""`vllmd bundle`: install an offline bundle, and look into one."""

from __future__ import annotations

import json
import os
import signal
import sys

from launcher.bundle.archive import read_bundle
from launcher.bundle.errors import BundleError, Stopped
from launcher.bundle.generations import read_installed
from launcher.bundle.inspect import Inspection, Section, as_data, inspect_contents
from launcher.bundle.install import Order, install
from launcher.bundle.model import MISSING, OK, Listed, Package
from launcher.bundle.plan import find_platform
from launcher.bundle.progress import Progress, render_size
from launcher.bundle.tarball import open_tarball
from launcher.bundle.verify import find_gaps, prefix_of
from launcher.cli.bundle_arguments import (
    SHA_VARIABLE,
    new_bundle_parser,
    parse_sha256,
)
from launcher.cli.sources import find_config, load_documents
from launcher.config.problems import Problem, errors_of
from launcher.errors import EX_CONFIG, EX_OK, ConfigError, UsageError
from launcher.facts import find_program
from launcher.server.model import BUNDLE_VARIABLE
from launcher.server.read import read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from launcher.bundle.installed import Installed
    from launcher.server.model import LauncherConfig

DIRECTORY = ("master", "pixi_project_dir")
COLUMNS = ("package", "version", "build", "kind", "size", "state")


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Run one of the verbs and return its exit code.

    Raises:
        LauncherError: the command line, the bundle or the machine is wrong.
    """
    arguments = new_bundle_parser().parse_args(argv)
    if arguments.verb == "inspect":
        return _inspect(arguments, environ)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    order = _order(arguments, environ)
    if order is not None:
        install(order, environ, Progress(sys.stderr))
    return EX_OK


def _stop(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # what is under way has to be cleared away first
    raise Stopped(number)


def _order(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Order | None:
    tar = _tar(arguments.tar, environ)
    sha256 = arguments.sha256 or _sha256(environ)
    root, environments = arguments.into, tuple(arguments.environment)
    if root == "":
        raise UsageError("--into names no folder", "write it like --into /app")
    if root is None:
        config = _configuration(arguments, environ)
        if not config.master.enable:
            return None
        root = config.master.pixi_project_dir
        environments = environments or (config.master.pixi_environment,)
    return Order(
        tar=tar,
        root=root,
        environments=tuple(dict.fromkeys(environments)) or ("default",),
        sha256=sha256,
        by=arguments.by,
        pixi=find_program("pixi", environ) or "",
        force=arguments.force,
    )


def _tar(argument: str | None, environ: Mapping[str, str]) -> str:
    tar = argument or environ.get(BUNDLE_VARIABLE)
    if not tar:
        raise UsageError(
            f"no bundle: none was named, and {BUNDLE_VARIABLE} is not set", "name a tar"
        )
    return tar


def _sha256(environ: Mapping[str, str]) -> str:
    text = environ.get(SHA_VARIABLE, "")
    try:
        return parse_sha256(text) if text else ""
    except ValueError as error:
        raise UsageError(f"{SHA_VARIABLE}: {error}", "see: sha256sum BUNDLE") from None


def _configuration(arguments: argparse.Namespace, environ: Mapping[str, str]) -> LauncherConfig:
    path = find_config(arguments.config, environ)
    if path is None:
        raise UsageError(
            "nothing says where to install the bundle", "name a folder by --into, or --config"
        )
    config = read_config(load_documents(path, tuple(arguments.assignments), environ))
    documents = config.tree.documents
    if errors_of(config.problems):
        raise ConfigError(config.problems, documents)
    if config.master.enable and config.master.pixi_project_dir is None:
        problem = Problem(
            message="nothing says where to install the bundle",
            # `vllmd run`, which names the file so, has no --into.
            hint="set pixi_project_dir in [master]"
            if arguments.config
            else "set pixi_project_dir in [master], or name a folder by --into",
            origin=documents[0].origin,
            path=DIRECTORY,
        )
        raise ConfigError((problem,), documents)
    return config


def _inspect(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    path = _tar(arguments.path, environ)
    if os.path.isdir(path):
        installed = read_installed(path)
        if installed is None:
            raise BundleError(
                f"no bundle was installed into '{path}'", f"vllmd bundle install TAR --into {path}"
            )
        inspection = _look(installed, path, arguments.environment)
        head = f"{path}: {installed.source.path}, installed by {installed.by}"
    else:
        with open_tarball(path) as tarball:
            contents = read_bundle(tarball, None, md5=True)
        platform = find_platform(os.uname().machine)
        inspection = inspect_contents(contents, arguments.environment, platform)
        if inspection.is_empty():
            hint = "make a bundle with pixi-pack"
            raise BundleError(f"the bundle '{path}' has no package", hint)
        installed, head = None, path
    if arguments.json:
        sha256 = {"sha256": installed.source.sha256} if installed is not None else {}
        print(json.dumps({"path": path, **sha256, **as_data(inspection)}, indent=1))
    else:
        _print(inspection, head)
    return EX_CONFIG if inspection.faults() else EX_OK


def _look(installed: Installed, root: str, environment: str) -> Inspection:
    """Look at what is installed; the sizes are those of the packages that are kept."""
    names = [name for name in installed.environments if environment in {"", name}]
    sections = []
    for name in names:
        listed = []
        for each in installed.packages:
            if each.environment == name:
                gaps = find_gaps(prefix_of(root, name), [(each.kind, each.name, each.file)])
                package = Package(
                    kind=each.kind,
                    name=each.name,
                    version=each.version,
                    build=each.build,
                    file=each.file,
                    sha256=each.sha256,
                )
                listed.append(
                    Listed(
                        package=package,
                        size=_size(os.path.join(root, each.file)),
                        state=MISSING if gaps else OK,
                    )
                )
        sections.append(Section(environment=name, platform="", packages=tuple(listed)))
    return Inspection(sections=tuple(sections))


def _size(path: str) -> int:
    return os.stat(path).st_size if os.path.isfile(path) else 0


def _print(inspection: Inspection, head: str) -> None:
    print(head)
    for part in inspection.sections:
        where = f", {part.platform}" if part.platform else ""
        print(f"\nenvironment '{part.environment}'{where}: {len(part.packages)} packages")
        rows = [COLUMNS, *(_row(each) for each in part.packages)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  " + "  ".join(cells).rstrip())
    print(f"\n{render_size(inspection.size())} in packages")
    for name in inspection.lacks:
        print(f"not in the bundle: '{name}', which the folder has, or is made of its packages")
    for path in inspection.unlisted:
        print(f"not used: '{path}'")
    faults = inspection.faults()
    print(f"{len(faults)} packages are missing or wrong" if faults else "nothing is missing")


def _row(listed: Listed) -> tuple[str, ...]:
    package = listed.package
    size = render_size(listed.size) if listed.size else "-"
    return (package.name, package.version, package.build, package.kind, size, listed.state)
