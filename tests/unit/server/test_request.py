"""The first request that a user can paste: what a shell makes of it is right."""

from __future__ import annotations

import json
import shlex

import pytest

from launcher.server.address import server_address
from launcher.server.request import render_request
from tests.support.facts import MODEL, plan_text, process_of, read_text


def request(server: str) -> list[str]:
    """Return the words of the command as a shell reads them."""
    instance = read_text(f"[instance.a.server]\n{server}\n").instances[0]
    return shlex.split(render_request(instance, server_address(instance), keyed=False))


def body(server: str) -> dict[str, object]:
    words = request(server)
    parsed: dict[str, object] = json.loads(words[words.index("-d") + 1])
    return parsed


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ('model = "m"', ["http://127.0.0.1:8000/v1/completions"]),
        ('host = "::1"\nport = 1', ["http://[::1]:1/v1/completions"]),
        (
            'ssl_keyfile = "/k"\nssl_certfile = "/c"',
            ["--insecure", "https://127.0.0.1:8000/v1/completions"],
        ),
        (
            'uds = "/it\'s/s"',
            ["--unix-socket", "/it's/s", "http://localhost/v1/completions"],
        ),
    ],
)
def test_request_goes_to_the_server(server: str, words: list[str]) -> None:
    found = request(server)
    assert found[:2] == ["curl", "-s"]
    assert found[2 : found.index("-H")] == words


@pytest.mark.parametrize(
    ("server", "model"),
    [
        ('model = "/models/m"', "/models/m"),
        ('model = "/m"\nserved_model_name = "s"', "s"),
        ('model = "/m"\nserved_model_name = ["first", "second"]', "first"),
        ('served_model_name = "a\\"b\\\\c\'d é"', "a\"b\\c'd é"),
        ('served_model_name = "a\\nb\\tc"', "a\nb\tc"),
        ('extra_args = ["--served-model-name", "x"]\nserved_model_name = "s"', "x"),
        ("", "MODEL"),
    ],
)
def test_request_names_the_model(server: str, model: str) -> None:
    assert body(server)["model"] == model


KEYED = {
    "an option": ('api_key = "k"', {}),
    "a variable of its own": ('[instance.a.env]\nVLLM_API_KEY = "k"', {}),
    "a variable of all": ('[master.env]\nVLLM_API_KEY = "k"', {}),
    "an inherited variable": ("", {"VLLM_API_KEY": "k"}),
}


@pytest.mark.parametrize("case", KEYED)
def test_request_to_a_server_with_a_key_takes_it_from_a_variable(case: str) -> None:
    tables, environ = KEYED[case]
    plan = plan_text(f"[instance.a.server]\n{MODEL}{tables}\n", environ=environ)
    assert '-H "Authorization: Bearer $VLLM_API_KEY"' in process_of(plan).try_it


def test_request_to_a_server_without_a_key_has_none() -> None:
    assert "VLLM_API_KEY" not in process_of(plan_text(f"[instance.a.server]\n{MODEL}")).try_it
