from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.errors import HostError
from launcher.hypervisor.host.deeds import Machine
from launcher.hypervisor.host.hugepages import AddHugePages, find_shortage, plan_hugepages
from launcher.hypervisor.host.model import GuestConfig, Runtime
from launcher.record import replace
from tests.support.hosttree import H100, HostTree

if TYPE_CHECKING:
    from pathlib import Path

MIB, GIB = 1 << 20, 1 << 30
GPU = "0000:01:00.0"


@pytest.fixture
def tree(tmp_path: Path) -> HostTree:
    tree = HostTree(tmp_path)
    for name in ("hugepages-2048kB", "hugepages-1048576kB"):
        add_pool(tree, f"sys/kernel/mm/hugepages/{name}")
    return tree


def add_pool(tree: HostTree, folder: str, total: int = 0, free: int = 0, kept: int = 0) -> None:
    tree.write(f"{folder}/nr_hugepages", total)
    tree.write(f"{folder}/free_hugepages", free)
    tree.write(f"{folder}/resv_hugepages", kept)


def machine(tree: HostTree) -> Machine:
    return Machine(sysfs=tree.sysfs)


def pool(tree: HostTree, name: str = "hugepages-2048kB") -> str:
    return f"{tree.sysfs}/kernel/mm/hugepages/{name}"


def runtime(memory_gb: int, *gpus: str, memory: str = "") -> Runtime:
    guest = GuestConfig(memory=memory)
    return Runtime(index=1, name="one", memory_gb=memory_gb, gpus=gpus, guest=guest)


def test_pages_are_for_all_guests_together(tree: HostTree) -> None:
    (deed,) = plan_hugepages([runtime(1), runtime(3)], "2M", machine(tree), [])
    assert deed == AddHugePages(folder=pool(tree), size=2 * MIB, wanted=2048, pages=2048)
    assert deed.say() == "add 2048 huge pages of 2M"


def test_size_of_pages_is_that_of_the_variable(tree: HostTree) -> None:
    (deed,) = plan_hugepages([runtime(3)], "1G", machine(tree), [])
    assert (deed.folder, deed.pages) == (pool(tree, "hugepages-1048576kB"), 3)


def test_size_that_the_kernel_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no huge pages of 1G"):
        plan_hugepages([runtime(3)], "1G", machine(HostTree(tmp_path)), [])


def test_free_pages_of_the_host_are_used_first(tree: HostTree) -> None:
    add_pool(tree, "sys/kernel/mm/hugepages/hugepages-2048kB", total=300, free=200, kept=100)
    (deed,) = plan_hugepages([runtime(1)], "2M", machine(tree), [])
    assert (deed.wanted, deed.pages) == (512, 412)
    assert deed.say() == "add 412 huge pages of 2M to 100 free ones"


def test_free_pages_that_suffice_are_written_down(tree: HostTree) -> None:
    add_pool(tree, "sys/kernel/mm/hugepages/hugepages-2048kB", total=900, free=900)
    (deed,) = plan_hugepages([runtime(1)], "2M", machine(tree), [])
    assert (deed.pages, deed.say()) == (0, "use 512 free huge pages of 2M")
    # When the guest has taken them, the next run does not want them again.
    add_pool(tree, "sys/kernel/mm/hugepages/hugepages-2048kB", total=900, free=388)
    assert plan_hugepages([runtime(1)], "2M", machine(tree), [deed]) == []


def test_second_run_adds_what_a_new_guest_needs(tree: HostTree) -> None:
    (planned,) = plan_hugepages([runtime(1)], "2M", machine(tree), [])
    done = planned.perform(machine(tree))
    (deed,) = plan_hugepages([runtime(1), runtime(2)], "2M", machine(tree), [done])
    assert (deed.pages, deed.former) == (1024, 512)
    assert plan_hugepages([runtime(3)], "2M", machine(tree), [done, deed.perform(Machine())]) == []


def test_guest_without_huge_pages_needs_none(tree: HostTree) -> None:
    assert plan_hugepages([runtime(8, memory="size=8G")], "2M", machine(tree), []) == []


def test_guest_has_the_size_that_its_own_memory_says(tree: HostTree) -> None:
    memory = "size=2G,hugepages=on,hugepage_size=1G"
    (deed,) = plan_hugepages([runtime(1, memory=memory)], "2M", machine(tree), [])
    assert (deed.size, deed.pages) == (GIB, 2)


def test_pages_are_on_the_node_of_the_gpu(tree: HostTree) -> None:
    tree.add_pci(GPU, H100, node=1)
    for node in (0, 1):
        add_pool(tree, f"sys/devices/system/node/node{node}/hugepages/hugepages-2048kB")
    (deed,) = plan_hugepages([runtime(1, GPU)], "2M", machine(tree), [])
    assert deed.folder == f"{tree.sysfs}/devices/system/node/node1/hugepages/hugepages-2048kB"
    assert deed.say() == "add 512 huge pages of 2M on NUMA node 1"


def test_pool_grows_and_shrinks_by_what_was_added(tree: HostTree) -> None:
    add_pool(tree, "sys/kernel/mm/hugepages/hugepages-2048kB", total=7)
    done = AddHugePages(folder=pool(tree), size=2 * MIB, wanted=5, pages=5).perform(machine(tree))
    assert (tree.root / "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages").read_text() == "12"
    # Somebody else takes two more meanwhile: they stay.
    add_pool(tree, "sys/kernel/mm/hugepages/hugepages-2048kB", total=14)
    assert done.undo(machine(tree)) == "gave back 5 huge pages of 2M"
    assert (tree.root / "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages").read_text() == "9"


def test_kernel_that_gives_less_is_told_of() -> None:
    planned = AddHugePages(folder="/sys/x", size=GIB, wanted=8, pages=6)
    assert find_shortage(planned, planned) == ""
    short = find_shortage(planned, replace(planned, pages=2))
    assert short == "the kernel gave 2 of 6 huge pages of 1G"


@pytest.mark.parametrize(
    ("now", "left"),
    [
        ("12", "7"),
        ("7", "7"),  # somebody has taken ours away already
        ("3", "3"),  # and more than that
        ("10", "7"),
    ],
)
def test_pool_never_shrinks_below_what_it_was(tree: HostTree, now: str, left: str) -> None:
    name = "sys/kernel/mm/hugepages/hugepages-2048kB"
    done = AddHugePages(folder=pool(tree), size=2 * MIB, wanted=5, pages=5, former=7)
    add_pool(tree, name, total=int(now))
    done.undo(machine(tree))
    assert (tree.root / name / "nr_hugepages").read_text().strip() == left


def test_plan_says_how_many_pages_there_were(tree: HostTree) -> None:
    add_pool(tree, "sys/kernel/mm/hugepages/hugepages-2048kB", total=7, free=2)
    (deed,) = plan_hugepages([runtime(1)], "2M", machine(tree), [])
    assert (deed.former, deed.pages) == (7, 510)


def test_pages_that_somebody_has_taken_away_are_added_again(tree: HostTree) -> None:
    name = "sys/kernel/mm/hugepages/hugepages-2048kB"
    add_pool(tree, name, total=100)
    (planned,) = plan_hugepages([runtime(1)], "2M", machine(tree), [])
    done = planned.perform(machine(tree))
    assert plan_hugepages([runtime(1)], "2M", machine(tree), [done]) == []
    add_pool(tree, name, total=300)
    (deed,) = plan_hugepages([runtime(1)], "2M", machine(tree), [done])
    assert (deed.pages, deed.former) == (312, 300)
