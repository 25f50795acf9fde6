"""Where a server listens, and which of them cannot both."""

from __future__ import annotations

import pytest

from launcher.process.spec import Probe
from launcher.server.address import (
    LIKE_HOST,
    Address,
    effective,
    effective_integer,
    health_probe,
    server_address,
)
from tests.support.facts import MODEL, messages_of, plan_text, read_text


def address_of(server: str) -> Address:
    return server_address(read_text(f"[instance.a.server]\n{server}\n").instances[0])


ADDRESSES = {
    "": (None, 8000, "0.0.0.0:8000"),
    'host = ""': (None, 8000, "0.0.0.0:8000"),
    'host = "127.0.0.1"\nport = 1': ("127.0.0.1", 1, "127.0.0.1:1"),
    'host = "::1"': ("::1", 8000, "[::1]:8000"),
    'port = 1\nextra_args = ["--port", "2"]': (None, 2, "0.0.0.0:2"),
    'port = 1\nextra_args = ["--port=2", "--port=3"]': (None, 3, "0.0.0.0:3"),
    'extra_args = ["--host", "h", "--port"]': ("h", 8000, "h:8000"),
}


@pytest.mark.parametrize("server", ADDRESSES)
def test_server_address_is_what_vllm_will_understand(server: str) -> None:
    host, port, shown = ADDRESSES[server]
    address = address_of(server)
    assert (address.host, address.port, address.shown()) == (host, port, shown)


def test_server_address_socket_replaces_host_and_port() -> None:
    address = address_of('uds = "/run/vllm.sock"\nport = 1')
    assert address.shown() == "/run/vllm.sock"


@pytest.mark.parametrize(
    ("server", "tls"),
    [
        ("", False),
        ('ssl_keyfile = "/k"', False),
        ('ssl_keyfile = "/k"\nssl_certfile = "/c"', True),
        ('ssl_keyfile = "/k"\nextra_args = ["--ssl-certfile", "/c"]', True),
    ],
)
def test_server_address_with_key_and_certificate_is_tls(server: str, tls: bool) -> None:
    assert address_of(server).tls is tls


PROBES = {
    "": Probe(host="127.0.0.1", port=8000),
    'host = "0.0.0.0"': Probe(host="127.0.0.1", port=8000),
    'host = "::"': Probe(host="::1", port=8000),
    'host = "localhost"': Probe(host="127.0.0.1", port=8000),
    'host = "10.0.0.1"': Probe(host="10.0.0.1", port=8000),
    'uds = "/s"': Probe(host="127.0.0.1", port=8000, socket_path="/s"),
}


@pytest.mark.parametrize("server", PROBES)
def test_health_probe_asks_from_this_machine(server: str) -> None:
    assert health_probe(address_of(server)) == PROBES[server]


def test_effective_value_of_extra_args_wins_in_both_spellings() -> None:
    toml = '[instance.a.server]\nmax_model_len = 1\nextra_args = ["--max_model_len", "2"]\n'
    instance = read_text(toml).instances[0]
    assert effective(instance, "max_model_len") == "2"
    assert effective(instance, "dtype") is None


@pytest.mark.parametrize("text", ["9" * 5000, "²", "-1", "x"])
def test_effective_integer_that_is_none_is_the_default(text: str) -> None:
    instance = read_text(f'[instance.a.server]\nport = "{text}"\n').instances[0]
    assert effective_integer(instance, "port", 8000) == 8000


def two(first: str, second: str) -> list[tuple[str, str, str]]:
    toml = f"[instance.a.server]\n{MODEL}{first}\n[instance.b.server]\n{MODEL}{second}\n"
    return messages_of(plan_text(toml))


APART = {
    "ports": ("port = 1", "port = 2"),
    "interfaces": ('host = "127.0.0.1"', 'host = "127.0.0.2"'),
    "families": ('host = "127.0.0.1"', 'host = "::1"'),
    "a socket and a port": ('uds = "/a"', ""),
    "sockets": ('uds = "/a"', 'uds = "/b"'),
    "extra_args": ("", 'extra_args = ["--port", "8001"]'),
}


@pytest.mark.parametrize("case", APART)
def test_servers_on_different_addresses_are_fine(case: str) -> None:
    assert two(*APART[case]) == []


CLASHES = {
    "the default": ("", "", "0.0.0.0:8000"),
    "one port": ("port = 9", "port = 9", "0.0.0.0:9"),
    "all and one interface": ("", 'host = "127.0.0.1"', "127.0.0.1:8000"),
    "one and all interfaces": ('host = "127.0.0.1"', 'host = "0.0.0.0"', "0.0.0.0:8000"),
    "all in IPv6": ('host = "10.0.0.1"', 'host = "::"', "[::]:8000"),
    "two names": ('host = "localhost"', 'host = "127.0.0.1"', "127.0.0.1:8000"),
    "extra_args": ("port = 9", 'extra_args = ["--port", "9"]', "0.0.0.0:9"),
}


@pytest.mark.parametrize("case", CLASHES)
def test_servers_on_one_address_are_refused(case: str) -> None:
    first, second, shown = CLASHES[case]
    port = int(shown.rpartition(":")[2])
    hint = f"give one another port, like port = {port + 1}"
    assert two(first, second) == [("error", f"'b' and 'a' both listen on {shown}", hint)]


def test_servers_on_one_socket_are_refused() -> None:
    message = "'b' and 'a' both listen on /s"
    hint = "give one another path as uds"
    assert two('uds = "/s"', 'uds = "/s"\nport = 2') == [("error", message, hint)]


def test_servers_on_one_port_hint_is_a_port_that_is_free() -> None:
    toml = "".join(
        f"[instance.{name}.server]\n{MODEL}port = {port}\n"
        for name, port in (("a", 65535), ("b", 65535), ("c", 1024))
    )
    hint = "give one another port, like port = 1025"
    message = "'b' and 'a' both listen on 0.0.0.0:65535"
    assert messages_of(plan_text(toml)) == [("error", message, hint)]


LIKE_PORT = "write it like port = 8000"
WRONG = {
    'port = "8000"': (
        "'port': expected an integer, 1 to 65535, got a string",
        "remove the quotes",
    ),
    'port = "http"': ("'port': expected an integer, 1 to 65535, got a string", LIKE_PORT),
    "port = true": ("'port': expected an integer, 1 to 65535, got a boolean", LIKE_PORT),
    "port = 80.0": ("'port': expected an integer, 1 to 65535, got a float", LIKE_PORT),
    "port = -1": ("'port': expected an integer, 1 to 65535, got -1", LIKE_PORT),
    "port = 0": ("'port': expected an integer, 1 to 65535, got 0", LIKE_PORT),
    "port = 70000": ("'port': expected an integer, 1 to 65535, got 70000", LIKE_PORT),
    "host = 1": ("'host': expected a string, got an integer", 'write it like host = "127.0.0.1"'),
    "uds = true": ("'uds': expected a string, got a boolean", 'write it like uds = "/run/a.sock"'),
}


@pytest.mark.parametrize("server", WRONG)
def test_address_of_the_wrong_type_is_refused(server: str) -> None:
    plan = plan_text(f"[instance.a.server]\n{MODEL}{server}\n")
    assert messages_of(plan) == [("error", *WRONG[server])]


HOSTS = {
    "[::1]": "write it without brackets",
    "127.0.0.1:8000": 'write host = "127.0.0.1" and port = 8000',
    "node1:80": 'write host = "node1" and port = 80',
    "http://127.0.0.1": LIKE_HOST,
    "http://127.0.0.1:8000": LIKE_HOST,
    "10.0.0.0/8": LIKE_HOST,
    "one two": LIKE_HOST,
    "256.1.1.1": "give each of its four numbers 255 at most",
    "1.1.1.99999999999": "give each of its four numbers 255 at most",
    "fe80::xyz": LIKE_HOST,
}
FINE = ["", "::", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "node-1.example", "127.1", "255.0.0.1"]


@pytest.mark.parametrize("host", HOSTS)
def test_host_that_is_none_is_refused(host: str) -> None:
    message = f"'host': expected a host name or an address, got '{host}'"
    found = messages_of(plan_text(f'[instance.a.server]\n{MODEL}host = "{host}"\n'))
    assert found == [("error", message, HOSTS[host])]


@pytest.mark.parametrize("host", FINE)
def test_host_that_may_be_one_is_fine(host: str) -> None:
    assert messages_of(plan_text(f'[instance.a.server]\n{MODEL}host = "{host}"\n')) == []


def test_socket_with_a_long_path_is_refused() -> None:
    found = messages_of(plan_text(f'[instance.a.server]\n{MODEL}uds = "/{"x" * 107}"\n'))
    message = "'uds': the path of a socket has at most 107 bytes, this has 108"
    assert found == [("error", message, "put it in a folder with a shorter path")]
