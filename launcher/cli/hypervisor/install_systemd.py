"""`vllmd-hypervisor install-systemd`: a unit and its environment file for each runtime."""

from __future__ import annotations

import contextlib
import os

from launcher.cli.hypervisor.arguments import new_hypervisor_parser
from launcher.cli.hypervisor.telling import WARN, tell_warnings
from launcher.config.problems import WARNING, Origin, Problem
from launcher.config.reader import Refusal
from launcher.errors import EX_OK, EX_UNAVAILABLE, ConfigError, HostError
from launcher.hypervisor.account import find_owner, has_group
from launcher.hypervisor.host.install import (
    find_installed,
    find_program,
    find_readers,
    install_file,
    is_current,
    is_read_by_systemd,
    make_folder,
    plan_installation,
    read_own_template,
    read_template,
    remove_file,
    run_systemctl,
)
from launcher.hypervisor.host.loading import load_host, require_runtimes
from launcher.hypervisor.host.reach import find_barrier
from launcher.hypervisor.host.units import INITIALIZE_UNIT, Installation, unit_name
from launcher.hypervisor.variables import HOST_VARIABLES, VARIABLES
from launcher.output import print_error, print_problems

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from launcher.cli.hypervisor.telling import Teller
    from launcher.hypervisor.host.loading import Host

SYSTEMD_DIR = "VLLMD_SYSTEMD_DIR"
TEMPLATE = "VLLMD_RUNTIME_TEMPLATE"

DESCRIPTION = """\
Install a systemd unit and its environment file (mode 0600) for each runtime of the host's file,
and a unit that runs 'vllmd-hypervisor initialize' at boot. With --user the units are those of
your own service manager, without root. What was not written by this command is never replaced
or removed."""
EXAMPLES = """\
examples:
  sudo vllmd-hypervisor install-systemd
  vllmd-hypervisor install-systemd --user --dry-run
  sudo vllmd-hypervisor install-systemd --uninstall

exit codes: 0 done; 64 wrong usage; 69 not possible here; 78 the configuration is wrong
"""


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Install or uninstall, and return the exit code.

    Raises:
        UsageError: wrong command line.
        ConfigError: the host's file, a variable or the template is wrong.
        HostError: something cannot be written.
    """
    arguments = parse(argv)
    host = load_host(environ)
    tell = tell_warnings(host)
    systemd_dir = _systemd_dir(host, user=arguments.user)
    dry_run = arguments.dry_run or host.settings.dry_run
    if arguments.uninstall:
        return _uninstall(host, tell, systemd_dir, user=arguments.user, dry_run=dry_run)
    return _install(host, tell, systemd_dir, user=arguments.user, dry_run=dry_run)


def parse(words: list[str]) -> argparse.Namespace:
    """Parse the words of the command.

    Raises:
        UsageError: words that mean nothing.
    """
    parser = new_hypervisor_parser("install-systemd", DESCRIPTION, EXAMPLES)
    parser.add_argument(
        "--user",
        action="store_true",
        help=f"units of your own service manager, in $HOME/.config/systemd/user "
        f"(default: of the system, in {SYSTEMD_DIR})",
    )
    parser.add_argument("--uninstall", action="store_true", help="stop and remove our units")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show each step and change nothing (default: VLLMD_HYPERVISOR_DRY_RUN)",
    )
    return parser.parse_args(words)


def _systemd_dir(host: Host, *, user: bool) -> str:
    if user and not host.environ.get(SYSTEMD_DIR, "").strip():
        return _user_dir(host)
    return os.path.abspath(host.settings.systemd_dir)


def _user_dir(host: Host) -> str:
    base = host.environ.get("XDG_CONFIG_HOME") or f"{host.environ.get('HOME', '')}/.config"
    return f"{base}/systemd/user"


def _find_ours(host: Host, systemd_dir: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return our files, and apart those that units in another folder read, with the unit."""
    found = find_installed(systemd_dir, host.config.common.config_dir)
    folders = {VARIABLES[SYSTEMD_DIR].default, _user_dir(host)}
    with contextlib.suppress(HostError):  # a user that is not there has no units
        folders.add(f"{find_owner(host.config.common.user)[1]}/.config/systemd/user")
    readers = find_readers(found, sorted(folders - {systemd_dir}))
    return tuple(path for path in found if path not in readers), readers


def _install(host: Host, tell: Teller, systemd_dir: str, *, user: bool, dry_run: bool) -> int:
    require_runtimes(host)
    template = _template(host, user=user)
    owner, home = _owner(host, user=user, dry_run=dry_run)
    installation = _installation(host, home, template, user=user)
    if tell.tells(WARN) and not dry_run:
        print_problems(_find_doubts(host, installation, owner), ())
    try:
        folders, files = plan_installation(host.config, installation, systemd_dir, owner)
    except Refusal as refusal:
        origin = Origin(kind="file", name=host.settings.runtime_template)
        problem = Problem(message=refusal.message, hint=refusal.hint, origin=origin)
        raise ConfigError((problem,)) from None
    wanted = {file.path for file in files}
    for path in (each for each in _find_ours(host, systemd_dir)[0] if each not in wanted):
        _remove(path, tell, user=user, dry_run=dry_run)
    for folder in () if dry_run else folders:
        make_folder(folder)
    changed = [file for file in files if not is_current(file)]
    for file in files:
        _say(tell, "write" if file in changed else "unchanged", file.path, dry_run=dry_run)
        if dry_run and file in changed:
            print("".join(f"    {line}\n" for line in file.text.splitlines()), end="")
        elif file in changed:
            install_file(file)
    reloaded = not changed or _reload(tell, systemd_dir, user=user, dry_run=dry_run)
    _tell_next(host, tell, user=user)
    return EX_OK if reloaded else EX_UNAVAILABLE


def _owner(host: Host, *, user: bool, dry_run: bool) -> tuple[tuple[int, int] | None, str]:
    """Return whose the environment files are (None: ours), and the home of that user.

    A user of services may have no home, or a folder of the system's as one: its logs are in the
    state directory then.
    """
    name = host.config.common.user
    if user or name in {host.account.user, str(host.account.uid)}:
        return None, host.environ.get("HOME", "")
    try:
        owner, home = find_owner(name)
    except HostError:
        if dry_run:
            return None, f"/home/{name}"
        raise
    if host.account.uid != 0 and not dry_run:
        raise HostError(f"only root can install units for the user '{name}'", "run it as root")
    return owner, home if _owns(owner, home) else host.config.common.state_dir


def _owns(owner: tuple[int, int], folder: str) -> bool:
    try:
        return os.stat(folder).st_uid == owner[0]
    except OSError:
        return False


def _find_doubts(
    host: Host, installation: Installation, owner: tuple[int, int] | None
) -> list[Problem]:
    """Return warnings of what keeps units from starting on this host."""
    doubts = []
    group = installation.kvm_group
    if not installation.user_units and not has_group(group):
        message = f"this host has no group '{group}', and the units need it"
        hint = f"create it by 'groupadd --system {group}', or correct VLLMD_KVM_GROUP"
        doubts.append(Problem(message=message, hint=hint, severity=WARNING))
    if owner is None:
        return doubts
    program = installation.program
    state = host.config.common.state_dir
    words = tuple(word for word in program if word.startswith("/"))
    for deed, shown, paths, hint in (
        ("run", program[0], words, "install vllmd where everybody can read it, like /opt/vllmd"),
        ("reach", state, (state,), "set global.state_dir to a folder like /var/lib/vllmd"),
    ):
        barriers = (find_barrier(path, owner[0], owner[1:]) for path in paths)
        barrier = next(filter(None, barriers), "")
        if barrier:
            user = host.config.common.user
            message = f"the user '{user}' cannot {deed} '{shown}': '{barrier}' is not for others"
            doubts.append(Problem(message=message, hint=hint, severity=WARNING))
    return doubts


def _template(host: Host, *, user: bool) -> str:
    own = host.settings.runtime_template
    if not own:
        return read_template("runtime-user.service" if user else "runtime.service")
    try:
        return read_own_template(own)
    except Refusal as refusal:
        origin = Origin(kind="environment", name=TEMPLATE)
        problem = Problem(message=refusal.message, hint=refusal.hint, origin=origin)
        raise ConfigError((problem,)) from None


def _installation(host: Host, home: str, template: str, *, user: bool) -> Installation:
    return Installation(
        program=find_program(),
        home=home,
        kvm_group=host.settings.kvm_group,
        hugepages_size=host.settings.hugepages_size,
        template=template,
        user_units=user,
        with_network=not host.settings.skip_network,
        environment=_boot_environment(host),
    )


def _boot_environment(host: Host) -> dict[str, str]:
    """Return the variables by which `initialize` finds at boot what was found now."""
    found = {
        variable.name: host.environ[variable.name]
        for variable in HOST_VARIABLES
        if "initialize" in variable.used_by and host.environ.get(variable.name, "").strip()
    }
    found.pop("VLLMD_HYPERVISOR_DRY_RUN", None)
    found |= {
        "HOME": host.environ.get("HOME", ""),
        "VLLMD_HYPERVISOR_CONFIG": host.config.path and os.path.abspath(host.config.path),
        "VLLMD_HYPERVISOR_STATE_DIR": host.config.common.state_dir,
        "VLLMD_SYSTEMD_USER": host.config.common.user,
    }
    return {name: value for name, value in found.items() if value}


def _uninstall(host: Host, tell: Teller, systemd_dir: str, *, user: bool, dry_run: bool) -> int:
    paths, readers = _find_ours(host, systemd_dir)
    if not paths:
        tell.step("nothing is installed")
        return EX_OK
    done = [_remove(path, tell, user=user, dry_run=dry_run) for path in paths]
    for path, unit in readers.items():
        tell.step(f"kept: {path}, which '{unit}' reads")
    done.append(_reload(tell, systemd_dir, user=user, dry_run=dry_run))
    return EX_OK if all(done) else EX_UNAVAILABLE


def _remove(path: str, tell: Teller, *, user: bool, dry_run: bool) -> bool:
    """Stop a unit and remove its file; tell whether systemd had no objection."""
    _say(tell, "remove", path, dry_run=dry_run)
    if dry_run:
        return True
    agreed = True
    if path.endswith(".service") and is_read_by_systemd(os.path.dirname(path), user=user):
        agreed = _tell_systemd(("disable", "--now", os.path.basename(path)), user=user)
    remove_file(path)
    return agreed


def _reload(tell: Teller, systemd_dir: str, *, user: bool, dry_run: bool) -> bool:
    """Let systemd read its units again; tell whether it had no objection."""
    if not is_read_by_systemd(systemd_dir, user=user):
        return True
    command = "systemctl --user daemon-reload" if user else "systemctl daemon-reload"
    _say(tell, "run", command, dry_run=dry_run)
    return dry_run or _tell_systemd(("daemon-reload",), user=user)


def _tell_systemd(words: tuple[str, ...], *, user: bool) -> bool:
    """Run systemctl. What it refuses is said, and the rest is done all the same."""
    try:
        run_systemctl(words, user=user)
    except HostError as error:
        print_error(error)
        return False
    return True


def _tell_next(host: Host, tell: Teller, *, user: bool) -> None:
    command = "systemctl --user enable --now" if user else "systemctl enable --now"
    units = [] if user else [INITIALIZE_UNIT]
    units += [unit_name(runtime) for runtime in host.config.runtimes]
    tell.step(f"next: {command} {' '.join(units)}")
    if user:
        tell.step(f"next: loginctl enable-linger {host.account.user}")
        if not host.settings.skip_network and not all(r.guest.net for r in host.config.runtimes):
            tell.step("note: taps are made by root: sudo vllmd-hypervisor initialize")
        if any(runtime.gpus for runtime in host.config.runtimes):
            tell.step(
                "note: a user's own units may lock little memory; GPUs need units of the system"
            )


def _say(tell: Teller, deed: str, what: str, *, dry_run: bool) -> None:
    if dry_run:
        print(f"{'' if deed == 'unchanged' else 'would '}{deed}: {what}")
    else:
        tell.step(f"{deed}: {what}")
