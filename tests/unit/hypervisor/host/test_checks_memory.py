"""The checks of `precheck`: memory and CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.hosts import (
    GIB,
    PREPARE,
    TWO_RUNTIMES,
    add_hugepages,
    amd_host,
    found,
    outcome,
)
from tests.support.hosttree import HostTree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("pages", "reserved", "status", "seen"),
    [
        (262_144, 0, "ok", "512 GiB, 512 GiB free, 512 GiB for the runtimes"),
        (262_144, 1, "warn", "512 GiB, 512.0 GiB free, 512 GiB for the runtimes"),
        (0, 0, "warn", "0 GiB, 0 GiB free, 512 GiB for the runtimes"),
    ],
)
def test_hugepages_are_counted_against_the_runtimes(
    tree: HostTree, pages: int, reserved: int, status: str, seen: str
) -> None:
    add_hugepages(tree, "2048kB", pages, reserved)
    finding = found(tree, "hugepages 2M")
    assert (finding.status, finding.seen) == (status, seen)
    assert (finding.mend == PREPARE) == (status == "warn")


def test_hugepages_of_1g_may_have_to_be_asked_for_at_boot(tree: HostTree) -> None:
    finding = found(tree, "hugepages 1G", settings={"hugepages_size": "1G"})
    assert finding.status == "warn"
    command = PREPARE.replace("vllmd-h", "VLLMD_HUGEPAGES_SIZE=1G vllmd-h")
    assert finding.mend.startswith(f"{command}  # or")
    assert "hugepagesz=1G hugepages=512" in finding.mend


def test_hugepages_that_the_kernel_lacks_fail(tmp_path: Path) -> None:
    finding = found(amd_host(HostTree(tmp_path)), "hugepages 1G", settings={"hugepages_size": "1G"})
    assert outcome(finding) == (
        "fail", "the kernel has none of 1G", "export VLLMD_HUGEPAGES_SIZE=2M",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "status", "seen"),
    [
        (None, "ok", "no limit"),
        (257 * GIB, "ok", "257 GiB allowed, 257 GiB wanted"),
        (8 << 20, "warn", "8 MiB allowed, 257 GiB wanted"),
    ],
)
def test_memlock_is_compared_with_the_largest_guest(
    tree: HostTree, limit: int | None, status: str, seen: str
) -> None:
    finding = found(tree, "memlock", memlock=limit)
    assert (finding.status, finding.seen) == (status, seen)
    assert ("echo 'ada - memlock unlimited'" in finding.mend) == (status == "warn")


@pytest.mark.parametrize(("each", "status"), [(256, "ok"), (500, "warn"), (600, "fail")])
def test_memory_of_the_runtimes_is_compared_with_the_hosts(
    tree: HostTree, each: int, status: str
) -> None:
    text = TWO_RUNTIMES.replace("memory_gb = 256", f"memory_gb = {each}")
    finding = found(tree, "memory", text)
    assert finding.status == status
    assert finding.seen.endswith(f"free of 1024 GiB, {2 * each} GiB for the runtimes")


def test_cpus_of_the_runtimes_are_compared_with_the_hosts(tree: HostTree) -> None:
    finding = found(tree, "cpus", TWO_RUNTIMES.replace("cpus = 24", "cpus = 48"))
    assert (finding.status, finding.seen) == ("warn", "96 for 2 runtimes, of 64")


def test_guests_own_memory_and_cpus_win(tree: HostTree) -> None:
    text = TWO_RUNTIMES.replace("[guest]", '[guest]\nmemory = "size=8G,shared=on"\ncpus = 2')
    assert found(tree, "memory", text).seen.endswith("16 GiB for the runtimes")
    assert found(tree, "cpus", text).seen == "4 for 2 runtimes, of 64"
    assert found(tree, "memlock", text, memlock=9 * GIB).status == "ok"


def test_guest_outside_of_huge_pages_does_not_count_for_them(tree: HostTree) -> None:
    text = TWO_RUNTIMES.replace("[guest]", '[guest]\nmemory = "size=8G,shared=on"')
    add_hugepages(tree, "2048kB", 0)
    assert found(tree, "hugepages 2M", text).seen == "0 GiB, 0 GiB free"
