"""Where the launcher itself is reached."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.config.reader import Refusal
from launcher.server.endpoints import read_listen, read_socket_path
from tests.support.facts import MODEL, messages_of, plan_text, process_of

EVERYWHERE = "0.0.0.0"  # noqa: S104  (what a file says, not what we bind)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9180", ("127.0.0.1", 9180)),
        ("localhost:1", ("127.0.0.1", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("0.0.0.0:9180", (EVERYWHERE, 9180)),
    ],
)
def test_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert read_listen(text) == address


@pytest.mark.parametrize(
    "value",
    [
        *(9180, True, ["127.0.0.1:80"]),
        *("9180", ":9180", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x"),
        *("256.0.0.1:80", "a.b:80", "::1:80", "[::1]"),
        *(f"127.0.0.1:{'9' * 5000}", f"{'9' * 5000}.0.0.1:80", "127.0.0.1:²"),
    ],
)
def test_what_is_no_address_is_refused(value: Any) -> None:
    with pytest.raises(Refusal):
        read_listen(value)


def test_path_of_a_socket_has_a_limit() -> None:
    assert read_socket_path("/" + "x" * 106) == "/" + "x" * 106
    with pytest.raises(Refusal, match="at most 107 bytes, this has 108"):
        read_socket_path("/" + "ä" * 53 + "x")


@pytest.mark.parametrize(
    ("host", "clashes"), [("127.0.0.1", True), (EVERYWHERE, True), ("10.0.0.1", False)]
)
def test_port_of_an_instance_is_no_port_for_the_launcher(host: str, clashes: bool) -> None:
    plan = plan_text(
        '[master]\nlisten = "127.0.0.1:8000"\n'
        f'[instance.a.server]\nhost = "{host}"\nport = 8000\n{MODEL}'
    )
    wanted = ("error", f"'a' listens on {host}:8000 too", "give the launcher another port")
    assert (wanted in messages_of(plan)) is clashes


def test_socket_of_an_instance_is_no_control_socket() -> None:
    plan = plan_text(
        f'[master]\ncontrol_socket = "/run/a"\n[instance.a.server]\nuds = "/run/a"\n{MODEL}'
    )
    message = "'a' has this socket as its uds"
    assert ("error", message, "give the launcher another path") in messages_of(plan)


@pytest.mark.parametrize(
    ("line", "gpus"), [("", "all"), ('gpu_ids = "none"', "none"), ("gpu_ids = [1, 0]", "1,0")]
)
def test_process_knows_its_gpus_in_words(line: str, gpus: str) -> None:
    plan = plan_text(f"[instance.a.control]\n{line}\n[instance.a.server]\n{MODEL}")
    assert process_of(plan).gpus == gpus


@pytest.mark.parametrize(("host", "everywhere"), [(EVERYWHERE, True), ("127.0.0.1", False)])
def test_process_knows_whether_it_listens_everywhere(host: str, everywhere: bool) -> None:
    plan = plan_text(f'[instance.a.server]\nhost = "{host}"\n{MODEL}')
    assert process_of(plan).everywhere is everywhere
