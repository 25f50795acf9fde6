from __future__ import annotations

import json

import pytest

from launcher.config.document import Document, decode_toml
from launcher.config.found_secrets import list_secrets
from launcher.config.overrides import parse_overrides
from launcher.config.problems import Origin
from launcher.errors import ConfigError
from launcher.hypervisor.guest.riders import plan_riders

KEY = "instance.chat.server.api_key"
PEM = "-----BEGIN PRIVATE KEY-----"


def toml(text: str) -> Document:
    return decode_toml(text.encode(), Origin(kind="file", name="vllm.toml"))


def chat(value: str) -> Document:
    return toml(f'[instance.chat.server]\nmodel = "m"\napi_key = "{value}"\n')


def plan(
    config: Document, overrides: Document | None = None, *asked: str
) -> tuple[dict[str, bytes], list[str]]:
    files, warnings = plan_riders(config, overrides, frozenset(asked), lambda ref: f"<{ref}>")
    return files, [warning.message for warning in warnings]


def refusals(config: Document, overrides: Document | None = None, *asked: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        plan(config, overrides, *asked)
    return [problem.message for problem in caught.value.problems]


def test_file_without_secrets_rides_as_it_is() -> None:
    text = '# two\n[instance.chat.server]\nmodel = "m"\nmax_num_batched_tokens = 5\n'
    assert plan(toml(text)) == ({"vllm.toml": text.encode()}, [])


def test_overrides_ride_along() -> None:
    files, _ = plan(chat("env:K"), parse_overrides('{"master": {"log_dir": "/x"}}'))
    assert json.loads(files["overrides.json"]) == {"master": {"log_dir": "/x"}}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[instance.chat.server]\napi_key = "sk-1"', KEY),
        ('[master.env]\nHF_TOKEN = "hf_1"', "master.env.HF_TOKEN"),
        ('[instance.a.server]\nextra_args = ["--api-key", "sk-1"]',
         "instance.a.server.extra_args[1]"),
        ('[instance.a.server]\nextra_args = ["--api-key=sk-1"]',
         "instance.a.server.extra_args[0]"),
        (f'[instance.a.env]\nX = "{PEM}"', "instance.a.env.X"),
        ('[instance.a.env]\nHTTPS_PROXY = "http://me:pw@proxy"', "instance.a.env.HTTPS_PROXY"),
        ('[instance.a.env.secrets]\nX = "y"', "instance.a.env.secrets.X"),
    ],
)  # fmt: skip
def test_secret_in_the_file_is_refused_unless_asked_for(text: str, name: str) -> None:
    assert refusals(toml(text)) == [f"'{name}' is a secret, and would be written to the seed disk"]
    files, warnings = plan(toml(text), None, name)
    assert (files, warnings) == ({"vllm.toml": text.encode()}, [])


def test_secret_in_the_overrides_is_refused_unless_asked_for() -> None:
    overrides = parse_overrides('{"instance": {"chat": {"server": {"api_key": "sk-1"}}}}')
    assert len(refusals(chat("env:K"), overrides)) == 1
    files, _ = plan(chat("env:K"), overrides, KEY)
    assert b"sk-1" in files["overrides.json"]


def test_all_secrets_are_refused_at_once() -> None:
    text = '[instance.a.server]\napi_key = "x"\n[instance.b.server]\napi_key = "y"'
    assert len(refusals(toml(text))) == 2


def test_reference_stays_one_and_the_guest_is_warned_of() -> None:
    files, warnings = plan(chat("env:CHAT_KEY"))
    assert b"env:CHAT_KEY" in files["vllm.toml"]
    assert warnings == [f"'{KEY}' comes from the variable 'CHAT_KEY', which the guest has to have"]


def test_reference_that_is_asked_for_rides_in_the_overrides() -> None:
    files, warnings = plan(chat("file:/run/key"), None, KEY)
    assert warnings == []
    assert json.loads(files["overrides.json"]) == {
        "instance": {"chat": {"server": {"api_key": "<file:/run/key>"}}}
    }


def test_reference_in_the_overrides_wins_over_the_one_in_the_file() -> None:
    overrides = parse_overrides('{"instance": {"chat": {"server": {"api_key": "env:B"}}}}')
    files, _ = plan(chat("env:A"), overrides, KEY)
    assert b"<env:B>" in files["overrides.json"]


def test_secret_in_a_comment_is_masked() -> None:
    files, _ = plan(toml('# api_key = "sk-1"\n[master]\nlog_dir = "/x" # token: abc\n'))
    assert b"sk-1" not in files["vllm.toml"]
    assert b"abc" not in files["vllm.toml"]
    assert b'log_dir = "/x" #' in files["vllm.toml"]


def test_secrets_are_listed_with_their_places() -> None:
    assert [(s.name, s.is_reference) for s in list_secrets([chat("env:K")])] == [(KEY, True)]
