"""From everything that says something about KVBM to the configuration of each role."""

from __future__ import annotations

from launcher.config.problems import errors_of
from launcher.kvbm.environment import parse_environment
from launcher.kvbm.findings import Findings
from launcher.kvbm.layers import LEADER, WORKER, split, stack
from launcher.kvbm.read import read_config
from launcher.kvbm.validate import validate_leader, validate_pair, validate_role
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.config.document import Document
    from launcher.config.problems import Problem
    from launcher.kvbm.layers import Layer, Stack
    from launcher.kvbm.model import KvbmConfig


@record
class KvbmFacts:
    """What a machine says: its files (lowest first), its environment, its number of CPUs.

    `problems` are those of finding the files.
    """

    cpu_count: int
    environ: Mapping[str, str]
    files: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()


@record
class Layers:
    """All layers, lowest first, the documents they were taken from, and what was wrong there."""

    layers: tuple[Layer, ...]
    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]

    def with_layers(self, layers: tuple[Layer, ...], problems: tuple[Problem, ...]) -> Layers:
        """Return a copy with further layers on top."""
        return Layers(
            layers=(*self.layers, *layers),
            documents=self.documents,
            problems=(*self.problems, *problems),
        )


@record
class RoleConfig:
    """What one role is told, the layers it comes from, and what is wrong with it.

    `role` is None for what both roles share.
    """

    role: str | None
    config: KvbmConfig
    stack: Stack
    problems: tuple[Problem, ...]


@record
class Resolution:
    """Both roles, and all problems, each once."""

    leader: RoleConfig
    worker: RoleConfig
    layers: Layers
    problems: tuple[Problem, ...]


def collect_layers(
    facts: KvbmFacts, overrides: tuple[Document, ...] = (), *, strict: bool = False
) -> Layers:
    """Take all documents apart: files, then variables, then JSON objects and assignments."""
    environment = parse_environment(facts.environ, strict=strict)
    documents = (*facts.files, *environment.documents, *overrides)
    layers: list[Layer] = []
    problems = [*facts.problems, *environment.problems]
    for document in documents:
        taken, wrong = split(document.data, document.origin)
        layers += taken
        problems += wrong
    return Layers(layers=tuple(layers), documents=documents, problems=tuple(problems))


def resolve_role(
    layers: Layers, role: str | None, cpu_count: int, *, strict: bool = False
) -> RoleConfig:
    """Read and check what one role is told. Problems of the other role are not looked for."""
    seen, findings = _read(layers, role, cpu_count, strict=strict)
    if role != WORKER and not errors_of(findings.found):
        validate_leader(seen, findings)
    return _result(role, seen, findings)


def resolve(layers: Layers, cpu_count: int, *, strict: bool = False) -> Resolution:
    """Read and check both roles, alone and together."""
    leader, leader_findings = _read(layers, LEADER, cpu_count, strict=strict)
    worker, worker_findings = _read(layers, WORKER, cpu_count, strict=strict)
    # Warnings about a configuration that is half defaults, because of errors, would mislead.
    if not errors_of((*layers.problems, *leader_findings.found, *worker_findings.found)):
        validate_leader(leader, leader_findings)
        validate_pair(leader, worker, leader_findings, worker_findings)
    both = (
        _result(LEADER, leader, leader_findings),
        _result(WORKER, worker, worker_findings),
    )
    found = [*layers.problems, *both[0].problems, *both[1].problems]
    return Resolution(
        leader=both[0], worker=both[1], layers=layers, problems=tuple(dict.fromkeys(found))
    )


def _read(
    layers: Layers, role: str | None, cpu_count: int, *, strict: bool
) -> tuple[KvbmConfig, Findings]:
    seen = stack(layers.layers, role)
    findings = Findings(seen, strict=strict)
    for layer in seen.layers:
        findings.found.extend(layer.problems)
    config = read_config(findings)
    validate_role(config, cpu_count, findings)
    return config, findings


def _result(role: str | None, config: KvbmConfig, findings: Findings) -> RoleConfig:
    return RoleConfig(
        role=role, config=config, stack=findings.stack, problems=tuple(findings.found)
    )
