"""Who may import whom: one direction, no cycles, no effects in pure modules.

errors, record <- config <- server, kvbm, hypervisor        cli -> anything
errors, record <- process                                   nobody -> cli
"""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.imports import Import, find_modules, reachable, read_imports

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "launcher"
IMPORTS = read_imports(find_modules(Path(__file__).parents[2], PACKAGE))
ANYTHING = ("",)

# What each package or top-level module may import of `launcher`, besides itself.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "errors": (),
    "record": (),
    "config": ("errors", "record"),
    "process": ("errors", "record"),
    "warm": (),  # sent to other interpreters as text
    "server": ("errors", "record", "config", "process.spec"),
    "kvbm": ("errors", "record", "config"),
    "hypervisor": ("errors", "record", "config", "process"),
    "pixi": ("errors", "record", "config"),
    "bundle": ("errors", "record", "config", "pixi"),
    "client": ("errors", "record", "config"),
    "demo": ("errors", "record"),
    "render": ("errors", "record", "config", "process.spec", "server"),
    "facts": ("errors", "record", "config", "server", "process", "pixi"),
    "output": ("errors", "record", "config"),
    "preflight": ("record", "process.spec", "server.facts"),
    "cli": ANYTHING,
    "__main__": ("cli",),
}
# For type checkers only: `ConfigError` carries problems, and the document they are in.
TYPING_EXCEPTIONS = {("errors", "config.problems"), ("errors", "config.document")}

# Pure: all of these packages and modules, but for the modules that gather or write.
PURE = (
    "errors", "record", "config", "server", "kvbm", "pixi", "render", "demo", "cli.arguments",
    "cli.hypervisor.arguments",
    "client.timeouts", "client.target", "client.messages", "client.events", "client.errors",
    "hypervisor.model", "hypervisor.variables", "hypervisor.environment", "hypervisor.host.model",
    "hypervisor.host.values", "hypervisor.host.keys", "hypervisor.host.read",
    "hypervisor.host.units", "hypervisor.host.addresses", "hypervisor.guest.cloudinit",
    "hypervisor.guest.identity", "hypervisor.guest.riders",
    "hypervisor.host.schema", "hypervisor.show_variables", "hypervisor.host.findings",
    "hypervisor.memory", "hypervisor.network", "hypervisor.read", "hypervisor.choose",
    "hypervisor.ladder", "hypervisor.ending", "hypervisor.report", "hypervisor.state",
    "hypervisor.status", "hypervisor.backend", "hypervisor.qemu.argv", "hypervisor.qemu.qmp",
    "hypervisor.cloudhypervisor.payload", "hypervisor.cloudhypervisor.answers",
    "hypervisor.cloudhypervisor.versions",
    "client.batch.lines", "client.batch.retry", "client.batch.progress",
    "process.spec", "process.events", "process.fleet", "process.machine", "process.exitcode",
    "process.http", "process.status", "process.metrics", "process.routes", "cli.control_arguments",
    "cli.show_status", "process.greeting",
    "process.diagnosis", "process.timeline", "bundle", "cli.bundle_arguments",
)  # fmt: skip
EFFECTS = (
    "server.catalogue.data", "server.catalogue.installed", "kvbm.loading",
    "demo.writer", "pixi.activation", "pixi.capture", "pixi.project",
    "bundle.apart", "bundle.archive", "bundle.by_pixi", "bundle.by_rattler", "bundle.generations",
    "bundle.install", "bundle.progress", "bundle.tarball", "bundle.tools", "bundle.verify",
    "bundle.wheels",
)  # fmt: skip
FORBIDDEN_IN_PURE = frozenset(
    "os sys subprocess socket signal selectors select threading time tempfile shutil logging".split()  # noqa: E501, SIM905  (a table of words)
)
PURE_EXCEPTIONS = {
    ("process.spec", "signal"),
    ("process.diagnosis", "signal"),
    ("hypervisor.ending", "signal"),
}  # for the enum of signals

RUN = "launcher.cli.run"
# The distributions that pyproject.toml names as dependencies.
THIRD_PARTY_ON_RUN = {"tomli", "deepmerge"}
# Each takes a good part of an interpreter's start: see launcher/record.py.
SLOW_ON_RUN = {
    "argparse", "asyncio", "dataclasses", "inspect", "logging", "pathlib", "subprocess", "typing",
}  # fmt: skip


def _short(module: str) -> str:
    return module.removeprefix(PACKAGE).removeprefix(".")


def _is_within(module: str, tops: tuple[str, ...]) -> bool:
    return any(not top or module == top or module.startswith(f"{top}.") for top in tops)


def _own_imports() -> Iterator[tuple[str, Import]]:
    for name, found in IMPORTS.items():
        for target in found:
            if target.module == PACKAGE or target.module.startswith(f"{PACKAGE}."):
                yield _short(name), target


def _pure_modules() -> list[str]:
    names = [_short(name) for name in IMPORTS]
    return [name for name in names if _is_within(name, PURE) and not _is_within(name, EFFECTS)]


def test_packages_in_the_source_are_in_the_table() -> None:
    packages = {_short(name).split(".")[0] for name in IMPORTS} - {""}
    assert packages <= MAY_IMPORT.keys(), "say in MAY_IMPORT what the new package may import"


def test_imports_between_packages_keep_the_direction() -> None:
    broken = []
    for name, target in _own_imports():
        package, wanted = name.split(".")[0], _short(target.module)
        if not wanted or (target.typing_only and (name, wanted) in TYPING_EXCEPTIONS):
            continue  # the package root holds the version only
        if not _is_within(wanted, (package, *MAY_IMPORT.get(package, ()))):
            broken.append(f"{name}:{target.line} imports {wanted}")
    assert broken == []


def test_nobody_imports_the_command_line() -> None:
    outside = [
        f"{name}:{target.line}"
        for name, target in _own_imports()
        if _is_within(_short(target.module), ("cli",)) and not _is_within(name, ("cli", "__main__"))
    ]
    assert outside == []


def test_pure_modules_import_no_effects() -> None:
    broken = [
        f"{name}:{target.line} imports {target.module}"
        for name in _pure_modules()
        for target in IMPORTS[f"{PACKAGE}.{name}"]
        if target.module.split(".")[0] in FORBIDDEN_IN_PURE
        and not target.typing_only
        and (name, target.module) not in PURE_EXCEPTIONS
    ]
    assert broken == []


def test_imports_at_run_time_have_no_cycle() -> None:
    graph = {
        name: {i.module for i in found if not i.typing_only and i.module in IMPORTS}
        for name, found in IMPORTS.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"cycle: {' -> '.join(error.args[1])}")


def test_run_imports_no_third_party_but_its_dependencies() -> None:
    assert RUN in IMPORTS
    tops = {
        target.module.split(".")[0]
        for found in reachable(IMPORTS, RUN, lazy=True).values()
        for target in found
    }
    assert tops - sys.stdlib_module_names - {PACKAGE} <= THIRD_PARTY_ON_RUN


@pytest.mark.parametrize("program", ["launcher.warm.prefetch", "launcher.warm.server"])
def test_program_that_is_sent_as_text_imports_the_standard_library_alone(program: str) -> None:
    found = {target.module.split(".")[0] for target in IMPORTS[program]}
    assert found <= sys.stdlib_module_names


def test_run_imports_nothing_slow_before_the_first_start() -> None:
    assert RUN in IMPORTS
    slow = [
        f"{name}:{target.line} imports {target.module}"
        for name, found in reachable(IMPORTS, RUN, lazy=False).items()
        for target in found
        if target.module.split(".")[0] in SLOW_ON_RUN
    ]
    assert slow == []


def test_package_roots_hold_no_code() -> None:
    trees = find_modules(Path(__file__).parents[2], PACKAGE)
    roots = {name for name in trees if any(other.startswith(f"{name}.") for other in trees)}
    # `launcher.kvbm.load(...)` is the interface for other programs, and imported for them only.
    roots -= {PACKAGE, f"{PACKAGE}.kvbm"}
    full = [name for name in roots if len(trees[name].body) > 1]
    assert full == []
