"""Small files of the kernel: `/sys` and `/proc`. What is not there, or not to be read, is empty."""

from __future__ import annotations

import os


def read_line(path: str) -> str:
    """Return the text of a file without blanks around it; empty where it cannot be read."""
    return read_text(path).strip()


def read_text(path: str) -> str:
    """Return the text of a file; empty where it cannot be read.

    An attribute of sysfs may refuse its reader with nearly any error number, and it vanishes with
    its device: both mean that nothing is known.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (OSError, ValueError):  # a NUL in a name that came out of another file
        return ""


def read_integer(path: str) -> int | None:
    """Return the number in a file, decimal or with 0x; None where there is none."""
    text = read_line(path)
    try:
        return int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        return None


def list_names(path: str) -> tuple[str, ...]:
    """Return the names in a folder, sorted; none where it cannot be read."""
    try:
        return tuple(sorted(os.listdir(path)))
    except OSError:
        return ()


def link_name(path: str) -> str:
    """Return the last part of what a link leads to; empty where there is no link."""
    try:
        return os.path.basename(os.readlink(path).rstrip("/"))
    except OSError:
        return ""
