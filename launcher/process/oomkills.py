"""How many processes the kernel has killed for lack of memory: in our control group, if we can."""

from __future__ import annotations

# As seen in a container, where our control group is the root of what is visible.
ROOT = "/sys/fs/cgroup"


def read_oom_kills(root: str = ROOT) -> int:
    """Return the count of our control group and those below it; else of the whole machine.

    cgroup v2: `oom_kill` of memory.events; without it `oom_kill` of /proc/vmstat (Linux 4.13).
    """
    for path in (f"{root}{_own_group()}/memory.events", "/proc/vmstat"):
        try:
            with open(path, encoding="ascii") as file:
                text = file.read()
        except OSError:
            continue
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0


def _own_group() -> str:
    """Return the path of our control group (cgroups(7), `0::/path`); empty for the root."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    found = next((line for line in lines if line.startswith("0::/")), "0::/")
    return found.removeprefix("0::").rstrip("/")
