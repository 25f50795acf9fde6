from __future__ import annotations

import pytest

from launcher.hypervisor.host.links import EVERYWHERE, Link, NetworkFacts, Route

LINKS = (
    Link(index=1, name="lo", kind="", mac="", up=True, carrier=True),
    Link(index=2, name="docker0", kind="bridge", mac="", up=True, carrier=True),
    Link(index=3, name="eno1", kind="", mac="", up=True),
    Link(index=4, name="eno2", kind="", mac="", up=True, carrier=True),
)


def facts(*routes: Route) -> NetworkFacts:
    return NetworkFacts(links={link.name: link for link in LINKS}, routes=routes)


def default(interface: str, metric: int) -> Route:
    return Route(to=EVERYWHERE, gateway="192.0.2.1", interface=interface, metric=metric)


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ((default("eno1", 100), default("wlan0", 600)), "eno1"),
        ((default("eno1", 700), default("wlan0", 600)), "wlan0"),
        ((Route(to="10.0.0.0/8", gateway="192.0.2.1", interface="eno1"),), "eno2"),
        ((), "eno2"),
    ],
)
def test_first_active_interface_leads_to_the_world_or_has_a_link(
    routes: tuple[Route, ...], expected: str
) -> None:
    assert facts(*routes).outgoing() == expected


def test_host_without_an_active_interface_has_none() -> None:
    assert NetworkFacts(links={link.name: link for link in LINKS[:3]}).outgoing() == ""
