"""From a wish to a deed: the exact processes, and everything that forbids starting them."""

from __future__ import annotations

from launcher.config.problems import ERROR, type_name
from launcher.config.reader import Problems, Refusal
from launcher.config.secrets import is_secret_name
from launcher.process.spec import LogSpec, ProcessSpec, RestartPolicy, Variable
from launcher.record import record, replace
from launcher.server.address import EVERY_INTERFACE, health_probe, server_address
from launcher.server.checks import CHECKS
from launcher.server.compiling import Twin, find_twins
from launcher.server.endpoints import check_endpoints
from launcher.server.environment_checks import check_variable
from launcher.server.facts import (
    PORT_VARIABLE,
    UNSET,
    enabled_instances,
    is_hijacked_port,
    is_vllm_module,
    log_path,
)
from launcher.server.gpus import GpuIds, NoGpus, visible_devices
from launcher.server.interpreter import check_overridden, plan_command
from launcher.server.multiprocessing import VARIABLE, find_setting
from launcher.server.options import plan_flags
from launcher.server.prefetch import ReadAhead, plan_prefetch
from launcher.server.request import render_request, served_name
from launcher.server.secret_values import SECRET_OPTIONS, resolve
from launcher.server.shutdown import with_drain
from launcher.server.warm import StartMode, plan_start
from launcher.server.weight_cache import plan_weights, with_weight_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.problems import Problem, TomlValue
    from launcher.process.spec import Prefetch
    from launcher.server.address import Address
    from launcher.server.catalogue.lookup import Catalogue
    from launcher.server.cluster_facts import Membership
    from launcher.server.cluster_plan import ClusterPlan
    from launcher.server.facts import Facts
    from launcher.server.gpus import GpuSelection
    from launcher.server.model import ControlConfig, EnvSetting, Instance, LauncherConfig
    from launcher.server.options import Flag

MEGABYTE = 1_000_000
# Set for every instance unless the user did. Output must reach the log when it is written, and
# ids must mean the same GPU to every program (CUDA's own default order is by speed).
STANDARD_ENV = (("PYTHONUNBUFFERED", "1"), ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"))
EVERY_GPU = "all"
BACKOFF_S = 1.0  # before the first restart
WARM_BACKOFF_S = 0.2  # where it takes a second; the doubling comes all the same
API_KEY = "VLLM_API_KEY"


@record
class InstancePlan:
    """One server, exactly as it will be started: `command`, the flags, then the extra arguments."""

    instance: Instance
    process: ProcessSpec
    address: Address
    command: tuple[str, ...]
    flags: tuple[Flag, ...]
    start: StartMode
    ahead: ReadAhead = ReadAhead()
    weights: ProcessSpec | None = None  # keeps the model's weights through its restarts
    twin: Twin = Twin()  # the first of those that compile the same graph
    membership: Membership | None = None  # its part in a cluster; None: it is no part of one

    def is_worker(self) -> bool:
        """Tell whether another machine answers requests for this one."""
        return self.membership is not None and not self.membership.is_leader()

    def gpu_ids(self) -> str:
        """Return the GPUs in the contract's words."""
        return _gpu_words(self.instance.control.gpu_ids)


@record
class LaunchPlan:
    """Everything that will happen. `problems` holds warnings, and errors that forbid it."""

    config: LauncherConfig
    vllm_version: str | None
    catalogue: Catalogue | None
    instances: tuple[InstancePlan, ...]
    skipped: tuple[tuple[str, str], ...]  # name, reason
    problems: tuple[Problem, ...]

    def processes(self) -> tuple[ProcessSpec, ...]:
        """Return the processes to run, in the order of the configuration."""
        pairs = ((instance.weights, instance.process) for instance in self.instances)
        return tuple(process for pair in pairs for process in pair if process is not None)

    def prefetches(self) -> tuple[Prefetch, ...]:
        """Return what is to be read while the processes start, in their order."""
        orders = (instance.ahead.order for instance in self.instances)
        return tuple(order for order in orders if order is not None)

    def is_startable(self) -> bool:
        """Tell whether nothing forbids the start."""
        return not any(problem.severity == ERROR for problem in self.problems)


def plan_launch(config: LauncherConfig, facts: Facts) -> LaunchPlan:
    """Plan the launch of a configuration on the machine that the facts describe."""
    problems = Problems(config.tree)
    problems.found.extend(config.problems)
    enabled = enabled_instances(config)
    prefix = plan_command(config.master, facts, problems) if enabled else ()
    for setting in config.master.env if enabled else ():
        check_variable(setting, facts, problems)
    for check in CHECKS:
        check(enabled, facts, problems)
    check_endpoints(config.master, enabled, problems)
    planned: list[InstancePlan] = []
    holders: dict[str, str] = {}  # GPU -> the instance planned on it last
    twins = find_twins(enabled, config.master, facts)
    for instance in map(with_weight_cache, map(with_drain, enabled)):
        after = _predecessors(instance, holders, facts)
        twin = twins.get(instance.name, Twin())
        before = (*after, twin.name) if twin.first and twin.name not in after else after
        each = _plan_instance(instance, config, facts, prefix, before, problems)
        planned.append(replace(each, twin=twin))
    _check_clusters(planned, problems)
    running = {instance.name for instance in enabled}
    return LaunchPlan(
        config=config,
        vllm_version=facts.vllm_version,
        catalogue=facts.catalogue,
        instances=tuple(planned),
        skipped=tuple(
            (instance.name, _skip_reason(config))
            for instance in config.instances
            if instance.name not in running
        ),
        problems=_distinct(problems.found),
    )


def _skip_reason(config: LauncherConfig) -> str:
    return "control.enabled is false" if config.master.enable else "master.enable is false"


def _predecessors(instance: Instance, holders: dict[str, str], facts: Facts) -> tuple[str, ...]:
    """Return who has to be healthy first: the last instance before it on each of its GPUs.

    vLLM measures free memory while it starts, so two servers starting on one GPU take each
    other's allocations for their own (vllm issues 10643 and 56830).
    """
    gpus = instance.control.gpu_ids
    if isinstance(gpus, NoGpus) or not (facts.accelerators or isinstance(gpus, GpuIds)):
        return ()
    if isinstance(gpus, GpuIds):
        former = [holders.get(gpu) or holders.get(EVERY_GPU) for gpu in gpus.ids]
        holders.update(dict.fromkeys(gpus.ids, instance.name))
    else:
        former = list(holders.values())
        # Whoever comes next on any GPU waits for this one, and with it for all before it.
        holders.clear()
        holders[EVERY_GPU] = instance.name
    return tuple(dict.fromkeys(name for name in former if name))


def _gpu_words(gpus: GpuSelection) -> str:
    if isinstance(gpus, GpuIds):
        return ",".join(gpus.ids)
    return "none" if isinstance(gpus, NoGpus) else "all"


def _locks(instance: Instance, facts: Facts) -> tuple[str, ...]:
    """Return the GPUs that are the instance's alone while it starts, also when it is restarted."""
    gpus = instance.control.gpu_ids
    if isinstance(gpus, GpuIds):
        return gpus.ids
    return () if isinstance(gpus, NoGpus) or not facts.accelerators else (EVERY_GPU,)


def _restart_policy(control: ControlConfig, start: StartMode) -> RestartPolicy:
    return RestartPolicy(
        backoff_s=WARM_BACKOFF_S if start.warm else BACKOFF_S,
        mode=control.restart or ("on-failure" if control.background else "no"),
        max_restarts=control.max_restarts,
        window_s=control.restart_window_s,
    )


def _plan_instance(  # noqa: PLR0913, PLR0917
    instance: Instance,
    config: LauncherConfig,
    facts: Facts,
    prefix: tuple[str, ...],
    after: tuple[str, ...],
    problems: Problems,
) -> InstancePlan:
    spread = _plan_cluster(instance, facts, problems)
    if spread is not None:
        instance, prefix = spread.instance, spread.command(prefix, facts)
    control = instance.control
    address = server_address(instance)
    strict = config.master.unknown_flags == "error"
    flags = plan_flags(instance, facts.catalogue, problems, strict=strict)
    if spread is not None and not spread.takes_flags(facts):
        flags, instance = (), replace(instance, extra_args=())
    tokens = (token for each in flags for token in each.tokens)
    env = _environment(instance, config.master.env, facts, problems)
    chosen = tuple(each for each in env if (each.name, each.value) not in STANDARD_ENV)
    check_overridden(instance, chosen, facts, problems)
    if spread is not None and spread.link() is not None:
        start = StartMode(mode="cold", reason="it spans several machines")
    else:
        start = plan_start(instance, config.master, facts, problems)
    gpus, restart = _gpu_words(control.gpu_ids), _restart_policy(control, start)
    weights = plan_weights(instance, flags, prefix, facts, env=env, gpus=gpus, restart=restart)
    process = ProcessSpec(
        name=instance.name,
        argv=(*prefix, *tokens, *instance.extra_args),
        env=env,
        unset=(*UNSET, PORT_VARIABLE) if is_hijacked_port(facts.environ) else UNSET,
        link=spread.link() if spread is not None else None,
        after=(*after, weights.name) if weights else after,
        gpus=gpus,
        warm=start.warm,
        locks=_locks(instance, facts),
        restart=restart,
    )
    process = _controlled(process, instance)
    if spread is None or not spread.is_worker():
        keyed = API_KEY in facts.environ or any(variable.name == API_KEY for variable in env)
        process = _answering(process, instance, address, facts, keyed=keyed)
    return InstancePlan(
        instance=instance,
        process=process,
        address=address,
        command=prefix,
        flags=flags,
        start=start,
        ahead=plan_prefetch(instance, config.master, facts, env),
        weights=replace(weights, after=after) if weights else None,
        membership=spread.membership if spread is not None else None,
    )


def _controlled(process: ProcessSpec, instance: Instance) -> ProcessSpec:
    """Add what the control table says of a process: its log, and how long it may take for what."""
    control = instance.control
    return replace(
        process,
        log=LogSpec(
            path=log_path(instance),
            max_bytes=control.log_max_mb * MEGABYTE,
            keep=control.log_keep,
        ),
        foreground=not control.background,
        liveness_interval_s=control.health_interval_s,
        liveness_failures=control.health_failures,
        liveness_timeout_s=control.health_timeout_s,
        stall_timeout_s=control.stall_timeout_s,
        startup_timeout_s=control.startup_timeout_s,
        stop_timeout_s=control.stop_timeout_s,
    )


def _answering(
    process: ProcessSpec, instance: Instance, address: Address, facts: Facts, *, keyed: bool
) -> ProcessSpec:
    """Add how a process is asked that answers requests; a worker on another machine does not."""
    asked = is_vllm_module(facts.module)
    return replace(
        process,
        probe=health_probe(address, _canary(instance)),
        everywhere=not address.socket_path and address.interface() == EVERY_INTERFACE,
        try_it=render_request(instance, address, keyed=keyed) if asked else "",
    )


def _plan_cluster(instance: Instance, facts: Facts, problems: Problems) -> ClusterPlan | None:
    """Plan this machine's part of an instance that spans several; None for others."""
    if instance.cluster is None:
        return None
    from launcher.server.cluster_plan import plan_cluster  # noqa: PLC0415  (few have one)

    return plan_cluster(instance, instance.cluster, facts, problems)


def _check_clusters(planned: list[InstancePlan], problems: Problems) -> None:
    members = tuple(
        (each.instance, each.instance.cluster, each.membership)
        for each in planned
        if each.instance.cluster is not None and each.membership is not None
    )
    if members:
        from launcher.server.cluster_checks import check_ports  # noqa: PLC0415  (few have one)

        check_ports(members, problems)


def _canary(instance: Instance) -> str:
    """Return the name of the model that the probe asks for a token of; empty for none."""
    return served_name(instance) if instance.control.probe == "generate" else ""


def _environment(
    instance: Instance, shared: tuple[EnvSetting, ...], facts: Facts, problems: Problems
) -> tuple[Variable, ...]:
    """Return the variables to set: standard ones, pixi's, `[master.env]`, own, secrets, GPUs."""
    activated = dict(facts.pixi.variables) if facts.pixi else {}
    variables = {
        name: Variable(name=name, value=value)
        for name, value in STANDARD_ENV
        if name not in facts.environ and name not in activated
    }
    variables.update((name, _variable(name, value)) for name, value in activated.items())
    for setting in (*shared, *instance.env):
        try:
            value = resolve(setting.name, setting.value, facts)
        except Refusal as refusal:
            problems.add(setting.path, f"'{setting.name}': {refusal.message}", refusal.hint)
            continue
        variables[setting.name] = _variable(setting.name, value)
    variables.update(_secret_options(instance, facts, problems))
    engines = find_setting(instance, facts)
    if engines is not None and is_vllm_module(facts.module):
        variables[VARIABLE] = Variable(name=VARIABLE, value=engines)
    devices = visible_devices(instance.control.gpu_ids)
    if devices is not None:
        name = "CUDA_VISIBLE_DEVICES"
        variables[name] = Variable(name=name, value=devices)
    return tuple(variables.values())


def _secret_options(instance: Instance, facts: Facts, problems: Problems) -> dict[str, Variable]:
    variables = {}
    for option in instance.options:
        name = SECRET_OPTIONS.get(option.name)
        if name is None or isinstance(option.value, bool):
            continue
        value = option.value
        if isinstance(value, list) and len(value) == 1:
            value = value[0]  # vLLM takes several keys; one of them is as good as a string
        if not isinstance(value, str) or not value:
            message = f"'{option.name}': expected one string, got {_described(value)}"
            hint = 'write the secret, "env:NAME" or "file:/path"'
            problems.add(option.path, message, hint)
            continue
        try:
            variables[name] = _variable(name, resolve(option.name, value, facts))
        except Refusal as refusal:
            problems.add(option.path, f"'{option.name}': {refusal.message}", refusal.hint)
    return variables


def _described(value: TomlValue) -> str:
    if isinstance(value, list):
        return f"an array of {len(value)}" if value else "an empty array"
    return type_name(value) if value != "" else "an empty one"


def _variable(name: str, value: str) -> Variable:
    return Variable(name=name, value=value, secret=is_secret_name(name))


def _distinct(problems: list[Problem]) -> tuple[Problem, ...]:
    """Drop repetitions: a fault in `[instance.server]` is found once for each instance."""
    seen: dict[tuple[object, ...], Problem] = {}
    for problem in problems:
        seen.setdefault((problem.origin, problem.path, problem.message), problem)
    return tuple(seen.values())
