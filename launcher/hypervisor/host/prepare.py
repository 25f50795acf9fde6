"""Prepare a host for its runtimes: look, plan what is missing, do it, and write it down."""

from __future__ import annotations

import contextlib
import os

from launcher.errors import HostError
from launcher.hypervisor.account import find_owner
from launcher.hypervisor.guest.manifest import MANIFEST_NAME
from launcher.hypervisor.host.bridge import plan_network
from launcher.hypervisor.host.deeds import GiveFile, MakeFolder, plan_folders
from launcher.hypervisor.host.hugepages import (
    AddHugePages,
    find_shortage,
    plan_hugepages,
    shortage_hint,
)
from launcher.hypervisor.host.journal import (
    NAME,
    hold_journal,
    journal_path,
    read_journal,
    write_journal,
)
from launcher.hypervisor.host.keys import STATE_DIR
from launcher.hypervisor.host.links import gather_network
from launcher.hypervisor.host.model import SEED
from launcher.hypervisor.host.values import RESERVED_NAMES
from launcher.hypervisor.host.vfio import plan_devices, plan_group_owner
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from launcher.hypervisor.host.deeds import Deed, Machine
    from launcher.hypervisor.host.loading import Host


@record
class Plan:
    """What is missing of a host, in the order in which it is done, and what stands in the way."""

    deeds: tuple[Deed, ...]
    obstacles: tuple[HostError, ...]


def plan_host(
    host: Host, machine: Machine, done: Sequence[Deed], *, take_display: bool = False
) -> Plan:
    """Plan what is missing; `done` is what the journal says."""
    config, settings = host.config, host.settings
    owner = (host.account.uid, host.account.gids[0])
    deeds: list[Deed] = []
    obstacles: list[HostError] = []

    def stage(plan: Callable[[], Sequence[Deed]]) -> None:
        try:
            deeds.extend(plan())
        except HostError as error:
            obstacles.append(error)

    try:
        owner, _ = find_owner(config.common.user)
    except HostError as error:
        obstacles.append(error)
    stage(lambda: _plan_folders(host, owner))
    stage(lambda: plan_hugepages(config.runtimes, settings.hugepages_size, machine, done))
    if not settings.skip_network:
        stage(lambda: plan_network(config, gather_network(), machine, owner))
    stage(lambda: plan_devices(config.runtimes, machine, take_display=take_display))
    stage(lambda: plan_group_owner(config.runtimes, machine, owner))
    told = {(error.message, error.hint): error for error in obstacles}
    return Plan(deeds=tuple(deeds), obstacles=tuple(told.values()))


def _plan_folders(host: Host, owner: tuple[int, int]) -> Sequence[Deed]:
    deeds = plan_folders(_folders(host), _own_folders(host), *owner)
    state = host.config.common.state_dir
    if any(isinstance(deed, GiveFile) and deed.path == state for deed in deeds):
        _require_own(state, {runtime.name for runtime in host.config.runtimes})
    return deeds


def _require_own(state: str, runtimes: set[str]) -> None:
    """Need a folder that is for us before it is given away: not '/etc', nor somebody's home.

    Raises:
        HostError: there are things in it that nobody puts into a state directory.
    """
    found = sorted(os.listdir(state))
    marks = (NAME, f"guest/{MANIFEST_NAME}", *(f"{name}/{SEED}" for name in found))
    named_so = os.path.basename(state) == os.path.basename(STATE_DIR)
    if named_so or any(os.path.exists(f"{state}/{mark}") for mark in marks):
        return
    for name in found:
        if name not in runtimes | RESERVED_NAMES.keys():
            raise HostError(
                f"'{state}' cannot be the state directory: '{name}' is in it, "
                "and nobody but the guests' user could reach that any more",
                "set global.state_dir to a folder of its own",
            )


def _folders(host: Host) -> tuple[str, ...]:
    # The journal's folder first: whatever is done after it can be written down at once.
    return (*sorted(_own_folders(host)), host.config.common.config_dir)


def _own_folders(host: Host) -> frozenset[str]:
    """Return the folders that nobody but the guests' user has a business in."""
    state = host.config.common.state_dir
    return frozenset([state, *(f"{state}/{runtime.name}" for runtime in host.config.runtimes)])


class Preparation:
    """The journal of a host, and what is done with it. `alone` is who may change the host."""

    def __init__(self, host: Host, machine: Machine) -> None:
        """Read the journal.

        Raises:
            HostError: it is not ours, or broken.
        """
        self._host = host
        self._machine = machine
        self._boot_id = machine.boot_id()
        self._folder = host.config.common.state_dir
        self._made: list[Deed] = []
        self._path = journal_path(self._folder)
        self.done = read_journal(self._path, self._boot_id)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for other runs to end, and read the journal again. Its folder has to be there.

        Raises:
            HostError: another run does not end, or the journal is not ours, or broken.
        """
        with hold_journal(self._folder):
            done = read_journal(self._path, self._boot_id)
            self.done = [*(deed for deed in self._made if deed not in done), *done]
            if self._made:
                write_journal(self._path, self.done, self._boot_id)
            yield

    def make_home(self, deeds: Sequence[Deed]) -> Iterator[tuple[Deed, str]]:
        """Make those folders among some deeds without which there can be no journal.

        They are written down once we are alone.

        Raises:
            HostError: one cannot be made.
        """
        for deed in filter(self._is_home, deeds):
            self._made.append(deed.perform(self._machine))
            yield deed, ""

    def perform(self, deeds: Sequence[Deed]) -> Iterator[tuple[Deed, str]]:
        """Do some deeds, alone; yield each that was done, and what the kernel has held back of it.

        Each is written down before it is done: if we are killed then, it can be taken back.

        Raises:
            HostError: one is not possible; those before it were done, and are in the journal.
        """
        for deed in deeds:
            write_journal(self._path, self.done, self._boot_id, begun=deed)
            done = deed.perform(self._machine)
            self.done.append(done)
            write_journal(self._path, self.done, self._boot_id)
            short = ""
            if isinstance(deed, AddHugePages) and isinstance(done, AddHugePages):
                short = find_shortage(deed, done)
            yield done, short

    def finish_devices(self) -> Iterator[tuple[Deed, str]]:
        """Give the groups, which are there when their devices are bound, to the guests' user.

        Raises:
            HostError: that is not possible.
        """
        owner, _ = find_owner(self._host.config.common.user)
        runtimes = self._host.config.runtimes
        yield from self.perform(plan_group_owner(runtimes, self._machine, owner))

    def undo(self) -> Iterator[str]:
        """Take everything back, last first; yield what was done.

        What cannot be taken back stays in the journal.

        Raises:
            HostError: something cannot be taken back; the rest was.
        """
        kept: list[Deed] = []
        obstacle: HostError | None = None
        while self.done:
            deed = self.done.pop()
            last = self._is_home(deed)
            try:
                said = "" if last and kept else self._undo_one(deed, last=last)
            except HostError as error:
                obstacle = obstacle or error
                kept.append(deed)
                continue
            if last and kept:
                kept.append(deed)
            elif not last:
                write_journal(self._path, [*self.done, *kept[::-1]], self._boot_id)
            if said:
                yield said
        self.done = kept[::-1]
        if obstacle is not None:
            raise obstacle

    def _undo_one(self, deed: Deed, *, last: bool) -> str:
        if last:  # its folder can only go when the journal is gone
            write_journal(self._path, [], self._boot_id)
        return deed.undo(self._machine)

    def _is_home(self, deed: Deed) -> bool:
        """Tell whether the journal is in a folder that a deed makes."""
        return isinstance(deed, MakeFolder) and self._path.startswith(f"{deed.path}/")


def hint_of(deed: Deed) -> str:
    """Say what to do where the kernel has held something back."""
    return shortage_hint(deed.size) if isinstance(deed, AddHugePages) else ""
