"""A fleet as Prometheus sees it: our own metrics, and where to scrape the instances. Pure.

Text format 0.0.4, HTTP service discovery: prometheus.io, "Exposition formats" and "HTTP SD".
"""

from __future__ import annotations

from launcher.process.fleet import State
from launcher.process.status import STATES, instances_of, start_duration, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.process.fleet import Fleet, Member
    from launcher.process.status import About

    Sample: TypeAlias = tuple[dict[str, str], float]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render_metrics(fleet: Fleet, about: About, now: float) -> str:
    """Render the metrics of the launcher and of each instance."""
    members = instances_of(fleet)
    states = [
        (_label(member) | {"state": state}, float(state_of(member) == state))
        for member in members
        for state in STATES
    ]
    up = [(_label(member), float(member.state is State.READY)) for member in members]
    restarts = [(_label(member), float(member.restarts)) for member in members]
    starts = [(_label(each), start_duration(each) or 0.0) for each in members if each.ready_at]
    families = (
        _family("info", "gauge", "The launcher.", [({"version": about.version}, 1.0)]),
        _family("uptime_seconds", "gauge", "Age of the launcher.", [({}, now - about.started_at)]),
        _family(
            "resident_memory_bytes",
            "gauge",
            "Memory of the launcher alone.",
            [({}, float(about.memory_bytes))],
        ),
        _family("instance_up", "gauge", "1 while the instance is ready.", up),
        _family("instance_state", "gauge", "1 for the state that the instance is in.", states),
        _family("instance_restarts_total", "counter", "Restarts after failures.", restarts),
        _family("instance_start_seconds", "gauge", "From the last start to readiness.", starts),
    )
    return "".join(families)


def _label(member: Member) -> dict[str, str]:
    # `instance` is Prometheus's own label, for the address that it scraped.
    return {"name": member.spec.name}


def _family(name: str, kind: str, text: str, samples: list[Sample]) -> str:
    full = f"vllmd_{name}"
    lines = [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
    for labels, value in samples:
        shown = ",".join(f'{key}="{_escape(word)}"' for key, word in labels.items())
        lines.append(f"{full}{{{shown}}} {value:.10g}" if shown else f"{full} {value:.10g}")
    return "\n".join(lines) + "\n"


def _escape(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def describe_targets(fleet: Fleet, host: str) -> list[dict[str, object]]:
    """Describe where vLLM's own metrics are, for Prometheus's HTTP service discovery.

    `host` is the name by which the client reached us: a server that listens on every interface
    is reached by it as well. Servers on a UNIX socket cannot be scraped.
    """
    targets: list[dict[str, object]] = []
    for member in instances_of(fleet):
        probe = member.spec.probe
        if probe is None or probe.socket_path:
            continue
        name = host if host and member.spec.everywhere else probe.host
        shown = f"[{name}]" if ":" in name else name
        targets.append(
            {
                "targets": [f"{shown}:{probe.port}"],
                "labels": {
                    "__scheme__": "https" if probe.tls else "http",
                    "__metrics_path__": "/metrics",
                    "vllmd_instance": member.spec.name,
                },
            }
        )
    return targets
