"""What this machine's own kernel allows, besides the network."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from tests.support.require import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.preparing import HostCommands

POOL = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
RUNTIME = '[[runtimes]]\nindex = 1\nname = "one"\nguest.memory = "size=MEMORY,hugepages=on"\n'
NO_NETWORK = {"VLLMD_DISABLE_NETWORK": "true"}


def pages() -> int:
    with open(POOL, encoding="ascii") as file:
        return int(file.read())


@pytest.fixture
def prepared(host: HostCommands) -> Iterator[HostCommands]:
    present = os.path.exists(POOL) and os.access(POOL, os.W_OK)
    require("integration", f"'{POOL}' cannot be written here", present=present)
    host.variables.update(NO_NETWORK)
    with open(POOL, encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the pool is the machine's: for one test at a time
        yield host


def test_huge_pages_are_added_and_given_back(prepared: HostCommands) -> None:
    prepared.write_host(RUNTIME.replace("MEMORY", "8M"))
    former = pages()
    done = prepared.run("initialize")
    try:
        assert (done.code, done.err) == (0, "")
        # As many as are not free already.
        assert former <= pages() <= former + 4
        held = pages()
        assert "nothing to do" in prepared.run("initialize").out
        assert pages() == held
    finally:
        prepared.run("initialize", "--undo")
    assert pages() == former
