"""The host's file and variables: whatever is in them, it is read or told, and nothing crashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.config.document import Document
from launcher.config.problems import Origin, errors_of
from launcher.hypervisor.environment import EnvironmentReader
from launcher.hypervisor.host.findings import STATUSES
from launcher.hypervisor.host.keys import TABLES
from launcher.hypervisor.host.loading import read_settings
from launcher.hypervisor.host.precheck import check_all
from launcher.hypervisor.host.read import read_host
from launcher.hypervisor.variables import VARIABLES
from tests.support.hosts import TWO_RUNTIMES, intel_with_two_h100, survey
from tests.support.hosttree import HostTree

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.config.problems import TomlValue

KEYS = sorted({key.name for keys in TABLES.values() for key in keys} | {"guest", "x"})
WORDS = st.sampled_from(
    ["", "a", "one", "/x", "$HOME/x", "~", "$NO/x", "0000:01:00.0", "01:00.0", "size=1G", "user",
     "10.0.0.0/24", "10.0.0.0/33", "8000:8000", "\0", "é", "a" * 70],
)  # fmt: skip
SCALARS = st.one_of(WORDS, st.text(), st.integers(), st.booleans(), st.floats())
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3))
TABLE = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6)
RUNTIME = st.dictionaries(st.sampled_from(KEYS), st.one_of(VALUES, TABLE), max_size=6)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "global": st.one_of(TABLE, SCALARS),
        "network": st.one_of(TABLE, SCALARS),
        "guest": st.one_of(TABLE, SCALARS),
        "runtimes": st.one_of(st.lists(st.one_of(RUNTIME, SCALARS), max_size=3), TABLE, SCALARS),
        "other": SCALARS,
    },
)
ENVIRONS = st.dictionaries(
    st.sampled_from([*VARIABLES, "VLLMD_X"]), st.one_of(WORDS, st.text()), max_size=6
)


@given(data=FILES, environ=ENVIRONS)
def test_any_file_is_read_or_told(data: dict[str, TomlValue], environ: dict[str, str]) -> None:
    origin = Origin(kind="file", name="config.toml")
    file = Document(origin=origin, text="", data=data)
    reading = read_host(file, {"HOME": "/home/ada", **environ}, "ada")
    if errors_of(reading.problems):
        return
    names = [runtime.name for runtime in reading.config.runtimes]
    assert len(names) == len(set(names)) == len(data.get("runtimes", []))  # type: ignore[arg-type]
    assert all(r.index >= 1 and r.memory_gb >= 1 and r.cpus >= 1 for r in reading.config.runtimes)
    assert reading.config.common.state_dir.startswith("/")
    assert 1 <= len(reading.config.network.bridge_name.encode()) <= 15


@given(environ=ENVIRONS)
def test_any_environment_is_read_or_told(environ: dict[str, str]) -> None:
    reader = EnvironmentReader({"HOME": "/home/ada", **environ})
    found = read_settings(reader, "ada")
    assert found.hugepages_size in {"2M", "1G"}
    assert all(problem.origin for problem in reader.problems)
    if not errors_of(reader.problems):
        assert reader.finish() == tuple(dict.fromkeys(reader.problems))


FRAGMENTS = st.sampled_from(
    ["", "\n", ":", "MemTotal:", " kB", "x", "²", "-1", "0x", "vendor_id\t: ", "kvm:x:", "1", "\t",
     "eth0 0 0 3 0 0 ", "00000000", "Iface\n", "=", "ID=", "flags : vmx", "processor :", "\0"],
)  # fmt: skip
TEXTS = st.lists(FRAGMENTS, max_size=12).map("".join)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(st.integers(min_value=0), TEXTS, min_size=1, max_size=6))
def test_any_kernel_file_leaves_precheck_standing(tree: HostTree, files: dict[int, str]) -> None:
    paths = sorted(path for path in tree.root.rglob("*") if path.is_file())
    kept = {path: path.read_bytes() for path in paths}
    for number, text in files.items():
        paths[number % len(paths)].write_text(text)
    findings = check_all(survey(tree, TWO_RUNTIMES))
    assert all(each.status in STATUSES and each.seen for each in findings)
    for path, content in kept.items():
        path.write_bytes(content)


@pytest.fixture
def tree(tmp_path: Path) -> HostTree:
    return intel_with_two_h100(HostTree(tmp_path))
