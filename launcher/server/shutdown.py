"""Three clocks run when a server is stopped, and each has to fit into the next.

`--shutdown-timeout` is vLLM's own: how long it finishes requests under way (vllm/config/vllm.py;
0, its default, cuts them off). `stop_timeout_s` is ours: from SIGTERM to SIGKILL. The third is the
container's: `docker stop -t`, `stop_grace_period` of compose, `terminationGracePeriodSeconds` of
Kubernetes. Nobody tells a container its own; `VLLMD_CONTAINER_GRACE_S` is how it can be told. The
process that keeps a server's weights is stopped after it, and needs time of its own.
"""

from __future__ import annotations

from launcher.config.problems import WARNING
from launcher.record import replace
from launcher.server.address import effective_integer
from launcher.server.model import ServerOption
from launcher.server.weight_cache import keeper_stop_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.config.reader import Problems
    from launcher.server.facts import Facts
    from launcher.server.model import Instance

OPTION = "shutdown_timeout"
GRACE_VARIABLE = "VLLMD_CONTAINER_GRACE_S"
# What vLLM 0.32 needs to end once the last request is done (measured: up to 7.2 s on a CPU).
MARGIN_S = 10.0
# What we need to kill what did not end, and to say so.
OUR_OWN_S = 2.0


def with_drain(instance: Instance) -> Instance:
    """Return the instance with what `control.drain_s` means: vLLM's option, and grace enough."""
    control = instance.control
    if not control.drain_s or instance.option(OPTION):
        return instance
    option = ServerOption(name=OPTION, value=control.drain_s, path=instance.control_path("drain_s"))
    grace_s = control.stop_timeout_s
    if "stop_timeout_s" not in instance.control_paths:
        grace_s = max(grace_s, control.drain_s + MARGIN_S)
    control = replace(control, stop_timeout_s=grace_s)
    return replace(instance, control=control, options=(*instance.options, option))


def check_shutdown(instances: tuple[Instance, ...], facts: Facts, problems: Problems) -> None:
    """Warn of clocks that do not fit into one another."""
    for instance in map(with_drain, instances):
        _check_drain(instance, facts, problems)
        _check_own(instance, problems)
        _check_container(instance, facts, problems)


def _check_drain(instance: Instance, facts: Facts, problems: Problems) -> None:
    if not instance.control.drain_s:
        return
    path = instance.control_path("drain_s")
    option = instance.option(OPTION)
    if option is not None and option.path != path:
        message = "'drain_s' and 'shutdown_timeout' are one thing, and the latter counts"
        problems.add(path, message, "keep one of the two", severity=WARNING)
    elif facts.catalogue is not None and facts.catalogue.find(OPTION) is None:
        message = f"vLLM {facts.catalogue.version} cannot finish requests when it is stopped"
        problems.add(path, message, "remove drain_s, or take a newer vLLM")


def _check_own(instance: Instance, problems: Problems) -> None:
    own_s = effective_integer(instance, OPTION, 0)
    grace_s = instance.control.stop_timeout_s
    if not own_s or own_s + MARGIN_S <= grace_s:
        return
    option = instance.option(OPTION)
    path = option.path if option else instance.path()
    message = (
        f"'{instance.name}' may finish requests for {own_s} s (shutdown_timeout) and needs up to "
        f"{MARGIN_S:g} s more to end, but is killed after {grace_s:g} s (stop_timeout_s)"
    )
    hint = f"set stop_timeout_s = {own_s + MARGIN_S:g}, or a shorter time to finish requests"
    problems.add(path, message, hint, severity=WARNING)


def _check_container(instance: Instance, facts: Facts, problems: Problems) -> None:
    grace_s = _seconds(facts.environ.get(GRACE_VARIABLE, ""))
    keeper_s = keeper_stop_s(instance.control)
    own_s = instance.control.stop_timeout_s + keeper_s
    if grace_s is None or own_s + OUR_OWN_S <= grace_s:
        return
    sum_of = f" and {keeper_s:g} s for its weights" if keeper_s else ""
    message = (
        f"'{instance.name}' may take {own_s:g} s to stop (stop_timeout_s{sum_of}), but the "
        f"container is killed after {grace_s:g} s ({GRACE_VARIABLE})"
    )
    hint = f"give the container {own_s + OUR_OWN_S:g} s, or lower stop_timeout_s"
    problems.add(instance.control_path("stop_timeout_s"), message, hint, severity=WARNING)


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
