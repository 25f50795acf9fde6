"""A plan as text, as JSON, and as shell. Secrets are masked in all of them."""

from __future__ import annotations

import json
import shlex

from launcher.cli.show_cluster import CLUSTER_ORIGINS, describe_cluster, render_cluster
from launcher.cli.show_prefetch import describe_prefetch, render_prefetch
from launcher.config.printable import printable
from launcher.config.report import Locator, describe, sort_problems
from launcher.config.secrets import MASK
from launcher.server.keys import CONTROL_KEYS
from launcher.server.masked_words import mask_text, mask_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import Path
    from launcher.process.spec import Variable
    from launcher.server.plan import InstancePlan, LaunchPlan

COLUMN = 60  # where the origins of a text plan begin


def render_json_plan(plan: LaunchPlan, cwd: str) -> str:
    """Render the plan as one JSON object (its form is documented in docs/)."""
    documents = plan.config.tree.documents
    locator = Locator(documents)
    problems = sort_problems(plan.problems, locator)
    shown = {
        "version": plan.vllm_version,
        "instances": [_describe(each, plan, locator, cwd) for each in plan.instances],
        "skipped": [{"name": name, "reason": reason} for name, reason in plan.skipped],
        "problems": [describe(problem, spot) for problem, spot in problems],
    }
    return json.dumps(shown, indent=2)


def _describe(
    each: InstancePlan, plan: LaunchPlan, locator: Locator, cwd: str
) -> dict[str, object]:
    process = each.process
    shown: dict[str, object] = {
        "name": process.name,
        "argv": mask_words(process.argv, plan.catalogue),
        "env": {variable.name: _shown(variable) for variable in process.env},
        "log_file": process.log.path if process.log else None,
        "background": not process.foreground,
        "gpu_ids": each.gpu_ids(),
        "start": {"mode": each.start.mode, "reason": each.start.reason},
        "prefetch": describe_prefetch(each.ahead),
        **_describe_weights(each, plan),
        "host": None if each.is_worker() else each.address.host,
        "port": None if each.address.socket_path or each.is_worker() else each.address.port,
        "cwd": process.cwd or cwd,
        "origins": _origins(each, plan, locator),
    }
    if each.membership is not None:
        shown["cluster"] = describe_cluster(each.membership)
    return shown


def _describe_weights(each: InstancePlan, plan: LaunchPlan) -> dict[str, object]:
    """Describe the process that keeps the weights, where there is one."""
    if each.weights is None:
        return {}
    argv = mask_words(each.weights.argv, plan.catalogue)
    return {"weights": {"name": each.weights.name, "argv": argv}}


def _origins(each: InstancePlan, plan: LaunchPlan, locator: Locator) -> dict[str, str]:
    """Say where each value comes from: `vllm.toml:14:1`, a variable, an argument, `default`."""
    instance, tree = each.instance, plan.config.tree
    paths: dict[str, Path] = {
        f"control.{key.name}": instance.control_path(key.name) for key in CONTROL_KEYS
    }
    origins = {
        name: locator.where(tree.origin(path), path)
        if name[8:] in instance.control_paths
        else "default"
        for name, path in paths.items()
    }
    settings: dict[str, Path] = {}
    for option in instance.options:
        where = _where(option.path, option.preset, plan, locator)
        origins[f"server.{option.name}"] = where
    if instance.extra_args:
        settings["server.extra_args"] = instance.extra_args_path
    shared = plan.config.master.env
    settings |= {f"env.{setting.name}": setting.path for setting in (*shared, *instance.env)}
    if each.membership is not None:
        cluster = instance.cluster
        variables = dict(each.membership.origins)
        for name in CLUSTER_ORIGINS:
            place = cluster.place(name) if cluster is not None else instance.path()
            origins[f"cluster.{name}"] = variables.get(name) or locator.where(
                tree.origin(place), place
            )
    return origins | {
        name: locator.where(tree.origin(path), path) for name, path in settings.items()
    }


def _where(path: Path, preset: str, plan: LaunchPlan, locator: Locator) -> str:
    where = locator.where(plan.config.tree.origin(path), path)
    return f"preset {preset} ({where})" if preset else where


def render_text_plan(plan: LaunchPlan) -> str:
    """Render the plan for a person: each flag with the place that its value comes from."""
    locator = Locator(plan.config.tree.documents)
    version = f"vLLM {plan.vllm_version}" if plan.vllm_version else "vLLM of unknown version"
    parts = [f"{version}{_activation(plan)}\n"]
    parts += [_text_instance(each, plan, locator) for each in plan.instances]
    parts += [f"{name}: skipped, {reason}\n" for name, reason in plan.skipped]
    return "\n".join(parts)


def _activation(plan: LaunchPlan) -> str:
    """Say which pixi environment it is, and how it comes to be a server's."""
    master = plan.config.master
    if master.pixi_project_dir is None:
        return ""
    how = "its hook, asked once" if master.pixi_launch == "hook" else "'pixi run'"
    where = f"{master.pixi_environment}' of {master.pixi_project_dir}"
    return f" in the pixi environment '{where}, activated by {how}"


def _text_instance(each: InstancePlan, plan: LaunchPlan, locator: Locator) -> str:
    process, tree = each.process, plan.config.tree
    kind = "foreground" if process.foreground else "background"
    where = "headless" if each.is_worker() else each.address.shown()
    lines = [f"{process.name}: {where}, GPUs {each.gpu_ids()}, {kind}"]
    if each.membership is not None:
        lines.append(f"  part  {render_cluster(each.membership)}")
    if process.log:
        lines.append(f"  log   {process.log.path}")
    lines.append(f"  start {each.start.mode} ({each.start.reason})")
    lines.append(f"  ahead {render_prefetch(each.ahead)}")
    weights = each.weights.name if each.weights else ""
    twin = each.twin.name if each.twin.first else ""
    sharing = [name for name in process.after if name not in {twin, weights}]
    if sharing:
        lines.append(f"  after {', '.join(sharing)} (they share a GPU)")
    if each.weights:
        lines.append(f"  after {weights} (it keeps the weights)")
        lines.append(f"    {_joined(each.weights.argv, plan)}")
    if each.twin.name:
        when = "after" if each.twin.first else "with "
        lines.append(f"  {when} {each.twin.name} (it compiles the same graph; {each.twin.reason})")
    lines += [f"  env   {variable.name}={_shown(variable)}" for variable in process.env]
    lines.append(f"  {shlex.join(each.command)}")
    for flag in each.flags:
        where = _where(flag.path, flag.preset, plan, locator)
        words = _joined(flag.tokens, plan) if flag.tokens else _no_flag(flag.path, plan)
        lines.append(f"    {words:<{COLUMN}} {where}")
    if each.instance.extra_args:
        path = each.instance.extra_args_path
        where = locator.where(tree.origin(path), path)
        lines.append(f"    {_joined(each.instance.extra_args, plan):<{COLUMN}} {where}")
    # A line end or an escape sequence in a value is neither a line nor a colour of ours.
    return "\n".join(map(printable, lines)) + "\n"


def render_shell_plan(plan: LaunchPlan) -> str:
    """Render the plan as commands for a POSIX shell, one for each instance."""
    return "\n".join(_shell_instance(each, plan) for each in plan.instances)


def _shell_instance(each: InstancePlan, plan: LaunchPlan) -> str:
    process = each.process
    unset = [f"-u {name}" for name in process.unset]
    words = [f"{variable.name}={shlex.quote(_shown(variable))}" for variable in process.env]
    groups = [_joined(flag.tokens, plan) for flag in each.flags if flag.tokens]
    extra = [_joined(each.instance.extra_args, plan)] if each.instance.extra_args else []
    log = [f">> {shlex.quote(process.log.path)} 2>&1"] if process.log else []
    parts = ["env", *unset, *words, shlex.join(each.command), *groups, *extra, *log]
    return f"# {process.name}\n" + " \\\n  ".join(parts) + "\n"


def _no_flag(path: Path, plan: LaunchPlan) -> str:
    """Say why an option has no flag: it is false, or an array of nothing."""
    value: object = plan.config.tree.data
    for part in path:
        value = value[part] if isinstance(value, dict) else value
    return f"({path[-1]} = {'false' if value is False else '[]'}: no flag)"


def _joined(words: tuple[str, ...], plan: LaunchPlan) -> str:
    return shlex.join(mask_words(words, plan.catalogue))


def _shown(variable: Variable) -> str:
    return MASK if variable.secret else mask_text(variable.value)
