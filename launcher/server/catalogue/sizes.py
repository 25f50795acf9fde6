"""Integers as people write them, as vLLM's `human_readable_int` takes them. Pure."""

from __future__ import annotations

# A small letter is decimal, a capital one binary (vllm/utils/argparse_utils.py).
MULTIPLIERS = {
    **{letter: 1000**power for power, letter in enumerate("kmgt", start=1)},
    **{letter: 1024**power for power, letter in enumerate("KMGT", start=1)},
}

LONGEST = 20  # characters: more do not fit into 64 bits, and Python reads only so many


def find_size(text: str) -> int | None:
    """Return the number that "1k" (1000), "1K" (1024) or "25.6k" (25600) stands for, or None.

    Decimals go with decimal suffixes only, as in vLLM.
    """
    number, letter = text.strip()[:-1], text.strip()[-1:]
    if letter not in MULTIPLIERS:
        return find_integer(text)
    whole, point, decimals = number.partition(".")
    if not _is_digits(whole) or (point and not _is_digits(decimals)) or len(number) > LONGEST:
        return None
    if point and letter.isupper():
        return None
    return (
        int(float(number) * MULTIPLIERS[letter])
        if letter.islower()
        else (int(number) * MULTIPLIERS[letter])
    )


def find_integer(text: str) -> int | None:
    """Return what Python's `int` makes of a text, or None."""
    try:
        return int(text)
    except ValueError:
        return None


def find_number(text: str) -> float | None:
    """Return what Python's `float` makes of a text, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
