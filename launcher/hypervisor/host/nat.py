"""Let the guests' packets out: NAT in a table of our own, and a way through Docker's filter.

Docker sets the policy of the FORWARD chain to DROP, and an `accept` in another table does not
help against that: a rule in that chain does (https://docs.docker.com/engine/network/firewall-iptables/).
"""

from __future__ import annotations

import re
import shutil
import subprocess

from launcher.errors import HostError
from launcher.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.hypervisor.host.deeds import Machine

NFT = "nft"
# The older kind of iptables has one lock for the machine, and gives up at once without -w.
IPTABLES = ("iptables", "-w", "60")


@record
class AddNat:
    """Packets of the guests leave the host with the host's address."""

    bridge: str
    subnet: str

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        return f"translate addresses of {self.subnet} for the world, in {_table_words(self.bridge)}"

    def perform(self, machine: Machine) -> AddNat:
        """Add the table.

        Raises:
            HostError: nft is missing or refuses.
        """
        del machine
        _run([NFT, "-f", "-"], render_table(self.bridge, self.subnet), "install nftables")
        return self

    def undo(self, machine: Machine) -> str:
        """Delete the table."""
        del machine
        if not is_nat_there(self.bridge):
            return ""
        _run([NFT, "delete", "table", "ip", table_name(self.bridge)])
        return f"deleted {_table_words(self.bridge)}"


@record
class AllowForwarding:
    """Packets from and to the guests pass a FORWARD chain that drops what it does not know."""

    bridge: str

    volatile = True

    def say(self) -> str:
        """Say what is done."""
        return f"accept packets of '{self.bridge}' in the chain FORWARD, which drops by default"

    def perform(self, machine: Machine) -> AllowForwarding:
        """Insert the rules.

        Raises:
            HostError: iptables refuses.
        """
        del machine
        for rule in forward_rules(self.bridge):
            _run([*IPTABLES, "-I", *rule])
        return self

    def undo(self, machine: Machine) -> str:
        """Delete the rules."""
        del machine
        rules = [rule for rule in forward_rules(self.bridge) if _passes([*IPTABLES, "-C", *rule])]
        for rule in rules:
            _run([*IPTABLES, "-D", *rule])
        return f"deleted {len(rules)} rules from the chain FORWARD" if rules else ""


def table_name(bridge: str) -> str:
    """Return the name of our table in nftables, which takes fewer characters than an interface."""
    return f"vllmd_{re.sub('[^A-Za-z0-9_]', '_', bridge)}"


def _table_words(bridge: str) -> str:
    return f"the table '{table_name(bridge)}' of nftables"


def render_table(bridge: str, subnet: str) -> str:
    """Render the table; guests among each other keep their addresses."""
    return f"""\
table ip {table_name(bridge)} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} ip daddr != {subnet} masquerade
  }}
}}
"""


def forward_rules(bridge: str) -> tuple[tuple[str, ...], ...]:
    """Return the rules of a bridge: out is free, in is for answers."""
    answers = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
    return (
        ("FORWARD", "-i", bridge, "-j", "ACCEPT"),
        ("FORWARD", "-o", bridge, *answers, "-j", "ACCEPT"),
    )


def is_nat_there(bridge: str) -> bool:
    """Tell whether our table is there; no, where we may not look."""
    return _passes([NFT, "list", "table", "ip", table_name(bridge)])


def is_forwarding_refused(bridge: str) -> bool:
    """Tell whether the FORWARD chain drops by default, and no rule of ours is in it."""
    if shutil.which(IPTABLES[0]) is None:
        return False
    done = subprocess.run([*IPTABLES, "-S", "FORWARD"], capture_output=True, text=True, check=False)
    if "-P FORWARD DROP" not in done.stdout.splitlines():
        return False
    return not all(_passes([*IPTABLES, "-C", *rule]) for rule in forward_rules(bridge))


def _passes(argv: list[str]) -> bool:
    if shutil.which(argv[0]) is None:
        return False
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _run(argv: list[str], text: str = "", hint: str = "") -> None:
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise HostError(f"there is no program '{argv[0]}'", hint) from None
    if done.returncode:
        reason = done.stderr.strip().partition("\n")[0]
        raise HostError(f"'{' '.join(argv)}' failed: {reason}", "run it as root")
