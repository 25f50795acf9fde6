"""`vllmd generate` with servers that behave, and ones that do not."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.api_stub import ApiStub, api_stub, vllmd

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[master]
python = "{python}"
api_server_module = "tests.programs.stub_api"
[instance.first.server]
port = {port}
api_key = "file:{key}"
[client]
timeout_profile = "{profile}"
"""


def write_config(folder: Path, stub: ApiStub, more: str = "", profile: str = "default") -> str:
    key = folder / "key"
    key.write_text("sk-right\n")
    path = folder / "vllm.toml"
    text = CONFIG.format(python=sys.executable, port=stub.port, key=key, profile=profile)
    path.write_text(text + more)
    return str(path)


def test_generate_with_an_address_prints_the_answer(tmp_path: Path) -> None:
    with api_stub(tmp_path) as stub:
        done = vllmd("generate", f"{stub.url}/v1/", "Hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello\u2028\n", "")


@pytest.mark.parametrize("words", [[], ["--chat"]], ids=["completion", "chat"])
def test_generate_as_a_stream_prints_the_pieces(tmp_path: Path, words: list[str]) -> None:
    with api_stub(tmp_path) as stub:
        done = vllmd("generate", stub.url, "a\u2028b\u2029\x85c", "--stream", *words)
    assert (done.returncode, done.stdout) == (0, "a\u2028b\u2029\x85c\n")


def test_generate_reads_the_prompt_from_stdin(tmp_path: Path) -> None:
    with api_stub(tmp_path) as stub:
        done = vllmd("generate", stub.url, "-", "--chat", "--system", "Be brief", stdin="Hi\nthere")
    assert done.stdout == "Hi\nthere\u2028\n"


def test_generate_as_json_prints_the_whole_answer(tmp_path: Path) -> None:
    with api_stub(tmp_path) as stub:
        done = vllmd("generate", stub.url, "Hi", "--json", "--model", "mine")
    assert json.loads(done.stdout)["model"] == "mine"


def test_generate_finds_the_instance_and_its_key_by_the_configuration(tmp_path: Path) -> None:
    with api_stub(tmp_path, key="sk-right") as stub:
        config = write_config(tmp_path, stub)
        env = {"AUTO_INFER_VLLM_CONFIG": config}
        assert vllmd("generate", "Hello", env=env).stdout == "Hello\u2028\n"
        done = vllmd("generate", "first", "Hello", "--config", config)
        assert done.stdout == "Hello\u2028\n"
        assert vllmd("generate", "frist", "Hello", env=env).stderr == (
            "error: there is no instance 'frist'\nhint: did you mean 'first'?\n"
        )


def test_generate_with_several_instances_asks_which(tmp_path: Path) -> None:
    config = write_config(tmp_path, ApiStub(tmp_path), "[instance.second.server]\nport = 1\n")
    done = vllmd("generate", "Hello", "--config", config)
    assert done.returncode == 64
    assert "which server? there are 'first', 'second'" in done.stderr


def test_generate_without_any_server_named_says_how(tmp_path: Path) -> None:
    done = vllmd("generate", "Hello")
    assert done.returncode == 64
    assert "name an address like http://127.0.0.1:8000" in done.stderr
    assert tmp_path.exists()


@pytest.mark.parametrize(
    ("words", "env", "message"),
    [
        (["--timeout", "300ms"], {}, "no answer from URL in time"),
        # Time enough for the first words, which do come.
        (["--timeout", "4s", "--stream"], {}, "no answer from URL in time"),
        (["--stream", "--idle-timeout", "4s"], {}, "URL said nothing for 4 s"),
    ],
)
def test_generate_from_a_silent_server_ends_in_time(
    tmp_path: Path, words: list[str], env: dict[str, str], message: str
) -> None:
    prompt = "silence" if "--stream" in words else "hang"
    with api_stub(tmp_path) as stub:
        done = vllmd("generate", stub.url, prompt, *words, env=env)
        assert message.replace("URL", stub.url) in done.stderr
    assert done.returncode == 75
    assert done.stdout == ("si\n" if "--stream" in words else "")


def test_generate_deadline_covers_a_stream_that_drips(tmp_path: Path) -> None:
    with api_stub(tmp_path, delay=0.2) as stub:
        done = vllmd("generate", stub.url, "x" * 100, "--stream", "--timeout", "4s")
    assert done.returncode == 75
    assert 0 < len(done.stdout) < 100


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["bad"], 1, "error: the server answered 400: this is a bad prompt"),
        (["bad", "--stream"], 1, "error: the server answered 400: this is a bad prompt"),
        (["broken"], 1, "error: the server answered 500: it is always broken"),
        (["garbage"], 69, "error: the server's answer is not a JSON object: '<html>oops'"),
        (["drop"], 69, "error: the connection to URL broke: server disconnected"),
        (["cut"], 69, "error: the connection to URL broke: peer closed connection"),
        (["cut", "--stream"], 69, "error: the answer of URL was cut off"),
        (["give-up", "--stream"], 1, "error: the server gave up: the engine is dead"),
    ],
)
def test_generate_from_a_failing_server_says_why(
    tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    with api_stub(tmp_path) as stub:
        done = vllmd("generate", stub.url, *words)
        assert done.stderr.startswith(message.replace("URL", stub.url)), done.stderr
    assert done.returncode == code


def test_generate_without_server_says_that_it_is_not_there(tmp_path: Path) -> None:
    stub = ApiStub(tmp_path)
    done = vllmd("generate", stub.url, "Hello")
    assert done.returncode == 69
    assert done.stderr.startswith(f"error: cannot reach {stub.url}: connection refused\n")


def test_generate_with_a_wrong_key_does_not_show_it(tmp_path: Path) -> None:
    with api_stub(tmp_path, key="sk-right") as stub:
        done = vllmd("generate", stub.url, "Hello", env={"VLLM_API_KEY": "sk-wrong"})
    assert done.returncode == 1
    assert "answered 401" in done.stderr
    assert "sk-wrong" not in done.stderr


def test_generate_with_an_unknown_profile_in_the_variable_is_refused(tmp_path: Path) -> None:
    done = vllmd("generate", ApiStub(tmp_path).url, "Hi", env={"VLLMD_TIMEOUT_PROFILE": "batch"})
    assert done.returncode == 64
    assert done.stderr == (
        "error: VLLMD_TIMEOUT_PROFILE: unknown timeout profile 'batch'\n"
        "hint: did you mean 'batch_job'?\n"
    )
