from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.errors import ConfigError
from launcher.kvbm.loading import count_cpus, find_upwards, gather_facts, load

if TYPE_CHECKING:
    from pathlib import Path

THREADS = "[tokio]\nworker_threads = 2\n"


def gather(path: str, system: str = "/does/not/exist") -> list[str]:
    found = gather_facts({"KVBM_CONFIG_PATH": path}, cpu_count=1, system_config=system)
    return [file.origin.name for file in found.files]


def test_missing_system_file_is_skipped() -> None:
    found = gather_facts({}, cpu_count=3, system_config="/does/not/exist")
    assert (found.files, found.problems, found.cpu_count) == ((), (), 3)


def test_facts_keep_kvbm_variables_only() -> None:
    found = gather_facts({"KVBM_X": "1", "kvbm_y": "2", "HOME": "/"}, cpu_count=1)
    assert dict(found.environ) == {"KVBM_X": "1", "kvbm_y": "2"}


@pytest.mark.parametrize("value", ["", "  "])
def test_empty_config_path_is_skipped(value: str) -> None:
    assert gather(value) == []


@pytest.mark.parametrize(("name", "word"), [("absent.toml", "missing"), ("", "a directory")])
def test_config_path_without_a_file_is_a_warning(tmp_path: Path, name: str, word: str) -> None:
    found = gather_facts({"KVBM_CONFIG_PATH": str(tmp_path / name)}, cpu_count=1)
    assert word in found.problems[0].message
    assert found.files == ()


def test_broken_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "kvbm.toml"
    file.write_text("[tokio\n")
    with pytest.raises(ConfigError) as caught:
        gather(str(file))
    (problem,) = caught.value.problems
    assert problem.origin is not None
    assert (problem.origin.name, problem.line) == (str(file), 1)


def test_file_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        gather("/proc/self/mem")
    assert caught.value.problems[0].message.startswith("cannot be read")


def test_relative_path_is_found_in_a_directory_above(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "kvbm.toml").write_text(THREADS)
    assert find_upwards("kvbm.toml", str(deep)) == str(tmp_path / "kvbm.toml")
    assert find_upwards("kvbm.toml", str(tmp_path)) == "kvbm.toml"
    assert find_upwards("other.toml", str(deep)) == "other.toml"


def test_load_raises_every_problem(tmp_path: Path) -> None:
    file = tmp_path / "kvbm.toml"
    file.write_text("[rayon]\nnum_threads = 0\n")
    environ = {"KVBM_CONFIG_PATH": str(file), "KVBM_TOKIO_WORKER_THREADS": "x"}
    with pytest.raises(ConfigError) as caught:
        load("leader", environ=environ, cpu_count=4)
    assert len(caught.value.problems) == 2
    assert caught.value.documents


def test_load_takes_json_text_and_mappings() -> None:
    text, data = '{"tokio": {"worker_threads": 3}}', {"tokio": {"worker_threads": 3}}
    assert load(None, text, environ={}, cpu_count=4) == load(None, data, environ={}, cpu_count=4)  # type: ignore[arg-type]


def test_load_with_strict_refuses_unknown_keys() -> None:
    with pytest.raises(ConfigError):
        load(None, {"tokyo": {}}, environ={}, strict=True)


def test_cpu_count_is_limited_by_the_cgroup(tmp_path: Path) -> None:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/a/b\n")
    group = tmp_path / "sys" / "fs" / "cgroup" / "a" / "b"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("max 100000\n")
    (group.parent / "cpu.max").write_text("150000 100000\n")
    assert count_cpus(str(tmp_path)) == 1


def test_cpu_count_is_limited_by_an_old_cgroup(tmp_path: Path) -> None:
    group = tmp_path / "sys" / "fs" / "cgroup" / "cpu"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("50000\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    assert count_cpus(str(tmp_path)) == 1


def test_cpu_count_without_a_cgroup_is_the_affinity(tmp_path: Path) -> None:
    assert count_cpus(str(tmp_path)) == len(os.sched_getaffinity(0))
