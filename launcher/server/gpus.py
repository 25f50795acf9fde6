"""Which GPUs an instance sees (contract, section 3a, `gpu_ids`)."""

from __future__ import annotations

from launcher.config.problems import type_name
from launcher.config.reader import Refusal
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from launcher.config.problems import TomlValue

EXPECTED = 'expected "all", "none" or GPU ids like "0,1"'
LIKE = 'write [0, 1] or "0,1"'


@record
class AllGpus:
    """The system's default: `CUDA_VISIBLE_DEVICES` is left alone."""


@record
class NoGpus:
    """CPU only: `CUDA_VISIBLE_DEVICES` is set to the empty string."""


@record
class GpuIds:
    """These GPUs, in this order: indices, or UUIDs (`GPU-...`, `MIG-...`) as NVIDIA writes them."""

    ids: tuple[str, ...]


if TYPE_CHECKING:
    GpuSelection: TypeAlias = AllGpus | NoGpus | GpuIds

ALL_GPUS = AllGpus()


def read_gpu_ids(value: TomlValue) -> GpuSelection:
    """Read `gpu_ids`: the contract's strings, and integers or lists of integers besides.

    Raises:
        Refusal: not one of these, or an id given twice.
    """
    if isinstance(value, str):
        return _from_text(value)
    items = value if isinstance(value, list) else [value]
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int):
            raise Refusal(f"{EXPECTED}, got {_described(value, item)}", LIKE)
        if item < 0:
            raise Refusal(f"{EXPECTED}, got {item}", 'write "none" for no GPU')
    if not items:
        raise Refusal(f"{EXPECTED}, got an empty array", 'write "none" for no GPU')
    return _distinct(tuple(str(item) for item in items))


def visible_devices(selection: GpuSelection) -> str | None:
    """Return the value for `CUDA_VISIBLE_DEVICES`, or None where it is left alone."""
    if isinstance(selection, GpuIds):
        return ",".join(selection.ids)
    return "" if isinstance(selection, NoGpus) else None


def _from_text(text: str) -> GpuSelection:
    word = text.strip()
    if not word:
        raise Refusal(f"{EXPECTED}, got an empty string", 'write "none" for no GPU')
    if word == "all":
        return ALL_GPUS
    if word == "none":
        return NoGpus()
    ids = tuple(part.strip() for part in word.split(","))
    for part in ids:
        if not _is_id(part):
            raise Refusal(f"{EXPECTED}, got {_shown(part, word)}", _id_hint(part))
    return _distinct(tuple(_canonical(part) for part in ids))


def _is_id(part: str) -> bool:
    if part.startswith(("GPU-", "MIG-")):
        return len(part) > len("GPU-")
    return part.isascii() and part.isdigit()


def _canonical(part: str) -> str:
    # Not int(): it refuses thousands of digits.
    return (part.lstrip("0") or "0") if part.isdigit() else part


def _shown(part: str, word: str) -> str:
    if not part:
        return f"an empty id in '{word}'"
    return f"'{part}'" if part == word else f"'{part}' in '{word}'"


def _id_hint(part: str) -> str:
    if not part:
        return "remove the spare comma"
    number = part.lower().removeprefix("gpu").lstrip(":")
    if number.isascii() and number.isdigit() and number != part:
        return f"write {number} for that GPU"
    return f'write "{part.lower()}" alone' if part.lower() in {"all", "none"} else LIKE


def _distinct(ids: tuple[str, ...]) -> GpuIds:
    for position, part in enumerate(ids):
        if part in ids[:position]:
            raise Refusal(f"GPU {part} is given twice", "name each GPU once")
    return GpuIds(ids=ids)


def _described(value: TomlValue, item: TomlValue) -> str:
    inside = " in an array" if isinstance(value, list) else ""
    return f"{type_name(item)}{inside}"
