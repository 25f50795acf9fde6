"""From a plan for elsewhere to a workload: what each home needs to know, and what no home may get.

Secrets are the reason why this may refuse: a rendered folder is committed, a ConfigMap is read by
many. So a secret written out in the configuration is an error here, though `vllmd run` takes it.
"""

from __future__ import annotations

import posixpath
import re

from launcher.config.found_secrets import list_secrets, tells_in_comment
from launcher.config.problems import dotted
from launcher.config.reader import Problems
from launcher.config.secrets import is_secret_name
from launcher.render.folders import TEMPORARY, check_paths, list_logs, list_read, list_written
from launcher.render.model import KILL_S, LISTEN_PORT, Server, Workload
from launcher.render.overrides import is_identifier, merge
from launcher.server.address import effective_integer
from launcher.server.facts import enabled_instances, log_path
from launcher.server.gpus import AllGpus, GpuIds
from launcher.server.secret_values import ENV, FILE, SECRET_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.config.problems import Path, Problem, TomlValue
    from launcher.render.model import Options
    from launcher.server.model import Instance, LauncherConfig
    from launcher.server.plan import InstancePlan, LaunchPlan

LONGEST_LABEL = 50  # of 63 that DNS allows: homes add words of their own


def plan_workload(plan: LaunchPlan, options: Options) -> tuple[Workload, tuple[Problem, ...]]:
    """Return the workload of a plan, and what is wrong with it besides the plan's own problems."""
    config = plan.config
    problems = Problems(config.tree)
    file = config.tree.documents[0]
    name = posixpath.basename(file.origin.name)
    project = options.project or label(posixpath.splitext(name)[0])
    overrides: dict[str, TomlValue] = {}
    for document in config.tree.documents[1:]:
        overrides = merge(overrides, document.data)
    variables, files = _find_secrets(config, problems)
    _check_texts(config, problems)
    enabled = enabled_instances(config)
    servers = tuple(_server(each, plan) for each in plan.instances)
    _check_labels(servers, problems)
    if not enabled and not plan.problems:
        problems.add((), "no instance is enabled: there is nothing to render", "enable one")
    if options.kind == "kubernetes":
        _check_sizes(enabled, problems)
    if options.kind in {"compose", "quadlet"}:
        _check_gpus(servers, problems)
    written, logs = list_written(config, enabled), list_logs(enabled)
    read = list_read(enabled, written)
    check_paths(enabled, (*read, *written, *logs), problems)
    return Workload(
        project=project,
        file_name=name,
        text=file.text,
        image=options.image,
        servers=servers,
        overrides=overrides,
        secret_variables=variables,
        secret_files=files,
        model_dirs=read,
        written_dirs=written,
        log_dirs=logs,
        stop_s=max((server.stop_s for server in servers), default=30.0),
        startup_s=_longest_start(servers),
        listen_port=config.master.listen[1] if config.master.listen else _free_port(servers),
    ), tuple(problems.found)


def _longest_start(servers: tuple[Server, ...]) -> float:
    """Return how long a start of all may take: those that share a GPU begin one after another."""
    return max(
        (sum(o.startup_s for o in servers if o is each or o.shares(each)) for each in servers),
        default=1800.0,
    )


def _free_port(servers: tuple[Server, ...]) -> int:
    """Return a port for the launcher's pages in a pod, which no server there has."""
    taken = {server.port for server in servers}
    return next(port for port in range(LISTEN_PORT, 1 << 16) if port not in taken)


def label(name: str) -> str:
    """Write a name in the letters of a DNS label (RFC 1035): a-z first, then a-z, 0-9 and -."""
    lower = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    begun = lower if lower[:1].isalpha() else f"v{lower}"
    return begun[:LONGEST_LABEL].rstrip("-")


def _server(planned: InstancePlan, plan: LaunchPlan) -> Server:
    instance, address = planned.instance, planned.address
    gpus = instance.control.gpu_ids
    nodes = (instance.cluster.nodes or 1) if instance.cluster else 1
    return Server(
        name=instance.name,
        label=label(instance.name),
        port=address.port,
        socket_path=address.socket_path,
        interface=address.interface(),
        tls=address.tls,
        gpus=gpus.ids if isinstance(gpus, GpuIds) else (),
        every_gpu=isinstance(gpus, AllGpus) and not _is_cpu_build(plan),
        ranks=-(-_ranks(instance) // nodes),
        nodes=nodes,
        clustered=instance.cluster is not None,
        open_places=_open_places(instance),
        startup_s=planned.process.startup_timeout_s,
        stop_s=_stop_s(planned),
        restart=instance.control.restart or "",
        keeps_log=posixpath.dirname(log_path(instance)) != TEMPORARY,
    )


def _stop_s(planned: InstancePlan) -> float:
    """Return how long a stop may take: the weights are let go once their server has ended."""
    own_s = planned.process.stop_timeout_s
    return own_s + KILL_S + planned.weights.stop_timeout_s if planned.weights else own_s


def _open_places(instance: Instance) -> tuple[str, ...]:
    """Return the variables for what `[instance.<name>.cluster]` does not say."""
    cluster = instance.cluster
    if cluster is None:
        return ()
    said = {"NODES": cluster.nodes, "RANK": cluster.rank, "LEADER": cluster.leader}
    names = {name: f"VLLMD_CLUSTER_{name}" for name, value in said.items() if value is None}
    for name, value in said.items():
        if isinstance(value, str) and value.startswith(ENV):
            names[name] = value.removeprefix(ENV)
    return tuple(names.values())


def _check_sizes(instances: tuple[Instance, ...], problems: Problems) -> None:
    """A LeaderWorkerSet has to know its size, and gives a rank to each of its pods."""
    for instance in instances:
        if instance.cluster is not None and instance.cluster.nodes is None:
            message = f"nothing says how many machines '{instance.name}' spans"
            problems.add(instance.cluster.path, message, "set nodes in [cluster]")


def _check_gpus(servers: tuple[Server, ...], problems: Problems) -> None:
    """One container holds the GPUs of all, and numbers them anew, those with names among them."""
    kinds = {is_identifier(gpu) for server in servers for gpu in server.gpus}
    if len(kinds) > 1 and not any(server.every_gpu for server in servers):
        message = "some GPUs are called by number, others by name: in a container, which number"
        hint = "call all of them by number, or all by name (nvidia-smi -L)"
        problems.add((), f"{message} has a GPU that is called by name is not known", hint)


def _is_cpu_build(plan: LaunchPlan) -> bool:
    return bool(plan.vllm_version) and "cpu" in str(plan.vllm_version)


def _ranks(instance: Instance) -> int:
    sizes = (
        effective_integer(instance, name, 1)
        for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    )
    product = 1
    for size in sizes:
        product *= max(size, 1)
    return product


def _check_labels(servers: tuple[Server, ...], problems: Problems) -> None:
    seen: dict[str, str] = {}
    for server in servers:
        former = seen.setdefault(server.label, server.name)
        if former != server.name:
            message = f"instances '{former}' and '{server.name}' are both '{server.label}' as DNS "
            problems.add(
                ("instance", server.name),
                f"{message}writes names",
                "rename one of them",
                at_key=True,
            )


def _find_secrets(
    config: LauncherConfig, problems: Problems
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the variables and files that hold secrets; note those that are written out."""
    variables: dict[str, None] = {}
    files: dict[str, None] = {}
    for name, value, path in _secret_settings(config):
        if value.startswith(ENV):
            variables[value.removeprefix(ENV)] = None
        elif value.startswith(FILE):
            files[value.removeprefix(FILE)] = None
        elif value:
            problems.add(
                path,
                f"'{dotted(path)}' is written out: whoever reads the rendered files reads it too",
                f'write "env:{_variable_name(name)}" or "file:/run/secrets/{name.lower()}"',
            )
    _check_file_names(tuple(files), problems)
    return tuple(variables), tuple(files)


def _check_file_names(paths: tuple[str, ...], problems: Problems) -> None:
    """Homes keep secrets under names, and a file's is the last part of its path."""
    seen: dict[str, str] = {}
    for path in paths:
        name = posixpath.basename(path)
        former = seen.setdefault(name, path)
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            hint = "rename the file: letters, digits, '-', '_' and '.'"
            problems.add((), f"'{path}' does not end in a name that a secret can have", hint)
        elif former != path:
            message = f"the secrets '{former}' and '{path}' would have the same name, '{name}'"
            problems.add((), message, "rename one of the files")


def _check_texts(config: LauncherConfig, problems: Problems) -> None:
    """Note what else is written out in the files that are rendered whole, and names no home takes.

    Instances that are disabled are in them too, and what has no secret's name: a URL's password.
    """
    noted = {problem.path for problem in problems.found}
    for secret in list_secrets(config.tree.documents):
        if not secret.value.startswith((ENV, FILE)) and secret.path not in noted:
            message = f"'{secret.name}' holds a secret: whoever reads the rendered files reads it"
            problems.add(secret.path, message, 'write "env:NAME" or "file:/path"')
    document = config.tree.documents[0]
    if tells_in_comment(document.text):
        message = "a comment holds a secret: whoever reads the rendered files reads it"
        problems.add((), message, "take it out of the comment")
    name = posixpath.basename(document.origin.name)
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        # What a ConfigMap takes as a key; a volume of Docker or Podman ends at a colon.
        hint = "rename the file: letters, digits, '-', '_' and '.'"
        problems.add((), f"'{name}' is no name that it can have in a container", hint)


def _variable_name(name: str) -> str:
    return SECRET_OPTIONS.get(name, name.upper())


def _secret_settings(config: LauncherConfig) -> Iterator[tuple[str, str, Path]]:
    enabled = enabled_instances(config)
    for settings in (config.master.env, *(instance.env for instance in enabled)):
        for setting in settings:
            if is_secret_name(setting.name):
                yield setting.name, setting.value, setting.path
    for instance in enabled:
        for option in instance.options:
            value = option.value
            if isinstance(value, list) and len(value) == 1:
                value = value[0]
            if option.name in SECRET_OPTIONS and isinstance(value, str):
                yield option.name, value, option.path
