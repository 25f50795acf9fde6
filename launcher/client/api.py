"""The interface for programs: `Client`, `AsyncClient` and `Timeout`.

    from launcher.client.api import Client, Timeout

    with Client("http://127.0.0.1:8000") as client:
        print(client.generate("Hello", max_tokens=16).text)
        print(client.chat([{"role": "user", "content": "Hi"}], timeout="batch_job").text)
        for piece in client.stream("Hello", timeout=300_000):  # milliseconds
            print(piece, end="")
        client.batch("requests.jsonl", "results.jsonl")

Every call takes `timeout`: milliseconds, a profile's name, or a `Timeout`; without one,
`VLLMD_TIMEOUT_PROFILE` or the profile that fits the call. Options that a call does not name
(`max_tokens`, `temperature`, ...) are passed on to the server as they are; so is `extra_body`, for
those whose names are taken.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.client.batch.run import BatchOptions, run_batch
from launcher.client.connection import OK, Connection, encode, moment
from launcher.client.errors import ServerError
from launcher.client.messages import (
    CHAT,
    COMPLETIONS,
    MODELS,
    Answer,
    chat_body,
    completion_body,
    parse_object,
    read_answer,
    read_models,
    read_piece,
    refuse,
)
from launcher.client.portal import Portal
from launcher.client.target import Target, find_key, parse_address
from launcher.client.timeouts import Timeout, TimeoutLike, read_timeout
from launcher.record import replace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
    from typing import Self, TypeAlias

    from launcher.client.batch.progress import BatchResult, Show
    from launcher.client.messages import Body, Json

    Extra: TypeAlias = Mapping[str, Json] | None

__all__ = ["Answer", "AsyncClient", "BatchOptions", "Client", "Target", "Timeout"]


class AsyncClient:
    """One server, asked from asynchronous code. Use as `async with`.

    `server` is an address like http://127.0.0.1:8000, or a `Target`. `api_key` and `model`, where
    not given, are VLLM_API_KEY (else OPENAI_API_KEY) and the first model that the server lists.
    `timeout` is for every call that has none of its own.
    """

    def __init__(
        self,
        server: str | Target,
        *,
        api_key: str = "",
        model: str = "",
        timeout: TimeoutLike = None,
    ) -> None:
        target = server if isinstance(server, Target) else parse_address(server)
        key = api_key or target.api_key or find_key(os.environ)
        self._target = replace(target, api_key=key, model=model or target.model)
        self._connection = Connection(self._target)
        self._model = self._target.model
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def models(self, *, timeout: TimeoutLike = "default") -> tuple[str, ...]:
        """Return the names of the models that the server has.

        Raises:
            LauncherError: see `launcher.client.errors`.
        """
        return await self._list_models(moment(read_timeout(timeout, "generate", {}).total_s))

    async def generate(
        self,
        prompt: str,
        *,
        timeout: TimeoutLike = None,
        extra_body: Extra = None,
        **options: Json,
    ) -> Answer:
        """Return how the server continues a text.

        Raises:
            LauncherError: see `launcher.client.errors`.
        """
        limit = self._read_timeout(timeout, "generate")
        until = moment(limit.total_s)
        body = completion_body(
            prompt, await self._find_model(until), {**options, **(extra_body or {})}
        )
        return await self._ask(COMPLETIONS, body, until)

    async def chat(
        self,
        messages: str | Sequence[Mapping[str, Json]],
        *,
        timeout: TimeoutLike = None,
        extra_body: Extra = None,
        **options: Json,
    ) -> Answer:
        """Return the server's answer to messages; a string is one message of the user.

        Raises:
            LauncherError: see `launcher.client.errors`.
        """
        limit = self._read_timeout(timeout, "generate")
        until = moment(limit.total_s)
        body = chat_body(
            _messages(messages), await self._find_model(until), {**options, **(extra_body or {})}
        )
        return await self._ask(CHAT, body, until)

    async def stream(
        self,
        prompt: str | Sequence[Mapping[str, Json]],
        *,
        timeout: TimeoutLike = None,
        extra_body: Extra = None,
        **options: Json,
    ) -> AsyncGenerator[str, None]:
        """Yield the text as it comes: how a text goes on, or the answer to messages.

        Raises:
            LauncherError: see `launcher.client.errors`.
        """
        limit = self._read_timeout(timeout, "stream")
        until = moment(limit.total_s)
        model = await self._find_model(until)
        wanted: dict[str, Json] = {**options, **(extra_body or {}), "stream": True}
        if isinstance(prompt, str):
            path, body = COMPLETIONS, completion_body(prompt, model, wanted)
        else:
            path, body = CHAT, chat_body(prompt, model, wanted)
        events = self._connection.stream(path, encode(body), until, limit.idle_s)
        try:
            async for event in events:
                piece = read_piece(event)
                if piece:
                    yield piece
        finally:
            await events.aclose()

    async def batch(
        self,
        requests: str,
        results: str,
        *,
        timeout: TimeoutLike = None,
        options: BatchOptions | None = None,
        show: Show | None = None,
    ) -> BatchResult:
        """Send every request of a file, and append each answer to the file of results.

        Call it again to go on where it ended, however it ended. `show` is told how it goes.

        Raises:
            InputError: the files do not hold what they should; nothing was sent.
            LauncherError: see `launcher.client.errors`.
        """
        limit = self._read_timeout(timeout, "batch")
        chosen = options or BatchOptions()
        return await run_batch(self._target, requests, results, limit, chosen, show)

    def _read_timeout(self, timeout: TimeoutLike, call: str) -> Timeout:
        return read_timeout(self._timeout if timeout is None else timeout, call, os.environ)

    async def _list_models(self, until: float | None) -> tuple[str, ...]:
        reply = await self._connection.get(MODELS, until)
        if reply.status != OK:
            raise refuse(reply.status, reply.data)
        return read_models(parse_object(reply.data))

    async def _find_model(self, until: float | None) -> str:
        if not self._model:
            names = await self._list_models(until)
            if not names:
                raise ServerError(f"{self._target.shown()} lists no model", "name one")
            self._model = names[0]
        return self._model

    async def _ask(self, path: str, body: Body, until: float | None) -> Answer:
        reply = await self._connection.post(path, encode(body), until)
        if reply.status != OK:
            raise refuse(reply.status, reply.data)
        return read_answer(parse_object(reply.data))


class Client:
    """One server, asked from synchronous code. Use as `with`.

    Takes what `AsyncClient` takes, and has its methods.
    """

    def __init__(
        self,
        server: str | Target,
        *,
        api_key: str = "",
        model: str = "",
        timeout: TimeoutLike = None,
    ) -> None:
        self._inner = AsyncClient(server, api_key=api_key, model=model, timeout=timeout)
        self._portal = Portal()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._portal.run(self._inner.close())
        self._portal.close()

    def models(self, *, timeout: TimeoutLike = "default") -> tuple[str, ...]:
        """Return the names of the models that the server has; see `AsyncClient.models`."""
        return self._portal.run(self._inner.models(timeout=timeout))

    def generate(
        self,
        prompt: str,
        *,
        timeout: TimeoutLike = None,
        extra_body: Extra = None,
        **options: Json,
    ) -> Answer:
        """Return how the server continues a text; see `AsyncClient.generate`."""
        return self._portal.run(
            self._inner.generate(prompt, timeout=timeout, extra_body=extra_body, **options)
        )

    def chat(
        self,
        messages: str | Sequence[Mapping[str, Json]],
        *,
        timeout: TimeoutLike = None,
        extra_body: Extra = None,
        **options: Json,
    ) -> Answer:
        """Return the server's answer to messages; see `AsyncClient.chat`."""
        return self._portal.run(
            self._inner.chat(messages, timeout=timeout, extra_body=extra_body, **options)
        )

    def stream(
        self,
        prompt: str | Sequence[Mapping[str, Json]],
        *,
        timeout: TimeoutLike = None,
        extra_body: Extra = None,
        **options: Json,
    ) -> Iterator[str]:
        """Yield the text as it comes; see `AsyncClient.stream`."""
        return self._portal.iterate(
            self._inner.stream(prompt, timeout=timeout, extra_body=extra_body, **options)
        )

    def batch(
        self,
        requests: str,
        results: str,
        *,
        timeout: TimeoutLike = None,
        options: BatchOptions | None = None,
        show: Show | None = None,
    ) -> BatchResult:
        """Send every request of a file; see `AsyncClient.batch`."""
        return self._portal.run(
            self._inner.batch(requests, results, timeout=timeout, options=options, show=show)
        )


def _messages(messages: str | Sequence[Mapping[str, Json]]) -> Sequence[Mapping[str, Json]]:
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
