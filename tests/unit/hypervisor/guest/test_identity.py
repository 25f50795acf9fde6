from __future__ import annotations

import base64

import pytest

from launcher.config.reader import Refusal
from launcher.hypervisor.guest.identity import host_name_of, parse_public_keys, parse_user_name


def key_of(kind: str) -> str:
    blob = len(kind).to_bytes(4, "big") + kind.encode() + b"\0\0\0\x20" + bytes(32)
    return f"{kind} {base64.b64encode(blob).decode()}"


KEY = key_of("ssh-ed25519")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vllm-inference-1", "vllm-inference-1"),
        ("Big_Model", "big-model"),
        ("_a_", "a"),
        ("__", "vllmd"),
        ("x" * 70, "x" * 63),
    ],
)
def test_host_name_is_one_that_dns_takes(name: str, expected: str) -> None:
    assert host_name_of(name) == expected


@pytest.mark.parametrize("name", ["sdake", "_a", "a-1", "root"])
def test_user_name_is_taken(name: str) -> None:
    assert parse_user_name(name) == name


@pytest.mark.parametrize("name", ["", "Sdake", "1a", "a b", "a\n", "x" * 33])
def test_user_name_no_guest_can_create_is_refused(name: str) -> None:
    with pytest.raises(Refusal):
        parse_user_name(name)


def test_public_keys_are_read_line_by_line() -> None:
    text = f"# mine\n\n{KEY} me@host\n{key_of('ssh-rsa')}\r\n"
    assert parse_public_keys(text) == (f"{KEY} me@host", key_of("ssh-rsa"))


def test_public_key_comment_keeps_plain_characters_only() -> None:
    assert parse_public_keys(f"{KEY} m\u00e9\u2028@h") == (f"{KEY} m@h",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "this is a private key"),
        ("", "there is no key in this file"),
        ("ssh-ed25519 AAAA", "this is no public key of SSH"),
        (KEY.replace("ssh-ed25519", "ssh-rsa"), "this is no public key of SSH"),
        ("ssh-dss " + KEY.split()[1], "this is no public key of SSH"),
    ],
)
def test_file_without_public_keys_is_refused(text: str, message: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_public_keys(text)
    assert caught.value.message == message
