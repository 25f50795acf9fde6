"""The grammar of the network and of published ports."""

from __future__ import annotations

import pytest

from launcher.hypervisor.model import Network, PublishedPort
from launcher.hypervisor.network import derive_mac, parse_network, parse_publish

MAC = derive_mac("chat")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Network(kind="", mac=MAC)),
        ("user", Network(kind="user", mac=MAC)),
        ("none", Network(kind="none")),
        ("tap=tap0", Network(kind="tap", tap="tap0", mac=MAC)),
        ("tap=tap0, mac=52:54:00:AB:CD:EF", Network(
            kind="tap", tap="tap0", mac="52:54:00:ab:cd:ef")),
    ],
)  # fmt: skip
def test_network_is_read(text: str, expected: Network) -> None:
    assert parse_network(text, "chat") == (expected, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bridge", "'bridge' is no part of a network"),
        ("tap=", "'' cannot be the name of a network device"),
        ("tap=a-name-of-16-byte", "'a-name-of-16-byte' cannot be the name of a network device"),
        ("tap=a/b", "'a/b' cannot be the name of a network device"),
        ("tap=t,script=/x", "'script=/x' is no part of a network"),
        ("tap=t,mac=01:00:5e:00:00:01",
         "'01:00:5e:00:00:01' is not the address of a single network card"),
        ("tap=t,mac=52", "'52' is not the address of a single network card"),
    ],
)  # fmt: skip
def test_network_that_means_nothing_is_refused(text: str, message: str) -> None:
    assert [fault.message for fault in parse_network(text, "chat")[1]] == [message]


def test_mac_is_local_and_always_the_same() -> None:
    assert derive_mac("chat").startswith("52:54:00:")
    assert derive_mac("chat") == derive_mac("chat") != derive_mac("code")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("8000:80", PublishedPort(host="127.0.0.1", host_port=8000, guest_port=80)),
        ("0.0.0.0:8000:80", PublishedPort(host="0.0.0.0", host_port=8000, guest_port=80)),  # noqa: S104
        ("[::1]:8000:80", PublishedPort(host="::1", host_port=8000, guest_port=80)),
    ],
)
def test_published_port_is_read(word: str, expected: PublishedPort) -> None:
    assert parse_publish((word,)) == ((expected,), ())


@pytest.mark.parametrize(
    "word", ["8000", "0:80", "8000:65536", "x:80", "host:8000:80", "1:2:3:4", ":"]
)
def test_published_port_that_is_none_is_refused(word: str) -> None:
    assert [f.message for f in parse_publish((word,))[1]] == [f"'{word}' publishes no port"]


def test_port_of_the_host_is_published_once() -> None:
    messages = [fault.message for fault in parse_publish(("8000:80", "8000:81"))[1]]
    assert messages == ["the port 127.0.0.1:8000 is published twice"]
