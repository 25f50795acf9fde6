"""`vllmd run`: start the servers and supervise them."""

from __future__ import annotations

import os

from launcher.cli.launch import make_plan
from launcher.cli.sources import find_config, require_config
from launcher.config.problems import code_of
from launcher.errors import EX_OK, HostError, LauncherError, UsageError
from launcher.process.child import restore_signals
from launcher.process.orphans import adopt_orphans
from launcher.process.signals import SignalPipe
from launcher.process.spec import Endpoints, ProcessSpec
from launcher.process.supervisor import Supervisor
from launcher.record import record
from launcher.server.model import BUNDLE_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.server.plan import LaunchPlan

MAIN = "main program"


@record
class RunArguments:
    """The command line of `vllmd run`."""

    config: str | None = None
    assignments: tuple[str, ...] = ()
    wait_ready: bool = False
    command: tuple[str, ...] = ()


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Run the configuration until everything has ended; return the container's exit code.

    Raises:
        LauncherError: nothing was started.
    """
    arguments = parse_arguments(argv)
    if find_config(arguments.config, environ) is None and arguments.command:
        if environ.get(BUNDLE_VARIABLE):
            _warn_of_bundle()
        _become(arguments.command, environ)
    if not arguments.command:
        require_config(arguments.config, environ)
    # From here on a stop is noted. As PID 1, the kernel throws away what nobody catches.
    signals = SignalPipe()
    if environ.get(BUNDLE_VARIABLE):
        from launcher.cli.bundle_first import install_bundle  # noqa: PLC0415  (few need it)

        config = require_config(arguments.config, environ)
        code = install_bundle(config, arguments.assignments, environ, signals)
        if code is not None:
            return code
    plan = make_plan(arguments.config, arguments.assignments, environ)
    if plan.problems:
        # Most plans have none: what shows them is imported when it is needed.
        from launcher.output import print_problems  # noqa: PLC0415

        print_problems(plan.problems, plan.config.tree.documents)
        if not plan.is_startable():
            return code_of(plan.problems)
    return _supervise(plan, arguments, environ, signals)


def parse_arguments(argv: list[str]) -> RunArguments:
    """Parse the words after `vllmd run`. What follows the first `--` is the main program.

    Raises:
        UsageError: words that mean nothing.
    """
    cut = argv.index("--") if "--" in argv else len(argv)
    own, command = argv[:cut], tuple(argv[cut + 1 :])
    if command and not command[0]:
        raise UsageError("the command behind '--' is empty", "name a program, or leave out '--'")
    if len(own) <= 1 and not any(word.startswith("-") for word in own):
        # What a container's ENTRYPOINT says. `argparse` takes half an interpreter start.
        return RunArguments(config=own[0] if own else None, command=command)
    from launcher.cli.arguments import parse_run  # noqa: PLC0415

    options = parse_run(own)
    if options.wait_ready and not command:
        raise UsageError(
            "--wait-ready needs a main program to hold back",
            "write it behind '--', like: vllmd run --wait-ready -- CMD",
        )
    return RunArguments(
        config=options.config,
        assignments=tuple(options.assignments),
        wait_ready=options.wait_ready,
        command=command,
    )


def _supervise(
    plan: LaunchPlan, arguments: RunArguments, environ: Mapping[str, str], signals: SignalPipe
) -> int:
    specs = plan.processes()
    if arguments.command:
        specs += (ProcessSpec(name=MAIN, argv=arguments.command, main=True),)
    if not specs:
        _say_nothing_to_do(plan)
        return EX_OK
    if plan.instances:
        from launcher.process.ports import require_free_ports  # noqa: PLC0415

        require_free_ports(plan.processes())
    endpoints = _endpoints(plan, arguments, environ)
    if endpoints.listen is not None:
        from launcher.process.ports import require_free_address  # noqa: PLC0415

        require_free_address(*endpoints.listen)
    adopt_orphans()
    # A terminal that goes away sends SIGHUP too, and then nobody is left to stop the servers.
    supervisor = Supervisor(
        specs,
        environ,
        signals,
        wait_ready=arguments.wait_ready,
        reload=lambda: _read_again(arguments, environ, endpoints),
        hangup_reloads=not os.isatty(0),
        endpoints=endpoints,
        prefetches=plan.prefetches(),
    )
    return supervisor.run(lambda: _look_at_machine(plan.processes(), environ))


def _endpoints(plan: LaunchPlan, arguments: RunArguments, environ: Mapping[str, str]) -> Endpoints:
    master = plan.config.master
    return Endpoints(
        config=os.path.abspath(find_config(arguments.config, environ) or ""),
        control_socket=master.control_socket or "",
        listen=master.listen,
    )


def _look_at_machine(specs: tuple[ProcessSpec, ...], environ: Mapping[str, str]) -> list[str]:
    """Return what will trouble vLLM on this machine; other servers have other needs."""
    from launcher.preflight import preflight  # noqa: PLC0415  (after the first start)

    warned = preflight(specs, environ)
    return [text for each in warned for text in (f"warning: {each.message}", f"hint: {each.hint}")]


def _read_again(
    arguments: RunArguments, environ: Mapping[str, str], endpoints: Endpoints
) -> tuple[tuple[ProcessSpec, ...] | None, str]:
    """Plan again; return the processes, None where they cannot be used, and the problems' text."""
    import io  # noqa: PLC0415  (for a reload, as the next)

    from launcher.output import print_error, print_problems  # noqa: PLC0415

    said = io.StringIO()
    try:
        plan = make_plan(arguments.config, arguments.assignments, environ)
    except LauncherError as error:
        print_error(error, said)
        return None, said.getvalue().rstrip()
    print_problems(plan.problems, plan.config.tree.documents, said)
    if _endpoints(plan, arguments, environ) != endpoints:
        said.write("warning: 'control_socket' and 'listen' stay as they are until the next run\n")
    specs = plan.processes() if plan.is_startable() else None
    return specs, said.getvalue().rstrip()


def _say_nothing_to_do(plan: LaunchPlan) -> None:
    import sys  # noqa: PLC0415

    reasons = "; ".join(f"'{name}': {reason}" for name, reason in plan.skipped)
    print(f"vllmd: nothing to run ({reasons or 'no instance'})", file=sys.stderr)


def _warn_of_bundle() -> None:
    from launcher.config.problems import WARNING, Origin, Problem  # noqa: PLC0415  (few need it)
    from launcher.output import print_problems  # noqa: PLC0415

    problem = Problem(
        message="nothing is installed: without a configuration nobody says where to",
        hint="name a TOML file with pixi_project_dir in [master], or unset this variable",
        severity=WARNING,
        origin=Origin(kind="environment", name=BUNDLE_VARIABLE),
    )
    print_problems((problem,), ())


def _become(command: tuple[str, ...], environ: Mapping[str, str]) -> None:
    """Execute the main program in our place: without a configuration there is nothing to do.

    Raises:
        HostError: the program cannot be executed.
    """
    restore_signals()
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606  (no shell is the point)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HostError(
            f"cannot execute '{command[0]}': {reason}", "correct the command behind '--'"
        ) from None
