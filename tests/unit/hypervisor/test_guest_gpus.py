from __future__ import annotations

from launcher.cli.hypervisor.guest_gpus import plan_gpu_ids
from launcher.config.document import decode_toml
from launcher.config.problems import Origin
from launcher.config.reader import Problems
from launcher.server.read import read_config


def plan(count: int | None, **gpus: str) -> tuple[object, list[str]]:
    """Return the ids of each instance as overridden, and the problems."""
    text = "".join(f'[instance.{name}.control]\ngpu_ids = "{ids}"\n' for name, ids in gpus.items())
    config = read_config((decode_toml(text.encode(), Origin(kind="file", name="x")),))
    problems = Problems(config.tree)
    found = plan_gpu_ids(config.instances, count, problems)
    tables = found.get("instance", {})
    assert isinstance(tables, dict)
    ids = {name: table["control"]["gpu_ids"] for name, table in tables.items()}  # type: ignore[index, call-overload]
    return ids, [each.message for each in problems.found]


def test_ids_that_the_guest_has_stay() -> None:
    assert plan(2, a="0", b="1") == ({}, [])
    assert plan(2, a="1") == ({}, [])


def test_ids_of_the_host_are_numbered_anew_in_their_order() -> None:
    assert plan(2, a="5", b="3") == ({"a": "1", "b": "0"}, [])
    assert plan(4, a="4,5", b="6,7") == ({"a": "0,1", "b": "2,3"}, [])


def test_instance_of_all_or_no_gpus_is_left_alone() -> None:
    assert plan(1, a="all", b="none") == ({}, [])


def test_more_ids_than_devices_are_a_problem() -> None:
    message = "the instances use 3 GPUs (0, 1, 2), and the guest gets 2"
    assert plan(2, a="0,1", b="2") == ({}, [message])


def test_devices_that_cannot_be_looked_up_change_nothing() -> None:
    assert plan(None, a="7") == ({}, [])
