"""Contract, section 3a, `gpu_ids`."""

from __future__ import annotations

import pytest

from launcher.config.reader import Refusal
from launcher.server.gpus import ALL_GPUS, GpuIds, NoGpus, read_gpu_ids, visible_devices

VISIBLE = [
    ("all", None),
    (" all ", None),
    ("none", ""),
    ("0", "0"),
    ("0,1", "0,1"),
    (" 1 , 0 ", "1,0"),
    ("00,01", "0,1"),
    (3, "3"),
    ([2, 0], "2,0"),
    ("GPU-8932f937", "GPU-8932f937"),
    ("MIG-GPU-8932f937/1/0,GPU-1", "MIG-GPU-8932f937/1/0,GPU-1"),
]


@pytest.mark.parametrize(("value", "devices"), VISIBLE)
def test_visible_devices_for_gpu_ids_is_as_the_contract_says(
    value: str | int, devices: str | None
) -> None:
    assert visible_devices(read_gpu_ids(value)) == devices


@pytest.mark.parametrize(
    "value",
    ["", ",", "0,", "-1", "0.5", "GPU-", "²", "0 1", "0,all", True, -1, 1.5, [], [True], {}, ["0"]],
)
def test_read_gpu_ids_of_anything_else_is_refused(value: str | float) -> None:
    with pytest.raises(Refusal):
        read_gpu_ids(value)


@pytest.mark.parametrize("value", ["1,1", "1,01", [1, 1], "GPU-a,GPU-a"])
def test_read_gpu_ids_twice_is_refused(value: str) -> None:
    with pytest.raises(Refusal, match="is given twice"):
        read_gpu_ids(value)


def test_read_gpu_ids_of_thousands_of_digits_is_no_crash() -> None:
    assert read_gpu_ids("1" * 5000) == GpuIds(ids=("1" * 5000,))


def test_read_gpu_ids_words_are_types() -> None:
    assert read_gpu_ids("all") == ALL_GPUS
    assert read_gpu_ids("none") == NoGpus()
