"""The network device of each runtime: a tap, a port of the bridge, open to the guests' user."""

from __future__ import annotations

from launcher.errors import HostError
from launcher.hypervisor.host.links import (
    add_tap,
    delete_link,
    gather_network,
    require_kind,
    set_master,
    set_state,
)
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.deeds import Deed, Machine
    from launcher.hypervisor.host.links import NetworkFacts

TAP_KIND = "tun"


@record
class AddTap:
    """A runtime's network device, which the guests' user may open."""

    tap: str
    uid: int
    gid: int

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        return f"create the tap '{self.tap}' for the user {self.uid}"

    def perform(self, machine: Machine) -> AddTap:
        """Create it.

        Raises:
            HostError: the kernel refuses.
        """
        del machine
        add_tap(self.tap, self.uid, self.gid)
        return self

    def undo(self, machine: Machine) -> str:
        """Delete it, unless a guest has it open.

        Raises:
            HostError: a guest has.
        """
        del machine
        link = gather_network().links.get(self.tap)
        if link is None:
            return ""
        if link.up and link.carrier:
            raise HostError(f"a guest uses the tap '{self.tap}'", "stop the guest first")
        delete_link(self.tap)
        return f"deleted the tap '{self.tap}'"


@record
class AddPort:
    """A device becomes a port of the bridge, and is brought up."""

    port: str
    bridge: str

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        return f"make '{self.port}' a port of '{self.bridge}'"

    def perform(self, machine: Machine) -> AddPort:
        """Make it so.

        Raises:
            HostError: the kernel refuses.
        """
        del machine
        set_master(self.port, self.bridge)
        set_state(self.port, up=True)
        return self

    def undo(self, machine: Machine) -> str:
        """Take it off the bridge; a tap is about to be deleted anyway, and says so itself."""
        del machine
        link = gather_network().links.get(self.port)
        if link is None or link.master != self.bridge or link.kind == TAP_KIND:
            return ""
        set_master(self.port, "")
        return f"took '{self.port}' off '{self.bridge}'"


def plan_tap(name: str, bridge: str, facts: NetworkFacts, owner: tuple[int, int]) -> list[Deed]:
    """Plan what is missing of a runtime's tap.

    Raises:
        HostError: the name is taken, or the tap is for another user.
    """
    tap = require_kind(facts, name, TAP_KIND)
    if tap is not None and owner[0] not in {0, tap.owner}:
        whose = "root alone" if tap.owner is None else f"the user {tap.owner}"
        raise HostError(
            f"the tap '{name}' is for {whose}, and the guests' user is {owner[0]}",
            f"take it back by --undo, or delete it: ip link delete {name}",
        )
    deeds: list[Deed] = [] if tap else [AddTap(tap=name, uid=owner[0], gid=owner[1])]
    if tap is None or tap.master != bridge or not tap.up:
        deeds.append(AddPort(port=name, bridge=bridge))
    return deeds
