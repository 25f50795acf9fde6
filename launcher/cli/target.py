"""Which server a word on the command line means."""

from __future__ import annotations

from launcher.cli.launch import make_plan
from launcher.cli.remote import SOCKET_VARIABLE, Remote, find_sockets
from launcher.cli.sources import find_config
from launcher.client.target import Target, find_key, is_address, parse_address
from launcher.config.suggest import render_hint
from launcher.errors import LauncherError, UsageError
from launcher.record import record, replace
from launcher.server.address import effective

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.cli.remote import Answer
    from launcher.server.plan import InstancePlan, LaunchPlan

KEY_VARIABLE = "VLLM_API_KEY"


@record
class Found:
    """A server, and the timeout profile that the configuration wants for calls."""

    target: Target
    timeout_profile: str | None = None


def find_target(
    word: str | None, config: str | None, assignments: tuple[str, ...], environ: Mapping[str, str]
) -> Found:
    """Find a server by its address, or by its instance's name.

    Names are those of the configuration; where none is given, of the one that the running launcher
    was started with. Without a word it is the only instance. What is wrong with the configuration
    otherwise is not our business: the server runs already.

    Raises:
        UsageError: there is no such server, or several that could be meant.
        ConfigError: the configuration cannot be read.
    """
    is_named = word is not None and (is_address(word) or "://" in word)
    path = find_config(config, environ)
    running = None if is_named or path else _ask_launcher(environ)
    if running is not None:
        path = running["launcher"]["config"]
    if path is None and not is_named:
        raise UsageError(
            "no server: neither an address nor a configuration was named, and no launcher runs",
            "name an address like http://127.0.0.1:8000, or the TOML file with --config",
        )
    plan = make_plan(path, assignments, environ) if path else None
    profile = plan.config.client.timeout_profile if plan else None
    if is_named and word:
        target = replace(parse_address(word), api_key=find_key(environ))
    else:
        assert plan is not None  # noqa: S101  (for the type checker)
        target = _as_it_runs(plan_target(find_instance(word, plan), environ), running)
    return Found(target=target, timeout_profile=profile)


def _ask_launcher(environ: Mapping[str, str]) -> Answer | None:
    """Return what the running launcher says of itself; None where there is not just one."""
    sockets = [environ[SOCKET_VARIABLE]] if environ.get(SOCKET_VARIABLE) else find_sockets(environ)
    if len(sockets) != 1:
        return None
    try:
        status = Remote(sockets[0]).get("/status")
    except LauncherError:
        return None
    return status if status["launcher"]["config"] else None


def _as_it_runs(target: Target, running: Answer | None) -> Target:
    """Return the target with the address that the launcher gave it: `--set` may have changed it."""
    for each in running["instances"] if running is not None else ():
        address = each["address"] or ""
        if each["name"] == target.name and address.startswith("http"):
            return replace(target, url=address)
    return target


def find_instance(name: str | None, plan: LaunchPlan) -> InstancePlan:
    """Return the instance of that name; the only one without a name.

    Raises:
        UsageError: there is none, or there are several.
    """
    instances = {each.instance.name: each for each in plan.instances}
    if name is None:
        if len(instances) == 1:
            return next(iter(instances.values()))
        if not instances:
            raise UsageError("the configuration has no enabled instance", "name an address")
        names = ", ".join(f"'{each}'" for each in instances)
        raise UsageError(f"which server? there are {names}", "name one of them")
    if name not in instances:
        skipped = dict(plan.skipped)
        if name in skipped:
            raise UsageError(f"'{name}' does not run: {skipped[name]}", "enable it, and start it")
        raise UsageError(f"there is no instance '{name}'", render_hint(name, instances))
    return instances[name]


def plan_target(plan: InstancePlan, environ: Mapping[str, str]) -> Target:
    """Return how to reach an instance of a plan, from the machine that runs it."""
    probe = plan.process.probe
    assert probe is not None  # noqa: S101  (every server has one)
    keys = [each.value for each in plan.process.env if each.name == KEY_VARIABLE]
    certificate = effective(plan.instance, "ssl_certfile") if probe.tls else None
    return Target(
        url="http://localhost" if probe.socket_path else probe.address(),
        name=plan.instance.name,
        socket_path=probe.socket_path,
        api_key=keys[0] if keys else find_key(environ),
        certificate=certificate if isinstance(certificate, str) else "",
        local=True,
    )
