from __future__ import annotations

import pytest

from launcher.client.target import Target, find_key, is_address, parse_address
from launcher.errors import UsageError


@pytest.mark.parametrize(
    ("text", "url", "local"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("http://localhost:8000/v1/", "http://localhost:8000", True),
        ("http://[::1]:8000/v1", "http://[::1]:8000", True),
        ("https://example.com/models/v1", "https://example.com/models", False),
    ],
)
def test_address_with_or_without_v1_is_the_same(text: str, url: str, *, local: bool) -> None:
    target = parse_address(text)
    assert (target.url, target.local) == (url, local)
    assert is_address(text)


def test_address_of_a_unix_socket_is_a_path() -> None:
    target = parse_address("unix:/run/vllm.sock")
    assert target.socket_path == "/run/vllm.sock"
    assert target.shown() == "unix:/run/vllm.sock"


@pytest.mark.parametrize(
    "text", ["http://", "https://:1", "http://a:99999", "http://a:0", "unix:relative"]
)
def test_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an address of a server"):
        parse_address(text)


def test_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(UsageError) as caught:
        parse_address("http://me:hunter2@127.0.0.1:8000")
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_target_shows_no_key() -> None:
    assert "sk-1" not in repr(Target(url="http://a", api_key="sk-1"))


def test_key_is_vllms_variable_before_openais() -> None:
    both = {"VLLM_API_KEY": "a", "OPENAI_API_KEY": "b"}
    assert find_key(both) == "a"
    assert find_key({**both, "VLLM_API_KEY": ""}) == "b"
    assert find_key({}) == ""
