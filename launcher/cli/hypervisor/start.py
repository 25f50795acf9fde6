"""`vllmd-hypervisor start`: boot the guest that the environment describes, and stay with it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex

from launcher.errors import EX_OK, LauncherError, UsageError
from launcher.hypervisor.backends import gather_tools
from launcher.hypervisor.detach import Detached
from launcher.hypervisor.read import CONFIG
from launcher.hypervisor.starting import hold, plan_guest, supervise, tidy
from launcher.output import print_error, print_problems
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.hypervisor.rundir import Lock
    from launcher.hypervisor.starting import Gather, Plan

DESCRIPTION = """\
Boot a guest and supervise it until it ends. SIGTERM or Ctrl-C shuts it down; a second
one forces it.
Exit code 0 after a shutdown, the entrypoint's code where the guest powered off by itself, 137 if
it had to be forced, 128 + signal if its VMM was killed, 69 if this machine cannot run it, 78 if
the variables are wrong."""
EXAMPLES = """\
examples:
  vllmd-hypervisor start --dry-run
  vllmd-hypervisor start --config model-configs/guest-minimal.toml
  vllmd-hypervisor start --detach && vllmd-hypervisor status
"""


@record
class Options:
    """What was asked for besides the variables."""

    detach: bool = False
    dry_run: bool = False
    config: str = ""
    assignments: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


def main(argv: list[str], environ: Mapping[str, str], gather: Gather = gather_tools) -> int:
    """Start, or show what would be started. `gather` looks what this machine offers.

    Raises:
        LauncherError: the guest cannot be started.
    """
    arguments = _parse(argv) if argv else Options()
    if arguments.config:
        # Writing the seed disk needs an extra, which a start from variables alone does not.
        from launcher.cli.hypervisor.guest_file import prepare_guest  # noqa: PLC0415

        environ = prepare_guest(arguments.config, arguments.assignments, arguments.asked, environ)
    try:
        plan = plan_guest(environ, gather)
    except LauncherError:
        if arguments.config:
            _forget_seed(environ[CONFIG])
        raise
    print_problems(plan.warnings, ())
    if arguments.dry_run:
        print(render_plan(plan))
        if arguments.config:
            _forget_seed(environ[CONFIG])
        return EX_OK
    if arguments.detach:
        return _detach(plan, environ)
    with hold(plan):
        return supervise(plan, environ, _nothing, detached=False)


def _forget_seed(path: str) -> None:
    """Remove the seed disk that was written just now, and the guest's folder if that is empty.

    A start writes it again, and secrets may be in it.
    """
    os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def _parse(argv: list[str]) -> Options:
    # A unit, or a shell with everything exported, starts a guest without a single word.
    from launcher.cli.hypervisor.arguments import new_hypervisor_parser  # noqa: PLC0415

    parser = new_hypervisor_parser("start", DESCRIPTION, EXAMPLES)
    parser.add_argument(
        "--detach", action="store_true", help="return once the guest runs, and leave it running"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check everything, print the VMM's command line or configuration, start nothing",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the launcher's TOML file: boots what its table [guest] describes, with the file on "
        "the config image; variables that are set win over the table",
    )
    parser.add_argument(
        "--set",
        metavar="PATH=VALUE",
        dest="assignments",
        action="append",
        default=[],
        help="with --config: set one value over the file's, like for 'vllmd run'; repeatable",
    )
    parser.add_argument(
        "--with-secret",
        metavar="PATH",
        dest="asked",
        action="append",
        default=[],
        help="with --config: put this secret on the config image; repeatable",
    )
    arguments = parser.parse_args(argv)
    if not arguments.config and (arguments.assignments or arguments.asked):
        raise UsageError("--set and --with-secret need --config", "name the launcher's file")
    return Options(
        detach=arguments.detach,
        dry_run=arguments.dry_run,
        config=arguments.config or "",
        assignments=tuple(arguments.assignments),
        asked=tuple(arguments.asked),
    )


def render_plan(plan: Plan) -> str:
    """Render the exact VmConfig of Cloud Hypervisor, or the exact command line of QEMU."""
    if plan.launch.payload:
        return json.dumps(json.loads(plan.launch.payload), indent=2)
    return shlex.join(plan.launch.argv)


def _detach(plan: Plan, environ: Mapping[str, str]) -> int:
    with hold(plan) as lock:
        detached = Detached()
        if detached.is_child:
            detached.run(lambda: _work(plan, environ, detached, lock))
        lock.forget()
        return detached.wait()


def _work(plan: Plan, environ: Mapping[str, str], detached: Detached, lock: Lock) -> int:
    """Supervise in the background; its own errors are told as the foreground's are."""
    try:
        return supervise(plan, environ, detached.leave, detached=True)
    except LauncherError as error:
        print_error(error)
        return error.exit_code
    finally:
        tidy(plan.rundir, lock)


def _nothing() -> None:
    """Nobody waits to hear that the guest runs."""
