"""`[kvbm]` becomes the option `kv_transfer_config` of the instances that use it.

Apart from `launch`, because only a configuration with such a table needs any of this.
"""

from __future__ import annotations

from launcher.config.problems import Problem
from launcher.config.secrets import holds_secret
from launcher.kvbm.loading import gather_facts
from launcher.kvbm.plan import OPTION, OwnTransfer, TransferPlan, plan_transfer
from launcher.record import replace
from launcher.server.model import ServerOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.problems import Path, TomlValue
    from launcher.server.model import Instance, LauncherConfig

FLAGS = ("--kv-transfer-config", "--kv_transfer_config")


def with_transfers(config: LauncherConfig, environ: Mapping[str, str]) -> LauncherConfig:
    """Return the configuration with KVBM's option in every enabled instance that uses KVBM.

    Raises:
        ConfigError: one of KVBM's own files cannot be read or parsed.
    """
    problems = list(config.problems)
    instances = tuple(
        _with_transfer(instance, config, environ, problems)
        if instance.control.enabled
        else instance
        for instance in config.instances
    )
    return replace(config, instances=instances, problems=tuple(dict.fromkeys(problems)))


def _with_transfer(
    instance: Instance,
    config: LauncherConfig,
    environ: Mapping[str, str],
    problems: list[Problem],
) -> Instance:
    plan = plan_instance(instance, config, environ)
    problems += plan.problems
    if plan.value is None:
        return instance
    if _holds_password(plan.value):
        problems.append(_exposed(instance, config))
    option = ServerOption(name=OPTION, value=plan.value, path=_table_path(instance, config))
    others = (each for each in instance.options if each.name != OPTION)
    _, extra_args = _find_own(instance)
    return replace(instance, options=(*others, option), extra_args=extra_args)


def plan_instance(
    instance: Instance, config: LauncherConfig, environ: Mapping[str, str]
) -> TransferPlan:
    """Plan the option of one instance, with the variables that it will see.

    Raises:
        ConfigError: one of KVBM's own files cannot be read or parsed.
    """
    own_env = {each.name: each.value for each in (*config.master.env, *instance.env)}
    facts = gather_facts({**environ, **own_env})
    own, _ = _find_own(instance)
    return plan_transfer(config.tree, instance.name, facts, own)


def _holds_password(value: TomlValue) -> bool:
    if isinstance(value, dict):
        return any(_holds_password(inner) for inner in value.values())
    if isinstance(value, list):
        return any(_holds_password(inner) for inner in value)
    return isinstance(value, str) and holds_secret(value)


def _exposed(instance: Instance, config: LauncherConfig) -> Problem:
    path = _table_path(instance, config)
    return Problem(
        message="a URL in KVBM's settings holds a password, which everybody on the machine could "
        "read in the process list",
        hint="give it by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in "
        f"[instance.{instance.name}.env]",
        origin=config.tree.origin(path),
        path=path,
        at_key=True,
    )


def _table_path(instance: Instance, config: LauncherConfig) -> Path:
    return ("kvbm",) if "kvbm" in config.tree.data else (*instance.path(), "kvbm")


def _find_own(instance: Instance) -> tuple[OwnTransfer | None, tuple[str, ...]]:
    """Find what the instance sets itself; return that and the other extra arguments."""
    args = instance.extra_args
    for position, word in enumerate(args):
        name, equals, value = word.partition("=")
        if name in FLAGS:
            behind = position + (1 if equals else 2)
            text = value if equals else "".join(args[position + 1 : behind])
            own = OwnTransfer(path=instance.extra_args_path, value=text)
            return own, (*args[:position], *args[behind:])
    option = instance.option(OPTION)
    return OwnTransfer(path=option.path, value=option.value) if option else None, args
