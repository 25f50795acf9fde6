"""Secrets: by reference, by the environment, and never where anybody can read them."""

from __future__ import annotations

import json

import pytest

from launcher.cli.show_plan import render_json_plan, render_shell_plan, render_text_plan
from launcher.config.secrets import is_secret_name
from launcher.server.catalogue.data import load_catalogue
from launcher.server.facts import questions
from launcher.server.masked_words import mask_words
from tests.support.facts import MODEL, env_of, messages_of, plan_text, process_of, read_text

SECRET = "sesame-7a"  # noqa: S105
EXPOSED = "holds a secret, which everybody on the machine could read in the process list"
HOLDERS = {
    "an API key": f'[instance.a.server]\napi_key = "{SECRET}"',
    "an API key in a list": f'[instance.a.server]\napi_key = ["{SECRET}"]',
    "a token": f'[instance.a.server]\nhf_token = "{SECRET}"',
    "a variable": f'[instance.a.env]\nMY_TOKEN = "{SECRET}"',
    "a shared variable": f'[instance.a]\n[master.env]\nHF_TOKEN = "{SECRET}"',
    "a URL in a variable": f'[instance.a.env]\nPROXY = "http://me:{SECRET}@proxy"',
    "an unknown option": f'[instance.a.server]\nssl_keyfile_password = "{SECRET}"',
    "an extra argument": f'[instance.a.server]\nextra_args = ["--api-key", "{SECRET}"]',
    "an extra word": f'[instance.a.server]\nextra_args = ["--hf-token={SECRET}"]',
    "a flag and its value in one word": (
        f'[instance.a.server]\nextra_args = ["--api-key {SECRET}"]'
    ),
    "the second of two": f'[instance.a.server]\nextra_args = ["--api-key", "x", "{SECRET}"]',
    "JSON": f'[instance.a.server]\nspeculative_config = {{ api_key = "{SECRET}" }}',
    "deep JSON": f'[instance.a.server]\nhf_overrides = {{ x = [{{ token = "{SECRET}" }}] }}',
    "JSON in a string": f'[instance.a.server]\nhf_overrides = \'{{"token": "{SECRET}"}}\'',
    "a URL": f'[instance.a.server]\notlp_traces_endpoint = "http://me:{SECRET}@host"',
    "a flag as the value of another": (
        f'[instance.a.server]\nmiddleware = ["--api-key={SECRET}", "x.y"]'
    ),
    "a flag inside a word": f'[instance.a.server]\nextra_args = ["--x", "-y --hf-token {SECRET}"]',
    "overrides": "",
}


def plan_with(holder: str) -> str:
    """Render a plan in every way there is."""
    overrides = {"instance": {"a": {"server": {"api_key": SECRET}}}} if not HOLDERS[holder] else {}
    plan = plan_text(HOLDERS[holder], json.dumps(overrides))
    renderings = [render_json_plan(plan, "/"), render_text_plan(plan), render_shell_plan(plan)]
    return "\n".join([*renderings, repr(plan.problems)])


@pytest.mark.parametrize("holder", HOLDERS)
def test_plan_with_a_secret_never_shows_it(holder: str) -> None:
    shown = plan_with(holder)
    assert SECRET not in shown
    assert "***" in shown


@pytest.mark.parametrize("name", ["an API key", "an API key in a list", "a token", "overrides"])
def test_plan_with_a_secret_option_keeps_it_out_of_argv_and_repr(name: str) -> None:
    plan = plan_text(HOLDERS[name], '{"instance": {"a": {"server": {"api_key": "sesame-7a"}}}}')
    assert SECRET not in " ".join(process_of(plan).argv)
    assert SECRET not in repr(plan.instances)
    assert SECRET in env_of(plan).values()


@pytest.mark.parametrize(("option", "variable"), [("api_key", "VLLM_API_KEY"), ("hf_token", "HF_TOKEN")])  # fmt: skip  # noqa: E501
def test_secret_option_reaches_the_server_by_its_variable(option: str, variable: str) -> None:
    plan = plan_text(f'[instance.a.server]\n{MODEL}{option} = "x"\n')
    assert env_of(plan)[variable] == "x"
    assert process_of(plan).argv[3:] == ("--model", "org/model")


def test_hf_token_true_stays_a_flag() -> None:
    plan = plan_text(f"[instance.a.server]\n{MODEL}hf_token = true\n")
    assert process_of(plan).argv[5:] == ("--hf-token",)


def test_reference_to_a_variable_is_resolved() -> None:
    toml = f'[instance.a.server]\n{MODEL}api_key = "env:KEY"\n[instance.a.env]\nT_TOKEN="env:T"\n'
    env = env_of(plan_text(toml, environ={"KEY": "k", "T": "t"}))
    assert (env["VLLM_API_KEY"], env["T_TOKEN"]) == ("k", "t")


def test_reference_to_a_file_is_asked_for_and_resolved() -> None:
    toml = f'[instance.a.server]\n{MODEL}api_key = "file:/run/key"\n'
    assert questions(read_text(toml)).secret_files == ("/run/key",)
    assert env_of(plan_text(toml, secrets={"/run/key": "k"}))["VLLM_API_KEY"] == "k"


def test_reference_in_a_name_without_secrets_is_a_plain_value() -> None:
    toml = f'[instance.a.server]\n{MODEL}[instance.a.env]\nWHERE = "file:/x"\nWHO = "env:ME"\n'
    assert questions(read_text(toml)).secret_files == ()
    assert env_of(plan_text(toml))["WHERE"] == "file:/x"
    assert env_of(plan_text(toml))["WHO"] == "env:ME"


FAULTS = {
    '"env:NOPE"': ("'api_key': the variable 'NOPE' is not set", "export NOPE=..."),
    '"env:"': ("'api_key': 'env:' names no variable", 'write it like "env:NAME"'),
    '"file:/no"': (
        "'api_key': the file '/no' cannot be read: no such file or directory",
        "mount the secret there, readable for us",
    ),
    '["a", "b"]': (
        "'api_key': expected one string, got an array of 2",
        'write the secret, "env:NAME" or "file:/path"',
    ),
    '""': (
        "'api_key': expected one string, got an empty one",
        'write the secret, "env:NAME" or "file:/path"',
    ),
    "7": (
        "'api_key': expected one string, got an integer",
        'write the secret, "env:NAME" or "file:/path"',
    ),
}


@pytest.mark.parametrize("value", FAULTS)
def test_secret_option_that_cannot_be_had_is_refused(value: str) -> None:
    faults = {"/no": "cannot be read: no such file or directory"}
    plan = plan_text(f"[instance.a.server]\n{MODEL}api_key = {value}\n", secret_faults=faults)
    assert messages_of(plan) == [("error", *FAULTS[value])]


def test_variable_whose_reference_cannot_be_had_is_refused() -> None:
    plan = plan_text(f'[instance.a.server]\n{MODEL}[master.env]\nHF_TOKEN = "env:NOPE"\n')
    message = "'HF_TOKEN': the variable 'NOPE' is not set"
    assert messages_of(plan) == [("error", message, "export NOPE=...")]


def test_secrets_on_the_command_line_are_refused() -> None:
    toml = f'[instance.a.server]\n{MODEL}extra_args = ["--api_key", "k", "--hf-token=t"]\n'
    hint = 'write {} = "env:NAME" or "file:/path" in the table instead'
    assert messages_of(plan_text(toml)) == [
        ("error", f"'extra_args': '--api_key' {EXPOSED}", hint.format("api_key")),
        ("error", f"'extra_args': '--hf-token' {EXPOSED}", hint.format("hf_token")),
    ]


def test_secrets_of_another_server_on_its_command_line_are_refused() -> None:
    master = '[master]\napi_server_module = "my.server"\n'
    toml = f'{master}[instance.a.server]\nauth_token = "t"\nextra_args = ["--my-password=p"]\n'
    hint = "set a variable that the server reads in [instance.a.env]"
    assert messages_of(plan_text(toml)) == [
        ("error", f"'auth_token' {EXPOSED}", f"{hint} instead"),
        ("error", f"'extra_args': '--my-password' {EXPOSED}", hint),
    ]


def test_secrets_inside_json_are_refused() -> None:
    toml = f'[instance.a.server]\n{MODEL}hf_overrides = {{ token = "t" }}\n'
    hint = "give it by a variable or a file, if the server can read it from there"
    assert messages_of(plan_text(toml)) == [("error", f"'token' in 'hf_overrides' {EXPOSED}", hint)]


@pytest.mark.parametrize("version", load_catalogue().versions)
def test_options_of_vllm_that_sound_secret_are_secret(version: str) -> None:
    """Else `long_prefill_token_threshold` in `extra_args` would be refused."""
    options = load_catalogue(version).options()
    assert {each.name for each in options if is_secret_name(each.name)} == {
        each.name for each in options if each.secret
    }


def test_mask_words_leaves_other_words_alone() -> None:
    words = ["--port", "1", "--x={}", "{broken", '{"a": 1}', "--no-secret-here", "v", "--", "-x"]
    assert mask_words(words, None)[:5] == words[:5]
    assert mask_words(["--long-prefill-token-threshold", "4"], None)[1] == "4"


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("--middleware=--api-key=sk-1", "--middleware=--api-key=***"),
        ("--note=--x --api-key sk-1 y", "--note=--x --api-key *** y"),
        ("x --hf-token sk-1 --api-key=sk-2= z", "x --hf-token *** --api-key=*** z"),
        ("-e API_KEY=sk-1 --name 'TOKEN=sk-2' end", "-e API_KEY=*** --name 'TOKEN=***' end"),
        ("A=--b=--api-key=sk-1", "A=--b=--api-key=***"),
        ("--api-key=sk-1", "--api-key=***"),
    ],
)
def test_secret_in_the_middle_of_a_word_is_not_shown(word: str, shown: str) -> None:
    assert mask_words([word], None) == [shown]


@pytest.mark.parametrize(
    "word", ["the token is x", "--api-key", "api_key = x", "a=b", "--max-num-batched-tokens 8", "="]
)
def test_word_without_a_secret_is_shown_as_it_is(word: str) -> None:
    assert mask_words(["x", word], None) == ["x", word]


def test_reference_to_no_file_is_refused() -> None:
    plan = plan_text(f'[instance.a.server]\n{MODEL}api_key = "file:"\n')
    message = "'api_key': 'file:' names no file"
    assert messages_of(plan) == [("error", message, 'write it like "file:/run/secrets/key"')]


@pytest.mark.parametrize("toml", ['api_key = "file:/a\\u0000"', 'model = "/a\\u0000"'])
def test_path_with_a_nul_is_not_looked_for(toml: str) -> None:
    asked = questions(read_text(f"[instance.a.server]\n{toml}\n"))
    assert (asked.secret_files, asked.model_dirs) == ((), ())


@pytest.mark.parametrize(
    "server",
    [
        f'otlp_traces_endpoint = "http://me:{SECRET}@host"',
        f'hf_overrides = {{ x = [{{ y = "https://host/?token={SECRET}" }}] }}',
    ],
)
def test_url_with_a_password_is_a_warning(server: str) -> None:
    plan = plan_text(f"[instance.a.server]\n{MODEL}{server}\n")
    ((severity, message, hint),) = messages_of(plan)
    assert severity == "warning"
    assert message.endswith(f": this URL {EXPOSED}")
    assert hint == "leave it out; a variable in [instance.a.env] may say it"


def test_url_without_a_password_is_fine() -> None:
    assert (
        messages_of(
            plan_text(f'[instance.a.server]\n{MODEL}otlp_traces_endpoint = "http://host:4317"\n')
        )
        == []
    )
