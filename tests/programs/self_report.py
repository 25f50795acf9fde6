"""What a process was given by whoever started it: a JSON object in a file, complete or absent.

As a program: `python self_report.py FILE [CODE]` writes the file and ends with CODE.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import locale
import multiprocessing
import os
import random
import sys
import threading


def write_report(path: str) -> None:
    """Write argv, environment, folder, descriptors and ids to `path`."""
    report = {
        "argv": sys.argv,
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "fds": open_descriptors(),
        "pid": os.getpid(),
        "sid": os.getsid(0),
        "pgid": os.getpgid(0),
        **inner_life(),
    }
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(report, file)
    os.rename(f"{path}.part", path)


def inner_life() -> dict[str, object]:
    """Return what a process has that nobody gave it as such."""
    main = sys.modules["__main__"]
    mask = os.umask(0)
    os.umask(mask)
    with open("/proc/self/status", encoding="ascii") as file:
        pairs = (line.partition(":") for line in file)
        status = {key: value.strip() for key, _, value in pairs}
    return {
        "umask": mask,
        "signals": {key: status[key] for key in ("SigBlk", "SigIgn", "SigCgt")},
        "threads": status["Threads"],
        "terminal": has_terminal(),
        "sys_path": sys.path,
        "orig_argv": sys.orig_argv,
        "cmdline": read_own("cmdline").rstrip("\0").split("\0"),
        "main": [main.__spec__ and main.__spec__.name, main.__file__, main.__package__],
        "streams": [[each.encoding, each.line_buffering] for each in (sys.stdout, sys.stderr)],
        "collector": [gc.isenabled(), gc.get_threshold()],
        "random": random.random(),  # noqa: S311  (it is compared)
        "authkey": multiprocessing.current_process().authkey.hex(),
        "priority": os.nice(0),
        "limits": read_own("limits"),
        "flags": str(sys.flags),
        "kernel": [read_own(name) for name in ("oom_score_adj", "cgroup", "timerslack_ns")],
        "stdin": [sys.stdin.read(), sys.stdin.isatty(), sys.stdin.encoding],
        "main_thread": threading.main_thread().native_id == os.getpid(),
        "locale": locale.setlocale(locale.LC_ALL),
        "cores": sorted(os.sched_getaffinity(0)),
        "death_signal": death_signal(),
    }


def death_signal() -> int:
    """Return the signal that comes when the parent ends."""
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(number), 0, 0, 0)  # PR_GET_PDEATHSIG
    return number.value


def has_terminal() -> bool:
    """Tell whether there is a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def read_own(name: str) -> str:
    """Return a file of /proc/self."""
    with open(f"/proc/self/{name}", encoding="utf-8") as file:
        return file.read()


def open_descriptors() -> dict[str, str]:
    """Return the open descriptors and what they are, without the one that lists them."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


if __name__ == "__main__":
    write_report(sys.argv[1])
    raise SystemExit(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
