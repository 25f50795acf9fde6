"""Any cluster, in any environment: a plan with problems at worst, and never an exception."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from launcher.server.cluster import CLUSTER_KEYS
from launcher.server.cluster_facts import LEADER, NODES, ON_EACH, PORT, RANK
from tests.support.facts import plan_text

VALUES = st.sampled_from(
    [
        *("x", "", " ", "ray", "mp", "env:POD", "env:", "10.0.0.1", "::1", "a:1", "²", "\0"),
        *(-1, 0, 1, 2, 8, 65535, 65536, 10**12, 1.5, True, False, ["ray"], []),
    ]
)
TEXTS = st.sampled_from(
    [
        *("", "0", "1", "2", "x", "-1", "²", " 1", "9" * 30, "9" * 5000, "env:X", "\udcff"),
        *("10.0.0.1", "[::1]", "a,b", "n[01-03,7],m", "n[", "n]", "tcp://1.2.3.4:1"),
    ]
)
OPTIONS = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "nnodes",
           "distributed_executor_backend", "data_parallel_backend", "headless", "port", "host",
           "uds", "extra_args")  # fmt: skip
VARIABLES = (*RANK, *NODES, *LEADER, *PORT, ON_EACH, "POD")


def tables(names: tuple[str, ...], most: int) -> st.SearchStrategy[str]:
    """Make lines of some keys with values that they may or may not have."""
    pairs = st.dictionaries(st.sampled_from(names), VALUES, max_size=most)
    return pairs.map(
        lambda values: "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    )


@given(
    tables(OPTIONS, 3),
    tables(tuple(key.name for key in CLUSTER_KEYS), 5),
    st.dictionaries(st.sampled_from(VARIABLES), TEXTS, max_size=6),
)
def test_plan_of_any_cluster_is_a_plan(server: str, cluster: str, environ: dict[str, str]) -> None:
    toml = f"[instance.a.server]\n{server}[instance.a.cluster]\n{cluster}"
    plan = plan_text(toml, environ={"PATH": "/usr/bin", **environ})
    assert [each.process.name for each in plan.instances] in ([], ["a"])
