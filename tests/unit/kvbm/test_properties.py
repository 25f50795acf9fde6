"""What holds for every input, however odd."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.config.document import Document, parse_toml
from launcher.config.merger import merge_tables
from launcher.config.problems import Origin
from launcher.errors import ConfigError
from launcher.kvbm.environment import VARIABLES
from launcher.kvbm.loading import read_overrides
from launcher.kvbm.render import TomlWriter, as_data, effective_values, render_flag_value
from launcher.kvbm.resolve import KvbmFacts, collect_layers, resolve, resolve_role
from launcher.kvbm.tables import TABLES
from launcher.kvbm.transfer import render_sections
from tests.support.kvbm import CPUS, told

if TYPE_CHECKING:
    from launcher.config.problems import TomlValue

quick = settings(max_examples=40)

# Any JSON, with many of the names that mean something.
NAMES = sorted(
    {part for row in TABLES for part in (*row.path, row.kind) if part}
    | {key.name for row in TABLES for key in row.keys}
    | {"type", "presence", "leader", "worker", "default", "UCX", "___x___", "x"}
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 700)
    | st.floats()
    | st.sampled_from([*NAMES, "s3", "pass_all", "10.0.0.1", ""])
    | st.text(max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)

# Settings that are right.
plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
sizes = st.fixed_dictionaries(
    {}, optional={"cache_size_gb": st.floats(0, 1e6), "num_blocks": st.integers(0, 2**63 - 1)}
)
tier = st.fixed_dictionaries(
    {},
    optional={
        "policies": st.lists(st.sampled_from(["pass_all", "presence", "presence_lfu"]), max_size=3),
        "presence_lfu": st.fixed_dictionaries({"min_lfu_count": st.integers(1, 2**32 - 1)}),
    },
)
etcd = st.fixed_dictionaries(
    {"type": st.just("etcd"), "cluster_id": plain},
    optional={"endpoints": st.lists(plain, max_size=2), "ttl_secs": st.integers(10, 600)},
)
p2p = st.fixed_dictionaries(
    {"p2p": st.fixed_dictionaries({"cluster_id": plain}, optional={"enable_mdns": st.booleans()})}
)
filesystem = st.fixed_dictionaries({"type": st.just("filesystem"), "path": plain})
s3 = st.fixed_dictionaries(
    {"type": st.just("s3")}, optional={"bucket": plain, "endpoint_url": plain}
)
nixl_client = st.fixed_dictionaries(
    {"type": st.just("nixl"), "backend": st.just("s3")}, optional={"region": plain}
)
right = st.fixed_dictionaries(
    {},
    optional={
        "tokio": st.fixed_dictionaries({}, optional={"worker_threads": st.integers(1, CPUS)}),
        "rayon": st.fixed_dictionaries({}, optional={"num_threads": st.integers(1, 2**40)}),
        "nova": st.fixed_dictionaries(
            {},
            optional={
                "backend": st.fixed_dictionaries({"tcp_port": st.integers(0, 65535)}),
                "discovery": etcd | p2p | filesystem,
            },
        ),
        "cache": st.fixed_dictionaries({}, optional={"host": sizes, "disk": sizes}),
        "offload": st.fixed_dictionaries({}, optional={"g1_to_g2": tier, "g2_to_g3": tier}),
        "object": st.fixed_dictionaries({"client": s3 | nixl_client}),
        "nixl": st.fixed_dictionaries(
            {
                "backends": st.dictionaries(
                    st.sampled_from(["UCX", "posix", "GDS"]),
                    st.dictionaries(plain, plain, max_size=2),
                    max_size=3,
                )
            }
        ),
    },
)
sectioned = st.fixed_dictionaries(
    {}, optional={"default": right, "leader": right, "worker": right}
).flatmap(lambda outer: right.map(lambda flat: {**flat, **outer}))
nulled = right.flatmap(
    lambda data: st.sampled_from([{}, {"nixl": None}, {"object": None}]).map(
        lambda null: {**data, **null}
    )
)

# Tables in which every name is always a table or always a value.
tables: st.SearchStrategy[dict[str, TomlValue]] = st.recursive(
    st.dictionaries(st.sampled_from("xyz"), st.integers() | st.lists(st.integers()), max_size=3),
    lambda inner: st.fixed_dictionaries(
        {"x": st.integers()}, optional={"a": inner, "b": inner, "c": inner}
    ),
    max_leaves=8,
)


def document(data: dict[str, TomlValue], kind: str = "file") -> Document:
    return Document(origin=Origin(kind=kind, name="generated"), text="", data=data)


def pass_through(*documents: Document, environ: dict[str, str] | None = None) -> None:
    """Do everything that a command does with what it is given."""
    facts = KvbmFacts(cpu_count=CPUS, environ=environ or {}, files=documents)
    layers = collect_layers(facts)
    resolution = resolve(layers, CPUS)
    json.loads(render_flag_value(render_sections(layers)))
    for each in (resolution.leader, resolution.worker):
        data = as_data(each.config)
        parse_toml(
            TomlWriter(effective=effective_values(each.config, CPUS)).write(data),
            Origin(kind="file", name="written"),
        )
        assert all(each.stack.source(problem.path) for problem in each.problems)


@quick
@given(tables, tables, tables)
def test_merge_is_associative_over_tables(
    one: dict[str, TomlValue], two: dict[str, TomlValue], three: dict[str, TomlValue]
) -> None:
    left = merge_tables(merge_tables(one, two), three)
    assert left == merge_tables(one, merge_tables(two, three))


@quick
@given(nulled)
def test_load_print_load_is_the_identity_in_json(data: dict[str, TomlValue]) -> None:
    config = told(data)
    assert told(json.dumps(as_data(config))) == config


@quick
@given(right)
def test_load_print_load_is_the_identity_in_toml(data: dict[str, TomlValue]) -> None:
    config = told(data)
    text = TomlWriter(effective=effective_values(config, CPUS)).write(as_data(config))
    # Secrets are masked when printed, which is the one thing that may differ.
    assert "***" in text or told(None, text) == config


@quick
@given(sectioned, sectioned)
def test_sections_for_vllm_say_what_the_layers_say(
    file: dict[str, TomlValue], over: dict[str, TomlValue]
) -> None:
    facts = KvbmFacts(cpu_count=CPUS, environ={}, files=(document(file),))
    layers = collect_layers(facts, (document(over, "override"),))
    sections = render_sections(layers)
    for role in ("leader", "worker"):
        wanted = resolve_role(layers, role, CPUS)
        if not any(problem.severity == "error" for problem in wanted.problems):
            assert told(sections, role=role) == wanted.config


@quick
@given(objects, objects)
def test_any_json_passes_without_a_crash(
    one: dict[str, TomlValue], two: dict[str, TomlValue]
) -> None:
    pass_through(document(one), document(two, "override"))


@quick
@given(st.text(max_size=40) | objects.map(json.dumps))
def test_any_json_text_passes_or_is_refused(text: str) -> None:
    try:
        read = read_overrides(text)
    except ConfigError:
        return
    pass_through(read)


@quick
@given(
    st.lists(
        st.sampled_from([f"[{row.header()}]" for row in TABLES])
        | st.builds("{} = {}".format, st.sampled_from(NAMES), st.sampled_from(
            ["1", "-1", "nan", "1.5", "'x'", "[]", "['presence']", "{}", "true", "2026-01-01"]))
        | st.text(max_size=10),
        max_size=8,
    )
)  # fmt: skip
def test_any_toml_passes_or_is_refused(lines: list[str]) -> None:
    try:
        read = parse_toml("\n".join(lines), Origin(kind="file", name="any.toml"))
    except ConfigError:
        return
    pass_through(read)


@quick
@given(
    st.dictionaries(
        st.sampled_from([variable.name for variable in VARIABLES])
        | st.text(max_size=9).map("KVBM_{}".format),
        st.text(max_size=12)
        | st.sampled_from(["1", "-1", "1.5", "true", "[]", "[a,b]", "{UCX={}}", "etcd", "p2p"]),
        max_size=8,
    )
)  # fmt: skip
def test_any_environment_passes_without_a_crash(environ: dict[str, str]) -> None:
    pass_through(environ=environ)
