"""Whether another user can run a program: a virtual environment below /root is for root alone."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LINE = 256  # of an interpreter, execve(2)


def find_barrier(program: str, uid: int, gids: tuple[int, ...]) -> str:
    """Return the first file or folder on the way to a program that a user may not pass.

    The way leads through links, and to the interpreter that a script names. Empty: it is free.
    """
    for path in (program, *_interpreters(program)):
        for place in _way(path):
            if not _may_pass(place, uid, gids):
                return place
    return ""


def _interpreters(program: str) -> list[str]:
    try:
        with open(program, "rb") as file:
            line = file.readline(LONGEST_LINE)
    except OSError:
        return []
    words = line[2:].split() if line.startswith(b"#!") else []
    return [os.fsdecode(words[0])] if words else []


def _way(path: str) -> Iterator[str]:
    """Yield every folder and file on the way to a path, those behind links too."""
    seen: set[str] = set()
    todo = [os.path.abspath(path)]
    while todo:
        end = todo.pop()
        parts = end.split("/")[1:]
        for count in range(1, len(parts) + 1):
            place = "/" + "/".join(parts[:count])
            if place in seen:
                continue
            seen.add(place)
            if os.path.islink(place):
                rest = "/".join(parts[count:])
                target = os.path.join(os.path.dirname(place), os.readlink(place), rest)
                todo.append(os.path.normpath(target))
                break
            yield place


def _may_pass(path: str, uid: int, gids: tuple[int, ...]) -> bool:
    """Tell whether a user may search a folder, or execute a file (access control lists apart)."""
    try:
        found = os.stat(path)
    except OSError:
        return True  # nobody can: that is not about rights
    if uid == 0:
        return True
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid in gids:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
