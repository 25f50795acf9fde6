from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.hypervisor.host.addresses import guest_addressing, host_address
from launcher.hypervisor.host.resolvers import find_nameservers, parse_nameservers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# none\nsearch lan\n", ()),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.2\n", ("192.0.2.1", "192.0.2.2")),
        ("nameserver 127.0.0.53\nnameserver ::1\n", ()),
        ("nameserver fe80::1%eth0\nnameserver 2001:db8::1\n", ("2001:db8::1",)),
        ("nameserver\nnameserver x\nnameserver 192.0.2.1 trailing\n", ("192.0.2.1",)),
    ],
)
def test_nameservers_are_those_that_a_guest_can_ask(text: str, expected: tuple[str, ...]) -> None:
    assert parse_nameservers(text) == expected


def test_nameservers_of_a_local_resolver_are_those_it_asks(tmp_path: Path) -> None:
    local, real = tmp_path / "local", tmp_path / "real"
    local.write_text("nameserver 127.0.0.53\n")
    real.write_text("nameserver 192.0.2.1\n")
    assert find_nameservers((str(local), str(real), str(tmp_path / "none"))) == ("192.0.2.1",)


def test_addresses_follow_from_the_subnet_and_the_index() -> None:
    assert host_address("10.5.0.0/16") == "10.5.0.1/16"
    found = guest_addressing("10.5.0.0/16", 300, ("192.0.2.1",))
    assert (found.address, found.gateway) == ("10.5.1.54/16", "10.5.0.1")
    assert found.nameservers == ("192.0.2.1",)
