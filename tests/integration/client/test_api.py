"""`launcher.client.api` with a stub server: what programs see."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from launcher.client.api import AsyncClient, BatchOptions, Client, Target, Timeout
from launcher.client.errors import DeadlineError, RequestError
from launcher.errors import UsageError
from tests.support.api_stub import api_stub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.api_stub import ApiStub, Batch

HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[ApiStub]:
    with api_stub(tmp_path) as stub:
        yield stub


@pytest.fixture
def client(stub: ApiStub) -> Iterator[Client]:
    with Client(stub.url) as client:
        yield client


def test_client_generates_and_chats(client: Client) -> None:
    assert client.models() == ("stub",)
    assert client.generate("Hello", max_tokens=5).text == "Hello\u2028"
    assert client.chat("Hi").text == "Hi\u2028"
    assert client.chat(HI, extra_body={"top_k": 1}).usage.prompt_tokens == 2


def test_client_streams_pieces(client: Client) -> None:
    assert list(client.stream("abc")) == ["a", "b", "c"]
    assert list(client.stream(HI)) == ["H", "i"]


def test_client_stream_left_early_frees_the_client(client: Client) -> None:
    for piece in client.stream("abc"):
        assert piece == "a"
        break
    assert client.generate("on").text == "on\u2028"


@pytest.mark.parametrize("timeout", [200, 200.0, Timeout(200)])
def test_client_timeout_covers_the_whole_call(client: Client, timeout: float | Timeout) -> None:
    with pytest.raises(DeadlineError):
        client.generate("hang", timeout=timeout)  # for 1000 s


def test_client_timeout_of_all_calls_is_that_of_the_client(stub: ApiStub) -> None:
    with Client(stub.url, timeout=200) as client, pytest.raises(DeadlineError):
        client.chat("hang")


def test_client_stream_has_an_idle_timeout(client: Client) -> None:
    pieces = client.stream("silence", timeout=Timeout(None, idle_ms=4000))
    assert [next(pieces), next(pieces)] == ["s", "i"]
    with pytest.raises(DeadlineError, match="said nothing for 4 s"):
        next(pieces)


def test_client_profile_that_is_none_is_refused(client: Client) -> None:
    with pytest.raises(UsageError, match="unknown timeout profile 'batch'"):
        client.generate("Hi", timeout="batch")


def test_client_refused_knows_the_status(client: Client) -> None:
    with pytest.raises(RequestError) as caught:
        client.generate("bad")
    assert caught.value.status == 400


def test_client_runs_a_batch(client: Client, batch: Batch) -> None:
    batch.write(["one", "bad", "three"])
    result = client.batch(
        str(batch.requests), str(batch.results), options=BatchOptions(concurrency=2)
    )
    assert (result.total, result.earlier, result.succeeded, result.failed) == (3, 0, 2, 1)
    batch.assert_each_once(3)
    assert client.batch(str(batch.requests), str(batch.results)).earlier == 3


def test_client_works_where_a_loop_is_running_already(stub: ApiStub) -> None:
    async def notebook() -> str:
        with Client(stub.url) as client:
            return client.generate("Hi").text

    assert asyncio.run(notebook()) == "Hi\u2028"


def test_async_client_asks_many_things_at_once(stub: ApiStub) -> None:
    async def ask() -> list[str]:
        async with AsyncClient(stub.url, model="mine") as client:
            answers = await asyncio.gather(*(client.generate(f"{n}") for n in range(20)))
            assert {answer.body["model"] for answer in answers} == {"mine"}
            return [piece async for piece in client.stream("ab")]

    assert asyncio.run(ask()) == ["a", "b"]


def test_client_ignores_proxies_for_servers_of_this_machine(
    stub: ApiStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with Client(stub.url) as client:
        assert client.generate("Hi").text == "Hi\u2028"


def test_client_closed_leaves_no_descriptor(stub: ApiStub) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with Client(Target(url=stub.url, local=True)) as client:
            client.generate("Hi")
    assert len(os.listdir("/proc/self/fd")) <= before
