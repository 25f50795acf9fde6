"""A plan of a server on several machines, as a user sees it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from launcher.cli.show_plan import render_json_plan, render_text_plan
from tests.support.facts import plan_text

if TYPE_CHECKING:
    from launcher.server.plan import LaunchPlan

TOML = """
[instance.a.server]
model = "org/model"
tensor_parallel_size = 2
[instance.a.cluster]
leader = "10.0.0.1"
"""


def planned(rank: int) -> LaunchPlan:
    environ = {"PATH": "/usr/bin", "LWS_GROUP_SIZE": "2", "LWS_WORKER_INDEX": str(rank)}
    return plan_text(TOML, environ=environ)


def test_text_says_which_machine_and_who_said_so() -> None:
    text = render_text_plan(planned(1))
    assert text.splitlines()[2:4] == [
        "a: headless, GPUs all, background",
        (
            "  part  rank 1 (LWS_WORKER_INDEX) of 2 (LWS_GROUP_SIZE), leader 10.0.0.1, "
            "port 29501 (default), link port 29502 (default), native"
        ),
    ]


def test_json_has_the_part_its_origins_and_no_address_of_a_worker() -> None:
    leader, worker = (
        json.loads(render_json_plan(planned(rank), "/"))["instances"][0] for rank in (0, 1)
    )
    assert worker["cluster"] == {
        "engine": "native", "nodes": 2, "rank": 1, "leader": "10.0.0.1",
        "port": 29501, "link_port": 29502,
    }  # fmt: skip
    assert (leader["port"], worker["port"]) == (8000, None)
    assert worker["origins"]["cluster.rank"] == "LWS_WORKER_INDEX"
    assert worker["origins"]["cluster.leader"] == "vllm.toml:6:1"
    assert worker["origins"]["cluster.port"] == "default"
