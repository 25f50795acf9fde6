"""The grammar of `--memory`: every rule of it."""

from __future__ import annotations

import pytest

from launcher.hypervisor.memory import GIB, MIB, Fault, parse_memory, parse_size, split_options
from launcher.hypervisor.model import Memory


def faults(text: str) -> list[str]:
    """Return the messages about a text."""
    return [fault.message for fault in parse_memory(text)[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("size=16G,shared=on", Memory(size=16 * GIB, shared=True)),
        ("", Memory(size=512 * MIB)),
        ("size=", Memory(size=512 * MIB)),
        ("  size=1G  ", Memory(size=GIB)),
        ("size= 1G ,shared= ON ", Memory(size=GIB, shared=True)),
        ("size=1G,size=2G", Memory(size=2 * GIB)),
        ("size=4096K", Memory(size=4 * MIB)),
        ("size=1048576", Memory(size=MIB)),
        ("size=1G,mergeable=true", Memory(size=GIB, mergeable=True)),
        ("size=1G,prefault=on,reserve=on,thp=off", Memory(
            size=GIB, prefault=True, reserve=True, thp=False)),
        ("size=1G,hugepages=on", Memory(
            size=GIB, shared=True, hugepages=True, hugepage_size=2 * MIB)),
        ("size=2G,hugepages=on,hugepage_size=1G", Memory(
            size=2 * GIB, shared=True, hugepages=True, hugepage_size=GIB)),
        ("size=1G,hotplug_method=virtio-mem,hotplug_size=2G,hotplugged_size=1G", Memory(
            size=GIB, hotplug_method="virtio-mem", hotplug_size=2 * GIB, hotplugged_size=GIB)),
        ("size=1G,hotplug_size=1G", Memory(size=GIB, hotplug_size=GIB)),
        ("size=1G,file=/dev/shm/x", Memory(size=GIB)),
        ('size="1G"', Memory(size=GIB)),
    ],
)  # fmt: skip
def test_memory_that_is_right_is_read(text: str, expected: Memory) -> None:
    assert parse_memory(text) == (expected, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size=1g", "size: '1g' is not a size"),
        ("size=1T", "size: '1T' is not a size"),
        ("size=1GiB", "size: '1GiB' is not a size"),
        ("size=1.5G", "size: '1.5G' is not a size"),
        ("size=-1G", "size: '-1G' is not a size"),
        ("size=G", "size: 'G' is not a size"),
        ("size=17179869184G", "size: '17179869184G' does not fit in 64 bits"),
        ("size=0", "size=0 leaves the guest no memory"),
        ("size=100", "size=100 is not a multiple of the page size 4096"),
        ("size=65537G", "size is more than 64 TiB"),
        ("size", "'size' has no '='"),
        ("16G", "'16G' has no '='"),
        ("size=1G,", "'' has no '='"),
        ("siz=1G", "unknown key 'siz'"),
        ("size=1G, shared=on", "unknown key ' shared'"),
        ("shared=yes", "shared: 'yes' is neither on nor off"),
        ("shared=1", "shared: '1' is neither on nor off"),
        ("hotplug_method=dimm", "hotplug_method: 'dimm' is neither acpi nor virtio-mem"),
        ("hugepage_size=2M", "hugepage_size needs hugepages=on"),
        ("hugepages=on,hugepage_size=3M", "hugepage_size=3145728 is not a power of two"),
        ("size=1025M,hugepages=on,hugepage_size=2M",
         "size=1074790400 is not a multiple of the page size 2097152"),
        ("shared=on,mergeable=on", "shared and mergeable exclude each other"),
        ("hugepages=on,mergeable=on", "shared and mergeable exclude each other"),
        ("hugepages=on,shared=off", "hugepages=on implies shared=on, but shared=off is asked for"),
        ("hotplug_size=0", "hotplug_size=0 means nothing"),
        ("hotplugged_size=1G", "hotplugged_size needs hotplug_method=virtio-mem"),
        ("hotplug_method=virtio-mem,hotplug_size=1G,hotplugged_size=2G",
         "hotplugged_size is more than hotplug_size"),
    ],
)  # fmt: skip
def test_memory_that_breaks_a_rule_is_refused(text: str, message: str) -> None:
    assert faults(text) == [message]


def test_memory_tells_every_fault_at_once() -> None:
    assert len(faults("size=1g,shared=yes,siz=1")) == 3


def test_memory_unknown_key_names_the_nearest() -> None:
    expected = Fault(message="unknown key 'hugepage'", hint="did you mean 'hugepages'?")
    assert parse_memory("hugepage=on")[1] == (expected,)


def test_memory_takes_the_size_of_huge_pages_from_the_machine() -> None:
    assert parse_memory("size=1G,hugepages=on", huge_page=GIB)[0].hugepage_size == GIB


def test_options_are_not_split_within_brackets_or_quotes() -> None:
    assert split_options('a=[1,2],b="x,y",c=3') == ["a=[1,2]", 'b="x,y"', "c=3"]


def test_size_with_leading_zeros_is_that_size() -> None:
    assert parse_size("0" * 5000 + "8") == 8


def test_size_with_thousands_of_digits_does_not_fit() -> None:
    with pytest.raises(ValueError, match="does not fit in 64 bits"):
        parse_size("9" * 5000)
